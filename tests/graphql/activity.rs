use super::harness::{File, T0, ask, code, data};
use serde_json::json;

const DAY: i64 = 86_400;

fn file() -> File {
    let file = File::new();
    file.app("app").group("app", "g");
    for (id, conversation, sender, second) in [
        ("1", "group_g", "a", 0),
        ("2", "group_g", "a", 5),
        ("3", "group_g", "b", 6),
        ("4", "group_h", "c", 7),
        ("5", "group_g", "a", 2 * DAY),
        ("6", "group_g", "b", 2 * DAY),
        ("7", "group_g", "b", 2 * DAY + 1),
        ("8", "group_g", "a", 9 * DAY),
    ] {
        file.message("app", conversation, id, sender, second);
    }
    file.sql(
        "UPDATE messages SET blocked = 1, listed = 0 WHERE message_id IN ('6', '7');
         INSERT INTO moderation (app_id, message_id, status, rule, registers)
         VALUES ('app', '6', 'disapproved', 'rude', x''), ('app', '7', 'disapproved', 'rude', x'');
         UPDATE messages SET deleted = 1, listed = 0 WHERE message_id = '2'",
    );
    for (message, reaction, uid, present, second) in [
        ("1", "+", "a", 1, 1),
        ("1", "+", "b", 1, 2 * DAY),
        ("1", "-", "b", 1, 3),
        ("1", "-", "c", 0, 3),
        ("4", "-", "c", 1, 4),
    ] {
        let at = T0 + second * 1000;
        file.sql(&format!(
            "INSERT INTO reactions VALUES ('app', '{message}', '{reaction}', '{uid}', '{reaction}', {present}, {at}, 'told', {at}, '')"
        ));
    }
    file
}

const FIELDS: &str = "{days{date messagesCount activeSendersCount reactionsCount} topReactions{reaction count} blockedByRule{rule count} exact}";

#[test]
fn days_are_counted_in_a_group_and_in_the_app() {
    let file = file();
    let api = file.api();
    let span = "after:\"2026-01-05T00:00:00Z\",before:\"2026-01-08T00:00:00Z\"";
    let group = data(&api, &format!("{{group(guid:\"g\"){{activity({span}){FIELDS}}}}}"))["group"]["activity"].clone();
    let day = |date: &str, messages: u32, senders: u32, reactions: u32| json!({ "date": date, "messagesCount": messages, "activeSendersCount": senders, "reactionsCount": reactions });
    assert_eq!(
        group,
        json!({
            "days": [day("2026-01-05", 2, 2, 2), day("2026-01-06", 0, 0, 0), day("2026-01-07", 1, 1, 1)],
            "topReactions": [{ "reaction": "+", "count": 2 }, { "reaction": "-", "count": 1 }],
            "blockedByRule": [{ "rule": "rude", "count": 2 }],
            "exact": true,
        })
    );
    let app = data(&api, &format!("{{apps{{activity({span}){FIELDS}}}}}"))["apps"][0]["activity"].clone();
    assert_eq!(app["days"][0], day("2026-01-05", 3, 3, 3));
    assert_eq!(app["topReactions"][1], json!({ "reaction": "-", "count": 2 }));
}

#[test]
fn an_emoji_in_two_spellings_counts_when_its_best_known_time_was() {
    for (known, other) in [("told", "arrival"), ("told", "feed"), ("arrival", "feed")] {
        let file = file();
        for (spelling, from, second) in [("x", known, DAY), ("y", other, 10)] {
            let at = T0 + second * 1000;
            file.sql(&format!(
                "INSERT INTO reactions VALUES ('app', '3', 'x', 'd', '{spelling}', 1, {at}, '{from}', NULL, '')"
            ));
        }
        let query = "{group(guid:\"g\"){activity(after:\"2026-01-05T00:00:00Z\",before:\"2026-01-07T00:00:00Z\"){days{reactionsCount}}}}";
        let days = &data(&file.api(), query)["group"]["activity"]["days"];
        assert_eq!(*days, json!([{ "reactionsCount": 2 }, { "reactionsCount": 1 }]), "{known} and {other}");
    }
}

#[test]
fn days_are_those_of_the_time_zone() {
    let file = file();
    let api = file.api();
    let span = "after:\"2026-01-05T00:00:00Z\",before:\"2026-01-06T00:00:00Z\",timeZone:\"Pacific/Kiritimati\"";
    let query = format!("{{group(guid:\"g\"){{activity({span}){{days{{date messagesCount}}}}}}}}");
    // 08:00 UTC is 22:00 there.
    assert_eq!(
        data(&api, &query)["group"]["activity"]["days"],
        json!([{ "date": "2026-01-05", "messagesCount": 2 }, { "date": "2026-01-06", "messagesCount": 0 }])
    );
}

