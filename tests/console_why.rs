//! The console's pages that explain: what an event changed, and the story of an entity in plain words.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::TestServer;

fn deliver(server: &TestServer, trigger: &str, data: &Value) -> String {
    let body = json!({ "trigger": trigger, "appId": "a", "webhook": "w", "data": data });
    let answer = server.deliver(body.to_string());
    assert_eq!(answer.header("chatfold-outcome"), Some("applied"), "{body}");
    answer.header("chatfold-seq").unwrap().to_owned()
}

/// What a reader reads: no markup, one space between words.
fn text(html: &str) -> String {
    let bare: String = html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn story(server: &TestServer, entity: &str) -> String {
    let page = server.get(&format!("/why?entity={entity}"));
    assert_eq!(page.status, 200);
    let (_, rest) = page.body.split_once("class=\"story\"").unwrap_or_else(|| panic!("no story: {}", page.body));
    text(&format!("<p {}", rest.split("</p>").next().unwrap()))
}

fn user(uid: &str, name: &str) -> Value {
    json!({ "uid": uid, "name": name })
}

/// Kofi joins, Mira kicks him; a promotion of before the kick arrives after it.
fn kicked() -> (TestServer, String) {
    let server = TestServer::start();
    let group = |second: i64| json!({ "guid": "g", "name": "Night shift", "updatedAt": 1_767_980_000 + second });
    let created =
        json!({ "group": { "guid": "g", "name": "Night shift", "owner": "mira", "createdAt": 1_767_980_000 } });
    deliver(&server, "group_created", &created);
    deliver(
        &server,
        "group_member_joined",
        &json!({ "members": { "kofi": user("kofi", "Kofi") }, "group": group(60) }),
    );
    let data = json!({ "members": { "kofi": user("kofi", "Kofi") }, "by": user("mira", "Mira"), "group": group(180) });
    let kick = deliver(&server, "group_member_kicked", &data);
    let moderator = json!({ "uid": "kofi", "name": "Kofi", "newScope": "moderator", "oldScope": "participant" });
    let data = json!({ "members": { "kofi": moderator }, "by": user("mira", "Mira"), "group": group(120) });
    deliver(&server, "group_member_scope_changed", &data);
    (server, kick)
}

#[test]
fn the_story_of_a_membership_says_who_did_what_and_what_came_too_late() {
    let (server, kick) = kicked();
    let told = story(&server, "membership:g/kofi");
    let decided = format!("Kofi was kicked from Night shift by Mira on 2026-01-09 17:36:20 UTC, delivery #{kick}.");
    assert!(told.contains(&decided), "{told}");
    assert!(
        told.contains("An older group_member_scope_changed of 2026-01-09 17:35:20 UTC arrived later (#4) and lost."),
        "{told}"
    );
}

#[test]
fn the_story_of_a_message_tells_its_edit_and_its_deletion() {
    let server = TestServer::start();
    let message = |more: Value| {
        let mut message = json!({ "id": "7", "conversationId": "group_g", "sender": "ann", "receiver": "g", "receiverType": "group",
            "category": "message", "type": "text", "sentAt": 1_767_980_000, "data": { "text": "hello",
            "entities": { "sender": { "entityType": "user", "entity": { "uid": "ann", "name": "Ann" } } } } });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "message": message })
    };
    deliver(&server, "message_sent", &message(json!({})));
    assert!(story(&server, "message:7").starts_with("Message 7 was sent by Ann on 2026-01-09 17:33:20 UTC."));
    deliver(&server, "message_deleted", &message(json!({ "deletedAt": 1_767_980_060, "deletedBy": "ann" })));
    let told = story(&server, "message:7");
    assert!(told.contains("It was deleted by Ann on 2026-01-09 17:34:20 UTC."), "{told}");
}

#[test]
fn an_event_shows_what_changed_first_and_counts_what_did_not() {
    let (server, kick) = kicked();
    let page = server.get(&format!("/event?seq={kick}")).body;
    assert!(!page.contains("chatfold explain"), "the page links to the reason itself");
    let sections: Vec<&str> = page.split("<section class=\"entity\">").skip(1).collect();
    let changes = text(sections[0]);
    let (shown, rest) = sections[1].split_once("unchanged</summary>").unwrap();
    assert!(changes.contains("Place in the group joined as participant kicked"), "{changes}");
    assert!(changes.contains("Kofi in Night shift"), "names, not ids: {changes}");
    assert!(!page.contains("reported_members") && !page.contains("updated_at"), "no register: {changes}");
    assert!(
        !text(shown).contains("Name Night shift") && rest.contains("<dt><bdi class=\"said\">Name</bdi></dt>"),
        "{rest}"
    );
    // The body is a tree, and can be folded.
    assert!(page.contains("<details open><summary>{ } <small>4</small>"), "{page}");
    let late = text(&server.get("/event?seq=4").body);
    assert!(late.contains("told, not taken") || late.contains("Nothing changed"), "{late}");
}
