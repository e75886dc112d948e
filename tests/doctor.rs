//! `chatfold doctor` and `chatfold config`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use support::feed::message;
use support::tls::Pair;
use support::{JSON, TestServer, WEBHOOK, basic, chatfold};

/// Exit code, and the findings by level and check.
fn doctor(server: &TestServer, more: &[&str]) -> (i32, Vec<Value>) {
    let (code, out, err) = server.run(&[&["doctor", "--json"], more].concat());
    let findings = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    assert!(!findings.is_empty(), "{err}");
    (code, findings)
}

/// What a check of this level says.
#[track_caller]
fn says<'a>(findings: &'a [Value], level: &str, check: &str) -> &'a str {
    let found = findings.iter().find(|it| it["level"] == level && it["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {level} of {check}: {findings:#?}"));
    assert_eq!(found["advice"].is_null(), level == "ok", "who hears of trouble hears what to do: {found}");
    found["finding"].as_str().unwrap()
}

#[test]
fn a_server_that_is_well_has_nothing_bad() {
    let server = TestServer::with_story("demo");
    let (code, findings) = doctor(&server, &[]);
    assert_eq!(code, 0, "{findings:#?}");
    for check in ["settings", "wal", "permissions", "edition", "clock", "dead letters", "silence"] {
        says(&findings, "ok", check);
    }
    assert!(says(&findings, "warn", "credentials").contains("only this machine may post"));
    assert!(says(&findings, "warn", "tokens").contains("may read"));
    let (code, text, _) = server.run(&["doctor"]);
    assert!(code == 0 && text.lines().any(|line| line.starts_with("ok    wal: ")), "{text}");
    assert!(text.contains("CometChat signs nothing"), "{text}");
}

#[test]
fn what_is_broken_is_bad_and_the_exit_code_says_so() {
    let (code, out, _) = chatfold(&["doctor", "--listen", "0.0.0.0:1", "--db", "none.db"]);
    assert!(code == 1 && out.contains("bad   settings: listening on 0.0.0.0:1 without webhook credentials"), "{out}");
    assert!(out.contains("bad   file: ") && out.contains("none.db"), "{out}");
}

#[test]
fn each_trouble_of_the_file_is_found() {
    let server = TestServer::with(
        "default_app = \"b\"\n[[webhook_credentials]]\nname = \"short\"\nusername = \"u\"\npassword = \"p\"\napps = [\"a\", \"c\"]",
    );
    let authorization = ("Authorization", basic("u:p"));
    let post = |body: String| server.post(WEBHOOK, &[JSON, (authorization.0, &authorization.1)], body);
    for n in 0..60 {
        assert_eq!(post(message(n, "g")).status, 200);
    }
    post(json!({"trigger": "message_sent", "appId": "a", "data": 7}).to_string());
    post(json!({"trigger": "before_message", "appId": "a", "data": {}}).to_string());
    std::fs::set_permissions(server.db(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, findings) = doctor(&server, &[]);
    assert_eq!(code, 0, "warnings only: {findings:#?}");
    assert!(says(&findings, "warn", "default_app").contains("app b"));
    let credentials: Vec<&str> =
        findings.iter().filter(|it| it["check"] == "credentials").map(|it| it["finding"].as_str().unwrap()).collect();
    assert!(credentials.iter().any(|it| it.contains("less than 16 characters")), "{credentials:?}");
    assert!(credentials.iter().any(|it| it.contains("for the app c, of which nothing")), "{credentials:?}");
    assert!(says(&findings, "warn", "tokens").contains("nobody can read"));
    assert!(says(&findings, "warn", "permissions").contains("chatfold.db"));
    assert!(says(&findings, "warn", "dead letters").starts_with("1: 1 × message_sent: "));
    assert!(says(&findings, "warn", "legacy").contains("before_message"));
    assert!(says(&findings, "warn", "triggers").contains("message_edited, message_deleted"));
}

#[test]
fn a_certificate_that_ended_is_bad() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    Pair::ends(2025, 1, 2).write(dir.path());
    let server = TestServer::within(dir, "tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"");
    let (code, findings) = doctor(&server, &[]);
    assert!(code == 1 && says(&findings, "bad", "certificate").contains("2025-01-02T00:00:00Z"));
    Pair::default().write(server.dir().path());
    let (code, findings) = doctor(&server, &[]);
    assert!(code == 0 && says(&findings, "ok", "certificate").contains("2999-12-31"));
}

#[test]
fn an_address_is_checked_and_nothing_is_stored_there() {
    let server = TestServer::with("webhook_username = \"u\"\nwebhook_password = \"long-enough-for-all\"");
    let url = format!("http://{}", server.address);
    let (code, findings) = doctor(&server, &["--url", &url]);
    assert_eq!(code, 0, "{findings:#?}");
    assert!(says(&findings, "ok", "address").contains("takes the webhook credentials"));
    assert!(says(&findings, "warn", "address").contains("no https"));
    let (_, stored, _) = server.run(&["inspect", "--json"]);
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!((&stored["seq"], &stored["refused"]), (&json!(0), &json!(0)), "{stored}");
    // As behind a proxy that strips the header: other credentials.
    let other = TestServer::with("webhook_username = \"u\"\nwebhook_password = \"another-long-password\"");
    let (code, findings) = doctor(&server, &["--url", &format!("http://{}", other.address)]);
    assert!(code == 1 && says(&findings, "bad", "address").contains("401"), "{findings:#?}");
    let (code, findings) = doctor(&server, &["--url", "http://127.0.0.1:1"]);
    assert!(code == 1 && says(&findings, "bad", "address").contains("no answer"), "{findings:#?}");
}

#[test]
fn the_settings_are_printed_with_their_origins_and_without_passwords() {
    let server = TestServer::with("workers = 3\nwebhook_username = \"u\"\nwebhook_password = \"sesame987654321\"");
    let (code, out, err) = server.run(&["config", "--json", "--row-cache", "2000000"]);
    assert_eq!(code, 0, "{err}");
    let all: Vec<Value> = serde_json::from_str(&out).unwrap();
    let of = |key: &str| all.iter().find(|it| it["key"] == key).unwrap().clone();
    assert_eq!(of("workers"), json!({"key": "workers", "value": 3, "origin": "file"}));
    assert_eq!(of("row_cache"), json!({"key": "row_cache", "value": 2_000_000, "origin": "flag"}));
    assert_eq!(of("graphql.depth")["origin"], "default");
    assert_eq!(of("webhook_password")["value"], "[secret]");
    let (_, text, _) = server.run(&["config"]);
    assert!(text.contains("tls_certificate") && text.contains("not set"), "{text}");
    assert!(!format!("{out}{text}").contains("sesame987654321"));
}
