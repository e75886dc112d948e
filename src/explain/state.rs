//! The rows that say what an entity is: read from the file, or made in memory from deliveries, and compared.

use super::observer::Observer;
use crate::change::{self, Change, Moderation, Presence};
use crate::entity::Entity;
use crate::ids::{Scope, State as Place, TimeSource};
use crate::lifecycle::Lifecycle;
use crate::merge::{Fact, Row, Value};
use crate::sessions::CallFact;
use crate::standing::Standing;
use crate::store::StoreError;
use crate::store::sqlite::read::explain::{self as read, Outline};
use crate::store::sqlite::{self, App, Connection, edit, group, membership, message};
use crate::tables;
use crate::tables::edits::Edits;
use crate::tables::group::{OWNER, OWNER_COPY, Rosters, owner_field};
use crate::tables::membership::Facts;
use crate::tables::reaction::Reaction;
use crate::tables::receipt::Receipt;
use crate::tables::registers::Registers;
use std::collections::{BTreeMap, BTreeSet};

/// The rows of one entity.
#[derive(Debug, PartialEq)]
pub enum State {
    Message(Box<Message>),
    User(Box<User>),
    Group(Group),
    Membership(Membership),
    Call(Call),
}

/// A message and what hangs on it.
#[derive(Debug, Default, PartialEq)]
pub struct Message {
    pub row: Option<tables::message::Message>,
    pub edits: Edits,
    pub verdict: Option<Registers<Moderation>>,
    /// By emoji and uid.
    pub reactions: BTreeMap<(String, String), Reaction>,
    /// By uid.
    pub receipts: BTreeMap<String, Receipt>,
}

/// A person, as far as snapshots, presence and blocks tell.
#[derive(Debug, Default, PartialEq)]
pub struct User {
    pub row: Option<Registers<change::User>>,
    pub presence: Option<Registers<Presence>>,
    /// By platform and connect time.
    pub connections: BTreeMap<(String, i64), Registers<change::Connection>>,
    /// By blocker and blocked.
    pub blocks: BTreeMap<(String, String), crate::tables::block::Block>,
}

/// A group but for its members, each of whom is an entity.
#[derive(Debug, Default)]
pub struct Group {
    pub row: Option<tables::group::Group>,
}

/// One person in one group, and the complete lists of that group.
#[derive(Debug, Default, PartialEq)]
pub struct Membership {
    pub facts: Facts,
    pub standing: Option<Standing>,
    pub rosters: Rosters,
}

/// The facts of one session id, and the instances they came to.
#[derive(Debug, Default, PartialEq)]
pub struct Call {
    /// In the order of the log.
    pub facts: Vec<CallFact>,
    pub instances: Vec<Outline>,
}

impl Group {
    /// What the deliveries about the group itself decide. Once the owner is told, the file keeps nothing of what copies
    /// say.
    fn told(&self) -> Option<(Row, &Lifecycle)> {
        let tables::group::Group { row, lifecycle, .. } = self.row.as_ref()?;
        let mut row = row.clone();
        if owner_field(&row) == OWNER {
            row.values[OWNER_COPY] = Value::Null;
        }
        Some((row, lifecycle))
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.told() == other.told()
    }
}

impl State {
    /// Nothing is known.
    pub(super) fn of(entity: &Entity) -> Self {
        match entity {
            Entity::Message(_) => Self::Message(Box::default()),
            Entity::User(_) => Self::User(Box::default()),
            Entity::Group(_) => Self::Group(Group::default()),
            Entity::Membership { .. } => Self::Membership(Membership::default()),
            Entity::Call(_) => Self::Call(Call::default()),
        }
    }

    /// What the file holds.
    pub fn load(conn: &Connection, app_id: &str, entity: &Entity) -> Result<Self, StoreError> {
        let app = App::from(app_id);
        let key = |id: &str| (App::clone(&app), id.to_owned());
        Ok(match entity {
            Entity::Message(id) => Self::Message(Box::new(Message {
                row: message::load(conn, &key(id))?,
                edits: edit::load(conn, &key(id))?.unwrap_or_default(),
                verdict: sqlite::load(conn, &key(id))?,
                reactions: read::reactions(conn, &app, id)?,
                receipts: read::receipts(conn, &app, id)?,
            })),
            Entity::User(uid) => Self::User(Box::new(User {
                row: sqlite::load(conn, &key(uid))?,
                presence: sqlite::load(conn, &key(uid))?,
                connections: read::connections(conn, &app, uid)?,
                blocks: read::blocks(conn, &app, uid)?,
            })),
            Entity::Group(guid) => Self::Group(Group { row: sqlite::load(conn, &key(guid))? }),
            Entity::Membership { guid, uid } => {
                let person = (App::clone(&app), guid.clone(), uid.clone());
                Self::Membership(Membership {
                    facts: membership::load_facts(conn, &person)?.unwrap_or_default(),
                    standing: membership::load(conn, &person)?.and_then(|row| row.standing),
                    rosters: group::load_rosters(conn, &key(guid))?.unwrap_or_default(),
                })
            }
            Entity::Call(_) => {
                let key = entity.session_key();
                Self::Call(Call {
                    facts: read::call_facts(conn, &app, &key)?,
                    instances: read::instances(conn, &app, &key)?,
                })
            }
        })
    }

