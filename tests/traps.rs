//! The traps of real deliveries, one by one: wrong content, missing pieces, two spellings of one thing.

mod harness;

use harness::{Harness, NOON};

const SECOND: i64 = NOON / 1000;

fn event(trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{data}}}"#)
}

fn message(id: &str, more: &str) -> String {
    format!(
        r#"{{"id":{id},"conversationId":"group_wrong","sender":"ann","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{SECOND}{more}}}"#
    )
}

fn sent(id: &str, text: &str) -> String {
    let more = format!(r#","data":{{"text":"{text}"}}"#);
    event("message_sent", &format!(r#"{{"message":{}}}"#, message(id, &more)))
}

fn rtc(trigger: &str, more: &str) -> String {
    event(trigger, &format!(r#"{{"sessionId":"s",{more}}}"#))
}

#[test]
fn everything_about_a_message_never_sent_is_kept_and_the_late_send_fits_in() {
    let harness = Harness::new();
    let reaction = r#"{"reaction":{"id":"1","messageId":"7","reaction":"x","uid":"bob","reactedAt":1767614500}}"#;
    let receipt = r#"{"receiver":"g","receiverType":"group","sender":"bob","messageSender":"ann","body":{"messageId":"7","timestamp":1767614501}}"#;
    harness.post(&event("message_reaction_added", reaction), NOON);
    harness.post(&event("message_read_receipt", receipt), NOON);
    assert_eq!(harness.ask("SELECT sender_uid, category, listed FROM messages"), "ann|null|0");
    let edit = message("7", r#","data":{"text":"second"},"editedAt":1767614600,"editedBy":"ann""#);
    harness.post(&event("message_edited", &format!(r#"{{"message":{edit}}}"#)), NOON);
    harness.post(&sent("\"7\"", "first"), NOON);
    assert_eq!(harness.ask("SELECT text, edited_at / 1000, listed FROM messages"), "second|1767614600|1");
    assert_eq!(harness.ask("SELECT messages_count, last_message_id FROM conversations"), "1|7");
}

#[test]
fn numbers_and_texts_name_one_message_and_compare_as_numbers() {
    let harness = Harness::new();
    harness.post(&sent("999", "a"), NOON);
    harness.post(&sent("\"1002\"", "b"), NOON);
    assert_eq!(harness.ask("SELECT last_message_id FROM conversations"), "1002", "equal times: the greater number");
    harness.post(
        &event("message_reaction_added", r#"{"reaction":{"id":5,"messageId":"999","reaction":"x","uid":"bob"}}"#),
        NOON,
    );
    assert_eq!(harness.ask("SELECT count(*) FROM messages"), "2");
}

#[test]
fn a_conversation_id_is_derived_whatever_the_payload_says() {
    let harness = Harness::new();
    harness.post(&sent("1", "a"), NOON);
    assert_eq!(harness.ask("SELECT conversation_id, guid FROM conversations"), "group_g|g");
    let direct = r#"{"message":{"id":"2","conversationId":"z","sender":"b_user_c","receiverType":"user","receiver":"a","category":"message","type":"text","sentAt":1767614400}}"#;
    harness.post(&event("message_sent", direct), NOON);
    assert_eq!(
        harness.ask("SELECT conversation_id, low_uid, high_uid FROM conversations WHERE type = 'user'"),
        "a_user_b_user_c|a|b_user_c"
    );
}

#[test]
fn a_tombstone_invents_no_sender_and_stays_whatever_arrives() {
    let harness = Harness::new();
    let on = r#"{"id":"7","conversationId":"group_g","deletedAt":1767614500,"deletedBy":"admin"}"#;
    let action = format!(
        r#"{{"message":{{"id":"8","sender":"admin","receiverType":"group","receiver":"g","category":"action","type":"message","sentAt":1767614500,"data":{{"action":"deleted","entities":{{"on":{{"entity":{on}}}}}}}}}}}"#
    );
    harness.post(&event("message_deleted", &action), NOON);
    assert_eq!(
        harness.ask("SELECT sender_uid, deleted_by, sent_at FROM messages WHERE message_id = '7'"),
        "null|admin|null"
    );
    harness.post(&sent("7", "secret"), NOON);
    let edit = message("7", r#","data":{"text":"more","metadata":{"k":1}},"editedAt":1767614900"#);
    harness.post(&event("message_edited", &format!(r#"{{"message":{edit}}}"#)), NOON);
    assert_eq!(
        harness.ask("SELECT sender_uid, deleted, text, data, metadata FROM messages WHERE message_id = '7'"),
        "ann|1|null|null|null"
    );
    assert_eq!(harness.ask("SELECT text FROM message_edits"), "null");
    assert_eq!(harness.ask("SELECT count(*) FROM messages WHERE message_id = '8'"), "0", "the action is no message");
}

#[test]
fn two_people_who_join_in_one_second_are_two() {
    let harness = Harness::new();
    harness.post(&rtc("call_started", r#""created_at":1767614400"#), NOON);
    for who in [r#""uid":"ann","name":"Ann""#, r#""uid":"bob","name":"Bob""#, r#""name":"Ann""#] {
        harness.post(
            &rtc(
                "call_participant_joined",
                &format!(r#""occupant":{{"joined_at":1767614410,"audio_call":"true",{who}}}"#),
            ),
            NOON,
        );
    }
    assert_eq!(harness.ask("SELECT person, audio_only FROM call_participants ORDER BY person"), "u:ann|1\nu:bob|1");
}

#[test]
fn session_ids_have_three_spellings_and_statuses_two() {
    let harness = Harness::new();
    let call = |id: u8, key: &str, action: &str| {
        format!(
            r#"{{"call":{{"id":"{id}","sender":"ann","receiverType":"user","receiver":"bob","category":"call","type":"audio","sentAt":{},"data":{{"action":"{action}","entities":{{"on":{{"entity":{{"{key}":"s","initiatedAt":{SECOND},"sender":"ann","receiver":"bob"}}}}}}}}}}}}"#,
            SECOND + i64::from(id)
        )
    };
    harness.post(&event("call_initiated", &call(1, "sessionid", "initiated")), NOON);
    harness.post(&event("call_cancelled", &call(2, "sessionId", "canceled")), NOON);
    harness
        .post(&event("message_sent", &call(3, "session_id", "canceled").replace("{\"call\":", "{\"message\":")), NOON);
    assert_eq!(harness.ask("SELECT session_id, status, call_message_id FROM call_sessions"), "s|cancelled|1");
    assert_eq!(harness.ask("SELECT count(*) FROM messages"), "0", "the echo is no message");
}

#[test]
fn an_end_that_arrives_before_the_start_ends_it() {
    let harness = Harness::new();
    harness.post(&rtc("call_ended", r#""created_at":1767614400,"destroyed_at":1767614460,"all_occupants":[]"#), NOON);
    harness.post(&rtc("call_started", r#""created_at":1767614400"#), NOON);
    assert_eq!(harness.ask("SELECT status, duration_seconds FROM call_sessions"), "ended|60");
}

#[test]
fn units_are_settled_on_entry() {
    let harness = Harness::new();
    harness.post(
        &event(
            "recording_generated",
            r#"{"sessionId":"s","startTime":"1767614400","duration":"21.433000","recording_url":"u"}"#,
        ),
        NOON,
    );
    assert_eq!(harness.ask("SELECT started_at, duration_seconds FROM recordings"), format!("{NOON}|21.433"));
    harness.post(
        &event(
            "user_connection_status_changed",
            r#"{"timestamp":"1767614400123","user":{"uid":"ann"},"status":"available"}"#,
        ),
        NOON,
    );
    assert_eq!(harness.ask("SELECT online, last_seen_at FROM presence"), "1|1767614400123");
    let empty = message("1", r#","data":{"text":"a","metadata":[]},"tags":[]"#);
    harness.post(&event("message_sent", &format!(r#"{{"message":{empty}}}"#)), NOON);
    assert_eq!(harness.ask("SELECT metadata, tags FROM messages"), "{}|[]");
    assert_eq!(harness.ask("SELECT count(*) FROM events WHERE reason IS NOT NULL"), "0");
}

#[test]
fn a_removal_tells_when_the_reaction_was_added_and_ends_it_whatever_comes_first() {
    let reaction = |id: &str| {
        format!(r#"{{"reaction":{{{id}"messageId":"7","reaction":"x","uid":"bob","reactedAt":1767614400}}}}"#)
    };
    let (one, two) = (r#""id":"1","#, r#""id":"2","#);
    let present = "SELECT present FROM reactions";
    let harness = Harness::new();
    harness.post(&event("message_reaction_removed", &reaction(one)), NOON);
    harness.post(&event("message_reaction_added", &reaction(one)), NOON);
    assert_eq!(harness.ask(present), "0");
    harness.post(&event("message_reaction_added", &reaction(two)), NOON);
    assert_eq!(harness.ask(present), "1", "added again: another id");
    harness.post(&event("message_reaction_removed", &reaction("")), NOON);
    assert_eq!(harness.ask(present), "0", "a removal without an id ends all not later");
}

#[test]
fn aggregate_receipts_belong_to_no_person() {
    let harness = Harness::new();
    for (trigger, action, at) in [
        ("message_read_by_all", "readByAll", 50),
        ("message_read_by_all", "readByAll", 40),
        ("message_delivered_to_all", "deliveredToAll", 30),
    ] {
        let data = format!(
            r#"{{"receiver":"g","receiverType":"group","sender":"app_system","messageSender":"ann","body":{{"action":"{action}","messageId":"7","timestamp":{}}}}}"#,
            SECOND + at
        );
        harness.post(&event(trigger, &data), NOON);
    }
    assert_eq!(harness.ask("SELECT count(*) FROM receipts"), "0");
    let times = format!("{}|{}", SECOND + 30, SECOND + 40);
    assert_eq!(
        harness.ask("SELECT delivered_to_all_at / 1000, read_by_all_at / 1000 FROM messages"),
        times,
        "the earliest told"
    );
}

#[test]
fn hostile_text_is_kept_verbatim() {
    let harness = Harness::new();
    let text = r"<script>'; DROP TABLE users; --\u202e\u0000";
    harness.post(&sent("1", text), NOON);
    assert_eq!(harness.ask("SELECT text FROM messages"), "<script>'; DROP TABLE users; --\u{202e}\0");
}

#[test]
fn a_viewers_view_is_no_fact_of_the_entity() {
    let harness = Harness::new();
    let data = r#"{"group":{"guid":"g","updatedAt":1767614400,"scope":"admin","joinedAt":1,"hasJoined":true},"members":{"ann":{"uid":"ann","conversationId":"x","blockedByMe":true,"joinedAt":5}}}"#;
    harness.post(&event("group_member_joined", data), NOON);
    assert_eq!(harness.ask("SELECT uid, scope, joined_at FROM memberships"), format!("ann|participant|{NOON}"));
}

#[test]
fn a_retry_of_an_older_message_moves_nothing() {
    let harness = Harness::new();
    harness.post(&sent("1", "a"), NOON);
    harness.post(&sent("2", "b"), NOON + 1_000);
    let before = harness.tables();
    assert!(harness.post(&sent("1", "a"), NOON + 30_000).duplicate);
    harness::assert_same(&before, &harness.tables(), "a retry");
}

#[test]
fn group_member_removed_is_a_kick_where_it_reads_like_one() {
    let harness = Harness::new();
    let data = r#"{"group":{"guid":"g","updatedAt":1767614400},"members":{"ann":{"uid":"ann"}},"by":{"uid":"boss"}}"#;
    harness.post(&event("group_member_removed", data), NOON);
    assert_eq!(harness.ask("SELECT state, changed_by FROM memberships"), "kicked|boss");
    assert_eq!(harness.post(&event("group_member_removed", r#"{"guid":"g"}"#), NOON).outcome.as_str(), "rejected");
}

/// A receipt of message 7 by bob in group g; `at` is its timestamp as JSON.
fn receipt(kind: &str, at: &str, device: u8) -> String {
    let timestamp = if at.is_empty() { String::new() } else { format!(r#","timestamp":{at}"#) };
    event(
        &format!("message_{kind}"),
        &format!(
            r#"{{"receiver":"g","receiverType":"group","sender":"bob","messageSender":"ann","device":{device},"body":{{"messageId":"7"{timestamp}}}}}"#
        ),
    )
}

#[test]
fn receipt_without_a_time_is_dated_by_its_arrival_and_marked() {
    let harness = Harness::new();
    harness.post(&receipt("read_receipt", "", 1), NOON + 5_400);
    harness.post(&receipt("delivery_receipt", &(SECOND + 2).to_string(), 1), NOON + 9_000);
    let read =
        "SELECT read_at - 1767614400000, read_at_from, delivered_at - 1767614400000, delivered_at_from FROM receipts";
    assert_eq!(harness.ask(read), "5000|arrival|2000|told");
    assert_eq!(harness.ask("SELECT message_id, at FROM read_markers"), "7|null", "a marker knows of told times only");
    harness.explain_all("a receipt without a time");
}

#[test]
fn told_read_time_beats_a_time_of_arrival_in_either_order() {
    let untimed = receipt("read_receipt", "", 1);
    let told = [
        receipt("read_receipt", &(SECOND + 60).to_string(), 1),
        receipt("read_receipt", &(SECOND + 80).to_string(), 1),
    ];
    for order in [[&untimed, &told[0], &told[1]], [&told[1], &told[0], &untimed], [&told[0], &untimed, &told[1]]] {
        let harness = Harness::new();
        for body in order {
            harness.post(body, NOON + 4_000);
        }
        let receipts = "SELECT read_at / 1000 - 1767614400, read_at_from FROM receipts";
        assert_eq!(harness.ask(receipts), "60|told", "{order:?}");
        assert_eq!(harness.ask("SELECT at / 1000 - 1767614400 FROM read_markers"), "60", "{order:?}");
        harness.explain_all("told and untold receipts");
    }
}

#[test]
fn receipt_timed_zero_or_below_tells_no_time() {
    for zero in ["0", "\"0\"", "0.0", "-5", "-0", "null"] {
        let harness = Harness::new();
        harness.post(&receipt("read_receipt", zero, 1), NOON + 5_000);
        assert_eq!(harness.ask("SELECT read_at - 1767614400000, read_at_from FROM receipts"), "5000|arrival", "{zero}");
    }
}

#[test]
fn aggregate_receipt_without_a_time_tells_none() {
    let harness = Harness::new();
    let aggregate = |time: &str| {
        let data = format!(
            r#"{{"receiver":"g","receiverType":"group","sender":"app_system","messageSender":"ann","body":{{"action":"readByAll","messageId":"7"{time}}}}}"#
        );
        event("message_read_by_all", &data)
    };
    harness.post(&aggregate(""), NOON + 1_000);
    assert_eq!(harness.ask("SELECT read_by_all_at FROM messages"), "null");
    harness.post(&aggregate(&format!(r#","timestamp":{}"#, SECOND + 50)), NOON + 60_000);
    assert_eq!(harness.ask("SELECT read_by_all_at / 1000 - 1767614400 FROM messages"), "50");
}

#[test]
fn time_of_zero_clears_nothing() {
    for zero in ["0", "\"0\"", "0.0", "-0", "-7"] {
        let harness = Harness::new();
        harness.post(&sent("\"7\"", "a"), NOON);
        let edit = message("7", &format!(r#","data":{{"text":"b"}},"editedAt":{},"editedBy":"ann""#, SECOND + 5));
        harness.post(&event("message_edited", &format!(r#"{{"message":{edit}}}"#)), NOON);
        let pinned = message("7", &format!(r#","pinnedAt":{},"pinnedBy":"ann""#, SECOND + 6));
        harness.post(&event("message_pinned", &format!(r#"{{"message":{pinned}}}"#)), NOON);
        let later = format!(r#"{{"id":7,"editedAt":{zero},"deletedAt":{zero},"pinnedAt":{zero},"sentAt":{zero}}}"#);
        let verdict =
            format!(r#"{{"message":{later},"moderation":[{{"rule":{{"id":"r","blockedAt":{}}}}}]}}"#, SECOND + 90);
        harness.post(&event("moderation_manual_approved", &verdict), NOON);
        let again = format!(r#"{{"id":7,"editedAt":{zero},"sentAt":{zero},"data":{{"k":1}}}}"#);
        harness.post(&event("message_edited", &format!(r#"{{"message":{again}}}"#)), NOON);
        let known = "SELECT text, sent_at / 1000 - 1767614400, edited_at / 1000 - 1767614400, edited_by, pinned_at / 1000 - 1767614400, deleted FROM messages";
        assert_eq!(harness.ask(known), "b|0|5|ann|6|0", "{zero}");
        let group = |more: &str| event("group_updated", &format!(r#"{{"group":{{"guid":"g"{more}}}}}"#));
        harness.post(&group(&format!(r#","createdAt":{SECOND},"updatedAt":{SECOND}"#)), NOON);
        let user = |more: &str| format!(r#"{{"uid":"ann","lastActiveAt":{more}}}"#);
        let member = |at: i64, who: &str| {
            let group = format!(r#"{{"guid":"g","createdAt":{zero},"updatedAt":{at}}}"#);
            event("group_member_joined", &format!(r#"{{"group":{group},"members":{{"ann":{who}}}}}"#))
        };
        harness.post(&member(SECOND + 20, &user(&SECOND.to_string())), NOON);
        harness.post(&member(SECOND + 30, &user(zero)), NOON);
        assert_eq!(harness.ask("SELECT created_at / 1000 - 1767614400 FROM groups"), "0", "{zero}");
        assert_eq!(
            harness.ask("SELECT last_active_at / 1000 - 1767614400 FROM users WHERE uid = 'ann'"),
            "0",
            "{zero}"
        );
    }
}

#[test]
fn deletion_and_pin_without_a_time_are_marked() {
    let harness = Harness::new();
    harness.post(&sent("\"7\"", "a"), NOON);
    harness.post(&event("message_pinned", &format!(r#"{{"message":{}}}"#, message("\"7\"", ""))), NOON + 4_000);
    harness.post(&event("message_deleted", r#"{"message":{"id":"7"}}"#), NOON + 5_000);
    let known = "SELECT pinned_at / 1000 - 1767614400, pinned_at_from, deleted_at / 1000 - 1767614400, deleted_at_from FROM messages";
    assert_eq!(harness.ask(known), "4|arrival|5|arrival");
    let told = format!(r#"{{"message":{{"id":"7","pinnedAt":{0},"deletedAt":{0}}}}}"#, SECOND + 9);
    harness.post(&event("message_deleted", &told), NOON + 9_000);
    assert_eq!(harness.ask(known), "9|told|9|told");
    harness.explain_all("marks of deletions and pins");
}
