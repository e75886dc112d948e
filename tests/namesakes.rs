//! Different conversations may have ids that are spelled alike: that of `group_7` with `zoe` and that of the group
//! `7_user_zoe`; that of `a` with `b_user_c` and that of `a_user_b` with `c`. Nothing crosses from one to the other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use chatfold::graphql::{Caller, Limits};
use harness::{Harness, NOON, assert_same};
use serde_json::{Value, json};
use support::TestServer;
use support::feed::Events;

const SECOND: i64 = NOON / 1000;
/// Of `group_7` with `zoe`, and of the group `7_user_zoe`.
const MIXED: &str = "group_7_user_zoe";
/// Of `a` with `b_user_c`, and of `a_user_b` with `c`.
const PAIRS: &str = "a_user_b_user_c";

fn event(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": "app", "webhook": "w", "region": "eu", "data": data }).to_string()
}

fn message(id: i64, sender: &str, kind: &str, receiver: &str) -> Value {
    json!({
        "id": id.to_string(), "sender": sender, "receiverType": kind, "receiver": receiver, "category": "message",
        "type": "text", "sentAt": SECOND + id, "data": { "text": format!("hello {id}") },
    })
}

fn said(id: i64, sender: &str, kind: &str, receiver: &str) -> String {
    event("message_sent", &json!({ "message": message(id, sender, kind, receiver) }))
}

fn deleted(id: i64, sender: &str, kind: &str, receiver: &str) -> String {
    let mut it = message(id, sender, kind, receiver);
    it["deletedAt"] = (SECOND + 500).into();
    it["deletedBy"] = sender.into();
    event("message_deleted", &json!({ "message": it }))
}

fn read(id: i64, reader: &str, author: &str, kind: &str, receiver: &str) -> String {
    let body = json!({ "action": "read", "messageId": id.to_string(), "timestamp": SECOND + 100 + id });
    let data = json!({
        "receiver": receiver, "receiverType": kind, "type": "receipts", "sender": reader, "messageSender": author,
        "body": body,
    });
    event("message_read_receipt", &data)
}

/// All four conversations. The one to one of `zoe` goes on behind all that was said in the group, and what she read and
/// said there is neither read nor answered in the group.
fn story() -> Vec<String> {
    let mut asks_zoe = message(12, "amy", "group", "7_user_zoe");
    asks_zoe["data"]["mentions"] = json!({ "zoe": { "uid": "zoe", "name": "Zoe" } });
    let group = json!({
        "guid": "7_user_zoe", "name": "Seven", "type": "public", "createdAt": SECOND, "owner": "amy",
        "hasJoined": true, "scope": "admin", "joinedAt": SECOND,
    });
    let joined = json!({ "guid": "7_user_zoe", "name": "Seven", "createdAt": SECOND, "updatedAt": SECOND + 1 });
    vec![
        event("group_created", &json!({ "group": group, "members": { "amy": { "uid": "amy", "name": "Amy" } } })),
        event(
            "group_member_joined",
            &json!({ "group": joined, "members": { "zoe": { "uid": "zoe", "name": "Zoe" } }, "by": { "uid": "zoe" } }),
        ),
        said(1, "group_7", "user", "zoe"),
        said(2, "zoe", "user", "group_7"),
        said(3, "group_7", "user", "zoe"),
        said(11, "zoe", "group", "7_user_zoe"),
        event("message_sent", &json!({ "message": asks_zoe })),
        said(13, "amy", "group", "7_user_zoe"),
        said(14, "amy", "group", "7_user_zoe"),
        said(20, "group_7", "user", "zoe"),
        said(21, "zoe", "user", "group_7"),
        read(20, "zoe", "group_7", "user", "zoe"),
        read(11, "amy", "zoe", "group", "7_user_zoe"),
        deleted(3, "group_7", "user", "zoe"),
        deleted(14, "amy", "group", "7_user_zoe"),
        said(31, "a", "user", "b_user_c"),
        said(41, "c", "user", "a_user_b"),
        said(42, "a_user_b", "user", "c"),
        read(42, "c", "a_user_b", "user", "c"),
    ]
}

