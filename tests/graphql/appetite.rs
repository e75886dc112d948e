//! What one request may bring into memory, and how long its loops may run.

use super::harness::{File, ask, ask_as, code, data};
use chatfold::graphql::{Caller, ChangeFilter, Limits};
use chatfold::ids::TokenScope;
use serde_json::Value;
use std::time::Duration;

const MEGABYTE: usize = 1 << 20;

/// So many messages whose text, data and custom data are a megabyte each.
fn large_messages(count: i64) -> File {
    let file = File::new();
    file.app("app");
    for n in 1..=count {
        file.message("app", "group_g", &n.to_string(), "u", n);
    }
    file.sql(&format!(
        "UPDATE messages SET text = printf('%.*c', {MEGABYTE}, 'x'), metadata = '{{\"k\":\"' || printf('%.*c', {MEGABYTE}, 'x') || '\"}}'"
    ));
    file.sql("UPDATE messages SET data = metadata, attachments = '[' || metadata || ']'");
    file
}

fn message(answer: &Value) -> &str {
    answer["errors"][0]["message"].as_str().unwrap_or_default()
}

#[test]
fn a_column_that_is_not_selected_is_not_read() {
    let file = large_messages(20);
    file.user("app", "u").group("app", "g");
    file.sql("UPDATE users SET metadata = (SELECT metadata FROM messages LIMIT 1)");
    file.sql("UPDATE groups SET metadata = (SELECT metadata FROM messages LIMIT 1)");
    let api = file.api();
    let cost = |query: &str, scope: TokenScope| {
        let before = api.bytes();
        let answer = ask_as(&api, query, Caller { scope, ..Caller::default() });
        (api.bytes() - before, answer)
    };
    let plain = "{messages(first:20){nodes{messageId sentAt sender{uid} receiverGroup{guid}}} users{nodes{uid}}}";
    let (read, answer) = cost(plain, TokenScope::Content);
    assert!(answer["errors"].is_null() && read < 10_000, "{read} bytes: {answer}");
    let said = "{messages(first:20){nodes{text data metadata sender{metadata} receiverGroup{metadata}}}}";
    let (read, answer) = cost(said, TokenScope::Metadata);
    assert_eq!(code(&answer), "FORBIDDEN");
    assert!(read < 10_000, "a token that may not see it: {read} bytes");
    let (read, answer) = cost("{messages(first:2){nodes{text}}}", TokenScope::Content);
    assert!(answer["errors"].is_null() && (2 * MEGABYTE as u64..3 * MEGABYTE as u64).contains(&read), "{read} bytes");
}

#[test]
fn a_request_that_would_bring_too_much_into_memory_is_told_what_to_leave_out() {
    let file = large_messages(40);
    let api = file.api_with(Limits { answer_bytes: 64 << 20, timeout: Duration::from_secs(60), ..Limits::default() });
    for query in [
        "{messages(first:40){nodes{text}}}",
        "{messages(first:20){nodes{data metadata}}}",
        "{messages(first:40){nodes{attachments{name}}}}",
    ] {
        let answer = ask(&api, query);
        assert_eq!(code(&answer), "TOO_COMPLEX", "{query}");
        assert!(message(&answer).contains("graphql.bytes") && message(&answer).contains("leave out"), "{query}");
    }
    assert!(api.bytes() < 3 * (33 << 20), "{} bytes", api.bytes());
    assert_eq!(data(&api, "{messages(first:30){nodes{text}}}")["messages"]["nodes"].as_array().unwrap().len(), 30);
}

#[test]
fn bodies_of_events_count_and_so_do_those_read_for_an_explanation() {
    let file = File::new();
    file.app("app");
    let filler = "x".repeat(MEGABYTE);
    for seq in 1..=40 {
        let body = format!(
            r#"{{"trigger":"message_sent","appId":"app","data":{{"message":{{"id":"7","sender":"u","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{seq},"data":{{"text":"{filler}"}}}}}}}}"#
        );
        file.event("app", seq, "message_sent", "applied", &body);
        file.sql("UPDATE events SET fingerprint = zeroblob(32)");
        file.sql(&format!("INSERT INTO event_refs VALUES ('app', 'message', '7', {seq})"));
    }
    let api = file.api_with(Limits { answer_bytes: 64 << 20, timeout: Duration::from_secs(60), ..Limits::default() });
    for query in ["{events(first:40){nodes{body}}}", "{explain(entity:\"message:7\")}"] {
        let answer = ask(&api, query);
        assert_eq!(code(&answer), "TOO_COMPLEX", "{query}: {answer}");
        assert!(message(&answer).contains("graphql.bytes"), "{query}: {}", message(&answer));
    }
    // Names come from bodies too, one of which is in memory at a time.
    let before = api.bytes();
    let named = data(&api, "{events(first:40){nodes{entities{name}}}}");
    assert_eq!(named["events"]["nodes"][39]["entities"][0]["name"], "message:7");
    assert!(api.bytes() - before < MEGABYTE as u64);
}

