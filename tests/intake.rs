//! Deliveries through HTTP into the log and back out by `events` and `inspect`: what needs the real writer and fold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::io::BufRead;
use support::{JSON, TestServer, WEBHOOK, basic, chatfold};

const MESSAGE: &str = r#"{"trigger":"message_sent","appId":"app","region":"eu","webhook":"w","data":{"id":"1","muid":"m","conversationId":"a_user_b","sender":"a","receiverType":"user","receiver":"b","category":"message","type":"text","data":{"text":"hi"},"sentAt":1767600000}}"#;

fn outcome(server: &TestServer, body: &str) -> (u16, String, String, String) {
    let answer = server.deliver(body);
    let header = |name| answer.header(name).unwrap_or_default().to_owned();
    (answer.status, answer.body.clone(), header("chatfold-seq"), header("chatfold-outcome"))
}

fn ok(seq: &str, outcome: &str) -> (u16, String, String, String) {
    (200, "{}".into(), seq.into(), outcome.into())
}

#[test]
fn applied_then_duplicate_and_the_answer_is_always_an_empty_object() {
    let server = TestServer::start();
    let answer = server.deliver(MESSAGE);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!((answer.status, answer.body.as_str(), answer.header("chatfold-seq")), (200, "{}", Some("1")));
    assert_eq!(answer.header("chatfold-outcome"), Some("applied"));
    assert_eq!(outcome(&server, MESSAGE), ok("1", "duplicate"));
    assert_eq!(outcome(&server, &MESSAGE.replace("\"webhook\":\"w\"", "\"webhook\":\"second\"")), ok("1", "duplicate"));
    assert_eq!(outcome(&server, &MESSAGE.replace("\"id\":\"1\"", "\"id\":\"2\"")), ok("4", "applied"));
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("chatfold_deliveries_total{outcome=\"duplicate\"} 2\n"), "{metrics}");
    assert!(metrics.contains("chatfold_log_position 4\n"), "{metrics}");
}