fn heard(order: impl IntoIterator<Item = usize>) -> Harness {
    let harness = Harness::new();
    let story = story();
    for (at, place) in (1000..).zip(order) {
        assert_eq!(harness.post(&story[place], NOON + 1000 * at).outcome.as_str(), "applied");
    }
    harness
}

fn told() -> Harness {
    heard(0..story().len())
}

fn answer(harness: &Harness, query: &str) -> Value {
    harness.answer(query, Limits::default(), Caller::default())
}

/// What the first error says; its code is that of a wrong argument.
fn refusal(harness: &Harness, query: &str) -> String {
    let answer = answer(harness, query);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{query}\n{answer:#}");
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

fn ids(connection: &Value) -> Vec<&str> {
    connection["nodes"].as_array().unwrap().iter().map(|node| node["messageId"].as_str().unwrap()).collect()
}

/// Ids of messages with a filter, newest first.
fn listed(harness: &Harness, filter: &str) -> String {
    let found = harness.data(&format!("{{messages(filter:{{{filter}}}){{nodes{{messageId}}}}}}"));
    ids(&found["messages"]).join(" ")
}

/// How to ask for each of the four conversations, and the ids of its messages.
const ALL: [(&str, &str, &str); 4] = [
    (MIXED, "receiverType:USER", "21 20 2 1"),
    (MIXED, "receiverType:GROUP", "13 12 11"),
    (PAIRS, "uid:\"b_user_c\"", "31"),
    (PAIRS, "receiverType:USER,uid:\"c\"", "42 41"),
];

#[test]
fn each_conversation_has_its_own_row_with_its_own_count_and_last_message() {
    let rows = told().ask(
        "SELECT conversation_id, coalesce(guid, low_uid || ' ' || high_uid), messages_count, last_message_id
         FROM conversations ORDER BY 4",
    );
    let expected = [
        "group_7_user_zoe|7_user_zoe|3|13",
        "group_7_user_zoe|group_7 zoe|4|21",
        "a_user_b_user_c|a b_user_c|1|31",
        "a_user_b_user_c|a_user_b c|2|42",
    ];
    assert_same(&expected.join("\n"), &rows, "conversations");
}

#[test]
fn what_was_read_in_one_conversation_is_not_read_in_the_other() {
    let harness = told();
    assert_eq!(
        harness.ask("SELECT conversation_id, uid, message_id FROM read_markers ORDER BY 3"),
        "group_7_user_zoe|amy|11\ngroup_7_user_zoe|zoe|20\na_user_b_user_c|c|42"
    );
    let query = "{zoe:user(uid:\"zoe\"){conversations{nodes{conversationId type unreadCount(uid:\"zoe\") messagesCount
                    lastMessage{messageId}}}}
        amy:user(uid:\"amy\"){conversations{nodes{type unreadCount(uid:\"amy\")}}}
        b:user(uid:\"b_user_c\"){conversations{nodes{unreadCount(uid:\"b_user_c\")}}}
        message(messageId:\"12\"){readBy{uid} readByCount conversation{type messagesCount}}
        other:message(messageId:\"31\"){readBy{uid} readByCount}}";
    let answer = harness.data(query);
    let row = |kind: &str, unread: i64, count: i64, last: &str| {
        json!({ "conversationId": MIXED, "type": kind, "unreadCount": unread, "messagesCount": count,
            "lastMessage": { "messageId": last } })
    };
    let expected = json!([row("USER", 0, 4, "21"), row("GROUP", 2, 3, "13")]);
    assert_eq!(answer["zoe"]["conversations"]["nodes"], expected, "{answer:#}");
    assert_eq!(answer["amy"]["conversations"]["nodes"], json!([{ "type": "GROUP", "unreadCount": 0 }]));
    assert_eq!(answer["b"]["conversations"]["nodes"], json!([{ "unreadCount": 1 }]));
    let message = json!({ "readBy": [], "readByCount": 0, "conversation": { "type": "GROUP", "messagesCount": 3 } });
    assert_eq!(answer["message"], message);
    assert_eq!(answer["other"], json!({ "readBy": [], "readByCount": 0 }));
    assert_eq!(listed(&harness, "unreadBy:\"zoe\""), "13 12");
}

#[test]
fn what_was_said_in_one_conversation_answers_nothing_in_the_other() {
    let harness = told();
    assert_eq!(listed(&harness, "mentionsUid:\"zoe\",unanswered:true"), "12");
    let span = "after:\"2026-01-05T00:00:00Z\",before:\"2026-01-06T00:00:00Z\"";
    let query = format!(
        "{{group(guid:\"7_user_zoe\"){{activity({span}){{days{{messagesCount activeSendersCount}}}}
             responses({span},roles:[],tags:[]){{unansweredCount}} conversation{{messagesCount}}}}}}"
    );
    let expected = json!({
        "activity": { "days": [{ "messagesCount": 3, "activeSendersCount": 2 }] },
        "responses": { "unansweredCount": 1 }, "conversation": { "messagesCount": 3 },
    });
    assert_eq!(harness.data(&query)["group"], expected);
    let of_app = format!("{{apps{{responses({span},roles:[],tags:[]){{unansweredCount}}}}}}");
    assert_eq!(harness.data(&of_app)["apps"][0]["responses"]["unansweredCount"], 0, "nobody is an agent");
}

