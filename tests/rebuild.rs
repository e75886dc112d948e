//! `chatfold rebuild`: the tables made anew beside the live ones, alone or in a running server, and nothing lost where
//! it is interrupted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chatfold::fold::FOLD_VERSION;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{JSON, TestServer, chatfold};
use tempfile::TempDir;

/// Which edition of the fold made the tables.
const EDITION: &str = "SELECT value FROM settings WHERE name = 'fold_version'";

/// A folder with a file that holds all fixtures, and `more` messages.
fn folder(more: u32) -> Arc<TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..more).map(message).collect();
    let file = dir.path().join("lines.ndjson");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let fixtures = |name: &str| format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    // Nobody may send events of chatfold's own.
    let triggers = std::fs::read_dir(fixtures("triggers")).unwrap().map(|entry| entry.unwrap().path());
    let sent = triggers.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with("chatfold."));
    let mut paths: Vec<String> = sent.map(|path| path.to_str().unwrap().to_owned()).collect();
    paths.sort();
    paths.extend([fixtures("stories/demo"), file.to_str().unwrap().to_owned()]);
    let args: Vec<&str> =
        ["ingest", "--db", db(dir.path())].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let (code, _, err) = chatfold(&args);
    assert_eq!(code, 0, "{err}");
    Arc::new(dir)
}

fn db(dir: &Path) -> &'static str {
    dir.join("chatfold.db").to_str().unwrap().to_owned().leak()
}

fn message(id: u32) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"load","data":{{"message":{{"id":"{id}","sender":"u{}","receiverType":"group","receiver":"g{}","category":"message","type":"text","sentAt":{},"data":{{"text":"no {id}"}}}}}}}}"#,
        id % 50,
        id % 7,
        1_767_614_400 + id
    )
}

fn sql(dir: &Path, statements: &str) {
    rusqlite::Connection::open(db(dir)).unwrap().execute_batch(statements).unwrap();
}

