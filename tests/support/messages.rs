//! Deliveries about messages, and dice.
#![allow(dead_code, reason = "each test binary uses its part")]

use serde_json::{Value, json};

/// 2026-01-05T12:00:00Z, when tests begin.
pub const NOON: i64 = 1_767_614_400_000;
pub const APP: &str = "shop";
pub const HOUR: i64 = 3_600_000;
pub const PEOPLE: [&str; 4] = ["ann", "bob", "cem", "dan"];

/// Numbers that a seed draws.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }

    pub fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

pub fn body(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": APP, "region": "eu", "webhook": "one", "data": data }).to_string()
}

pub fn person(uid: &str, at: i64) -> Value {
    json!({ "entityType": "user", "entity": {
        "uid": uid, "name": format!("{uid} of hour {}", (at - NOON) / HOUR / 7), "role": "default",
        "tags": ["a", "b"], "metadata": { "at": [at / HOUR / 9, 1.50] } } })
}

/// A message of a history.
#[derive(Clone)]
pub struct Message {
    pub id: i64,
    pub sender: &'static str,
    /// A group or a person.
    pub receiver: &'static str,
    pub at: i64,
}

impl Message {
    pub fn to_group(&self) -> bool {
        self.receiver == "night"
    }

    pub fn receiver_type(&self) -> &'static str {
        if self.to_group() { "group" } else { "user" }
    }

    pub fn json(&self, more: &Value) -> Value {
        let receiver = match self.to_group() {
            true => {
                json!({ "entityType": "group", "entity": { "guid": "night", "name": format!("night {}", self.at / HOUR / 5),
                "type": "public", "owner": "ann", "membersCount": 3, "createdAt": NOON / 1_000, "updatedAt": self.at / 1_000 - 7 } })
            }
            false => person(self.receiver, self.at),
        };
        let mut it = json!({
            "id": self.id.to_string(), "sender": self.sender, "receiverType": self.receiver_type(), "receiver": self.receiver,
            "category": "message", "type": "text", "sentAt": self.at / 1_000,
            "data": { "text": format!("text of {}", self.id), "entities": { "sender": person(self.sender, self.at), "receiver": receiver } },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            it[key] = value.clone();
        }
        it
    }

    pub fn sent(&self, more: &Value) -> String {
        body("message_sent", &json!({ "message": self.json(more) }))
    }

    pub fn edited(&self, at: i64) -> String {
        let mut message = self.json(&json!({ "editedAt": at / 1_000, "editedBy": self.sender }));
        message["data"]["text"] = json!(format!("edited text of {} at {at}", self.id));
        body("message_edited", &json!({ "message": message }))
    }

    pub fn deleted(&self, at: i64) -> String {
        let more = json!({ "deletedAt": at / 1_000, "deletedBy": self.sender, "data": {} });
        body("message_deleted", &json!({ "message": self.json(&more) }))
    }

    pub fn receipt(&self, trigger: &str, action: &str, reader: &str, at: i64) -> String {
        let receiver = if self.to_group() { "night" } else { self.sender };
        body(
            trigger,
            &json!({ "receiver": receiver, "receiverType": self.receiver_type(), "sender": reader, "messageSender": self.sender,
            "body": { "action": action, "messageId": self.id.to_string(), "user": { "uid": reader, "name": format!("{reader} who read") },
            "timestamp": at / 1_000 } }),
        )
    }

    pub fn read(&self, reader: &str, at: i64) -> String {
        self.receipt("message_read_receipt", "read", reader, at)
    }

    pub fn reacted(&self, who: &str, at: i64) -> String {
        body(
            "message_reaction_added",
            &json!({ "reaction": { "id": format!("r{}{at}", self.id), "messageId": self.id.to_string(),
            "reaction": "🌠", "uid": who, "reactedAt": at / 1_000, "reactedBy": { "uid": who, "name": format!("{who} who reacted") } } }),
        )
    }

    pub fn blocked(&self, at: i64) -> String {
        body(
            "moderation_engine_blocked",
            &json!({ "message": self.json(&Value::Null),
            "moderation": [{ "rule": { "id": "rude", "blockedAt": at / 1_000 } }] }),
        )
    }
}
