//! What is chat, what is unread and which message is the last, by the rules of the vendor's own clients.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::chat::Unread;
use chatfold::graphql::{Caller, Limits};
use harness::{Harness, NOON, assert_same};
use serde_json::{Value, json};

const SECOND: i64 = NOON / 1000;

fn event(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": "app", "webhook": "w", "region": "eu", "data": data }).to_string()
}

/// A message in the group `g`, sent `id` seconds after the beginning; `more` adds to it or replaces.
fn said(id: i64, sender: &str, more: &Value) -> String {
    let mut message = json!({
        "id": id.to_string(), "sender": sender, "receiverType": "group", "receiver": "g", "category": "message",
        "type": "text", "sentAt": SECOND + id, "data": { "text": format!("word {id}") },
    });
    message.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    event("message_sent", &json!({ "message": message }))
}

fn custom(id: i64, sender: &str, data: &Value) -> String {
    said(id, sender, &json!({ "category": "custom", "type": "move", "data": data }))
}

/// An agent's step in its conversation with `ann`.
fn step(id: i64, kind: &str, data: &Value) -> String {
    let more = json!({
        "receiverType": "user", "receiver": "ann", "category": "agentic", "type": kind, "parentId": 1,
        "tags": ["tagged"], "data": data,
    });
    said(id, "agent", &more)
}

/// Ann reacts to what the agent said, and the agent edits it.
fn touched(id: i64) -> [String; 2] {
    let reaction = json!({ "messageId": id, "reaction": "+", "uid": "ann", "reactedAt": SECOND + 60 });
    let edited = json!({ "id": id, "editedAt": SECOND + 60, "editedBy": "agent", "data": { "text": "seven words" } });
    ["message_reaction_added", "message_edited"]
        .map(|it| event(it, &json!({ "reaction": reaction, "message": edited })))
}

fn deleted(id: i64) -> String {
    let message = json!({ "id": id.to_string(), "deletedAt": SECOND + 500, "deletedBy": "a" });
    event("message_deleted", &json!({ "message": message }))
}

fn read(id: i64, uid: &str) -> String {
    let body = json!({ "action": "read", "messageId": id.to_string(), "timestamp": SECOND + id });
    let data = json!({ "receiver": "g", "receiverType": "group", "type": "receipts", "sender": uid, "body": body });
    event("message_read_receipt", &data)
}

fn created() -> String {
    let group = json!({
        "guid": "g", "name": "Group", "type": "private", "createdAt": SECOND, "owner": "a", "hasJoined": true,
        "scope": "admin", "joinedAt": SECOND,
    });
    event("group_created", &json!({ "group": group, "members": { "a": { "uid": "a", "name": "A" } } }))
}

/// `trigger` happens to `uid` so many seconds after the beginning.
fn member(trigger: &str, second: i64, uid: &str) -> String {
    let group = json!({ "guid": "g", "name": "Group", "createdAt": SECOND, "updatedAt": SECOND + second });
    event(trigger, &json!({ "group": group, "members": { (uid): { "uid": uid, "name": uid } }, "by": { "uid": "a" } }))
}

fn post(harness: &Harness, bodies: &[String]) {
    for (at, body) in (1..).zip(bodies) {
        let receipt = harness.post(body, NOON + 1000 * at);
        assert_eq!(receipt.outcome.as_str(), "applied", "{body}");
    }
}

/// Asks with settings of `[unread]`.
fn ask_with(harness: &Harness, unread: Unread, query: &str) -> Value {
    let answer = harness.answer(query, Limits { unread, ..Limits::default() }, Caller::default());
    assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
    answer["data"].clone()
}