#[test]
fn an_answer_is_not_made_whole_to_be_found_too_long() {
    let file = large_messages(8);
    let api = file.api();
    let answer = ask(&api, "{messages(first:8){nodes{a:text b:text c:text d:data e:metadata}}}");
    assert_eq!(code(&answer), "TOO_COMPLEX");
    assert!(message(&answer).contains("4194304 bytes") && answer.get("data").is_none(), "{}", message(&answer));
}

/// A delivery that names so many people.
pub fn crowd(people: usize) -> String {
    let members: Vec<String> = (0..people).map(|n| format!(r#""u{n}":{{"name":"n{n}"}}"#)).collect();
    format!(
        r#"{{"trigger":"group_member_added","appId":"app","webhook":"w","data":{{"group":{{"guid":"g"}},"members":{{{}}}}}}}"#,
        members.join(",")
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn the_change_feed_names_the_first_of_a_crowd() {
    let file = File::new();
    file.app("app").event("app", 1, "group_member_added", "applied", &crowd(80_000));
    let api = file.api();
    let follower = api.follow(Some(0));
    let next = api.next_events(Some("app".into()), ChangeFilter::default(), Caller::default(), &follower);
    let batch = runtime().block_on(next);
    assert!(batch.error.is_none() && batch.items.len() == 1, "the time is up");
    let change: Value = serde_json::from_str(batch.items[0].json()).unwrap();
    assert_eq!((change["nodes"].as_array().unwrap().len(), &change["nodesCount"]), (200, &160_001.into()));
}

#[test]
fn changes_that_are_too_much_together_come_one_by_one() {
    let file = large_messages(8);
    for n in 1..=8 {
        let body = format!(
            r#"{{"trigger":"message_sent","appId":"app","data":{{"message":{{"id":"{n}","sender":"u","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{n},"data":{{"text":"x"}}}}}}}}"#
        );
        file.event("app", n, "message_sent", "applied", &body);
    }
    let api = file.api();
    let follower = api.follow(Some(0));
    let mut seen = Vec::new();
    while follower.position() < Some(8) {
        let query = "subscription{changes(appId:\"app\"){seq nodes{... on Message{text}}}}";
        let request = async_graphql::Request::new(query);
        let batch = runtime().block_on(api.next_changes(request, Caller::default(), &follower));
        assert!(batch.error.is_none() && !batch.items.is_empty(), "{:?}", batch.error);
        for item in &batch.items {
            assert!(item.len() < 5 << 20 && !item.contains("TOO_COMPLEX"), "an answer of {} bytes", item.len());
            let item: Value = serde_json::from_str(item).unwrap();
            seen.push(item["data"]["changes"]["seq"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let query = "subscription{changes(appId:\"app\"){nodes{... on Message{a:text b:text c:text d:text e:text}}}}";
    let alone = api.follow(Some(7));
    let batch = runtime().block_on(api.next_changes(async_graphql::Request::new(query), Caller::default(), &alone));
    assert!(batch.error.is_some_and(|error| error.contains("TOO_COMPLEX")), "one that is too much alone");
}

/// Quadratic work is not done within the time given: every loop ends at the time limit.
#[test]
fn a_delivery_that_names_80000_people_is_no_trap() {
    let file = File::new();
    file.app("app").event("app", 1, "group_member_added", "applied", &crowd(80_000));
    let api = file.api();
    let one = data(&api, "{events{nodes{entities(first:1){name}}}}");
    assert_eq!(one["events"]["nodes"][0]["entities"], serde_json::json!([{ "name": "group:g" }]));
    let all = data(&api, "{events{nodes{entities{name}}}}");
    assert_eq!(all["events"]["nodes"][0]["entities"].as_array().unwrap().len(), 200);
}
