//! Where an answer could be quietly wrong: too much, damaged, or not what was asked.

use super::harness::{File, all, ask, code, data};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatfold::graphql::Limits;

/// A group of forty, all of whom have read its twenty messages.
fn read_by_all() -> File {
    let file = File::new();
    file.app("app").group("app", "g");
    for n in 0..20 {
        file.message("app", "group_g", &(n + 1).to_string(), &format!("u{n}"), n);
    }
    for n in 0..40 {
        let uid = format!("u{n}");
        file.user("app", &uid).member("app", "g", &uid, "joined");
        file.sql(&format!(
            "INSERT INTO read_markers (app_id, conversation_id, low_length, uid, numeric, message_no, message_id, at)
             VALUES ('app', 'group_g', 0, '{uid}', 1, 20, '20', 1)"
        ));
    }
    file
}

#[test]
fn lists_in_lists_are_bounded_by_the_rows_they_read() {
    let file = read_by_all();
    let query = "{messages(first:20){nodes{readBy{messages(first:20){nodes{readBy{uid}}}}}}}";
    let answer = ask(&file.api_with(Limits { rows: 500, ..Limits::default() }), query);
    assert_eq!(code(&answer), "TOO_COMPLEX");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("rows"), "{answer}");
    // Those who ask after it on the same threads are not held to account.
    let api = file.api_with(Limits { rows: 500, ..Limits::default() });
    for _ in 0..5 {
        assert_eq!(code(&ask(&api, query)), "TOO_COMPLEX");
        assert!(ask(&api, "{messages(first:20){nodes{messageId}}}").get("errors").is_none());
    }
}

#[test]
fn names_are_found_in_any_letter_case_of_any_alphabet() {
    let file = File::new();
    file.app("app").user("app", "a").group("app", "g");
    file.sql("UPDATE users SET name = 'Eli Sørensen'; UPDATE groups SET name = 'ΑΒΓ Åre'");
    for part in ["SØREN", "søren", "eli S"] {
        let found = data(&file.api(), &format!("{{users(filter:{{nameContains:\"{part}\"}}){{nodes{{uid}}}}}}"));
        assert_eq!(all(&found["users"], "uid"), ["a"], "{part}");
    }
    for part in ["αβγ", "åre", "ΑΒΓ Å"] {
        let found = data(&file.api(), &format!("{{groups(filter:{{nameContains:\"{part}\"}}){{nodes{{guid}}}}}}"));
        assert_eq!(all(&found["groups"], "guid"), ["g"], "{part}");
    }
}

#[test]
fn a_damaged_cursor_is_told_whatever_was_changed() {
    let file = read_by_all();
    let api = file.api();
    let found = data(&api, "{messages(first:5){pageInfo{endCursor}}}");
    let cursor = found["messages"]["pageInfo"]["endCursor"].as_str().unwrap();
    let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    let ask_after = |cursor: &str| ask(&api, &format!("{{messages(after:\"{cursor}\"){{nodes{{messageId}}}}}}"));
    assert!(ask_after(cursor).get("errors").is_none());
    for (at, byte) in plain.bytes().enumerate() {
        for other in [b'0', b'1', b'9', b'x', b'"'] {
            if other != byte {
                let mut damaged = plain.clone().into_bytes();
                damaged[at] = other;
                assert_eq!(code(&ask_after(&URL_SAFE_NO_PAD.encode(&damaged))), "BAD_INPUT", "{damaged:?}");
            }
        }
    }
}

#[test]
fn errors_that_are_left_out_are_counted() {
    let file = File::new();
    file.app("app");
    for n in 0..15 {
        file.group("app", &format!("g{n}"));
    }
    let query = "{groups{nodes{members(asOf:\"2020-01-01T00:00:00Z\"){totalCount}}}}";
    let answer = ask(&file.api(), query);
    assert_eq!(answer["errors"].as_array().unwrap().len(), 10);
    assert_eq!(answer["extensions"]["errorsLeftOut"], 5);
    let answer = ask(&file.api(), "{apps{appId}}");
    assert!(answer["extensions"].get("errorsLeftOut").is_none());
}

#[test]
fn a_subscription_has_one_root_field() {
    let file = File::new();
    let api = file.api();
    let of = |query: &str| api.is_subscription(&async_graphql::Request::new(query));
    assert_eq!(of("subscription{changes{seq}}"), Ok(true));
    for query in [
        "subscription{a:changes{seq} b:changes{seq}}",
        "subscription{...f} fragment f on Subscription{a:changes{seq} b:changes{seq}}",
    ] {
        assert!(of(query).unwrap_err().contains("one root field"), "{query}");
    }
}

#[test]
fn custom_data_are_found_by_plain_values_only() {
    let file = File::new();
    file.app("app").message("app", "c", "1", "a", 0);
    file.sql("UPDATE messages SET metadata = '{\"a\":{\"b\":1},\"n\":7}'");
    let found = |filter: &str| {
        let found = data(&file.api(), &format!("{{messages(filter:{{metadata:{{{filter}}}}}){{nodes{{messageId}}}}}}"));
        all(&found["messages"], "messageId").len()
    };
    assert_eq!([found("key:\"a\""), found("key:\"n\",value:\"7\"")], [1, 1]);
    assert_eq!(found("key:\"a\",value:\"{\\\"b\\\":1}\""), 0);
}
