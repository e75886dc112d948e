//! Deliveries about calls and meetings. The test has `messages` beside it.

use crate::messages::{HOUR, NOON, body};
use serde_json::{Value, json};

fn person(uid: &str, at: i64) -> Value {
    json!({ "entityType": "user", "entity": { "uid": uid, "name": format!("{uid} {}", at / HOUR), "updatedAt": at / 1_000 } })
}

/// Somebody rings, takes, refuses or ends a call.
pub fn signal(trigger: &str, id: i64, session: &str, [by, to]: [&str; 2], at: i64) -> String {
    let action = trigger.strip_prefix("call_").unwrap_or("initiated");
    let on = json!({ "entityType": "call", "entity": { "sessionid": session, "sender": by, "receiverType": "user", "receiver": to,
        "status": action, "type": "audio", "initiatedAt": at / 1_000 } });
    let call = json!({ "id": id.to_string(), "sender": by, "receiverType": "user", "receiver": to, "category": "call", "type": "audio",
        "sentAt": at / 1_000, "data": { "action": action, "entities": { "by": person(by, at), "for": person(to, NOON), "on": on } } });
    match trigger {
        "message_sent" => body(trigger, &json!({ "message": call })),
        _ => body(trigger, &json!({ "call": call })),
    }
}

/// Somebody rings a group, whose number of members the call tells.
pub fn rings_group(id: i64, session: &str, by: &str, members: i64, at: i64) -> String {
    let night = json!({ "entityType": "group", "entity": { "guid": "night", "name": "Night", "type": "public", "owner": "ann",
        "membersCount": members, "updatedAt": at / 1_000 } });
    let on = json!({ "entityType": "call", "entity": { "sessionid": session, "sender": by, "receiverType": "group", "receiver": "night",
        "status": "initiated", "type": "audio", "initiatedAt": at / 1_000 } });
    let call = json!({ "id": id.to_string(), "sender": by, "receiverType": "group", "receiver": "night", "category": "call",
        "type": "audio", "sentAt": at / 1_000, "data": { "action": "initiated", "entities": { "by": person(by, at), "for": night, "on": on } } });
    body("call_initiated", &json!({ "call": call }))
}

/// Somebody joins a group that has so many members now.
pub fn joins(uid: &str, members: i64, at: i64) -> String {
    body(
        "group_member_joined",
        &json!({ "group": { "guid": "night", "membersCount": members, "updatedAt": at / 1_000 },
        "members": { uid: { "uid": uid } } }),
    )
}

pub fn started(trigger: &str, session: &str, at: i64) -> String {
    body(trigger, &json!({ "sessionId": session, "created_at": at / 1_000 }))
}

pub fn joined(trigger: &str, session: &str, uid: &str, at: i64) -> String {
    let occupant = json!({ "uid": uid, "name": format!("{uid} at {at}"), "joined_at": at / 1_000 });
    body(trigger, &json!({ "sessionId": session, "occupant": occupant }))
}

pub fn ended(trigger: &str, session: &str, (from, to): (i64, i64), people: &[&str]) -> String {
    let occupant = |uid: &&str| json!({ "uid": uid, "joined_at": from / 1_000, "left_at": to / 1_000 });
    let all: Vec<Value> = people.iter().map(occupant).collect();
    body(
        trigger,
        &json!({ "sessionId": session, "created_at": from / 1_000, "destroyed_at": to / 1_000, "all_occupants": all }),
    )
}

pub fn recording(session: &str, n: i64, at: i64) -> String {
    let url = format!("https://example.com/{n}.mp4");
    body(
        "recording_generated",
        &json!({ "sessionId": session, "startTime": at / 1_000, "duration": "60.5", "recording_url": url }),
    )
}

pub fn transcript(session: &str, n: i64, at: i64) -> String {
    let times = [at / 1_000, at / 1_000 + 60];
    let data = json!({ "sessionId": session, "tid": format!("t{n}"), "transcript_url": "https://example.com/t.json",
        "startTime": times[0], "endTime": times[1] });
    body("transcription_generated", &data)
}
