//! What a token of a lower scope, or of some apps, learns: no more than it may see.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::feed::{Events, message};
use support::{Answer, JSON, TestServer};

const URL: &str = "https://files.example/secret.pdf?signature=kanarie";

fn token(server: &TestServer, args: &[&str]) -> String {
    let (code, stdout, stderr) = server.run(&[&["token", "create"], args].concat());
    assert_eq!(code, 0, "{stderr}");
    format!("Bearer {}", stdout.trim())
}

fn post(server: &TestServer, token: &str, body: &Value) -> Answer {
    server.post("/graphql", &[JSON, ("Authorization", token)], body.to_string())
}

fn ask(server: &TestServer, token: &str, query: &str) -> Value {
    post(server, token, &json!({ "query": query })).json()
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

/// Delivers a message of an app; gives its log position.
fn deliver(server: &TestServer, app: &str, id: i64) -> i64 {
    let answer = server.deliver(message(id, "g").replace("\"appId\":\"a\"", &format!("\"appId\":\"{app}\"")));
    assert_eq!(answer.status, 200);
    answer.header("chatfold-seq").unwrap().parse().unwrap()
}

#[test]
fn a_state_hash_confirms_no_text_to_who_may_not_read_it() {
    let server = TestServer::start();
    deliver(&server, "a", 1);
    let metadata = token(&server, &["--name", "metadata", "--scope", "metadata"]);
    let content = token(&server, &["--name", "content", "--scope", "content"]);
    let asked = ["{status{stateHash}}", "{apps{stateHash}}", "{app{stateHash}}", "{status{lastStateHash{hash}}}"];
    for query in asked {
        let answer = ask(&server, &content, query);
        assert!(answer.get("errors").is_none() && answer.to_string().contains("ash\":\""), "{query}: {answer}");
        let answer = ask(&server, &metadata, query);
        assert_eq!(code(&answer), "FORBIDDEN", "{query}: {answer}");
        assert!(!answer["data"].to_string().contains("ash\":\""), "{answer}");
    }
    let page = |token: &str| server.request("GET", "/?hash=true", &[("Authorization", token)], b"").body;
    assert!(page(&content).contains("State hash"));
    assert!(
        !page(&metadata).contains("State hash") && !page(&metadata).contains("href=\"/?hash=true\""),
        "{}",
        page(&metadata)
    );
}

#[test]
fn a_reason_names_keys_of_maps_to_who_sees_bodies_alone() {
    let server = TestServer::start();
    let mut body: Value = serde_json::from_str(&message(1, "g")).unwrap();
    body["data"]["message"]["data"]["attachments"] = json!({ URL: 5, "b\"] [\"kanarie": 6 });
    body["data"]["message"]["muid"] = json!({});
    assert_eq!(server.deliver(body.to_string()).header("chatfold-outcome"), Some("applied"));
    let reason = |scope: &str| {
        let token = token(&server, &["--name", scope, "--scope", scope]);
        let page = server.request("GET", "/event?seq=1", &[("Authorization", &token)], b"").body;
        let list = server.request("GET", "/events", &[("Authorization", &token)], b"").body;
        let answer = ask(&server, &token, "{events{nodes{reason}}}");
        (answer["data"]["events"]["nodes"][0]["reason"].as_str().unwrap().to_owned(), page + &list)
    };
    let (admin, _) = reason("admin");
    assert!(admin.contains(URL) && admin.contains("data.message.data.attachments"), "{admin}");
    for scope in ["metadata", "content"] {
        let (told, pages) = reason(scope);
        assert!(!told.contains("kanarie") && !told.contains("https"), "{told}");
        assert!(told.contains("data.message.data.attachments") && told.contains("expected an object"), "{told}");
        assert!(told.contains("data.message.muid: expected text"), "{told}");
        assert!(!pages.contains("kanarie"), "{scope}");
    }
}

#[test]
fn a_token_of_some_apps_hears_positions_of_its_apps_alone() {
    let server = TestServer::with("[graphql]\nwait_ms = 300\n");
    let own = deliver(&server, "own", 1);
    for id in 2..40 {
        deliver(&server, "other", id);
    }
    let bound = token(&server, &["--name", "bound", "--app", "own", "--app", "unheard"]);
    let whole = token(&server, &["--name", "whole"]);
    let seq = |token: &str| {
        let answer = ask(&server, token, "{status{seq}}");
        assert_eq!(answer["data"]["status"]["seq"], answer["extensions"]["chatfold"]["seq"]);
        answer["data"]["status"]["seq"].as_str().unwrap().parse::<i64>().unwrap()
    };
    assert_eq!((seq(&bound), seq(&whole)), (own, 39));
    let nothing = token(&server, &["--name", "nothing", "--app", "unheard"]);
    assert_eq!(seq(&nothing), 0);
    // What is beyond its own newest position is not told apart by whether others reached it.
    let feed = |after: i64| {
        let answer =
            server.request("GET", &format!("/changes?appId=own&afterSeq={after}"), &[("Authorization", &bound)], b"");
        (answer.status, answer.body.replace(&after.to_string(), "N"))
    };
    assert_eq!(feed(25), feed(77));
    let (status, told) = feed(25);
    assert!(status == 400 && told.contains("newer than its newest") && !told.contains("39"), "{told}");
    let waited = |position: i64| {
        let answer =
            post(&server, &bound, &json!({ "query": "{apps{appId}}", "extensions": { "minSeq": position } })).json();
        (code(&answer).to_owned(), answer["errors"].to_string().replace(&position.to_string(), "N"))
    };
    assert_eq!(waited(25), waited(77));
    assert_eq!(waited(25).0, "TIMEOUT");
    assert_eq!(waited(own).0, "none");
    let page = server.request("GET", "/groups", &[("Authorization", &bound)], b"").body;
    assert!(page.contains(&format!("data-live>{own}<")), "{page}");
}

#[test]
fn a_token_of_some_apps_waits_for_its_own_deliveries_and_follows_them() {
    let server = TestServer::with("[graphql]\nwait_ms = 5000\n");
    deliver(&server, "own", 1);
    let bound = token(&server, &["--name", "bound", "--app", "own"]);
    for id in 2..5 {
        deliver(&server, "other", id);
    }
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let body = json!({ "query": "{status{seq}}", "extensions": { "minSeq": "7" } });
            post(&server, &bound, &body).json()
        });
        deliver(&server, "other", 5);
        deliver(&server, "other", 6);
        assert_eq!(deliver(&server, "own", 7), 7);
        deliver(&server, "other", 8);
        let answer = asking.join().unwrap();
        assert_eq!(answer["data"]["status"]["seq"], "7", "{answer}");
    });
    let header = format!("Authorization: {bound}\r\n");
    let mut events = Events::follow(&server, "/changes?afterSeq=1", &header);
    assert_eq!(events.next().0, 7);
    let mut live = Events::follow(&server, "/changes", &header);
    deliver(&server, "other", 9);
    assert_eq!(deliver(&server, "own", 10), 10);
    assert_eq!((events.next().0, live.next().0), (10, 10));
}

