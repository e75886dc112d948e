//! The console's pages about the log: events, why, calls, search and the cookbook.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use chatfold::console::{self, Params, Reader};
use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::TokenScope;
use harness::{Harness, NOON};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::TestServer;

const APP: &str = "2489f0demo01";
const OTHER: &str = "2489f0demo02";
const PATHS: [&str; 7] = ["/events", "/event", "/why", "/search", "/calls", "/call", "/ask"];

fn demo() -> Vec<Value> {
    harness::story("demo").iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

fn with(bodies: &[Value]) -> TestServer {
    let server = TestServer::start();
    for body in bodies {
        assert_eq!(server.deliver(body.to_string()).status, 200);
    }
    server
}

#[test]
fn each_page_shows_the_demo_story() {
    let server = with(&demo());
    for (path, told) in [
        (
            "/events",
            vec![r##"href="/event?appId=2489f0demo01&amp;seq=68""##, "call:night-shift-debrief", "data-live", "Next →"],
        ),
        ("/events?triggers=group_member_kicked", vec!["#31", "membership:night-shift/anders"]),
        ("/events?outcomes=IGNORED", vec!["push-notification-payload-generated"]),
        ("/events?about=anders&triggers=user_blocked", vec!["#32"]),
        ("/events?about=nobody", vec!["No event", "membership:GUID/UID"]),
        ("/events?bodyContains=Coffee+for+sixe", vec!["#16"]),
        ("/events?receivedAfter=2099-01-01T00:00", vec!["No event", "2099-01-01T00:00"]),
        (
            "/event?seq=31",
            vec!["← #30", "#32 →", "joined as participant", "kicked", "Also about it", "Copy as curl", "--data-binary"],
        ),
        ("/event?seq=4", vec!["<th scope=\"row\">"]),
        ("/event?seq=1", vec!["#2 →"]),
        ("/why", vec!["group:GUID", "entity=group%3A"]),
        ("/why?entity=membership:night-shift/anders", vec!["agrees", "banned", "seq=33", "Its group", "Its person"]),
        ("/why?entity=message:2005", vec!["data.text", "Coffee for sixe", "stood until", "/message?"]),
        ("/why?entity=call:night-shift-debrief", vec!["call_participants", "/call?"]),
        ("/why?entity=room:7", vec!["room:7: expected group:GUID"]),
        ("/why?entity=group:nothing", vec!["Nothing is known of"]),
        ("/calls", vec!["night-shift-debrief", "20 min 2 s", "rejected", "Mira Halonen"]),
        ("/calls?kinds=MEETING&statuses=ENDED", vec!["night-shift-debrief"]),
        ("/calls?uid=yuki&kinds=CALL", vec!["rejected"]),
        ("/calls?guid=night-shift", vec!["No call or meeting"]),
        (
            "/call?sessionId=night-shift-debrief",
            vec![
                "<rect",
                "Yuki Arakawa",
                "rel=\"noopener noreferrer\"",
                "tr-7f41c0",
                "entity=call%3Anight-shift-debrief",
            ],
        ),
        ("/call?sessionId=v1.eu.2489f0demo01.1767985380e77b204", vec!["Announced by the message"]),
        ("/search", vec!["Whatever you have at hand"]),
        ("/search?q=night", vec!["/group?appId=2489f0demo01&amp;guid=night-shift"]),
        ("/search?q=2005", vec!["/message?", "Coffee for six"]),
        ("/search?q=%2317", vec!["message_edited"]),
        ("/search?q=17", vec!["message_edited"]),
        ("/search?q=coffee", vec!["Coffee for six"]),
        ("/search?q=mira", vec!["Mira Halonen", "/user?"]),
        ("/search?q=night-shift-debrief", vec!["/call?"]),
        ("/search?q=%22coffee+OR+%28%2A", vec!["Nothing is found for"]),
        ("/ask", vec!["/graphql?query=", "<details>", "2489f0demo01"]),
    ] {
        let mark = if path.contains('?') { '&' } else { '?' };
        let page = server.get(&format!("{path}{mark}appId={APP}"));
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        // Links are escaped in two ways.
        let body = page.body.replace("&#38;", "&amp;");
        for text in told {
            assert!(body.contains(text), "{path} lacks {text}: {body}");
        }
        // The head of a page names the other app, to switch to it.
        let (_, below) = page.body.split_once("</header>").unwrap();
        assert!(!below.contains(OTHER) && !page.body.contains(" style="), "{path}");
    }
    for (path, status) in [
        (format!("/event?appId={APP}&seq=74"), 404),
        (format!("/event?appId={APP}&seq=x"), 400),
        (format!("/call?appId={APP}&sessionId=none"), 404),
        (format!("/call?appId={APP}&id=none"), 404),
        ("/events".to_owned(), 200),
    ] {
        assert_eq!(server.get(&path).status, status, "{path}");
    }
    assert!(server.get("/events").body.contains("Which app?"));
}

#[test]
fn an_event_page_tells_each_change_and_each_reason_once() {
    let server = with(&demo());
    let kicked = server.get(&format!("/event?seq=31&appId={APP}")).body;
    assert!(kicked.contains("joined as participant") && !kicked.contains("Membership of"), "{kicked}");
    let sent = server.get(&format!("/event?seq=7&appId={APP}")).body;
    let (_, changed) = sent.split_once("message:2001</bdi></caption>").unwrap();
    assert!(
        changed.split_once("<th scope=\"row\">").unwrap().1.contains(">Text</"),
        "the text stands first: {changed}"
    );
    assert_eq!(sent.matches("No value was known before").count(), 1, "{sent}");
    assert!(!changed.contains("data-th=\"Before\"") && kicked.contains("data-th=\"Before\""), "{sent}");
}

/// Markup, quotes, a turn of direction.
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}";
/// What says how the rest is to be read.
const PLAIN: [&str; 13] = [
    "trigger",
    "appId",
    "receiverType",
    "category",
    "type",
    "action",
    "status",
    "scope",
    "newScope",
    "oldScope",
    "audio_call",
    "startTime",
    "duration",
];

/// Every text of a delivery, ids too, with something hostile behind it.
fn spoil(value: &mut Value, long: bool) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut().filter(|(key, _)| !PLAIN.contains(&key.as_str())) {
                match member {
                    Value::String(text) if long && matches!(key.as_str(), "name" | "text") => {
                        text.push_str(&HOSTILE.repeat(10_000 / HOSTILE.len()));
                    }
                    Value::String(text) => text.push_str(HOSTILE),
                    other => spoil(other, long),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, long)),
        _ => {}
    }
}

