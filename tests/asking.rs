//! Asking over HTTP: how fresh an answer is, what it may cost, and which web pages may read it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Answer, JSON, TestServer, pages};

const USERS: &str = r#"{"query":"{users(first:3){nodes{uid}}}"}"#;

/// Tells of two people.
fn deliver(server: &TestServer) {
    assert_eq!(server.deliver(include_str!("../fixtures/triggers/message_sent.json")).status, 200);
}

fn code(answer: &Answer) -> Value {
    answer.json()["errors"][0]["extensions"]["code"].clone()
}

#[test]
fn an_answer_tells_how_fresh_it_is_and_what_it_cost() {
    let server = TestServer::start();
    let told = || server.post("/graphql", &[JSON], USERS).json()["extensions"]["chatfold"].clone();
    let empty = server.post("/graphql", &[JSON], r#"{"query":"{apps{appId}}"}"#).json();
    let empty = &empty["extensions"]["chatfold"];
    assert_eq!((&empty["seq"], &empty["receivedAt"], &empty["rebuilding"]), (&"0".into(), &Value::Null, &false.into()));
    deliver(&server);
    let told = told();
    assert_eq!((&told["seq"], &told["maxCost"]), (&"1".into(), &10_000.into()), "{told}");
    assert!(told["receivedAt"].as_str().unwrap().ends_with('Z') && told["foldVersion"].is_u64(), "{told}");
    assert!(told["cost"].as_u64().is_some_and(|cost| cost > 3), "{told}");
}

#[test]
fn a_reader_waits_for_what_it_wrote_and_not_for_ever() {
    let server = TestServer::with("[graphql]\nwait_ms = 2000");
    let at_least = |position: &str| server.post("/graphql", &[JSON, ("Chatfold-Min-Seq", position)], USERS);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| at_least("1"));
        std::thread::sleep(Duration::from_millis(300));
        deliver(&server);
        let answer = waiting.join().unwrap().json();
        assert!(answer["data"]["users"]["nodes"][0]["uid"].is_string(), "{answer}");
    });
    assert!(at_least("1").json()["errors"].is_null(), "what is there is not waited for");
    let in_body = r#"{"query":"{apps{appId}}","extensions":{"minSeq":"1","other":{}}}"#;
    assert!(server.post("/graphql", &[JSON], in_body).json()["errors"].is_null());
    for wrong in ["-1", "x", "", "99999999999999999999"] {
        at_least(wrong).problem(400);
    }
    server.post("/graphql", &[JSON], in_body.replace("\"1\"", "1.5")).problem(400);
    let start = Instant::now();
    let behind = server.post("/graphql", &[JSON], in_body.replace("\"1\"", "2"));
    assert_eq!(code(&behind), "TIMEOUT");
    assert!(behind.json().get("data").is_none() && behind.body.contains("position 2"), "{}", behind.body);
    assert!((2..4).contains(&start.elapsed().as_secs()));
}