fn ask(dir: &Path, statement: &str) -> String {
    let conn = rusqlite::Connection::open(db(dir)).unwrap();
    let mut statement = conn.prepare(statement).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_clean(dir: &Path) {
    let (code, out, err) = chatfold(&["verify", "--db", db(dir)]);
    assert_eq!(code, 0, "{out}{err}");
}

fn rebuild(dir: &Path) -> Value {
    let (code, out, err) = chatfold(&["rebuild", "--json", "--db", db(dir)]);
    assert!(code == 0 && err.contains(" events/s"), "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// What is left of a rebuild that did not end.
fn left(dir: &Path) -> String {
    ask(dir, "SELECT name FROM sqlite_schema WHERE name GLOB 'next_*' OR name GLOB 'old_*'")
}

#[test]
fn a_rebuild_leaves_the_same_state_again_and_again() {
    let dir = folder(300);
    let shape =
        "SELECT type || ' ' || replace(name, '_b', '') FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*' ORDER BY 1";
    let before = ask(dir.path(), shape);
    let texts = "SELECT sql FROM sqlite_schema WHERE type = 'view' ORDER BY rowid";
    let views = ask(dir.path(), texts);
    assert!(views.matches("CREATE VIEW").count() > 20);
    let settings = "SELECT k || '=' || v FROM message_search_config ORDER BY k";
    let search = ask(dir.path(), settings);
    for _ in 0..3 {
        let rebuilt = rebuild(dir.path());
        assert_eq!(rebuilt["before"], rebuilt["after"]);
        assert_eq!((&rebuilt["retried"], rebuilt["damaged"].as_array().unwrap().len()), (&0.into(), 0));
        assert_clean(dir.path());
        assert_eq!(ask(dir.path(), shape), before, "the same tables, indexes and views");
        assert_eq!(ask(dir.path(), settings), search, "the full-text index is cut and merged as before");
        assert_eq!(ask(dir.path(), texts), views, "every view is in its place, with its comments");
        for view in ask(dir.path(), "SELECT name FROM sqlite_schema WHERE type = 'view'").lines() {
            ask(dir.path(), &format!("SELECT count(*) || '' FROM {view}"));
        }
        assert!(!dir.path().join("chatfold.db.rebuild").exists());
    }
}

#[test]
fn wrong_tables_are_made_right() {
    let dir = folder(0);
    sql(
        dir.path(),
        "DELETE FROM messages; UPDATE groups SET name = 'x'; INSERT INTO mentions VALUES ('a', 'b', 1, '1');
         INSERT INTO message_search (message_search) VALUES ('delete-all')",
    );
    assert_eq!(chatfold(&["verify", "--db", db(dir.path())]).0, 1);
    let rebuilt = rebuild(dir.path());
    assert_ne!(rebuilt["before"]["hash"], rebuilt["after"]["hash"]);
    assert_clean(dir.path());
}

#[test]
fn a_dead_letter_is_tried_again() {
    let dir = folder(0);
    let state = ask(dir.path(), "SELECT count(*) || '' FROM messages");
    let counts = "SELECT group_concat(trigger || outcome || n, ' ') FROM
        (SELECT * FROM event_counts WHERE outcome <> 'duplicate' ORDER BY minute, trigger, outcome)";
    let counted = ask(dir.path(), counts);
    // As if the edition before had not understood messages.
    sql(
        dir.path(),
        "UPDATE events SET outcome = 'rejected', reason = 'fold failed: not understood' WHERE trigger = 'message_sent';
         UPDATE event_counts SET outcome = 'rejected' WHERE trigger = 'message_sent' AND outcome = 'applied';
         DELETE FROM messages; UPDATE settings SET value = '0' WHERE name = 'fold_version'",
    );
    let (_, out, _) =
        chatfold(&["events", "--db", db(dir.path()), "--outcome", "rejected", "--json", "--limit", "1000"]);
    assert!(out.contains("fold failed: not understood"), "{out}");
    let rebuilt = rebuild(dir.path());
    assert!(rebuilt["retried"].as_u64().unwrap() > 5, "{rebuilt}");
    assert_eq!(ask(dir.path(), "SELECT count(*) || '' FROM messages"), state);
    let edition = ask(dir.path(), EDITION);
    assert_eq!(edition, FOLD_VERSION.to_string());
    assert_eq!(ask(dir.path(), counts), counted, "counts by outcome follow");
    let (_, out, _) =
        chatfold(&["events", "--db", db(dir.path()), "--outcome", "rejected", "--json", "--limit", "1000"]);
    assert!(!out.contains("fold failed"), "{out}");
    assert_clean(dir.path());
}

#[test]
fn a_damaged_log_is_told_and_its_sound_rows_are_folded() {
    let dir = folder(10);
    sql(dir.path(), "UPDATE events SET body = 'no json' WHERE seq = (SELECT max(seq) FROM events)");
    let (code, out, _) = chatfold(&["rebuild", "--json", "--db", db(dir.path())]);
    let rebuilt: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1, "{out}");
    assert!(rebuilt["damaged"][0].as_str().unwrap().contains("the body is no delivery any more"), "{out}");
    assert_eq!(ask(dir.path(), "SELECT count(*) || '' FROM messages WHERE app_id = 'load'"), "9");
}

/// Posts messages until told to stop; how many. A message that a busy machine answers 503 is sent again.
fn post(server: &TestServer, from: u32, stop: &AtomicBool) -> u32 {
    let mut id = from;
    while !stop.load(Ordering::Relaxed) {
        let answer = server.deliver(message(id));
        assert!([200, 503].contains(&answer.status), "{answer:?} {}", server.log());
        id += u32::from(answer.status == 200);
        std::thread::sleep(Duration::from_millis(4));
    }
    id - from
}

#[test]
fn a_running_server_rebuilds_while_it_takes_deliveries() {
    let dir = folder(3_000);
    let server = TestServer::within(Arc::clone(&dir), "");
    let stop = AtomicBool::new(false);
    let (rebuilt, posted) = std::thread::scope(|scope| {
        let posting = scope.spawn(|| post(&server, 10_000, &stop));
        let rebuilt = (0..2).map(|_| server.run(&["rebuild", "--json"])).collect::<Vec<_>>();
        stop.store(true, Ordering::Relaxed);
        (rebuilt, posting.join().unwrap())
    });
    for (code, out, err) in rebuilt {
        assert_eq!(code, 0, "{out}{err}{}", server.log());
        let rebuilt: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(rebuilt["before"], rebuilt["after"], "{err}");
    }
    assert!(posted > 50, "only {posted} were posted meanwhile");
    let (code, out, _) = server.run(&["verify"]);
    assert_eq!(code, 0, "{out}");
    let answer = server.post("/graphql", &[JSON], r#"{"query":"{status{seq rebuilding stateHash}}"}"#).json();
    let (_, inspected, _) = server.run(&["inspect", "--json"]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(answer["data"]["status"]["stateHash"], inspected["state"]["hash"], "one number wherever it is shown");
    drop(server);
    assert_eq!(left(dir.path()), "");
}

/// What a search finds through the API: ids, and whether that is all.
fn search(server: &TestServer, words: &str) -> Value {
    let words = Value::from(words);
    let query = format!(
        r#"{{messages(appId:"load",first:200,filter:{{search:{words}}}){{nodes{{messageId}} totalCount totalCountExact}}}}"#
    );
    let body = serde_json::json!({ "query": query }).to_string();
    let answer = server.post("/graphql", &[JSON], &body).json();
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"]["messages"].clone()
}

#[test]
fn a_search_finds_the_same_after_a_rebuild_and_what_came_meanwhile() {
    let dir = folder(3_000);
    let server = TestServer::within(Arc::clone(&dir), "");
    let searches = ["1234", "\"no 77\"", "no 29*", "nothing"];
    let before = searches.map(|words| search(&server, words));
    assert_eq!(before[0]["nodes"][0]["messageId"], "1234");
    assert_eq!(
        (&before[1]["totalCount"], &before[2]["totalCount"], &before[3]["totalCount"]),
        (&1.into(), &111.into(), &0.into())
    );
    let stop = AtomicBool::new(false);
    let posted = std::thread::scope(|scope| {
        let posting = scope.spawn(|| post(&server, 10_000, &stop));
        for _ in 0..2 {
            let (code, out, err) = server.run(&["rebuild", "--json"]);
            assert_eq!(code, 0, "{out}{err}{}", server.log());
        }
        stop.store(true, Ordering::Relaxed);
        posting.join().unwrap()
    });
    assert_eq!(searches.map(|words| search(&server, words)), before);
    assert_eq!(search(&server, "no")["totalCount"], 3_000 + posted);
    for id in [10_000, 10_000 + posted / 2, 10_000 + posted - 1] {
        assert_eq!(search(&server, &id.to_string())["nodes"][0]["messageId"], id.to_string());
    }
    let (code, out, _) = server.run(&["verify"]);
    assert_eq!(code, 0, "{out}");
    drop(server);
    assert_eq!(left(dir.path()), "");
}

#[test]
fn tables_of_another_edition_are_rebuilt_at_the_start_with_intake_open() {
    let dir = folder(3_000);
    sql(dir.path(), "UPDATE settings SET value = '0' WHERE name = 'fold_version'; DELETE FROM reactions");
    let server = TestServer::within(Arc::clone(&dir), "");
    let ask = || server.post("/graphql", &[JSON], r#"{"query":"{status{rebuilding foldVersion}}"}"#).json();
    let during = ask();
    assert_eq!(during["data"]["status"]["rebuilding"], true, "{}", server.log());
    assert_eq!(during["extensions"]["chatfold"]["rebuilding"], true);
    assert_eq!(server.deliver(message(9_000)).status, 200);
    let (code, _, err) = server.run(&["rebuild"]);
    assert!(code == 1 && err.contains("a rebuild is running already"), "{err}");
    server.wait_for_log("the tables are rebuilt");
    let after = ask();
    assert_eq!(after["data"]["status"]["foldVersion"], FOLD_VERSION);
    assert_eq!(after["extensions"]["chatfold"]["rebuilding"], false, "{after}");
    let (code, out, _) = server.run(&["verify"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn a_rebuild_killed_anywhere_loses_nothing_and_the_next_one_ends() {
    let dir = folder(1_500);
    for round in 0..5u64 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chatfold"))
            .args(["rebuild", "--db", db(dir.path())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + round * 130));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_clean(dir.path());
    }
    let rebuilt = rebuild(dir.path());
    assert_eq!(rebuilt["before"], rebuilt["after"]);
    assert_eq!(left(dir.path()), "");
    assert!(!dir.path().join("chatfold.db.rebuild").exists());
}

#[test]
fn a_server_killed_while_it_rebuilds_starts_again_and_finishes() {
    let dir = folder(2_000);
    for round in 0..4u64 {
        sql(dir.path(), "UPDATE settings SET value = '0' WHERE name = 'fold_version'");
        let server = TestServer::within(Arc::clone(&dir), "");
        assert_eq!(server.deliver(message(20_000 + round as u32)).status, 200);
        std::thread::sleep(Duration::from_millis(100 + round * 250));
        drop(server);
    }
    let server = TestServer::within(Arc::clone(&dir), "");
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while !left(dir.path()).is_empty() || ask(dir.path(), EDITION) != FOLD_VERSION.to_string() {
        assert!(std::time::Instant::now() < until, "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(server);
    assert_eq!(ask(dir.path(), "SELECT count(*) || '' FROM events WHERE body LIKE '%no 2000_%'"), "4");
    assert_clean(dir.path());
}

#[test]
fn who_asked_for_a_rebuild_stops_it_by_going_away() {
    let dir = folder(3_000);
    let server = TestServer::within(Arc::clone(&dir), "");
    let mut child = Command::new(env!("CARGO_BIN_EXE_chatfold"))
        .args(["rebuild", "--db", db(dir.path())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait_for_log("rebuilding the tables, as asked");
    child.kill().unwrap();
    child.wait().unwrap();
    server.wait_for_log("the rebuild was stopped; the tables did not change");
    let (code, out, err) = server.run(&["rebuild", "--json"]);
    assert_eq!(code, 0, "the next one is not in its way: {out}{err}");
}