/// The pages of ours that a page leads to.
fn links(html: &str) -> Vec<String> {
    let hrefs = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let hrefs = hrefs.map(|href| href.replace("&amp;", "&").replace("&#38;", "&"));
    hrefs.filter(|href| !href.contains("format=") && PATHS.contains(&href.split('?').next().unwrap())).collect()
}

#[test]
fn what_was_said_stays_in_its_place() {
    let mut bodies = demo();
    for (at, body) in bodies.iter_mut().enumerate() {
        spoil(body, at % 3 == 0);
    }
    bodies.push(json!({ "trigger": format!("t{HOSTILE}"), "appId": APP, "data": { "x": HOSTILE } }));
    bodies.push(json!({ "trigger": "group_updated", "appId": APP, "data": { "group": HOSTILE } }));
    let server = with(&bodies);
    let quoted = console::href("/search", [("appId", APP), ("q", HOSTILE)]);
    let why = console::href("/why", [("appId", APP), ("entity", HOSTILE)]);
    let mut waiting = vec![quoted, why];
    waiting.extend(PATHS.iter().map(|path| format!("{path}?appId={APP}")));
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut shown = 0;
    while let Some(path) = waiting.pop() {
        let page = server.get(&path);
        assert!([200, 404, 400].contains(&page.status), "{path}: {}", page.body);
        shown += usize::from(page.status == 200);
        assert_eq!(page.body.matches("<script").count(), 1, "{path}");
        assert!(!page.body.contains("<img") && !page.body.contains("javascript:"), "{path}");
        // Within a tag it is quoted.
        for tag in page.body.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
            assert!(!tag.split('"').step_by(2).any(|outside| outside.contains("onerror")), "{path}: <{tag}>");
        }
        for pre in page.body.split("<pre").skip(1).map(|rest| rest.split("</pre>").next().unwrap()) {
            assert!(!pre.contains('\u{202e}'), "{path}");
        }
        for link in links(&page.body) {
            if seen.len() < 250 && seen.insert(link.clone()) {
                waiting.push(link);
            }
        }
    }
    assert!(shown > 100, "only {shown} pages");
}

