//! No content makes the fold fail: every field of every trigger, replaced by what does not belong there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::envelope::Envelope;
use harness::{Harness, NOON, fixtures};
use serde_json::Value;

const INSTEAD: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "\"\"",
    "\"x\\u0000\"",
    "[]",
    "{}",
    "[1,[2]]",
    "{\"a\":{\"uid\":1}}",
    "999999999999999999999999999999",
    "1e300",
    "\"1700000000\"",
    "9223372036854775807",
];

/// Paths to every value inside `data`.
fn paths(value: &Value, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    found.push(at.clone());
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in members {
        at.push(key);
        paths(value, at, found);
        at.pop();
    }
}

/// The body with one value replaced, or taken away.
fn replaced(body: &Value, path: &[String], instead: Option<&str>) -> String {
    let mut body = body.clone();
    let pointer: String = path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect();
    let target = body.pointer_mut(&format!("/data{pointer}")).unwrap();
    *target = Value::from("@@instead@@");
    let text = body.to_string();
    match instead {
        Some(instead) => text.replace("\"@@instead@@\"", instead),
        // An unknown key with any value is as good as none.
        None => text.replace(&format!("\"{}\":\"@@instead@@\"", path.last().map_or("", String::as_str)), "\"_\":0"),
    }
}

#[test]
fn every_field_of_every_trigger_may_be_wrong() {
    let harness = Harness::new();
    let mut n = 0;
    for (name, body) in fixtures().iter().filter(|(name, _)| !name.ends_with("surrogate")) {
        let body: Value = serde_json::from_str(body).unwrap();
        let mut found = Vec::new();
        paths(&body["data"], &mut Vec::new(), &mut found);
        for path in found {
            // Each field meets each wrong value in one fixture or another.
            n += 1;
            let instead = INSTEAD.get(n % (INSTEAD.len() + 1)).copied();
            let text = replaced(&body, &path, instead);
            assert!(Envelope::parse(text.as_bytes()).is_ok(), "{name} {path:?} {instead:?}");
            harness.post(&text, NOON);
        }
    }
    assert_eq!(harness.ask("SELECT reason FROM events WHERE reason LIKE '% failed: %'"), "");
    assert!(harness.ask("SELECT count(*) FROM events WHERE outcome = 'rejected'") != "0");
    for view in harness.ask("SELECT name FROM sqlite_schema WHERE type = 'view'").lines() {
        harness.ask(&format!("SELECT * FROM {view}"));
    }
}

#[test]
fn legal_json_that_other_parsers_refuse_is_kept_byte_for_byte() {
    let harness = Harness::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies = [
        r#"{"trigger":"message_sent","appId":"a","data":{"message":{"id":"1","sender":"u","receiverType":"group","receiver":"g","category":"message","sentAt":1767614400,"data":{"text":"half \ud83d"}}}}"#.to_owned(),
        r#"{"trigger":"group_updated","trigger":"message_sent","appId":"a","data":{"message":{"id":"2","sentAt":1e999,"muid":"m"}}}"#.to_owned(),
        format!(r#"{{"trigger":"message_sent","appId":"a","data":{{"message":{{"id":"3","data":{{"customData":{deep}}}}}}}}}"#),
        format!(r#"{{"trigger":"anything","appId":"a","data":{deep}}}"#),
    ];
    for body in &bodies {
        let seq = harness.post(body, NOON).seq;
        assert_eq!(harness.ask(&format!("SELECT body FROM events WHERE seq = {seq}")), *body);
    }
    assert_eq!(harness.ask("SELECT text FROM messages WHERE message_id = '1'"), "half \u{fffd}");
    assert_eq!(harness.ask("SELECT sent_at, muid FROM messages WHERE message_id = '2'"), "null|m");
    assert_eq!(harness.ask("SELECT reason FROM events WHERE seq = 2"), "data.message.sentAt: expected a unix time");
}