#[test]
fn a_span_or_zone_that_cannot_be_told_is_bad_input() {
    let file = file();
    let api = file.api();
    for (argument, arguments) in [
        ("before", "after:\"2026-01-05T00:00:00Z\",before:\"2026-01-05T00:00:00Z\""),
        ("before", "after:\"2026-01-05T00:00:00Z\",before:\"2026-05-05T00:00:00Z\""),
        ("timeZone", "after:\"2026-01-05T00:00:00Z\",before:\"2026-01-06T00:00:00Z\",timeZone:\"Mars/Crater\""),
    ] {
        let answer = ask(&api, &format!("{{group(guid:\"g\"){{name activity({arguments}){{exact}}}}}}"));
        assert_eq!(code(&answer), "BAD_INPUT", "{answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with(argument), "{answer}");
        assert_eq!(answer["data"]["group"], json!({ "name": "Group g", "activity": null }), "the rest is answered");
    }
    let all =
        "{groups(first:200){nodes{activity(after:\"2026-01-05T00:00:00Z\",before:\"2026-01-06T00:00:00Z\"){exact}}}}";
    assert_eq!(code(&ask(&api, all)), "TOO_COMPLEX");
}

#[test]
fn calls_of_a_group_and_of_a_person_are_told_together() {
    let file = file();
    file.user("app", "a");
    for (key, kind, second, initiator, (receiver_type, receiver), status, seconds) in [
        ("s:1", "call", 0, "a", ("group", "g"), "ended", 61),
        ("s:2", "meeting", 9, "b", ("group", "g"), "ongoing", 30),
        ("s:3", "call", 9, "b", ("user", "a"), "unanswered", 0),
        ("s:4", "call", DAY, "a", ("group", "g"), "ended", 1_000),
    ] {
        let at = T0 + second * 1000;
        file.sql(&format!(
            "INSERT INTO call_sessions (app_id, session_key, kind, anchor, initiator_uid, receiver_type, receiver_id, status,
                 duration_seconds, order_at, news_at)
             VALUES ('app', '{key}', '{kind}', 1, '{initiator}', '{receiver_type}', '{receiver}', '{status}', {seconds}, {at}, 0)"
        ));
    }
    file.sql("INSERT INTO call_participants VALUES ('app', 's:2', 'meeting', 1, 'u:a', 0, 'a', NULL, NULL, NULL)");
    let api = file.api();
    let totals = "callTotals(after:\"2026-01-05T00:00:00Z\",before:\"2026-01-06T00:00:00Z\"){callsCount meetingsCount durationSeconds statuses{status count} exact}";
    let answer = data(&api, &format!("{{group(guid:\"g\"){{{totals}}} user(uid:\"a\"){{{totals}}}}}"));
    let status = |status: &str| json!({ "status": status, "count": 1 });
    assert_eq!(
        answer["group"]["callTotals"],
        json!({
            "callsCount": 1, "meetingsCount": 1, "durationSeconds": 91,
            "statuses": [status("ENDED"), status("ONGOING")], "exact": true,
        })
    );
    assert_eq!(
        answer["user"]["callTotals"],
        json!({
            "callsCount": 2, "meetingsCount": 1, "durationSeconds": 91,
            "statuses": [status("ENDED"), status("ONGOING"), status("UNANSWERED")], "exact": true,
        })
    );
    // Of a: 600 s in the meeting; of all: those, and 30 s of b. Nobody told when c went.
    let at = |second: i64| T0 + second * 1000;
    let (came, went, next, left) = (at(9), at(609), at(10), at(40));
    file.sql(&format!(
        "DELETE FROM call_participants;
         INSERT INTO call_participants VALUES ('app', 's:2', 'meeting', 1, 'u:a', {came}, 'a', NULL, {went}, NULL),
             ('app', 's:2', 'meeting', 1, 'u:b', {next}, 'b', NULL, {left}, NULL),
             ('app', 's:2', 'meeting', 1, 'u:c', {next}, 'c', NULL, NULL, NULL)"
    ));
    let by = |by: &str, zone: &str| {
        let span = "after:\"2026-01-05T08:00:00Z\",before:\"2026-01-07T00:00:00Z\"";
        let query = format!(
            "{{callTotals({span}){{periods(by:{by},timeZone:\"{zone}\"){{date callsCount meetingsCount durationSeconds staysSeconds}}}}}}"
        );
        let answer = data(&api, &format!("{{group(guid:\"g\"){query} user(uid:\"a\"){query}}}"));
        [answer["group"]["callTotals"]["periods"].clone(), answer["user"]["callTotals"]["periods"].clone()]
    };
    let period = |date: &str, calls: u32, meetings: u32, seconds: u32, stays: u32| json!({ "date": date, "callsCount": calls, "meetingsCount": meetings, "durationSeconds": seconds, "staysSeconds": stays });
    assert_eq!(
        by("DAY", "UTC"),
        [
            json!([period("2026-01-05", 1, 1, 91, 630), period("2026-01-06", 1, 0, 1_000, 0)]),
            json!([period("2026-01-05", 2, 1, 91, 600), period("2026-01-06", 1, 0, 1_000, 0)]),
        ]
    );
    assert_eq!(by("MONTH", "UTC")[0], json!([period("2026-01-01", 2, 1, 1_091, 630)]));
    assert_eq!(by("WEEK", "Pacific/Kiritimati")[0], json!([period("2026-01-05", 2, 1, 1_091, 630)]));
    let years = "{user(uid:\"a\"){callTotals(after:\"2000-01-01T00:00:00Z\",before:\"2026-01-01T00:00:00Z\"){callsCount periods{date}}}}";
    let answer = ask(&api, years);
    assert_eq!(code(&answer), "BAD_INPUT", "{answer}");
    assert_eq!(
        answer["data"]["user"]["callTotals"],
        json!({ "callsCount": 0, "periods": null }),
        "the rest is answered"
    );
    let answer = ask(&api, &format!("{{user(uid:\"a\"){{{}}}}}", totals.replace("2026-01-06", "2026-01-04")));
    assert_eq!(code(&answer), "BAD_INPUT", "{answer}");
}
