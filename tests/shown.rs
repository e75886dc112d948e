//! Unread counts and last messages as CometChat's own clients show them, also of messages and members that no webhook told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};
use support::TestServer;
use vendor::app::App;
use vendor::{KEY, Vendor};

/// People of whom the counts of a conversation are asked for at once.
const PEOPLE: usize = 20;

/// A chat that counts by itself, by the rules of contract 4.4.
struct Chat {
    app: App,
    random: u64,
    now: i64,
    /// By conversation: who takes part.
    parties: BTreeMap<String, BTreeSet<String>>,
    /// By conversation and reader: up to which id all is read.
    markers: BTreeMap<(String, String), i64>,
    /// By id.
    messages: BTreeMap<i64, Message>,
}

struct Message {
    conversation: String,
    sender: String,
    sent_at: i64,
    is_reply: bool,
    is_counted: bool,
    may_be_last: bool,
    is_deleted: bool,
}

fn event(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": "app", "region": "eu", "data": data }).to_string()
}

impl Chat {
    fn below(&mut self, most: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % most
    }

    fn tick(&mut self) -> i64 {
        self.now += 61;
        self.now
    }

    /// A group with some of the people, or a conversation of two.
    fn begin(&mut self, n: usize) -> Vec<String> {
        let at = self.tick();
        if n % 3 == 2 {
            let (one, step) = (self.below(PEOPLE), 1 + self.below(PEOPLE - 1));
            let (one, other) = (format!("u{one}"), format!("u{}", (one + step) % PEOPLE));
            let id = if one < other { format!("{one}_user_{other}") } else { format!("{other}_user_{one}") };
            self.parties.insert(id, [one, other].into());
            return Vec::new();
        }
        let guid = format!("g{n}");
        let row = json!({ "guid": guid, "name": guid, "type": "public", "owner": "u0", "createdAt": at });
        self.app.groups.insert(guid.clone(), row);
        self.app.join(&guid, "u0", "admin", at);
        self.parties.insert(format!("group_{guid}"), ["u0".to_owned()].into());
        let mut group = self.app.group(&guid).unwrap();
        (group["scope"], group["joinedAt"]) = (json!("admin"), json!(at));
        let mut told = vec![event("group_created", &json!({ "group": group, "members": { "u0": { "uid": "u0" } } }))];
        for _ in 0..6 {
            let uid = format!("u{}", 1 + self.below(PEOPLE - 1));
            told.extend(self.join(&guid, &uid));
        }
        told
    }

    fn join(&mut self, guid: &str, uid: &str) -> Option<String> {
        if !self.parties.get_mut(&format!("group_{guid}")).unwrap().insert(uid.to_owned()) {
            return None;
        }
        let at = self.tick();
        self.app.join(guid, uid, "participant", at);
        let mut group = self.app.group(guid).unwrap();
        group["updatedAt"] = json!(at);
        Some(event("group_member_joined", &json!({ "group": group, "members": { uid: { "uid": uid } } })))
    }

    fn leave(&mut self, guid: &str, uid: &str) {
        self.app.leave(guid, uid);
        self.parties.get_mut(&format!("group_{guid}")).unwrap().remove(uid);
    }

    /// Somebody says something, in one of the ways that count differently.
    fn say(&mut self, conversation: &str) -> String {
        let (at, id) = (self.tick(), self.messages.last_key_value().map_or(1, |(id, _)| id + 1));
        let parties: Vec<String> = self.parties[conversation].iter().cloned().collect();
        let sender = parties[self.below(parties.len())].clone();
        let (kind, receiver) = match conversation.strip_prefix("group_") {
            Some(guid) => ("group", guid.to_owned()),
            None => ("user", parties.iter().find(|uid| **uid != sender).unwrap().clone()),
        };
        let earlier: Vec<i64> = self
            .messages
            .iter()
            .filter(|(_, it)| it.conversation == conversation && !it.is_reply)
            .map(|(id, _)| *id)
            .collect();
        let how = self.below(8);
        let (mut category, mut data) = ("message", json!({ "text": format!("words {id}") }));
        let (mut is_counted, mut may_be_last) = (true, true);
        if how < 3 {
            category = "custom";
            is_counted = how == 0;
            may_be_last = how != 1;
            let metadata = match how {
                0 => json!({ "incrementUnreadCount": true }),
                1 => json!({ "incrementUnreadCount": false }),
                _ => json!({}),
            };
            data = json!({ "metadata": metadata, "updateConversation": may_be_last, "customData": {} });
        }
        let parent = (how == 7 && !earlier.is_empty()).then(|| earlier[self.below(earlier.len())]);
        let mut row = json!({ "id": id.to_string(), "conversationId": conversation, "sender": sender, "receiverType": kind,
            "receiver": receiver, "category": category, "type": "text", "data": data, "sentAt": at, "updatedAt": at });
        if let Some(parent) = parent {
            row["parentId"] = json!(parent.to_string());
        }
        self.app.messages.insert(id, row.clone());
        let (conversation, is_reply) = (conversation.to_owned(), parent.is_some());
        let message =
            Message { conversation, sender, sent_at: at, is_reply, is_counted, may_be_last, is_deleted: false };
        self.messages.insert(id, message);
        event("message_sent", &json!({ "message": row }))
    }

    fn delete(&mut self, id: i64) -> String {
        let at = self.tick();
        let message = self.messages.get_mut(&id).unwrap();
        message.is_deleted = true;
        let row = self.app.messages.get_mut(&id).unwrap();
        (row["deletedAt"], row["deletedBy"]) = (json!(at), json!(message.sender));
        event("message_deleted", &json!({ "message": row }))
    }

