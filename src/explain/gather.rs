//! From the file to the answer: which events, replayed, compared with what the tables hold.

use super::replay::Replay;
use super::state::{State, source};
use super::{Delivery, Explanation, value};
use crate::change;
use crate::entity::{Entity, EntityError};
use crate::ids::Time;
use crate::json::{Document, Json, is_secret};
use crate::store::StoreError;
use crate::store::sqlite::read::explain as store;
use crate::store::sqlite::{self, App, Connection, events::newest_seq};
use crate::tables::group::Group;
use crate::tables::horizon::Horizon;
use crate::trigger::family;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Events read at once.
const CHUNK: usize = 1_000;
/// No id lies deeper in a delivery.
const DEPTH: usize = 12;

/// What was asked for is no entity, or the file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    Entity(#[from] EntityError),
    #[error("{0}: too many events are about this entity")]
    TooMany(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Explains what a text names, such as `group:GUID`; `None` if the file knows nothing of it. With `most`, nothing is read
/// where more events are about it. The caller holds a snapshot.
pub fn explain_named(
    conn: &Connection,
    app_id: &str,
    name: &str,
    reach: Reach,
    most: Option<usize>,
) -> Result<Option<Explanation>, ExplainError> {
    let entity = Entity::parse::<ExplainError>(name, |guid, uid| Ok(store::has_membership(conn, app_id, guid, uid)?))?;
    if let Some(most) = most
        && store::count_about(conn, app_id, &entity, most)? > most
    {
        return Err(ExplainError::TooMany(entity.to_string()));
    }
    let found = explain(conn, app_id, &entity, reach, most)?;
    match (&found, &entity) {
        // Where no session id was told, the call goes by the id of its message.
        (None, Entity::Call(id)) => Ok(explain(conn, app_id, &Entity::Call(format!("m:{id}")), reach, most)?),
        _ => Ok(found),
    }
}

/// How much of the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What is about the entity and what decides, whether that gives the row or not.
    Own,
    /// The same; where that gives another row than the tables hold, the whole log of the app.
    Needed,
    /// The whole log of the app.
    All,
}

/// Explains one entity of one app; `None` if the file knows nothing of it. With `most`, only so many dead letters and
/// anomalies are looked at, the newest. The caller holds a snapshot.
pub fn explain(
    conn: &Connection,
    app_id: &str,
    entity: &Entity,
    reach: Reach,
    most: Option<usize>,
) -> Result<Option<Explanation>, StoreError> {
    let all = reach == Reach::All;
    let mut stored = State::load(conn, app_id, entity)?;
    let is_known = stored.is_known();
    stored.forget_stub();
    let about = store::about(conn, app_id, entity, most)?;
    let mut named: BTreeSet<i64> = about.seqs.into_iter().collect();
    named.extend(stored.seqs());
    let mut notes = Vec::new();
    if let Some(most) = most.filter(|_| about.cut) {
        notes.push(format!(
            "Only the newest {most} dead letters and the newest {most} anomalies were read. `chatfold explain` reads all."
        ));
    }
    let horizon: Option<Horizon> = sqlite::load(conn, &(App::from(app_id), family::MESSAGE.to_owned()))?;
    let mut replay = Replay::new(entity, horizon);
    if !all {
        let seqs: Vec<i64> = named.iter().copied().collect();
        for chunk in seqs.chunks(CHUNK) {
            store::events(conn, app_id, chunk, |heard| replay.take(heard))?;
        }
        replay.finish();
    }
    let scanned = all || (reach == Reach::Needed && replay.state != stored);
    if scanned {
        replay = scan(conn, app_id, entity, horizon)?;
    }
    let agrees = replay.state == stored;
    if replay.deliveries.is_empty() && !is_known {
        return Ok(None);
    }
    let mut deliveries = std::mem::take(&mut replay.deliveries);
    let listed = deliveries.len();
    if scanned && !all {
        notes.push("The deliveries about the entity alone do not give the row in the tables, so the whole log was read. Two causes are possible: a copy that lost later helped to date an old delivery, or only a copy told of an edit.".into());
        let kept = kept(&deliveries, named);
        deliveries.retain(|delivery| kept.contains(&delivery.seq));
    }
    if !agrees && reach == Reach::Own {
        notes.push(
            "The deliveries about the entity alone do not give the row in the tables. `explain` reads the whole log."
                .into(),
        );
    } else if !agrees {
        notes.push("The deliveries, merged again, do NOT give the row in the tables. Run `chatfold verify`.".into());
    }
    if deliveries.is_empty() {
        notes.push("No delivery is about the entity; other deliveries only name it. --all lists them.".into());
    }
    about_answer(conn, app_id, entity, &stored, &mut notes)?;
    let mut tables = Map::new();
    let mut row = None;
    for (at, (table, rows)) in store::tables(conn, app_id, entity)?.into_iter().enumerate() {
        let mut rows = rows.into_iter().map(read);
        if at == 0 && !matches!(entity, Entity::Call(_)) {
            row = rows.next();
        } else {
            tables.insert(table.to_owned(), rows.map(Value::Object).collect());
        }
    }
    Ok(Some(Explanation {
        entity: entity.to_string(),
        app_id: app_id.to_owned(),
        seq: newest_seq(conn)?,
        copies_left_out: scanned.then_some((listed - deliveries.len()) as u64),
        deliveries,
        row,
        tables,
        notes,
        agrees,
        scanned,
    }))
}

