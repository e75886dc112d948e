//! Finding things on the console: the search, its filters and pages, and the lists of a group.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::pages::{cookie, sign_in, token, with};
use support::{Answer, TestServer};

const START: i64 = 1_767_980_000;

fn deliver(server: &TestServer, trigger: &str, data: &Value) {
    let body = json!({ "trigger": trigger, "appId": "a", "webhook": "w", "data": data });
    assert_eq!(server.deliver(body.to_string()).header("chatfold-outcome"), Some("applied"), "{body}");
}

fn message(id: i64, sender: &str, group: &str, second: i64, text: &str, more: &Value) -> Value {
    let sender_of = json!({ "entityType": "user", "entity": { "uid": sender, "name": sender.to_uppercase() } });
    let group_of = json!({ "entityType": "group", "entity": { "guid": group, "name": format!("Group {group}") } });
    let mut message = json!({ "id": id.to_string(), "conversationId": format!("group_{group}"), "sender": sender, "receiver": group,
        "receiverType": "group", "category": "message", "type": "text", "sentAt": START + second,
        "data": { "text": text, "entities": { "sender": sender_of, "receiver": group_of } } });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "message": message })
}

fn refunds() -> TestServer {
    let server = TestServer::start();
    for id in 0..60 {
        let (sender, group) = if id < 3 { ("bob", "h") } else { ("ann", "g") };
        deliver(
            &server,
            "message_sent",
            &message(100 + id, sender, group, id * 60, &format!("refund no {id}"), &json!({})),
        );
    }
    server
}

