//! The chat that is read: groups with 200 members, people with their presence, messages with reactions and read receipts.
//! All of it follows from the number of messages. And what questions of growth ask for besides: a person in very many
//! groups, a group with a long history, a person with a long history.

use crate::files::Log;
use crate::mix::{APP, draw};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// Seconds of the first message; one is sent in a second, so that no two have one time.
pub const BEGIN: u64 = 1_700_000_000;
/// Members of a group.
const MEMBERS: u64 = 200;
/// People that one event adds to the large group.
const ADDED: u64 = 1_000;
/// Each is in about 5 % of the messages.
pub const COMMON: [&str; 4] = ["lunch", "friday", "report", "server"];
const WORDS: [&str; 24] = [
    "the", "we", "can", "you", "it", "when", "is", "moved", "to", "next", "meeting", "about", "ship", "this", "before",
    "they", "ask", "for", "a", "short", "list", "of", "open", "points",
];
const EMOJIS: [&str; 4] = ["👍", "❤️", "🎉", "😂"];

/// How large the chat is.
#[derive(Clone, Copy)]
pub struct Chat {
    pub messages: u64,
    pub growth: Option<Growth>,
}

/// Sizes of the entities that only the questions of growth ask for.
#[derive(Clone, Copy)]
pub struct Growth {
    /// Groups of one person, who is `READER`.
    pub groups: u64,
    /// People of the group `CROWD`, and facts about their memberships.
    pub people: u64,
    pub facts: u64,
    /// Events about one person, who is `HISTORIC`.
    pub events: u64,
}

pub const READER: &str = "reader";
pub const CROWD: &str = "crowd";
pub const HISTORIC: &str = "historic";

impl Chat {
    pub fn people(&self) -> u64 {
        (self.messages / 10).max(500)
    }

    pub fn groups(&self) -> u64 {
        (self.messages / 1_000).max(10)
    }

    /// The n-th group, person, word, and conversation that a client asks for: drawn, the same in every run.
    pub fn group(&self, n: u64) -> String {
        format!("group-{}", draw(n, 11) % self.groups())
    }

    pub fn person(&self, n: u64) -> String {
        format!("user-{}", draw(n, 12) % self.people())
    }

    pub fn conversation(&self, n: u64) -> String {
        format!("group_{}", self.group(n))
    }

    pub fn word(n: u64) -> String {
        COMMON[(n % COMMON.len() as u64) as usize].to_owned()
    }

    /// Second of the last message.
    pub fn end(&self) -> u64 {
        BEGIN + self.messages
    }

    /// Writes the deliveries, one a line.
    pub fn write(&self, dir: &Path) -> Log {
        Log::write(dir, |out| {
            (0..self.groups()).for_each(|group| self.write_group(group, out));
            (0..self.people()).for_each(|person| put(out, "user_connection_status_changed", &presence(person)));
            if let Some(growth) = &self.growth {
                growth.write(out);
            }
            (1..=self.messages).for_each(|n| self.write_message(n, out));
        })
    }

    /// The person at a place of a group. Groups share few people.
    fn member(&self, group: u64, place: u64) -> u64 {
        (group * 131 + place * (self.people() / MEMBERS).max(1)) % self.people()
    }

    fn write_group(&self, number: u64, out: &mut dyn Write) {
        let owner = self.member(number, 0);
        let about = |at: u64| group(&format!("group-{number}"), owner, at);
        let created = json!({"group": about(BEGIN - 2_000), "members": {uid(owner): user(owner)}});
        put(out, "group_created", &created);
        let scope = |place| match place {
            0..3 => "moderator",
            _ => "participant",
        };
        let member = |place| {
            let person = self.member(number, place);
            let mut about = user(person);
            about["scope"] = scope(place).into();
            (uid(person), about)
        };
        let members: serde_json::Map<_, _> = (1..MEMBERS).map(member).collect();
        put(out, "group_member_added", &json!({"group": about(BEGIN - 1_000), "members": members, "by": user(owner)}));
    }

