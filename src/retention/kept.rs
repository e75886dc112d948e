//! What stays of an event about messages or calls that are cut: the people and groups that it describes, as an event of
//! its own in its place.

use crate::change::{Group, User};
use crate::envelope::Envelope;
use crate::ids::TimeSource;
use crate::json::quote;
use crate::merge::{Fact, Telling, Value, When};
use crate::store::StoreError;
use crate::store::sqlite::RefKey;
use crate::store::sqlite::events::Logged;

/// The event that tells of them.
pub const TRIGGER: &str = "chatfold.kept";

/// CometChat's names of the columns of a person, and of a group. The owner is the one that copies tell.
const OF_USER: [&str; User::COLUMNS.len()] =
    ["name", "avatar", "link", "role", "statusMessage", "tags", "metadata", "lastActiveAt"];
const OF_GROUP: [&str; Group::COLUMNS.len()] = [
    "name",
    "type",
    "description",
    "icon",
    "tags",
    "metadata",
    "createdAt",
    "updatedAt",
    "updatedBy",
    "membersCount",
    "",
    "owner",
];
/// Columns that hold JSON, and columns that hold a time.
const JSON: [&str; 2] = ["tags", "metadata"];
const TIMES: [&str; 3] = ["lastActiveAt", "createdAt", "updatedAt"];

/// From here on a number of milliseconds is not read as seconds.
const AS_MS: i64 = 100_000_000_000_000;

/// An event that takes the place of another one.
#[derive(Debug)]
pub(super) struct Kept {
    pub seq: i64,
    pub envelope: Envelope,
    /// What the event no longer refers to.
    pub refs: Vec<RefKey>,
    /// Bytes by which the body gets shorter.
    pub bytes: u64,
}

/// What is told of whom, written down.
#[derive(Debug, Default)]
pub(super) struct Entries {
    users: Vec<String>,
    groups: Vec<String>,
}

impl Entries {
    pub fn user(&mut self, fact: &Fact, uid: &str, telling: &Telling) {
        self.users.push(entry(fact, "user", ("uid", uid), &OF_USER, telling));
    }

    pub fn group(&mut self, fact: &Fact, guid: &str, telling: &Telling) {
        self.groups.push(entry(fact, "group", ("guid", guid), &OF_GROUP, telling));
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// The event that tells nothing else of what an event told.
    pub fn instead_of(&self, logged: &Logged) -> Result<Kept, StoreError> {
        let fact = &logged.fact;
        let mut members = vec![("trigger", quote(TRIGGER)), ("appId", quote(&logged.app_id))];
        members.extend(logged.region.as_ref().map(|region| ("region", quote(region))));
        members.extend(logged.webhook_id.as_ref().map(|webhook| ("webhook", quote(webhook))));
        let mut data = vec![("of", quote(&fact.trigger))];
        if fact.occurred_from == TimeSource::Told {
            data.push(("at", seconds(fact.occurred_at.0)));
        }
        for (name, entries) in [("users", &self.users), ("groups", &self.groups)] {
            if !entries.is_empty() {
                data.push((name, format!("[{}]", entries.join(","))));
            }
        }
        members.push(("data", object(data)));
        let unusable = |error| StoreError::Unusable(format!("event {} cannot be written anew: {error}", fact.seq));
        let envelope = Envelope::parse(object(members).as_bytes()).map_err(unusable)?;
        let bytes = logged.body.len().saturating_sub(envelope.body.len()) as u64;
        Ok(Kept { seq: fact.seq, envelope, refs: Vec::new(), bytes })
    }
}

fn entry(fact: &Fact, kind: &str, (key, id): (&str, &str), names: &[&str], telling: &Telling) -> String {
    let mut entry = Vec::new();
    match telling.stamp.when {
        When::At(at) if telling.stamp.when != fact.when() => entry.push(("at", seconds(at.0))),
        _ => {}
    }
    entry.push(("rank", telling.stamp.rank.to_string()));
    let told = telling.fields.iter().map(|(field, value)| (names[*field], written(names[*field], value)));
    let told = told.filter(|(name, _)| !name.is_empty());
    entry.push((kind, object(std::iter::once((key, quote(id))).chain(told))));
    object(entry)
}

fn written(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(json) if JSON.contains(&name) => json.clone(),
        Value::Text(text) => quote(text),
        Value::Int(ms) if TIMES.contains(&name) => seconds(*ms),
        Value::Int(number) => number.to_string(),
    }
}

/// A time, so that it is read as the same millisecond.
fn seconds(ms: i64) -> String {
    if ms < AS_MS { format!("{}.{:03}", ms / 1_000, ms % 1_000) } else { ms.to_string() }
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let members: Vec<String> = members.into_iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Changes};
    use crate::ids::{Outcome, Time};

    /// The event as the log keeps it.
    fn logged(envelope: &Envelope, told_at: Option<Time>) -> Logged {
        Logged {
            app_id: envelope.app_id.clone(),
            region: envelope.region.clone(),
            webhook_id: envelope.webhook_id.clone(),
            fact: Fact {
                seq: 7,
                trigger: envelope.trigger.clone(),
                received_at: Time(1_767_614_400_007),
                arrived_at: None,
                occurred_at: told_at.unwrap_or(Time(1_767_614_400_000)),
                occurred_from: if told_at.is_some() { TimeSource::Told } else { TimeSource::Arrival },
                floor: None,
                fingerprint: envelope.fingerprint,
            },
            outcome: Outcome::Applied,
            reason: None,
            has_secret: envelope.has_secret,
            body: envelope.body.clone(),
        }
    }

    /// The people and groups that an event describes, and how many it names. The owner that events about groups tell is
    /// left out.
    fn described(envelope: &Envelope, fact: &Fact) -> ([Vec<Change>; 2], usize, Entries) {
        let (mut changes, mut all, mut entries) = (Changes::default(), 0, Entries::default());
        envelope.payload.as_ref().unwrap().reduce(fact, &mut changes);
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for change in changes {
            match &change {
                Change::User { uid, telling } => {
                    entries.user(fact, uid, telling);
                    all += 1;
                    users.extend((!telling.fields.is_empty()).then(|| change.clone()));
                }
                Change::Group { guid, telling } if telling.fields.iter().all(|(field, _)| *field != 10) => {
                    entries.group(fact, guid, telling);
                    all += 1;
                    groups.extend((!telling.fields.is_empty()).then(|| change.clone()));
                }
                _ => {}
            }
        }
        ([users, groups], all, entries)
    }

    #[test]
    fn a_kept_event_tells_of_people_and_groups_what_the_event_told() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/triggers");
        let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let mut compared = 0;
        for envelope in files.filter_map(|body| Envelope::parse(body.as_bytes()).ok()).filter(|it| it.payload.is_some())
        {
            for told_at in [envelope.told_at, None] {
                let logged = logged(&envelope, told_at);
                let (told, all, entries) = described(&envelope, &logged.fact);
                if entries.is_empty() {
                    continue;
                }
                let kept = entries.instead_of(&logged).unwrap().envelope;
                let (again, all_again, _) = described(&kept, &logged.fact);
                assert_eq!(
                    (kept.told_at, kept.outcome, &kept.reason),
                    (told_at, Outcome::Applied, &None),
                    "{}",
                    kept.body
                );
                assert_eq!((all_again, again), (all, told), "{}", kept.body);
                compared += 1;
            }
        }
        assert!(compared > 50, "{compared}");
    }
}
