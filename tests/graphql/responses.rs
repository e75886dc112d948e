//! How long customers wait.

use super::harness::{File, ask, code, data};
use serde_json::{Value, json};

const DAY: i64 = 86_400;

/// `ann` is an agent by role, `tim` by tag; the group `g` has an agent as a member, `quiet` has none.
fn file() -> File {
    let file = File::new();
    file.app("app").user("app", "ann").user("app", "tim").user("app", "c").user("app", "d");
    file.group("app", "g")
        .member("app", "g", "ann", "joined")
        .group("app", "quiet")
        .member("app", "quiet", "c", "joined");
    file.sql(
        "UPDATE users SET role = 'agent' WHERE uid = 'ann';
         UPDATE users SET tags = '[\"vip\",\"agent\"]' WHERE uid = 'tim'",
    );
    for (id, conversation, sender, second) in [
        ("1", "group_g", "c", -5),
        ("2", "group_g", "c", 0),
        ("3", "group_g", "ann", 10),
        ("4", "group_g", "c", 100),
        ("5", "group_g", "d", 110),
        ("6", "group_g", "ann", 130),
        ("7", "group_g", "tim", 140),
        ("8", "group_g", "d", 200),
        ("9", "group_g", "tim", DAY),
        ("10", "group_g", "c", 2 * DAY),
        ("20", "ann_user_c", "c", 50),
        ("21", "ann_user_c", "ann", 1_050),
        ("22", "ann_user_d", "d", 60),
        ("30", "group_quiet", "c", 70),
        ("31", "c_user_d", "c", 80),
    ] {
        file.message("app", conversation, id, sender, second);
    }
    for (id, receiver) in [("20", "ann"), ("21", "c"), ("22", "ann"), ("31", "d")] {
        file.sql(&format!(
            "UPDATE messages SET receiver_type = 'user', receiver_id = '{receiver}' WHERE message_id = '{id}'"
        ));
    }
    file
}

const SPAN: &str = "after:\"2026-01-05T08:00:00Z\",before:\"2026-01-08T08:00:00Z\"";
const FIELDS: &str = "{days{date answeredCount unansweredCount medianSeconds p90Seconds maxSeconds}
    answeredCount unansweredCount medianSeconds p90Seconds maxSeconds exact}";

fn day(date: &str, answered: u32, unanswered: u32, seconds: [Option<i64>; 3]) -> Value {
    let [median, p90, max] = seconds;
    json!({ "date": date, "answeredCount": answered, "unansweredCount": unanswered, "medianSeconds": median,
        "p90Seconds": p90, "maxSeconds": max })
}

#[test]
fn a_question_waits_until_an_agent_speaks() {
    let file = file();
    let answer = data(&file.api(), &format!("{{group(guid:\"g\"){{responses({SPAN}){FIELDS}}}}}"));
    let wait = DAY - 200;
    assert_eq!(
        answer["group"]["responses"],
        json!({
            // 2 belongs to the question 1, asked before the span; 5 adds to 4; 7 answers nothing; 8 waits for a day.
            "days": [
                day("2026-01-05", 2, 0, [Some(30), Some(wait), Some(wait)]),
                day("2026-01-06", 0, 0, [None; 3]),
                day("2026-01-07", 0, 1, [None; 3]),
                day("2026-01-08", 0, 0, [None; 3]),
            ],
            "answeredCount": 2, "unansweredCount": 1, "medianSeconds": 30, "p90Seconds": wait, "maxSeconds": wait, "exact": true,
        })
    );
}

#[test]
fn an_app_counts_where_an_agent_takes_part() {
    let file = file();
    let query = format!("{{apps{{responses({SPAN}){{answeredCount unansweredCount maxSeconds}}}}}}");
    let found = |answered: u32, unanswered: u32| json!({ "answeredCount": answered, "unansweredCount": unanswered, "maxSeconds": DAY - 200 });
    // Beside the group: 20 was answered and 22 was not; nobody speaks to an agent in 30 and 31.
    assert_eq!(data(&file.api(), &query)["apps"][0]["responses"], found(3, 2));
    file.message("app", "group_other", "40", "c", 90).member("app", "other", "ann", "joined");
    assert_eq!(data(&file.api(), &query)["apps"][0]["responses"], found(3, 3), "an agent is in that group");
    file.message("app", "group_quiet", "41", "tim", 270);
    assert_eq!(data(&file.api(), &query)["apps"][0]["responses"], found(4, 3), "an agent wrote there");
}

#[test]
fn who_is_an_agent_is_asked_for() {
    let file = file();
    let ask = |arguments: &str| {
        let query = format!(
            "{{conversation(conversationId:\"ann_user_c\"){{responses({SPAN}{arguments}){{answeredCount unansweredCount medianSeconds}}}}}}"
        );
        data(&file.api(), &query)["conversation"]["responses"].clone()
    };
    file.sql("INSERT INTO conversations (app_id, conversation_id, low_length, type, low_uid, high_uid) VALUES ('app', 'ann_user_c', 3, 'user', 'ann', 'c')");
    let found = |answered: u32, unanswered: u32, median: Option<u32>| json!({ "answeredCount": answered, "unansweredCount": unanswered, "medianSeconds": median });
    assert_eq!(ask(""), found(1, 0, Some(1_000)));
    assert_eq!(ask(",roles:[\"boss\"]"), found(0, 1, None), "ann carries no tag");
    assert_eq!(ask(",roles:[\"boss\",\"agent\"],tags:[]"), found(1, 0, Some(1_000)));
    file.sql("UPDATE messages SET deleted = 1, listed = 0 WHERE message_id = '21'");
    assert_eq!(ask(""), found(0, 1, None), "a deleted answer is none");
    file.sql("UPDATE messages SET blocked = 1, listed = 0 WHERE message_id = '20'");
    assert_eq!(ask(""), found(0, 0, None), "nobody saw a blocked question");
}

#[test]
fn what_cannot_be_counted_is_bad_input() {
    let file = file();
    let many = vec!["\"x\""; 21].join(",");
    for (argument, arguments) in [
        ("before", "after:\"2026-01-05T00:00:00Z\",before:\"2026-05-05T00:00:00Z\"".to_owned()),
        ("timeZone", format!("{SPAN},timeZone:\"Mars/Crater\"")),
        ("roles", format!("{SPAN},roles:[{many}]")),
        ("tags", format!("{SPAN},tags:[{many}]")),
    ] {
        let answer = ask(&file.api(), &format!("{{group(guid:\"g\"){{responses({arguments}){{exact}}}}}}"));
        assert_eq!(code(&answer), "BAD_INPUT", "{answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with(argument), "{answer}");
    }
}

/// Beyond 50,000 messages the answer says that it is not all.
#[test]
fn counting_ends_at_fifty_thousand_messages() {
    let file = file();
    let fill = |from: i64, to: i64| {
        file.sql(&format!(
            "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to})
             INSERT INTO messages (app_id, message_id, message_no, conversation_id, sender_uid, sent_at, deleted, blocked,
                 chat, listed, registers)
             SELECT 'app', i, i, 'group_g', iif(i % 2, 'c', 'ann'), 1767600300000 + i, 0, 0, 1, 1, x'' FROM n"
        ));
    };
    let query = format!("{{group(guid:\"g\"){{responses({SPAN}){{exact answeredCount}}}}}}");
    fill(100, 49_000);
    assert_eq!(data(&file.api(), &query)["group"]["responses"]["exact"], true);
    fill(49_001, 51_000);
    assert_eq!(data(&file.api(), &query)["group"]["responses"]["exact"], false);
}
