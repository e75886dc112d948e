//! How a log begins with a file, and how a machine becomes a node, over a real PostgreSQL and real servers.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use support::nodes::{agree, ask, change, deliver, hash, log, message, of, position, ready, until};
use support::postgres::{Postgres, told};
use support::tls::Pair;
use support::{JSON, TestServer, chatfold, verified};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `chatfold log init --from`: exit code, stdout and stderr.
fn found(postgres: &Postgres, db: &Path) -> (i32, String, String) {
    chatfold(&["log", "init", "--json", "--from", text(db), "--log", &postgres.address()])
}

/// A delivery gets this position. On a busy machine, a node that has no connection yet queues the delivery first.
fn deliver_at(place: i64, node: &TestServer, body: &str) {
    deliver(node, body);
    until("the delivery in the log", || position(&node.db()) == place);
}

/// A file that heard this many messages alone, and the folder of its server.
fn single(messages: usize) -> Arc<tempfile::TempDir> {
    let alone = TestServer::start();
    (0..messages).for_each(|id| assert_eq!(alone.deliver(message(id)).status, 200));
    alone.dir()
}

/// The first node of a new log, with a token of scope admin.
fn founder(postgres: &Postgres, messages: usize) -> (TestServer, String) {
    let dir = single(messages);
    let (code, _, err) = found(postgres, &dir.path().join("chatfold.db"));
    assert_eq!(code, 0, "{err}");
    let node = ready(TestServer::within(dir, &of(postgres)));
    let (code, out, err) = node.run(&["token", "create", "--name", "join", "--scope", "admin"]);
    assert_eq!(code, 0, "{err}");
    (node, out.trim().to_owned())
}

/// `chatfold join` into a file: exit code, stdout and stderr.
fn join(postgres: &Postgres, from: &str, token: &Path, db: &Path, more: &[&str]) -> (i32, String, String) {
    let log = postgres.address();
    let args = ["join", "--json", "--from", from, "--token-file", text(token), "--db", text(db), "--log", &log];
    chatfold(&[&args[..], more].concat())
}