#[test]
fn the_limits_of_a_request_are_settings() {
    let server = TestServer::with(
        "[graphql]\ndepth = 3\naliases = 1\npage = 2\ncomplexity = 100\nintrospection = false\ndocument_bytes = 2000",
    );
    deliver(&server);
    let ask = |query: &str| server.post("/graphql", &[JSON], serde_json::json!({ "query": query }).to_string());
    assert!(ask("{users(first:2){nodes{uid}}}").json()["errors"].is_null());
    assert_eq!(code(&ask("{users(first:2){nodes{presence{online}}}}")), "TOO_COMPLEX");
    assert_eq!(code(&ask("{a:apps{appId} b:apps{appId}}")), "TOO_COMPLEX");
    let page = ask("{users(first:3){nodes{uid}}}");
    assert!(page.body.contains("from 0 to 2") && code(&page) == "BAD_INPUT", "{}", page.body);
    let cost = |query: &str| ask(query).json()["extensions"]["chatfold"]["cost"].as_u64().unwrap();
    let told = cost("{blocks(first:2){nodes{since sinceFrom}}}");
    assert_eq!(cost("{blocks{nodes{since sinceFrom}}}"), told, "a page that is not told is no longer than one may be");
    assert_eq!(cost("{blocks(first:1){nodes{since sinceFrom}}}"), told.div_ceil(2));
    let dear = ask("{apps{activity(after:\"2026-01-01T00:00:00Z\",before:\"2026-01-02T00:00:00Z\"){exact}}}");
    assert_eq!(code(&dear), "TOO_COMPLEX");
    assert_eq!(dear.json()["extensions"]["chatfold"]["maxCost"], 100);
    assert!(dear.body.contains("the query costs 2"), "{}", dear.body);
    for schema in ["{__schema{queryType{name}}}", "{__type(name:\"User\"){name}}"] {
        assert_eq!(code(&ask(schema)), "FORBIDDEN");
    }
    assert!(ask("{__typename}").json()["errors"].is_null());
    assert_eq!(code(&ask(&format!("{{apps{{appId}}}}#{}", "x".repeat(2000)))), "TOO_COMPLEX");
    let (exit, _, stderr) = server.run(&["inspect", "--graphql-depth", "31"]);
    assert!(exit == 2 && stderr.contains("between 2 and 30"), "{stderr}");
}

#[test]
fn lists_in_lists_without_a_size_pass_and_a_refusal_names_the_list_to_narrow() {
    let server = TestServer::start();
    deliver(&server);
    let members = |argument: &str| {
        let query = format!("{{groups{{nodes{{members{argument}{{nodes{{user{{name}}}}}}}}}}}}");
        server.post("/graphql", &[JSON], serde_json::json!({ "query": query }).to_string())
    };
    assert!(members("").json()["errors"].is_null(), "{}", members("").body);
    let refused = members("(first:100)");
    assert_eq!(code(&refused), "TOO_COMPLEX");
    assert!(
        refused.body.contains("costs 15101") && refused.body.contains("smaller `first:` to `members`"),
        "{}",
        refused.body
    );
}

