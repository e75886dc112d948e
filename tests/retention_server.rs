//! Old messages cut beside a server that takes deliveries, and by a process that is killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/messages.rs"]
mod messages;
mod support;

use messages::{HOUR, Message};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{JSON, TestServer, chatfold, verified};

const CANARY: &str = "canary-of-a-cut-message";
const DAY: i64 = 24 * HOUR;
const LIMIT: Duration = Duration::from_secs(60);

/// The files in a folder that hold the canary.
fn holding(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
    };
    files.filter(holds).map(|path| path.display().to_string()).collect()
}

fn message(id: i64, at: i64) -> Message {
    Message { id, sender: "ann", receiver: if id % 3 == 0 { "night" } else { "bob" }, at }
}

fn text(id: i64, length: usize) -> Value {
    json!({ "data": { "text": format!("{CANARY} number {id} {}", "word ".repeat(length)), "metadata": { "note": CANARY } } })
}

/// Delivers old messages with all that hangs on them, and some of today.
fn tell(server: &TestServer, old: i64, many: i64) {
    let now = chatfold::clock::now().0;
    for id in 1..=many {
        let it = message(id, now - 400 * DAY + id * 1_000);
        assert_eq!(server.deliver(it.sent(&text(id, if id % 5 == 0 { 900 } else { 9 }))).status, 200);
        if id % 10 == 0 {
            let mut edited: Value = serde_json::from_str(&it.edited(it.at + 500_000)).unwrap();
            edited["data"]["message"]["data"]["text"] = json!(format!("{CANARY} edited {id}"));
            assert_eq!(server.deliver(edited.to_string()).status, 200);
            assert_eq!(server.deliver(it.reacted("cem", it.at + 600_000)).status, 200);
            assert_eq!(server.deliver(it.read("bob", now - id)).status, 200);
        }
    }
    for id in 0..old {
        assert_eq!(server.deliver(message(1_000_000 + id, now - DAY + id * 1_000).sent(&Value::Null)).status, 200);
    }
}

fn open(db: &Path) -> Connection {
    let conn = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.busy_timeout(LIMIT).unwrap();
    conn
}

fn count(db: &Path, sql: &str) -> i64 {
    open(db).query_row(sql, [], |row| row.get(0)).unwrap()
}

const OLD: &str = "SELECT count(*) FROM messages WHERE message_no < 1000000";

