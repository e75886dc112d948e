//! Are the tables what the log says? Reads only, so that it runs beside a server, and on a copy it may not write.

use super::chunk::chunks;
use super::{Aside, Phase, Progress};
use crate::fold::Verdict;
use crate::store::StoreError;
use crate::store::sqlite::aside as store;
use crate::store::sqlite::compare::{Difference, compare};
use crate::store::sqlite::state::{self, State};
use crate::store::sqlite::{self, Connection, Transaction, events, unfinished};
use std::path::Path;
use std::time::{Duration, Instant};

/// Events with another outcome that are told one by one.
const TOLD: usize = 5;
/// How long a large event that a server saves is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came out.
#[derive(Debug)]
pub struct Verified {
    /// What the tables of the file say.
    pub live: State,
    /// What the log says.
    pub folded: State,
    /// Events that the log comes to.
    pub events: u64,
    /// Tables that differ from the log, outcomes in the log itself among them.
    pub differences: Vec<Difference>,
    /// Rows of the log that are not what was received: the first of them, in words.
    pub damaged: Vec<String>,
    /// Rows of the log whose `has_secret` an older rule of what is secret decided: a rebuild decides it anew.
    pub marked_otherwise: u64,
    /// Edition of the fold that made the tables of the file.
    pub fold_version: i64,
    /// What SQLite finds wrong with the file's structure.
    pub integrity: Vec<String>,
}

impl Verified {
    /// Whether the tables can be vouched for.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.damaged.is_empty() && self.integrity.is_empty()
    }
}

/// Folds the log of the file at `path`, which is open, into a file at `aside`, and compares the tables.
///
/// The snapshot compared is taken once most of
/// the log is folded, so that a server's WAL is held back for the comparison only.
pub fn verify(
    path: &Path,
    file: &Connection,
    aside: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, StoreError> {
    let mut aside = Aside::create(aside, file)?;
    let cut = sqlite::events_cut(file)?;
    let newest = events::newest_position(file)?;
    let mut tell = |aside: &Aside, phase| {
        progress(Progress { phase, done: aside.position.max(0).cast_unsigned(), total: newest.max(0).cast_unsigned() });
    };
    for chunk in chunks(path, aside.position, newest)? {
        aside.fold(file, &chunk?)?;
        tell(&aside, Phase::Fold);
    }
    aside.save(newest)?;
    let snapshot = finished(file)?;
    let newest = events::newest_position(file)?;
    aside.fold_rest(file, newest)?;
    tell(&aside, Phase::Compare);
    let mut differences = compare(file, &aside.conn)?;
    differences.extend(other_verdicts(file, &aside)?);
    differences.extend(other_times(&aside)?);
    differences.extend(other_events(&aside)?);
    if !differences.is_empty() && sqlite::events_cut(file)? != cut {
        return Err(StoreError::Unusable(
            "old events were cut from the log while it was folded. Wait until retention ends, and verify again".into(),
        ));
    }
    let verified = Verified {
        live: state::of_file(file)?,
        folded: State { seq: aside.seq, ..state::of_file(&aside.conn)? },
        events: aside.events,
        differences,
        damaged: std::mem::take(&mut aside.damaged),
        marked_otherwise: store::marks(&aside.conn)?,
        fold_version: sqlite::fold_version(file)?,
        integrity: sqlite::integrity(file)?,
    };
    snapshot.commit()?;
    Ok(verified)
}

/// A snapshot without an unfinished event: a server finishes one within seconds.
pub fn finished(file: &Connection) -> Result<Transaction<'_>, StoreError> {
    let begun = Instant::now();
    loop {
        let snapshot = file.unchecked_transaction()?;
        let Some((seq, _)) = unfinished::all(file)?.pop() else { return Ok(snapshot) };
        drop(snapshot);
        if begun.elapsed() > PATIENCE {
            return Err(StoreError::Unusable(format!(
                "the large event {seq} is saved in part: chatfold was stopped meanwhile, or its disk is full. Start \
                 `chatfold serve` on the file, which saves the rest, and verify again"
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Events of which the log says something else than folding them gives now.
fn other_verdicts(file: &Connection, aside: &Aside) -> Result<Option<Difference>, StoreError> {
    let mut difference = Difference { table: "events", rows: 0, words: Vec::new() };
    let mut seq = 0;
    loop {
        let noted = store::noted(&aside.conn, seq, 1_000)?;
        let Some((last, _)) = noted.last() else { break };
        seq = *last;
        difference.rows += noted.len() as u64;
        for (seq, verdict) in noted.iter().take(TOLD.saturating_sub(difference.words.len())) {
            let known = store::verdict(file, *seq)?;
            let known = known.map_or_else(|| "not there".to_owned(), |known| words(&known));
            difference.words.push(format!("{seq}: is {known}, folding it gives {}", words(verdict)));
        }
    }
    Ok((difference.rows > 0).then_some(difference))
}

/// Events whose bodies tell another time than the log has.
fn other_times(aside: &Aside) -> Result<Option<Difference>, StoreError> {
    let mut difference = Difference { table: "events", rows: 0, words: Vec::new() };
    let mut seq = 0;
    loop {
        let told = store::told(&aside.conn, seq, 1_000)?;
        let Some((last, _)) = told.last() else { break };
        seq = *last;
        difference.rows += told.len() as u64;
        for (seq, told_at) in told.iter().take(TOLD.saturating_sub(difference.words.len())) {
            difference
                .words
                .push(format!("{seq}: its body tells that it happened at {told_at}, the log has another time"));
        }
    }
    Ok((difference.rows > 0).then_some(difference))
}

/// Further deliveries that repeat another event than the log says.
fn other_events(aside: &Aside) -> Result<Option<Difference>, StoreError> {
    let mut difference = Difference { table: "deliveries", rows: 0, words: Vec::new() };
    let mut position = 0;
    loop {
        let assigned = store::assigned(&aside.conn, position, 1_000)?;
        let Some(last) = assigned.last() else { break };
        position = last.position;
        difference.rows += assigned.len() as u64;
        for it in assigned.iter().take(TOLD.saturating_sub(difference.words.len())) {
            let what = match it.verdict {
                Some(_) => "is an event of its own".to_owned(),
                None => format!("repeats event {}", it.seq),
            };
            difference.words.push(format!("{}: {what}, the log has another event", it.position));
        }
    }
    Ok((difference.rows > 0).then_some(difference))
}

fn words(verdict: &Verdict) -> String {
    let reason = verdict.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{}{reason}", verdict.outcome.as_str())
}
