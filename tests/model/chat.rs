//! The truth about messages: sent, held back, edited, deleted, reacted to, received.

use super::deliver;
use super::world::{GUIDS, Message, USERS, World, second};
use chatfold::ids::ReceiverType;

const EMOJIS: [&str; 2] = ["x", ":y"];

impl World {
    /// An id among those that satisfy `may`; mostly of the newest.
    fn message(&self, which: usize, may: impl Fn(&Message) -> bool) -> Option<i64> {
        let ids: Vec<i64> = self.messages.values().filter(|it| may(it)).map(|it| it.id).collect();
        let newest = &ids[ids.len().saturating_sub(4)..];
        if newest.is_empty() { None } else { Some(newest[which % newest.len()]) }
    }

    fn touch_message(&mut self, id: i64) {
        self.touch(&format!("message {id}"));
    }

    pub fn send(&mut self, a: usize, b: usize, c: usize, held: bool) -> Option<()> {
        let guid = GUIDS[a % GUIDS.len()];
        let members = self.members(guid);
        let living = self.groups.get(guid).is_some_and(|group| group.deleted.is_none());
        let (sender, receiver_type, receiver) = if a.is_multiple_of(4) || members.is_empty() || !living {
            let (sender, other) = (USERS[b % USERS.len()], USERS[c % USERS.len()]);
            (sender, ReceiverType::User, if sender == other { USERS[(c + 1) % USERS.len()] } else { other })
        } else {
            // A new message tells how many members the group has.
            self.touch(guid);
            (members[b % members.len()], ReceiverType::Group, guid)
        };
        let id = self.new_id();
        let message = Message {
            id,
            sender: sender.to_owned(),
            receiver_type,
            receiver: receiver.to_owned(),
            custom: c.is_multiple_of(9),
            parent: None,
            mention: c.is_multiple_of(5).then_some(USERS[c % USERS.len()]),
            text: format!("words {id}"),
            sent: second(self.now),
            edited: None,
            edits: Vec::new(),
            deleted: None,
            held: held.then_some(second(self.now)),
            approved: false,
            verdict: held.then_some("disapproved"),
            whole: Vec::new(),
            to_all: [None, None],
        };
        let conversation = message.conversation();
        let parent = self.message(c, |other| other.visible() && other.conversation() == conversation);
        self.messages.insert(id, Message { parent: parent.filter(|_| c % 3 == 1), ..message });
        self.touch_message(id);
        deliver::sent(self, id, c % 7 == 1);
        Some(())
    }

    pub fn approve(&mut self, a: usize) -> Option<()> {
        let id =
            self.message(a, |message| message.held.is_some() && !message.visible() && message.deleted.is_none())?;
        let message = self.messages.get_mut(&id)?;
        (message.approved, message.verdict) = (true, Some("approved"));
        deliver::approved(self, id);
        Some(())
    }

    pub fn edit(&mut self, a: usize) -> Option<()> {
        let id = self.message(a, Message::visible)?;
        self.touch_message(id);
        let now = second(self.now);
        let message = self.messages.get_mut(&id)?;
        // Two edits of one second cannot be told apart.
        if message.edited.as_ref().is_some_and(|(last, _)| *last == now) || message.sent == now {
            return None;
        }
        message.text = format!("words {id} at {now}");
        message.mention = None;
        message.edited = Some((now, message.sender.clone()));
        message.edits.push((now, message.text.clone()));
        deliver::edited(self, id);
        Some(())
    }

    pub fn delete(&mut self, a: usize, b: usize) -> Option<()> {
        let id = self.message(a, |message| message.deleted.is_none())?;
        self.touch_message(id);
        let owner = self.groups.get(&self.messages[&id].receiver).map(|group| group.owner.clone());
        let now = second(self.now);
        let message = self.messages.get_mut(&id)?;
        // In a group an admin may delete what others sent.
        let by = owner.filter(|_| b.is_multiple_of(3)).unwrap_or_else(|| message.sender.clone());
        message.deleted = Some((now, by));
        deliver::deleted(self, id);
        Some(())
    }

    pub fn react(&mut self, a: usize, b: usize, c: usize) -> Option<()> {
        let id = self.message(a, Message::visible)?;
        let key = (id, EMOJIS[c % EMOJIS.len()], USERS[b % USERS.len()]);
        if self.reactions.contains_key(&key) {
            return None;
        }
        self.touch(&format!("reaction {key:?}"));
        let reaction = self.told.len() as i64 + 50;
        self.reactions.insert(key, (reaction, second(self.now)));
        deliver::reaction(self, key, true);
        Some(())
    }

    pub fn unreact(&mut self, a: usize) -> Option<()> {
        let keys: Vec<_> = self.reactions.keys().copied().collect();
        let key = *keys.get(a % keys.len().max(1))?;
        deliver::reaction(self, key, false);
        self.reactions.remove(&key);
        Some(())
    }

    /// A receipt for one message; `what`: 0 delivered, 1 read, with everything before it.
    pub fn receive(&mut self, a: usize, b: usize, what: usize) -> Option<()> {
        let id = self.message(a, Message::visible)?;
        let message = &self.messages[&id];
        let reader = match message.receiver_type {
            ReceiverType::User => message.receiver.clone(),
            ReceiverType::Group => {
                let members = self.members(&message.receiver);
                let others: Vec<&str> = members.into_iter().filter(|uid| *uid != message.sender).collect();
                (*others.get(b % others.len().max(1))?).to_owned()
            }
        };
        let (now, conversation) = (second(self.now), message.conversation());
        let times = self.receipts.entry((id, reader.clone())).or_default();
        times[what] = Some(times[what].map_or(now, |known| known.min(now)));
        if what == 1 {
            let marker = self.markers.entry((conversation, reader.clone())).or_insert((id, now));
            if id > marker.0 {
                *marker = (id, now);
            }
        }
        deliver::receipt(self, id, &reader, what);
        Some(())
    }

    pub fn reach_all(&mut self, a: usize, b: usize) -> Option<()> {
        let what = b % 2;
        let may = |message: &Message| {
            message.visible() && message.receiver_type == ReceiverType::Group && message.to_all[what].is_none()
        };
        let id = self.message(a, may)?;
        self.messages.get_mut(&id)?.to_all[what] = Some(second(self.now));
        deliver::to_all(self, id, what);
        Some(())
    }
}
