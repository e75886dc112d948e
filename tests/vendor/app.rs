//! An app as CometChat has it: what its API tells, from the truth of a model or made up at any size.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default)]
pub struct App {
    pub users: BTreeMap<String, Value>,
    pub groups: BTreeMap<String, Value>,
    /// By guid and uid: scope and time of joining.
    pub members: BTreeMap<String, BTreeMap<String, (String, i64)>>,
    pub banned: BTreeMap<String, BTreeSet<String>>,
    /// By blocker and blocked: since when.
    pub blocks: BTreeMap<String, BTreeMap<String, i64>>,
    pub messages: BTreeMap<i64, Value>,
    pub reactions: BTreeMap<i64, Vec<Value>>,
    /// Groups do not tell how many members they have.
    pub hides_counts: bool,
    /// What lists do not tell of their pages.
    pub omitted: Vec<&'static str>,
}

impl App {
    /// Groups that share their people, each with chat.
    pub fn made(groups: usize, members: usize, messages: i64) -> Self {
        let mut app = Self::default();
        let people = members + members / 2;
        for n in 0..people {
            let uid = format!("u{n}");
            app.users.insert(uid.clone(), json!({ "uid": uid, "name": format!("Person {n}"), "role": "default", "status": "offline", "createdAt": 1_700_000_000 }));
        }
        for n in 0..groups {
            let guid = format!("g{n}");
            app.groups.insert(
                guid.clone(),
                json!({ "guid": guid, "name": format!("Group {n}"), "type": "public",
                "owner": "u0", "createdAt": 1_700_000_000 + n, "conversationId": format!("group_{guid}") }),
            );
            let first = n * 7 % people;
            for m in 0..members {
                let uid = format!("u{}", (first + m) % people);
                let scope = ["participant", "participant", "moderator", "admin"][m % 4];
                app.join(&guid, &uid, scope, 1_700_001_000 + m as i64);
            }
            app.banned.entry(guid).or_default().insert(format!("u{}", (first + members) % people));
        }
        for id in 1..=messages {
            let (guid, sender) = (format!("g{}", id % groups as i64), format!("u{}", id % people as i64));
            app.messages.insert(id, json!({ "id": id.to_string(), "conversationId": format!("group_{guid}"), "sender": sender,
                "receiverType": "group", "receiver": guid, "category": "message", "type": "text",
                "data": { "text": format!("words {id}") }, "sentAt": 1_700_002_000 + id, "updatedAt": 1_700_002_000 + id }));
            if id % 10 == 0 {
                app.react(id, "👍", "u1", id + 1_000_000, 1_700_003_000 + id);
            }
        }
        app.blocks.entry("u1".into()).or_default().insert("u2".into(), 1_700_000_500);
        app
    }

    pub fn join(&mut self, guid: &str, uid: &str, scope: &str, at: i64) {
        self.members.entry(guid.to_owned()).or_default().insert(uid.to_owned(), (scope.to_owned(), at));
    }

    pub fn leave(&mut self, guid: &str, uid: &str) {
        self.members.entry(guid.to_owned()).or_default().remove(uid);
    }

    pub fn react(&mut self, message: i64, emoji: &str, uid: &str, id: i64, at: i64) {
        let row = json!({ "id": id.to_string(), "messageId": message.to_string(), "reaction": emoji, "uid": uid, "reactedAt": at,
            "reactedBy": { "uid": uid } });
        self.reactions.entry(message).or_default().push(row);
    }

    pub fn group(&self, guid: &str) -> Option<Value> {
        let mut row = self.groups.get(guid)?.clone();
        if !self.hides_counts {
            row["membersCount"] = json!(self.members.get(guid).map_or(0, BTreeMap::len));
        }
        Some(row)
    }

    fn person(&self, uid: &str) -> Value {
        self.users.get(uid).cloned().unwrap_or_else(|| json!({ "uid": uid, "name": uid }))
    }

    pub fn members(&self, guid: &str) -> Vec<Value> {
        let member = |(uid, (scope, at)): (&String, &(String, i64))| {
            let mut row = self.person(uid);
            (row["scope"], row["joinedAt"]) = (json!(scope), json!(at));
            row
        };
        self.members.get(guid).into_iter().flatten().map(member).collect()
    }

