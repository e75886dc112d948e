//! A message as a payload shows it: the fact itself, or a snapshot inside another fact.

use super::parts::{EntityPart, Object, UserPart, users};
use crate::change::{Change, Changes, Conversation, Dated, Message, MessageEdit, Moderation, Told};
use crate::edits::{Version, digest, write_digest};
use crate::ids::{ReceiverType, Time};
use crate::json;
use crate::merge::{Fact, Stamp, Telling, Value, rank};
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct MessagePart {
    pub id: String,
    pub row: Message,
    /// Members of `data`, as JSON; null clears.
    data: BTreeMap<String, Value>,
    text: Told<String>,
    pub edited_at: Option<Time>,
    pub edited_by: Option<String>,
    own_verdict: Option<String>,
    own_rule: Option<String>,
    pinned_at: Option<Time>,
    pinned_by: Option<String>,
    deleted_at: Option<Time>,
    deleted_by: Told<String>,
    people: Vec<EntityPart>,
    quoted: Option<Box<MessagePart>>,
}

/// How a message is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The fact is about it; under this rank.
    Fact(u8),
    /// A snapshot: as old as its own `editedAt`, else `sentAt`.
    Copy,
    /// A snapshot that says nothing about mentions.
    Quoted,
}

impl MessagePart {
    pub fn read(object: &Object<'_>) -> Option<Self> {
        Some(Self::read_as(object.id("id")?, object))
    }

    /// For what is not named by an id of its own.
    pub fn read_as(id: String, object: &Object<'_>) -> Self {
        Self::read_with(id, object, true)
    }

    fn read_with(id: String, object: &Object<'_>, mut quotes: bool) -> Self {
        let data = object.object("data");
        let quoted = object.object("quotedMessage").or_else(|| data.as_ref()?.object("quotedMessage"));
        let quoted_id = object.id("quotedMessageId").or_else(|| quoted.as_ref()?.id("id"));
        quotes &= quoted.is_some();
        let text = data.as_ref().and_then(|data| data.text("text"));
        let mentioned: Option<Vec<UserPart>> =
            text.is_some().then(|| data.as_ref().map(|data| users(data, "mentions")).unwrap_or_default());
        if let Some(data) = &data {
            // Served as they are; one that is none is named.
            data.entries("attachments");
        }
        let moderation = data.as_ref().and_then(|data| data.object("moderation"));
        let people =
            ["sender", "receiver", "by", "for"].iter().filter_map(|role| EntityPart::read(&object.entity(role)?));
        Self {
            row: Message {
                sender_uid: object.told_id("sender"),
                receiver_type: object.receiver_type().map(|receiver| Some(receiver.as_str().to_owned())),
                receiver_id: object.told_id("receiver"),
                category: object.text("category"),
                r#type: object.text("type"),
                tags: object.texts("tags"),
                muid: object.text("muid"),
                // Some clients write 0 for "in no thread".
                parent_id: object.told_id("parentId").filter(|parent| parent.as_deref() != Some("0")),
                quoted_id: quoted_id.map(Some),
                sent_at: object.time("sentAt"),
                mentions: mentioned.as_ref().map(|users| Some(uids(users))),
                ..Message::default()
            },
            data: data.as_ref().map(|data| members(data, text.is_some())).unwrap_or_default(),
            text,
            edited_at: object.time("editedAt").flatten(),
            edited_by: object.id("editedBy"),
            own_verdict: moderation.as_ref().and_then(|verdict| verdict.text("status").flatten()),
            own_rule: moderation.as_ref().and_then(|verdict| verdict.object("rule")?.id("id")),
            pinned_at: object.time("pinnedAt").flatten(),
            pinned_by: object.id("pinnedBy"),
            deleted_at: object.time("deletedAt").flatten(),
            deleted_by: object.told_id("deletedBy"),
            people: people.chain(mentioned.into_iter().flatten().map(EntityPart::User)).collect(),
            quoted: quoted
                .filter(|_| quotes)
                .and_then(|quoted| Some(Self::read_with(quoted.id("id")?, &quoted, false)))
                .map(Box::new),
            id,
        }
    }

