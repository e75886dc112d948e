//! The console's pages over real HTTP: who may see them, what they show, and that nothing said in a delivery leaves its
//! place.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::pages::{cookie, sign_in, token, with};
use support::{Answer, JSON, TestServer};

const APP: &str = "2489f0demo01";
const OTHER: &str = "2489f0demo02";

/// Addresses of this server that a page links to.
fn links(html: &str) -> BTreeSet<String> {
    let hrefs = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let own = hrefs.filter(|href| href.starts_with('/') && !href.starts_with("/assets/"));
    let own = own.map(|href| href.replace("&amp;", "&").replace("&#38;", "&").replace("&#39;", "'"));
    // A browser keeps the fragment to itself.
    own.map(|href| href.split('#').next().unwrap_or_default().to_owned())
        // Files, and spans up to now: as many as there are pages.
        .filter(|href| {
            !["format=", "After=1h", "After=24h", "After=7d", "After=today"].iter().any(|it| href.contains(it))
        })
        .collect()
}

/// Every page that can be reached by links alone, each asked once.
fn crawl(server: &TestServer, cookie: Option<&str>, most: usize) -> Vec<(String, Answer)> {
    let mut known: BTreeSet<String> = BTreeSet::from(["/".to_owned()]);
    let mut waiting = vec!["/".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop() {
        let headers: Vec<(&str, &str)> = cookie.iter().map(|cookie| ("Cookie", *cookie)).collect();
        let answer = server.request("GET", &path, &headers, b"");
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            for link in links(&answer.body) {
                if !link.starts_with("/graphql") && known.len() < most && known.insert(link.clone()) {
                    waiting.push(link);
                }
            }
        }
        seen.push((path, answer));
    }
    seen
}

#[test]
fn every_page_is_reached_by_clicks_alone_and_no_link_is_dead() {
    let server = TestServer::with_story("demo");
    let pages = crawl(&server, None, 1_500);
    for (path, answer) in &pages {
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.body.contains("<h1>"), "{path}");
    }
    let kinds: BTreeSet<&str> = pages.iter().map(|(path, _)| path.split('?').next().unwrap()).collect();
    for page in chatfold::console::PAGES {
        assert!(kinds.contains(page.path), "nothing leads to {}", page.path);
    }
}

#[test]
fn pages_allow_nothing_but_their_own_style_and_script() {
    let server = TestServer::with_story("demo");
    for (path, answer) in crawl(&server, None, 60) {
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}"));
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(
            (answer.header("cache-control"), answer.header("x-content-type-options")),
            (Some("no-store"), Some("nosniff"))
        );
        assert!(
            !answer.body.contains("<style") && !answer.body.contains(" style=") && !answer.body.contains(" onclick"),
            "{path}"
        );
        assert_eq!(answer.body.matches("<script").count(), 1, "{path}");
    }
    for (name, kind) in [("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
    {
        let answer = server.get(&format!("/assets/{name}"));
        assert!(answer.status == 200 && answer.header("content-type").unwrap().starts_with(kind), "{name}");
    }
    assert_eq!(server.get("/assets/../Cargo.toml").status, 404);
}

#[test]
fn without_a_token_pages_answer_this_machine_only() {
    let server = TestServer::with_story("demo");
    assert_eq!(server.get("/groups").status, 200);
    for header in [("Host", "chat.example"), ("X-Forwarded-For", "1.2.3.4"), ("Via", "1.1 proxy")] {
        for path in ["/", "/groups", "/live", "/sign-in"] {
            assert_eq!(server.request("GET", path, &[header], b"").status, 403, "{path} with {header:?}");
        }
    }
}

#[test]
fn a_token_of_one_app_sees_nothing_of_the_other_on_any_page() {
    let server = TestServer::with_story("demo");
    let all = token(&server, &["--name", "all", "--scope", "admin"]);
    let one = token(&server, &["--name", "one", "--app", OTHER, "--scope", "admin"]);
    let all = cookie(&sign_in(&server, &all, "/", None));
    let one = cookie(&sign_in(&server, &one, "/", None));
    let (everything, mine) = (crawl(&server, Some(&all), 1_500), crawl(&server, Some(&one), 1_500));
    assert!(mine.len() > 10 && everything.len() > mine.len());
    let theirs = ["reading-circle", "Reading circle", "Mira Halonen", "Tomás Vrba", APP];
    assert!(theirs.iter().all(|it| everything.iter().any(|(_, answer)| answer.body.contains(it))));
    for (path, answer) in &mine {
        let leaked = theirs.iter().find(|it| answer.body.contains(*it));
        assert_eq!(leaked, None, "{path}");
    }
    // Nor by the addresses of the other's pages.
    for (path, _) in everything.iter().filter(|(path, _)| path.contains(APP)) {
        let answer = with(&server, path, &one);
        let body = answer.body.replace(APP, "");
        assert!(theirs[..4].iter().all(|it| !body.contains(it) || path.contains(it)), "{path}: {body}");
        // Pages that ask for nothing of an app as yet are forms, and one page is about the server.
        let asks = !["/why?appId=", "/search?appId=", "/health?appId="].iter().any(|form| path.starts_with(form))
            || path.contains('&');
        assert!(answer.status >= 400 || !asks || body.contains("may not read"), "{path}: {}", answer.status);
    }
}

#[test]
fn what_was_said_is_not_on_the_pages_of_who_may_not_see_it() {
    let server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "few", "--scope", "metadata"]);
    let cookie = cookie(&sign_in(&server, &token, "/", None));
    let pages = crawl(&server, Some(&cookie), 1_500);
    assert!(
        pages.iter().any(|(path, answer)| path.starts_with("/conversation?") && answer.body.contains("Mira Halonen"))
    );
    for (path, answer) in pages {
        for said in ["The comet rises", "I bring the tripod", "Coffee for six", "frame-001.jpg", "Can you lead"] {
            assert!(!answer.body.contains(said), "{path} tells {said:?}");
        }
    }
}

