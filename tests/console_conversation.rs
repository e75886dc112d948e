//! A conversation on the console: where it opens, how one gets to a message and to a day, and how texts are shown.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chatfold::ids::Time;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::TestServer;

const START: i64 = 1_767_980_000;

fn send(server: &TestServer, id: i64, second: i64, data: &Value) {
    let message = json!({ "id": id.to_string(), "conversationId": "group_g", "sender": "ann", "receiver": "g", "receiverType": "group",
        "category": "message", "type": "text", "sentAt": START + second, "data": data });
    let body = json!({ "trigger": "message_sent", "appId": "a", "webhook": "w", "data": { "message": message } });
    assert_eq!(server.deliver(body.to_string()).header("chatfold-outcome"), Some("applied"));
}

/// 150 messages, three a second; forty of them within one second.
fn busy() -> TestServer {
    let server = TestServer::start();
    for id in 0..150 {
        let second = if (60..100).contains(&id) { 20 } else { id / 3 };
        send(&server, 1000 + id, second, &json!({ "text": format!("word {id}") }));
    }
    server
}

/// Ids of the messages of a page, in its order.
fn shown(html: &str) -> Vec<i64> {
    html.split("id=\"m").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect()
}

fn link(html: &str, rel: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("rel=\"{rel}\" href=\""))?;
    Some(rest.split('"').next()?.replace("&amp;", "&").replace("&#38;", "&"))
}

fn page(server: &TestServer, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[test]
fn it_opens_at_the_newest_and_reads_downwards() {
    let html = page(&busy(), "/conversation?conversationId=group_g");
    assert_eq!(shown(&html), (1100..1150).collect::<Vec<_>>());
    assert!(html.contains("class=\"window filled\"") && link(&html, "prev").is_none());
}

#[test]
fn a_link_to_a_message_lands_at_it_and_marks_it() {
    let server = busy();
    let html = page(&server, "/message?messageId=1030");
    let (_, rest) =
        html.split_once(">In its place</a>").map(|(before, _)| before.rsplit_once("href=\"").unwrap()).unwrap();
    let place = rest.trim_end_matches('"').replace("&#38;", "&").replace("&amp;", "&");
    let (path, fragment) = place.split_once('#').unwrap();
    assert_eq!(fragment, "m1030");
    let html = page(&server, path);
    assert!(html.contains("<li class=\"message asked\" id=\"m1030\">") && html.matches("asked").count() == 1, "{html}");
    assert!(shown(&html).contains(&1029) && shown(&html).contains(&1031));
}

#[test]
fn from_a_message_in_the_middle_every_other_is_reached_once() {
    let server = busy();
    let at = Time((START + 20) * 1000).rfc3339();
    let middle = page(&server, &format!("/conversation?conversationId=group_g&at={at}"));
    let mut all: Vec<i64> = shown(&middle);
    for rel in ["next", "prev"] {
        let mut html = middle.clone();
        for turn in 0.. {
            let Some(path) = link(&html, rel) else { break };
            html = page(&server, &path);
            assert!(turn < 10 && !shown(&html).is_empty(), "{rel} {path}");
            all.extend(shown(&html));
        }
        // And back to where one came from.
        let back = if rel == "next" { "prev" } else { "next" };
        let mut turns = 0;
        while shown(&html) != shown(&middle) {
            let path = link(&html, back).unwrap_or_else(|| panic!("{back} is a dead end"));
            html = page(&server, &path);
            turns += 1;
            assert!(turns < 10, "{back} never leads back");
        }
    }
    assert_eq!(all.len(), 150, "each once");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (1000..1150).collect());
}

#[test]
fn one_goes_to_a_day() {
    let server = TestServer::start();
    for (id, day) in [(1, 0), (2, 3), (3, 6)] {
        send(&server, id, day * 86_400, &json!({ "text": "hello" }));
    }
    let html = page(&server, "/conversation?conversationId=group_g&at=2026-01-12T00:00&zone=America/New_York");
    assert_eq!(shown(&html), [1, 2, 3]);
    assert!(html.contains("<time datetime=\"2026-01-12\">Monday, 12 January 2026</time>"), "{html}");
    assert!(html.contains("name=\"at\" value=\"2026-01-12T05:00:00\""), "{html}");
    assert!(html.contains(">Newest</a>"));
}

#[test]
fn a_message_shows_names_links_and_files() {
    let server = TestServer::start();
    let data = json!({
        "text": "ask <@uid:kofi> or @{Ann B|ann}: https://example.com/a.",
        "mentions": { "kofi": { "uid": "kofi", "name": "Kofi Mensah" } },
        "entities": { "sender": { "entityType": "user", "entity": { "uid": "ann", "name": "Ann" } } },
        "attachments": [{ "name": "plan.png", "mimeType": "image/png", "size": 2048, "url": "https://example.com/plan.png", "extension": "png" }],
    });
    send(&server, 1, 0, &data);
    let html = page(&server, "/conversation?conversationId=group_g");
    assert!(html.contains("\">@<bdi class=\"name\">Kofi Mensah</bdi></a> or "), "{html}");
    assert!(
        html.contains("\">@<bdi class=\"name\">Ann</bdi></a>:")
            || html.contains("\">@<bdi class=\"name\">Ann B</bdi></a>:"),
        "{html}"
    );
    assert!(html.contains("<a href=\"https://example.com/a\" rel=\"noopener noreferrer\""), "{html}");
    assert!(
        html.contains("Image <a href=\"https://example.com/plan.png\"")
            && html.contains(">plan.png</bdi></a> <small>2.0 KB</small>"),
        "{html}"
    );
    let list = page(&server, "/conversations");
    assert!(list.contains("ask @Kofi Mensah or @Ann B:"), "{list}");
}
