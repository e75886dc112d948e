//! The tables made anew beside the live ones, then swapped in: intake and queries go on, and nothing is lost where it
//! is interrupted.
//!
//! The log is folded aside, as far as it goes; the rows are copied into shadow tables in the order of their keys; what
//! the log gained meanwhile is folded too, and only rows that it changed are copied again, until so little is left
//! that it fits into the transaction that swaps.

use super::aside::remove;
use super::chunk::chunks;
use super::host::{Host, within};
use super::{Aside, Phase, Progress, RebuildError, Rebuilt};
use crate::fold::FOLD_VERSION;
use crate::panics::{self, Panicked};
use crate::store::StoreError;
use crate::store::sqlite::state::{self, State};
use crate::store::sqlite::{self, Connection, aside as store, delivery, events, shadow, unfinished};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Events folded inside the swap: some tens of milliseconds.
const TAIL: i64 = 100;
/// A log that grows faster than it is folded is swapped with a longer tail after so many rounds.
const ROUNDS: u32 = 20;
const LONG_TAIL: i64 = 2_000;

/// The turn of who makes tables anew. A process writes one file, and so do all rebuilds of it.
static TURN: Mutex<()> = Mutex::new(());

/// Rebuilds the tables of the file at `path`, which `host` writes. Set `stop` to give up: the live tables stay as they
/// are. An interrupted rebuild leaves shadow tables behind, which the next one, or [`sweep`], removes.
pub fn rebuild(
    path: &Path,
    host: &Host,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, RebuildError> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let run = Run { path, host, stop, log: sqlite::open_reader(path)? };
    sweep_all(path, host, stop, progress)?;
    let rebuilt = run.all(progress);
    if rebuilt.is_err() {
        // What is left is swept by the next rebuild or start.
        let _ = sweep_all(path, host, &AtomicBool::new(false), progress);
    }
    rebuilt
}

/// Removes what an interrupted rebuild left, bit by bit.
pub fn sweep(
    path: &Path,
    host: &Host,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), RebuildError> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    sweep_all(path, host, stop, progress)
}

fn sweep_all(
    path: &Path,
    host: &Host,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), RebuildError> {
    remove(&aside_of(path))?;
    let left = host.write(shadow::left)?;
    let total = left.len() as u64;
    for (done, table) in (0..).zip(left) {
        progress(Progress { phase: Phase::Sweep, done, total });
        if host.is_alone() {
            host.write(move |conn| shadow::drop_at_once(conn, &table))?;
            continue;
        }
        loop {
            check(stop)?;
            let (table, budget) = (table.clone(), host.budget());
            if host.write(move |conn| shadow::sweep(conn, &table, budget))? {
                break;
            }
        }
    }
    Ok(())
}

/// The file into which the log of `db` is folded.
pub(super) fn aside_of(db: &Path) -> PathBuf {
    sqlite::beside(db, ".rebuild")
}

fn check(stop: &AtomicBool) -> Result<(), RebuildError> {
    if stop.load(Ordering::Relaxed) { Err(RebuildError::Stopped) } else { Ok(()) }
}

struct Run<'a> {
    path: &'a Path,
    host: &'a Host,
    stop: &'a AtomicBool,
    log: Connection,
}

/// Both sets of tables, at one log position.
struct Swapped {
    aside: Aside,
    before: Connection,
    after: Connection,
    retried: u64,
}

