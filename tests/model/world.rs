//! The truth: what the server knows after each act. Acts that cannot happen do not.

use super::deliver;
use super::faults::Kind;
use super::script::{Act, Dice, Pace, Step, mix};
use crate::harness::NOON;
use chatfold::ids::{ConversationKey, ReceiverType, Scope, State};
use std::collections::BTreeMap;

/// One of them looks like a conversation.
pub const USERS: [&str; 6] = ["ann", "bob", "cem", "dee", "ann_user_bob", "fay"];
pub const GUIDS: [&str; 3] = ["crew", "group_crew", "den"];

/// A delivery to come.
#[derive(Debug, Clone)]
pub struct Told {
    /// When the act was done.
    pub at: i64,
    pub kind: Kind,
    pub trigger: &'static str,
    pub data: String,
    pub luck: u64,
}

impl Told {
    /// Whether the body says when it happened. Where it does not, a webhook that tells it again after another fact of the
    /// same thing tells another.
    pub fn is_dated(&self) -> bool {
        !matches!(self.trigger, "group_deleted" | "message_reaction_removed")
    }
}

#[derive(Debug, Clone)]
pub struct Group {
    pub guid: String,
    pub name: String,
    pub owner: String,
    pub created: i64,
    pub updated: Option<i64>,
    pub updated_by: String,
    pub deleted: Option<i64>,
    /// The first creation.
    pub known_since: i64,
}

/// A person's place in a group from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Milliseconds.
    pub at: i64,
    pub state: State,
    pub scope: Option<Scope>,
    pub by: Option<String>,
    /// Its delivery tells the time.
    pub told: bool,
    /// When the person came, and whether that is told.
    pub joined: Option<(i64, bool)>,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub id: i64,
    pub sender: String,
    pub receiver_type: ReceiverType,
    pub receiver: String,
    pub custom: bool,
    pub parent: Option<i64>,
    pub mention: Option<&'static str>,
    pub text: String,
    /// Seconds, as all times of messages.
    pub sent: i64,
    pub edited: Option<(i64, String)>,
    pub edits: Vec<(i64, String)>,
    pub deleted: Option<(i64, String)>,
    /// Withheld since.
    pub held: Option<i64>,
    pub approved: bool,
    pub verdict: Option<&'static str>,
    /// The deliveries that carry it whole.
    pub whole: Vec<usize>,
    pub to_all: [Option<i64>; 2],
}

impl Message {
    pub fn conversation(&self) -> String {
        ConversationKey::between(&self.sender, self.receiver_type, &self.receiver).id
    }

    pub fn visible(&self) -> bool {
        self.deleted.is_none() && (self.held.is_none() || self.approved)
    }
}

#[derive(Debug)]
pub struct World {
    pub pace: Pace,
    pub now: i64,
    pub names: BTreeMap<&'static str, usize>,
    pub groups: BTreeMap<String, Group>,
    pub places: BTreeMap<(String, String), Vec<Place>>,
    pub messages: BTreeMap<i64, Message>,
    /// Those present: id and second.
    pub reactions: BTreeMap<(i64, &'static str, &'static str), (i64, i64)>,
    pub receipts: BTreeMap<(i64, String), [Option<i64>; 2]>,
    pub markers: BTreeMap<(String, String), (i64, i64)>,
    /// Every block (true) and unblock.
    pub blocks: BTreeMap<(&'static str, &'static str), Vec<(i64, bool)>>,
    pub presence: BTreeMap<&'static str, (bool, i64)>,
    /// The newest fact that described a person, and as whom.
    pub described: BTreeMap<String, (i64, usize)>,
    pub told: Vec<Told>,
    /// When something happened, by step.
    pub acts: Vec<i64>,
    touched: BTreeMap<String, i64>,
    next_id: i64,
    dice: Dice,
}

