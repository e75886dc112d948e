//! What people write, and what opens doors, stands in no log line, however much is logged, in no metric and in no refusal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;
use support::feed::Client;
use support::pages::{post_form, sign_in, token, with};
use support::{Answer, JSON, TestServer, WEBHOOK};

/// A part of every text that must not leave.
const CANARY: &str = "kanarie";
const PASSWORD: &str = "kanarie-password-of-the-webhook";

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn post(server: &TestServer, authorization: &str, body: &str) -> Answer {
    server.post(WEBHOOK, &[JSON, ("Authorization", authorization)], body)
}

/// Deliveries with the canary in each place that a sender fills, all taken.
fn deliveries() -> Vec<Value> {
    let of = |trigger: &str, data: Value| json!({ "trigger": trigger, "appId": "a", "webhook": "w", "data": data });
    let data =
        json!({ "text": CANARY, "metadata": { CANARY: CANARY, "@private": { "mail": CANARY } }, "customData": CANARY });
    let user = json!({ "uid": "ann", "name": CANARY, "statusMessage": CANARY, "avatar": CANARY, "tags": [CANARY] });
    let message = json!({ "id": "1", "sender": "ann", "receiverType": "group", "receiver": "g", "category": "message",
        "type": "text", "sentAt": 1_767_614_400, "data": data, "tags": [CANARY], "muid": CANARY });
    vec![
        of("message_sent", json!({ "message": message })),
        // The kind of each field is wrong.
        of("message_sent", json!({ "message": { "id": "2", "sender": [CANARY], "sentAt": CANARY, "data": CANARY } })),
        of("message_sent", json!({ CANARY: CANARY })),
        of("user_blocked", json!({ "user": user, "by": user, "users": { "bob": user } })),
        of(
            "group_updated",
            json!({ "group": { "guid": "g", "name": CANARY, "description": CANARY }, "updatedBy": user }),
        ),
        // The ban names its actor: an anomaly.
        of("group_member_banned", json!({ "group": { "guid": "g" }, "by": user, "members": { "ann": user } })),
        of(CANARY, json!({ CANARY: CANARY })),
        json!({ "trigger": "message_sent", "appId": "a", "region": CANARY, "webhook": CANARY, "data": CANARY }),
    ]
}

/// Every request that holds the canary and is refused; the answers.
fn refusals(server: &TestServer, own: &str, bearer: &str, session: &str) -> Vec<Answer> {
    let mut answers = vec![
        post(server, &basic(&format!("cometchat:{CANARY}")), "{}"),
        post(server, &basic(&format!("{CANARY}:{PASSWORD}")), "{}"),
        post(server, &format!("Bearer {CANARY}"), "{}"),
        post(server, own, &format!("{{\"{CANARY}\":\"{CANARY}\"")),
        post(server, own, &json!({ "trigger": CANARY, "text": CANARY }).to_string()),
        post(server, own, &json!({ "trigger": format!("chatfold.{CANARY}"), "appId": "a" }).to_string()),
        server.post(WEBHOOK, &[("Content-Type", CANARY), ("Authorization", own)], "{}"),
        server.get(&format!("/{CANARY}?{CANARY}={CANARY}")),
        server.post("/graphql", &[JSON, ("Authorization", &format!("Bearer cf_{CANARY}"))], "{}"),
        server.request("GET", "/metrics", &[("Authorization", &format!("Bearer cf_{CANARY}"))], b""),
        server.request("GET", "/changes", &[("Authorization", &format!("Bearer cf_{CANARY}"))], b""),
        server.post("/graphql", &[JSON, ("Authorization", bearer)], format!("{{\"query\": \"{CANARY}")),
        server.post("/graphql", &[JSON, ("Authorization", bearer)], format!("[\"{CANARY}\"]")),
        with(server, &format!("/search?q={CANARY}"), &format!("chatfold_session={CANARY}")),
        sign_in(server, CANARY, "/", None),
        post_form(server, "/sign-in", &[("Host", CANARY), ("Origin", CANARY)], &format!("token={CANARY}")),
    ];
    // Pages of somebody who has signed in show what was asked: only the log counts.
    for path in ["/search?q=kanarie", "/users?name=kanarie", "/message?messageId=1", "/event?seq=kanarie"] {
        assert!([200, 400].contains(&with(server, path, session).status), "{path}");
    }
    answers.retain(|answer| answer.header("location").is_none());
    answers
}