#[test]
fn ignored_rejected_and_refused() {
    let server = TestServer::start();
    assert_eq!(outcome(&server, r#"{"trigger":"of_tomorrow","appId":"app","data":{}}"#), ok("1", "ignored"));
    assert_eq!(outcome(&server, r#"{"trigger":"message_sent","appId":"app","data":[]}"#), ok("2", "rejected"));
    assert_eq!(outcome(&server, r#"{"trigger":"message_sent","appId":"app"}"#), ok("3", "rejected"));
    let bad = [
        "",
        "not json",
        "[]",
        "1",
        "{\"appId\":\"app\"}",
        r#"{"trigger":1,"appId":"app"}"#,
        r#"{"trigger":"t"}"#,
        r#"{"trigger":"chatfold.roster","appId":"app"}"#,
        r#"{"trigger":"\u0063hatfold.","appId":"app","data":{}}"#,
    ];
    for body in bad {
        server.post(WEBHOOK, &[JSON], body).problem(400);
    }
    let (code, stdout, _) = server.run(&["events", "--refused", "--json"]);
    assert_eq!((code, stdout.lines().count()), (0, bad.len()), "{stdout}");
    assert!(server.get("/metrics").body.contains(&format!("chatfold_refused_total {}\n", bad.len())));
}

#[test]
fn a_credential_writes_for_its_apps_only() {
    let server = TestServer::with(
        "[[webhook_credentials]]\nname = \"bound\"\nusername = \"u\"\npassword = \"p\"\napps = [\"other\"]\n",
    );
    let good = basic("u:p");
    let post = |body: &str| server.post(WEBHOOK, &[JSON, ("Authorization", &good)], body);
    post(MESSAGE).problem(403);
    assert_eq!(post(&MESSAGE.replace("\"app\"", "\"other\"")).header("chatfold-seq"), Some("1"));
    let bearer = format!("Bearer {}", support::pages::token(&server, &["--name", "metrics"]));
    let metrics = server.request("GET", "/metrics", &[("Authorization", &bearer)], b"").body;
    assert!(metrics.contains("chatfold_webhook_credential_deliveries_total{credential=\"bound\"} 1\n"), "{metrics}");
}

#[test]
fn ready_and_ready_again_after_a_restart_with_everything_there() {
    let mut server = TestServer::start();
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(outcome(&server, MESSAGE), ok("1", "applied"));
    assert_eq!(server.sigterm().code(), Some(0));
    let server = TestServer::within(server.dir(), "");
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(outcome(&server, MESSAGE), ok("1", "duplicate"));
}

#[test]
fn events_and_inspect_tell_what_is_in_the_file() {
    let server = TestServer::start();
    server.deliver(MESSAGE);
    server.deliver(MESSAGE);
    server.deliver(r#"{"trigger":"of_tomorrow","appId":"app2","data":{}}"#);
    let lines = |args: &[&str]| {
        let (code, stdout, stderr) = server.run(&[&["events", "--json"], args].concat());
        assert_eq!(code, 0, "{stderr}");
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let all = lines(&[]);
    assert_eq!(all.len(), 2);
    assert_eq!(
        (&all[0]["trigger"], &all[1]["trigger"]),
        (&"of_tomorrow".into(), &"message_sent".into()),
        "newest first"
    );
    assert_eq!(all[1]["deliveries"], 2);
    assert_eq!(all[1]["body"]["data"]["data"]["text"], "hi");
    assert_eq!(lines(&["--app", "app"]).len(), 1);
    assert_eq!(lines(&["--trigger", "of_tomorrow", "--trigger", "message_sent"]).len(), 2);
    assert_eq!(lines(&["--outcome", "ignored"]).len(), 1);
    assert_eq!(lines(&["--limit", "1"]).len(), 1);
    assert_eq!(lines(&["--until", "2000-01-01T00:00:00Z"]).len(), 0);
    let (_, stdout, _) = server.run(&["events"]);
    assert!(stdout.contains("message_sent") && stdout.contains("ignored"), "{stdout}");

    let (code, stdout, _) = server.run(&["inspect", "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &summary["seq"], &summary["state"]["tables"]["messages"]["rows"]), (0, &3.into(), &1.into()));
    assert_eq!(summary["outcomes"]["applied"], 1);
    assert_eq!(summary["triggers"]["of_tomorrow"], 1);
    assert_eq!(summary["apps"][0]["appId"], "app");
    let (_, stdout, _) = server.run(&["inspect"]);
    assert!(stdout.contains("app2") && stdout.contains("2 events"), "{stdout}");
}

#[test]
fn what_is_refused_never_echoes_the_body() {
    let server = TestServer::start();
    let answer = server.deliver("{\"secret-canary\":");
    answer.problem(400);
    assert!(!answer.body.contains("canary") && !server.log().contains("canary"));
    let answer = server.post("/graphql", &[JSON], "{\"query\": secret-canary}");
    assert!(!answer.body.contains("canary"));
}

#[test]
fn a_line_that_claims_to_be_an_event_of_chatfolds_own_is_no_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("chatfold.db");
    let (db, lines) = (db.to_str().unwrap(), dir.path().join("lines.ndjson"));
    let own = r#"{"trigger":"chatfold.erase","appId":"a"}"#;
    let timed = format!(r#"{{"receivedAt":1767600000000,"body":{own}}}"#);
    std::fs::write(&lines, format!("{{\"trigger\":\"t\",\"appId\":\"a\"}}\n{own}\n{timed}\n")).unwrap();
    let (code, _, err) = chatfold(&["ingest", "--db", db, lines.to_str().unwrap()]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("lines.ndjson:2: trigger: ") && err.contains("lines.ndjson:3: trigger: "), "{err}");
    assert!(err.contains("1 ignored, 2 refused"), "{err}");
    let (_, out, _) = chatfold(&["events", "--refused", "--json", "--db", db]);
    assert!(out.contains("chatfold's own"), "{out}");
    let (_, out, _) = chatfold(&["events", "--json", "--db", db]);
    assert!(!out.contains("chatfold.erase"), "{out}");
}

#[test]
fn the_database_itself_is_no_delivery_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("chatfold.db");
    let (db, line) = (db.to_str().unwrap(), dir.path().join("line.json"));
    std::fs::write(&line, r#"{"trigger":"t","appId":"a"}"#).unwrap();
    assert_eq!(chatfold(&["ingest", "--db", db, line.to_str().unwrap()]).0, 0);
    let (code, _, err) = chatfold(&["ingest", "--db", db, db]);
    assert!(code == 1 && err.contains("is the database itself"), "{err}");
}

#[test]
fn a_log_that_is_followed_tells_each_event_once_in_its_order() {
    let server = TestServer::start();
    let deliver = |n: u32| {
        let body = format!(r#"{{"trigger":"t{n}","appId":"app","data":{{}}}}"#);
        assert_eq!(server.deliver(body).status, 200);
    };
    (1..=3).for_each(deliver);
    let (_running, lines) = server.follow(&["events", "--follow", "--limit", "2", "--json"]);
    let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut next = || lines.next().unwrap()["seq"].as_i64().unwrap();
    assert_eq!([next(), next()], [2, 3]);
    (4..=6).for_each(deliver);
    assert_eq!([next(), next(), next()], [4, 5, 6]);
    let (code, _, stderr) = server.run(&["events", "--follow", "--refused"]);
    assert!(code == 2 && stderr.contains("--refused"), "{stderr}");
}
