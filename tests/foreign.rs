//! A file from elsewhere, which may hold SQL of its own: it is refused before any of that runs, by every command.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chatfold::store::sqlite;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use support::chatfold;
use tempfile::TempDir;

const LINE: &str = r#"{"trigger":"of_tomorrow","appId":"a"}"#;

/// A file with a story and a token, changed by whoever sends it.
fn file(planted: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("chatfold.db");
    let story = format!("{}/fixtures/stories/demo", env!("CARGO_MANIFEST_DIR"));
    for args in [&["ingest", &story][..], &["token", "create", "--name", "reader"]] {
        let (code, _, err) = run(&db, args);
        assert_eq!(code, 0, "{args:?} {err}");
    }
    std::fs::write(dir.path().join("line.json"), LINE).unwrap();
    plant(&db, planted);
    (dir, db)
}

fn plant(db: &Path, sql: &str) {
    let conn = Connection::open(db).unwrap();
    conn.execute_batch(sql).unwrap();
}

fn run(db: &Path, args: &[&str]) -> (i32, String, String) {
    let args: Vec<&str> = args.iter().copied().chain(["--db", db.to_str().unwrap()]).collect();
    chatfold(&args)
}

fn ask(db: &Path, sql: &str) -> String {
    let conn = Connection::open(db).unwrap();
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Every command that opens a file, on this one.
fn commands(db: &Path) -> Vec<Vec<String>> {
    let line = db.with_file_name("line.json");
    let (db, line) = (db.to_str().unwrap(), line.to_str().unwrap());
    [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["open", db],
        &["ingest", line],
        &["rebuild"],
        &["verify"],
        &["explain", "user:mira"],
        &["events"],
        &["events", "--refused"],
        &["inspect"],
        &["token", "list"],
        &["token", "create", "--name", "another"],
        &["token", "revoke", "reader"],
    ]
    .iter()
    .map(|args| args.iter().map(|arg| (*arg).to_owned()).collect())
    .collect()
}

#[track_caller]
fn refused_by_all(db: &Path, words: &[&str]) {
    for args in commands(db) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, out, err) = run(db, &args);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?} {err}");
        for word in words {
            assert!(err.contains(word), "{args:?}: no {word:?} in {err}");
        }
    }
}

#[test]
fn planted_triggers_rewrite_nothing() {
    let (_dir, db) = file(
        "CREATE TRIGGER rewriting AFTER INSERT ON events BEGIN UPDATE messages SET text = 'rewritten'; END;
         CREATE TRIGGER undoing AFTER UPDATE OF revoked_at ON tokens
         BEGIN UPDATE tokens SET revoked_at = NULL; END;",
    );
    refused_by_all(&db, &["holds the trigger \"rewriting\" on \"events\"", "DROP TRIGGER \"rewriting\""]);
    assert_eq!(ask(&db, "SELECT count(*) || '' FROM messages WHERE text = 'rewritten'"), "0");
    // Whoever takes out what is not hers has the file back.
    plant(&db, "DROP TRIGGER undoing; DROP TRIGGER rewriting");
    assert_eq!(run(&db, &["token", "revoke", "reader"]).0, 0);
    assert_eq!(ask(&db, "SELECT count(*) || '' FROM tokens WHERE revoked_at IS NULL"), "0");
    assert_eq!(run(&db, &["verify"]).0, 0);
}

#[test]
fn a_planted_view_in_the_place_of_a_table_is_never_read() {
    let (_dir, db) = file(
        "DROP TABLE apps;
         CREATE VIEW apps AS WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless)
         SELECT group_concat(n) AS app_id, NULL AS region, 1 AS first_seen_at, 1 AS last_event_at, 1 AS events_count
         FROM endless;",
    );
    refused_by_all(&db, &["holds the view \"apps\""]);
}