fn ask_graphql(server: &TestServer, bearer: &str) {
    let ask = |body: Value| server.post("/graphql", &[JSON, ("Authorization", bearer)], body.to_string());
    let search = "query kanarie($q: String!) { messages(filter: { search: $q }, first: 5) { nodes { text } } }";
    let answer = ask(json!({ "query": search, "operationName": CANARY, "variables": { "q": CANARY, CANARY: CANARY } }));
    assert!(answer.body.contains("nodes"), "{}", answer.body);
    for query in [
        format!("{{ user(uid: \"{CANARY}\") {{ name }} }}"),
        format!("{{ messages(first: 5, filter: {{ search: \"{CANARY}\" }}) {{ nodes {{ text data }} }} }}"),
        format!("{{ {CANARY} }}"),
        format!("{{ messages(after: \"{CANARY}\") {{ nodes {{ text }} }} }}"),
        format!("# {CANARY}\n{{ apps {{ appId }}"),
    ] {
        assert_eq!(ask(json!({ "query": query })).status, 200, "{query}");
    }
}

fn subscribe(server: &TestServer, token: &str) {
    let mut client = Client::connect(server);
    client.say(&json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer cf_{CANARY}") } }));
    client.closed();
    let mut client = Client::connect(server);
    client.say(
        &json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}"), "x": CANARY } }),
    );
    assert_eq!(client.hear()["type"], "connection_ack");
    client.subscribe(CANARY, "subscription { changes(afterSeq: \"0\") { seq event { body } } }");
    assert_eq!(client.hear()["id"], CANARY);
    client.say(&json!({ "type": CANARY }));
    while client.hear_or_close().is_ok() {}
}

#[track_caller]
fn assert_silent(door: &str, said: &str, words: &[&str]) {
    for word in words {
        let line = said.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{door} says {word}: {}", line.unwrap_or_default());
    }
}

#[test]
fn what_is_secret_or_written_by_people_stands_in_no_log_line_metric_or_refusal() {
    let toml = |format: &str| {
        format!(
            "log_filter = \"trace\"\nlog_format = \"{format}\"\nwebhook_username = \"cometchat\"\nwebhook_password = \"{PASSWORD}\"\n"
        )
    };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let own = basic(&format!("cometchat:{PASSWORD}"));
    for format in ["text", "json"] {
        std::fs::write(dir.path().join("chatfold.toml"), toml(format)).unwrap();
        #[cfg(feature = "otel")]
        let collector = support::collector::Collector::start();
        let mut server = TestServer::launch(Arc::clone(&dir), |_command| {
            #[cfg(feature = "otel")]
            collector.named(_command);
        })
        .unwrap();
        let token = token(&server, &["--name", format, "--scope", "admin"]);
        let bearer = format!("Bearer {token}");
        for body in deliveries() {
            assert_eq!(post(&server, &own, &body.to_string()).status, 200, "{body}");
        }
        let signed_in = sign_in(&server, &token, "/", None);
        let session = support::pages::cookie(&signed_in);
        let refusals = refusals(&server, &own, &bearer, &session);
        assert!(refusals.len() > 12, "{refusals:?}");
        ask_graphql(&server, &bearer);
        subscribe(&server, &token);
        assert!(server.request("GET", "/metrics", &[("Authorization", &bearer)], b"").body.contains("chatfold_app_"));
        let metrics = server.request("GET", "/metrics", &[("Authorization", &bearer)], b"").body;
        assert!(server.sigterm().success());

        let session = session.split_once('=').unwrap().1;
        let encoded = own.strip_prefix("Basic ").unwrap();
        let secrets = [CANARY, PASSWORD, &token, session, encoded];
        let log = server.log();
        // It is the whole log, and spans are in it.
        for part in ["delivery", "message_sent", "outcome", "cost", "TRACE"] {
            assert!(log.contains(part), "no {part} in the log");
        }
        assert_silent("the log", &log, &secrets);
        #[cfg(feature = "otel")]
        {
            let sent = String::from_utf8_lossy(&collector.bytes()).into_owned();
            for part in ["delivery", "message_sent", "graphql", "batch"] {
                assert!(sent.contains(part), "no {part} in the traces");
            }
            assert_silent("a trace", &sent, &secrets);
        }
        assert_silent("/metrics", &metrics, &secrets);
        for answer in &refusals {
            assert_silent("a refusal", &format!("{answer:?}"), &secrets);
        }
    }
}
