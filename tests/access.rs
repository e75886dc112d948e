//! Who may read, by which rule, and what a GraphQL request must look like.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::feed::Client;
use support::pages::token;
use support::{Answer, JSON, TestServer, WEBHOOK};

const PAST_THE_DOOR: &str = "[]";
const CREDENTIALS: &str = "webhook_username = \"vendor\"\nwebhook_password = \"sesame\"";

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

/// The number with which a websocket is closed that greets without a token.
fn refused(server: &TestServer) -> u16 {
    let mut client = Client::connect(server);
    client.say(&serde_json::json!({"type": "connection_init"}));
    client.closed()
}

/// Asks each route that reads, and posts a delivery.
fn each(server: &TestServer, headers: &[(&str, &str)]) -> Vec<(&'static str, Answer)> {
    let reads = [
        "/changes?afterSeq=x",
        "/metrics",
        "/",
        "/events",
        "/live",
        "/sign-in",
        "/assets/console.css",
        "/graphql/graphiql.js",
    ];
    let mut answers: Vec<_> = reads.map(|path| (path, server.request("GET", path, headers, b""))).into();
    answers.push(("GraphiQL", server.request("GET", "/graphql", &[headers, &[("Accept", "text/html")]].concat(), b"")));
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    answers.push(("websocket", server.request("GET", "/graphql", &[headers, &upgrade].concat(), b"")));
    answers.push(("GET /graphql", server.request("GET", "/graphql?query=%7B__typename%7D", headers, b"")));
    answers.push(("POST /graphql", server.post("/graphql", &[headers, &[JSON]].concat(), PAST_THE_DOOR)));
    answers.push(("webhook", server.post(WEBHOOK, &[headers, &[JSON]].concat(), PAST_THE_DOOR)));
    answers
}

#[test]
fn what_a_proxy_adds_is_refused_on_every_route() {
    let server = TestServer::start();
    for name in [
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF-Ray",
        "Fastly-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
        "Forwarded-For",
        "X-Vercel-Forwarded-For",
        "Fly-Forwarded-Proto",
        "X-NginX-Proxy",
        "X-Envoy-External-Address",
        "X-Amzn-Trace-Id",
        "CDN-Loop",
        "Tailscale-User-Login",
    ] {
        for (what, answer) in each(&server, &[(name, "203.0.113.7")]) {
            let detail = answer.problem(403);
            assert!(detail.to_lowercase().contains(&name.to_lowercase()), "{name} {what}: {detail}");
        }
    }
}

#[test]
fn another_site_gets_nothing_in_a_readers_browser_but_may_link_here() {
    let server = TestServer::start();
    let image = [("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")];
    let frame = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")];
    for site in ["cross-site", "same-site"] {
        for how in [image, frame] {
            for (what, answer) in each(&server, &[&how[..], &[("Sec-Fetch-Site", site)]].concat()) {
                assert!(answer.problem(403).contains("another site"), "{site} {how:?} {what}");
            }
        }
    }
    let link = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    for (site, how) in [("cross-site", link), ("same-site", link), ("same-origin", image), ("none", image)] {
        let page = server.request("GET", "/groups", &[&how[..], &[("Sec-Fetch-Site", site)]].concat(), b"");
        assert_eq!(page.status, 200, "{site} {how:?}");
    }
    // A page of this machine that asks by script says where it is from.
    let script =
        [("Origin", "http://localhost:3000"), ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors"), JSON];
    assert_eq!(server.post("/graphql", &script, r#"{"query":"{__typename}"}"#).status, 200);
    // With a token it is the token that counts.
    let bearer = format!("Bearer {}", token(&server, &["--name", "me"]));
    let asked = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors"), ("Authorization", &bearer)];
    assert_eq!(server.request("GET", "/metrics", &asked, b"").status, 200);
}

#[test]
fn http_below_1_1_is_refused() {
    let server = TestServer::start();
    for path in ["/metrics", "/changes", "/groups", "/graphql", "/assets/console.css"] {
        let answer = server.raw(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"));
        assert!(answer.problem(403).contains("HTTP/1.1"), "{path}");
    }
    for path in [WEBHOOK, "/graphql"] {
        let head = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 2";
        let answer = server.raw(format!("POST {path} HTTP/1.0\r\n{head}\r\n\r\n[]"));
        assert!(answer.problem(403).contains("HTTP/1.1"), "{path}");
    }
    let answer = server.raw("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 200, "open to all");
}

#[test]
fn with_webhook_credentials_every_reader_needs_a_token() {
    let server = TestServer::with(CREDENTIALS);
    let open = ["/sign-in", "/assets/console.css", "/graphql/graphiql.js", "GraphiQL", "/", "/events"];
    for (what, answer) in each(&server, &[]) {
        match what {
            // The pages where a token is typed; those of the console lead there.
            _ if open.contains(&what) => {
                assert!(answer.status == 200 && !answer.body.contains("Log position"), "{what}: {answer:?}");
            }
            "webhook" => assert!(answer.problem(401).contains("webhook credentials")),
            // The first message of a websocket may bring the token.
            "websocket" => assert!(answer.problem(400).contains("Sec-WebSocket-Protocol")),
            _ => assert!(answer.problem(401).contains("chatfold token create"), "{what}"),
        }
    }
    assert_eq!(refused(&server), 4403, "a websocket that brings no token");
    let bearer = format!("Bearer {}", token(&server, &["--name", "me"]));
    assert_eq!(server.request("GET", "/metrics", &[("Authorization", &bearer)], b"").status, 200);
}

#[test]
fn credentials_that_are_read_anew_ask_every_reader_for_a_token() {
    let server = TestServer::start();
    assert_eq!(server.get("/metrics").status, 200);
    let mut follower = Client::greeted(&server);
    server.reload(CREDENTIALS);
    server.wait_for_log("read the webhook credentials again");
    server.get("/metrics").problem(401);
    assert_eq!(follower.closed(), 4403, "who read without a token before");
}

#[test]
fn the_start_says_who_reads() {
    let said = |server: TestServer, words: &str| server.wait_for_log(words);
    said(TestServer::start(), "reading is open to everybody who reaches this port");
    let mut server = TestServer::with(CREDENTIALS);
    server.wait_for_log("nobody can read yet");
    token(&server, &["--name", "me"]);
    server.sigterm();
    let server = TestServer::within(server.dir(), CREDENTIALS);
    assert_eq!(server.get("/readyz").status, 200);
    assert!(!server.log().contains("read yet") && !server.log().contains("reading is open"), "{}", server.log());
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
