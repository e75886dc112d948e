//! A run: what would be cut, or cutting it piece by piece.

use super::plan::{Count, plan};
use super::{At, Family, Line, Report, RetentionError, Rules, TRIGGER};
use crate::batch::Batch;
use crate::envelope::Envelope;
use crate::feed;
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use crate::log::{self, Source};
use crate::rebuild::{self, Host};
use crate::store::StoreError;
use crate::store::sqlite::retention::{self as store, Bounds};
use crate::store::sqlite::{self, App, Connection, erasures, horizon, reconcile, unfinished};
use crate::tables::horizon::Horizon;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Further deliveries that are looked at in one transaction.
const SWEEP: i64 = 1_000;
/// Pages given back in one transaction.
const PAGES: u32 = 64;
/// How often the file is tried to be made shorter, and the WAL to be emptied.
const TRIES: u32 = 20;
/// Before something is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// What the rules would cut now. Nothing is changed.
pub fn survey(log: &Connection, rules: Rules, now: Time) -> Result<Vec<Line>, RetentionError> {
    let mut lines = Vec::new();
    for (family, bounds) in ahead(log, rules, now)? {
        let mut count = Count::default();
        let kept = plan(log, family, &bounds, &mut |piece| {
            count.add(piece.count());
            Ok(())
        })?;
        lines.push(Line { messages: messages(log, family, &bounds)?, ..line(family, &bounds, count, kept) });
    }
    Ok(lines)
}

/// Cuts what the rules name from the file at `path`, which `host` writes, and gives the space back to the disk.
///
/// After each piece the log folds to the tables, but for messages: their tables are made anew in the end. A run that ends
/// early leaves the rest to the next one.
pub fn cut(
    path: &Path,
    host: &Host,
    rules: Rules,
    now: Time,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(At),
) -> Result<Report, RetentionError> {
    let log = sqlite::open_again(path)?;
    let (bytes_before, _) = store::size(&log)?;
    let refold = |progress: &mut dyn FnMut(At)| {
        host.run(|conn| store::wipe(conn, true))?;
        let done = rebuild::rebuild(path, host, stop, &mut |at| progress(At::Folding(at))).map(drop);
        host.run(|conn| store::wipe(conn, false))?;
        done
    };
    // An earlier run may have been interrupted.
    if sqlite::fold_version(&log)? != FOLD_VERSION {
        refold(progress)?;
    }
    let (mut lines, mut done) = (Vec::new(), 0);
    for (family, bounds) in ahead(&log, rules, now)? {
        if !is_any(&log, family, &bounds)? {
            continue;
        }
        let messages = messages(&log, family, &bounds)?;
        let until = loop {
            check(stop)?;
            let announced = bounds.clone();
            if let Some(until) = host.write(move |conn| announce(conn, family, &announced, now))? {
                break until;
            }
            std::thread::sleep(AGAIN);
        };
        let bounds = Bounds { until, ..bounds };
        let mut count = Count::default();
        let kept = plan(&log, family, &bounds, &mut |piece| {
            check(stop)?;
            let bounds = bounds.clone();
            count.add(host.write(move |conn| store::wiping(conn, |conn| piece.cut(conn, &bounds)))?);
            progress(At::Cutting(done + count.events));
            Ok(())
        })?;
        done += count.events;
        lines.push(Line { messages, ..line(family, &bounds, count, kept) });
    }
    let is_folded = lines.iter().any(|line| line.family == Family::Message);
    if is_folded {
        refold(progress)?;
    }
    if !lines.is_empty() {
        sweep(host, sqlite::events::newest_seq(&log)?, stop)?;
    }
    let has_texts = lines.iter().any(|line| matches!(line.family, Family::Message | Family::Call));
    if has_texts && host.is_alone() {
        // A file of an earlier chatfold may hold pieces of texts inside pages that stay.
        host.run(erasures::write_anew)?;
    }
    let bytes_after = shrink(host, stop)?;
    let wal_is_empty = lines.is_empty() || empty_wal(path, host)?;
    Ok(Report { lines, bytes_before, bytes_after, wal_is_empty })
}

fn check(stop: &AtomicBool) -> Result<(), RetentionError> {
    if stop.load(Ordering::Relaxed) { Err(RetentionError::Stopped) } else { Ok(()) }
}

fn line(family: Family, bounds: &Bounds, count: Count, kept: u64) -> Line {
    let Count { events, bytes, connections, sessions } = count;
    let app_id = bounds.app.to_string();
    Line { app_id, family, before: bounds.before, events, bytes, connections, sessions, messages: 0, kept }
}

/// Messages that the tables have, and that go.
fn messages(log: &Connection, family: Family, bounds: &Bounds) -> Result<u64, StoreError> {
    if family != Family::Message {
        return Ok(0);
    }
    store::count_messages(log, &bounds.app, bounds.before)
}

/// Each family of each app, with its horizon.
///
/// An age counts from the newest time that CometChat told of the app, at most from now: a clock of ours that runs ahead
/// must not cut what is young. A horizon never moves back.
fn ahead(log: &Connection, rules: Rules, now: Time) -> Result<Vec<(Family, Bounds)>, StoreError> {
    let reached = horizon::all(log)?;
    let mut all = Vec::new();
    for app in store::apps(log)? {
        let clock = clock(log, &app)?.min(now);
        for (family, age) in rules.all() {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let before = Time(clock.0.saturating_sub(age)).second();
            let known = reached.iter().find(|it| *it.app_id == *app && it.family == family.as_str());
            let before = known.map_or(before, |known| known.before.max(before));
            if before.0 <= 0 {
                continue;
            }
            let last_id = match family {
                Family::Message => last_id(log, &app, before)?,
                Family::Ignored | Family::Presence | Family::Call => -1,
            };
            let last_id = known.map_or(last_id, |known| known.last_id.max(last_id));
            all.push((family, Bounds { app: App::clone(&app), before, until: i64::MAX, last_id }));
        }
    }
    Ok(all)
}