    /// Its own time: of two snapshots the later edited is the newer.
    pub fn own_at(&self) -> Option<Time> {
        self.edited_at.or(self.row.sent_at.flatten())
    }

    pub fn deleted_at(&self) -> Option<Time> {
        self.deleted_at
    }

    pub fn deleted_by(&self) -> Option<String> {
        self.deleted_by.clone().flatten()
    }

    pub fn pinned_at(&self) -> Option<Time> {
        self.pinned_at
    }

    /// Its pin, of this time.
    pub fn pin(&self, dated: Dated) -> Message {
        Message {
            pinned_at: Some(Some(dated.at)),
            pinned_at_from: Some(Some(dated.from)),
            pinned_by: self.pinned_by.clone().map(Some),
            ..Message::default()
        }
    }

    pub fn without_pin(self) -> Self {
        Self { pinned_at: None, pinned_by: None, ..self }
    }

    /// Who wrote what kind of message to whom, and no more.
    pub fn without_content(mut self) -> Self {
        (self.data, self.text, self.own_verdict, self.own_rule) = (BTreeMap::new(), None, None, None);
        self.row.mentions = None;
        self
    }

    pub fn receiver(&self) -> Option<(ReceiverType, &str)> {
        let receiver_type = ReceiverType::from_word(self.row.receiver_type.as_ref()?.as_deref()?)?;
        Some((receiver_type, self.row.receiver_id.as_ref()?.as_deref()?))
    }

    /// Only chat is chat: echoes of edits, joins and calls are no messages.
    pub fn is_chat(&self) -> bool {
        !matches!(self.row.category.iter().flatten().next().map(String::as_str), Some("action" | "call"))
    }

    /// The message, its people, its thread, its edit, its pin and its own verdict.
    pub fn put(&self, fact: &Fact, role: Role, out: &mut Changes) {
        self.put_people(fact, out);
        if !self.is_chat() {
            return;
        }
        let copy = if self.edited_at.is_some() { rank::EDITED_COPY } else { rank::COPY };
        let stamp = match role {
            Role::Fact(rank) => fact.stamp(rank),
            // A snapshot that does not say how old it is replaces nothing.
            Role::Copy | Role::Quoted => fact.copy(self.own_at().or(Some(Time(0))), copy),
        };
        // An edit without a time is no edit that can be listed, but its text is not the one first sent either.
        let is_first = self.edited_at.is_none() && role != Role::Fact(rank::EDITED);
        let first_text =
            self.text.as_ref().filter(|_| is_first).map(|text| Some(write_digest(&digest(text.as_deref()))));
        let row = Message { first_text, ..self.row.clone() };
        let mut telling = Telling { named: self.data.clone(), ..row.telling(stamp) };
        if role == Role::Quoted {
            telling.named.remove("mentions");
            telling.fields.retain(|(field, _)| Message::COLUMNS[*field] != "mentions");
        }
        out.put(Change::Message { message_id: self.id.clone(), telling, deleted: false });
        self.put_edit(fact, role, out);
        self.put_verdict(fact, out);
        if let Some(at) = self.pinned_at {
            let row = self.pin(Dated::told(at));
            out.put_message(&self.id, row, Stamp { rank: rank::COPY, ..fact.copy(Some(at), rank::COPY) });
        }
        if let Some(at) = self.deleted_at {
            self.put_deletion(Dated::told(at), self.deleted_by(), fact.copy(Some(at), rank::DELETED_COPY), out);
        }
        let stub = fact.copy(None, rank::COPY);
        for id in self.row.parent_id.iter().chain(&self.row.quoted_id).flatten() {
            out.put_message(id, Message::default(), stub);
        }
        if let Some(quoted) = &self.quoted {
            quoted.put(fact, Role::Quoted, out);
        }
    }

