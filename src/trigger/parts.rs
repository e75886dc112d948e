//! Pieces that payloads share, read with tolerance: nothing but a missing identity rejects.

use super::decimal::scaled;
use super::notes::{Notes, element, member};
use crate::change::{Change, Changes, Group, Told, User};
use crate::ids::{ReceiverType, Time, TimeSource};
use crate::json::{self, Json};
use crate::merge::{Fact, Stamp, rank};

/// An object of a payload, with its path for notes.
#[derive(Clone)]
pub struct Object<'a> {
    pub json: Json<'a>,
    path: String,
    notes: &'a Notes,
}

impl<'a> Object<'a> {
    pub fn new(json: Json<'a>, path: String, notes: &'a Notes) -> Self {
        Self { json, path, notes }
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// `Some(None)` for null; a value that `read` does not understand is noted and not told.
    fn told<T>(&self, key: &str, expected: &str, read: impl Fn(Json<'a>) -> Option<T>) -> Told<T> {
        let value = self.json.get(key)?;
        if value.is_null() {
            return Some(None);
        }
        let read = read(value);
        if read.is_none() {
            self.notes.expected(expected, &self.path(key));
        }
        read.map(Some)
    }

    /// A text without the secrets in it.
    pub fn text(&self, key: &str) -> Told<String> {
        self.told(key, "text", |value| value.text().map(json::without_secrets).map(Into::into))
    }

    /// An id: text, or a number as its digits. The empty text is none, nor is JSON that holds a secret.
    pub fn id(&self, key: &str) -> Option<String> {
        self.told(key, "an id", as_id).flatten()
    }

    /// The same, where null clears.
    pub fn told_id(&self, key: &str) -> Told<String> {
        self.told(key, "an id", as_id)
    }

    /// A time, in milliseconds whatever unit it came in. 0 is how some clients write "never": it tells nothing, and
    /// clears nothing.
    pub fn time(&self, key: &str) -> Told<Time> {
        self.told(key, "a unix time", as_time).filter(|told| told.is_none_or(|time| time.0 > 0))
    }

    pub fn int(&self, key: &str) -> Told<i64> {
        self.told(key, "a whole number", as_int)
    }

    /// A decimal number of seconds, or its text, in milliseconds; rounded to the nearest, halves up.
    pub fn seconds_as_ms(&self, key: &str) -> Option<i64> {
        self.told(key, "a number", |value| Some(scaled(&as_number(value)?, 3)?.0)).flatten()
    }

    /// True, false, or their texts.
    pub fn flag(&self, key: &str) -> Option<bool> {
        let read = |value: Json<'a>| value.bool().or_else(|| value.text().and_then(|text| text.parse().ok()));
        self.told(key, "true or false", read).flatten()
    }

    /// A map, written `[]` where it is empty; as JSON without its secrets.
    pub fn map(&self, key: &str) -> Told<String> {
        let read = |value: Json<'a>| {
            if value.is_array() && value.is_empty() {
                return Some("{}".to_owned());
            }
            value.is_object().then(|| json::redact(value))
        };
        self.told(key, "an object", read)
    }

    /// A list of texts without the secrets in them, as JSON.
    pub fn texts(&self, key: &str) -> Told<String> {
        self.told(key, "a list of texts", |value| {
            let is_list = value.is_array() || (value.is_object() && value.is_empty());
            let shown = |text| json::quote(&json::without_secrets(text));
            let texts = value.elements().map(|element| element.text().map(shown));
            is_list.then(|| texts.collect::<Option<Vec<_>>>()).flatten().map(|texts| format!("[{}]", texts.join(",")))
        })
    }

    /// The object under `key`, if there is one.
    pub fn object(&self, key: &str) -> Option<Self> {
        let json = self.told(key, "an object", |value| {
            (value.is_object() || (value.is_array() && value.is_empty())).then_some(value)
        });
        json.flatten().map(|json| Self::new(json, self.path(key), self.notes))
    }

    /// The objects of a map or list under `key`, each under its name or `""`; none whose name is a secret.
    pub fn entries(&self, key: &str) -> Vec<(String, Self)> {
        let Some(json) =
            self.told(key, "a map", |value| (value.is_object() || value.is_array()).then_some(value)).flatten()
        else {
            return Vec::new();
        };
        let path = self.path(key);
        let named: std::collections::BTreeMap<String, Json<'a>> =
            json.members().map(|(name, value)| (name.into_owned(), value)).collect();
        let named = named.into_iter().filter(|(name, _)| !json::is_secret(name));
        let named = named.map(|(name, value)| (member(&path, &name), name, value));
        let listed = json.elements().enumerate().map(|(at, value)| (element(&path, at), String::new(), value));
        let entry = |(path, name, value): (String, String, Json<'a>)| {
            let object = Self::new(value, path, self.notes);
            if !value.is_object() {
                self.notes.expected("an object", &object.path);
            }
            (name, object)
        };
        named.chain(listed).map(entry).collect()
    }

    /// The entity under `entities.<role>`.
    pub fn entity(&self, role: &str) -> Option<Self> {
        self.object("data")?.object("entities")?.object(role)?.object("entity")
    }

    pub fn receiver_type(&self) -> Option<ReceiverType> {
        self.text("receiverType").flatten().and_then(|word| ReceiverType::from_word(&word))
    }
}

fn as_id(value: Json<'_>) -> Option<String> {
    let text = value.text().map(String::from).or_else(|| value.number().map(str::to_owned))?;
    (!text.is_empty() && !json::holds_secret(&text)).then_some(text)
}

/// A number, or a text that holds one: the vendor sends both.
fn as_number(value: Json<'_>) -> Option<String> {
    value.number().map(str::to_owned).or_else(|| value.text().map(|text| text.trim().to_owned()))
}

fn as_int(value: Json<'_>) -> Option<i64> {
    scaled(&as_number(value)?, 0).and_then(|(number, is_exact)| is_exact.then_some(number))
}

/// From 10^11 on (the year 5138 in seconds, 1973 in milliseconds) a number can only be milliseconds. This is that bound
/// in milliseconds.
const SECONDS_BELOW_MS: i64 = 100_000_000_000_000;

/// Seconds or milliseconds, rounded to the nearest millisecond.
pub fn as_time(value: Json<'_>) -> Option<Time> {
    let number = as_number(value)?;
    let as_seconds = scaled(&number, 3).map(|(ms, _)| ms).filter(|ms| *ms < SECONDS_BELOW_MS);
    let ms = as_seconds.or_else(|| scaled(&number, 0).map(|(ms, _)| ms))?;
    (0..=Time::MAX.0).contains(&ms).then_some(Time(ms))
}

/// A person as an entity describes them.
#[derive(Debug, Clone, PartialEq)]
pub struct UserPart {
    pub uid: String,
    row: User,
    updated_at: Option<Time>,
}

impl UserPart {
    pub fn read(object: &Object<'_>) -> Option<Self> {
        Some(Self::read_as(object.id("uid")?, object))
    }

