//! Files of earlier editions: refused, with the way to read their log.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusqlite::Connection;
use support::{chatfold, verified};

/// The log of the first edition, in which all else is left out.
const EARLIER: &str = "
    PRAGMA application_id = 0x43464c44;
    PRAGMA user_version = 4;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, app_id TEXT NOT NULL, received_at INTEGER NOT NULL,
        deliveries INTEGER NOT NULL DEFAULT 1, last_received_at INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT";

fn message(id: u32) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"app","webhook":"w","data":{{"message":{{"id":"{id}","sender":"ann","receiver":"g","receiverType":"group","category":"message","type":"text","sentAt":{},"data":{{"text":"t"}}}}}}}}"#,
        1_767_600_000 + id
    )
}

#[test]
fn file_of_an_earlier_edition_is_refused_and_its_log_is_read_into_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (old, new) = (path("old.db"), path("new.db"));
    let conn = Connection::open(&old).unwrap();
    conn.execute_batch(EARLIER).unwrap();
    let insert = "INSERT INTO events VALUES (?1, 'app', ?2, ?3, ?4, ?5)";
    let received = 1_767_600_010_000_i64;
    for (seq, deliveries) in [(1, 1), (2, 3)] {
        let first = received + i64::from(seq);
        conn.execute(insert, (seq, first, deliveries, first + 9_000 * i64::from(deliveries - 1), message(seq)))
            .unwrap();
    }
    drop(conn);
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["inspect"], &["verify"], &["events"], &["rebuild"]] {
        let (code, out, err) = chatfold(&[args, &["--db", &old]].concat());
        assert_eq!(code, 1, "{args:?}: {out}{err}");
        assert!(err.contains(&format!("chatfold ingest {old} --db NEW.db")), "{args:?}: {err}");
    }
    for again in ["2 applied, 2 duplicate", "4 duplicate"] {
        let (code, out, err) = chatfold(&["ingest", &old, "--db", &new]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(err.contains(again), "{err}");
        let log: Vec<(i64, i64, i64, String)> = Connection::open(&new)
            .unwrap()
            .prepare("SELECT received_at, deliveries, last_received_at, body FROM events ORDER BY seq")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(
            log,
            [(received + 1, 1, received + 1, message(1)), (received + 2, 3, received + 18_002, message(2))]
        );
    }
    verified(std::path::Path::new(&new));
}

#[test]
fn ingest_reads_no_database_that_is_not_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (other, new) = (path("other.db"), path("new.db"));
    for (sql, why) in [
        ("CREATE TABLE t (x)", "is not a chatfold file"),
        ("PRAGMA application_id = 0x43464c44; CREATE TABLE t (x)", "holds no log"),
        ("PRAGMA application_id = 0x43464c44; CREATE VIEW events AS SELECT 1 AS seq", "holds no log"),
        (
            "PRAGMA application_id = 0x43464c44;
             CREATE VIRTUAL TABLE events USING fts5(seq, received_at, last_received_at, deliveries, body)",
            "holds no log",
        ),
        (
            "PRAGMA application_id = 0x43464c44;
             CREATE TABLE events (seq, received_at, last_received_at, deliveries, body AS (hex(zeroblob(30000000))));
             INSERT INTO events VALUES (1, 1, 1, 1)",
            "computes columns",
        ),
    ] {
        let _ = std::fs::remove_file(&other);
        Connection::open(&other).unwrap().execute_batch(sql).unwrap();
        let (code, _, err) = chatfold(&["ingest", &other, "--db", &new]);
        assert!(code == 1 && err.contains(why), "{err}");
    }
}

#[test]
fn a_log_that_counts_more_deliveries_than_anybody_makes_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (old, new) = (path("old.db"), path("new.db"));
    let conn = Connection::open(&old).unwrap();
    conn.execute_batch(EARLIER).unwrap();
    let insert = "INSERT INTO events VALUES (?1, 'app', 1767600010000, ?2, 1767600010000, ?3)";
    for (seq, deliveries) in [(1, 1), (2, i64::MAX)] {
        conn.execute(insert, (seq, deliveries, message(seq))).unwrap();
    }
    drop(conn);
    let (code, out, err) = chatfold(&["ingest", &old, "--db", &new]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        err.contains("event 2: deliveries is 9223372036854775807") && err.contains("1 applied, 1 refused"),
        "{err}"
    );
}