    /// Marks it deleted, for good.
    pub fn put_deletion(&self, dated: Dated, by: Option<String>, stamp: Stamp, out: &mut Changes) {
        let row = Message {
            deleted_at: Some(Some(dated.at)),
            deleted_at_from: Some(Some(dated.from)),
            deleted_by: by.clone().map(Some),
            ..Message::default()
        };
        out.put(Change::Message { message_id: self.id.clone(), telling: row.telling(stamp), deleted: true });
        if let Some(by) = by {
            out.put_user(&by, Stamp { rank: rank::COPY, ..stamp });
        }
    }

    /// The numbers of members of the groups described, in a message that is new.
    pub fn put_counts(&self, fact: &Fact, out: &mut Changes) {
        for entity in &self.people {
            if let EntityPart::Group(group) = entity {
                group.put_count(fact, out);
            }
        }
    }

    /// Everybody named, as far as described; sender, receiver and the conversation between them.
    pub fn put_people(&self, fact: &Fact, out: &mut Changes) {
        let stub = fact.copy(None, rank::COPY);
        for person in &self.people {
            person.put(fact, out);
        }
        let sender = self.row.sender_uid.iter().flatten().next();
        for uid in sender.into_iter().chain(&self.edited_by).chain(&self.pinned_by) {
            out.put_user(uid, stub);
        }
        let Some((receiver_type, receiver)) = self.receiver() else { return };
        match receiver_type {
            ReceiverType::User => out.put_user(receiver, stub),
            ReceiverType::Group => out.put_group(receiver, stub),
        }
        if let Some(sender) = sender.filter(|_| self.is_chat()) {
            out.put(Change::Conversation(Conversation {
                sender: sender.clone(),
                receiver_type,
                receiver: receiver.to_owned(),
            }));
        }
    }

    /// One edit is (message, `editedAt`, text), whatever shape or echo told it. An edit that tells no text left it.
    fn put_edit(&self, fact: &Fact, role: Role, out: &mut Changes) {
        let (Some(edited_at), Some(text)) = (self.edited_at, &self.text) else { return };
        let rank = if role == Role::Fact(rank::EDITED) { rank::EDITED } else { rank::EDITED_COPY };
        let version = Version {
            key: fact.copy(Some(edited_at), rank).key(None),
            digest: digest(text.as_deref()),
            text: text.clone(),
            by: self.edited_by.clone(),
        };
        out.put(Change::MessageEdit(MessageEdit { message_id: self.id.clone(), version }));
    }

    fn put_verdict(&self, fact: &Fact, out: &mut Changes) {
        if self.own_verdict.is_none() && self.own_rule.is_none() {
            return;
        }
        let row = Moderation {
            status: self.own_verdict.as_ref().map(|status| Some(status.to_lowercase())),
            reviewed: self.own_verdict.as_ref().map(|_| Some(false)),
            rule: self.own_rule.clone().map(Some),
            ..Moderation::default()
        };
        let stamp = fact.copy(self.own_at(), rank::OWN_VERDICT);
        out.put(Change::Moderation { message_id: self.id.clone(), telling: row.telling(stamp) });
    }

    pub fn own_rule(&self) -> Option<&String> {
        self.own_rule.as_ref()
    }
}

fn uids(users: &[UserPart]) -> String {
    let uids: std::collections::BTreeSet<&str> = users.iter().map(|user| user.uid.as_str()).collect();
    let quoted: Vec<String> = uids.into_iter().map(json::quote).collect();
    format!("[{}]", quoted.join(","))
}

/// Each top-level member of `data` is a register of its own. A text brings its mentions: none, if it lists none.
fn members(data: &Object<'_>, has_text: bool) -> BTreeMap<String, Value> {
    let mut members = BTreeMap::new();
    if has_text {
        members.insert("mentions".to_owned(), Value::Null);
    }
    for (key, value) in data.json.members() {
        let told = if value.is_null() { Some(Value::Null) } else { json::redact_member(&key, value).map(Value::Text) };
        if let Some(told) = told {
            members.insert(key.into_owned(), told);
        }
    }
    members
}
