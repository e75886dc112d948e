//! Statements that cut events from the log.

use super::events::{self, EVENT_REFS};
use super::{App, RefKey, settings};
use crate::envelope::Envelope;
use crate::ids::{ConversationKey, Outcome, Time};
use crate::store::{StoreError, write_json};
use crate::tables::app::Pillars;
use rusqlite::{Connection, OptionalExtension, named_params};

const APPS: &str = "SELECT app_id FROM apps ORDER BY app_id";
const CLOCK: &str = "SELECT clock_at FROM feeds WHERE app_id = ?1";
const TIMES: &str = "
    SELECT trigger, occurred_at, received_at FROM events
    WHERE app_id = ?1 AND iif(occurred_from = 'told', occurred_at, 0) > 0
    ORDER BY iif(occurred_from = 'told', occurred_at, 0) DESC";
const IGNORED: &str = "
    SELECT seq, octet_length(body), received_at FROM events
    WHERE app_id = :app AND outcome = 'ignored' AND seq > :after AND seq < :until AND occurred_at < :before
        AND trigger NOT LIKE 'chatfold.%'
    ORDER BY seq LIMIT :limit";
const PEOPLE: &str = "SELECT uid FROM presence WHERE app_id = ?1 AND uid > ?2 ORDER BY uid LIMIT ?3";
const PRESENCE: &str = "
    SELECT e.seq, e.app_id, e.region, e.webhook_id, e.trigger, e.received_at, e.occurred_at, e.occurred_from, e.arrived_at,
        e.floor_at, e.fingerprint, e.outcome, e.reason, e.has_secret, e.body
    FROM event_refs AS r JOIN events AS e ON e.seq = r.seq
    WHERE r.app_id = :app AND r.kind = 'presence' AND r.key = :uid AND r.seq < :until
        AND (e.occurred_at < :before OR e.occurred_from <> 'told')
    ORDER BY r.seq";
/// Three ways find them: what they tell of their own time, the messages that they name, and that the fold refused them.
/// Every id is found that [`Horizon::has_passed`](crate::tables::horizon::Horizon::has_passed) takes for one before the
/// horizon, and more: SQLite reads digits with leading zeros as a number too.
const ABOUT_MESSAGES: &str = "
    SELECT seq FROM (
        SELECT seq, trigger FROM events
        WHERE app_id = :app AND iif(occurred_from = 'told', occurred_at, 0) < :before
        UNION
        SELECT e.seq, e.trigger FROM messages AS m
        JOIN event_refs AS r ON r.app_id = m.app_id AND r.kind = 'message' AND r.key = m.message_id
        JOIN events AS e ON e.seq = r.seq
        WHERE m.app_id = :app AND m.chat AND m.sent_at < :before
        UNION
        SELECT e.seq, e.trigger FROM event_refs AS r JOIN events AS e ON e.seq = r.seq
        WHERE r.app_id = :app AND r.kind = 'message'
            AND r.key NOT GLOB '*[^0-9]*' AND CAST(r.key AS INTEGER) <= :last_id
        UNION
        SELECT seq, trigger FROM events WHERE app_id = :app AND outcome <> 'applied' AND outcome = 'ignored'
    )
    WHERE seq < :until AND trigger IN (SELECT value FROM json_each(:triggers))
    ORDER BY seq";
const REFUSED: &str = "
    SELECT seq FROM events
    WHERE app_id = :app AND outcome <> 'applied' AND outcome = 'ignored' AND seq < :until AND occurred_at < :before
        AND trigger IN (SELECT value FROM json_each(:triggers))
    ORDER BY seq";
const OF_TRIGGER: &str = "
    SELECT seq FROM events
    WHERE app_id = :app AND trigger = :trigger AND seq < :until AND occurred_at < :before ORDER BY seq";
const EVENT: &str = "SELECT * FROM events WHERE seq = ?1";
const TOLD: &str = "
    SELECT e.* FROM feeds AS f JOIN events AS e ON e.app_id = f.app_id AND e.trigger = 'chatfold.retention' ORDER BY e.seq";
const SENT_AT: &str = "SELECT sent_at FROM messages WHERE app_id = ?1 AND message_id = ?2";
const KEEPS_MESSAGES: &str = "
    SELECT 1 FROM messages
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND chat AND sent_at >= ?4 LIMIT 1";
const HAS_MESSAGES: &str = "SELECT 1 FROM messages WHERE app_id = ?1 AND chat AND sent_at < ?2 LIMIT 1";
const COUNT_MESSAGES: &str = "SELECT count(*) FROM messages WHERE app_id = ?1 AND chat AND sent_at < ?2";
const LEAST_ID: &str = "SELECT min(message_no) FROM messages WHERE app_id = ?1 AND chat AND sent_at >= ?2";
const GREATEST_ID: &str = "
    SELECT max(message_no) FROM messages WHERE app_id = ?1 AND chat AND sent_at < ?2 AND message_no < ?3";