fn cut(db: &Path, more: &[&str]) -> Value {
    let args = ["retention", "--retention-message", "30d", "--json", "--db", db.to_str().unwrap()];
    let (code, out, err) = chatfold(&[&args, more].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn the_file_holds_no_byte_of_a_cut_text() {
    let mut server = TestServer::with("[retention]\nmessage = \"30d\"\n");
    tell(&server, 20, 400);
    let (dir, db) = (server.dir(), server.db());
    let planned = cut(&db, &[]);
    assert_eq!((&planned["lines"][0]["family"], &planned["lines"][0]["messages"]), (&json!("message"), &json!(400)));
    assert!(!holding(dir.path()).is_empty(), "a report changes nothing");
    let report = cut(&db, &["--apply"]);
    assert_eq!(report["lines"], planned["lines"]);
    assert_eq!(report["walIsEmpty"], true, "{report}");
    assert_eq!(holding(dir.path()), [""; 0]);
    let returned = report["bytesBefore"].as_i64().unwrap() - report["bytesAfter"].as_i64().unwrap();
    assert!(returned > 500_000, "{report}");
    assert_eq!(std::fs::metadata(&db).unwrap().len().cast_signed(), report["bytesAfter"].as_i64().unwrap());
    assert_eq!(count(&db, OLD), 0);
    verified(&db);
    // A late copy comes into the log, and the next cut takes it out, by this process alone.
    let late = message(7, chatfold::clock::now().0 - 400 * DAY).sent(&text(7, 9));
    assert_eq!(server.deliver(&late).header("chatfold-outcome"), Some("ignored"));
    let (code, _, err) = chatfold(&["explain", "message:7", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains("Messages sent before") && err.contains("were cut from the log"), "{err}");
    assert!(server.sigterm().success());
    assert!(!holding(dir.path()).is_empty());
    let report = cut(&db, &["--apply"]);
    assert_eq!(report["lines"][0]["events"], 1, "{report}");
    assert_eq!(holding(dir.path()), [""; 0]);
    verified(&db);
}

#[test]
fn deliveries_go_on_beside_a_cut_of_messages() {
    let server = TestServer::with("[retention]\nmessage = \"30d\"\n");
    tell(&server, 20, 500);
    let db = server.db();
    let (done, taken) = (AtomicBool::new(false), AtomicU64::new(0));
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let now = chatfold::clock::now().0;
            while !done.load(Ordering::Relaxed) {
                let id = 2_000_000 + taken.load(Ordering::Relaxed).cast_signed();
                let answer = server.deliver(message(id, now + id - 2_000_000).sent(&Value::Null));
                assert_eq!((answer.status, answer.header("chatfold-outcome")), (200, Some("applied")));
                taken.fetch_add(1, Ordering::Relaxed);
            }
        });
        let begun = Instant::now();
        while taken.load(Ordering::Relaxed) < 5 {
            assert!(begun.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(5));
        }
        let before = taken.load(Ordering::Relaxed);
        // A rebuild that is asked for meanwhile waits for the end of the cut.
        let rebuild = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            server.run(&["rebuild"])
        });
        let report = cut(&db, &["--apply"]);
        let (code, _, err) = rebuild.join().unwrap();
        let during = taken.load(Ordering::Relaxed) - before;
        done.store(true, Ordering::Relaxed);
        assert_eq!(code, 0, "{err}");
        assert!(during > 10, "{during} deliveries were taken while messages were cut");
        report
    });
    assert_eq!(report["lines"][0]["messages"], 500);
    assert_eq!(count(&db, OLD), 0);
    let new = count(&db, "SELECT count(*) FROM messages WHERE message_no >= 2000000");
    assert_eq!(new.cast_unsigned(), taken.load(Ordering::Relaxed), "each delivery that was answered 200 is a message");
    verified(&db);
}

#[test]
fn a_cut_that_was_killed_is_finished_by_the_next_start() {
    let mut server = TestServer::start();
    tell(&server, 5, 1_500);
    let (dir, db) = (server.dir(), server.db());
    assert!(server.sigterm().success());
    let mut cutting = Command::new(env!("CARGO_BIN_EXE_chatfold"))
        .args(["retention", "--apply", "--retention-message", "30d", "--db", db.to_str().unwrap()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let all = count(&db, "SELECT count(*) FROM events");
    while count(&db, "SELECT count(*) FROM events") >= all {
        assert!(begun.elapsed() < LIMIT);
    }
    cutting.kill().unwrap();
    cutting.wait().unwrap();
    let left = count(&db, "SELECT count(*) FROM events WHERE body LIKE '%canary%'");
    drop(server);
    let server = TestServer::within(dir, "[retention]\nmessage = \"30d\"\n");
    let begun = Instant::now();
    let asked = r#"{"query":"{status{rebuilding server{rebuilding}}}"}"#;
    loop {
        let status = &server.post("/graphql", &[JSON], asked).json()["data"]["status"];
        if status["rebuilding"] == false && status["server"]["rebuilding"] == false {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(count(&db, OLD), 0, "the tables are those of a cut that is finished");
    verified(&db);
    cut(&db, &["--apply"]);
    assert!(left > 0, "the run was killed before its end");
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE body LIKE '%canary%'"), 0);
    verified(&db);
}

#[test]
fn what_stays_of_a_cut_message_knows_nobody_who_is_erased() {
    let mut server = TestServer::with("[retention]\nmessage = \"30d\"\n");
    tell(&server, 5, 50);
    let db = server.db();
    cut(&db, &["--apply"]);
    let named = "SELECT count(*) FROM events WHERE body LIKE '%cem who reacted%'";
    assert_eq!(count(&db, named), 1, "a reaction described cem, and its message is gone");
    assert!(server.sigterm().success());
    let (code, _, err) =
        chatfold(&["erase-user", "--db", db.to_str().unwrap(), "--app", messages::APP, "--uid", "cem"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(count(&db, named), 0);
    assert_eq!(count(&db, "SELECT count(*) FROM users WHERE uid LIKE 'erased-%'"), 1);
    verified(&db);
}