fn scan<'a>(
    conn: &Connection,
    app_id: &str,
    entity: &'a Entity,
    horizon: Option<Horizon>,
) -> Result<Replay<'a>, StoreError> {
    let mut replay = Replay::new(entity, horizon);
    let mut after = 0;
    while let Some(last) = store::log(conn, app_id, after, CHUNK, |heard| replay.take(heard))? {
        after = last;
    }
    replay.finish();
    Ok(replay)
}

/// The deliveries about the entity, those that decide, and those that these are told to have met.
fn kept(deliveries: &[Delivery], mut kept: BTreeSet<i64>) -> BTreeSet<i64> {
    let decides =
        |delivery: &&Delivery| delivery.effects.iter().any(|effect| effect.won && effect.replaced_by.is_none());
    kept.extend(deliveries.iter().filter(decides).map(|delivery| delivery.seq));
    loop {
        let of_kept = deliveries.iter().filter(|delivery| kept.contains(&delivery.seq));
        let effects = of_kept.flat_map(|delivery| &delivery.effects);
        let met: Vec<i64> = effects.flat_map(|effect| effect.against.into_iter().chain(effect.replaced_by)).collect();
        let before = kept.len();
        kept.extend(met);
        if kept.len() == before {
            return kept;
        }
    }
}

fn read(row: Map<String, Value>) -> Map<String, Value> {
    row.into_iter().map(|(column, told)| (column.clone(), value::read(&column, told))).collect()
}

/// Notes on how complete the answer is.
fn about_answer(
    conn: &Connection,
    app_id: &str,
    entity: &Entity,
    stored: &State,
    notes: &mut Vec<String>,
) -> Result<(), StoreError> {
    match stored {
        State::Membership(it) => {
            if let Some(standing) = &it.standing {
                notes.push(format!("changed_at: {}", source(standing.changed_at_from)));
            }
        }
        State::Group(it) => {
            let lifecycle = it.row.as_ref().map(|row| row.lifecycle.clone()).unwrap_or_default();
            notes.push(match (lifecycle.in_force(), lifecycle.created.last()) {
                (Some(deletion), _) => format!("The group is deleted, by #{}.", deletion.seq),
                (None, Some(created)) => format!("The group exists; it was created at {}.", Time(*created)),
                (None, None) => {
                    "The group exists, as far as known: no event told of its creation or its deletion.".into()
                }
            });
        }
        State::Message(it) => {
            let row = it.row.as_ref();
            if row.is_some_and(|row| row.row.keys[CATEGORY].is_none()) {
                notes
                    .push("The category of the message is not known yet, so the message is in no list. Its id alone finds it (4.4).".into());
            } else if row.is_some_and(|row| row.shown.is_step) {
                notes.push(
                    "The message is a step of an AI agent, not chat. Its id finds it, and lists that include steps (4.4)."
                        .into(),
                );
            }
        }
        State::Call(call) if call.instances.len() > 1 => {
            notes.push(format!("The session id was used for {} instances.", call.instances.len()));
        }
        _ => {}
    }
    notes.extend(cut(conn, app_id, entity)?);
    if let Entity::Membership { guid, .. } | Entity::Group(guid) = entity {
        let group: Option<Group> = sqlite::load(conn, &(App::from(app_id), guid.clone()))?;
        notes.push(match group.and_then(|group| group.members_known_since) {
            Some(since) => format!("The member list of the group is complete since {}.", Time(since)),
            None => "No event told of the group's creation, and no complete member list was read, so the member list may not be complete.".into(),
        });
    }
    Ok(())
}