/// The newest time that CometChat told of an app, or 0. If no delivery over HTTP showed a time, the events of the log
/// tell the time.
fn clock(log: &Connection, app: &App) -> Result<Time, StoreError> {
    let shown = store::clock(log, app)?;
    let told = if shown.is_none() { store::newest_told(log, app, feed::is_of_vendor)? } else { None };
    Ok(shown.or(told).unwrap_or_default())
}

/// The number up to which ids are of messages that go.
fn last_id(log: &Connection, app: &App, before: Time) -> Result<i64, StoreError> {
    if !store::has_messages(log, app, before)? {
        // No message goes, so the ids of those that stay need not be read.
        return Ok(Horizon::default().last_id);
    }
    let least_kept = store::least_id(log, app, before)?;
    Horizon::find_last_id(least_kept, |limit| store::greatest_id(log, app, before, limit))
}

/// Whether there is anything to cut.
fn is_any(log: &Connection, family: Family, bounds: &Bounds) -> Result<bool, RetentionError> {
    match plan(log, family, bounds, &mut |_| Err(RetentionError::Stopped)) {
        Ok(_) => Ok(false),
        Err(RetentionError::Stopped) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Appends the event that tells the horizon. Gives its log position. `None`: an event of the app is not finished, and must be
/// folded first.
fn announce(conn: &Connection, family: Family, bounds: &Bounds, now: Time) -> Result<Option<i64>, StoreError> {
    if unfinished::is_any(conn, &bounds.app)? {
        return Ok(None);
    }
    let mut body = serde_json::json!({
        "trigger": TRIGGER,
        "appId": *bounds.app,
        "data": { "family": family.as_str(), "before": bounds.before.0, "cutAt": now.0 },
    });
    if bounds.last_id >= 0 {
        body["data"]["lastId"] = bounds.last_id.into();
    }
    let envelope = Envelope::parse(body.to_string().as_bytes())
        .map_err(|error| StoreError::Unusable(format!("cannot tell of the horizon: {error}")))?;
    let mut batch = Batch::default();
    let appended = log::append(&mut batch, conn, &envelope, now, Source::Http)?;
    batch.save(conn)?;
    if family == Family::Message {
        // If this run ends before the tables are made anew, the next server or run does so.
        sqlite::stamp_fold_version(conn, 0)?;
        if bounds.last_id > 0 {
            // The ids of messages that are gone are no gap.
            reconcile::ask(conn, &bounds.app, 1, bounds.last_id)?;
        }
    }
    Ok(Some(appended.seq))
}

/// Removes further deliveries of events that were cut.
fn sweep(host: &Host, until: i64, stop: &AtomicBool) -> Result<(), RetentionError> {
    let mut after = 0;
    loop {
        check(stop)?;
        match host.write(move |conn| store::sweep(conn, after, until, SWEEP))? {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// Gives free pages back to the disk. Gives the bytes of the file after that. Deliveries may free pages meanwhile.
fn shrink(host: &Host, stop: &AtomicBool) -> Result<i64, RetentionError> {
    let (mut least, mut tries) = (i64::MAX, 0);
    loop {
        check(stop)?;
        let (bytes, free) = host.write(|conn| {
            store::vacuum(conn, PAGES)?;
            store::size(conn)
        })?;
        tries = if free < least { 0 } else { tries + 1 };
        if free == 0 || tries > TRIES {
            return Ok(bytes);
        }
        least = least.min(free);
    }
}

/// Moves the WAL into the file beside the writer, and then empties it, which takes the writer a moment.
fn empty_wal(path: &Path, host: &Host) -> Result<bool, RetentionError> {
    let beside = sqlite::open_beside(path)?;
    for _ in 0..TRIES {
        match sqlite::checkpoint(&beside, false) {
            Err(error) if !error.is_busy() => return Err(error.into()),
            _ => {}
        }
        if host.run(store::empty_wal)? {
            return Ok(true);
        }
        std::thread::sleep(AGAIN);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_horizon_is_told_once_all_events_of_the_app_are_folded() {
        let dir = tempfile::tempdir().unwrap();
        let conn = sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        let told = |app: &str| {
            let bounds = Bounds { app: App::from(app), before: Time(1_767_614_400_000), until: i64::MAX, last_id: -1 };
            sqlite::begin(&conn).unwrap();
            let told = announce(&conn, Family::Presence, &bounds, Time(1_767_700_000_000)).unwrap();
            sqlite::commit(&conn).unwrap();
            told
        };
        unfinished::add(&conn, 1, &App::from("a")).unwrap();
        assert_eq!(told("a"), None);
        assert_eq!(conn.query_row("SELECT count(*) FROM events", [], |row| row.get(0)), Ok(0));
        assert!(told("b").is_some(), "another app waits for nothing");
        unfinished::remove(&conn, 1).unwrap();
        assert!(told("a").is_some());
    }
}
