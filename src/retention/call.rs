//! Which session ids were last heard of before the horizon. All events about these session ids go. The descriptions of
//! people and groups in these events stay where a row needs them.

use super::RetentionError;
use super::described::Described;
use super::kept::{self, Kept};
use super::plan::{Event, Session, Sink, refused, triggers};
use crate::change::Changes;
use crate::envelope;
use crate::ids::TimeSource;
use crate::store::StoreError;
use crate::store::sqlite::events::{self, Logged};
use crate::store::sqlite::retention::{self as store, Bounds};
use crate::store::sqlite::{App, Connection, Key, RefKey, call};
use crate::tables::app::Pillars;
use crate::trigger::family;

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// Hands over the session ids of which nothing was heard since the horizon. Gives how many events within the bounds stay.
///
/// An event that CometChat does not date may be one of two facts with equal bodies, and the events between the two tell
/// which (contract 3). So a session id with such an event stays.
pub(super) fn plan(
    log: &Connection,
    bounds: &Bounds,
    pillars: &Pillars,
    sink: &mut Sink<'_>,
) -> Result<u64, RetentionError> {
    let mut judge = Judge { log, bounds, pillars, described: Described::with_counts(log, &bounds.app), stay: 0 };
    let is_of_family = |logged: &Logged| told(&bounds.app, logged).0.tell_of_call();
    refused(log, bounds, pillars, &triggers(may_tell_of_calls), is_of_family, sink)?;
    judge.kept(sink)?;
    let mut after = String::new();
    loop {
        let page = call::session_keys(log, &bounds.app, &after, PAGE)?;
        for session_key in &page {
            if let Some(session) = judge.session((App::clone(&bounds.app), session_key.clone()))? {
                sink.session(session)?;
            }
        }
        let Some(last) = page.into_iter().next_back() else { return Ok(judge.stay) };
        after = last;
    }
}

struct Judge<'a> {
    log: &'a Connection,
    bounds: &'a Bounds,
    pillars: &'a Pillars,
    described: Described<'a>,
    /// Events that stay because a row needs them.
    stay: u64,
}

impl Judge<'_> {
    /// Events `chatfold.kept` of an earlier cut go once newer events tell the same of people and groups.
    fn kept(&mut self, sink: &mut Sink<'_>) -> Result<(), RetentionError> {
        for seq in store::of_trigger(self.log, self.bounds, kept::TRIGGER)? {
            let Some(logged) = store::event(self.log, seq)? else { continue };
            let (changes, refs) = told(&self.bounds.app, &logged);
            let is_pillar = self.pillars.has(seq, logged.fact.received_at.0);
            if is_pillar || !self.described.entries(&logged.fact, &changes)?.is_empty() {
                self.stay += 1;
            } else {
                sink.event(Event { seq, bytes: logged.body.len() as u64, refs })?;
            }
        }
        Ok(())
    }

    /// A session id, if all events about it are old and may go.
    fn session(&mut self, key: Key) -> Result<Option<Session>, StoreError> {
        let seqs = call::seqs(self.log, &key, self.bounds.before)?;
        if seqs.is_empty() {
            return Ok(None);
        }
        let mut is_held = false;
        for seq in &seqs {
            let Some(logged) = store::event(self.log, *seq)? else { return Ok(None) };
            let fact = &logged.fact;
            if *seq >= self.bounds.until || fact.occurred_at >= self.bounds.before {
                return Ok(None);
            }
            // A build that understood less may have taken the same fact twice: the second folds to nothing only beside the first.
            is_held |= fact.occurred_from != TimeSource::Told
                || events::equals(self.log, &key.0, &fact.fingerprint, Some(fact.occurred_at))?.len() > 1;
        }
        if is_held {
            self.stay += seqs.len() as u64;
            return Ok(None);
        }
        let mut session = Session { key, events: Vec::new(), kept: Vec::new() };
        for seq in seqs {
            let Some(logged) = store::event(self.log, seq)? else { return Ok(None) };
            let (changes, refs) = told(&self.bounds.app, &logged);
            let entries = self.described.entries(&logged.fact, &changes)?;
            if entries.is_empty() && !self.pillars.has(seq, logged.fact.received_at.0) {
                session.events.push(Event { seq, bytes: logged.body.len() as u64, refs });
            } else {
                session.kept.push(Kept { refs, ..entries.instead_of(&logged)? });
            }
        }
        Ok(Some(session))
    }
}

/// Triggers whose events may be about a call.
fn may_tell_of_calls(trigger: &str) -> bool {
    family::of(trigger) == family::CALL || family::is_about_messages(trigger)
}

/// The changes that an event makes, and the entities that it refers to.
fn told(app: &App, logged: &Logged) -> (Changes, Vec<RefKey>) {
    let mut changes = Changes::default();
    let Some(payload) = envelope::payload(&logged.body) else { return (changes, Vec::new()) };
    payload.reduce(&logged.fact, &mut changes);
    let refs = payload.refs().into_iter().map(|it| (App::clone(app), it.kind, it.key)).collect();
    (changes, refs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::envelope::Envelope;
    use crate::ids::Time;
    use crate::log::{self, Source};
    use crate::retention::Family;
    use crate::retention::plan::{Piece, plan};
    use crate::store::sqlite;
    use serde_json::json;

    #[test]
    fn a_session_id_heard_of_since_it_was_looked_at_stays() {
        let dir = tempfile::tempdir().unwrap();
        let conn = sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        let deliver = |trigger: &str, session: &str, at: i64| {
            let data = json!({ "sessionId": session, "created_at": at, "occupant": { "uid": "ann", "joined_at": at } });
            let body = json!({ "trigger": trigger, "appId": "a", "data": data }).to_string();
            let mut batch = Batch::default();
            sqlite::begin(&conn).unwrap();
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            log::append(&mut batch, &conn, &envelope, Time(at * 1_000), Source::Http).unwrap();
            batch.save(&conn).unwrap();
            sqlite::commit(&conn).unwrap();
        };
        for (n, session) in (0..).zip(["first", "stays", "goes"]) {
            deliver("meeting_started", session, 1_767_614_400 + n);
            deliver("meeting_participant_joined", session, 1_767_614_460 + n);
        }
        let before = Time(1_767_700_000_000);
        let bounds = Bounds { app: App::from("a"), before, until: 7, last_id: -1 };
        let mut pieces: Vec<Piece> = Vec::new();
        let mut take = |piece| {
            pieces.push(piece);
            Ok(())
        };
        plan(&conn, Family::Call, &bounds, &mut take).unwrap();
        // The history of the session id stays the same with this delivery: only the number of its facts differs.
        deliver("meeting_participant_joined", "stays", 1_767_800_000);
        sqlite::begin(&conn).unwrap();
        let cut: Vec<u64> = pieces.iter().map(|piece| piece.cut(&conn, &bounds).unwrap().sessions).collect();
        sqlite::commit(&conn).unwrap();
        assert_eq!(cut, [2]);
        let left = "SELECT group_concat(session_key), count(*) FROM call_facts";
        let left: (String, i64) = conn.query_row(left, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(left, ("s:stays,s:stays,s:stays".to_owned(), 3));
    }
}