pub fn second(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

pub fn play(steps: &[Step], pace: Pace) -> World {
    let mut world = World {
        pace,
        now: NOON,
        names: BTreeMap::new(),
        groups: BTreeMap::new(),
        places: BTreeMap::new(),
        messages: BTreeMap::new(),
        reactions: BTreeMap::new(),
        receipts: BTreeMap::new(),
        markers: BTreeMap::new(),
        blocks: BTreeMap::new(),
        presence: BTreeMap::new(),
        described: BTreeMap::new(),
        told: Vec::new(),
        acts: Vec::new(),
        touched: BTreeMap::new(),
        next_id: 998,
        dice: Dice::new(0),
    };
    for step in steps {
        world.now += step.gap;
        world.dice = Dice::new(step.luck);
        let before = world.told.len();
        world.act(step);
        if world.told.len() > before {
            world.acts.push(world.now);
        }
    }
    world
}

pub fn pick<T: Clone>(among: &[T], which: usize) -> Option<T> {
    if among.is_empty() { None } else { Some(among[which % among.len()].clone()) }
}

impl World {
    fn act(&mut self, step: &Step) -> Option<()> {
        let Step { act, a, b, c, .. } = *step;
        match act {
            Act::CreateGroup => self.create(GUIDS[a % GUIDS.len()], USERS[b % USERS.len()])?,
            Act::UpdateGroup => self.update(&self.living(a)?)?,
            Act::DeleteGroup => self.delete_group(&self.living(a)?)?,
            Act::Place => self.change_place(&self.living(a)?, USERS[b % USERS.len()], c)?,
            Act::AddSeveral => self.add_several(&self.living(a)?, b)?,
            Act::Send => self.send(a, b, c, false)?,
            Act::Hold => self.send(a, b, c, true)?,
            Act::Approve if self.pace == Pace::Distinct => return None,
            Act::Approve => self.approve(a)?,
            Act::Edit => self.edit(a)?,
            Act::Delete => self.delete(a, b)?,
            Act::React => self.react(a, b, c)?,
            Act::Unreact => self.unreact(a)?,
            Act::Deliver => self.receive(a, b, 0)?,
            Act::Read => self.receive(a, b, 1)?,
            Act::ToAll => self.reach_all(a, b)?,
            Act::Block if self.pace == Pace::Distinct => return None,
            Act::Block => self.block(USERS[b % USERS.len()], USERS[c % USERS.len()])?,
            Act::Presence => self.appear(USERS[b % USERS.len()]),
            Act::Rename => self.rename(USERS[b % USERS.len()]),
        }
        Some(())
    }

    /// Where every fact has a second of its own, waits for one.
    pub fn touch(&mut self, entity: &str) {
        if self.pace == Pace::Distinct {
            if self.touched.get(entity).is_some_and(|last| *last >= second(self.now)) {
                self.now = (second(self.now) + 1) * 1000;
            }
            self.touched.insert(entity.to_owned(), second(self.now));
        }
    }

    pub fn tell(&mut self, kind: Kind, trigger: &'static str, data: String) {
        let luck = mix(self.dice.roll(), self.told.len() as u64);
        self.told.push(Told { at: self.now, kind, trigger, data, luck });
    }

    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.dice.chance(per_mille)
    }

    /// Ids count all messages of the app, echoes too.
    pub fn new_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn living(&self, which: usize) -> Option<String> {
        let living: Vec<&String> =
            self.groups.values().filter(|group| group.deleted.is_none()).map(|group| &group.guid).collect();
        pick(&living, which).cloned()
    }

    pub fn place(&self, guid: &str, uid: &str) -> Option<&Place> {
        self.places.get(&(guid.to_owned(), uid.to_owned()))?.last()
    }

    pub fn members(&self, guid: &str) -> Vec<&'static str> {
        let joined = |uid: &&str| self.place(guid, uid).is_some_and(|place| place.state == State::Joined);
        USERS.into_iter().filter(joined).collect()
    }

    pub fn put(&mut self, guid: &str, uid: &str, state: State, scope: Option<Scope>, by: Option<&str>, told: bool) {
        let at = self.now;
        let places = self.places.entry((guid.to_owned(), uid.to_owned())).or_default();
        let stays = places.last().filter(|last| last.state == State::Joined).and_then(|last| last.joined);
        let joined = if state == State::Joined { stays.or(Some((at, told))) } else { None };
        places.push(Place { at, state, scope, by: by.map(str::to_owned), told, joined });
    }

    fn create(&mut self, guid: &str, owner: &'static str) -> Option<()> {
        let made = self.groups.get(guid);
        let pause = if self.pace == Pace::Anew { 2_000 } else { 7_000 };
        if made.is_some_and(|made| made.deleted.is_none_or(|deleted| self.now - deleted < pause)) {
            return None;
        }
        let known_since = made.map(|made| made.known_since);
        self.touch(guid);
        let before: Vec<String> =
            USERS.into_iter().filter(|uid| self.place(guid, uid).is_some()).map(Into::into).collect();
        for uid in before.iter().filter(|uid| uid.as_str() != owner) {
            if self.place(guid, uid).is_some_and(|place| place.state != State::Absent) {
                self.put(guid, uid, State::Absent, None, None, true);
            }
        }
        // The creator too begins anew.
        self.places.entry((guid.to_owned(), owner.to_owned())).or_default().push(Place {
            at: self.now,
            state: State::Joined,
            scope: Some(Scope::Admin),
            by: None,
            told: true,
            joined: Some((self.now, true)),
        });
        let group = Group {
            guid: guid.to_owned(),
            name: format!("{guid} {}", self.told.len()),
            owner: owner.to_owned(),
            created: second(self.now),
            updated: None,
            updated_by: owner.to_owned(),
            deleted: None,
            known_since: known_since.unwrap_or(second(self.now)),
        };
        self.groups.insert(guid.to_owned(), group);
        deliver::group_created(self, guid);
        Some(())
    }

    /// The group's row changes now.
    pub fn bump(&mut self, guid: &str) -> Option<String> {
        self.touch(guid);
        let now = second(self.now);
        let group = self.groups.get_mut(guid)?;
        group.updated = Some(now);
        Some(group.owner.clone())
    }

    fn update(&mut self, guid: &str) -> Option<()> {
        let by = self.bump(guid)?;
        let name = format!("{guid} {}", self.told.len());
        let group = self.groups.get_mut(guid)?;
        (group.name, group.updated_by) = (name, by);
        deliver::group_updated(self, guid);
        Some(())
    }

    fn delete_group(&mut self, guid: &str) -> Option<()> {
        self.touch(guid);
        self.groups.get_mut(guid)?.deleted = Some(self.now);
        deliver::group_deleted(self, guid);
        Some(())
    }

    fn block(&mut self, by: &'static str, whom: &'static str) -> Option<()> {
        if by == whom {
            return None;
        }
        let blocks = !self.blocked(by, whom);
        self.blocks.entry((by, whom)).or_default().push((self.now, blocks));
        deliver::block(self, by, whom, blocks);
        Some(())
    }

    pub fn blocked(&self, by: &'static str, whom: &'static str) -> bool {
        self.blocks.get(&(by, whom)).and_then(|pair| pair.last()).is_some_and(|(_, blocks)| *blocks)
    }

    fn appear(&mut self, uid: &'static str) {
        self.touch(uid);
        let (was, since) = self.presence.get(uid).copied().unwrap_or_default();
        self.presence.insert(uid, (!was, self.now));
        deliver::presence(self, uid, !was, if was { since } else { self.now });
    }

    /// No trigger tells it; later deliveries describe the person anew.
    fn rename(&mut self, uid: &'static str) {
        if self.pace == Pace::Distinct {
            self.now = (second(self.now) + 1) * 1000;
        }
        *self.names.entry(uid).or_default() += 1;
    }
}
