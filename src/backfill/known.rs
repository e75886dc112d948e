//! What the tables know already of what was read.

use crate::change::{self, Change, Changes};
use crate::envelope::Envelope;
use crate::ids::{Outcome, Time, TimeSource};
use crate::merge::{Fact, Row, Rule, Telling};
use crate::store::StoreError;
use crate::store::sqlite::{self, App, Connection, events, message};
use crate::tables::group::{Group, OWNER_COPY};
use crate::tables::registers::Registers;

const LAST_ACTIVE_AT: usize = change::User::place("last_active_at");

/// What reading an entity came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    New,
    Changed,
    Unchanged,
    /// It cannot be folded.
    Strange,
}

/// Compares an event about one entity with the rows of this entity.
pub fn compare(conn: &Connection, app: &App, id: &str, envelope: &Envelope) -> Result<Found, StoreError> {
    let Some(payload) = envelope.payload.as_ref().filter(|_| envelope.outcome == Outcome::Applied) else {
        return Ok(Found::Strange);
    };
    let at = envelope.told_at.unwrap_or_default();
    let mut changes = Changes::default();
    payload.reduce(&fact(envelope, at), &mut changes);
    let key = (App::clone(app), id.to_owned());
    let mut found = None;
    for change in &changes {
        let now = match change {
            Change::User { uid, telling } if uid == id => {
                let row = sqlite::load::<Registers<change::User>>(conn, &key)?.map(|it| it.row);
                // The time of an active person differs in each reading. Webhooks tell this time as well.
                of_row(row.as_ref(), change::User::RULES, telling, &[LAST_ACTIVE_AT])
            }
            Change::Group { guid, telling } if guid == id => {
                let row = sqlite::load::<Group>(conn, &key)?.map(|it| it.row);
                // The file keeps what copies say of the owner until the owner is told.
                of_row(row.as_ref(), change::Group::RULES, telling, &[OWNER_COPY])
            }
            Change::Existence { guid, .. } if guid == id => {
                let group = sqlite::load::<Group>(conn, &key)?;
                let is_gone = group.is_some_and(|group| group.lifecycle.deleted_at().is_some());
                if is_gone { Found::Changed } else { Found::Unchanged }
            }
            Change::Message { message_id, telling, deleted } if message_id == id => match message::load(conn, &key)? {
                Some(known) if known.deleted => Found::Unchanged,
                _ if *deleted => Found::Changed,
                known => of_row(known.map(|it| it.row).as_ref(), change::Message::RULES, telling, &[]),
            },
            _ => continue,
        };
        found = match (found, now) {
            (None, now) | (Some(Found::Unchanged), now) => Some(now),
            (found, _) => found,
        };
    }
    match found {
        Some(found) => Ok(found),
        // An echo of a call or an act, which has no row of its own.
        None => {
            let known = !events::equals(conn, app, &envelope.fingerprint, envelope.told_at)?.is_empty();
            Ok(if known { Found::Unchanged } else { Found::New })
        }
    }
}

fn of_row(row: Option<&Row>, rules: &[Rule], telling: &Telling, besides: &[usize]) -> Found {
    let Some(row) = row else { return Found::New };
    let differs = row.judge(rules, telling).any(|judged| {
        let is_beside = matches!(judged.register, crate::merge::Register::Field(field) if besides.contains(&field));
        let is_same = match judged.rule {
            Rule::Newest => judged.known == Some(judged.value),
            Rule::Least | Rule::Greatest => !judged.won,
        };
        !is_beside && !is_same
    });
    let is_stub = row.keys.iter().all(Option::is_none) && row.named.is_empty();
    match (differs, is_stub) {
        (false, _) => Found::Unchanged,
        (true, true) => Found::New,
        (true, false) => Found::Changed,
    }
}

fn fact(envelope: &Envelope, at: Time) -> Fact {
    Fact {
        seq: i64::MAX,
        trigger: envelope.trigger.clone(),
        received_at: at,
        arrived_at: None,
        occurred_at: at,
        occurred_from: TimeSource::Told,
        floor: None,
        fingerprint: envelope.fingerprint,
    }
}
