//! A real file, deliveries put into it as the writer would, and its tables as text. Dropping it checks the law every
//! time: the log folded again gives the same tables, byte for byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses its part")]

use chatfold::batch::Batch;
use chatfold::entity::{Entity, EntityError};
use chatfold::envelope::Envelope;
use chatfold::explain::{Reach, State, explain};
use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::Time;
use chatfold::log::{self, Appended, Run, Source};
use chatfold::rebuild::{Host, Rebuilt, Verified, rebuild, verify};
use chatfold::store::sqlite::{self, Connection, projection::PROJECTION};
use rusqlite::types::Value;
use std::cell::RefCell;
use std::fmt::Write;
use std::sync::atomic::AtomicBool;

/// 2026-01-05T12:00:00Z, when tests begin.
pub const NOON: i64 = 1_767_614_400_000;

/// When files of old bodies are read: after all they tell.
pub const READ_AT: i64 = NOON + 300 * 86_400_000;

pub struct Harness {
    pub dir: tempfile::TempDir,
    pub conn: Connection,
    /// Rows that stay in memory between transactions, as the writer's do.
    batch: RefCell<Batch>,
}

/// Opens a file as the writer does. Views may be asked, as people ask them with tools of their own.
fn open(path: &std::path::Path) -> Connection {
    let conn = sqlite::open_writer(path).unwrap();
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true).unwrap();
    conn
}

