//! Upgrades: `fixtures/editions/VERSION.db` is the file that each release made of the demo. Today's chatfold opens it,
//! makes its tables anew, or refuses it and names the way to read its log.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{JSON, TestServer, chatfold, verified};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn run(args: &[&str]) -> String {
    let (code, out, err) = chatfold(args);
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A new file that holds the demo.
fn made(folder: &Path) -> PathBuf {
    let db = folder.join("made.db");
    run(&["ingest", &format!("{ROOT}/fixtures/stories/demo"), "--db", text(&db)]);
    db
}

fn open(db: &Path) -> Connection {
    Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn column(db: &Path, sql: &str) -> Vec<String> {
    let conn = open(db);
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn migrations(db: &Path) -> Vec<String> {
    column(db, "SELECT name || ' ' || sha256 FROM migrations ORDER BY id")
}

/// The log, without what depends on the time of the test.
fn bodies(db: &Path) -> Vec<String> {
    column(db, "SELECT body FROM events ORDER BY seq")
}

fn state(db: &Path) -> Value {
    serde_json::from_str::<Value>(&run(&["inspect", "--json", "--db", text(db)])).unwrap()["state"]["hash"].take()
}

fn kept() -> Vec<PathBuf> {
    let files = std::fs::read_dir(format!("{ROOT}/fixtures/editions")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "db")).collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

#[test]
fn the_file_of_this_version_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (db, kept) = (made(dir.path()), PathBuf::from(format!("{ROOT}/fixtures/editions/{VERSION}.db")));
    if std::env::var_os("CHATFOLD_UPDATE").is_some() {
        run(&["backup", text(&kept), "--force", "--db", text(&db)]);
    }
    let way = format!(
        "{kept:?} has another schema than this chatfold makes. If {VERSION} was released, raise the version in \
         Cargo.toml. Then run CHATFOLD_UPDATE=1 cargo test --test editions, and commit the file"
    );
    assert!(kept.exists() && migrations(&kept) == migrations(&db), "{way}");
}

/// Serves the file until its tables are of today's edition.
fn serve(dir: &Arc<tempfile::TempDir>) -> Result<(), String> {
    std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
    let mut server = TestServer::launch(Arc::clone(dir), |_| {}).map_err(|(_, log)| log)?;
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let asked = r#"{"query":"{status{rebuilding server{rebuilding}}}"}"#;
        let status = &server.post("/graphql", &[JSON], asked).json()["data"]["status"];
        if status["rebuilding"] == false && status["server"]["rebuilding"] == false {
            break;
        }
        assert!(Instant::now() < deadline, "{status}: {}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(server.sigterm().success(), "{}", server.log());
    Ok(())
}

#[test]
fn each_kept_file_is_opened_or_made_anew_or_refused_with_the_way() {
    for file in kept() {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        // What today's chatfold makes of the same log.
        let expected = dir.path().join("expected.db");
        run(&["ingest", text(&file), "--db", text(&expected)]);
        let db = dir.path().join("chatfold.db");
        std::fs::copy(&file, &db).unwrap();
        let db = match serve(&dir) {
            Ok(()) => db,
            Err(log) => {
                assert!(log.contains("chatfold ingest ") && log.contains(" --db NEW.db"), "{log}");
                let read = dir.path().join("new.db");
                run(&["ingest", text(&db), "--db", text(&read)]);
                read
            }
        };
        verified(&db);
        assert_eq!(bodies(&db), bodies(&file), "{file:?}");
        assert_eq!(state(&db), state(&expected), "{file:?}: the tables say what a new file says");
    }
}
