//! What reducers say: rows as plain data, no SQL. There is one verb, `put`.

use crate::edits::Version;
use crate::ids::{ConversationKey, ReceiverType, Scope, State, Time, TimeSource};
use crate::merge::{Fact, Rule, Stamp, Telling, Value};
use crate::sessions::CallFact;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Outer `None`: the delivery does not say. Inner `None`: it says null, which clears.
pub type Told<T> = Option<Option<T>>;

/// A field's name without the mark of a name that is a word of Rust.
const fn plain(field: &'static str) -> &'static str {
    if let [b'r', b'#', ..] = field.as_bytes() { field.split_at(2).1 } else { field }
}

const fn place(columns: &[&str], field: &str) -> usize {
    let mut place = 0;
    while !is_same(columns[place].as_bytes(), field.as_bytes()) {
        place += 1;
    }
    place
}

const fn is_same(left: &[u8], right: &[u8]) -> bool {
    match (left, right) {
        ([], []) => true,
        ([one, left @ ..], [other, right @ ..]) => *one == *other && is_same(left, right),
        _ => false,
    }
}

/// Declares a row whose fields are merged on their own, in the order of its table's columns.
macro_rules! row {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $rule:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name { $($(#[$field_doc])* pub $field: Told<$type>),+ }

        impl $name {
            pub const COLUMNS: &'static [&'static str] = &[$(plain(stringify!($field))),+];
            pub const RULES: &'static [Rule] = &[$(Rule::$rule),+];

            /// Place of a field in a row.
            pub const fn place(field: &str) -> usize {
                place(Self::COLUMNS, field)
            }

            /// The fields told, under one stamp.
            pub fn telling(self, stamp: Stamp) -> Telling {
                let all = [$(self.$field.map(value)),+];
                let fields = all.into_iter().enumerate().filter_map(|(field, told)| Some((field, told?))).collect();
                Telling { stamp, fields, named: BTreeMap::new() }
            }
        }
    };
}

row!(
    /// A person, as a snapshot describes them.
    User {
        name: String = Newest, avatar: String = Newest, link: String = Newest, role: String = Newest,
        status_message: String = Newest, tags: String = Newest, metadata: String = Newest, last_active_at: Time = Greatest,
    }
);
row!(
    /// A group's profile.
    Group {
        name: String = Newest, r#type: String = Newest, description: String = Newest, icon: String = Newest,
        tags: String = Newest, metadata: String = Newest, created_at: Time = Newest, updated_at: Time = Newest,
        updated_by: String = Newest, reported_members_count: i64 = Newest,
        /// Told by the creation, a transfer or the vendor's API.
        owner: String = Newest,
        /// What snapshots say, shown until one of those is known.
        owner_copy: String = Newest,
    }
);
row!(
    /// A message but for its `data`, whose members are registers of their own.
    Message {
        sender_uid: String = Newest, receiver_type: String = Newest, receiver_id: String = Newest,
        category: String = Newest, r#type: String = Newest, tags: String = Newest, muid: String = Newest,
        parent_id: String = Newest, quoted_id: String = Newest, sent_at: Time = Newest,
        deleted_at: Time = Newest, deleted_at_from: TimeSource = Newest, deleted_by: String = Newest,
        pinned_at: Time = Newest, pinned_at_from: TimeSource = Newest, pinned_by: String = Newest,
        /// JSON array of uids; belongs to the text.
        mentions: String = Newest,
        delivered_to_all_at: Time = Least, read_by_all_at: Time = Least,
        /// The digest of the text before all edits: it tells whether the earliest edit changed the text, also once the
        /// message is deleted and its text gone.
        first_text: String = Newest,
    }
);
row!(
    /// A verdict of moderation.
    Moderation {
        status: String = Newest, reviewed: bool = Newest, rule: String = Newest, failed_at: Time = Newest,
        failed_at_from: TimeSource = Newest, failure: String = Newest,
    }
);
row!(
    /// Whether a person is online.
    Presence {
        online: bool = Newest, changed_at: Time = Newest, changed_at_from: TimeSource = Newest, last_seen_at: Time = Newest,
        last_seen_at_from: TimeSource = Newest, offline_at: Time = Greatest,
    }
);
row!(
    /// One websocket connection.
    Connection { open: bool = Newest, seen_at: Time = Greatest }
);

/// A fact about one person's place in a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MembershipChange {
    pub guid: String,
    pub uid: String,
    pub by: Option<String>,
    /// Neither state nor scope: became the owner.
    pub state: Option<State>,
    pub scope: Option<Scope>,
    pub old_scope: Option<Scope>,
    pub joined_at: Option<Time>,
    /// When the group that the fact names was made, where it tells.
    pub group_created_at: Option<Time>,
}

/// A complete member list, read from the vendor's API.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberList {
    pub guid: String,
    pub at: Time,
    /// Time of the earlier list that this one is told against. `None`: it names everybody.
    pub base: Option<Time>,
    /// It stands for the lists that were read since this time, which only confirmed.
    pub replaces: Option<Time>,
    pub entries: Arc<[ListEntry]>,
}

/// A person whom a member list names.
#[derive(Debug, Clone, PartialEq)]
pub struct ListEntry {
    pub uid: String,
    /// False: the person was in the base, and is not in the list.
    pub listed: bool,
    pub scope: Option<Scope>,
    pub joined_at: Option<Time>,
}