    pub fn banned(&self, guid: &str) -> Vec<Value> {
        self.banned.get(guid).into_iter().flatten().map(|uid| self.person(uid)).collect()
    }

    pub fn blocked(&self, uid: &str) -> Vec<Value> {
        let row = |(uid, at): (&String, &i64)| {
            let mut row = self.person(uid);
            (row["blockedByMe"], row["blockedByMeAt"], row["blockedAt"]) = (json!(true), json!(at), json!(at));
            row
        };
        self.blocks.get(uid).into_iter().flatten().map(row).collect()
    }

    /// A message with the numbers of its reactions.
    pub fn message(&self, row: &Value) -> Value {
        let mut row = row.clone();
        let id: i64 = row["id"].as_str().unwrap().parse().unwrap();
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for reaction in self.reactions.get(&id).into_iter().flatten() {
            *counts.entry(reaction["reaction"].as_str().unwrap()).or_default() += 1;
        }
        if !counts.is_empty() && row["data"].is_object() {
            let counts = counts
                .into_iter()
                .map(|(reaction, count)| json!({ "reaction": reaction, "count": count, "reactedByMe": false }));
            row["data"]["reactions"] = counts.collect();
        }
        row
    }

    /// What the tables have to say, a line a fact.
    pub fn truth(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (guid, members) in self.members.iter().filter(|(guid, _)| self.groups.contains_key(*guid)) {
            lines.extend(members.iter().map(|(uid, (scope, at))| format!("member {guid} {uid} {scope} {at}")));
        }
        for (guid, banned) in self.banned.iter().filter(|(guid, _)| self.groups.contains_key(*guid)) {
            lines.extend(banned.iter().map(|uid| format!("banned {guid} {uid}")));
        }
        for (uid, blocked) in &self.blocks {
            lines.extend(blocked.iter().map(|(other, at)| format!("block {uid} {other} {at}")));
        }
        lines.extend(self.users.iter().map(|(uid, row)| format!("user {uid} {}", row["name"].as_str().unwrap())));
        lines.extend(self.groups.iter().map(|(guid, row)| format!("group {guid} {}", row["name"].as_str().unwrap())));
        let chat = self.messages.iter().filter(|(_, row)| row["category"] != "action");
        lines.extend(chat.map(|(id, row)| {
            let deleted = row.get("deletedAt").is_some();
            let text = if deleted { "null" } else { row["data"]["text"].as_str().unwrap_or("null") };
            format!("message {id} {} {} {text} {deleted}", row["sender"].as_str().unwrap(), row["sentAt"])
        }));
        for (id, reactions) in self.reactions.iter().filter(|(id, _)| self.messages.contains_key(*id)) {
            let line = |it: &Value| {
                format!("reaction {id} {} {}", it["reaction"].as_str().unwrap(), it["uid"].as_str().unwrap())
            };
            lines.extend(reactions.iter().map(line));
        }
        lines.sort();
        lines
    }
}

/// The same lines, of the tables.
pub const TOLD: &str = "
    SELECT 'member ' || m.guid || ' ' || uid || ' ' || coalesce(scope, 'null') || ' ' || coalesce((joined_at / 1000), 'null')
        FROM memberships AS m JOIN groups USING (app_id, guid) WHERE current AND deleted_at IS NULL
    UNION ALL SELECT 'banned ' || m.guid || ' ' || uid FROM memberships AS m JOIN groups USING (app_id, guid)
        WHERE state = 'banned' AND deleted_at IS NULL
    UNION ALL SELECT 'block ' || blocker_uid || ' ' || blocked_uid || ' ' || (since / 1000) FROM blocks WHERE current
    UNION ALL SELECT 'user ' || uid || ' ' || coalesce(name, 'null') FROM users
    UNION ALL SELECT 'group ' || guid || ' ' || coalesce(name, 'null') FROM groups WHERE deleted_at IS NULL
    UNION ALL SELECT 'message ' || message_id || ' ' || sender_uid || ' ' || (sent_at / 1000) || ' ' || coalesce(text, 'null')
        || ' ' || iif(deleted, 'true', 'false') FROM messages
    UNION ALL SELECT 'reaction ' || message_id || ' ' || reaction || ' ' || uid FROM reactions WHERE present";