fn api(harness: &Harness) -> Api {
    Api::open(&harness.path(), console::limits(&Limits::default())).unwrap()
}

/// Sees everything.
fn reader() -> Reader {
    Reader { scope: TokenScope::Admin, ..Reader::default() }
}

fn ask(api: &Api, page: &console::Page, query: &str, scope: TokenScope) -> Value {
    let mut variables = page.variables(&Params::parse(query));
    page.within(scope, &mut variables);
    let variables = async_graphql::Variables::from_json(Value::Object(variables));
    let caller = Caller { scope, ..Caller::default() };
    let asked = async_graphql::Request::new(page.document).variables(variables);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(api.execute(asked, caller))
}

/// A group whose every event is about the same few things, `count` times over.
fn busy(count: i64) -> Harness {
    let harness = Harness::new();
    let post = |trigger: &str, second: i64, data: Value| {
        let body = json!({ "trigger": trigger, "appId": "app", "webhook": "w", "region": "eu", "data": data });
        harness.post(&body.to_string(), NOON + second * 1000);
    };
    let group = |second: i64| json!({ "guid": "g", "name": "Group", "updatedAt": NOON / 1000 + second });
    for n in 0..count {
        let (uid, at) = (format!("u{n}"), NOON / 1000 + n);
        let user = json!({ "uid": uid, "name": format!("User {n}") });
        post("group_member_joined", n, json!({ "members": { (uid.clone()): user }, "group": group(n) }));
        post("group_member_joined", n, json!({ "members": { "ann": { "uid": "ann" } }, "group": group(n) }));
        for (conversation, receiver, kind) in
            [("group_g".to_owned(), "g", "group"), (format!("ann_user_{uid}"), "ann", "user")]
        {
            let id = format!("{}{n}", if kind == "group" { 1 } else { 2 });
            let message = json!({ "id": id, "conversationId": conversation, "sender": uid, "receiver": receiver, "receiverType": kind, "category": "message", "type": "text", "sentAt": at, "data": { "text": "hi" } });
            post("message_sent", n, json!({ "message": message }));
        }
        post("meeting_started", n, json!({ "created_at": at, "sessionId": format!("s{n}") }));
        let occupant = json!({ "joined_at": at, "name": uid, "uid": uid });
        post("meeting_participant_joined", n, json!({ "occupant": occupant, "sessionId": format!("s{n}") }));
        let occupant = json!({ "joined_at": at, "name": uid, "uid": uid });
        post("meeting_participant_joined", n, json!({ "occupant": occupant, "sessionId": "s0" }));
    }
    harness
}

#[test]
fn statements_do_not_grow_with_rows() {
    let (few, many) = (busy(4), busy(60));
    let apis = [api(&few), api(&many)];
    for (path, query) in [
        ("/", ""),
        ("/groups", ""),
        ("/group", "guid=g"),
        ("/group", "guid=g&asOf=2030-01-01T00:00:00Z"),
        ("/users", ""),
        ("/user", "uid=ann"),
        ("/conversations", ""),
        ("/conversation", "conversationId=group_g"),
        ("/events", ""),
        ("/events", "about=ann"),
        ("/event", "seq=8"),
        ("/why", ""),
        ("/why", "entity=group:g"),
        ("/why", "entity=membership:g/ann"),
        ("/why", "entity=call:s0"),
        ("/calls", ""),
        ("/calls", "uid=u1&guid=g"),
        ("/call", "sessionId=s0"),
        ("/search", "q=User"),
        ("/ask", ""),
    ] {
        let page = console::page(path).unwrap();
        let [few, many] = apis.each_ref().map(|api| {
            let before = api.statements();
            let answer = ask(api, page, query, TokenScope::Admin);
            assert!(answer.get("errors").is_none(), "{path}?{query}: {answer}");
            assert_eq!(page.render(Params::parse(query), &reader(), answer).status, 200);
            api.statements() - before
        });
        // People of another page of a list are one look-up more, however many they are.
        assert!((few..=few + 1).contains(&many), "{path}?{query}: {few}, {many}");
        assert!(many <= 60, "{path}?{query}: {many}");
    }
}