const REPLACE: &str = "
    UPDATE events SET trigger = ?2, body = ?3, fingerprint = ?4, has_secret = ?5, reason = NULL WHERE seq = ?1";
const DATED_BY_FEED: &str = "SELECT occurred_from = 'feed' FROM events WHERE seq = ?1";
const FIRST: &str = "SELECT min(seq) FROM events WHERE app_id = ?1";
const REGION: &str = "
    SELECT e.seq FROM apps AS a JOIN events AS e
        ON e.app_id = a.app_id AND iif(e.occurred_from = 'told', e.occurred_at, 0) = a.region_at
    WHERE a.app_id = ?1 AND e.region = a.region LIMIT 1";
const SEEN: &str = "SELECT first_seen_at, last_event_at FROM apps WHERE app_id = ?1";
const NOTE: &str = "
    INSERT INTO cut_facts (app_id, digest, seq)
    SELECT app_id, substr(fingerprint, 1, 16), seq FROM events WHERE seq = ?1 AND outcome = 'ignored'
    ON CONFLICT DO NOTHING";
const NOTED: &str = "SELECT seq FROM cut_facts WHERE app_id = ?1 AND digest = substr(?2, 1, 16)";
const FORGET_UNTOLD: &str = "DELETE FROM deliveries WHERE seq = ?1 AND occurred_from IS NOT NULL AND position < ?2";
const REMOVE: &str = "DELETE FROM events WHERE seq = ?1";
const COUNT_LESS: &str = "UPDATE apps SET events_count = events_count - ?2 WHERE app_id = ?1";
const ORPHANS: &str = "
    DELETE FROM deliveries
    WHERE position > ?1 AND position <= ?2 AND NOT EXISTS (SELECT 1 FROM events WHERE events.seq = deliveries.seq)";
const FURTHER: &str = "
    SELECT max(position)
    FROM (SELECT position FROM deliveries WHERE position > ?1 AND position < ?2 ORDER BY position LIMIT ?3)";