    /// For maps keyed by uid.
    pub fn read_as(uid: String, object: &Object<'_>) -> Self {
        let row = User {
            name: object.text("name"),
            avatar: object.text("avatar"),
            link: object.text("link"),
            role: object.text("role"),
            status_message: object.text("statusMessage"),
            tags: object.texts("tags"),
            metadata: object.map("metadata"),
            last_active_at: object.time("lastActiveAt"),
        };
        Self { uid, row, updated_at: object.time("updatedAt").flatten() }
    }

    /// As what the fact itself tells.
    pub fn put_fact(&self, fact: &Fact, out: &mut Changes) {
        self.put_under(fact.stamp(rank::FACT), out);
    }

    /// A snapshot is as old as its own `updatedAt`, else as the fact around it.
    pub fn put(&self, fact: &Fact, out: &mut Changes) {
        self.put_under(fact.copy(self.updated_at, rank::COPY), out);
    }

    /// As what this stamp orders.
    pub fn put_under(&self, stamp: Stamp, out: &mut Changes) {
        out.put(Change::User { uid: self.uid.clone(), telling: self.row.clone().telling(stamp) });
    }
}

/// People under `key`, by uid.
pub fn users(object: &Object<'_>, key: &str) -> Vec<UserPart> {
    let entries = object.entries(key).into_iter();
    entries
        .filter_map(
            |(name, user)| if name.is_empty() { UserPart::read(&user) } else { Some(UserPart::read_as(name, &user)) },
        )
        .collect()
}

/// A group as an entity describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPart {
    pub guid: String,
    pub row: Group,
    pub owner: Told<String>,
    pub created_at: Option<Time>,
    pub updated_at: Option<Time>,
}

