//! Deliveries from files: JSON, folders of it, newline-delimited JSON. Reading a file twice changes nothing.

use crate::envelope::Envelope;
use crate::ids::Time;
use crate::json::Document;
use crate::log::{self, Run, Source};
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, log as table};
use crate::trigger::as_time;
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// Lines in one transaction.
const BATCH: u64 = 1_000;

/// What can go wrong while reading.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot read {0}: {1}")]
    Read(String, io::Error),
}

/// One run over any number of inputs.
pub struct Ingest {
    conn: Connection,
    run: Run,
    now: fn() -> Time,
    pending: u64,
    /// Deliveries by what became of them; `duplicate` and `refused` among them.
    pub counts: BTreeMap<&'static str, u64>,
    /// The first lines that are no deliveries, and why.
    pub problems: Vec<String>,
}

impl Ingest {
    /// Problems told one by one.
    const PROBLEMS: usize = 20;

    /// Opens the file to write. `now` dates the arrival of bodies that do not tell it.
    pub fn open(path: &Path, now: fn() -> Time) -> Result<Self, StoreError> {
        let conn = sqlite::open_writer(path)?;
        let run = Run::new(&conn)?;
        Ok(Self { conn, run, now, pending: 0, counts: BTreeMap::new(), problems: Vec::new() })
    }

    /// Reads one input: a JSON document, or one delivery a line. `progress` hears of the bytes read.
    pub fn read(
        &mut self,
        name: &str,
        mut input: impl BufRead,
        mut progress: impl FnMut(u64),
    ) -> Result<(), IngestError> {
        let failed = |error| IngestError::Read(name.to_owned(), error);
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            let length = input.read_until(b'\n', &mut line).map_err(failed)?;
            if length == 0 {
                return Ok(());
            }
            number += 1;
            if number == 1 && Document::parse(line.clone()).is_err() {
                // Not whole on its line: then the input is one document.
                input.read_to_end(&mut line).map_err(failed)?;
                progress(line.len() as u64);
                return Ok(self.line(std::mem::take(&mut line), || name.to_owned())?);
            }
            progress(length as u64);
            if !line.iter().all(u8::is_ascii_whitespace) {
                self.line(std::mem::take(&mut line), || format!("{name}:{number}"))?;
            }
        }
    }

    fn line(&mut self, line: Vec<u8>, place: impl Fn() -> String) -> Result<(), StoreError> {
        if self.pending == 0 {
            sqlite::begin(&self.conn)?;
        }
        let (body, received_at) = unwrap(line);
        let arrival = received_at.unwrap_or_else(self.now);
        let outcome = match Envelope::parse(&body) {
            Ok(envelope) => {
                let source = Source::Ingest { run: &mut self.run, bare: received_at.is_none() };
                let receipt = log::append(&self.conn, &envelope, arrival, source)?;
                if receipt.duplicate { "duplicate" } else { receipt.outcome.as_str() }
            }
            Err(problem) => {
                if self.problems.len() < Self::PROBLEMS {
                    self.problems.push(format!("{}: {problem}", place()));
                }
                table::refuse(&self.conn, arrival, &problem.0, &body)?;
                "refused"
            }
        };
        *self.counts.entry(outcome).or_default() += 1;
        self.pending += 1;
        if self.pending == BATCH { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.pending > 0 {
            sqlite::commit(&self.conn)?;
            self.pending = 0;
            sqlite::checkpoint(&self.conn, false)?;
        }
        Ok(())
    }

    /// Commits what is left and closes the file.
    pub fn finish(mut self) -> Result<(BTreeMap<&'static str, u64>, Vec<String>), StoreError> {
        self.commit()?;
        sqlite::checkpoint(&self.conn, true)?;
        Ok((self.counts, self.problems))
    }
}

/// A line may be `{"receivedAt": ms, "body": {…}}` around a delivery.
fn unwrap(line: Vec<u8>) -> (Vec<u8>, Option<Time>) {
    let Ok(document) = Document::parse(line.clone()) else { return (line, None) };
    let root = document.root();
    let wrapped = root.get("trigger").is_none().then(|| root.get("body").filter(|body| body.is_object())).flatten();
    match wrapped {
        Some(body) => (body.source().as_bytes().to_vec(), root.get("receivedAt").and_then(as_time)),
        None => (line, None),
    }
}

/// The inputs under a path, in the order of their names: itself, or the JSON files of a folder and its folders.
pub fn inputs(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let is_json =
            entry.extension().is_some_and(|extension| matches!(extension.to_str(), Some("json" | "ndjson" | "jsonl")));
        if entry.is_dir() {
            found.extend(inputs(&entry)?);
        } else if is_json {
            found.push(entry);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_body_keeps_its_bytes_and_its_time() {
        let line = br#"{"receivedAt": 1767600000000, "body": {"a" : 1}}"#.to_vec();
        assert_eq!(unwrap(line), (br#"{"a" : 1}"#.to_vec(), Some(Time(1_767_600_000_000))));
        let bare = br#"{"trigger":"t","body":{}}"#.to_vec();
        assert_eq!(unwrap(bare.clone()), (bare, None));
    }
}