#[test]
fn a_single_file_becomes_the_first_node_and_its_positions_go_on() {
    let Some(postgres) = Postgres::start("") else { return };
    let dir = single(20);
    let db = dir.path().join("chatfold.db");
    let (code, _, err) = found(&postgres, &dir.path().join("none.db"));
    assert!(code == 1 && err.contains("there is no file"), "{err}");
    let (code, out, err) = found(&postgres, &db);
    assert!(code == 0 && out.contains(r#""position":"20""#), "{out} {err}");
    // Once more changes nothing.
    let (code, again, _) = found(&postgres, &db);
    assert_eq!((code, again.replace("false", "true")), (0, out));
    let node = ready(TestServer::within(Arc::clone(&dir), &of(&postgres)));
    let (code, _, err) = found(&postgres, &db);
    assert!(code == 1 && err.contains("is written by another chatfold"), "{err}");
    deliver_at(21, &node, &message(20));
    // A fact of the time before is known.
    let answer = deliver(&node, &message(3));
    assert!(matches!(told(&answer), (Some(4), "duplicate") | (Some(22), "accepted")), "{answer:?}");
    agree(&postgres, &[&node]);
    let alone = TestServer::start();
    (0..21).for_each(|id| drop(deliver(&alone, &message(id))));
    assert_eq!(hash(&node.db()), hash(&alone.db()));
    assert_eq!(postgres.ask("SELECT min(position) || ' ' || max(position) FROM chatfold_deliveries"), "21 22");
}

#[test]
fn a_log_with_deliveries_and_a_file_of_another_log_are_refused() {
    let (Some(postgres), Some(other)) = (log(), log()) else { return };
    let node = ready(TestServer::with(&of(&postgres)));
    deliver(&node, &message(1));
    let dir = single(2);
    let db = dir.path().join("chatfold.db");
    let (code, _, err) = found(&postgres, &db);
    assert!(code == 1 && err.contains("has deliveries already, up to position 1"), "{err}");
    assert_eq!(postgres.ask("SELECT position FROM chatfold_head"), "1");
    // The file is as it was, and founds another log.
    let (code, out, err) = found(&other, &db);
    assert!(code == 0 && out.contains(r#""position":"2""#), "{err}");
    let (code, _, err) = found(&postgres, &db);
    assert!(code == 1 && err.contains("a node of another log"), "{err}");
}

#[test]
fn a_founding_that_broke_off_is_done_again() {
    let Some(postgres) = Postgres::start("") else { return };
    let dir = single(3);
    let db = dir.path().join("chatfold.db");
    assert_eq!(found(&postgres, &db).0, 0);
    // The log is made, and the file does not know: deliveries go into the file alone.
    let log_id = ask(&db, "SELECT log_id FROM shared_log");
    change(&db, &format!("DELETE FROM shared_log; INSERT INTO settings VALUES ('founding', '{log_id}')"));
    let alone = TestServer::within(Arc::clone(&dir), "");
    deliver(&alone, &message(3));
    drop(alone);
    let (code, out, err) = found(&postgres, &db);
    assert!(code == 0 && out.contains(&log_id) && out.contains(r#""position":"4""#), "{out} {err}");
    assert_eq!(ask(&db, "SELECT count(*) || '' FROM settings WHERE name = 'founding'"), "0");
    let node = ready(TestServer::within(dir, &of(&postgres)));
    deliver_at(5, &node, &message(4));
    agree(&postgres, &[&node]);
}

#[test]
fn a_new_file_never_holds_half_of_a_log() {
    let Some(postgres) = Postgres::start("") else { return };
    let (node, _) = founder(&postgres, 3);
    let new = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(new.path().join("chatfold.toml"), of(&postgres)).unwrap();
    for _ in 0..2 {
        let (status, told) = TestServer::launch(Arc::clone(&new), |_| {}).err().unwrap();
        assert!(!status.success() && told.contains("chatfold join --from"), "{told}");
    }
    deliver(&node, &message(4));
    let (_, told) = TestServer::launch(Arc::clone(&new), |_| {}).err().unwrap();
    assert!(told.contains("chatfold join --from"), "{told}");
}

#[test]
fn a_node_joins_with_a_copy_of_another_and_follows_the_log_from_there() {
    let Some(postgres) = Postgres::start("") else { return };
    let (one, token) = founder(&postgres, 5);
    deliver(&one, &message(5));
    assert_eq!(one.deliver("{}").status, 400);
    // The token has a position of the log too.
    until("a folded log", || position(&one.db()) == 7);
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let (db, file) = (dir.path().join("chatfold.db"), dir.path().join("token"));
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let from = format!("http://{}", one.address);
    let (code, out, err) = join(&postgres, &from, &file, &db, &[]);
    assert!(code == 0 && out.contains(r#""position":"7""#), "{out} {err}");
    assert!(!err.contains(&token) && !out.contains(&token));
    assert_eq!(ask(&db, "SELECT count(*) || '' FROM refused"), "0", "what one node refused is its own");
    deliver(&one, &message(6));
    let two = ready(TestServer::within(Arc::clone(&dir), &of(&postgres)));
    deliver(&two, &message(7));
    agree(&postgres, &[&one, &two]);
    assert_eq!(position(&two.db()), 9);
    // The token came with the copy.
    let answer = two.request("GET", "/metrics", &[("Authorization", &format!("Bearer {token}"))], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(two);
    // What is in place stays, unless told otherwise, and then it is kept.
    let (code, _, err) = join(&postgres, &from, &file, &db, &[]);
    assert!(code == 1 && err.contains("--force"), "{err}");
    let (code, out, err) = join(&postgres, &from, &file, &db, &["--force"]);
    assert_eq!(code, 0, "{err}");
    let kept = serde_json::from_str::<serde_json::Value>(&out).unwrap()["kept"][0].as_str().unwrap().to_owned();
    assert_eq!(position(Path::new(&kept)), 9);
    verified(&db);
}

#[test]
fn a_copy_that_does_not_belong_to_the_log_is_not_put_in_place() {
    let (Some(postgres), Some(other)) = (Postgres::start(""), log()) else { return };
    let (one, token) = founder(&postgres, 2);
    let dir = tempfile::tempdir().unwrap();
    let (db, file) = (dir.path().join("chatfold.db"), dir.path().join("token"));
    let refused = |log: &Postgres, from: &str, token: &str, expected: &str| {
        std::fs::write(&file, token).unwrap();
        let (code, out, err) = join(log, from, &file, &db, &[]);
        assert!(code != 0 && out.is_empty() && err.contains(expected), "{expected}: {err}");
        assert!(!err.contains(token), "{err}");
        assert!(!db.exists() && !dir.path().join("chatfold.db.part").exists(), "{expected}");
    };
    let from = format!("http://{}", one.address);
    refused(&other, &from, &token, "follows another log");
    refused(&postgres, &from, "cf_0000000000000000000000000000000000000000000", "a token of scope admin");
    let (_, lower, _) = one.run(&["token", "create", "--name", "low", "--scope", "content"]);
    refused(&postgres, &from, lower.trim(), "scope admin");
    let alone = TestServer::start();
    deliver(&alone, &message(1));
    refused(&postgres, &format!("http://{}", alone.address), &token, "it is no node");
    refused(&postgres, &format!("http://127.0.0.1:{}", support::postgres::free_port()), &token, "backup");
    refused(&postgres, &from.replace("http://", "ftp://"), &token, "expected the address of a node");
    // A copy that was changed on the way: in its bytes, or in its length.
    let bearer = format!("Bearer {token}");
    let copy = copy_of(&one, &bearer);
    let place = copy.windows(9).position(|bytes| bytes == b"\"text\":\"x").unwrap();
    let mut changed = copy.clone();
    changed[place + 8] = b'y';
    refused(&postgres, &sending(changed, 0), &token, "damaged");
    refused(&postgres, &sending(copy.clone(), 100), &token, "broke off");
    refused(&postgres, &sending(b"nonsense".to_vec(), 0), &token, "what came is no file for this chatfold");
    // As it is, it is taken.
    std::fs::write(&file, &token).unwrap();
    let (code, _, err) = join(&postgres, &sending(copy, 0), &file, &db, &[]);
    assert_eq!(code, 0, "{err}");
}

/// A node that serves TLS, its certificate in a file, and a token of scope admin in another.
fn secure(postgres: &Postgres, pair: &Pair, files: &Path) -> (TestServer, String) {
    let (node, token) = founder(postgres, 3);
    let dir = node.dir();
    drop(node);
    pair.write(dir.path());
    pair.write(files);
    std::fs::write(files.join("token"), &token).unwrap();
    let toml = format!("{}tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n", of(postgres));
    (TestServer::within(dir, &toml), token)
}

#[test]
fn a_node_joins_over_tls_with_a_root_certificate_of_its_own() {
    let Some(postgres) = Postgres::start("") else { return };
    let (pair, dir) = (Pair::default(), Arc::new(tempfile::tempdir().unwrap()));
    let (one, token) = secure(&postgres, &pair, dir.path());
    let (db, file, ca) = (dir.path().join("chatfold.db"), dir.path().join("token"), dir.path().join("chain.pem"));
    let from = format!("https://localhost:{}", one.address.port());
    let (code, out, err) = join(&postgres, &from, &file, &db, &["--ca-file", text(&ca)]);
    assert!(code == 0 && out.contains(r#""position":"4""#), "{out} {err}");
    assert!(!err.contains("without TLS") && !err.contains(&token) && !out.contains(&token), "{err}");
    let two = ready(TestServer::within(Arc::clone(&dir), &of(&postgres)));
    deliver(&two, &message(7));
    until("the delivery in the log", || position(&two.db()) == 5);
    until("both at one position", || position(&one.db()) == 5);
    assert_eq!(hash(&one.db()), hash(&two.db()));
    verified(&two.db());
}

#[test]
fn a_node_whose_certificate_is_not_trusted_gives_no_file() {
    let Some(postgres) = Postgres::start("") else { return };
    let (pair, other, dir) = (Pair::default(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, token) = secure(&postgres, &pair, dir.path());
    Pair::default().write(other.path());
    let (db, file, port) = (dir.path().join("chatfold.db"), dir.path().join("token"), one.address.port());
    let (ca, another) = (dir.path().join("chain.pem"), other.path().join("chain.pem"));
    let before = names(dir.path());
    let refused = |from: &str, more: &[&str], expected: &str| {
        let (code, out, err) = join(&postgres, from, &file, &db, more);
        assert!(code != 0 && out.is_empty() && err.contains(expected) && !err.contains(&token), "{expected}: {err}");
        assert_eq!(names(dir.path()), before, "{expected}");
    };
    let from = format!("https://localhost:{port}");
    refused(&from, &[], "--ca-file names the root certificate");
    refused(&from, &["--ca-file", text(&another)], "--ca-file names the root certificate");
    refused(&from, &["--ca-file", text(&file)], "--ca-file holds no certificate");
    refused(&from, &["--ca-file", "none.pem"], "--ca-file: reading none.pem");
    let ca = ["--ca-file", text(&ca)];
    refused(&format!("https://127.0.0.1:{port}"), &ca, "--from has to name the host as");
    refused(&format!("http://localhost:{port}"), &ca, "this port speaks TLS: use https://");
    let plain = TestServer::start();
    refused(&format!("https://localhost:{}", plain.address.port()), &ca, "If it does not speak TLS: use http://");
    std::fs::write(&file, "cf_0000000000000000000000000000000000000000000").unwrap();
    refused(&from, &ca, "a token of scope admin");
    std::fs::write(&file, &token).unwrap();
    let (code, _, err) = join(&postgres, &from, &file, &db, &ca);
    assert_eq!(code, 0, "{err}");
}

/// The files of a folder, but for the lock, which is empty and stays.
fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}

/// What `GET /backup` gives.
fn copy_of(node: &TestServer, bearer: &str) -> Vec<u8> {
    let mut answer =
        ureq::get(format!("http://{}/backup", node.address)).header("Authorization", bearer).call().unwrap();
    answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap()
}

/// A server that sends these bytes once, less the last so many.
fn sending(bytes: Vec<u8>, missing: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = client.read(&mut request);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
        let _ = client.write_all(head.as_bytes());
        let _ = client.write_all(&bytes[..bytes.len() - missing]);
    });
    address
}

#[test]
fn a_node_that_was_away_for_longer_than_the_log_keeps_is_told_to_join_again_and_loses_nothing() {
    let Some(mut postgres) = Postgres::start("") else { return };
    let (one, token) = founder(&postgres, 2);
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let (db, file) = (dir.path().join("chatfold.db"), dir.path().join("token"));
    std::fs::write(&file, &token).unwrap();
    let from = format!("http://{}", one.address);
    let (code, _, err) = join(&postgres, &from, &file, &db, &[]);
    assert_eq!(code, 0, "{err}");
    let mut two = ready(TestServer::within(Arc::clone(&dir), &of(&postgres)));
    postgres.stop();
    until("trouble", || !two.get("/readyz").json()["logTrouble"].is_null());
    assert_eq!(told(&two.deliver(message(100))), (None, "queued"));
    two.signal("KILL");
    two.ended();
    drop(two);
    postgres.serve();
    let ready_one = ready(one);
    until("a log", || ready_one.get("/readyz").json()["logTrouble"].is_null());
    (10..15).for_each(|id| drop(deliver(&ready_one, &message(id))));
    postgres.ask("DELETE FROM chatfold_deliveries WHERE position < 6");
    std::fs::write(dir.path().join("chatfold.toml"), of(&postgres)).unwrap();
    // It is told at the start, and ends.
    let ended = match TestServer::launch(Arc::clone(&dir), |_| {}) {
        Ok(mut two) => {
            let status = two.ended();
            (status, two.log())
        }
        Err(ended) => ended,
    };
    assert!(!ended.0.success() && ended.1.contains("chatfold join --from"), "{}", ended.1);
    let from = format!("http://{}", ready_one.address);
    let (code, _, err) = join(&postgres, &from, &file, &db, &["--force"]);
    assert_eq!(code, 0, "{err}");
    let two = ready(TestServer::within(dir, &of(&postgres)));
    until("empty outbox", || two.get("/readyz").json()["outbox"] == 0);
    agree(&postgres, &[&ready_one, &two]);
    assert_eq!(ask(&two.db(), "SELECT count(*) || '' FROM messages WHERE message_id = '100'"), "1");
    // One that runs and could not read for so long says it, and its reads go on.
    two.signal("STOP");
    (20..25).for_each(|id| drop(deliver(&ready_one, &message(id))));
    postgres.ask("DELETE FROM chatfold_deliveries WHERE position < (SELECT max(position) FROM chatfold_deliveries)");
    two.signal("CONT");
    until("a node that says so", || two.get("/readyz").body.contains("chatfold join --from"));
    assert_eq!(two.get("/readyz").status, 503);
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("Authorization", &*bearer)];
    assert_eq!(two.post("/graphql", &headers, r#"{"query":"{ __typename }"}"#).status, 200);
}

#[test]
fn the_file_of_a_node_goes_on_when_its_log_is_lost() {
    let (Some(lost), Some(new)) = (log(), Postgres::start("")) else { return };
    let node = ready(TestServer::with(&of(&lost)));
    (0..5).for_each(|id| drop(deliver(&node, &message(id))));
    // An order takes a position, and is no event.
    assert_eq!(node.run(&["token", "create", "--name", "reader"]).0, 0);
    until("the order", || position(&node.db()) == 6);
    let before = hash(&node.db());
    let dir = node.dir();
    let db = dir.path().join("chatfold.db");
    drop((node, lost));
    let (code, _, err) = found(&new, &db);
    assert!(code == 1 && err.contains("add --lost-log"), "{err}");
    let again = || chatfold(&["log", "init", "--from", text(&db), "--lost-log", "--json", "--log", &new.address()]);
    let (code, out, err) = again();
    assert!(code == 0 && out.contains(r#""position":"6""#), "{out} {err}");
    assert_eq!(again().0, 0, "twice changes nothing");
    let node = ready(TestServer::within(dir, &of(&new)));
    assert_eq!(hash(&node.db()), before);
    deliver_at(7, &node, &message(5));
    agree(&new, &[&node]);
}
