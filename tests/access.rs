//! Who is answered where no secret is asked for, and what a GraphQL request must look like.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{JSON, TestServer, WEBHOOK};

const PAST_THE_DOOR: &str = "[]";

#[test]
fn without_credentials_only_local_requests() {
    let server = TestServer::start();
    for path in [WEBHOOK, "/graphql", "/metrics"] {
        let ask = |headers: &[(&str, &str)]| match path {
            "/metrics" => server.request("GET", path, headers, b""),
            _ => server.post(path, &[headers, &[JSON]].concat(), PAST_THE_DOOR),
        };
        let passed = if path == "/metrics" { 200 } else { 400 };
        for good in
            [&[][..], &[("Host", "localhost:1")], &[("Host", "[::1]:1")], &[("Origin", "http://localhost:3000")]]
        {
            assert_eq!(ask(good).status, passed, "{path} {good:?}");
        }
        for bad in [
            ("Host", "evil.example"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-Proto", "https"),
            ("Via", "1.1 proxy"),
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
        ] {
            assert!(ask(&[bad]).problem(403).contains("without a secret"), "{path} {bad:?}");
        }
    }
    assert_eq!(server.request("GET", "/healthz", &[("Host", "evil.example")], b"").status, 200, "open to all");
}

#[test]
fn graphql_requests_are_one_json_object_of_modest_size() {
    let server = TestServer::start();
    let ask = |body: &str| server.post("/graphql", &[JSON], body);
    for bad in ["", "no", "{", "1", "{}", r#"{"query":1}"#, r#"{"query":""}"#, r#"{"query":"{a}","variables":[]}"#] {
        ask(bad).problem(400);
    }
    assert!(ask(r#" [{"query":"{__typename}"}]"#).problem(400).contains("batches"));
    let variables = format!(r#"{{"query":"{{__typename}}","variables":{{"a":"{}"}}}}"#, "x".repeat(33 << 10));
    ask(&variables).problem(400);
    ask(&format!(r#"{{"query":"{}"}}"#, " ".repeat(65 << 10))).problem(413);
    let answer = ask(r#"{"query":"{__typename}","variables":null,"operationName":null,"extensions":null}"#);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let accept = ("Accept", "application/graphql-response+json; charset=utf-8, application/json;q=0.9");
    let answer = server.post("/graphql", &[JSON, accept], r#"{"query":"{__typename}"}"#);
    assert_eq!(answer.header("content-type"), Some("application/graphql-response+json"));
}