impl Run<'_> {
    fn all(&self, progress: &mut dyn FnMut(Progress)) -> Result<Rebuilt, RebuildError> {
        let mut aside = Aside::create(&aside_of(self.path), &self.log)?;
        self.fold(&mut aside, Phase::Fold, progress)?;
        self.host.write(shadow::create)?;
        let layouts = shadow::layouts(&aside.conn)?;
        layouts.iter().try_for_each(|layout| shadow::track(&aside.conn, layout))?;
        self.copy(&aside, progress)?;
        for round in 1.. {
            self.fold(&mut aside, Phase::CatchUp, progress)?;
            self.copy_changes(&aside)?;
            let tail = events::newest_position(&self.log)? - aside.position;
            if tail <= TAIL || (round >= ROUNDS && tail <= LONG_TAIL) {
                break;
            }
        }
        check(self.stop)?;
        progress(Progress { phase: Phase::Swap, done: 0, total: 0 });
        let Swapped { mut aside, before, after, retried } = self.swap(aside)?;
        progress(Progress { phase: Phase::Hash, done: 0, total: 0 });
        let states = said(before, after)?;
        let rebuilt = Rebuilt {
            before: states.0,
            after: states.1,
            events: aside.events,
            retried,
            damaged: std::mem::take(&mut aside.damaged),
        };
        drop(aside);
        // The tables are swapped whatever becomes of the old ones.
        if let Err(error) = sweep_all(self.path, self.host, self.stop, progress) {
            tracing::info!(%error, "the replaced tables are removed later");
        }
        Ok(rebuilt)
    }

    /// Folds what the log holds now.
    fn fold(&self, aside: &mut Aside, phase: Phase, progress: &mut dyn FnMut(Progress)) -> Result<(), RebuildError> {
        let until = events::newest_position(&self.log)?;
        let tell =
            |aside: &Aside| Progress { phase, done: aside.position.cast_unsigned(), total: until.cast_unsigned() };
        progress(tell(aside));
        for chunk in chunks(self.path, aside.position, until)? {
            check(self.stop)?;
            aside.fold(&self.log, &chunk?)?;
            progress(tell(aside));
        }
        Ok(aside.save(until)?)
    }

    fn copy(&self, aside: &Aside, progress: &mut dyn FnMut(Progress)) -> Result<(), RebuildError> {
        let layouts = shadow::layouts(&aside.conn)?;
        let total = layouts.iter().map(|layout| store::count(&aside.conn, layout.table)).sum::<Result<u64, _>>()?;
        let mut done = 0;
        for layout in layouts {
            let mut after = None;
            loop {
                check(self.stop)?;
                let rows = shadow::rows(&aside.conn, &layout, after.as_deref(), self.host.rows())?;
                let Some(last) = rows.last() else { break };
                after = Some(layout.key_places().iter().map(|place| last[*place].clone()).collect::<Vec<_>>());
                done += rows.len() as u64;
                let layout = layout.clone();
                self.host.write(move |conn| shadow::insert(conn, &layout, &rows))?;
                progress(Progress { phase: Phase::Copy, done, total });
            }
        }
        Ok(())
    }

    fn copy_changes(&self, aside: &Aside) -> Result<(), RebuildError> {
        for layout in shadow::layouts(&aside.conn)? {
            loop {
                check(self.stop)?;
                let changes = shadow::take_changes(&aside.conn, &layout, self.host.rows())?;
                if changes.is_empty() {
                    break;
                }
                let layout = layout.clone();
                self.host.write(move |conn| shadow::apply(conn, &layout, changes))?;
            }
        }
        Ok(())
    }

    /// One transaction: the rest of the log, what changed by it, outcomes that are others now, and the names.
    fn swap(&self, mut aside: Aside) -> Result<Swapped, RebuildError> {
        let path = self.path.to_owned();
        self.host.run(move |conn| {
            let before = snapshot(&path)?;
            let retried = within(conn, |conn| {
                let newest = events::newest_position(conn)?;
                aside.fold_rest(conn, newest)?;
                for layout in shadow::layouts(&aside.conn)? {
                    loop {
                        let changes = shadow::take_changes(&aside.conn, &layout, usize::MAX >> 1)?;
                        if changes.is_empty() {
                            break;
                        }
                        shadow::apply(conn, &layout, changes)?;
                    }
                }
                date(conn, &aside)?;
                let retried = judge(conn, &aside)? + assign(conn, &aside)?;
                mark(conn, &aside)?;
                unfinished::finish_all(conn)?;
                shadow::swap(conn)?;
                sqlite::stamp_fold_version(conn, FOLD_VERSION)?;
                Ok(retried)
            })?;
            Ok(Swapped { aside, before, after: snapshot(&path)?, retried })
        })
    }
}