#[test]
fn a_token_sees_what_its_scope_shows_and_no_complaint() {
    let harness = Harness::new();
    for body in demo().iter().filter(|body| body["appId"] == APP) {
        harness.post(&body.to_string(), NOON);
    }
    let api = api(&harness);
    let show = |path: &str, query: &str, scope: TokenScope| {
        let page = console::page(path).unwrap();
        let answer = ask(&api, page, query, scope);
        assert!(answer.get("errors").is_none(), "{path}?{query}: {answer}");
        page.render(Params::parse(query), &Reader { signed_in: true, scope, ..Reader::default() }, answer).body
    };
    let admin = show("/event", "seq=16", TokenScope::Admin);
    assert!(admin.contains("id=\"body\"") && admin.contains("Coffee for sixe"));
    let content = show("/event", "seq=16", TokenScope::Content);
    assert!(!content.contains("id=\"body\"") && !content.contains("Coffee") && content.contains("message:2005"));
    let metadata = show("/event", "seq=16", TokenScope::Metadata);
    assert!(!metadata.contains("Coffee") && metadata.contains("message:2005"));
    for (path, query) in [("/events", ""), ("/calls", ""), ("/call", "sessionId=night-shift-debrief"), ("/why", "")] {
        assert!(!show(path, query, TokenScope::Metadata).contains("class=\"notice\""), "{path}");
    }
    let found = show("/search", "q=coffee", TokenScope::Metadata);
    assert!(!found.contains("Coffee for six"), "{found}");
    assert!(!show("/call", "sessionId=night-shift-debrief", TokenScope::Metadata).contains("debrief.mp4"));
}

#[test]
fn a_long_body_is_cut_with_a_way_to_see_all() {
    let harness = Harness::new();
    let data = json!({ "group": { "guid": "g", "name": "it's", "description": "é".repeat(60_000), "updatedAt": NOON / 1000 } });
    harness.post(&json!({ "trigger": "group_updated", "appId": "app", "data": data }).to_string(), NOON);
    let api = api(&harness);
    let page = console::page("/event").unwrap();
    let show =
        |query: &str| page.render(Params::parse(query), &reader(), ask(&api, page, query, TokenScope::Admin)).body;
    let cut = show("seq=1");
    assert!(cut.contains("whole=true") && !cut.contains("data-copy"), "{}", cut.len());
    let whole = show("seq=1&whole=true");
    assert!(!whole.contains("first 64 KB") && whole.contains("data-copy"));
    // Escaped for the page, inside of what is quoted for the shell.
    assert!(whole.contains(r"it&#39;\&#39;&#39;s"));
}

#[test]
fn a_busy_entity_is_left_to_the_page_that_reads_all() {
    let harness = Harness::new();
    for second in 0..1_001 {
        let data = json!({ "group": { "guid": "a/b", "name": "Group", "updatedAt": NOON / 1000 + second } });
        harness.post(&json!({ "trigger": "group_updated", "appId": "app", "data": data }).to_string(), NOON);
    }
    let api = api(&harness);
    let page = console::page("/event").unwrap();
    let answer = ask(&api, page, "seq=7", TokenScope::Admin);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "TOO_COMPLEX", "{answer}");
    let shown = page.render(Params::parse("seq=7"), &reader(), answer);
    assert!(shown.status == 200 && shown.body.contains("the whole story"), "{}", shown.body);
    let page = console::page("/why").unwrap();
    let shown = page.render(
        Params::parse("entity=group:a/b"),
        &reader(),
        ask(&api, page, "entity=group:a/b", TokenScope::Admin),
    );
    assert!(shown.body.contains("Shown are the newest 200") && shown.body.contains("1,001"));
    for second in 1_001..2_001 {
        let data = json!({ "group": { "guid": "a/b", "name": "Group", "updatedAt": NOON / 1000 + second } });
        harness.post(&json!({ "trigger": "group_updated", "appId": "app", "data": data }).to_string(), NOON);
    }
    let answer = ask(&api, page, "entity=group:a/b", TokenScope::Admin);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "TOO_COMPLEX", "{answer}");
    assert!(page.render(Params::parse("entity=group:a/b"), &reader(), answer).body.contains("chatfold explain"));
}