impl GroupPart {
    pub fn read(object: &Object<'_>) -> Option<Self> {
        let guid = object.id("guid")?;
        let owner = object.told_id("owner");
        let (created_at, updated_at) = (object.time("createdAt"), object.time("updatedAt"));
        let row = Group {
            name: object.text("name"),
            r#type: object.text("type"),
            description: object.text("description"),
            icon: object.text("icon"),
            tags: object.texts("tags"),
            metadata: object.map("metadata"),
            created_at,
            updated_at,
            updated_by: object.told_id("updatedBy"),
            reported_members_count: object.int("membersCount"),
            owner: None,
            owner_copy: owner.clone(),
        };
        Some(Self { guid, row, owner, created_at: created_at.flatten(), updated_at: updated_at.flatten() })
    }

    /// As a snapshot: as old as its own `updatedAt`, else `createdAt`, else the fact around it.
    pub fn put(&self, fact: &Fact, out: &mut Changes) {
        let telling = self.row.clone().telling(fact.copy(self.updated_at.or(self.created_at), rank::COPY));
        out.put(Change::Group { guid: self.guid.clone(), telling });
        self.put_people(fact, out);
    }

    /// As what the fact itself tells.
    pub fn put_fact(&self, fact: &Fact, out: &mut Changes) {
        let telling = self.row.clone().telling(fact.stamp(rank::FACT));
        out.put(Change::Group { guid: self.guid.clone(), telling });
        self.put_people(fact, out);
    }

    /// The number of members, as of the fact itself: a group in a new message is described as it is then.
    pub fn put_count(&self, fact: &Fact, out: &mut Changes) {
        let reported_members_count = self.row.reported_members_count;
        if reported_members_count.is_some() && fact.occurred_from == TimeSource::Told {
            let row = Group { reported_members_count, ..Group::default() };
            let telling = row.telling(fact.copy(None, rank::COPY));
            out.put(Change::Group { guid: self.guid.clone(), telling });
        }
    }

    fn put_people(&self, fact: &Fact, out: &mut Changes) {
        for uid in [self.owner.iter().flatten(), self.row.updated_by.iter().flatten()].into_iter().flatten() {
            out.put_user(uid, fact.copy(None, rank::COPY));
        }
    }
}

/// What a message's `receiver` entity, or a group or user entity of unknown kind, describes.
#[derive(Debug, Clone, PartialEq)]
pub enum EntityPart {
    User(UserPart),
    Group(GroupPart),
}

impl EntityPart {
    pub fn read(object: &Object<'_>) -> Option<Self> {
        GroupPart::read(object).map(Self::Group).or_else(|| UserPart::read(object).map(Self::User))
    }

    pub fn put(&self, fact: &Fact, out: &mut Changes) {
        match self {
            Self::User(user) => user.put(fact, out),
            Self::Group(group) => group.put(fact, out),
        }
    }
}