#[test]
fn why_is_linked_for_who_may_see_it_alone() {
    let server = TestServer::with_story("demo");
    let pages = [
        "/",
        "/groups",
        "/group?guid=hikers",
        "/users",
        "/events",
        "/event?seq=1",
        "/event?seq=5",
        "/calls",
        "/conversations",
    ];
    let shown = |token: &str, path: &str| server.request("GET", path, &[("Authorization", token)], b"").body;
    let admin = token(&server, &["--name", "admin", "--scope", "admin"]);
    assert!(shown(&admin, "/users?appId=2489f0demo01").contains("href=\"/why"));
    let uid =
        ask(&server, &admin, "{users(appId:\"2489f0demo01\"){nodes{uid}}}")["data"]["users"]["nodes"][0]["uid"].clone();
    let id = ask(&server, &admin, "{messages(appId:\"2489f0demo01\"){nodes{messageId}}}")["data"]["messages"]["nodes"]
        [0]["messageId"]
        .clone();
    let guid =
        ask(&server, &admin, "{groups(appId:\"2489f0demo01\"){nodes{guid}}}")["data"]["groups"]["nodes"][0]["guid"]
            .clone();
    let mut pages: Vec<String> = pages.iter().map(|path| (*path).to_owned()).collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    pages.push(format!("/user?uid={}", text(&uid)));
    pages.push(format!("/message?messageId={}", text(&id)));
    pages.push(format!("/group?guid={}", text(&guid)));
    pages.push("/call?sessionId=night-shift-debrief".to_owned());
    for path in &pages {
        let path = if path.contains('?') {
            format!("{path}&appId=2489f0demo01")
        } else {
            format!("{path}?appId=2489f0demo01")
        };
        assert!(shown(&admin, &path).contains("href=\"/why"), "{path}");
    }
    for scope in ["metadata", "content"] {
        let token = token(&server, &["--name", scope, "--scope", scope]);
        for path in &pages {
            let path = if path.contains('?') {
                format!("{path}&appId=2489f0demo01")
            } else {
                format!("{path}?appId=2489f0demo01")
            };
            let page = shown(&token, &path);
            assert!(page.contains("<h1>") && !page.contains("/why"), "{scope} {path}: {page}");
        }
        assert!(!shown(&token, "/why").contains("<form class=\"filter\""), "{scope}");
    }
}