#[test]
fn each_conversation_is_asked_for_by_its_type_a_person_or_its_global_id() {
    let harness = told();
    let mut global = Vec::new();
    for (id, which, messages) in ALL {
        let query = format!(
            "{{conversation(conversationId:\"{id}\",{which}){{id messagesCount readMarkersCount messages{{nodes{{messageId}}}}}}}}"
        );
        let it = harness.data(&query)["conversation"].clone();
        assert_eq!(ids(&it["messages"]).join(" "), messages, "{which}");
        assert_eq!(it["messagesCount"], messages.split(' ').count(), "{which}");
        let again = format!("{{node(id:{}){{id ... on Conversation{{messagesCount}}}}}}", it["id"]);
        let node = harness.data(&again)["node"].clone();
        assert_eq!((&node["id"], &node["messagesCount"]), (&it["id"], &it["messagesCount"]), "{which}");
        global.push(it["id"].clone());
    }
    global.sort_by_key(Value::to_string);
    global.dedup();
    assert_eq!(global.len(), 4);
}

#[test]
fn an_id_that_several_conversations_have_is_refused_with_their_names() {
    let harness = told();
    let refused = refusal(&harness, &format!("{{conversation(conversationId:\"{MIXED}\"){{id}}}}"));
    for part in ["conversationId", "group_7 and zoe", "the group 7_user_zoe", "receiverType"] {
        assert!(refused.contains(part), "{refused}");
    }
    let refused = refusal(&harness, &format!("{{conversation(conversationId:\"{PAIRS}\",receiverType:USER){{id}}}}"));
    for part in ["a and b_user_c", "a_user_b and c", "uid"] {
        assert!(refused.contains(part), "{refused}");
    }
    let query = format!("{{messages(filter:{{conversationId:\"{PAIRS}\",receiverType:USER}}){{nodes{{messageId}}}}}}");
    assert!(refusal(&harness, &query).contains("`messages` of one `conversation`"));
    let query = format!("{{messages(filter:{{conversationId:\"{MIXED}\"}}){{nodes{{messageId}}}}}}");
    let refused = refusal(&harness, &query);
    assert!(refused.contains("filter.conversationId") && refused.contains("filter.receiverType"), "{refused}");
    let refused = refusal(&harness, "{messages(filter:{receiverType:USER}){nodes{messageId}}}");
    assert!(refused.contains("filter.receiverType") && refused.contains("conversationId"), "{refused}");
    let nothing = format!("{{conversation(conversationId:\"{MIXED}\",uid:\"nobody\"){{id}}}}");
    assert_eq!(harness.data(&nothing)["conversation"], Value::Null);
    // An id that one conversation has needs no more than the id.
    harness.post(&said(50, "amy", "user", "zoe"), NOON);
    let alone = "{conversation(conversationId:\"amy_user_zoe\"){messagesCount}}";
    assert_eq!(harness.data(alone)["conversation"]["messagesCount"], 1);
    assert_eq!(listed(&harness, "conversationId:\"amy_user_zoe\""), "50");
    assert_eq!(listed(&harness, "conversationId:\"amy_user_zoe\",receiverType:GROUP"), "");
}