fn ok(answer: Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn hits(html: &str) -> usize {
    html.matches("<bdi class=\"said\">refund").count()
}

#[test]
fn a_hit_names_its_conversation_and_leads_to_its_place() {
    let server = refunds();
    let html = ok(server.get("/search?q=refund"));
    assert_eq!(hits(&html), 50);
    assert!(html.contains(">ANN</bdi></a> in <a href=\"/conversation?"), "{html}");
    assert!(html.contains("Group g") && html.contains("#m159\""), "{html}");
    let (_, next) = html.split_once("rel=\"next\" href=\"").unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(hits(&ok(server.get(&next))), 10, "the list goes on");
}

#[test]
fn messages_are_found_by_conversation_person_and_date() {
    let server = refunds();
    for (narrowed, count) in [
        ("q=refund&sender=bob", 3),
        ("q=refund&conversationId=group_h", 3),
        ("q=refund&sentBefore=2026-01-09T17:36", 3),
        ("q=refund&sentAfter=2026-01-09T18:30&sender=ann", 3),
        ("sender=bob", 3),
        ("q=nothing&sender=bob", 0),
    ] {
        assert_eq!(hits(&ok(server.get(&format!("/search?{narrowed}")))), count, "{narrowed}");
    }
}

#[test]
fn an_exact_id_opens_at_once_and_an_ambiguous_one_leaves_the_choice() {
    let server = refunds();
    deliver(&server, "group_created", &json!({ "group": { "guid": "g", "name": "G", "createdAt": START } }));
    let opened = |query: &str| with(&server, &format!("/search?open=true&q={query}"), "");
    for (query, place) in
        [("g", "/group?appId=a&guid=g"), ("130", "/message?appId=a&messageId=130"), ("%2317", "/event?appId=a&seq=17")]
    {
        let answer = opened(query);
        assert_eq!((answer.status, answer.header("location")), (303, Some(place)), "{query}");
    }
    assert!(ok(server.get("/search?q=g")).contains("By this id"));
    assert!(ok(opened("refund")).contains("Messages with these words"));
    deliver(&server, "group_created", &json!({ "group": { "guid": "ann", "name": "Ann's", "createdAt": START } }));
    assert!(ok(opened("ann")).contains("By this id"), "a group and a person");
}

#[test]
fn an_earlier_text_of_an_edited_message_is_found_and_said_to_be_one() {
    let server = TestServer::start();
    deliver(&server, "message_sent", &message(1, "ann", "g", 0, "I want a refund", &json!({})));
    deliver(&server, "message_sent", &message(2, "ann", "g", 1, "no refund here", &json!({})));
    let edit = json!({ "editedAt": START + 60, "editedBy": "ann" });
    deliver(&server, "message_edited", &message(1, "ann", "g", 0, "I want a coffee", &edit));
    let html = ok(server.get("/search?q=refund"));
    assert!(!html.contains("I want a refund") && html.contains("name=\"earlier\""), "{html}");
    let html = ok(server.get("/search?q=refund&earlier=true"));
    let (now, earlier) = html.split_once("<h2>Earlier texts").unwrap();
    assert!(earlier.contains("is-edited") && !now.contains("is-edited"), "a hit says that it was edited: {html}");
    assert!(now.contains("no refund here") && !earlier.contains("no refund here"), "{html}");
    assert!(earlier.contains("I want a coffee") && earlier.contains("I want a refund"), "{earlier}");
    let few = token(&server, &["--name", "few", "--scope", "content"]);
    let few = cookie(&sign_in(&server, &few, "/", None));
    let html = ok(with(&server, "/search?q=refund&earlier=true", &few));
    assert!(!html.contains("I want a refund") && !html.contains("name=\"earlier\""), "{html}");
}

#[test]
fn what_narrows_a_search_is_open_where_it_narrows() {
    let server = refunds();
    assert!(ok(server.get("/search?q=refund")).contains("<details class=\"narrow\"><summary>"));
    assert!(ok(server.get("/search?q=refund&sender=bob")).contains("<details class=\"narrow\" open><summary>"));
}

#[test]
fn members_are_narrowed_by_state_and_scope_and_their_changes_are_a_dated_list() {
    let server = TestServer::start();
    let group = |second: i64| json!({ "guid": "g", "name": "G", "updatedAt": START + second });
    deliver(
        &server,
        "group_created",
        &json!({ "group": { "guid": "g", "name": "G", "owner": "mira", "createdAt": START } }),
    );
    for (second, uid) in [(10, "kofi"), (20, "ines")] {
        let data = json!({ "members": { (uid): { "uid": uid, "name": uid } }, "group": group(second) });
        deliver(&server, "group_member_joined", &data);
    }
    let data = json!({ "members": { "kofi": { "uid": "kofi", "name": "kofi" } }, "by": { "uid": "mira", "name": "Mira" }, "group": group(30) });
    deliver(&server, "group_member_kicked", &data);
    let members = |narrowed: &str| {
        let html = ok(server.get(&format!("/group?guid=g{narrowed}")));
        let (_, table) = html.split_once("<caption class=\"hidden\">Members</caption>").unwrap();
        let table = table.split("</table>").next().unwrap();
        ["mira", "kofi", "ines"].into_iter().filter(|uid| table.contains(&format!("uid={uid}"))).collect::<Vec<_>>()
    };
    assert_eq!(members("&states=KICKED"), ["mira", "kofi"], "Mira kicked Kofi");
    assert_eq!(members("&scopes=PARTICIPANT"), ["ines"]);
    let html = ok(server.get("/group?guid=g"));
    let (_, changes) = html.split_once("Changes of members</caption>").unwrap();
    let first = changes.split("<tbody>").nth(1).unwrap().split("</tr>").next().unwrap();
    for told in ["kofi", "is-kicked", "Mira", "2026-01-09 17:33:50", "#4", "group_member_kicked"] {
        assert!(first.contains(told), "{told}: {first}");
    }
    let of_ines = ok(server.get("/group?guid=g&person=ines"));
    let (_, changes) = of_ines.split_once("Changes of members</caption>").unwrap();
    assert_eq!(changes.split("</table>").next().unwrap().matches("<tr>").count(), 2, "the head, and one");
}
