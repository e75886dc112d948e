//! Deliveries about one person, with a canary in all that describes this person or that this person wrote.

use crate::harness::fixtures;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub const APP: &str = "2489f0demo01";
/// What no byte may hold.
pub const CANARY: &str = "kanarie";
pub const UID: &str = "kanarie-uid";
pub const NAME: &str = "Kanarie Vogel";

/// Members of an object about a person that are facts, and hold words of CometChat's.
pub const FACTS: [&str; 7] = ["uid", "status", "role", "scope", "oldScope", "entityType", "audio_call"];

pub fn canary(what: &str) -> Value {
    json!(format!("https://x/{CANARY}/{what}"))
}

/// The uids of the people whom a delivery names.
fn people(value: &Value, found: &mut BTreeSet<String>) {
    if let Some(uid) = value.get("uid").and_then(Value::as_str) {
        found.insert(uid.to_owned());
    }
    if value.get("receiverType").is_some_and(|it| it == "user") {
        found.extend(["sender", "receiver"].iter().filter_map(|key| value[*key].as_str()).map(str::to_owned));
    }
    value.as_object().into_iter().flatten().for_each(|(_, member)| people(member, found));
    value.as_array().into_iter().flatten().for_each(|element| people(element, found));
}

/// Marks every text in a value.
fn marked(value: &Value) -> Value {
    match value {
        // Times may be texts.
        Value::String(text) if text.parse::<i64>().is_err() => json!(format!("{CANARY} {text}")),
        Value::Array(all) => all.iter().map(marked).collect(),
        Value::Object(all) => all.iter().map(|(key, it)| (key.clone(), marked(it))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}

/// The delivery with this person in all places, and a canary in every field that describes the person or that the
/// person wrote.
fn about(value: &Value, uid: &str, name: &str) -> Value {
    let swap = |text: &str| match text {
        _ if text == uid => UID.to_owned(),
        _ if text == name => NAME.to_owned(),
        _ => {
            let mentioned = text.replace(&format!("<@uid:{uid}>"), &format!("<@uid:{UID}>"));
            let begins = mentioned.replace(&format!("{uid}_user_"), &format!("{UID}_user_"));
            begins.replace(&format!("_user_{uid}"), &format!("_user_{UID}"))
        }
    };
    match value {
        Value::String(text) => json!(swap(text)),
        Value::Array(all) => all.iter().map(|it| about(it, uid, name)).collect(),
        Value::Object(all) => {
            let is_person = all.get("uid").is_some_and(|it| it == uid)
                && !["messageId", "reaction", "blocked"].iter().any(|key| all.contains_key(*key));
            let is_message = all.get("sender").is_some_and(|it| it == uid) && all.contains_key("category");
            let is_failure = all.get("resource").is_some_and(|it| it["sender"] == uid);
            let mut object: Map<String, Value> = all
                .iter()
                .map(|(key, member)| {
                    let member = match (key.as_str(), member) {
                        ("data", Value::Object(data)) if is_message => data
                            .iter()
                            .map(|(key, member)| match key.as_str() {
                                "entities" | "mentions" | "action" | "moderation" | "quotedMessage" => {
                                    (key.clone(), about(member, uid, name))
                                }
                                _ => (key.clone(), marked(member)),
                            })
                            .collect::<Map<_, _>>()
                            .into(),
                        (key, member) if is_person && !FACTS.contains(&key) && key != "name" => marked(member),
                        ("failures", member) if is_failure => {
                            let mut failures = about(member, uid, name);
                            for key in ["responseBody", "errorMessage", "context"] {
                                failures[0][key] = canary(key);
                            }
                            failures
                        }
                        ("recording_url" | "transcript_url", _) => canary("file"),
                        (_, member) => about(member, uid, name),
                    };
                    (swap(key), member)
                })
                .collect();
            if is_person {
                object.insert("name".to_owned(), json!(NAME));
                for key in ["avatar", "link", "statusMessage"] {
                    object.insert(key.to_owned(), canary(key));
                }
                object.insert("tags".to_owned(), json!([CANARY]));
                object.insert("metadata".to_owned(), json!({ "@private": { "email": CANARY }, "note": [CANARY] }));
            }
            if is_message {
                object.insert("muid".to_owned(), json!(CANARY));
                object.insert("tags".to_owned(), json!([CANARY]));
            }
            object.into()
        }
        other => other.clone(),
    }
}

/// The name by which a delivery, or another, knows a person.
fn names(bodies: &[Value]) -> BTreeMap<String, String> {
    fn walk(value: &Value, found: &mut BTreeMap<String, String>) {
        if let (Some(uid), Some(name)) = (value["uid"].as_str(), value["name"].as_str()) {
            found.insert(uid.to_owned(), name.to_owned());
        }
        value.as_object().into_iter().flatten().for_each(|(_, member)| walk(member, found));
        value.as_array().into_iter().flatten().for_each(|element| walk(element, found));
    }
    let mut found = BTreeMap::new();
    bodies.iter().for_each(|body| walk(body, &mut found));
    found
}

/// Every fixture, once for each person in it, who is the one to be erased; and all of them as they are.
pub fn deliveries() -> Vec<String> {
    let bodies: Vec<Value> = fixtures().iter().filter_map(|(_, body)| serde_json::from_str(body).ok()).collect();
    let names = names(&bodies);
    let mut all = Vec::new();
    for body in &bodies {
        let mut uids = BTreeSet::new();
        people(body, &mut uids);
        let nobody = String::new();
        let mut told: Vec<Value> = uids.iter().map(|uid| about(body, uid, names.get(uid).unwrap_or(&nobody))).collect();
        // Where people are told by their names alone.
        told.extend(names.values().filter(|_| uids.is_empty()).map(|name| about(body, "nobody at all", name)));
        all.extend(told.into_iter().filter(|it| it != body));
        all.push(body.clone());
    }
    // Polls, old reactions, texts that are JSON, mentions, quotes of what the person wrote.
    let mine = json!({ "id": "900001", "sender": UID, "receiverType": "group", "receiver": "night-shift", "category": "message",
        "type": "text", "sentAt": 1_769_000_900, "data": { "text": format!("{CANARY} secret plan") } });
    let quote = json!({ "id": "900001", "data": { "text": format!("{CANARY} secret plan") } });
    let theirs = json!({ "id": "900002", "sender": "tomas", "receiverType": "group", "receiver": "night-shift",
        "category": "message", "type": "text", "sentAt": 1_769_000_901, "data": {
            "text": format!("<@uid:{UID}> and @{{{NAME}|{UID}}}: what others say stays"), "quotedMessage": quote,
            "mentions": { UID: { "uid": UID, "name": NAME } },
            "metadata": { "@injected": { "extensions": {
                "polls": { "results": { "options": { "1": { "text": "Friday", "voters": { UID: { "name": NAME, "avatar": canary("a") } } } } } },
                "reactions": { "👍": { UID: { "name": NAME } } } } } },
            "customData": json!({ "assignee": UID, "who": NAME, "picture": canary("avatar"), "order": 88 }).to_string(),
        } });
    for message in [mine, theirs] {
        all.push(json!({ "trigger": "message_sent", "appId": APP, "data": { "message": message } }));
    }
    let body = |mut body: Value| {
        body["appId"] = json!(APP);
        body.to_string()
    };
    all.into_iter().map(body).collect()
}
