//! `chatfold explain`: reads like an explanation to somebody on call, and never says what the tables do not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::{Harness, NOON, fixtures, story};
use serde_json::Value;
use support::chatfold;

const SECOND: i64 = NOON / 1000;

fn event(trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{data}}}"#)
}

fn message(more: &str) -> String {
    format!(
        r#"{{"message":{{"id":"7","sender":"ann","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{SECOND}{more}}}}}"#
    )
}

fn edited(after: i64, text: &str) -> String {
    let at = SECOND + after;
    event("message_edited", &message(&format!(r#","editedAt":{at},"editedBy":"ann","data":{{"text":"{text}"}}"#)))
}

fn group(created: i64, updated: i64, more: &str) -> String {
    format!(r#""group":{{"guid":"g","name":"Team","owner":"ann","createdAt":{created},"updatedAt":{updated}{more}}}"#)
}

fn created(after: i64) -> String {
    let at = SECOND + after;
    let creator = r#","scope":"admin","hasJoined":true"#;
    event("group_created", &format!("{{{}}}", group(at, at, creator)))
}

/// Runs the command on the file, closed or not.
fn run(harness: &Harness, args: &[&str]) -> (i32, String, String) {
    let path = harness.path();
    let mut all = vec!["explain", "--db", path.to_str().unwrap()];
    all.extend(args);
    chatfold(&all)
}

fn told(harness: &Harness, entity: &str) -> String {
    let (code, out, err) = run(harness, &[entity]);
    assert_eq!(code, 0, "{out}{err}");
    out
}

/// Edited twice, deleted, and then the send comes at last.
fn edited_twice_deleted_and_sent_late() -> Harness {
    let harness = Harness::new();
    harness.post(&edited(9, "second"), NOON + 10_000);
    harness.post(&edited(5, "first edit"), NOON + 11_000);
    let reaction = r#"{"reaction":{"id":"1","messageId":"7","reaction":"👍","uid":"bob","reactedAt":1767614412}}"#;
    harness.post(&event("message_reaction_added", reaction), NOON + 12_500);
    let receipt = r#"{"receiver":"g","receiverType":"group","sender":"bob","messageSender":"ann","body":{"messageId":"7","timestamp":1767614413}}"#;
    harness.post(&event("message_read_receipt", receipt), NOON + 13_400);
    let deleted =
        event("message_deleted", &message(r#","deletedAt":1767614420,"deletedBy":"cem","data":{"text":"second"}"#));
    harness.post(&deleted, NOON + 21_000);
    harness.post(&deleted, NOON + 31_000);
    let sent = event("message_sent", &message(r#","muid":"m1","data":{"text":"original"}"#));
    harness.post(&sent, NOON + 32_000);
    harness
}

#[test]
fn a_message_edited_twice_deleted_and_sent_late() {
    insta::assert_snapshot!(told(&edited_twice_deleted_and_sent_late(), "message:7"));
}

#[test]
fn the_same_as_json() {
    let (code, out, _) = run(&edited_twice_deleted_and_sent_late(), &["message:7", "--json"]);
    assert_eq!(code, 0);
    insta::assert_json_snapshot!(serde_json::from_str::<Value>(&out).unwrap());
}

#[test]
fn a_membership_promoted_before_its_add_arrives() {
    let harness = Harness::new();
    harness.post(&created(0), NOON + 400);
    let promoted = format!(
        r#"{{{},"by":{{"uid":"ann"}},"members":{{"bob":{{"uid":"bob","scope":"moderator","oldScope":"participant"}}}}}}"#,
        group(SECOND, SECOND + 60, "")
    );
    harness.post(&event("group_member_scope_changed", &promoted), NOON + 60_700);
    let added = format!(
        r#"{{{},"by":{{"uid":"ann"}},"members":{{"bob":{{"uid":"bob","name":"Bob"}}}}}}"#,
        r#""group":{"guid":"g","name":"Team","owner":"ann","createdAt":1767614400}"#
    );
    harness.post(&event("group_member_added", &added), NOON + 75_300);
    let banned =
        format!(r#"{{{},"by":{{"uid":"bob"}},"members":{{"bob":{{"uid":"bob"}}}}}}"#, group(SECOND, SECOND + 90, ""));
    harness.post(&event("group_member_banned", &banned), NOON + 90_200);
    insta::assert_snapshot!(told(&harness, "membership:g/bob"));
}

#[test]
fn a_group_deleted_and_revived() {
    let harness = Harness::new();
    harness.post(&created(0), NOON + 400);
    let renamed = group(SECOND, SECOND + 5, "").replace("Team", "Crew");
    harness.post(&event("group_updated", &format!("{{{renamed}}}")), NOON + 5_400);
    harness.post(&event("group_deleted", &format!("{{{renamed}}}")), NOON + 8_000);
    harness.post(&created(20), NOON + 20_600);
    let late = event("group_member_kicked", &format!(r#"{{{},"members":[]}}"#, group(SECOND, SECOND + 6, "")));
    harness.post(&late, NOON + 21_000);
    insta::assert_snapshot!(told(&harness, "group:g"));
}

#[test]
fn a_user_whose_avatar_is_not_erased() {
    let harness = Harness::new();
    let status = |more: &str, word: &str, after: i64| {
        let at = NOON + after;
        event(
            "user_connection_status_changed",
            &format!(
                r#"{{"user":{{"uid":"ann"{more}}},"status":"{word}","timestamp":{at},"userPresenceChanged":true,"currentConnection":{{"action":"connected","platform":"ios","connectedAt":{NOON}}}}}"#
            ),
        )
    };
    harness.post(&status(r#","name":"Ann","avatar":"https://x/a.png""#, "online", 1_000), NOON + 1_200);
    let block = |trigger: &str, n: i64| {
        event(trigger, &format!(r#"{{"by":{{"uid":"ann","name":"Ann {n}"}},"users":{{"bob":{{"uid":"bob"}}}}}}"#))
    };
    harness.post(&block("user_blocked", 1), NOON + 30_000);
    harness.post(&block("user_unblocked", 1), NOON + 60_000);
    insta::assert_snapshot!(told(&harness, "user:ann"));
}

#[test]
fn a_call_with_signalling_media_and_a_reused_session_id() {
    let harness = Harness::new();
    let signal = |trigger: &str, status: &str, after: i64, id: i64| {
        let (at, initiated) = (SECOND + after, SECOND);
        event(
            trigger,
            &format!(
                r#"{{"call":{{"id":"{id}","sender":"ann","receiverType":"user","receiver":"bob","category":"call","type":"audio","sentAt":{at},"data":{{"action":"{status}","entities":{{"on":{{"entity":{{"sessionid":"s","status":"{status}","initiatedAt":{initiated},"sender":"ann","receiver":"bob"}}}}}}}}}}}}"#
            ),
        )
    };
    let rtc = |trigger: &str, more: String| event(trigger, &format!(r#"{{"sessionId":"s",{more}}}"#));
    let at = |after: i64| SECOND + after;
    harness.post(&signal("call_initiated", "initiated", 0, 1), NOON + 300);
    harness.post(&rtc("call_started", format!(r#""created_at":{}"#, at(10))), NOON + 10_300);
    let joined = format!(r#""occupant":{{"uid":"bob","name":"Bob","joined_at":{}}}"#, at(12));
    harness.post(&rtc("call_participant_joined", joined), NOON + 12_300);
    let ended = format!(r#""created_at":{},"destroyed_at":{}"#, at(10), at(70));
    harness.post(&rtc("call_ended", ended), NOON + 71_000);
    harness.post(&rtc("call_started", format!(r#""created_at":{}"#, at(3_600))), NOON + 3_600_200);
    insta::assert_snapshot!(told(&harness, "call:s"));
}

#[test]
fn what_is_not_known_or_not_clear_is_said() {
    let harness = edited_twice_deleted_and_sent_late();
    let (code, out, err) = run(&harness, &["message:8"]);
    assert!(code == 1 && out.is_empty() && err.contains("holds nothing about message:8"), "{err}");
    let (code, _, err) = run(&harness, &["room:8"]);
    assert!(code == 2 && err.contains("expected group:GUID"), "{err}");
    let other = edited(9, "elsewhere").replace(r#""appId":"a""#, r#""appId":"b""#);
    harness.post(&other, NOON + 40_000);
    let (code, _, err) = run(&harness, &["message:7"]);
    assert!(code == 2 && err.contains("--app") && err.contains("holds a, b"), "{err}");
    let (code, _, err) = run(&harness, &["message:7", "--app", "c"]);
    assert!(code == 2 && err.contains("no app c"), "{err}");
    let (code, out, _) = run(&harness, &["message:7", "--app", "b"]);
    assert!(code == 0 && out.contains("elsewhere") && !out.contains("original"), "{out}");
    let (code, out, _) = run(&harness, &["message:7", "--default-app", "a"]);
    assert!(code == 0 && out.contains("of app a"), "{out}");
}

#[test]
fn secrets_and_control_characters_stay_in_the_log() {
    let harness = Harness::new();
    let data = r#","data":{"text":"a\u001b[31mred","metadata":{"@private":{"pin":"hidden1"},"x":1},"wsChannel":{"secret":"hidden2"}}"#;
    harness.post(&event("message_sent", &message(data)), NOON + 400);
    for args in [&["message:7"][..], &["message:7", "--json"], &["message:7", "--all"]] {
        let (code, out, _) = run(&harness, args);
        assert!(code == 0 && out.contains("red") && !out.contains("hidden"), "{out}");
        assert!(!out.contains('\u{1b}'));
    }
}

#[test]
fn facts_that_cannot_be_read_are_an_error_and_never_none() {
    let harness = Harness::new();
    harness.post(&created(0), NOON + 400);
    harness.post(&event("user_blocked", r#"{"by":{"uid":"ann"},"users":{"bob":{"uid":"bob"}}}"#), NOON + 500);
    let reaction = r#"{"reaction":{"id":"1","messageId":"7","reaction":"👍","uid":"bob","reactedAt":1767614412}}"#;
    harness.post(&event("message_reaction_added", reaction), NOON + 12_500);
    harness.post(&event("call_started", &format!(r#"{{"sessionId":"s","created_at":{SECOND}}}"#)), NOON + 13_000);
    for (entity, table, column) in [
        ("group:g", "groups", "lifecycle"),
        ("user:ann", "blocks", "facts"),
        ("message:7", "reactions", "facts"),
        ("call:s", "call_facts", "fact"),
    ] {
        let held = harness.ask(&format!("SELECT {column} FROM {table}"));
        let write = |text: &str| harness.conn.execute(&format!("UPDATE {table} SET {column} = ?1"), [text]).unwrap();
        write("{");
        let (code, out, err) = run(&harness, &[entity]);
        write(&held);
        assert!(code == 1 && out.is_empty() && err.contains(&format!("{table}.{column} cannot be read")), "{err}{out}");
    }
}

#[test]
fn copies_that_decided_nothing_are_listed_when_all_is_asked_for() {
    let harness = Harness::new();
    harness.post(&event("message_sent", &message(r#","data":{"text":"hello"}"#)), NOON + 400);
    let quote = message(r#","data":{"text":"re"},"quotedMessage":{"id":"7","sender":"ann","sentAt":1767614400,"category":"message","data":{"text":"hallo"}}"#)
        .replacen(r#""id":"7""#, r#""id":"8""#, 1);
    harness.post(&event("message_sent", &quote), NOON + 1_400);
    assert!(!told(&harness, "message:7").contains("#2"));
    let (_, out, _) = run(&harness, &["message:7", "--all"]);
    assert!(out.contains("#2 message_sent") && out.contains("this is only a copy"), "{out}");
}

#[test]
fn a_call_without_a_session_id_goes_by_its_message() {
    let harness = Harness::new();
    let call = r#"{"call":{"id":"41","sender":"ann","receiverType":"user","receiver":"bob","category":"call","type":"audio","sentAt":1767614400,"data":{"action":"initiated"}}}"#;
    harness.post(&event("call_initiated", call), NOON + 300);
    let out = told(&harness, "call:41");
    assert!(out.starts_with("call:m:41 ") && out.contains("an instance of its own"), "{out}");
}

#[test]
fn ids_may_hold_the_divider() {
    let harness = Harness::new();
    let joined = |guid: &str, uid: &str| {
        let group = group(SECOND, SECOND + 5, "").replace(r#""guid":"g""#, &format!(r#""guid":"{guid}""#));
        event("group_member_joined", &format!(r#"{{{group},"members":{{"{uid}":{{"uid":"{uid}"}}}}}}"#))
    };
    harness.post(&joined("a/b", "c:1"), NOON + 5_100);
    assert!(told(&harness, "membership:a/b/c:1").contains("guid \"a/b\""));
    harness.post(&joined("a", "b/c:1"), NOON + 5_200);
    let (code, _, err) = run(&harness, &["membership:a/b/c:1"]);
    assert!(code == 2 && err.contains("membership:a/b%2Fc:1, membership:a%2Fb/c:1"), "{err}");
    assert!(told(&harness, "membership:a%2Fb/c:1").contains("guid \"a/b\""));
}

#[test]
fn a_replay_dated_against_a_copy_that_lost_since_is_told_from_the_whole_log() {
    let harness = Harness::new();
    harness.ingest(fixtures().iter().map(|(_, body)| body.as_str()));
    let app = harness.ask("SELECT app_id FROM users WHERE uid = 'kofi' ORDER BY app_id LIMIT 1");
    let (code, out, err) = run(&harness, &["user:kofi", "--app", &app]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("so the whole log was read") && out.contains("more deliveries carry a copy"), "{out}");
}

#[test]
fn every_entity_is_explained_to_what_its_rows_say() {
    let mut explained = 0;
    for entry in std::fs::read_dir("fixtures/stories").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let bodies = story(&name);
        let (live, replayed) = (Harness::new(), Harness::new());
        for (body, n) in bodies.iter().zip(0..) {
            live.post(body, NOON + n * 1000);
        }
        replayed.ingest(bodies.iter().map(String::as_str));
        explained += live.explain_all(&name) + replayed.explain_all(&name);
    }
    let all = Harness::new();
    all.ingest(fixtures().iter().map(|(_, body)| body.as_str()));
    explained += all.explain_all("all fixtures");
    let backwards = Harness::new();
    for (body, n) in fixtures().iter().rev().map(|(_, body)| body).zip(0..) {
        backwards.post(body, NOON + n * 1000);
    }
    explained += backwards.explain_all("all fixtures, backwards");
    assert!(explained > 300, "{explained}");
}
