//! Deliveries from files: JSON, folders of it, newline-delimited JSON. Reading a file twice changes nothing.

use crate::batch::Batch;
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::json::{Document, Json};
use crate::large;
use crate::log::{self, Run, Source};
use crate::store::StoreError;
use crate::store::sqlite::log_file::LogFile;
use crate::store::sqlite::{self, Connection, log as table};
use crate::trigger::as_time;
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// Lines in one transaction, and bytes of bodies: the more, the less is written a line.
const BATCH: u64 = 8_000;
const BATCH_BYTES: usize = 8 << 20;
/// A longer line is no delivery: SQLite holds 64 MiB in a row.
const LINE: usize = 60 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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
    batch: Batch,
    run: Run,
    now: fn() -> Time,
    pending: u64,
    pending_bytes: usize,
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
        large::finish_all(&conn)?;
        let run = Run::new(&conn)?;
        Ok(Self {
            conn,
            batch: Batch::default(),
            run,
            now,
            pending: 0,
            pending_bytes: 0,
            counts: BTreeMap::new(),
            problems: Vec::new(),
        })
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
        let (mut number, mut begun) = (0, false);
        loop {
            line.clear();
            let length = input.read_until(b'\n', &mut line).map_err(failed)?;
            if length == 0 {
                return Ok(());
            }
            number += 1;
            progress(length as u64);
            if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if !std::mem::replace(&mut begun, true) && Document::parse(line.clone()).is_err() {
                let read = input.read_to_end(&mut line).map_err(failed)?;
                progress(read as u64);
                return Ok(self.whole(name, number, &line)?);
            }
            self.line(std::mem::take(&mut line), || format!("{name}:{number}"))?;
        }
    }

    /// Reads the log of another chatfold file, of any edition, each event as often as it was delivered. `progress` hears
    /// of the bytes of bodies read.
    pub fn read_log(&mut self, name: &str, log: &LogFile, mut progress: impl FnMut(u64)) -> Result<(), StoreError> {
        let mut number = 0;
        log.for_each(|event| {
            number += 1;
            progress(event.body.len() as u64);
            let place = || format!("{name}: event {number}");
            self.take(|ingest| ingest.delivery(event.body.as_bytes(), Some(event.received_at), place))?;
            for _ in 1..event.deliveries {
                self.take(|ingest| ingest.delivery(event.body.as_bytes(), Some(event.last_received_at), place))?;
            }
            Ok(())
        })
    }

    /// An input whose first line is not whole: one document over many lines, else lines of which the first is wrong.
    fn whole(&mut self, name: &str, first: usize, input: &[u8]) -> Result<(), StoreError> {
        if Document::parse(input.to_vec()).is_ok() {
            return self.line(input.to_vec(), || name.to_owned());
        }
        for (number, line) in (first..).zip(input.split(|byte| *byte == b'\n')) {
            if !line.iter().all(u8::is_ascii_whitespace) {
                self.line(line.to_vec(), || format!("{name}:{number}"))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: Vec<u8>, place: impl Fn() -> String) -> Result<(), StoreError> {
        self.take(|ingest| match unwrap(line) {
            Ok((body, received_at)) => ingest.delivery(&body, received_at, place),
            Err((line, problem)) => ingest.refuse(&line, &problem, place),
        })
    }

    /// Takes one line or event into the open transaction, and counts what became of it.
    fn take(&mut self, take: impl FnOnce(&mut Self) -> Result<&'static str, StoreError>) -> Result<(), StoreError> {
        if self.pending == 0 {
            sqlite::begin(&self.conn)?;
        }
        self.pending += 1;
        let outcome = take(self)?;
        *self.counts.entry(outcome).or_default() += 1;
        if self.pending == BATCH || self.pending_bytes >= BATCH_BYTES { self.commit() } else { Ok(()) }
    }

    fn delivery(
        &mut self,
        body: &[u8],
        received_at: Option<Time>,
        place: impl Fn() -> String,
    ) -> Result<&'static str, StoreError> {
        if body.len() > LINE {
            return self.refuse(body, &format!("the body is longer than {} MiB", LINE >> 20), place);
        }
        let envelope = match Envelope::received(body) {
            Ok(envelope) => envelope,
            Err(problem) => return self.refuse(body, &problem.0, place),
        };
        self.pending_bytes += body.len();
        let source = Source::Ingest { run: &mut self.run, bare: received_at.is_none() };
        let receipt =
            log::append(&mut self.batch, &self.conn, &envelope, received_at.unwrap_or_else(self.now), source)?;
        Ok(if receipt.duplicate { "duplicate" } else { receipt.outcome.as_str() })
    }

    fn refuse(&mut self, line: &[u8], problem: &str, place: impl Fn() -> String) -> Result<&'static str, StoreError> {
        if self.problems.len() < Self::PROBLEMS {
            self.problems.push(format!("{}: {problem}", place()));
        }
        table::refuse_once(&self.conn, (self.now)(), problem, line)?;
        Ok("refused")
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.pending > 0 {
            self.batch.save(&self.conn)?;
            sqlite::commit(&self.conn)?;
            (self.pending, self.pending_bytes) = (0, 0);
            sqlite::checkpoint(&self.conn, false)?;
        }
        Ok(())
    }

    /// Commits what is left and closes the file.
    pub fn finish(mut self) -> Result<(BTreeMap<&'static str, u64>, Vec<String>), StoreError> {
        self.commit()?;
        sqlite::finish(&self.conn)?;
        Ok((self.counts, self.problems))
    }
}

