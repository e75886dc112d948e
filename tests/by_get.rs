//! Asking by the address: `GET /graphql`, and `HEAD` wherever there is a GET.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use form_urlencoded::Serializer;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use support::pages::token;
use support::{Answer, JSON, TestServer};

const USERS: &str = "query People($n: Int!) { users(first: $n) { nodes { uid } } } query Apps { apps { appId } }";

fn address(parts: &[(&str, &str)]) -> String {
    format!("/graphql?{}", Serializer::new(String::new()).extend_pairs(parts).finish())
}

fn by_get(server: &TestServer, parts: &[(&str, &str)]) -> Answer {
    server.get(&address(parts))
}

fn with_a_message() -> TestServer {
    let server = TestServer::start();
    assert_eq!(server.deliver(include_str!("../fixtures/triggers/message_sent.json")).status, 200);
    server
}

#[test]
fn a_question_in_the_address_is_answered_as_one_in_a_body() {
    let server = with_a_message();
    let variables = json!({ "n": 1 });
    let extensions = json!({ "minSeq": "1" });
    let body = json!({ "query": USERS, "operationName": "People", "variables": variables, "extensions": extensions });
    let post = server.post("/graphql", &[JSON], body.to_string());
    let parts = [
        ("query", USERS),
        ("operationName", "People"),
        ("variables", &variables.to_string()),
        ("extensions", &extensions.to_string()),
        ("else", "is left alone"),
    ];
    let get = by_get(&server, &parts);
    assert_eq!((get.status, &get.body), (200, &post.body));
    assert!(get.json()["data"]["users"]["nodes"][0]["uid"].is_string(), "{}", get.body);
    for header in ["content-type", "cache-control", "x-content-type-options"] {
        assert_eq!(get.header(header), post.header(header), "{header}");
    }
    let empty = [("query", "{apps{appId}}"), ("operationName", ""), ("variables", ""), ("extensions", "")];
    assert!(by_get(&server, &empty).json()["data"]["apps"].is_array(), "what is empty is not told");
    let newer = [("Accept", "application/graphql-response+json")];
    let wrong = server.request("GET", &address(&[("query", "{nothing}")]), &newer, b"");
    assert_eq!((wrong.status, wrong.header("content-type")), (400, Some(newer[0].1)));
    assert!(server.get("/metrics").body.contains("chatfold_graphql_requests_total 4\n"), "all are counted");
}

#[test]
fn a_get_asks_by_the_hash_of_a_document_that_was_sent_before() {
    let server = TestServer::start();
    let query = "{apps{appId}}";
    let hash: String = Sha256::digest(query).iter().map(|byte| format!("{byte:02x}")).collect();
    let persisted = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } }).to_string();
    let by_hash = || by_get(&server, &[("extensions", &persisted)]).json();
    assert_eq!(by_hash()["errors"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    by_get(&server, &[("query", query), ("extensions", &persisted)]);
    assert!(by_hash()["data"]["apps"].is_array());
}

#[test]
fn a_get_waits_for_the_position_of_its_header() {
    let server = TestServer::with("[graphql]\nwait_ms = 100");
    let ask = |position| {
        server.request("GET", &address(&[("query", "{apps{appId}}")]), &[("Chatfold-Min-Seq", position)], b"")
    };
    assert_eq!(ask("1").json()["errors"][0]["extensions"]["code"], "TIMEOUT");
    ask("x").problem(400);
}

#[test]
fn a_get_that_is_no_question_is_told_what_is_expected() {
    let server = TestServer::start();
    for (parts, told) in [
        (&[][..], "?query="),
        (&[("query", "")], "?query="),
        (&[("variables", "{}")], "?query="),
        (&[("query", "{apps{appId}}"), ("query", "{apps{appId}}")], "once"),
        (&[("query", "{apps{appId}}"), ("variables", "[1]")], "variables"),
        (&[("query", "{apps{appId}}"), ("variables", "{")], "variables"),
        (&[("query", "{apps{appId}}"), ("extensions", "1")], "extensions"),
    ] {
        assert!(by_get(&server, parts).problem(400).contains(told), "{parts:?}");
    }
    let long = "x".repeat(33 << 10);
    let variables = json!({ "a": long }).to_string();
    by_get(&server, &[("query", "{apps{appId}}"), ("variables", &variables)]).problem(400);
    let long = by_get(&server, &[("query", &format!("{{apps{{appId}}}}#{long}"))]);
    assert_eq!(long.json()["errors"][0]["extensions"]["code"], "TOO_COMPLEX");
}

#[test]
fn there_are_no_mutations_and_one_error_says_so() {
    let server = TestServer::start();
    let newer = ("Accept", "application/graphql-response+json");
    let query = "mutation { anything }";
    for answer in [
        server.request("GET", &address(&[("query", query)]), &[newer], b""),
        server.post("/graphql", &[JSON, newer], json!({ "query": query }).to_string()),
    ] {
        assert_eq!((answer.status, answer.json()["errors"].as_array().unwrap().len()), (400, 1), "{}", answer.body);
    }
}

#[test]
fn an_upgrade_to_something_else_is_left_alone() {
    let server = TestServer::start();
    let upgrade = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")];
    let answer = server.request("GET", &address(&[("query", "{__typename}")]), &upgrade, b"");
    assert_eq!(answer.json()["data"]["__typename"], "Query");
}

#[test]
fn a_get_needs_the_token_in_its_header_and_takes_none_from_the_address() {
    let server = with_a_message();
    let token = token(&server, &["--name", "me"]);
    let path = address(&[("query", "{apps{appId}}"), ("token", &token), ("access_token", &token)]);
    assert!(server.get(&path).problem(401).contains("Authorization"));
    let bearer = format!("Bearer {token}");
    assert_eq!(server.request("GET", &path, &[("Authorization", &bearer)], b"").status, 200);
}

#[test]
fn head_is_get_without_the_body() {
    let server = with_a_message();
    let page = "Accept: text/html\r\n";
    for (path, headers) in [
        (&address(&[("query", "{apps{appId}}")])[..], ""),
        ("/graphql", page),
        ("/graphql", ""),
        ("/graphql/graphiql.js", ""),
        ("/changes", ""),
        ("/changes?afterSeq=x", ""),
        ("/live", ""),
        ("/", page),
        ("/groups", page),
        ("/nowhere", page),
        ("/nowhere", ""),
        ("/sign-in", page),
        ("/assets/console.css", ""),
        ("/healthz", ""),
        ("/readyz", ""),
        ("/metrics", ""),
    ] {
        let ask = |method: &str| {
            server.raw(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
        };
        let begun = Instant::now();
        let head = ask("HEAD");
        assert!(begun.elapsed() < Duration::from_secs(10), "{path}: an answer that does not end");
        assert_eq!(head.body, "", "{path}");
        if path == "/changes" || path == "/live" {
            assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
            continue;
        }
        let get = ask("GET");
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
    }
}