    fn write_message(&self, n: u64, out: &mut dyn Write) {
        let (at, place) = (BEGIN + n, draw(n, 14) % MEMBERS);
        // Every twentieth message goes to a group of which the reader is a member.
        let small = self.growth.filter(|_| draw(n, 15).is_multiple_of(20)).map(|growth| draw(n, 16) % growth.groups);
        let number = draw(n, 3) % self.groups();
        let (sender, other, guid) = match small {
            Some(small) => (small % self.people(), self.member(0, place), Some(format!("small-{small}"))),
            None if draw(n, 2).is_multiple_of(2) => {
                (self.member(number, place), self.member(number, place + 1), Some(format!("group-{number}")))
            }
            None => {
                let sender = draw(n, 1) % self.people();
                (sender, (sender + 1 + draw(n, 3) % 10) % self.people(), None)
            }
        };
        let (kind, receiver, entity) = match &guid {
            Some(guid) => ("group", guid.clone(), group(guid, self.member(number, 0), BEGIN - 2_000)),
            None => ("user", uid(other), user(other)),
        };
        let entities = json!({
            "sender": {"entity": user(sender), "entityType": "user"},
            "receiver": {"entity": entity, "entityType": kind},
        });
        let message = json!({
            "id": n.to_string(), "sender": uid(sender), "receiverType": kind, "receiver": receiver,
            "category": "message", "type": "text", "sentAt": at, "updatedAt": at,
            "data": {"text": text(n), "entities": entities},
        });
        put(out, "message_sent", &json!({"message": message}));
        // Members of the group, or the other person, react to one message in six and read one in eight.
        for k in 0..[3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0][(draw(n, 17) % 12) as usize] {
            let by = if kind == "group" && small.is_none() { self.member(number, place + 2 + k * 7) } else { other };
            let emoji = EMOJIS[(draw(n + k, 18) % 4) as usize];
            let reaction = json!({
                "id": (n * 10 + k).to_string(), "messageId": n.to_string(), "reaction": emoji, "uid": uid(by),
                "reactedAt": at + 1 + k, "reactedBy": user(by),
            });
            put(out, "message_reaction_added", &json!({"reaction": reaction}));
        }
        if draw(n, 19).is_multiple_of(8) {
            let (by, about) = match small {
                Some(_) => (READER.to_owned(), json!({"uid": READER, "name": "Reader"})),
                None => (uid(other), user(other)),
            };
            let to = if kind == "group" { receiver } else { uid(sender) };
            let body = json!({"action": "read", "messageId": n.to_string(), "user": about, "timestamp": at + 1});
            let receipt = json!({
                "receiver": to, "receiverType": kind, "type": "receipts", "sender": by, "messageSender": uid(sender),
                "body": body,
            });
            put(out, "message_read_receipt", &receipt);
        }
    }
}

impl Growth {
    fn write(&self, out: &mut dyn Write) {
        for small in 0..self.groups {
            let about = |at: u64| group(&format!("small-{small}"), small, at);
            let reader = json!({READER: {"uid": READER, "name": "Reader"}});
            put(out, "group_created", &json!({"group": about(BEGIN - 2_000), "members": {uid(small): user(small)}}));
            let added = json!({"group": about(BEGIN - 1_000), "members": reader, "by": user(small)});
            put(out, "group_member_added", &added);
        }
        put(out, "group_created", &json!({"group": group(CROWD, 0, BEGIN - 100_000), "members": {uid(0): user(0)}}));
        let rounds = self.facts.div_ceil(self.people);
        for round in 0..rounds {
            // They are added, put out, and added again; in the last round they are added.
            let trigger = if (rounds - round) % 2 == 1 { "group_member_added" } else { "group_member_kicked" };
            for first in (0..self.people).step_by(ADDED as usize) {
                let members: serde_json::Map<_, _> = (first..(first + ADDED).min(self.people))
                    .map(|person| (format!("crowd-{person}"), json!({"uid": format!("crowd-{person}")})))
                    .collect();
                let at = BEGIN - 90_000 + round * 100 + first / ADDED % 100;
                put(out, trigger, &json!({"group": group(CROWD, 0, at), "members": members, "by": user(0)}));
            }
        }
        for event in 0..self.events {
            let at = (BEGIN + event) * 1_000;
            let status = if event % 2 == 0 { "online" } else { "offline" };
            let about = json!({"uid": HISTORIC, "name": format!("Name no. {event}"), "status": status});
            let changed = json!({"timestamp": at, "user": about, "status": status, "userPresenceChanged": true});
            put(out, "user_connection_status_changed", &changed);
        }
    }
}

fn put(out: &mut dyn Write, trigger: &str, data: &Value) {
    let delivery = json!({"trigger": trigger, "data": data, "appId": APP, "region": "eu", "webhook": "bench"});
    writeln!(out, "{delivery}").unwrap();
}

fn uid(person: u64) -> String {
    format!("user-{person}")
}

fn user(person: u64) -> Value {
    json!({
        "uid": uid(person), "name": format!("Name of {person}"),
        "avatar": format!("https://example.com/avatars/{person}.png"), "status": "available", "role": "default",
        "lastActiveAt": BEGIN - 5_000,
    })
}

fn group(guid: &str, owner: u64, updated: u64) -> Value {
    json!({
        "guid": guid, "name": format!("Name of {guid}"), "type": "public", "owner": uid(owner),
        "createdAt": if guid == CROWD { BEGIN - 100_000 } else { BEGIN - 2_000 }, "updatedAt": updated,
        "membersCount": MEMBERS,
    })
}

fn presence(person: u64) -> Value {
    let status = if draw(person, 13).is_multiple_of(3) { "online" } else { "offline" };
    let at = (BEGIN - 500) * 1_000;
    json!({"timestamp": at, "user": user(person), "status": status, "userPresenceChanged": true})
}

/// Eight to fourteen words, and one of the common ones in each fifth text.
fn text(n: u64) -> String {
    let words = (0..8 + draw(n, 20) % 7).map(|k| WORDS[(draw(n * 16 + k, 21) % WORDS.len() as u64) as usize]);
    let common = draw(n, 22).is_multiple_of(5).then(|| COMMON[(draw(n, 23) % 4) as usize]);
    let mut all: Vec<&str> = words.chain(common).collect();
    let number = n.to_string();
    all.push(&number);
    all.join(" ")
}