#[test]
fn pages_of_the_origins_configured_may_ask_and_no_others() {
    let server = TestServer::with("cors_origins = [\"https://app.example.com\"]");
    let (_, token, _) = server.run(&["token", "create", "--name", "page"]);
    let bearer = format!("Bearer {}", token.trim());
    let asks_of = |path: &str, origin: &str| {
        let method = ("Access-Control-Request-Method", "POST");
        server.request("OPTIONS", path, &[("Origin", origin), method], b"")
    };
    let asks = |origin: &str| asks_of("/graphql", origin);
    let preflight = asks("https://app.example.com");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD, POST"));
    let feed = asks_of("/changes", "https://app.example.com");
    assert_eq!(feed.header("access-control-allow-methods"), Some("GET, HEAD"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("authorization"));
    let answers = |origin: &str, bearer: &str| {
        server.post("/graphql", &[JSON, ("Origin", origin), ("Authorization", bearer)], USERS)
    };
    for (answer, status) in
        [(answers("https://app.example.com", &bearer), 200), (answers("https://app.example.com", "Bearer x"), 401)]
    {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
        assert_eq!(answer.header("vary"), Some("origin"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    for other in ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"] {
        assert!(asks(other).problem(403).contains("cors_origins"), "{other}");
        assert_eq!(asks(other).header("access-control-allow-origin"), None);
        assert_eq!(answers(other, &bearer).header("access-control-allow-origin"), None);
    }
    let metrics = [("Origin", "https://app.example.com"), ("Authorization", &bearer[..])];
    assert_eq!(server.request("GET", "/metrics", &metrics, b"").header("access-control-allow-origin"), None);
    let unset = TestServer::start();
    let none = unset.post("/graphql", &[JSON], USERS);
    assert_eq!((none.header("access-control-allow-origin"), none.header("vary")), (None, None));
    let page = [("Origin", "http://localhost:3000"), ("Access-Control-Request-Method", "POST")];
    for path in ["/graphql", "/changes"] {
        assert!(unset.request("OPTIONS", path, &page, b"").problem(403).contains("cors_origins"), "{path}");
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn by_hash(server: &TestServer, query: Option<&str>, hash: &str) -> Answer {
    let persisted = serde_json::json!({ "version": 1, "sha256Hash": hash });
    let mut body = serde_json::json!({ "extensions": { "persistedQuery": persisted } });
    if let Some(query) = query {
        body["query"] = query.into();
    }
    server.post("/graphql", &[JSON], body.to_string())
}

#[test]
fn a_document_sent_once_is_asked_for_by_its_hash_from_then_on() {
    let server = TestServer::start();
    let (query, hash) = ("{apps{appId}}", sha256("{apps{appId}}"));
    let unknown = by_hash(&server, None, &hash);
    assert_eq!((unknown.status, code(&unknown)), (200, "PERSISTED_QUERY_NOT_FOUND".into()));
    assert_eq!(unknown.json()["errors"][0]["message"], "PersistedQueryNotFound");
    assert_eq!(code(&by_hash(&server, Some("{__typename}"), &hash)), "BAD_INPUT", "another document's hash");
    assert_eq!(code(&by_hash(&server, None, &hash)), "PERSISTED_QUERY_NOT_FOUND", "and it was not kept");
    for query in [Some(query), None, None] {
        assert!(by_hash(&server, query, &hash).json()["data"]["apps"].is_array());
    }
    server.post("/graphql", &[JSON], r#"{"extensions":{}}"#).problem(400);
}

#[test]
fn with_a_list_of_documents_no_other_is_answered() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let query = "{apps{appId}}";
    std::fs::write(dir.path().join("list.json"), serde_json::json!({ sha256(query): query }).to_string()).unwrap();
    let server = TestServer::within(dir, "[graphql]\nallow_list = \"list.json\"");
    let ask = |query: &str| server.post("/graphql", &[JSON], serde_json::json!({ "query": query }).to_string());
    assert!(ask(query).json()["data"]["apps"].is_array());
    assert!(by_hash(&server, None, &sha256(query)).json()["data"]["apps"].is_array(), "the list has its text");
    for other in ["{apps{appId} }", "{__typename}", "{"] {
        assert_eq!(code(&ask(other)), "FORBIDDEN");
        assert_eq!(code(&by_hash(&server, Some(other), &sha256(other))), "FORBIDDEN");
        assert_eq!(code(&by_hash(&server, None, &sha256(other))), "PERSISTED_QUERY_NOT_FOUND");
    }
    let (exit, _, stderr) = server.run(&["serve", "--graphql-allow-list", "none.json"]);
    assert!(exit == 2 && stderr.contains("none.json"), "{stderr}");
}

/// Bodies that wait for their last byte hold what has come of them.
#[test]
fn bodies_of_one_token_leave_room_for_those_of_another() {
    let server = TestServer::start();
    let [many, other] = ["many", "other"].map(|name| format!("Bearer {}", pages::token(&server, &["--name", name])));
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: {many}\r\n\
         Content-Length: 60000\r\n\r\n"
    );
    let send = |_| {
        let mut socket = TcpStream::connect(server.address).unwrap();
        // Who is refused is cut off, perhaps before all is sent.
        let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&[b' '; 59_999]));
        socket
    };
    let ask = |bearer: &str| {
        let query = format!("{{\"query\":\"{{apps{{appId}}}}\"{}}}", " ".repeat(60_000));
        server.post("/graphql", &[JSON, ("Authorization", bearer)], query)
    };
    let (mut waiting, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    loop {
        waiting.extend((0..20).map(send));
        let refused = ask(&many);
        assert_eq!(ask(&other).status, 200, "beside {} bodies", waiting.len());
        if refused.status == 503 {
            assert!(refused.problem(503).contains("this token"), "{refused:?}");
            return;
        }
        assert!(Instant::now() < deadline, "{} bodies of 60 kB are not refused", waiting.len());
    }
}
