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

/// A signal of the call that `initiated` began, told as the echo among messages or as a trigger of its own.
fn signal(trigger: &str, status: &str, initiated: i64, at: i64) -> String {
    let object = if trigger == "message_sent" { "message" } else { "call" };
    let on = format!(
        r#"{{"sessionid":"s","status":"{status}","initiatedAt":{initiated},"sender":"ann","receiver":"bob","receiverType":"user","type":"audio"}}"#
    );
    event(
        trigger,
        &format!(
            r#"{{"{object}":{{"id":"{at}","sender":"ann","receiver":"bob","receiverType":"user","category":"call","type":"audio","sentAt":{at},"data":{{"action":"{status}","entities":{{"on":{{"entity":{on}}}}}}}}}}}"#
        ),
    )
}

fn stay(uid: &str, joined: i64, left: Option<i64>) -> String {
    let trigger = if left.is_some() { "call_participant_left" } else { "call_participant_joined" };
    let left = left.map(|at| format!(r#","left_at":{at}"#)).unwrap_or_default();
    rtc(trigger, &format!(r#""occupant":{{"name":"{uid}","uid":"{uid}","joined_at":{joined}{left}}}"#))
}

#[test]
fn a_ringing_call_whose_start_and_end_are_not_ticked_is_one_that_ended() {
    let told = [
        signal("call_initiated", "initiated", SECOND, SECOND),
        stay("ann", SECOND + 8, None),
        stay("bob", SECOND + 9, None),
        stay("bob", SECOND + 9, Some(SECOND + 60)),
        stay("ann", SECOND + 8, Some(SECOND + 61)),
        signal("message_sent", "ended", SECOND, SECOND + 62),
    ];
    let mut orders = vec![told.to_vec(), told.iter().rev().cloned().collect()];
    orders.push([3, 0, 5, 1, 4, 2].map(|at| told[at].clone()).to_vec());
    for order in orders {
        let harness = Harness::new();
        for body in &order {
            harness.post(body, NOON);
        }
        let sessions = "SELECT status, initiated_at, started_at, initiator_uid FROM call_sessions";
        assert_eq!(harness.ask(sessions), format!("ended|{NOON}|{}|ann", NOON + 8_000));
        let people = "SELECT group_concat(uid || ' ' || (left_at - joined_at)) FROM call_participants";
        assert_eq!(harness.ask(people), "ann 53000,bob 51000");
        harness.explain_all("a call without its start");
    }
}

#[test]
fn a_recording_lasts_equally_long_whatever_is_heard_first() {
    // Seventeen digits: as floats some of them are others once printed and read again.
    let told = (1..200).map(|n| {
        let more = |more: &str| format!(r#"{{"sessionId":"s{n}",{more}}}"#);
        let duration = f64::from(n).sqrt() * 1000.0 / 7.0;
        let recording = format!(r#""startTime":{SECOND},"duration":{duration:?},"recording_url":"u""#);
        let started = event("call_started", &more(&format!(r#""created_at":{SECOND}"#)));
        [event("recording_generated", &more(&recording)), started]
    });
    let tables = [false, true].map(|is_turned| {
        let harness = Harness::new();
        for mut pair in told.clone() {
            if is_turned {
                pair.reverse();
            }
            for body in &pair {
                harness.post(body, NOON);
            }
        }
        harness.truth()
    });
    harness::assert_same(&tables[0], &tables[1], "the start told before the recording");
}

#[test]
fn the_newest_last_activity_stays_whoever_tells_an_older_one_later() {
    let harness = Harness::new();
    let active = |at: i64, active: i64| {
        event(
            "user_connection_status_changed",
            &format!(r#"{{"timestamp":{at}000,"user":{{"uid":"ann","lastActiveAt":{active}}},"status":"online"}}"#),
        )
    };
    harness.post(&active(SECOND, SECOND - 5), NOON);
    harness.post(&active(SECOND + 60, SECOND - 90), NOON + 60_000);
    harness.post(
        &event(
            "user_connection_status_changed",
            &format!(r#"{{"timestamp":{SECOND}999,"user":{{"uid":"ann","lastActiveAt":null}}}}"#),
        ),
        NOON + 61_000,
    );
    assert_eq!(harness.ask("SELECT last_active_at FROM users"), (NOON - 5_000).to_string());
}

#[test]
fn an_app_has_the_region_that_its_newest_told_event_names_in_every_order() {
    let in_region =
        |body: String, region: &str| body.replace("\"webhook\"", &format!("\"region\":\"{region}\",\"webhook\""));
    let named = |id: i64, second: i64, region: &str| {
        let at = |second: i64| format!("\"sentAt\":{second}");
        in_region(sent(&id.to_string(), "a").replace(&at(SECOND), &at(SECOND + second)), region)
    };
    let untold = event("user_blocked", r#"{"by":{"uid":"ann"},"users":{"bob":{"uid":"bob"}}}"#);
    let told = [named(1, 1, "us"), named(2, 2, "eu"), in_region(untold, "in"), named(3, 2, "ap")];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let harness = Harness::new();
        for at in order {
            harness.post(&told[at], NOON);
        }
        assert_eq!(harness.ask("SELECT region FROM apps"), "eu", "{order:?}");
    }
}

#[test]
fn who_was_not_heard_of_for_a_day_is_in_no_view_of_who_is_online() {
    let harness = Harness::new();
    let now = chatfold::clock::now().0;
    let status = |uid: &str, at: i64, word: &str| {
        event(
            "user_connection_status_changed",
            &format!(r#"{{"timestamp":{at},"user":{{"uid":"{uid}"}},"status":"{word}"}}"#),
        )
    };
    for (uid, hours, word) in [("ann", 25, "online"), ("bob", 23, "online"), ("cem", 25, "offline")] {
        harness.post(&status(uid, now - hours * 3_600_000, word), now);
    }
    assert_eq!(harness.ask("SELECT uid, online FROM v_presence ORDER BY uid"), "bob|1\ncem|0");
    assert_eq!(harness.ask("SELECT online FROM presence WHERE uid = 'ann'"), "1", "the table keeps the newest status");
}
