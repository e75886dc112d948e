use super::harness::{File, T0, all, ask, code, data};
use serde_json::Value;

/// Every root list, nested lists too, over the same small file: pages of two, forwards and backwards, see it whole.
#[test]
fn pages_meet_end_to_end() {
    let file = full();
    let api = file.api();
    let field = |name: &str| format!("nodes{{{name}}} edges{{cursor}}");
    let lists = [
        ("groups", "groups", field("guid"), 3),
        ("groups", "groups(orderBy:{field:NAME})", field("guid"), 3),
        ("groups", "groups(orderBy:{field:NAME,direction:DESC})", field("guid"), 3),
        ("groups", "groups(orderBy:{field:CREATED_AT})", field("guid"), 3),
        ("users", "users", field("uid"), 4),
        ("conversations", "conversations", field("conversationId"), 3),
        ("conversations", "conversations(filter:{uid:\"a\"})", field("conversationId"), 3),
        ("messages", "messages", field("messageId"), 6),
        ("messages", "messages(filter:{conversationId:\"group_g1\"})", field("messageId"), 4),
        ("messages", "messages(filter:{senderUid:\"a\"})", field("messageId"), 5),
        ("messages", "messages(filter:{mentionsUid:\"b\"})", field("messageId"), 3),
        ("messages", "messages(filter:{tag:\"t\"})", field("messageId"), 3),
        ("messages", "messages(filter:{moderationStatuses:[\"approved\"]})", field("messageId"), 3),
        ("blocks", "blocks", "nodes{blocked{uid}} edges{cursor}".to_owned(), 3),
        ("callSessions", "callSessions", field("id"), 3),
        ("events", "events", field("seq"), 4),
    ];
    for (name, call, fields, size) in lists {
        let page = |args: &str| {
            let call = match call.strip_suffix(')') {
                Some(open) => format!("{open},{args})"),
                None => format!("{call}({args})"),
            };
            let query = format!(
                "{{{call}{{{fields} pageInfo{{hasNextPage hasPreviousPage startCursor endCursor}} totalCount totalCountExact}}}}"
            );
            data(&api, &query)[name].clone()
        };
        let whole = page("first:200");
        assert_eq!(whole["nodes"].as_array().unwrap().len(), size, "{call} {whole:#}");
        assert_eq!((&whole["totalCount"], &whole["totalCountExact"]), (&size.into(), &true.into()), "{call}");
        for (size_arg, cursor_arg, cursor, more, less) in [
            ("first", "after", "endCursor", "hasNextPage", "hasPreviousPage"),
            ("last", "before", "startCursor", "hasPreviousPage", "hasNextPage"),
        ] {
            let mut seen: Vec<Value> = Vec::new();
            let mut args = format!("{size_arg}:2");
            loop {
                let this = page(&args);
                assert_eq!(this["pageInfo"][less], Value::from(!seen.is_empty()), "{call} {args} {this:#}");
                let nodes = this["nodes"].as_array().unwrap().clone();
                seen = if size_arg == "first" { [seen, nodes].concat() } else { [nodes, seen].concat() };
                if this["pageInfo"][more] == false {
                    break;
                }
                args = format!("{size_arg}:2,{cursor_arg}:{}", this["pageInfo"][cursor]);
            }
            assert_eq!(Value::from(seen), whole["nodes"], "{call} by {size_arg}");
        }
    }
}