#[test]
fn lists_of_messages_hold_those_of_one_conversation_alone() {
    let harness = told();
    for (which, here, with_deleted) in [("USER", "21 20 2 1", "21 20 3 2 1"), ("GROUP", "13 12 11", "14 13 12 11")] {
        let filter = format!("conversationId:\"{MIXED}\",receiverType:{which}");
        assert_eq!(listed(&harness, &filter), here);
        assert_eq!(listed(&harness, &format!("{filter},search:\"hello\"")), here);
        assert_eq!(listed(&harness, &format!("{filter},includeDeleted:true,includeSteps:true")), with_deleted);
        let other = if which == "USER" { "GROUP" } else { "USER" };
        let query = format!(
            "{{conversation(conversationId:\"{MIXED}\",receiverType:{which}){{
                 same:messages(filter:{{conversationId:\"{MIXED}\"}}){{totalCount}}
                 other:messages(filter:{{conversationId:\"{MIXED}\",receiverType:{other}}}){{totalCount}}}}}}"
        );
        let it = harness.data(&query)["conversation"].clone();
        assert_eq!(
            (&it["same"]["totalCount"], &it["other"]["totalCount"]),
            (&json!(here.split(' ').count()), &json!(0))
        );
    }
    let filter = format!("conversationId:\"{MIXED}\",receiverType:GROUP,mentionsUid:\"zoe\"");
    assert_eq!(listed(&harness, &filter), "12");
}

/// A deletion tells the sender, a late send the receiver: the message was never listed.
#[test]
fn messages_of_a_conversation_that_has_no_row_are_found_by_its_id() {
    let harness = Harness::new();
    let deletion = json!({ "id": "5", "sender": "group_7", "deletedAt": SECOND + 9 });
    harness.post(&event("message_deleted", &json!({ "message": deletion })), NOON);
    let mut late = message(5, "", "user", "zoe");
    late.as_object_mut().unwrap().remove("sender");
    harness.post(&event("message_sent", &json!({ "message": late })), NOON);
    assert_eq!(harness.ask("SELECT conversation_id, low_length FROM messages"), "group_7_user_zoe|7");
    assert_eq!(harness.ask("SELECT count(*) FROM conversations"), "0");
    let filter = format!("conversationId:\"{MIXED}\",includeDeleted:true");
    assert_eq!(listed(&harness, &filter), "5");
    assert_eq!(listed(&harness, &format!("{filter},receiverType:USER")), "5");
    assert_eq!(listed(&harness, &format!("{filter},receiverType:GROUP")), "");
}

#[test]
fn a_cursor_of_one_conversation_is_refused_by_the_other() {
    let harness = told();
    let page = |which: &str, after: &Value| {
        format!(
            "{{messages(filter:{{conversationId:\"{MIXED}\",receiverType:{which}}},first:1,after:{after}){{
                 nodes{{messageId}} pageInfo{{endCursor}}}}}}"
        )
    };
    let first = harness.data(&page("USER", &Value::Null))["messages"].clone();
    let cursor = &first["pageInfo"]["endCursor"];
    assert_eq!(ids(&first), ["21"]);
    assert_eq!(ids(&harness.data(&page("USER", cursor))["messages"]), ["20"]);
    assert!(refusal(&harness, &page("GROUP", cursor)).starts_with("after"));
}

#[test]
fn pages_of_one_conversation_each_tell_all_of_them() {
    let harness = Harness::new();
    // At one time all four, so that nothing but the key orders them.
    for (id, sender, kind, receiver) in [
        (1, "group_7", "user", "zoe"),
        (2, "zoe", "group", "7_user_zoe"),
        (3, "a", "user", "b_user_c"),
        (4, "a_user_b", "user", "c"),
    ] {
        let mut it = message(id, sender, kind, receiver);
        it["sentAt"] = SECOND.into();
        harness.post(&event("message_sent", &json!({ "message": it })), NOON);
    }
    for direction in ["first:1,after", "last:1,before"] {
        let (mut cursor, mut seen) = (Value::Null, Vec::new());
        for _ in 0..4 {
            let query = format!("{{conversations({direction}:{cursor}){{edges{{cursor node{{id}}}}}}}}");
            let edges = harness.data(&query)["conversations"]["edges"].clone();
            cursor = edges[0]["cursor"].clone();
            seen.push(edges[0]["node"]["id"].to_string());
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4, "{direction}");
    }
}

#[test]
fn views_tell_them_apart() {
    let harness = told();
    let counts = "
        SELECT c.conversation_id, c.type, c.low_uid, c.messages_count,
            (SELECT count(*) FROM v_messages AS m WHERE m.conversation_id = c.conversation_id AND m.low_length = c.low_length),
            (SELECT group_concat(r.uid) FROM v_read_markers AS r
             WHERE r.conversation_id = c.conversation_id AND r.low_length = c.low_length)
        FROM v_conversations AS c ORDER BY c.last_message_id";
    let expected = "group_7_user_zoe|group|null|3|3|amy\ngroup_7_user_zoe|user|group_7|4|4|zoe\n\
        a_user_b_user_c|user|a|1|1|null\na_user_b_user_c|user|a_user_b|2|2|c";
    assert_same(expected, &harness.ask(counts), "views");
    assert!(harness.explain_all("namesakes") > 10);
}

#[test]
fn every_order_of_arrival_gives_the_same_conversations() {
    let (count, expected) = (story().len(), told());
    let (truth, hash) = (expected.truth(), expected.verify().live.total);
    // The first is the story told backwards. Each of the 19 deliveries comes once, for 19 is a prime number.
    for (step, start) in [(18, 18), (7, 3), (11, 5), (3, 16)] {
        let harness = heard((0..count).map(|at| (at * step + start) % count));
        assert_same(&truth, &harness.truth(), &format!("by steps of {step}"));
        assert_eq!(harness.verify().live.total, hash, "by steps of {step}");
    }
}

#[test]
fn the_feed_and_the_console_tell_them_apart() {
    let server = TestServer::start();
    for body in story() {
        assert_eq!(server.deliver(body).status, 200);
    }
    let of = |more: &str, count: usize| {
        let mut events = Events::follow(&server, &format!("/changes?afterSeq=0&conversationId={MIXED}{more}"), "");
        (0..count).map(|_| events.next().0).collect::<Vec<_>>()
    };
    assert_eq!(of("&receiverType=USER", 7), [3, 4, 5, 10, 11, 12, 14]);
    assert_eq!(of("&receiverType=GROUP", 6), [6, 7, 8, 9, 13, 15]);
    assert_eq!(of("", 13), (3..=15).collect::<Vec<_>>(), "without the type: of all that have the id");
    for wrong in ["conversationId=x&receiverType=PAIR", "receiverType=USER"] {
        server.request("GET", &format!("/changes?afterSeq=0&{wrong}"), &[], b"").problem(400);
    }

    let link = |page: &str, words: &str| {
        let shown = server.get(page);
        assert_eq!(shown.status, 200, "{page}: {}", shown.body);
        let hrefs = shown.body.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
        let mut to = hrefs.filter(|(href, rest)| href.starts_with("/conversation?") && rest.contains(words));
        let (href, _) = to.next().unwrap_or_else(|| panic!("{page} does not link to {words}"));
        href.replace("&amp;", "&").replace("&#38;", "&")
    };
    for (page, words, own, of_another) in [
        ("/message?messageId=2", "group_7", "hello 20", "hello 12"),
        ("/message?messageId=13", "Seven", "hello 12", "hello 20"),
        ("/message?messageId=31", "b_user_c", "hello 31", "hello 42"),
        ("/message?messageId=41", "a_user_b", "hello 42", "hello 31"),
        ("/group?guid=7_user_zoe", "Conversation", "hello 12", "hello 20"),
        ("/user?uid=zoe", "group_7", "hello 20", "hello 12"),
        ("/user?uid=amy", "Seven", "hello 12", "hello 20"),
        ("/user?uid=c", "a_user_b", "hello 42", "hello 31"),
    ] {
        let shown = server.get(&link(page, words)).body;
        assert!(shown.contains(own) && !shown.contains(of_another), "{page}: {shown}");
        assert!(!shown.contains("name=\"conversationId\"") || shown.contains("name=\"receiverType\""), "{page}");
    }
    let shown = server.get(&format!("/conversation?conversationId={MIXED}")).body;
    assert!(shown.contains("the group 7_user_zoe"), "{shown}");
}