#[test]
fn whatever_is_not_as_chatfold_makes_it_is_refused_by_name() {
    let altered = |table: &str, from: &str, to: &str| {
        format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}') WHERE name = '{table}';"
        )
    };
    for (planted, words) in [
        ("CREATE VIEW mine AS SELECT 1".to_owned(), "holds the view \"mine\""),
        ("CREATE TABLE mine (x)".to_owned(), "holds the table \"mine\""),
        ("CREATE TABLE next_users (x DEFAULT (random()))".to_owned(), "the table \"next_users\" is not as"),
        ("CREATE TABLE next_tokens (x)".to_owned(), "holds the table \"next_tokens\""),
        ("CREATE VIRTUAL TABLE mine USING fts5(x)".to_owned(), "holds the table \"mine"),
        ("CREATE INDEX mine ON users (lower(name))".to_owned(), "holds the index \"mine\" on \"users\""),
        (
            "CREATE INDEX users_key_b ON users (lower(name))".to_owned(),
            "the index \"users_key_b\" on \"users\" is not as",
        ),
        ("CREATE UNIQUE INDEX users_key_b ON users (app_id, uid)".to_owned(), "holds the index \"users_key_b\""),
        ("ALTER TABLE users ADD COLUMN x TEXT AS (upper(name))".to_owned(), "the table \"users\" is not as"),
        ("DROP VIEW v_users; CREATE VIEW v_users AS SELECT 1 AS uid".to_owned(), "the view \"v_users\" is not as"),
        ("DROP INDEX users_key".to_owned(), "lacks the index \"users_key\""),
        ("DROP TABLE refused".to_owned(), "lacks the table \"refused\""),
        (
            altered("users", "uid            TEXT NOT NULL", "uid TEXT NOT NULL CHECK (length(uid))"),
            "the table \"users\" is not as",
        ),
        (altered("tokens", "apps         TEXT", "apps TEXT DEFAULT (1)"), "the table \"tokens\" is not as"),
    ] {
        let (_dir, db) = file(&planted);
        for args in [&["inspect"][..], &["token", "list"], &["token", "revoke", "reader"], &["rebuild"]] {
            let (code, _, err) = run(&db, args);
            assert!(code == 1 && err.contains(words), "{planted}: {args:?}: {err}");
        }
    }
}

#[test]
fn a_stranger_with_our_application_id_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("chatfold.db");
    std::fs::write(dir.path().join("line.json"), LINE).unwrap();
    // The newest edition: each migration raises it.
    let edition = 10 + std::fs::read_dir("migrations/sqlite").unwrap().count();
    plant(
        &db,
        &format!("PRAGMA application_id = 1128680516; PRAGMA user_version = {edition}; CREATE TABLE events (x)"),
    );
    refused_by_all(&db, &["the table \"events\" is not as chatfold makes it"]);
    for version in [0, 11] {
        plant(&db, &format!("PRAGMA user_version = {version}"));
        let (code, _, err) = run(&db, &["ingest", dir.path().join("line.json").to_str().unwrap()]);
        assert!(code == 1 && err.contains("the table \"events\""), "{err}");
    }
}

#[test]
fn a_schema_without_end_is_not_read_to_its_end() {
    let (_dir, db) = file(
        "PRAGMA writable_schema = ON;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
         INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql)
         SELECT 'view', 'v' || n, 'v' || n, 0, 'CREATE VIEW v' || n || ' AS SELECT 1' FROM n;",
    );
    for args in [&["inspect"][..], &["token", "list"], &["rebuild"]] {
        let (code, _, err) = run(&db, args);
        assert!(code == 1 && err.contains("holds far more tables than chatfold makes"), "{args:?} {err}");
    }
}

#[test]
fn what_sqlite_and_replicators_keep_in_a_file_is_no_stranger() {
    let (_dir, db) = file(
        "ANALYZE; CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
         CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);",
    );
    for args in [&["inspect"][..], &["rebuild"], &["verify"], &["token", "revoke", "reader"]] {
        let (code, _, err) = run(&db, args);
        assert_eq!(code, 0, "{args:?} {err}");
    }
}

/// Beside the comparison: a trigger or view that comes while the file is open does nothing to what we do.
#[test]
fn triggers_and_views_of_the_file_are_off_in_every_connection() {
    let (_dir, db) = file("");
    let (writer, beside) = (sqlite::open_writer(&db).unwrap(), sqlite::open_beside(&db).unwrap());
    let reader = sqlite::open_reader(&db).unwrap();
    plant(&db, "CREATE TRIGGER t AFTER UPDATE ON tokens BEGIN UPDATE tokens SET name = 'rewritten'; END");
    for conn in [&writer, &beside] {
        conn.execute("UPDATE tokens SET last_used_at = 1", []).unwrap();
        assert_eq!(ask(&db, "SELECT name FROM tokens"), "reader");
    }
    for conn in [&writer, &beside, &reader] {
        assert!(conn.prepare("SELECT * FROM v_users").unwrap_err().to_string().contains("access to view"));
    }
    let again = sqlite::open_again(&db).unwrap();
    assert!(again.prepare("SELECT * FROM v_users").is_err());
}

#[test]
fn the_limits_of_sqlite_are_set_in_every_connection() {
    use rusqlite::limits::Limit;
    let (_dir, db) = file("");
    for conn in [
        sqlite::open_writer(&db).unwrap(),
        sqlite::open_beside(&db).unwrap(),
        sqlite::open_reader(&db).unwrap(),
        sqlite::open_again(&db).unwrap(),
    ] {
        let limit = |limit| conn.limit(limit).unwrap();
        assert_eq!(limit(Limit::SQLITE_LIMIT_ATTACHED), 0);
        assert_eq!(limit(Limit::SQLITE_LIMIT_SQL_LENGTH), 64 << 10);
        assert_eq!(limit(Limit::SQLITE_LIMIT_VARIABLE_NUMBER), 1_000);
        assert!(
            limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH) < 10 && limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH) < 10_000
        );
    }
}
