//! The console's page about the server, and what the API tells of it: to whom, and never a secret.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::pages::{cookie, sign_in, token, with};
use support::{JSON, TestServer};

const CANARY: &str = "canary-41d7-password";
const ALL: &str = "{ status { fileEdition server { version startedAt notReady foldVersion rebuilding walBytes readers \
                   readersBusy requestsWaiting disk { bytes freeBytes nearlyFull } } settings { key value origin } \
                   tokens { name state scope apps lastUsedAt expiresAt } refused(first: 5) { problem keptBytes receivedAt } } }";

fn server() -> TestServer {
    let credentials = format!("webhook_username = \"vendor\"\nwebhook_password = \"{CANARY}\"\n");
    TestServer::with(&format!("body_limit = 4096\n{credentials}[graphql]\ndepth = 11"))
}

fn ask(server: &TestServer, token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    let answer =
        server.post("/graphql", &[JSON, ("Authorization", &bearer)], json!({ "query": ALL }).to_string()).json();
    assert!(!answer.to_string().contains(CANARY), "{answer}");
    answer
}

fn page(server: &TestServer, token: &str) -> String {
    let answer = with(server, "/health", &cookie(&sign_in(server, token, "/", None)));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!answer.body.contains(CANARY), "{}", answer.body);
    answer.body
}

