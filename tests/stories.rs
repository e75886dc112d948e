//! Stories: deliveries in order, a question, the answer. Each folder of `fixtures/stories/` is named as a claim.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::graphql::{Api, Caller, Limits};
use harness::Harness;

fn ask(harness: &Harness, query: &str) -> serde_json::Value {
    let api = Api::open(&harness.path(), Limits::default()).unwrap();
    let caller = Caller { apps: None, default_app: None, ..Caller::default() };
    let answer =
        tokio::runtime::Runtime::new().unwrap().block_on(api.execute_text(async_graphql::Request::new(query), caller));
    let mut answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    // Where the answer stands in the log is no part of the story.
    answer.as_object_mut().unwrap().remove("extensions");
    answer
}

#[test]
fn every_story_ends_as_it_says() {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir("fixtures/stories").unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let query = std::fs::read_to_string(dir.join("query.graphql")).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join("answer.golden")).unwrap()).unwrap();
        let bodies = harness::story(&name);
        let harness = Harness::new();
        harness.ingest(bodies.iter().map(String::as_str));
        let once = ask(&harness, &query);
        harness.ingest(bodies.iter().map(String::as_str));
        let twice = ask(&harness, &query);
        for (when, answer) in [("once", once), ("twice", twice)] {
            if answer != expected {
                wrong.push(format!("{name}, {when}:\nexpected {expected}\nanswered {answer}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// `members(asOf: now)` is `members`: one function decides both.
#[test]
fn members_as_of_now_are_the_members() {
    let harness = Harness::new();
    for entry in std::fs::read_dir("fixtures/stories").unwrap() {
        let bodies = harness::story(&entry.unwrap().file_name().to_string_lossy());
        harness.ingest(bodies.iter().map(String::as_str));
    }
    for (_, body) in harness::fixtures() {
        harness.post(&body, harness::NOON);
    }
    let states = "filter: {states: [JOINED, LEFT, KICKED, BANNED, UNBANNED, ABSENT]}";
    let fields = "{nodes {uid state scope isOwner joinedAt changedAt changedAtFrom changedBy {uid}}}";
    let known = harness.ask("SELECT app_id, guid FROM groups WHERE history_since IS NOT NULL");
    assert!(known.lines().count() > 3, "{known}");
    for line in known.lines() {
        let (app, guid) = line.split_once('|').unwrap();
        let query = format!(
            r#"{{group(appId: "{app}", guid: "{guid}") {{now: members({states}) {fields} then: members({states}, asOf: "2099-01-01T00:00:00Z") {fields}}}}}"#
        );
        let answer = ask(&harness, &query);
        let group = &answer["data"]["group"];
        assert_eq!(group["now"], group["then"], "{guid}");
        assert!(group["now"]["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()), "{answer}");
    }
}

#[test]
fn before_its_first_fact_a_group_is_not_empty_but_unknown() {
    let harness = Harness::new();
    harness.ingest(harness::story("first_steps").iter().map(String::as_str));
    let message = r#"{"trigger":"message_sent","appId":"2489f0demo01","data":{"message":{"id":"1","sender":"x","receiverType":"group","receiver":"heard-of","sentAt":1767950000}}}"#;
    harness.post(message, harness::NOON);
    let ask_as_of = |guid: &str, at: &str| {
        let query =
            format!(r#"{{group(appId: "2489f0demo01", guid: "{guid}") {{members(asOf: "{at}") {{nodes {{uid}}}}}}}}"#);
        ask(&harness, &query)
    };
    for (guid, at) in [("book-club", "2026-01-09T09:13:19Z"), ("heard-of", "2026-01-09T09:13:20Z")] {
        let answer = ask_as_of(guid, at);
        assert!(answer["data"]["group"]["members"].is_null(), "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BEFORE_HISTORY");
    }
    assert_eq!(ask_as_of("book-club", "2026-01-09T09:13:20Z")["data"]["group"]["members"]["nodes"][0]["uid"], "mira");
    let now = chatfold::clock::now().rfc3339();
    assert_eq!(ask_as_of("heard-of", &now)["data"]["group"]["members"]["nodes"], serde_json::json!([]));
}