    /// Applies a change; true if it is about the entity.
    pub(super) fn take(&mut self, entity: &Entity, fact: &Fact, change: Change, observer: &mut Observer) -> bool {
        match (self, entity) {
            (Self::Message(it), Entity::Message(id)) => it.take(id, fact, change, observer),
            (Self::User(it), Entity::User(uid)) => it.take(uid, fact, change, observer),
            (Self::Group(it), Entity::Group(guid)) => it.take(guid, fact, change, observer),
            (Self::Membership(it), Entity::Membership { guid, uid }) => it.take(guid, uid, fact, &change),
            (Self::Call(it), Entity::Call(_)) => it.take(&entity.session_key(), change),
            _ => false,
        }
    }

    /// Log positions of the facts that decide.
    pub fn seqs(&self) -> BTreeSet<i64> {
        let rows: Vec<&Row> = match self {
            Self::Message(it) => it.row.iter().map(|it| &it.row).chain(it.verdict.iter().map(|it| &it.row)).collect(),
            Self::User(it) => {
                let own = it.row.iter().map(|it| &it.row).chain(it.presence.iter().map(|it| &it.row));
                own.chain(it.connections.values().map(|it| &it.row)).collect()
            }
            Self::Group(it) => it.row.iter().map(|it| &it.row).collect(),
            Self::Membership(_) | Self::Call(_) => Vec::new(),
        };
        let keys = rows.into_iter().flat_map(|row| {
            row.keys.iter().flatten().map(|key| key.seq).chain(row.named.values().map(|(_, key)| key.seq))
        });
        let own: Vec<i64> = match self {
            Self::Message(it) => it.edits.0.iter().map(|(version, _)| version.key.seq).collect(),
            Self::User(_) => Vec::new(),
            Self::Group(it) => {
                it.row.iter().flat_map(|it| &it.lifecycle.deleted).map(|deletion| deletion.seq).collect()
            }
            Self::Membership(it) => {
                let told = it.facts.0.iter().map(|told| told.change.seq);
                told.chain(it.rosters.0.iter().map(|list| list.roster.seq)).collect()
            }
            Self::Call(it) => it.facts.iter().map(|fact| fact.seq).collect(),
        };
        keys.chain(own).collect()
    }

    /// Forgets a row that only says that there is such an entity: any delivery that names the entity makes one.
    pub(super) fn forget_stub(&mut self) {
        let is_stub = |row: &Row| {
            let told = row.keys.iter().any(Option::is_some) || row.values.iter().any(|value| *value != Value::Null);
            !told && row.named.is_empty()
        };
        match self {
            Self::Message(it) => {
                it.row.take_if(|it| is_stub(&it.row) && !it.deleted && !it.blocked);
            }
            Self::User(it) => {
                it.row.take_if(|it| is_stub(&it.row));
            }
            Self::Group(it) => {
                it.row.take_if(|it| is_stub(&it.row) && it.lifecycle == Lifecycle::default());
            }
            Self::Membership(_) | Self::Call(_) => {}
        }
    }

    /// Whether anything at all is known.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Message(it) => it.row.is_some(),
            Self::User(it) => it.row.is_some(),
            Self::Group(it) => it.row.is_some(),
            Self::Membership(it) => it.standing.is_some(),
            Self::Call(it) => !it.facts.is_empty(),
        }
    }
}

/// State and scope of a person in a group, in words.
pub(super) fn place((state, scope): (Option<Place>, Option<Scope>)) -> String {
    match (state, scope) {
        (None, _) => "nothing known".to_owned(),
        (Some(Place::Joined), Some(scope)) => format!("joined as {}", scope.as_str()),
        (Some(state), _) => state.as_str().to_owned(),
    }
}

/// How a time is known, in words.
pub(super) fn source(from: TimeSource) -> &'static str {
    match from {
        TimeSource::Told => "the event has this time.",
        TimeSource::Arrival => "the event has no time, so this is its arrival.",
        TimeSource::Feed => "the event has no time, so this time comes from the deliveries around it.",
    }
}