/// A body, and when it was received if the line tells.
type Timed = (Vec<u8>, Option<Time>);

/// A line may be `{"receivedAt": ms, "body": {…}}` around a delivery; RFC 3339 will do too. A time that cannot be read
/// is a problem: dated now, the delivery would be another fact.
fn unwrap(line: Vec<u8>) -> Result<Timed, (Vec<u8>, String)> {
    let Ok(document) = Document::parse(line.clone()) else { return Ok((line, None)) };
    let root = document.root();
    let Some(body) = root.get("body").filter(|body| body.is_object() && root.get("trigger").is_none()) else {
        return Ok((line, None));
    };
    let read = |value: Json<'_>| as_time(value).or_else(|| Time::parse(&value.text()?)).filter(|time| time.0 > 0);
    match root.get("receivedAt").map(|value| (value, read(value))) {
        Some((_, None)) => {
            Err((line, "receivedAt: expected unix milliseconds, or a time such as 2026-01-05T09:30:00Z".into()))
        }
        told => Ok((body.source().as_bytes().to_vec(), told.and_then(|(_, time)| time))),
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
        for at in ["1767600000000", "\"2026-01-05T08:00:00Z\""] {
            let line = format!(r#"{{"receivedAt": {at}, "body": {{"a" : 1}}}}"#).into_bytes();
            assert_eq!(unwrap(line), Ok((br#"{"a" : 1}"#.to_vec(), Some(Time(1_767_600_000_000)))));
        }
        assert!(unwrap(br#"{"receivedAt": "x", "body": {}}"#.to_vec()).is_err());
        let bare = br#"{"trigger":"t","body":{}}"#.to_vec();
        assert_eq!(unwrap(bare.clone()), Ok((bare, None)));
    }

    #[test]
    fn a_bad_line_anywhere_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let good = |n: u8| format!(r#"{{"trigger":"t{n}","appId":"a"}}"#);
        let pretty = "{\n \"trigger\": \"t4\",\n \"appId\": \"a\"\n}\n".to_owned();
        for (n, input, expected) in [
            (1, format!("\u{feff}\n{}\n{}\n", good(1), good(2)), (2, 0)),
            (2, format!("nonsense\n{}\n{}", good(1), good(2)), (2, 1)),
            (3, format!("{}\nnonsense\n\n{}\n", good(1), good(2)), (2, 1)),
            (4, pretty, (1, 0)),
        ] {
            let path = dir.path().join(format!("{n}.db"));
            for again in [false, true] {
                let mut ingest = Ingest::open(&path, crate::clock::now).unwrap();
                ingest.read("-", input.as_bytes(), |_| {}).unwrap();
                let (counts, problems) = ingest.finish().unwrap();
                let read = counts.get(if again { "duplicate" } else { "ignored" }).copied().unwrap_or(0);
                assert_eq!((read, problems.len()), expected, "{input:?}");
            }
            let conn = sqlite::open_reader(&path).unwrap();
            let refused: i64 = conn.query_row("SELECT count(*) FROM refused", [], |row| row.get(0)).unwrap();
            assert_eq!(refused, expected.1 as i64, "reading twice keeps it once");
        }
    }
}
