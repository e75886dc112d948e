//! Deliveries from files: JSON, folders of it, newline-delimited JSON. Reading a file twice changes nothing.

mod lines;

use crate::ahead::{Abandoned, Ahead, Sink};
use crate::batch::Batch;
use crate::checkpoints::Checkpoints;
use crate::ids::Time;
use crate::large;
use crate::log::{self, Run, Source};
use crate::store::StoreError;
use crate::store::sqlite::log_file::LogFile;
use crate::store::sqlite::{self, Connection, events as table, shared_log};
use lines::{Holds, Line, Part, Problem, Reader};
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// What can go wrong while reading.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot read {0}: {1}")]
    Read(String, io::Error),
    /// The input is something else than deliveries.
    #[error(
        "no delivery is among the first {count} lines, and nothing was kept. The first is {first}. A delivery is a JSON \
         object with trigger and appId, one a line; --keep-refused reads on"
    )]
    NoDeliveries { count: usize, first: String },
}

/// One run over any number of inputs.
pub struct Ingest {
    conn: Connection,
    checkpoints: Checkpoints,
    batch: Batch,
    run: Run,
    now: fn() -> Time,
    pending: usize,
    pending_bytes: usize,
    /// Deliveries by what became of them; `duplicate` and `refused` among them. Empty: nothing was kept.
    pub counts: BTreeMap<&'static str, u64>,
    /// The first lines that are no deliveries, and why.
    pub problems: Vec<String>,
    /// Read on where the first lines are no deliveries.
    pub keep_refused: bool,
}

impl Ingest {
    /// Problems told one by one.
    const PROBLEMS: usize = 20;

    /// Opens the file to write, and keeps `row_cache` bytes of rows in memory. `now` dates the arrival of bodies that do
    /// not tell it.
    pub fn open(path: &Path, row_cache: usize, now: fn() -> Time) -> Result<Self, StoreError> {
        let mut conn = sqlite::open_writer(path)?;
        shared_log::refuse(&conn, path)?;
        large::finish_all(&conn)?;
        let run = Run::new(&conn)?;
        let checkpoints = Checkpoints::start(path, &mut conn, || {})?;
        Ok(Self {
            conn,
            checkpoints,
            batch: Batch::keeping(row_cache),
            run,
            now,
            pending: 0,
            pending_bytes: 0,
            counts: BTreeMap::new(),
            problems: Vec::new(),
            keep_refused: false,
        })
    }

    /// Reads one input: a JSON document, or one delivery a line. `progress` hears of the bytes taken.
    pub fn read(
        &mut self,
        name: &str,
        input: impl BufRead + Send + 'static,
        progress: impl FnMut(u64),
    ) -> Result<(), IngestError> {
        let reader = name.to_owned();
        self.take_all(name, move |sink| Reader { name: reader, sink }.lines(input), progress)
    }

    /// Reads the log of another chatfold file, of any edition, each event as often as it was delivered. `progress` hears
    /// of the bytes of bodies taken.
    pub fn read_log(&mut self, name: &str, log: LogFile, progress: impl FnMut(u64)) -> Result<(), IngestError> {
        let reader = name.to_owned();
        self.take_all(name, move |sink| Reader { name: reader, sink }.log(&log), progress)
    }