/// Reads an open stream until it has said something, has ended, or has had time enough.
fn next_line(socket: &mut TcpStream, buffer: &mut String, wanted: &str) -> bool {
    let mut bytes = [0; 4096];
    let deadline = Instant::now() + Duration::from_secs(15);
    while !buffer.contains(wanted) {
        // Signs of life keep coming.
        if Instant::now() > deadline {
            return false;
        }
        match socket.read(&mut bytes) {
            Ok(0) | Err(_) => return false,
            Ok(read) => buffer.push_str(&String::from_utf8_lossy(&bytes[..read])),
        }
    }
    true
}

fn follow(server: &TestServer, cookie: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    socket
        .write_all(format!("GET /live HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", server.address).as_bytes())
        .unwrap();
    (socket, String::new())
}

fn deliver(server: &TestServer, app: &str, n: u32) -> String {
    let body = json!({ "trigger": "group_created", "appId": app, "data": { "group": { "guid": format!("n{n}"), "createdAt": 1_767_600_000 + n } } });
    let answer = server.deliver(body.to_string());
    assert_eq!(answer.status, 200);
    answer.header("chatfold-seq").unwrap().to_owned()
}

#[test]
fn an_open_page_hears_of_news_of_its_apps_until_its_token_is_revoked() {
    let server = TestServer::start();
    deliver(&server, APP, 0);
    deliver(&server, OTHER, 0);
    let token = token(&server, &["--name", "live", "--app", APP]);
    let cookie = cookie(&sign_in(&server, &token, "/", None));
    let (mut socket, mut heard) = follow(&server, &cookie);
    assert!(next_line(&mut socket, &mut heard, "data: 1\n"), "{heard}");
    let theirs = deliver(&server, OTHER, 1);
    // Long enough for news of it to be told by itself.
    std::thread::sleep(Duration::from_secs(2));
    let own = deliver(&server, APP, 1);
    assert!(next_line(&mut socket, &mut heard, &format!("data: {own}\n")), "{heard}");
    assert!(!heard.contains(&format!("data: {theirs}\n")), "{heard}");
    assert_eq!(server.run(&["token", "revoke", "live"]).0, 0);
    deliver(&server, APP, 2);
    assert!(!next_line(&mut socket, &mut heard, "data: 5\n"), "{heard}");
    assert_eq!(with(&server, "/live", &cookie).status, 401);
}

