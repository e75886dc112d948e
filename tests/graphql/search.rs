use super::harness::{File, all, ask, code, data};
use chatfold::graphql::Api;

/// Text of a message, and its place in the index.
fn say(file: &File, app: &str, id: i64, text: &str) {
    file.sql(&format!(
        "UPDATE messages SET text = '{text}' WHERE app_id = '{app}' AND message_id = '{id}';
         INSERT INTO app_numbers SELECT '{app}', count(*) + 1 FROM app_numbers WHERE true ON CONFLICT DO NOTHING;
         INSERT INTO message_search (rowid, text)
         SELECT number * 17592186044416 + {id}, '{text}' FROM app_numbers WHERE app_id = '{app}'"
    ));
}

fn chat() -> File {
    let file = File::new();
    file.app("app").app("other");
    for (app, id, conversation, sender, text) in [
        ("app", 8, "group_g", "a", "The quick brown fox"),
        ("app", 9, "group_g", "b", "a Fox, quick and brown"),
        ("app", 10, "group_h", "a", "Crème brûlée for foxes"),
        ("app", 1000, "group_h", "b", "e-mail me: \"quick\""),
        ("other", 11, "group_g", "a", "quick fox elsewhere"),
    ] {
        // Sent in another order than numbered.
        file.message(app, conversation, &id.to_string(), sender, 5000 - id);
        say(&file, app, id, text);
    }
    file
}

fn found(api: &Api, search: &str, more: &str) -> Vec<String> {
    let search = serde_json::Value::from(search);
    let query = format!("{{messages(appId:\"app\",filter:{{search:{search}{more}}}){{nodes{{messageId}}}}}}");
    all(&data(api, &query)["messages"], "messageId").into_iter().map(str::to_owned).collect()
}

#[test]
fn words_phrases_and_beginnings_are_found_newest_first_by_id() {
    let file = chat();
    let api = file.api();
    for (search, expected) in [
        ("QUICK", vec!["1000", "9", "8"]),
        ("quick fox", vec!["9", "8"]),
        ("\"brown fox\"", vec!["8"]),
        ("fox*", vec!["10", "9", "8"]),
        ("creme BRULEE", vec!["10"]),
        ("e-mail", vec!["1000"]),
        ("\"quick br\"*", vec!["8"]),
        ("nothing", vec![]),
        ("elsewhere", vec![]),
    ] {
        assert_eq!(found(&api, search, ""), expected, "{search}");
    }
}

#[test]
fn a_search_goes_with_every_other_filter() {
    let file = chat();
    file.sql(
        "UPDATE messages SET parent_id = '9' WHERE message_id = '1000';
         UPDATE messages SET blocked = 1, listed = 0 WHERE message_id = '8';
         INSERT INTO mentions VALUES ('app', 'm', 9, '9'), ('app', 'm', 10, '10');
         INSERT INTO message_tags VALUES ('app', 't', 9, '9');
         INSERT INTO moderation (app_id, message_id, status, registers) VALUES ('app', '8', 'disapproved', x'')",
    );
    let api = file.api();
    for (more, expected) in [
        ("", vec!["1000", "9"]),
        (",includeBlocked:true", vec!["1000", "9", "8"]),
        (",includeBlocked:true,moderationStatuses:[\"disapproved\"]", vec!["8"]),
        (",conversationId:\"group_g\"", vec!["9"]),
        (",senderUid:\"b\"", vec!["1000", "9"]),
        (",parentId:\"9\"", vec!["1000"]),
        (",mentionsUid:\"m\"", vec!["9"]),
        (",tag:\"t\"", vec!["9"]),
        (",sentBefore:\"2026-01-05T09:22:00Z\"", vec!["1000"]),
        (",sentAfter:\"2026-01-05T09:22:00Z\"", vec!["9"]),
        (",types:[\"image\"]", vec![]),
    ] {
        assert_eq!(found(&api, "quick", more), expected, "{more}");
    }
}

