//! What a person has not read, and not answered.

use super::harness::{File, all, ask, code, data};

fn found(file: &File, filter: &str) -> Vec<String> {
    let answer = data(&file.api(), &format!("{{messages(filter:{{{filter}}}){{nodes{{messageId}}}}}}"));
    all(&answer["messages"], "messageId").into_iter().map(str::to_owned).collect()
}

#[test]
fn a_mention_is_answered_by_any_later_word_where_it_stands() {
    let file = File::new();
    file.app("app");
    for (second, (id, conversation, sender, mentions)) in (0..).zip([
        ("1", "group_g", "a", true),
        ("2", "group_g", "m", false),
        ("3", "group_g", "a", true),
        ("4", "group_h", "a", true),
        ("5", "group_h", "a", true),
        ("6", "group_h", "m", false),
        ("7", "group_g", "b", false),
    ]) {
        file.message("app", conversation, id, sender, second);
        if mentions {
            file.sql(&format!("INSERT INTO mentions VALUES ('app', 'm', {id}, '{id}')"));
        }
    }
    // 5 stands in a thread: what is said beside it is no answer.
    file.sql("UPDATE messages SET parent_id = '4' WHERE message_id = '5'");
    assert_eq!(found(&file, "mentionsUid:\"m\""), ["5", "4", "3", "1"]);
    assert_eq!(found(&file, "mentionsUid:\"m\",unanswered:true"), ["5", "3"]);
    assert_eq!(found(&file, "mentionsUid:\"m\",unanswered:false"), ["4", "1"]);
    file.message("app", "group_h", "8", "m", 8).sql("UPDATE messages SET parent_id = '4' WHERE message_id = '8'");
    assert_eq!(found(&file, "mentionsUid:\"m\",unanswered:true"), ["3"]);
    file.sql("UPDATE messages SET deleted = 1, listed = 0 WHERE message_id = '2'");
    assert_eq!(found(&file, "mentionsUid:\"m\",unanswered:true"), ["3", "1"], "a deleted answer is none");
    let answer = ask(&file.api(), "{messages(filter:{unanswered:true}){nodes{messageId}}}");
    assert_eq!(code(&answer), "BAD_INPUT");
    assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with("filter.unanswered: "), "{answer}");
}

#[test]
fn unread_is_what_unread_count_counts() {
    let file = File::new();
    file.app("app").group("app", "g").member("app", "g", "r", "joined");
    for (id, conversation, guid, sender) in [
        ("1", "group_g", "g", "a"),
        ("2", "group_g", "g", "r"),
        ("3", "group_g", "g", "a"),
        ("4", "group_g", "g", "a"),
        ("x", "group_g", "g", "a"),
        ("5", "group_h", "h", "a"),
    ] {
        file.message("app", conversation, id, sender, id.parse().unwrap_or(9));
        file.sql(&format!("UPDATE messages SET receiver_id = '{guid}' WHERE message_id = '{id}'"));
    }
    file.message("app", "a_user_r", "6", "a", 6)
        .sql("UPDATE messages SET receiver_type = 'user', receiver_id = 'r' WHERE message_id = '6'");
    file.sql(
        "INSERT INTO conversations (app_id, conversation_id, type, guid) VALUES ('app', 'group_g', 'group', 'g'),
             ('app', 'group_h', 'group', 'h');
         INSERT INTO read_markers VALUES ('app', 'group_g', 0, 'r', 1, 3, '3', 5)",
    );
    assert_eq!(found(&file, "unreadBy:\"r\""), ["x", "6", "4"], "not what is said where the person is not");
    assert_eq!(found(&file, "unreadBy:\"r\",conversationId:\"group_h\""), ["5"]);
    assert_eq!(found(&file, "unreadBy:\"r\",conversationId:\"group_g\""), ["x", "4"]);
    file.sql("INSERT INTO read_markers VALUES ('app', 'group_g', 0, 'r', 0, 9223372036854775807, 'x', 5)");
    assert_eq!(found(&file, "unreadBy:\"r\",conversationId:\"group_g\""), ["4"], "a marker for each kind of id");
    for conversation in ["group_g", "group_h"] {
        let query = format!(
            "{{conversation(conversationId:\"{conversation}\"){{unreadCount(uid:\"r\")
             messages(filter:{{unreadBy:\"r\"}}){{totalCount}}}}}}"
        );
        let answer = data(&file.api(), &query);
        let conversation = &answer["conversation"];
        assert_eq!(conversation["unreadCount"], conversation["messages"]["totalCount"], "{answer}");
    }
}

#[test]
fn whoever_read_a_later_message_has_read_this_one() {
    let file = File::new();
    file.app("app");
    for (id, second) in [("1", 1), ("2", 2), ("x", 3)] {
        file.message("app", "group_g", id, "s", second);
    }
    file.sql(
        "INSERT INTO read_markers VALUES ('app', 'group_g', 0, 'a', 1, 1, '1', 5), ('app', 'group_g', 0, 'b', 1, 2, '2', 5),
             ('app', 'group_g', 0, 's', 1, 2, '2', 5), ('app', 'group_h', 0, 'c', 1, 2, '2', 5),
             ('app', 'group_g', 0, 'd', 0, 9223372036854775807, 'x', 5)",
    );
    let read = |id: &str| {
        let answer = data(&file.api(), &format!("{{message(messageId:\"{id}\"){{readBy{{uid}} readByCount}}}}"));
        let message = &answer["message"];
        let uids: Vec<String> =
            message["readBy"].as_array().unwrap().iter().map(|it| it["uid"].as_str().unwrap().to_owned()).collect();
        assert_eq!(message["readByCount"], uids.len(), "{answer}");
        uids
    };
    assert_eq!(read("1"), ["a", "b"], "not its sender, nobody of another conversation, no marker of another kind");
    assert_eq!(read("2"), ["b"]);
    assert_eq!(read("x"), ["d"]);
}

#[test]
fn what_was_said_first_is_in_the_log() {
    let file = File::new();
    file.app("app").message("app", "group_g", "1", "s", 1).message("app", "group_g", "2", "s", 1);
    let sent = |id: &str, rest: &str, text: &str| {
        format!("{{\"data\":{{\"message\":{{\"id\":{id}{rest},\"data\":{{\"text\":\"{text}\"}}}}}}}}")
    };
    for (seq, (id, trigger, body)) in (1..).zip([
        ("1", "message_edited", sent("1", ",\"editedAt\":5", "edited")),
        ("1", "message_sent", sent("9", ",\"category\":\"action\"", "an echo")),
        ("1", "message_sent", sent("1", ",\"editedAt\":5", "edited")),
        ("1", "message_sent", sent("1", "", "first")),
        ("1", "message_sent", sent("1", "", "second")),
        ("2", "message_edited", sent("2", ",\"editedAt\":5", "edited")),
    ]) {
        file.event("app", seq, trigger, "applied", &body);
        file.sql(&format!("INSERT INTO event_refs VALUES ('app', 'message', '{id}', {seq})"));
    }
    let first = |id: &str| {
        data(&file.api(), &format!("{{message(messageId:\"{id}\"){{originalText}}}}"))["message"]["originalText"]
            .clone()
    };
    assert_eq!(first("1"), "first");
    assert_eq!(first("2"), serde_json::Value::Null, "nobody told");
    file.sql("UPDATE messages SET deleted = 1, listed = 0 WHERE message_id = '1'");
    assert_eq!(first("1"), serde_json::Value::Null, "it is deleted");
}
