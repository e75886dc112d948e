//! Tokens: made and revoked beside the running server, and what they open.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::time::{Duration, Instant};
use support::{Answer, JSON, TestServer, chatfold};

const APPS: &str = r#"{"query":"{apps{appId}}"}"#;

fn create(server: &TestServer, args: &[&str]) -> String {
    let (code, stdout, stderr) = server.run(&[&["token", "create"], args].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains(stdout.trim()), "shown on stdout alone");
    assert!(stdout.starts_with("cf_") && stdout.ends_with('\n') && stdout.lines().count() == 1, "{stdout}");
    stdout.trim().to_owned()
}

fn ask(server: &TestServer, token: &str, body: &str) -> Answer {
    server.post("/graphql", &[JSON, ("Authorization", &format!("Bearer {token}"))], body)
}

fn deliver(server: &TestServer, app: &str) {
    let mut body: Value = serde_json::from_str(include_str!("../fixtures/triggers/message_sent.json")).unwrap();
    body["appId"] = app.into();
    assert_eq!(server.deliver(body.to_string()).status, 200);
}

#[test]
fn from_the_first_token_on_everybody_needs_one() {
    let server = TestServer::start();
    assert_eq!(server.post("/graphql", &[JSON], APPS).status, 200);
    let token = create(&server, &["--name", "ci"]);
    let refused = server.post("/graphql", &[JSON], APPS);
    assert!(refused.problem(401).contains("access token"));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"chatfold\""));
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(ask(&server, &token, APPS).status, 200);
    let bearer = format!("bearer {token}");
    for from in [("Host", "chat.example"), ("X-Forwarded-For", "1.2.3.4"), ("Origin", "https://chat.example")] {
        assert_eq!(server.post("/graphql", &[JSON, ("Authorization", &bearer), from], APPS).status, 200, "{from:?}");
    }
    assert_eq!(server.request("GET", "/metrics", &[("Authorization", &bearer)], b"").status, 200);
    // Deliveries have credentials of their own.
    deliver(&server, "app");
}

#[test]
fn every_cause_of_a_401_looks_the_same() {
    let server = TestServer::start();
    let token = create(&server, &["--name", "one"]);
    let revoked = create(&server, &["--name", "two"]);
    let expired = create(&server, &["--name", "three", "--expires", "1h"]);
    assert_eq!(ask(&server, &revoked, APPS).status, 200);
    assert_eq!(ask(&server, &expired, APPS).status, 200);
    assert_eq!(server.run(&["token", "revoke", "two"]).0, 0);
    rusqlite::Connection::open(server.db())
        .unwrap()
        .execute("UPDATE tokens SET expires_at = 1 WHERE id = 3", [])
        .unwrap();
    let without = server.post("/graphql", &[JSON], APPS);
    without.problem(401);
    let plain = |answer: Answer| {
        let mut headers: Vec<_> = answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
        headers.sort();
        (answer.status, headers, answer.body)
    };
    let without = plain(without);
    for wrong in [&revoked[..], &expired, "cf_wrong", "", &token[..token.len() - 1], &format!("{token}x")] {
        assert_eq!(plain(ask(&server, wrong, APPS)), without, "{wrong}");
    }
    let basic = server.post("/graphql", &[JSON, ("Authorization", &support::basic(&format!("u:{token}")))], APPS);
    assert_eq!(plain(basic), without);
    assert_eq!(ask(&server, &token, APPS).status, 200);
    let log = server.log();
    assert!([&token, &revoked, &expired].iter().all(|secret| !log.contains(&secret[3..])), "{log}");
}

#[test]
fn a_revoked_token_opens_nothing_more_and_does_not_open_the_door() {
    let server = TestServer::start();
    let token = create(&server, &["--name", "only"]);
    assert_eq!(ask(&server, &token, APPS).status, 200);
    assert_eq!(server.run(&["token", "revoke", "1"]).0, 0);
    let start = Instant::now();
    assert_eq!(ask(&server, &token, APPS).status, 401);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(server.post("/graphql", &[JSON], APPS).status, 401, "a file that had tokens asks for them");
}

#[test]
fn tokens_are_listed_without_their_text() {
    let server = TestServer::start();
    let token =
        create(&server, &["--name", "ci", "--app", "a", "--app", "b", "--scope", "metadata", "--expires", "90d"]);
    create(&server, &["--name", "old"]);
    assert_eq!(server.run(&["token", "revoke", "old"]).0, 0);
    assert_eq!(ask(&server, &token, APPS).status, 200);
    let list = || server.run(&["token", "list", "--json"]).1;
    let deadline = Instant::now() + Duration::from_secs(5);
    while list().lines().next().is_some_and(|line| line.contains("\"lastUsedAt\":null")) {
        assert!(Instant::now() < deadline, "{}", list());
        std::thread::sleep(Duration::from_millis(20));
    }
    let rows: Vec<Value> = list().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&rows[0]["name"], &rows[0]["scope"], &rows[0]["state"]),
        (&"ci".into(), &"metadata".into(), &"valid".into())
    );
    assert_eq!(rows[0]["apps"], serde_json::json!(["a", "b"]));
    assert!(rows[0]["expiresAt"].is_string() && rows[0]["createdAt"].is_string());
    assert_eq!((&rows[1]["state"], &rows[1]["apps"]), (&"revoked".into(), &Value::Null));
    let (_, table, _) = server.run(&["token", "list"]);
    assert!(table.contains("ci") && table.contains("revoked") && !table.contains("cf_") && !list().contains("cf_"));
    let bytes = std::fs::read(server.db()).unwrap();
    let wal = std::fs::read(server.db().with_extension("db-wal")).unwrap();
    for file in [bytes, wal] {
        assert!(!file.windows(token.len()).any(|part| part == token.as_bytes()), "the file holds a token's text");
    }
}