/// The same text in every field that a page could show.
fn hostile(body: &mut Value, text: &str) {
    match body {
        Value::Object(members) => {
            let keep = [
                "trigger",
                "appId",
                "guid",
                "uid",
                "id",
                "category",
                "receiverType",
                "type",
                "receiver",
                "sender",
                "conversationId",
                "owner",
                "action",
                "scope",
                "newScope",
                "oldScope",
                "sessionId",
            ];
            for (key, value) in members.iter_mut().filter(|(key, _)| !keep.contains(&key.as_str())) {
                match value {
                    Value::String(it) if !it.parse::<f64>().is_ok_and(f64::is_finite) => *it = text.to_owned(),
                    // An id that is a key of a map is a person's.
                    _ if key.len() < 2 => {}
                    other => hostile(other, text),
                }
            }
            for key in ["sender", "receiver", "type"] {
                if let Some(value) = members.get_mut(key).filter(|it| it.is_object()) {
                    hostile(value, text);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hostile(item, text)),
        _ => {}
    }
}

#[test]
fn hostile_text_changes_nothing_around_it() {
    let text = format!(
        "</bdi></title></pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>\u{202e}{}",
        "x".repeat(10_000)
    );
    // What is shown is looked at, not how soon: a busy machine may take long for the long texts.
    let server = TestServer::with("query_timeout_ms = 60000");
    let mut posted = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stories/demo")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "json") {
            let mut body: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            hostile(&mut body["data"], &text);
            posted += u32::from(server.deliver(body.to_string()).header("chatfold-outcome") == Some("applied"));
        }
    }
    // Ids may be anything, too.
    let id = "</a><script>alert(4)</script>\"'&../?#%";
    for (n, data) in (0..).zip([
        json!({ "group": { "guid": id, "name": text, "owner": id, "createdAt": 1_767_600_000 } }),
        json!({ "message": { "id": "77", "conversationId": id, "sender": id, "receiver": id, "receiverType": "user", "category": "message", "type": "text", "sentAt": 1_767_600_000, "data": { "text": text, "entities": { "sender": { "entityType": "user", "entity": { "uid": id, "name": text } } } } } }),
    ]) {
        let trigger = ["group_created", "message_sent"][n];
        let answer = server.deliver(json!({ "trigger": trigger, "appId": APP, "data": data }).to_string());
        assert_eq!(answer.header("chatfold-outcome"), Some("applied"), "{}", answer.body);
    }
    assert!(posted > 60, "only {posted} are applied");
    let pages = crawl(&server, None, 400);
    assert!(pages.len() > 100, "{}", pages.len());
    for (path, answer) in pages {
        assert_eq!(answer.status, 200, "{path}");
        let html = &answer.body;
        for raw in ["<script>", "<img", "<svg/", "\u{202e}</", "</bdi></title>"] {
            assert!(!html.contains(raw), "{path} has {raw}");
        }
        assert_eq!(html.matches("<bdi").count(), html.matches("</bdi>").count(), "{path}");
        assert_eq!(html.matches("<main").count(), 1, "{path}");
    }
}