/// A sentence about the horizon before which events about such an entity were cut from the log of the app. `None`: there
/// is no horizon.
pub fn cut(conn: &Connection, app_id: &str, entity: &Entity) -> Result<Option<String>, StoreError> {
    let (family, what, but) = match entity {
        Entity::Message(_) => (family::MESSAGE, "Messages sent", "with all events about them"),
        Entity::Call(_) => (family::CALL, "Session ids last heard of", "with all events about them"),
        Entity::User(_) => (family::PRESENCE, "Events about presence", "but for those that still decide a value"),
        _ => return Ok(None),
    };
    let horizon: Option<Horizon> = sqlite::load(conn, &(App::from(app_id), family.to_owned()))?;
    Ok(horizon.map(|it| format!("{what} before {} were cut from the log, {but}.", it.before)))
}

/// Place among the registers of a message.
const CATEGORY: usize = change::Message::place("category");

/// Whether a delivery that could not be read names the entity by its ids. Secrets name nobody: what is listed for a
/// guessed id would confirm it.
pub(super) fn names(body: &str, entity: &Entity) -> bool {
    let Ok(document) = Document::parse(body.as_bytes().to_vec()) else { return false };
    let Some(data) = document.root().get("data") else { return false };
    let has = |keys: &[&str], id: &str| holds(data, keys, id, DEPTH);
    match entity {
        Entity::Group(guid) => has(&["guid"], guid),
        Entity::Membership { guid, uid } => has(&["guid"], guid) && has(&["uid"], uid),
        Entity::Message(id) => has(&["id", "messageId"], id),
        Entity::User(uid) => has(&["uid"], uid),
        Entity::Call(_) => {
            let key = entity.session_key();
            key.strip_prefix("s:").is_some_and(|id| has(&["sessionId", "sessionid", "session_id"], id))
        }
    }
}

fn holds(json: Json<'_>, keys: &[&str], id: &str, depth: usize) -> bool {
    let is_id = |value: Json<'_>| value.text().as_deref() == Some(id) || value.number() == Some(id);
    depth > 0
        && (json
            .members()
            .filter(|(key, _)| !is_secret(key))
            .any(|(key, value)| (keys.contains(&key.as_ref()) && is_id(value)) || holds(value, keys, id, depth - 1))
            || json.elements().any(|value| holds(value, keys, id, depth - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_speaks_of_whom_it_names() {
        let body = r#"{"data":{"group":{"guid":"g"},"members":[{"uid":7}]}}"#;
        assert!(names(body, &Entity::Group("g".into())) && names(body, &Entity::User("7".into())));
        assert!(names(body, &Entity::Membership { guid: "g".into(), uid: "7".into() }));
        assert!(!names(body, &Entity::User("g".into())) && !names(body, &Entity::Message("7".into())));
    }

    #[test]
    fn a_secret_of_a_dead_letter_names_nobody() {
        let body = r#"{"data":{"ws_channel":{"uid":"ann"},"metadata":{"@private":[{"guid":"g"}]},"uid":"bob"}}"#;
        assert!(!names(body, &Entity::User("ann".into())) && !names(body, &Entity::Group("g".into())));
        assert!(names(body, &Entity::User("bob".into())));
    }
}