/// What both snapshots say, each told on a thread of its own. They are closed: what they see holds the WAL back.
fn said(before: Connection, after: Connection) -> Result<(State, State), StoreError> {
    let said = |conn: Connection| panics::caught(|| state::of_file(&conn).map_err(StoreError::from));
    let (before, after) = std::thread::scope(|scope| {
        let before = scope.spawn(move || said(before));
        let after = said(after);
        (before.join().unwrap_or(Err(Panicked)), after)
    });
    let known = |said: Result<_, Panicked>| {
        said.unwrap_or_else(|panicked| Err(StoreError::Unusable(format!("cannot hash the tables: {panicked}"))))
    };
    Ok((known(before)?, known(after)?))
}

/// Writes into the log what became of events that is not what it said.
pub(super) fn judge(conn: &Connection, aside: &Aside) -> Result<u64, StoreError> {
    let (mut seq, mut count) = (0, 0);
    loop {
        let noted = store::noted(&aside.conn, seq, 1_000)?;
        let Some((last, _)) = noted.last() else { return Ok(count) };
        seq = *last;
        for (seq, verdict) in &noted {
            events::judge_again(conn, *seq, verdict.outcome, verdict.reason.as_deref())?;
        }
        count += noted.len() as u64;
    }
}

/// Writes into the log the times that bodies tell, where that is not what it said.
fn date(conn: &Connection, aside: &Aside) -> Result<(), StoreError> {
    let mut seq = 0;
    loop {
        let told = store::told(&aside.conn, seq, 1_000)?;
        let Some((last, _)) = told.last() else { return Ok(()) };
        seq = *last;
        for (seq, told_at) in told {
            events::date(conn, seq, told_at)?;
        }
    }
}

/// Writes into the log which events further deliveries repeat, where that is not what it said. How many of them are
/// events of their own.
fn assign(conn: &Connection, aside: &Aside) -> Result<u64, StoreError> {
    let (mut position, mut count) = (0, 0);
    let mut fewer: BTreeMap<i64, i64> = BTreeMap::new();
    loop {
        let assigned = store::assigned(&aside.conn, position, 1_000)?;
        let Some(last) = assigned.last() else { break };
        position = last.position;
        for it in assigned {
            if let Some(before) = delivery::assign(conn, it.position, it.seq, it.verdict.as_ref())? {
                *fewer.entry(before).or_default() += 1;
            }
            if it.verdict.is_some() {
                events::count_as_event(conn, it.position)?;
                count += 1;
            }
        }
    }
    fewer.into_iter().try_for_each(|(seq, deliveries)| delivery::less(conn, seq, deliveries))?;
    Ok(count)
}

/// Writes into the log which events hold secrets, where that is not what it said.
pub(super) fn mark(conn: &Connection, aside: &Aside) -> Result<(), StoreError> {
    let mut seq = 0;
    loop {
        let marked = store::marked(&aside.conn, seq, 1_000)?;
        let Some((last, _)) = marked.last() else { return Ok(()) };
        seq = *last;
        for (seq, has_secret) in marked {
            events::mark(conn, seq, has_secret)?;
        }
    }
}

/// A reader that sees what is committed now, until it is dropped.
fn snapshot(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let conn = sqlite::open_again(path)?;
        sqlite::begin_read(&conn)?;
        Ok(conn)
    };
    // A reader that cannot be had is no fault of the file that is written.
    open().map_err(|error: StoreError| StoreError::Unusable(format!("cannot read beside the writer: {error}")))
}