#[test]
fn wrong_use_is_told_apart_from_no() {
    let server = TestServer::start();
    create(&server, &["--name", "ci"]);
    for (args, code, says) in [
        (&["create", "--name", "ci"][..], 1, "already"),
        (&["create", "--name", "12"], 2, "number"),
        (&["create", "--name", ""], 2, "1 to 64"),
        (&["create", "--name", "x", "--expires", "2020-01-01"], 2, "not in the future"),
        (&["create", "--name", "x", "--scope", "all"], 2, "invalid value"),
        (&["create", "--name", "x", "--app", ""], 2, "not an empty text"),
        (&["revoke", "nobody"], 1, "no token"),
    ] {
        let (got, stdout, stderr) = server.run(&[&["token"], args].concat());
        assert!(got == code && stderr.contains(says) && stdout.is_empty(), "{args:?}: {got} {stderr}");
    }
    let (code, _, stderr) = chatfold(&["token", "list"]);
    assert!(code == 1 && stderr.contains("there is no file"), "{stderr}");
}

#[test]
fn a_token_is_made_in_a_file_that_exists_and_makes_none() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let db = dir.path().join("chatfold.db");
    for verb in ["create", "revoke"] {
        let args: &[&str] = if verb == "create" { &["--name", "first"] } else { &["first"] };
        let (code, stdout, stderr) = chatfold(&[&["--db", db.to_str().unwrap(), "token", verb], args].concat());
        assert!(code == 1 && stdout.is_empty() && stderr.contains("there is no file"), "{verb}: {code} {stderr}");
        assert!(verb != "create" || stderr.contains("chatfold serve"), "{stderr}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "neither the file nor its lock");
    std::fs::write(&db, "").unwrap();
    let (code, ..) = chatfold(&["--db", db.to_str().unwrap(), "token", "create", "--name", "first"]);
    assert_eq!((code, std::fs::metadata(&db).unwrap().len()), (1, 0), "an empty file is none of ours");
}

#[test]
fn a_token_made_between_two_runs_counts_and_beside_a_server_nothing_else_changes() {
    let mut server = TestServer::start();
    server.sigterm();
    let token = create(&server, &["--name", "first"]);
    let server = TestServer::within(server.dir(), "");
    deliver(&server, "app");
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(ask(&server, &token, APPS).json()["data"]["apps"][0]["appId"], "app");
    let wal = || std::fs::metadata(server.db().with_extension("db-wal")).unwrap().len();
    let before = wal();
    create(&server, &["--name", "second"]);
    assert!(before > 0 && wal() >= before, "another process must not checkpoint");
    deliver(&server, "other");
    let (code, _, stderr) = server.run(&["verify"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn what_a_token_grants_is_said_where_it_was_left_out() {
    let server = TestServer::start();
    let said = |args: &[&str]| server.run(&[&["token", "create"], args].concat()).2;
    let broad = said(&["--name", "broad"]);
    for words in ["all apps", "--app", "content", "the texts", "--scope", "does not end", "--expires", "token revoke 1"]
    {
        assert!(broad.contains(words), "{words}: {broad}");
    }
    let narrow =
        said(&["--name", "narrow", "--app", "a", "--app", "b", "--scope", "metadata", "--expires", "2999-01-31"]);
    for words in ["apps a, b", "metadata", "2999-01-31T00:00:00.000Z"] {
        assert!(narrow.contains(words), "{words}: {narrow}");
    }
    for words in ["--app", "--scope", "--expires", "all apps"] {
        assert!(!narrow.contains(words), "{words}: {narrow}");
    }
}

#[test]
fn a_token_of_some_apps_does_not_see_the_hash_of_the_file() {
    let server = TestServer::start();
    for app in ["one", "two", "three"] {
        deliver(&server, app);
    }
    let bound = create(&server, &["--name", "bound", "--app", "two", "--app", "unheard"]);
    let whole = create(&server, &["--name", "whole", "--scope", "content"]);
    let hash = r#"{"query":"{status{seq stateHash} users{nodes{uid appId}}}"}"#;
    let answer = ask(&server, &bound, hash).json();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer}");
    assert!(answer["data"]["status"]["stateHash"].is_null() && answer["data"]["status"]["seq"] == "2");
    assert_eq!(answer["data"]["users"]["nodes"][0]["appId"], "two", "the only one of its apps that the file has");
    let answer = ask(&server, &whole, hash).json();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "APP_ID_REQUIRED", "{answer}");
    let answer = ask(&server, &whole, r#"{"query":"{status{stateHash}}"}"#).json();
    assert!(answer["data"]["status"]["stateHash"].is_string(), "{answer}");
}

#[test]
fn tokens_are_made_and_revoked_while_deliveries_pour_in() {
    let server = TestServer::start();
    let body =
        |n: usize| include_str!("../fixtures/triggers/message_sent.json").replace("4101", &(5_000 + n).to_string());
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let (server, body) = (&server, &body);
            scope.spawn(move || (0..150).for_each(|n| assert_eq!(server.deliver(body(lane * 150 + n)).status, 200)));
        }
        for n in 0..8 {
            let name = format!("n{n}");
            let token = create(&server, &["--name", &name]);
            assert_eq!(ask(&server, &token, APPS).status, 200);
            assert_eq!(server.run(&["token", "revoke", &name]).0, 0);
            assert_eq!(ask(&server, &token, APPS).status, 401);
        }
    });
    assert_eq!(server.run(&["verify"]).0, 0);
}