    fn read(&mut self, id: i64) -> Option<String> {
        let conversation = self.messages[&id].conversation.clone();
        let readers: Vec<String> =
            self.parties[&conversation].iter().filter(|uid| **uid != self.messages[&id].sender).cloned().collect();
        if readers.is_empty() {
            return None;
        }
        let (at, reader) = (self.tick(), readers[self.below(readers.len())].clone());
        let marker = self.markers.entry((conversation, reader.clone())).or_default();
        *marker = id.max(*marker);
        let row = &self.app.messages[&id];
        let receiver = if row["receiverType"] == "group" { row["receiver"].clone() } else { row["sender"].clone() };
        let body = json!({ "action": "read", "messageId": id.to_string(), "timestamp": at });
        Some(event(
            "message_read_receipt",
            &json!({ "receiver": receiver, "receiverType": row["receiverType"],
            "type": "receipts", "sender": reader, "body": body }),
        ))
    }

    fn unread(&self, conversation: &str, uid: &str) -> Option<i64> {
        let read = self.markers.get(&(conversation.to_owned(), uid.to_owned())).copied().unwrap_or(0);
        let counts = |(id, it): &(&i64, &Message)| {
            it.conversation == conversation
                && **id > read
                && it.sender != uid
                && it.is_counted
                && !it.is_reply
                && !it.is_deleted
        };
        self.parties[conversation].contains(uid).then(|| self.messages.iter().filter(counts).count() as i64)
    }

    fn last(&self, conversation: &str) -> Option<String> {
        let may = |(_, it): &(&i64, &Message)| it.conversation == conversation && it.may_be_last && !it.is_deleted;
        self.messages.iter().filter(may).max_by_key(|(id, it)| (it.sent_at, **id)).map(|(id, _)| id.to_string())
    }
}

#[test]
fn unread_counts_and_last_messages_are_as_the_app_shows_them_after_a_reconcile() {
    let conversations = support::number("CHATFOLD_SHOWN_CONVERSATIONS", 60) as usize;
    let vendor = Vendor::of(App::default(), 100);
    let toml = format!(
        "api_key = \"{KEY}\"\napi_region = \"eu\"\napi_url = \"{}\"\n[reconcile]\nrequests = 100000",
        vendor.url()
    );
    let server = TestServer::with(&toml);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut chat = Chat {
        app: App::default(),
        random: 11,
        now: now - 61 * 40 * conversations as i64 - 1_000_000,
        parties: BTreeMap::new(),
        markers: BTreeMap::new(),
        messages: BTreeMap::new(),
    };
    for n in 0..PEOPLE {
        chat.app.users.insert(format!("u{n}"), json!({ "uid": format!("u{n}"), "name": format!("Person {n}") }));
    }
    let deliver = |body: String| assert_eq!(server.deliver(body).status, 200);
    for n in 0..conversations {
        chat.begin(n).into_iter().for_each(deliver);
    }
    let all: Vec<String> = chat.parties.keys().cloned().collect();
    for n in 0..conversations * 20 {
        let conversation = &all[n % all.len()];
        let said = chat.say(conversation);
        // Some messages, joins and leaves are never told, and some are told in time.
        let is_lost = chat.below(4) == 0;
        if !is_lost {
            deliver(said);
        }
        let id = *chat.messages.last_key_value().unwrap().0;
        match chat.below(6) {
            0 => {
                let told = chat.delete(id);
                if !is_lost {
                    deliver(told);
                }
            }
            1 | 2 => chat.read(id).into_iter().for_each(deliver),
            3 => {
                let uid = format!("u{}", 1 + chat.below(PEOPLE - 1));
                if let Some(guid) = conversation.strip_prefix("group_") {
                    if chat.parties[conversation].contains(&uid) {
                        chat.leave(guid, &uid);
                    } else {
                        chat.join(guid, &uid);
                    }
                }
            }
            _ => {}
        }
    }
    vendor.change(|app| *app = chat.app.clone());
    let differences = || {
        let mut wrong = Vec::new();
        for conversation in &all {
            let mut query = format!("{{conversation(conversationId:\"{conversation}\"){{lastMessage{{messageId}}");
            for n in 0..PEOPLE {
                write!(query, " u{n}:unreadCount(uid:\"u{n}\")").unwrap();
            }
            query += "}}";
            let answer = server.post("/graphql", &[support::JSON], json!({ "query": query }).to_string()).json();
            assert!(answer.get("errors").is_none(), "{answer:#}");
            let shown = &answer["data"]["conversation"];
            let last = shown["lastMessage"]["messageId"].as_str().map(str::to_owned);
            if last != chat.last(conversation) {
                wrong.push(format!("{conversation}: last {last:?}, not {:?}", chat.last(conversation)));
            }
            for n in 0..PEOPLE {
                let (uid, shown) = (format!("u{n}"), shown[format!("u{n}")].as_i64());
                let counted = chat.unread(conversation, &uid);
                if shown != counted {
                    wrong.push(format!("{conversation} for {uid}: {shown:?}, not {counted:?}"));
                }
            }
        }
        wrong
    };
    assert!(differences().len() > conversations, "nothing was lost");
    let (code, out, err) = server.run(&["reconcile", "--app", "app", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let wrong = differences();
    println!("{} pairs, {} differ", conversations * PEOPLE, wrong.len());
    assert!(wrong.is_empty(), "{} differ: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}