fn ids(connection: &Value) -> Vec<String> {
    let nodes = connection["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["messageId"].as_str().unwrap().to_owned()).collect()
}

/// Ids of messages with a filter, newest first.
fn listed(harness: &Harness, filter: &str) -> Vec<String> {
    ids(&harness.data(&format!("{{messages(filter:{{{filter}}}){{nodes{{messageId}}}}}}"))["messages"])
}

/// How many messages of `conversation` are unread to `uid`; asked in every way there is, with one answer.
fn unread(harness: &Harness, settings: Unread, conversation: &str, uid: &str) -> Option<i64> {
    let query = format!(
        "{{conversation(conversationId:\"{conversation}\"){{unreadCount(uid:\"{uid}\") unreadCountExact(uid:\"{uid}\")
             messages(filter:{{unreadBy:\"{uid}\"}}){{totalCount}}}}
           messages(filter:{{unreadBy:\"{uid}\",conversationId:\"{conversation}\"}}){{nodes{{messageId}}}}
           user(uid:\"{uid}\"){{conversations{{nodes{{conversationId unreadCount(uid:\"{uid}\")}}}}}}
           conversations(filter:{{uid:\"{uid}\"}}){{nodes{{conversationId unreadCount(uid:\"{uid}\")}}}}}}"
    );
    let answer = ask_with(harness, settings, &query);
    let it = &answer["conversation"];
    let count = it["unreadCount"].as_i64();
    assert_eq!(it["unreadCountExact"], json!(count.map(|_| true)), "{answer:#}");
    assert_eq!(it["messages"]["totalCount"], count.unwrap_or(0), "{answer:#}");
    assert_eq!(ids(&answer["messages"]).len() as i64, count.unwrap_or(0), "{answer:#}");
    for inbox in [&answer["user"]["conversations"], &answer["conversations"]] {
        for node in inbox["nodes"].as_array().into_iter().flatten().filter(|it| it["conversationId"] == conversation) {
            assert_eq!(node["unreadCount"].as_i64(), count, "{answer:#}");
        }
    }
    count
}

#[test]
fn unread_is_what_the_apps_own_screen_counts() {
    let harness = Harness::new();
    post(
        &harness,
        &[
            created(),
            member("group_member_added", 1, "w"),
            said(11, "a", &json!({})),
            said(12, "a", &json!({})),
            said(13, "a", &json!({})),
            said(14, "a", &json!({ "parentId": 11 })),
            custom(15, "a", &json!({ "customData": { "cell": 4 }, "updateConversation": false })),
            custom(16, "a", &json!({ "customData": {}, "metadata": { "incrementUnreadCount": true } })),
            said(17, "w", &json!({})),
            read(11, "w"),
        ],
    );
    let count = |thread_replies, custom| unread(&harness, Unread { thread_replies, custom }, "group_g", "w");
    assert_eq!(listed(&harness, "unreadBy:\"w\""), ["16", "13", "12"]);
    assert_eq!(count(false, false), Some(3), "two texts and the poll");
    assert_eq!(count(true, false), Some(4), "the reply, too");
    assert_eq!(count(false, true), Some(4), "the silent one, too");
    assert_eq!(count(true, true), Some(5));
    assert_eq!(unread(&harness, Unread::default(), "group_g", "a"), Some(1), "what w said");
}

#[test]
fn what_asks_to_be_counted_may_say_so_as_a_text() {
    let harness = Harness::new();
    post(
        &harness,
        &[
            created(),
            member("group_member_added", 1, "w"),
            custom(11, "a", &json!({ "metadata": { "incrementUnreadCount": "true" } })),
            custom(12, "a", &json!({ "metadata": "{\"incrementUnreadCount\":true}" })),
            custom(13, "a", &json!({ "metadata": { "incrementUnreadCount": "false" } })),
            custom(14, "a", &json!({ "metadata": [] })),
            said(
                15,
                "a",
                &json!({ "parentId": 11, "category": "custom", "data": { "metadata": { "incrementUnreadCount": true } } }),
            ),
        ],
    );
    assert_eq!(listed(&harness, "unreadBy:\"w\""), ["12", "11"]);
    assert_eq!(unread(&harness, Unread::default(), "group_g", "w"), Some(2));
    let replies = Unread { thread_replies: true, custom: false };
    assert_eq!(unread(&harness, replies, "group_g", "w"), Some(3));
}

#[test]
fn who_is_known_not_to_be_in_the_group_has_no_unread_count() {
    for end in ["group_member_kicked", "group_member_left", "group_member_banned"] {
        let harness = Harness::new();
        let count = |uid: &str| unread(&harness, Unread::default(), "group_g", uid);
        post(&harness, &[created(), member("group_member_added", 1, "w"), said(11, "a", &json!({}))]);
        assert_eq!((count("w"), count("stranger")), (Some(1), None));
        post(&harness, &[member(end, 20, "w")]);
        assert_eq!(count("w"), None, "{end}");
        if end == "group_member_banned" {
            post(&harness, &[member("group_member_unbanned", 30, "w")]);
            assert_eq!(count("w"), None, "unbanned is not back");
        }
        post(&harness, &[member("group_member_joined", 40, "w")]);
        assert_eq!(count("w"), Some(1), "back after {end}");
    }
    let harness = Harness::new();
    post(&harness, &[said(11, "a", &json!({})), member("group_member_kicked", 20, "k")]);
    let count = |uid: &str| unread(&harness, Unread::default(), "group_g", uid);
    assert_eq!(count("stranger"), Some(1), "nothing is known of the members");
    assert_eq!(count("k"), None);
}

#[test]
fn only_the_two_of_a_one_to_one_have_an_unread_count() {
    let harness = Harness::new();
    post(&harness, &[said(11, "a", &json!({ "receiverType": "user", "receiver": "b" }))]);
    let count = |uid: &str| unread(&harness, Unread::default(), "a_user_b", uid);
    assert_eq!((count("a"), count("b"), count("c")), (Some(0), Some(1), None));
}

const CONVERSATIONS: &str = "SELECT conversation_id, messages_count, last_message_id FROM conversations";

#[test]
fn a_silent_custom_message_is_listed_and_is_not_the_last() {
    for data in [
        json!({ "updateConversation": false }),
        json!({ "updateConversation": "false" }),
        json!({ "metadata": { "updateConversation": false } }),
    ] {
        let harness = Harness::new();
        post(&harness, &[said(11, "a", &json!({})), custom(12, "a", &data)]);
        assert_eq!(listed(&harness, "conversationId:\"group_g\""), ["12", "11"]);
        assert_eq!(harness.ask(CONVERSATIONS), "group_g|2|11", "{data}");
    }
    let harness = Harness::new();
    post(
        &harness,
        &[
            said(11, "a", &json!({ "data": { "updateConversation": false } })),
            custom(12, "a", &json!({ "customData": {} })),
        ],
    );
    assert_eq!(harness.ask(CONVERSATIONS), "group_g|2|12", "a custom message that does not say so is the last");
    post(&harness, &[said(13, "a", &json!({ "parentId": 11, "data": { "updateConversation": false } }))]);
    assert_eq!(harness.ask(CONVERSATIONS), "group_g|3|13", "so is a reply, and whatever is no custom message");
}

#[test]
fn a_conversation_of_silent_messages_is_listed_without_a_last_one() {
    let harness = Harness::new();
    let elsewhere = json!({ "receiver": "h" });
    post(&harness, &[said(11, "a", &elsewhere), custom(12, "a", &json!({ "updateConversation": false }))]);
    let list = || {
        let query = "{conversations{nodes{conversationId messagesCount lastMessage{messageId}}}}";
        harness.data(query)["conversations"]["nodes"].clone()
    };
    let silent = json!({ "conversationId": "group_g", "messagesCount": 1, "lastMessage": null });
    let other = json!({ "conversationId": "group_h", "messagesCount": 1, "lastMessage": { "messageId": "11" } });
    assert_eq!(list(), json!([silent, other]), "the newest activity first");
    assert_eq!(harness.ask("SELECT count(*) FROM v_conversations"), "2");
    post(&harness, &[deleted(12)]);
    assert_eq!(list(), json!([other]), "nothing is left that lists show");
}

/// Whatever comes first, the same message is the last.
#[test]
fn the_last_message_is_the_same_in_every_order() {
    let facts = [
        said(11, "a", &json!({})),
        custom(12, "a", &json!({ "updateConversation": false })),
        said(13, "a", &json!({})),
        custom(14, "a", &json!({ "updateConversation": false })),
        deleted(13),
        event(
            "message_edited",
            &json!({ "message": {
            "id": "14", "sender": "a", "receiverType": "group", "receiver": "g", "category": "custom", "type": "move",
            "sentAt": SECOND + 14, "editedAt": SECOND + 90, "data": { "updateConversation": true },
        } }),
        ),
    ];
    let told = |order: &[usize]| {
        let harness = Harness::new();
        post(&harness, &order.iter().map(|at| facts[*at].clone()).collect::<Vec<_>>());
        assert_eq!(harness.ask(CONVERSATIONS), "group_g|3|14", "{order:?}");
        harness.truth()
    };
    let straight = told(&[0, 1, 2, 3, 4, 5]);
    for order in [[5, 4, 3, 2, 1, 0], [4, 2, 0, 5, 1, 3], [2, 3, 4, 1, 5, 0], [3, 5, 2, 4, 0, 1], [1, 3, 0, 2, 5, 4]] {
        assert_same(&straight, &told(&order), &format!("{order:?}"));
    }
    let harness = Harness::new();
    let last = || harness.ask(CONVERSATIONS);
    for (fact, expected) in facts.iter().zip(["11", "11", "13", "13", "11", "14"]) {
        post(&harness, std::slice::from_ref(fact));
        assert!(last().ends_with(&format!("|{expected}")), "{}: {fact}", last());
    }
    post(&harness, &[deleted(14)]);
    assert_eq!(last(), "group_g|2|11");
    post(&harness, &[deleted(11)]);
    assert_eq!(last(), "group_g|1|null");
}

fn with_an_agent() -> Harness {
    let harness = Harness::new();
    let direct = json!({ "receiverType": "user", "receiver": "agent" });
    let answer = json!({
        "receiverType": "user", "receiver": "ann", "parentId": 1, "category": "agentic", "type": "assistant",
        "tags": ["tagged"], "data": { "text": "seven slots" },
    });
    let call = "[{\"id\":\"tc-1\",\"type\":\"function\",\"function\":{\"name\":\"slots\",\"arguments\":\"{}\"}}]";
    let mentions = json!({ "ann": { "uid": "ann", "name": "Ann" } });
    post(
        &harness,
        &[
            said(1, "ann", &direct),
            step(2, "tool-arguments", &json!({ "runId": 1, "toolCalls": call })),
            step(3, "tool-result", &json!({ "toolCallId": "tc-1", "text": "seven rows", "mentions": mentions })),
            said(4, "agent", &answer),
            step(5, "tool-result", &json!({ "toolCallId": "tc-2", "text": "seven more" })),
        ],
    );
    post(&harness, &[touched(4), touched(5)].concat());
    harness
}

#[test]
fn steps_of_an_agent_are_in_no_list_and_no_count() {
    let harness = with_an_agent();
    for (filter, chat) in [
        ("", &["4", "1"][..]),
        ("conversationId:\"agent_user_ann\"", &["4", "1"]),
        ("conversationId:\"agent_user_ann\",includeDeleted:true,includeBlocked:true", &["4", "1"]),
        ("senderUid:\"agent\"", &["4"]),
        ("parentId:\"1\"", &["4"]),
        ("tag:\"tagged\"", &["4"]),
        ("mentionsUid:\"ann\"", &[]),
        ("search:\"seven\"", &["4"]),
        ("search:\"sev*\"", &["4"]),
        ("search:\"seven\",conversationId:\"agent_user_ann\"", &["4"]),
        ("categories:[\"agentic\"]", &["4"]),
        ("types:[\"tool-result\"]", &[]),
        ("unreadBy:\"ann\"", &[]),
    ] {
        assert_eq!(listed(&harness, filter), chat, "{filter}");
    }
    let answer = harness.data(
        "{message(messageId:\"1\"){replies{nodes{messageId}} repliesCount threadParticipantsCount}
          user(uid:\"agent\"){messages{nodes{messageId}}}
          conversation(conversationId:\"agent_user_ann\"){messagesCount lastMessage{messageId} unreadCount(uid:\"ann\")
              messages{totalCount}}
          app(appId:\"app\"){activity(after:\"2026-01-05T00:00:00Z\",before:\"2026-01-06T00:00:00Z\"){days{messagesCount reactionsCount}}}}",
    );
    assert_eq!(ids(&answer["message"]["replies"]), ["4"]);
    assert_eq!(answer["message"]["repliesCount"], 1);
    assert_eq!(answer["message"]["threadParticipantsCount"], 1);
    assert_eq!(ids(&answer["user"]["messages"]), ["4"]);
    let conversation = json!({
        "messagesCount": 2, "lastMessage": { "messageId": "4" }, "unreadCount": 0, "messages": { "totalCount": 2 },
    });
    assert_eq!(answer["conversation"], conversation);
    assert_eq!(answer["app"]["activity"]["days"], json!([{ "messagesCount": 2, "reactionsCount": 1 }]));
    let all = Unread { thread_replies: true, custom: true };
    assert_eq!(unread(&harness, all, "agent_user_ann", "ann"), Some(1), "the answer alone");
    assert_eq!(harness.ask("SELECT message_id FROM v_messages ORDER BY message_id"), "1\n4");
    assert_eq!(harness.ask("SELECT message_id FROM v_message_tags"), "4");
    assert_eq!(harness.ask("SELECT count(*) FROM v_mentions"), "0");
    assert_eq!(harness.ask("SELECT message_id FROM v_reactions"), "4");
    assert_eq!(harness.ask("SELECT message_id FROM v_message_edits"), "4");
}

#[test]
fn steps_of_an_agent_are_found_by_id_and_by_who_asks_for_them() {
    let harness = with_an_agent();
    let answer = harness.data("{message(messageId:\"2\"){category type data} node:message(messageId:\"3\"){id text}}");
    assert_eq!(answer["message"]["type"], "tool-arguments");
    assert!(answer["message"]["data"]["toolCalls"].as_str().unwrap().contains("slots"), "{answer}");
    let id = answer["node"]["id"].as_str().unwrap();
    assert_eq!(harness.data(&format!("{{node(id:\"{id}\"){{id}}}}"))["node"]["id"], *id);
    for (filter, all) in [
        ("", &["5", "4", "3", "2", "1"][..]),
        ("conversationId:\"agent_user_ann\"", &["5", "4", "3", "2", "1"]),
        ("conversationId:\"agent_user_ann\",includeDeleted:true", &["5", "4", "3", "2", "1"]),
        ("senderUid:\"agent\"", &["5", "4", "3", "2"]),
        ("parentId:\"1\"", &["5", "4", "3", "2"]),
        ("tag:\"tagged\"", &["5", "4", "3", "2"]),
        ("mentionsUid:\"ann\"", &["3"]),
        ("search:\"seven\"", &["5", "4", "3"]),
        ("search:\"seven\",conversationId:\"agent_user_ann\"", &["5", "4", "3"]),
        ("types:[\"tool-result\"]", &["5", "3"]),
        ("unreadBy:\"ann\"", &[]),
    ] {
        assert_eq!(listed(&harness, &format!("includeSteps:true,{filter}")), all, "{filter}");
    }
    let page = |filter: &str| {
        let query = format!(
            "{{messages(filter:{{includeSteps:true}},{filter}){{nodes{{messageId}} pageInfo{{endCursor hasNextPage}}}}}}"
        );
        harness.data(&query)["messages"].clone()
    };
    let first = page("first:2");
    assert_eq!((ids(&first), &first["pageInfo"]["hasNextPage"]), (vec!["5".into(), "4".into()], &json!(true)));
    let second = page(&format!("first:2,after:{}", first["pageInfo"]["endCursor"]));
    assert_eq!(ids(&second), ["3", "2"]);
    post(&harness, &[deleted(3)]);
    assert_eq!(listed(&harness, "includeSteps:true"), ["5", "4", "2", "1"]);
    assert_eq!(listed(&harness, "includeSteps:true,includeDeleted:true"), ["5", "4", "3", "2", "1"]);
}

#[test]
fn a_conversation_of_steps_alone_is_in_no_list() {
    let harness = Harness::new();
    post(&harness, &[step(2, "tool-result", &json!({ "text": "rows" }))]);
    assert_eq!(harness.data("{conversations{totalCount}}")["conversations"]["totalCount"], 0);
    assert_eq!(harness.ask(CONVERSATIONS), "agent_user_ann|0|null");
    assert_eq!(harness.explain_all("a step"), 4, "the step, what it replies to, and two people");
}