impl MemberList {
    /// What the list says of a person whom it names.
    pub fn says(&self, entry: &ListEntry) -> MembershipChange {
        MembershipChange {
            guid: self.guid.clone(),
            uid: entry.uid.clone(),
            state: Some(if entry.listed { State::Joined } else { State::Absent }),
            scope: entry.scope,
            joined_at: entry.joined_at,
            ..MembershipChange::default()
        }
    }
}

/// A text of a message, told as an edit. Whether it is one shows among all texts told.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageEdit {
    pub message_id: String,
    pub version: Version,
}

/// A conversation heard of: its row is made where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    pub sender: String,
    pub receiver_type: ReceiverType,
    pub receiver: String,
}

impl Conversation {
    /// Which conversation it is.
    pub fn key(&self) -> ConversationKey {
        ConversationKey::between(&self.sender, self.receiver_type, &self.receiver)
    }
}

/// A time and how it is known. Of several the least counts: what was told before what was dated otherwise, then the
/// earliest. So servers that heard the same in another order agree as soon as a time is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dated {
    pub from: TimeSource,
    pub at: Time,
}

impl Dated {
    /// As a payload tells it.
    pub fn told(at: Time) -> Self {
        Self { from: TimeSource::Told, at }
    }

    /// As old as the fact.
    pub fn of(fact: &Fact) -> Self {
        Self { from: fact.occurred_from, at: fact.occurred_at }
    }
}

/// A receipt of one message by one reader.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    pub message_id: String,
    pub uid: String,
    pub delivered: Option<Dated>,
    pub read: Option<Dated>,
}

/// Everything in the conversation up to this message is read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadMarker {
    pub conversation: ConversationKey,
    pub uid: String,
    pub message_id: String,
    /// Only where it is told.
    pub at: Option<Time>,
}

/// A reaction added or taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    pub message_id: String,
    pub uid: String,
    pub reaction: String,
    pub id: Option<String>,
    pub at: Dated,
    pub added: bool,
}

/// One thing a delivery says.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    User {
        uid: String,
        telling: Telling,
    },
    Group {
        guid: String,
        telling: Telling,
    },
    /// A group was created: a complete roster of its creator alone.
    Creation {
        guid: String,
        at: Time,
    },
    /// A group exists, that was made at this time.
    Existence {
        guid: String,
        created_at: Time,
    },
    /// A group was deleted; `created_at` tells which of that guid.
    Deletion {
        guid: String,
        created_at: Option<Time>,
    },
    Membership(MembershipChange),
    Roster(MemberList),
    /// A telling may mark the message deleted, which nothing undoes.
    Message {
        message_id: String,
        telling: Telling,
        deleted: bool,
    },
    MessageEdit(MessageEdit),
    Conversation(Conversation),
    Receipt(Receipt),
    ReadMarker(ReadMarker),
    Reaction(Reaction),
    Moderation {
        message_id: String,
        telling: Telling,
    },
    Presence {
        uid: String,
        telling: Telling,
    },
    Connection {
        uid: String,
        platform: String,
        connected_at: Time,
        telling: Telling,
    },
    Block {
        blocker: String,
        blocked: String,
        blocks: bool,
        /// When the block began, where the vendor's API tells it.
        since: Option<Time>,
    },
    Call {
        session_key: String,
        fact: Box<CallFact>,
    },
    /// Older events of the family were cut from the log.
    Horizon {
        family: String,
        before: Time,
        /// Of messages: ids up to this number are of messages before the horizon. -1: not known.
        last_id: i64,
    },
}

/// All that one event says, in the order in which it is put.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    all: Vec<Change>,
    /// Uids and guids that have a row: a delivery may name a hundred thousand people.
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Changes {
    pub fn put(&mut self, change: Change) {
        match &change {
            Change::User { uid, .. } => drop(self.users.insert(uid.clone())),
            Change::Group { guid, .. } => drop(self.groups.insert(guid.clone())),
            _ => {}
        }
        self.all.push(change);
    }

    /// Whether the event is about a call or a meeting, whichever its trigger: an action of a call comes among the messages
    /// too.
    pub fn tell_of_call(&self) -> bool {
        self.all.iter().any(|change| matches!(change, Change::Call { .. }))
    }

    /// Keeps the changes of which this is true.
    pub fn retain(&mut self, keep: impl FnMut(&Change) -> bool) {
        self.all.retain(keep);
        self.all.shrink_to_fit();
    }

    /// A person somebody mentions: a row, whatever else is known. Most are described by the same fact already.
    pub fn put_user(&mut self, uid: &str, stamp: Stamp) {
        if !self.users.contains(uid) {
            self.put(Change::User { uid: uid.to_owned(), telling: User::default().telling(stamp) });
        }
    }

    /// A group somebody mentions.
    pub fn put_group(&mut self, guid: &str, stamp: Stamp) {
        if !self.groups.contains(guid) {
            self.put(Change::Group { guid: guid.to_owned(), telling: Group::default().telling(stamp) });
        }
    }

    /// A message somebody refers to.
    pub fn put_message(&mut self, message_id: &str, row: Message, stamp: Stamp) {
        self.put(Change::Message { message_id: message_id.to_owned(), telling: row.telling(stamp), deleted: false });
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

fn value<T: Into<Value>>(told: Option<T>) -> Value {
    told.map_or(Value::Null, Into::into)
}