/// A setting of an answer: its value and its origin.
fn setting(answer: &Value, key: &str) -> (Value, Value) {
    let settings = answer["data"]["status"]["settings"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
    let found = settings.iter().find(|it| it["key"] == key).unwrap_or_else(|| panic!("{key}: {answer:#}"));
    (found["value"].clone(), found["origin"].clone())
}

/// What a reader reads: no markup, one space between words.
fn text(html: &str) -> String {
    let bare: Vec<&str> = html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    bare.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn settings_tell_where_each_comes_from_and_no_secret() {
    let server = server();
    let admin = token(&server, &["--name", "admin", "--scope", "admin"]);
    let answer = ask(&server, &admin);
    assert!(answer.get("errors").is_none(), "{answer:#}");
    for (key, value, origin) in [
        ("body_limit", json!("4096"), "FILE"),
        ("graphql.depth", json!("11"), "FILE"),
        ("workers", setting(&answer, "workers").0, "DEFAULT"),
        ("webhook_username", json!("vendor"), "FILE"),
        ("webhook_password", json!("[secret]"), "FILE"),
        ("default_app", Value::Null, "DEFAULT"),
    ] {
        assert_eq!(setting(&answer, key), (value, json!(origin)), "{key}");
    }
    assert_eq!(setting(&answer, "listen").1, "FLAG");
    let status = &answer["data"]["status"];
    let number = |value: &Value| value.as_str().and_then(|it| it.parse::<u64>().ok()).unwrap_or_default();
    let state = &status["server"];
    assert_eq!((&state["notReady"], &state["rebuilding"]), (&Value::Null, &json!(false)), "{state}");
    assert!(status["fileEdition"].as_i64().unwrap() > 0 && state["foldVersion"].as_i64().unwrap() > 0, "{status}");
    assert!(number(&state["walBytes"]) > 0 && number(&state["disk"]["bytes"]) >= number(&state["disk"]["freeBytes"]));
    assert!(state["readersBusy"].as_i64() >= Some(1) && state["readers"].as_i64() >= state["readersBusy"].as_i64());
    let html = text(&page(&server, &admin));
    for words in ["body_limit 4096 file", "webhook_password [secret] file", "default_app not set default"] {
        assert!(html.contains(words), "{words}: {html}");
    }
    assert!(html.contains("Deliveries taken"), "{html}");
}

#[test]
fn credentials_that_are_read_again_are_shown() {
    let server = server();
    let admin = token(&server, &["--name", "admin", "--scope", "admin"]);
    assert_eq!(setting(&ask(&server, &admin), "webhook_credentials").1, "DEFAULT");
    server.reload("body_limit = 9999\n[[webhook_credentials]]\nname = \"new\"\nusername = \"v\"\npassword = \"next\"");
    server.wait_for_log("read the webhook credentials again");
    let answer = ask(&server, &admin);
    assert_eq!(setting(&answer, "webhook_credentials"), (json!("[\"new\"]"), json!("FILE")));
    assert_eq!(setting(&answer, "webhook_password"), (Value::Null, json!("DEFAULT")));
    assert_eq!(setting(&answer, "body_limit").0, "4096", "this one needs a restart");
}

#[test]
fn tokens_are_listed_with_their_last_use() {
    let server = server();
    let admin = token(&server, &["--name", "admin", "--scope", "admin"]);
    token(&server, &["--name", "unused", "--app", "some-app", "--expires", "90d"]);
    token(&server, &["--name", "gone"]);
    assert_eq!(server.run(&["token", "revoke", "gone"]).0, 0);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let tokens = loop {
        // The first use is noted beside the answer.
        let tokens = ask(&server, &admin)["data"]["status"]["tokens"].clone();
        if !tokens[2]["lastUsedAt"].is_null() {
            break tokens;
        }
        assert!(std::time::Instant::now() < deadline, "{tokens}");
    };
    let told = |at: usize| (&tokens[at]["name"], &tokens[at]["state"], &tokens[at]["scope"], &tokens[at]["apps"]);
    assert_eq!(told(0), (&json!("gone"), &json!("REVOKED"), &json!("CONTENT"), &Value::Null));
    assert_eq!(told(1), (&json!("unused"), &json!("VALID"), &json!("CONTENT"), &json!(["some-app"])));
    assert_eq!(told(2), (&json!("admin"), &json!("VALID"), &json!("ADMIN"), &Value::Null));
    assert!(tokens[1]["lastUsedAt"].is_null() && tokens[1]["expiresAt"].is_string(), "{tokens}");
    let html = text(&page(&server, &admin));
    assert!(html.contains("unused 2 valid content some-app never"), "{html}");
}

#[test]
fn refused_bodies_are_listed_without_their_bytes() {
    let server = TestServer::start();
    server.deliver("said-7e2b is no JSON").problem(400);
    server.deliver(r#"{"trigger":"t","note":"said-7e2b"}"#).problem(400);
    let html = server.get("/health").body;
    assert!(!html.contains("said-7e2b") && text(&html).contains("appId"), "{html}");
    let answer = server.post("/graphql", &[JSON], json!({ "query": ALL }).to_string()).json();
    let refused = answer["data"]["status"]["refused"].as_array().unwrap();
    assert_eq!(refused.iter().map(|it| it["keptBytes"].as_i64().unwrap()).collect::<Vec<_>>(), [34, 20]);
    assert!(!answer.to_string().contains("said-7e2b"), "{answer}");
    let csv = server.get("/health?table=status.refused&format=csv").body;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let query = r#"{"query":"{status{refused(first:201){problem}}}"}"#;
    let answer = server.post("/graphql", &[JSON], query).json();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer}");
}

#[test]
fn a_token_of_some_apps_or_of_less_scope_sees_neither_settings_nor_tokens() {
    let server = server();
    let few = token(&server, &["--name", "few-eyes", "--scope", "content"]);
    let bound = token(&server, &["--name", "bound-eyes", "--scope", "admin", "--app", "app"]);
    for (token, sees_server) in [(&few, true), (&bound, false)] {
        let answer = ask(&server, token);
        let status = &answer["data"]["status"];
        assert!(["settings", "tokens", "refused"].iter().all(|field| status[field].is_null()), "{answer:#}");
        assert_eq!(status["server"].is_object(), sees_server, "{answer:#}");
        let errors = answer["errors"].as_array().unwrap();
        assert!(errors.iter().all(|error| error["extensions"]["code"] == "FORBIDDEN"), "{errors:#?}");
        let html = page(&server, token);
        for secret in ["few-eyes", "bound-eyes", "body_limit", "vendor"] {
            assert!(!html.contains(secret), "{secret}: {html}");
        }
        assert_eq!(html.contains("Free on the disk"), sees_server, "{html}");
    }
}