    /// Takes the parts of one input. Those before an error are committed.
    fn take_all(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Sink<Part>) -> Result<(), Abandoned> + Send + 'static,
        mut progress: impl FnMut(u64),
    ) -> Result<(), IngestError> {
        let failed = |error| IngestError::Read(name.to_owned(), error);
        for part in Ahead::start(read).map_err(failed)? {
            let part = part
                .unwrap_or_else(|panicked| Part { bytes: 0, holds: Holds::Failed(failed(io::Error::other(panicked))) });
            progress(part.bytes);
            match part.holds {
                Holds::Blank => {}
                Holds::Line(line) => self.line(&line)?,
                Holds::Failed(error) => {
                    self.commit()?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) -> Result<(), IngestError> {
        self.take(line, line.received_at)?;
        let (times, last) = line.again;
        (0..times).try_for_each(|_| self.take(line, last))?;
        let is_hopeless = self.counts.len() == 1 && self.counts.get("refused") == Some(&(Self::PROBLEMS as u64));
        if is_hopeless && !self.keep_refused {
            sqlite::rollback(&self.conn);
            (self.pending, self.pending_bytes) = (0, 0);
            self.counts.clear();
            return Err(IngestError::NoDeliveries { count: Self::PROBLEMS, first: self.problems.swap_remove(0) });
        }
        Ok(())
    }

    /// Takes one delivery into the open transaction, and counts what became of it.
    fn take(&mut self, line: &Line, received_at: Option<Time>) -> Result<(), StoreError> {
        if self.pending == 0 {
            sqlite::begin(&self.conn)?;
        }
        self.pending += 1;
        let outcome = match &line.read {
            Err(problem) => self.refuse(problem)?,
            Ok(envelope) => {
                self.pending_bytes += envelope.body.len();
                let source = Source::Ingest { run: &mut self.run, bare: received_at.is_none() };
                let received_at = received_at.unwrap_or_else(self.now);
                let appended = log::append(&mut self.batch, &self.conn, envelope, received_at, source)?;
                if appended.duplicate { "duplicate" } else { appended.outcome.as_str() }
            }
        };
        *self.counts.entry(outcome).or_default() += 1;
        if self.batch.is_full(self.pending, self.pending_bytes) { self.commit() } else { Ok(()) }
    }

    fn refuse(&mut self, problem: &Problem) -> Result<&'static str, StoreError> {
        if self.problems.len() < Self::PROBLEMS {
            self.problems.push(format!("{}: {}", problem.place, problem.words));
        }
        table::refuse_once(&self.conn, (self.now)(), &problem.words, &problem.line)?;
        Ok("refused")
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.pending > 0 {
            self.batch.save(&self.conn)?;
            sqlite::commit(&self.conn)?;
            (self.pending, self.pending_bytes) = (0, 0);
            self.checkpoints.look(&self.conn)?;
        }
        Ok(())
    }

    /// Commits what is left and closes the file.
    pub fn finish(mut self) -> Result<(BTreeMap<&'static str, u64>, Vec<String>), StoreError> {
        self.commit()?;
        self.checkpoints.stop();
        sqlite::finish(&self.conn)?;
        Ok((self.counts, self.problems))
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
    fn a_bad_line_anywhere_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let good = |n: u8| format!(r#"{{"trigger":"t{n}","appId":"a"}}"#);
        let pretty = "{\n \"trigger\": \"t4\",\n \"appId\": \"a\"\n}\n".to_owned();
        for (n, input, expected) in [
            (1, format!("\u{feff}\n{}\n{}\n", good(1), good(2)), (2, 0)),
            (2, format!("nonsense\n{}\n{}", good(1), good(2)), (2, 1)),
            (3, format!("{}\nnonsense\n\n{}\n", good(1), good(2)), (2, 1)),
            (4, pretty, (1, 0)),
            (5, format!("[{},\n{}, 7]\n", good(1), good(2)), (2, 1)),
            (6, format!("[{}]\n{}\n[]\n", good(1), good(2)), (2, 1)),
        ] {
            let path = dir.path().join(format!("{n}.db"));
            for again in [false, true] {
                let mut ingest = Ingest::open(&path, 1 << 20, crate::clock::now).unwrap();
                ingest.read("-", io::Cursor::new(input.clone()), |_| {}).unwrap();
                let (counts, problems) = ingest.finish().unwrap();
                let read = counts.get(if again { "duplicate" } else { "ignored" }).copied().unwrap_or(0);
                assert_eq!((read, problems.len()), expected, "{input:?}");
            }
            let conn = sqlite::open_reader(&path).unwrap();
            let refused: i64 = conn.query_row("SELECT count(*) FROM refused", [], |row| row.get(0)).unwrap();
            assert_eq!(refused, expected.1 as i64, "reading twice keeps it once");
        }
    }

    #[test]
    fn what_is_clearly_no_list_of_deliveries_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let refused = || -> i64 {
            let conn = sqlite::open_reader(&path).unwrap();
            conn.query_row("SELECT count(*) FROM refused", [], |row| row.get(0)).unwrap()
        };
        let read = |input: String, keep_refused: bool| {
            let mut ingest = Ingest::open(&path, 1 << 20, crate::clock::now).unwrap();
            ingest.keep_refused = keep_refused;
            let read = ingest.read("-", io::Cursor::new(input), |_| {}).map_err(|error| error.to_string());
            read.and_then(|()| ingest.finish().map_err(|error| error.to_string()))
        };
        let nonsense = (1..=25).map(|n| format!("line {n}\n")).collect::<String>();
        let told = read(nonsense.clone(), false).unwrap_err();
        assert!(told.contains("first 20 lines") && told.contains("-:1: "), "{told}");
        assert_eq!(refused(), 0);
        let late = format!("{{\"trigger\":\"t\",\"appId\":\"a\"}}\n{nonsense}");
        assert_eq!(read(late, false).unwrap().0["refused"], 25, "one delivery among them is a list of deliveries");
        assert_eq!(refused(), 25);
        assert_eq!(read(nonsense, true).unwrap().0["refused"], 25);
    }

    /// Two lines, and then what `end` does.
    struct Broken<F>(io::Cursor<&'static [u8]>, F);

    impl<F: FnMut() -> io::Result<usize>> io::Read for Broken<F> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => (self.1)(),
                read => Ok(read),
            }
        }
    }

    fn read_broken(end: impl FnMut() -> io::Result<usize> + Send + 'static) -> (String, i64) {
        const LINES: &[u8] = b"{\"trigger\":\"t1\",\"appId\":\"a\"}\n{\"trigger\":\"t2\",\"appId\":\"a\"}\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let mut ingest = Ingest::open(&path, 1 << 20, crate::clock::now).unwrap();
        let input = io::BufReader::new(Broken(io::Cursor::new(LINES), end));
        let told = ingest.read("lines", input, |_| {}).unwrap_err().to_string();
        assert_eq!(ingest.counts["ignored"], 2);
        drop(ingest);
        let conn = sqlite::open_reader(&path).unwrap();
        (told, conn.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap())
    }

    #[test]
    fn what_came_before_a_reading_error_is_kept() {
        assert_eq!(read_broken(|| Err(io::Error::other("gone"))), ("cannot read lines: gone".to_owned(), 2));
    }

    #[test]
    fn a_panic_of_the_reader_is_an_error_and_what_came_before_is_kept() {
        let (told, events) = read_broken(|| panic!("a bug"));
        assert!(told.starts_with("cannot read lines: a bug in chatfold"), "{told}");
        assert_eq!(events, 2);
    }
}