#[test]
fn pages_of_a_search_join_up_both_ways() {
    let file = chat();
    let api = file.api();
    let page = |args: &str| {
        data(
            &api,
            &format!(
                "{{messages(appId:\"app\",filter:{{search:\"quick\"}},{args}){{nodes{{messageId}} totalCount totalCountExact
                 pageInfo{{hasNextPage hasPreviousPage startCursor endCursor}}}}}}"
            ),
        )["messages"]
            .clone()
    };
    let first = page("first:2");
    assert_eq!(all(&first, "messageId"), ["1000", "9"]);
    assert_eq!((&first["totalCount"], &first["totalCountExact"]), (&3.into(), &true.into()));
    let next = page(&format!("first:2,after:{}", first["pageInfo"]["endCursor"]));
    assert_eq!((all(&next, "messageId"), &next["pageInfo"]["hasNextPage"]), (vec!["8"], &false.into()));
    assert_eq!(next["pageInfo"]["hasPreviousPage"], true);
    let last = page("last:1");
    assert_eq!((all(&last, "messageId"), &last["pageInfo"]["hasPreviousPage"]), (vec!["8"], &true.into()));
    let before = page(&format!("last:2,before:{}", last["pageInfo"]["startCursor"]));
    assert_eq!((all(&before, "messageId"), &before["pageInfo"]["hasPreviousPage"]), (vec!["1000", "9"], &false.into()));
}

#[test]
fn nothing_in_a_search_is_syntax_of_the_engine() {
    let file = chat();
    let api = file.api();
    for text in [
        "quick OR nothing",
        "NOT quick",
        "text:quick",
        "quick NEAR(fox)",
        "^quick fox",
        "quick') --",
        "quick; DROP TABLE messages",
        "{quick fox}",
        "quick + fox \u{0}",
        "quick \\",
        "quick AND",
    ] {
        let search = serde_json::Value::from(text);
        let answer =
            ask(&api, &format!("{{messages(appId:\"app\",filter:{{search:{search}}}){{nodes{{messageId}}}}}}"));
        assert!(answer.get("errors").is_none(), "{text}: {answer}");
    }
    assert!(found(&api, "quick OR nothing", "").is_empty(), "OR is a word like any other");
    for text in ["", "  ", "\"open", "f*", "fo*x", "…"] {
        let search = serde_json::Value::from(text);
        let answer =
            ask(&api, &format!("{{messages(appId:\"app\",filter:{{search:{search}}}){{nodes{{messageId}}}}}}"));
        assert_eq!(code(&answer), "BAD_INPUT", "{text}: {answer}");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.starts_with("filter.search: expected "), "{message}");
    }
}

/// More chat with a common word than one page examines, and a little of it elsewhere.
#[test]
fn a_common_word_is_found_where_it_is_rare() {
    let file = File::new();
    file.app("app");
    file.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10500)
         INSERT INTO messages (app_id, message_id, message_no, conversation_id, sender_uid, receiver_type, receiver_id,
             category, type, text, sent_at, parent_id, deleted, blocked, chat, listed, uncounted, registers)
         SELECT 'app', '' || i, i, iif(i IN (7, 10, 11, 12), 'group_small', 'group_big'), iif(i = 8, 'quiet', 'loud'), 'group', 'g',
             'message', 'text', 'hello there', i, iif(i = 9, '1', NULL), 0, 0, 1, 1,
             CASE i WHEN 9 THEN 1 WHEN 10 THEN 1 WHEN 11 THEN 2 WHEN 12 THEN 3 ELSE 0 END, x'' FROM n;
         INSERT INTO mentions VALUES ('app', 'm', 5, '5');
         INSERT INTO message_tags VALUES ('app', 't', 6, '6');
         INSERT INTO app_numbers VALUES ('app', 1);
         INSERT INTO message_search (rowid, text) SELECT 17592186044416 + message_no, text FROM messages",
    );
    let api = file.api();
    for (more, expected) in [
        (",conversationId:\"group_small\"", "12 11 10 7"),
        (",senderUid:\"quiet\"", "8"),
        (",parentId:\"1\"", "9"),
        (",mentionsUid:\"m\"", "5"),
        (",tag:\"t\"", "6"),
        (",mentionsUid:\"m\",unanswered:false", "none"),
    ] {
        let expected: Vec<&str> = expected.split(' ').filter(|id| *id != "none").collect();
        assert_eq!(found(&api, "hello", more), expected, "{more}");
    }
    let query = "{messages(filter:{search:\"hel*\",conversationId:\"group_small\"}){nodes{messageId} pageInfo{hasNextPage endCursor}}}";
    let page = data(&api, query)["messages"].clone();
    assert_eq!((all(&page, "messageId").len(), &page["pageInfo"]["hasNextPage"]), (0, &true.into()), "it ended early");
    let query = query.replace("}){nodes", &format!("}},after:{}){{nodes", page["pageInfo"]["endCursor"]));
    assert_eq!(all(&data(&api, &query)["messages"], "messageId"), ["12", "11", "10", "7"]);
}