/// Some of every kind of node.
pub(super) fn full() -> File {
    let file = File::new();
    file.app("app");
    for (index, guid) in ["g1", "g2", "g3"].into_iter().enumerate() {
        file.group("app", guid).member("app", guid, "a", "joined");
        file.sql(&format!("UPDATE groups SET created_at = {} WHERE guid = '{guid}'", T0 - index as i64));
    }
    file.sql("UPDATE groups SET name = NULL, created_at = NULL WHERE guid = 'g2'");
    for uid in ["a", "b", "c", "d"] {
        file.user("app", uid);
    }
    for (id, conversation, at) in [("group_g1", "group", 9), ("group_g2", "group", 9), ("a_user_b", "user", 7)] {
        let (low, high) = if conversation == "user" { ("'a'", "'b'") } else { ("NULL", "NULL") };
        file.sql(&format!(
            "INSERT INTO conversations VALUES ('app', '{id}', length(coalesce({low}, '')), '{conversation}', NULL, {low}, {high}, 1, NULL, {at}, {at})"
        ));
    }
    for (id, conversation, sender, second) in [
        ("999", "group_g1", "a", 5),
        ("1002", "group_g1", "a", 5),
        ("x", "group_g1", "a", 5),
        ("7", "group_g1", "b", 1),
        ("8", "a_user_b", "a", 2),
        ("9", "a_user_b", "a", 9),
    ] {
        file.message("app", conversation, id, sender, second);
    }
    for id in ["999", "8", "x"] {
        let no = id.parse().unwrap_or(i64::MAX);
        file.sql(&format!(
            "INSERT INTO mentions VALUES ('app', 'b', {no}, '{id}');
             INSERT INTO message_tags VALUES ('app', 't', {no}, '{id}');
             INSERT INTO moderation (app_id, message_id, status, registers) VALUES ('app', '{id}', 'approved', x'')"
        ));
    }
    for blocked in ["b", "c", "d"] {
        file.sql(&format!("INSERT INTO blocks VALUES ('app', 'a', '{blocked}', {T0}, 'told', 1, '{{}}')"));
    }
    file.sql(&format!("INSERT INTO blocks VALUES ('app', 'b', 'a', {T0}, 'told', 0, '{{}}')"));
    for (key, anchor) in [("s:1", 1), ("s:1", 2), ("m:3", 2)] {
        file.sql(&format!(
            "INSERT INTO call_sessions (app_id, session_key, kind, anchor, session_id, order_at, news_at)
             VALUES ('app', '{key}', 'call', {anchor}, '1', {anchor}, 0)"
        ));
    }
    for seq in 1..=4 {
        file.event("app", seq, if seq % 2 == 0 { "even" } else { "odd" }, "applied", "{}");
    }
    file.event("other", 5, "odd", "applied", "{}");
    file
}