/// Apps that the file has heard of.
pub fn apps(conn: &Connection) -> Result<Vec<App>, StoreError> {
    let mut statement = conn.prepare_cached(APPS)?;
    let rows = statement.query_map([], |row| Ok(App::from(row.get::<_, String>(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The clock of the deliveries of an app over HTTP, if they have shown one.
pub fn clock(conn: &Connection, app: &App) -> Result<Option<Time>, StoreError> {
    Ok(conn.prepare_cached(CLOCK)?.query_row([app], |row| row.get(0)).optional()?.flatten())
}

/// The newest time that an event of an app tells, of those that count: `counts` gets the trigger, the time told and the
/// time of the first delivery. Events are read from the newest time on, up to the first that counts.
pub fn newest_told(
    conn: &Connection,
    app: &App,
    counts: impl Fn(&str, Time, Time) -> bool,
) -> Result<Option<Time>, StoreError> {
    let mut statement = conn.prepare_cached(TIMES)?;
    let mut rows = statement.query([app])?;
    while let Some(row) = rows.next()? {
        let (trigger, told): (String, Time) = (row.get(0)?, row.get(1)?);
        if counts(&trigger, told, row.get(2)?) {
            return Ok(Some(told));
        }
    }
    Ok(None)
}

/// An event that fills no tables.
#[derive(Debug)]
pub struct Ignored {
    pub seq: i64,
    pub bytes: i64,
    pub received_at: i64,
}

/// What of an app may be cut: events before a time, and before a log position.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub app: App,
    pub before: Time,
    pub until: i64,
    /// Of messages: see [`Horizon`](crate::tables::horizon::Horizon).
    pub last_id: i64,
}

/// Events behind a log position that fill no tables, oldest first.
pub fn ignored(conn: &Connection, bounds: &Bounds, after: i64, limit: i64) -> Result<Vec<Ignored>, StoreError> {
    let mut statement = conn.prepare_cached(IGNORED)?;
    let params = named_params! {
        ":app": bounds.app, ":after": after, ":until": bounds.until, ":before": bounds.before.0, ":limit": limit,
    };
    let rows = statement
        .query_map(params, |row| Ok(Ignored { seq: row.get(0)?, bytes: row.get(1)?, received_at: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// People whose presence is known, behind a uid.
pub fn people(conn: &Connection, app: &App, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(PEOPLE)?;
    let rows = statement.query_map((app, after, limit), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Log positions of events of these triggers that may be about messages before the horizon, in their order.
pub fn about_messages(conn: &Connection, bounds: &Bounds, triggers: &[&str]) -> Result<Vec<i64>, StoreError> {
    let mut statement = conn.prepare_cached(ABOUT_MESSAGES)?;
    let params = named_params! {
        ":app": bounds.app, ":until": bounds.until, ":before": bounds.before.0, ":last_id": bounds.last_id,
        ":triggers": write_json(&triggers)?,
    };
    let seqs = statement.query_map(params, |row| row.get(0))?;
    Ok(seqs.collect::<Result<_, _>>()?)
}

/// Log positions of events of these triggers before the horizon that fill no tables, in their order.
pub fn refused(conn: &Connection, bounds: &Bounds, triggers: &[&str]) -> Result<Vec<i64>, StoreError> {
    let params = named_params! {
        ":app": bounds.app, ":until": bounds.until, ":before": bounds.before.0, ":triggers": write_json(&triggers)?,
    };
    let mut statement = conn.prepare_cached(REFUSED)?;
    let seqs = statement.query_map(params, |row| row.get(0))?;
    Ok(seqs.collect::<Result<_, _>>()?)
}

/// Log positions of events of a trigger before the horizon, in their order.
pub fn of_trigger(conn: &Connection, bounds: &Bounds, trigger: &str) -> Result<Vec<i64>, StoreError> {
    let params = named_params! {
        ":app": bounds.app, ":until": bounds.until, ":before": bounds.before.0, ":trigger": trigger,
    };
    let mut statement = conn.prepare_cached(OF_TRIGGER)?;
    let seqs = statement.query_map(params, |row| row.get(0))?;
    Ok(seqs.collect::<Result<_, _>>()?)
}

/// The event at a log position.
pub fn event(conn: &Connection, seq: i64) -> Result<Option<events::Logged>, StoreError> {
    Ok(conn.prepare_cached(EVENT)?.query_row([seq], events::logged).optional()?)
}

/// The events that tell of horizons, oldest first.
pub fn told(conn: &Connection) -> Result<Vec<events::Logged>, StoreError> {
    let mut statement = conn.prepare_cached(TOLD)?;
    let all = statement.query_map([], events::logged)?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// When a message was sent, as far as the tables tell.
pub fn sent_at(conn: &Connection, app: &App, message_id: &str) -> Result<Option<Time>, StoreError> {
    let sent_at = conn.prepare_cached(SENT_AT)?.query_row((app, message_id), |row| row.get::<_, Option<i64>>(0));
    Ok(sent_at.optional()?.flatten().map(Time))
}

/// Whether a conversation has a message that was sent since the horizon.
pub fn keeps_messages(conn: &Connection, bounds: &Bounds, of: &ConversationKey) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(KEEPS_MESSAGES)?.exists((&bounds.app, &of.id, of.low_length, bounds.before.0))?)
}

/// Whether a message was sent before a time.
pub fn has_messages(conn: &Connection, app: &App, before: Time) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(HAS_MESSAGES)?.exists((app, before))?)
}

/// How many messages were sent before a time.
pub fn count_messages(conn: &Connection, app: &App, before: Time) -> Result<u64, StoreError> {
    let count = conn.prepare_cached(COUNT_MESSAGES)?.query_row((app, before), |row| row.get::<_, i64>(0));
    Ok(count?.cast_unsigned())
}

/// The least number among the ids of messages that were sent since a time.
pub fn least_id(conn: &Connection, app: &App, since: Time) -> Result<Option<i64>, StoreError> {
    Ok(conn.prepare_cached(LEAST_ID)?.query_row((app, since), |row| row.get(0))?)
}

/// The greatest number below `limit` among the ids of messages that were sent before a time.
pub fn greatest_id(conn: &Connection, app: &App, before: Time, limit: i64) -> Result<Option<i64>, StoreError> {
    Ok(conn.prepare_cached(GREATEST_ID)?.query_row((app, before, limit), |row| row.get(0))?)
}

/// Puts another event into the place of one. It refers to nothing.
pub fn replace(conn: &Connection, seq: i64, envelope: &Envelope, refs: &[RefKey]) -> Result<(), StoreError> {
    refs.iter().try_for_each(|key| EVENT_REFS.delete(conn, &(key, seq)))?;
    let values = (seq, &envelope.trigger, &envelope.body, envelope.fingerprint, envelope.has_secret);
    conn.prepare_cached(REPLACE)?.execute(values)?;
    Ok(())
}

/// Hands over the events about a person's presence that may be cut, and those that CometChat does not date.
pub fn presence(
    conn: &Connection,
    bounds: &Bounds,
    uid: &str,
    each: &mut dyn FnMut(events::Logged) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(PRESENCE)?;
    let params = named_params! {
        ":app": bounds.app, ":uid": uid, ":until": bounds.until, ":before": bounds.before.0,
    };
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        each(events::logged(row)?)?;
    }
    Ok(())
}

/// Whether the event at a log position was dated by a feed. `None`: there is none.
pub fn is_dated_by_feed(conn: &Connection, seq: i64) -> Result<Option<bool>, StoreError> {
    Ok(conn.prepare_cached(DATED_BY_FEED)?.query_row([seq], |row| row.get(0)).optional()?)
}

/// Reads which events the row of an app depends on.
pub fn pillars(conn: &Connection, app: &App) -> Result<Pillars, StoreError> {
    let seq = |sql: &str| {
        Ok::<_, StoreError>(conn.prepare_cached(sql)?.query_row([app], |row| row.get(0)).optional()?.flatten())
    };
    let seen = conn.prepare_cached(SEEN)?.query_row([app], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(Pillars { first: seq(FIRST)?, region: seq(REGION)?, seen })
}

/// The log position of the event that a delivery repeats, if that event was cut from the log. It had an unknown trigger:
/// what a newer chatfold understands is new.
pub fn cut_before(conn: &Connection, envelope: &Envelope) -> Result<Option<i64>, StoreError> {
    if envelope.outcome != Outcome::Ignored {
        return Ok(None);
    }
    let fact = (&envelope.app_id, &envelope.fingerprint);
    Ok(conn.prepare_cached(NOTED)?.query_row(fact, |row| row.get(0)).optional()?)
}

/// Cuts an event: its row in the log, and what it refers to. Its further deliveries go too, but none from the log position
/// `until` on: that of the newest must stay known, so that no other delivery is given it again.
pub fn cut(conn: &Connection, seq: i64, refs: &[RefKey], until: i64) -> Result<(), StoreError> {
    conn.prepare_cached(NOTE)?.execute([seq])?;
    conn.prepare_cached(FORGET_UNTOLD)?.execute((seq, until))?;
    refs.iter().try_for_each(|key| EVENT_REFS.delete(conn, &(key, seq)))?;
    conn.prepare_cached(REMOVE)?.execute([seq])?;
    Ok(())
}

/// Counts events of an app that were cut.
pub fn count(conn: &Connection, app: &App, events: i64) -> Result<(), StoreError> {
    conn.prepare_cached(COUNT_LESS)?.execute((app, events))?;
    settings::count_cut(conn, events)
}

/// Removes further deliveries of events that were cut, among the next so many between two log positions. Gives the last
/// of these; `None`: there are no more.
pub fn sweep(conn: &Connection, after: i64, until: i64, limit: i64) -> Result<Option<i64>, StoreError> {
    let last: Option<i64> = conn.prepare_cached(FURTHER)?.query_row((after, until, limit), |row| row.get(0))?;
    if let Some(last) = last {
        conn.prepare_cached(ORPHANS)?.execute((after, last))?;
    }
    Ok(last)
}

/// Runs a unit that leaves no byte of what it removes in the pages of the file.
pub fn wiping<T>(conn: &Connection, unit: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    wipe(conn, true)?;
    let done = unit(conn);
    wipe(conn, false)?;
    done
}

/// From now on pages that get free are overwritten, or no more. What is removed inside a page always is.
pub fn wipe(conn: &Connection, pages: bool) -> Result<(), StoreError> {
    let mode = if pages { "ON" } else { "FAST" };
    Ok(conn.pragma_update_and_check(None, "secure_delete", mode, |_| Ok(()))?)
}

/// Bytes of the file, and how many of them are free.
pub fn size(conn: &Connection) -> Result<(i64, i64), StoreError> {
    let get = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page = get("page_size")?;
    Ok((get("page_count")? * page, get("freelist_count")? * page))
}

/// Gives so many free pages back to the disk; 0: all. The file gets shorter at the next checkpoint.
pub fn vacuum(conn: &Connection, pages: u32) -> Result<(), StoreError> {
    let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Empties the WAL, if nobody reads it just now. It waits for nobody.
pub fn empty_wal(conn: &Connection) -> Result<bool, StoreError> {
    let wait: i64 = conn.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
    conn.busy_timeout(std::time::Duration::ZERO)?;
    let emptied = super::checkpoint(conn, true);
    conn.busy_timeout(std::time::Duration::from_millis(wait.max(0).cast_unsigned()))?;
    match emptied {
        Err(error) if error.is_busy() => Ok(false),
        emptied => emptied,
    }
}