impl Harness {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = open(&dir.path().join("chatfold.db"));
        Self { dir, conn, batch: RefCell::default() }
    }

    /// A copy of a file that nobody writes just now, its WAL with it. It is sound, and when dropped has to fold to the
    /// same tables.
    pub fn copy_of(db: &std::path::Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("chatfold.db");
        std::fs::copy(db, &copy).unwrap();
        let wal = |db: &std::path::Path| std::path::PathBuf::from(format!("{}-wal", db.display()));
        if wal(db).exists() {
            std::fs::copy(wal(db), wal(&copy)).unwrap();
        }
        let conn = open(&copy);
        let harness = Self { dir, conn, batch: RefCell::default() };
        assert_eq!(harness.ask("PRAGMA integrity_check"), "ok");
        harness
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("chatfold.db")
    }

    /// Forgets the rows in memory, as a server that starts anew.
    pub fn forget(&self) {
        self.batch.borrow_mut().forget();
    }

    /// Delivers over HTTP at an instant (ms).
    pub fn post(&self, body: &str, at: i64) -> Appended {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        self.transaction(|| self.append(&envelope, Time(at), Source::Http))
    }

    /// Runs several appends in one transaction.
    pub fn transaction<T>(&self, appends: impl FnOnce() -> T) -> T {
        sqlite::begin(&self.conn).unwrap();
        let appended = appends();
        self.batch.borrow_mut().save(&self.conn).unwrap();
        sqlite::commit(&self.conn).unwrap();
        appended
    }

    /// Appends inside a transaction.
    pub fn append(&self, envelope: &Envelope, at: Time, source: Source<'_>) -> Appended {
        log::append(&mut self.batch.borrow_mut(), &self.conn, envelope, at, source).unwrap()
    }

    /// Reads bare bodies as one run of `ingest` does.
    pub fn ingest<'a>(&self, bodies: impl IntoIterator<Item = &'a str>) -> Vec<Appended> {
        self.ingest_lines(bodies.into_iter().map(|body| (body, None)))
    }

    /// Reads lines, with or without their time of arrival.
    pub fn ingest_lines<'a>(&self, lines: impl IntoIterator<Item = (&'a str, Option<i64>)>) -> Vec<Appended> {
        let mut run = Run::new(&self.conn).unwrap();
        let append = |(body, at): (&str, Option<i64>)| {
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            let source = Source::Ingest { run: &mut run, bare: at.is_none() };
            self.append(&envelope, Time(at.unwrap_or(READ_AT)), source)
        };
        self.transaction(|| lines.into_iter().map(append).collect())
    }

    /// Every folded table, in key order.
    pub fn tables(&self) -> String {
        self.dump(&[])
    }

    /// Every folded table without what tells one order of arrival from another.
    pub fn truth(&self) -> String {
        self.dump(&[
            "seq",
            "arrived_at",
            "registers",
            "facts",
            "fact",
            "lifecycle",
            "tally",
            "drift_since",
            "first_seen_at",
            "last_event_at",
            "digest",
            "number",
        ])
    }

    fn dump(&self, without: &[&str]) -> String {
        let mut out = String::new();
        for table in PROJECTION.iter() {
            if !without.is_empty() && matches!(*table, "event_refs" | "call_facts" | "call_histories" | "app_numbers") {
                continue;
            }
            writeln!(out, "# {table}").unwrap();
            let mut statement = self.conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let mut rows = statement.query([]).unwrap();
            let mut lines = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                let cells = columns.iter().enumerate().filter(|(_, name)| !without.contains(&name.as_str()));
                let cells: Vec<String> =
                    cells.map(|(at, name)| format!("{name}={:?}", row.get::<_, Value>(at).unwrap())).collect();
                lines.push(cells.join(" "));
            }
            lines.sort();
            out.push_str(&lines.join("\n"));
            out.push('\n');
        }
        out
    }

    /// One value, as text.
    pub fn ask(&self, sql: &str) -> String {
        let mut statement = self.conn.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|at| {
                Ok(match row.get::<_, Value>(at)? {
                    Value::Null => "null".into(),
                    Value::Integer(int) => int.to_string(),
                    Value::Real(real) => real.to_string(),
                    Value::Text(text) => text,
                    Value::Blob(_) => "blob".into(),
                })
            });
            Ok(cells.collect::<rusqlite::Result<Vec<String>>>()?.join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    /// The whole answer to a GraphQL request.
    pub fn answer(&self, request: &str, limits: Limits, caller: Caller) -> serde_json::Value {
        let api = Api::open(&self.path(), limits).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(api.execute(async_graphql::Request::new(request), caller))
    }

    /// The data that answers a GraphQL request, which has no errors.
    pub fn data(&self, request: &str) -> serde_json::Value {
        let answer = self.answer(request, Limits::default(), Caller::default());
        assert!(answer.get("errors").is_none(), "{request}\n{answer:#}");
        answer["data"].clone()
    }

    /// Explains every entity of the file: what its deliveries come to is what its rows say, every fact that its
    /// registers name is listed, and the whole log is read for none but what a replay dated and for messages, an edit
    /// of which may be told by a copy alone. How many there are.
    pub fn explain_all(&self, claim: &str) -> usize {
        let replayed = self.ask("SELECT count(*) FROM events WHERE occurred_from = 'feed'") != "0";
        let entities = self.entities();
        for (app, entity) in &entities {
            let stored = State::load(&self.conn, app, entity).unwrap();
            for all in [false, true] {
                let reach = if all { Reach::All } else { Reach::Needed };
                let it = explain(&self.conn, app, entity, reach, None).unwrap().unwrap();
                assert!(it.agrees, "{claim}: {entity} of {app}: {it:#?}");
                let by_a_copy = matches!(&stored, State::Message(message) if !message.edits.0.is_empty());
                assert!(all || replayed || by_a_copy || !it.scanned, "{claim}: {entity} of {app} needed the whole log");
                let listed: Vec<i64> = it.deliveries.iter().map(|delivery| delivery.seq).collect();
                assert!(listed.is_sorted());
                let met = it.deliveries.iter().flat_map(|it| &it.effects).flat_map(|it| [it.against, it.replaced_by]);
                for seq in stored.seqs().into_iter().chain(met.flatten()) {
                    assert!(listed.contains(&seq), "{claim}: {entity} of {app} does not list #{seq}");
                }
            }
        }
        entities.len()
    }

    fn entities(&self) -> Vec<(String, Entity)> {
        let sql = "
            SELECT app_id, 'message:' || message_id, NULL FROM messages
            UNION ALL SELECT app_id, 'user:' || uid, NULL FROM users
            UNION ALL SELECT app_id, 'group:' || guid, NULL FROM groups
            UNION ALL SELECT app_id, guid, uid FROM memberships
            UNION ALL SELECT DISTINCT app_id, 'call:' || iif(session_key LIKE 's:%', substr(session_key, 3), session_key), NULL FROM call_sessions";
        let mut statement = self.conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            let (app, id, uid): (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let entity = match uid {
                Some(uid) => Entity::Membership { guid: id, uid },
                None => Entity::parse::<EntityError>(&id, |_, _| Ok(true)).unwrap(),
            };
            Ok((app, entity))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Repeats append and fold, as `chatfold rebuild` does alone on a file.
    pub fn rebuild(&self) -> Rebuilt {
        let host = Host::alone(sqlite::open_writer(&self.path()).unwrap());
        let rebuilt = rebuild(&self.path(), &host, &AtomicBool::new(false), &mut |_| {}).unwrap();
        host.finish().unwrap();
        self.batch.borrow_mut().forget();
        rebuilt
    }

    /// Folds the whole log aside and compares, as `chatfold verify` does.
    pub fn verify(&self) -> Verified {
        verify(&self.path(), &self.conn, &self.dir.path().join("aside.db"), &mut |_| {}).unwrap()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let verified = self.verify();
            assert!(verified.is_clean(), "the log folded again gives other tables: {verified:#?}");
            assert_eq!(verified.live, verified.folded);
        }
    }
}

/// Compares tables line by line, so that a failure shows the row.
pub fn assert_same(expected: &str, actual: &str, claim: &str) {
    if expected != actual {
        let missing: Vec<&str> =
            expected.lines().filter(|line| !actual.lines().any(|other| other == *line)).take(5).collect();
        let extra: Vec<&str> =
            actual.lines().filter(|line| !expected.lines().any(|other| other == *line)).take(5).collect();
        panic!("{claim}\nexpected:\n{}\nactual:\n{}", missing.join("\n"), extra.join("\n"));
    }
}

/// All fixtures of `triggers/`, as (name, body).
pub fn fixtures() -> Vec<(String, String)> {
    read_dir("fixtures/triggers")
}

/// The deliveries of a story, in order.
pub fn story(name: &str) -> Vec<String> {
    read_dir(&format!("fixtures/stories/{name}")).into_iter().map(|(_, body)| body).collect()
}

pub fn read_dir(dir: &str) -> Vec<(String, String)> {
    let paths = chatfold::ingest::inputs(dir.as_ref()).unwrap();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}