#[test]
fn messages_are_newest_first_by_number() {
    let file = full();
    let api = file.api();
    let answer = data(&api, r#"{messages(filter:{conversationId:"group_g1"}){nodes{messageId}}}"#);
    assert_eq!(all(&answer["messages"], "messageId"), ["x", "1002", "999", "7"]);
    let answer = data(&api, r#"{messages(filter:{mentionsUid:"b"}){nodes{messageId}}}"#);
    assert_eq!(all(&answer["messages"], "messageId"), ["x", "999", "8"]);
}

#[test]
fn pages_are_stable_while_newer_rows_come() {
    let file = full();
    let api = file.api();
    let first = data(&api, "{messages(first:2){nodes{messageId} pageInfo{endCursor}}}");
    assert_eq!(all(&first["messages"], "messageId"), ["9", "x"]);
    file.message("app", "group_g1", "2000", "a", 100);
    let query =
        format!("{{messages(first:2,after:{}){{nodes{{messageId}}}}}}", first["messages"]["pageInfo"]["endCursor"]);
    assert_eq!(all(&data(&api, &query)["messages"], "messageId"), ["1002", "999"]);
}

#[test]
fn cursors_are_bound_to_their_list() {
    let file = full();
    let api = file.api();
    let first = data(&api, "{messages(first:1){pageInfo{endCursor}}}");
    let cursor = first["messages"]["pageInfo"]["endCursor"].to_string();
    for (argument, query) in [
        ("after", format!("{{messages(filter:{{senderUid:\"a\"}},after:{cursor}){{nodes{{messageId}}}}}}")),
        ("before", format!("{{users(before:{cursor}){{nodes{{uid}}}}}}")),
        ("after", "{users(after:\"junk\"){nodes{uid}}}".to_owned()),
        ("first", "{users(first:201){nodes{uid}}}".to_owned()),
        ("first", "{users(first:-1){nodes{uid}}}".to_owned()),
        ("last", "{users(first:1,last:1){nodes{uid}}}".to_owned()),
    ] {
        let answer = ask(&api, &query);
        assert_eq!(code(&answer), "BAD_INPUT", "{query} {answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with(argument), "{answer}");
    }
}

#[test]
fn filters_narrow() {
    let file = full();
    let now = chatfold::clock::now().0;
    file.sql(&format!(
        "INSERT INTO presence VALUES ('app', 'd', 1, 5, 'told', {now}, 'told', NULL, x''), ('app', 'a', 0, 5, 'told', 90000, 'told', 90000, x''),
             ('app', 'b', 1, 5, 'told', {now} - 25 * 3600000, 'told', NULL, x'')"
    ));
    file.sql(
        "UPDATE messages SET deleted = 1, listed = 0 WHERE message_id = '7';
         UPDATE messages SET blocked = 1, listed = 0 WHERE message_id = '8';
         UPDATE messages SET attachments = '[{\"url\":\"u\"}]' WHERE message_id = '9';
         UPDATE groups SET deleted_at = 5 WHERE guid = 'g3';
         UPDATE users SET name = 'A%_b', role = 'boss' WHERE uid = 'c';
         UPDATE moderation SET reviewed = 1 WHERE message_id = 'x';
         UPDATE messages SET metadata = '{\"orderId\":7731,\"gift\":true,\"note\":null}' WHERE message_id = '9';
         UPDATE messages SET metadata = '{\"orderId\":\"7732\"}' WHERE message_id = 'x';
         UPDATE messages SET metadata = 'broken' WHERE message_id = '999';
         UPDATE call_sessions SET receiver_type = 'group', receiver_id = 'g1' WHERE session_key = 'm:3';
         INSERT INTO event_refs VALUES ('app', 'message', '9', 2), ('app', 'message', '9', 3), ('app', 'group', '9', 4)",
    );
    let api = file.api();
    let yesterday = chatfold::ids::Time(now - 24 * 3_600_000).rfc3339();
    let heard_since = format!("users(filter:{{onlineAfter:\"{yesterday}\"}})");
    for (list, field, expected) in [
        ("messages(filter:{})", "messageId", vec!["9", "x", "1002", "999"]),
        ("messages(filter:{includeDeleted:true})", "messageId", vec!["9", "x", "1002", "999", "7"]),
        ("messages(filter:{includeBlocked:true,conversationId:\"a_user_b\"})", "messageId", vec!["9", "8"]),
        ("messages(filter:{hasAttachments:true})", "messageId", vec!["9"]),
        ("messages(filter:{types:[\"image\"]})", "messageId", vec![]),
        (
            "messages(filter:{sentAfter:\"2026-01-05T08:00:05Z\",sentBefore:\"2026-01-05T08:00:09Z\"})",
            "messageId",
            vec!["x", "1002", "999"],
        ),
        ("groups(filter:{})", "guid", vec!["g1", "g2"]),
        ("groups(filter:{memberUid:\"a\",includeDeleted:true})", "guid", vec!["g1", "g2", "g3"]),
        ("groups(filter:{owner:\"owner\",guids:[\"g2\"]})", "guid", vec!["g2"]),
        ("groups(filter:{nameContains:\"ROUP G\"})", "guid", vec!["g1"]),
        ("groups(filter:{types:[PRIVATE]})", "guid", vec![]),
        ("users(filter:{nameContains:\"a%_\"})", "uid", vec!["c"]),
        ("users(filter:{roles:[\"boss\"]})", "uid", vec!["c"]),
        ("users(filter:{online:true})", "uid", vec!["d"]),
        ("users(filter:{online:true,uids:[\"a\",\"b\",\"d\"]})", "uid", vec!["d"]),
        ("users(filter:{online:false,uids:[\"a\",\"b\",\"d\"]})", "uid", vec!["a", "b"]),
        ("users(filter:{lastSeenAfter:\"1970-01-01T00:00:00Z\"})", "uid", vec!["a", "b", "d"]),
        ("users(filter:{lastSeenAfter:\"1970-01-01T00:02:00Z\"})", "uid", vec!["b", "d"]),
        ("users(filter:{onlineAfter:\"1970-01-01T00:00:30Z\"})", "uid", vec!["a", "b", "d"]),
        ("users(filter:{onlineAfter:\"1970-01-01T00:02:00Z\"})", "uid", vec!["b", "d"]),
        (&heard_since, "uid", vec!["d"]),
        ("users(filter:{onlineAfter:\"1970-01-01T00:00:30Z\",uids:[\"a\",\"c\"]})", "uid", vec!["a"]),
        ("messages(filter:{reviewed:true})", "messageId", vec!["x"]),
        ("messages(filter:{reviewed:false,moderationStatuses:[\"approved\"]})", "messageId", vec!["999"]),
        ("messages(filter:{metadata:{key:\"orderId\"}})", "messageId", vec!["9", "x"]),
        ("messages(filter:{metadata:{key:\"orderId\",value:\"7731\"}})", "messageId", vec!["9"]),
        ("messages(filter:{metadata:{key:\"gift\",value:\"true\"}})", "messageId", vec!["9"]),
        ("messages(filter:{metadata:{key:\"orderId\",value:\"77\"}})", "messageId", vec![]),
        ("callSessions(filter:{guid:\"g1\"})", "kind", vec!["CALL"]),
        ("callSessions(filter:{guid:\"g2\"})", "kind", vec![]),
        ("events(filter:{about:\"message:9\"})", "seq", vec!["3", "2"]),
        ("events(filter:{about:\"message:9\",triggers:[\"even\"]})", "seq", vec!["2"]),
        ("events(filter:{about:\"message:8\"})", "seq", vec![]),
        ("conversations(filter:{types:[USER]})", "conversationId", vec!["a_user_b"]),
        ("conversations(filter:{uid:\"b\"})", "conversationId", vec!["a_user_b"]),
        ("events(filter:{triggers:[\"even\"]})", "seq", vec!["4", "2"]),
        ("events(filter:{afterSeq:\"2\"})", "seq", vec!["4", "3"]),
        ("events(filter:{afterSeq:3,outcomes:[APPLIED]})", "seq", vec!["4"]),
        ("events(filter:{outcomes:[REJECTED]})", "seq", vec![]),
    ] {
        let answer = data(&api, &format!("{{list:{list}{{nodes{{{field}}}}}}}").replace("list:groups", "list:groups"));
        assert_eq!(all(&answer["list"], field), expected, "{list}");
    }
    assert_eq!(code(&ask(&api, "{groups(filter:{nameContains:\"ab\"}){nodes{guid}}}")), "BAD_INPUT");
}

#[test]
fn a_conversation_of_two_people_is_not_that_of_a_group_whose_id_it_seems_to_hold() {
    let file = File::new();
    file.app("app").group("app", "7_user_zoe").member("app", "7_user_zoe", "a", "joined");
    file.sql(&format!(
        "INSERT INTO conversations VALUES ('app', 'group_7_user_zoe', 7, 'user', NULL, 'group_7', 'zoe', 1, '1', {T0}, {T0})"
    ));
    let answer = data(
        &file.api(),
        "{a:conversations(filter:{uid:\"a\"}){nodes{conversationId}} zoe:conversations(filter:{uid:\"zoe\"}){nodes{conversationId}}}",
    );
    assert_eq!(all(&answer["a"], "conversationId"), [""; 0]);
    assert_eq!(all(&answer["zoe"], "conversationId"), ["group_7_user_zoe"]);
}