#[test]
fn a_copy_is_shown_and_never_written_while_the_original_is() {
    let server = TestServer::with_story("demo");
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", server.db().display());
        std::fs::copy(from, format!("{}{suffix}", copy.display())).unwrap();
    }
    let before = (std::fs::read(&copy).unwrap(), std::fs::read(format!("{}-wal", copy.display())).unwrap());
    let looking = TestServer::open(&copy);
    deliver(&server, APP, 7);
    let groups = looking.get(&format!("/groups?appId={APP}"));
    assert!(
        groups.status == 200 && groups.body.contains("Night shift") && !groups.body.contains("n7"),
        "{}",
        groups.body
    );
    assert!(server.get(&format!("/groups?appId={APP}")).body.contains("n7"));
    assert_eq!(looking.post("/graphql", &[JSON], r#"{"query":"{apps{appId}}"}"#).status, 200);
    let refused = looking.deliver(r#"{"trigger":"t","appId":"a","data":{}}"#);
    assert!(refused.problem(503).contains("only reads the file"));
    assert_eq!(looking.request("GET", "/", &[("Host", "chat.example")], b"").status, 403);
    drop(looking);
    assert!(
        before == (std::fs::read(&copy).unwrap(), std::fs::read(format!("{}-wal", copy.display())).unwrap()),
        "the copy is as it was"
    );
    let (code, _, stderr) = support::chatfold(&["open", copy.to_str().unwrap(), "--listen", "0.0.0.0:0"]);
    assert!(code == 2 && stderr.contains("loopback"), "{stderr}");
    let (code, _, stderr) = support::chatfold(&["open", "nothing.db"]);
    assert!(code == 1 && stderr.contains("there is no file"), "{stderr}");
}

#[test]
fn a_letter_cut_in_two_is_a_clear_error_wherever_a_time_is_read() {
    let server = TestServer::with_story("demo");
    // Each byte of a time in turn gives way to a letter of two bytes, which then lies across the place of the next.
    for whole in ["2026-01-05T09:30", "2026-01-05T09:30:00", "2026-01-05T09:30:00.250Z", "2026-01-05T09:30:00+01:00"] {
        for at in 0..=whole.len() {
            for cut in [at, (at + 1).min(whole.len())] {
                let text = format!("{}é{}", &whole[..at], &whole[cut..]);
                let encoded = text.replace('é', "%C3%A9").replace('+', "%2B");
                let page = server.get(&format!("/group?appId={APP}&guid=night-shift&asOf={encoded}"));
                assert!(page.status == 400 && page.body.contains("asOf"), "{text}: {}", page.status);
            }
        }
    }
    let cut = "2026-01-05T09:30:0%C3%A9";
    for path in ["/events?receivedAfter=", "/events?receivedBefore=", "/calls?startedAfter=", "/calls?startedBefore="] {
        let page = server.get(&format!("{path}{cut}&appId={APP}"));
        assert!(page.status == 400 && page.body.contains("RFC 3339"), "{path}: {} {}", page.status, page.body);
    }
    for text in ["2026-01-05T09:30:0é", "2026-01-05T09:30:00.é", "2026-01-05T09:30:00+01:0é"] {
        let query = json!({ "query": format!("{{groups(appId:\"{APP}\",first:1){{nodes{{members(asOf:\"{text}\"){{nodes{{uid}}}}}}}}}}") });
        let answer = server.post("/graphql", &[JSON], query.to_string());
        assert!(answer.status == 200 && answer.body.contains("RFC 3339"), "{answer:?}");
        let (code, _, stderr) = server.run(&["events", "--since", text]);
        assert!(code == 2 && stderr.contains("expected 2d"), "{code} {stderr}");
        let (code, _, stderr) = server.run(&["token", "create", "--name", "x", "--expires", text]);
        assert!(code == 2 && stderr.contains("--expires"), "{code} {stderr}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn an_empty_file_shows_the_curl_line_that_makes_the_first_delivery() {
    let server = TestServer::start();
    let page = server.get("/").body;
    let line = page.split("-d &#39;").nth(1).or(page.split("-d '").nth(1)).unwrap();
    let body = line.split("'</pre>").next().unwrap().replace("&quot;", "\"");
    let answer = server.deliver(&body);
    assert_eq!((answer.status, answer.header("chatfold-outcome")), (200, Some("applied")), "{body}");
    assert!(server.get("/groups").body.contains("Hikers"));
}

#[test]
fn a_time_that_no_delivery_tells_is_marked_on_the_pages() {
    let server = TestServer::start();
    let seconds = chatfold::clock::now().0 / 1000;
    for (trigger, data) in [
        ("group_created", json!({ "group": { "guid": "g", "name": "G", "createdAt": seconds }, "members": {} })),
        ("group_deleted", json!({ "group": { "guid": "g", "name": "G", "createdAt": seconds } })),
        (
            "user_connection_status_changed",
            json!({ "user": { "uid": "ann" }, "status": "online", "userPresenceChanged": true }),
        ),
        (
            "message_deleted",
            json!({ "message": { "id": "7", "sender": "ann", "receiver": "g", "receiverType": "group",
            "category": "message", "type": "text", "sentAt": seconds, "data": { "text": "hello" } } }),
        ),
    ] {
        let body = json!({ "trigger": trigger, "appId": APP, "webhook": "w", "data": data });
        let answer = server.deliver(body.to_string());
        assert_eq!(answer.header("chatfold-outcome"), Some("applied"), "{body}");
    }
    for (path, marks) in [("/group?guid=g", 1), ("/user?uid=ann", 2), ("/message?messageId=7", 1)] {
        let page = server.get(path);
        assert_eq!(page.body.matches("time of arrival").count(), marks, "{path}: {}", page.body);
    }
}
