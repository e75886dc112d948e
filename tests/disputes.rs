//! Facts that dispute a value: who is believed, and what a lesser fact must not touch.

mod harness;

use harness::{Harness, NOON};

const SECOND: i64 = NOON / 1000;

fn event(trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{data}}}"#)
}

fn sent(id: u8, more: &str) -> String {
    let head =
        format!(r#""id":"{id}","sender":"x","receiverType":"user","receiver":"y","category":"message","type":"text""#);
    event("message_sent", &format!(r#"{{"message":{{{head},"sentAt":{}{more}}}}}"#, SECOND + i64::from(id)))
}

/// Both orders of two deliveries give this answer.
fn either_way(one: &str, two: &str, question: &str, answer: &str) {
    for order in [[one, two], [two, one]] {
        let harness = Harness::new();
        order.iter().for_each(|body| {
            harness.post(body, NOON);
        });
        assert_eq!(harness.ask(question), answer, "{order:?}");
    }
}

#[test]
fn a_receipt_moves_no_message_out_of_its_conversation() {
    let receipt = event(
        "message_read_receipt",
        &format!(
            r#"{{"receiver":"y","receiverType":"user","sender":"x","messageSender":"x","body":{{"messageId":"5","timestamp":{}}}}}"#,
            SECOND + 90
        ),
    );
    either_way(&sent(5, ""), &receipt, "SELECT conversation_id, messages_count FROM conversations", "x_user_y|1");
}

#[test]
fn a_conversation_told_in_pieces_counts_its_message() {
    let without_sender = sent(5, "").replace(r#""sender":"x","#, "");
    let edit =
        event("message_edited", &format!(r#"{{"message":{{"id":"5","sender":"x","editedAt":{}}}}}"#, SECOND + 9));
    either_way(&without_sender, &edit, "SELECT conversation_id, messages_count FROM conversations", "x_user_y|1");
}

#[test]
fn an_echo_of_a_deletion_does_not_say_who_deleted_where_the_deletion_does() {
    let deleted = event(
        "message_deleted",
        &format!(r#"{{"message":{{"id":"5","category":"message","deletedAt":{SECOND},"deletedBy":"admin"}}}}"#),
    );
    let echo = event(
        "message_sent",
        &format!(
            r#"{{"message":{{"id":"9","sender":"x","category":"action","type":"message","sentAt":{},"data":{{"action":"deleted","entities":{{"on":{{"entity":{{"id":"5"}}}}}}}}}}}}"#,
            SECOND + 3
        ),
    );
    either_way(
        &deleted,
        &echo,
        "SELECT deleted, deleted_at / 1000, deleted_by FROM messages",
        &format!("1|{SECOND}|admin"),
    );
}

#[test]
fn a_failure_of_moderation_hides_nothing() {
    let failed = event(
        "moderation_engine_failed",
        &format!(
            r#"{{"resource":{{"id":"5","data":{{"text":"no","moderation":{{"status":"disapproved"}}}}}},"completedAt":{},"failures":[{{"errorMessage":"late"}}]}}"#,
            SECOND + 9
        ),
    );
    either_way(
        &sent(5, ""),
        &failed,
        "SELECT listed, text, failure FROM messages JOIN moderation USING (message_id)",
        "1|null|late",
    );
}

#[test]
fn a_quote_that_does_not_say_how_old_it_is_replaces_nothing() {
    let edit = event(
        "message_edited",
        &format!(r#"{{"message":{{"id":"5","data":{{"text":"new"}},"editedAt":{}}}}}"#, SECOND + 6),
    );
    let quote = sent(7, r#","quotedMessage":{"id":"5","data":{"text":"old"}}"#);
    either_way(&edit, &quote, "SELECT text FROM messages WHERE message_id = '5'", "new");
}

#[test]
fn who_rejects_or_is_busy_was_called() {
    let call = |trigger: &str, action: &str| {
        event(
            trigger,
            &format!(
                r#"{{"call":{{"id":"5","sender":"callee","receiverType":"user","receiver":"caller","category":"call","type":"audio","sentAt":{SECOND},"data":{{"action":"{action}"}}}}}}"#
            ),
        )
    };
    for (trigger, action, initiator) in [
        ("call_rejected", "rejected", "caller"),
        ("call_busy", "busy", "caller"),
        ("call_cancelled", "cancelled", "callee"),
    ] {
        let harness = Harness::new();
        harness.post(&call(trigger, action), NOON);
        assert_eq!(harness.ask("SELECT initiator_uid, status FROM call_sessions"), format!("{initiator}|{action}"));
    }
}

#[test]
fn two_instances_of_one_second_stay_two() {
    let started = event("call_started", &format!(r#"{{"sessionId":"s","created_at":{SECOND}}}"#));
    let rejected = event(
        "call_rejected",
        &format!(
            r#"{{"call":{{"id":"5","sender":"b","receiverType":"user","receiver":"a","category":"call","sentAt":{SECOND},"data":{{"entities":{{"on":{{"entity":{{"sessionid":"s","initiatedAt":{SECOND}}}}}}}}}}}}}"#
        ),
    );
    either_way(&started, &rejected, "SELECT status FROM call_sessions ORDER BY status", "ongoing\nrejected");
}

#[test]
fn an_owner_may_be_a_number_and_is_nobody_when_empty() {
    let created = |owner: &str, more: &str| {
        event("group_created", &format!(r#"{{"group":{{"guid":"g","owner":{owner},"createdAt":{SECOND}{more}}}}}"#))
    };
    let harness = Harness::new();
    harness.post(&created("520", r#","hasJoined":true"#), NOON);
    assert_eq!(harness.ask("SELECT owner_uid, uid, state FROM groups JOIN memberships USING (guid)"), "520|520|joined");
    let nobody = Harness::new();
    nobody.post(&created("\"\"", r#","hasJoined":true"#), NOON);
    assert_eq!(nobody.ask("SELECT owner_uid, members_count FROM groups"), "null|0");
}

#[test]
fn the_creators_scope_may_stand_beside_the_creator() {
    let created = event(
        "group_created",
        &format!(
            r#"{{"group":{{"guid":"g","owner":"o","createdAt":{SECOND}}},"members":{{"o":{{"uid":"o","scope":"admin"}}}}}}"#
        ),
    );
    let harness = Harness::new();
    harness.post(&created, NOON);
    assert_eq!(harness.ask("SELECT uid, scope FROM memberships"), "o|admin");
}

#[test]
fn what_is_ignored_is_dated_by_what_it_tells() {
    let harness = Harness::new();
    harness.post(&event("after_feed_item_sent", &format!(r#"{{"id":"1","sentAt":{}}}"#, SECOND - 3)), NOON);
    assert_eq!(harness.ask("SELECT occurred_at / 1000, occurred_from FROM events"), format!("{}|told", SECOND - 3));
}

#[test]
fn a_creation_between_two_equal_adds_makes_them_two() {
    let created = |at: i64| event("group_created", &format!(r#"{{"group":{{"guid":"g","createdAt":{at}}}}}"#));
    let added = event("group_member_added", r#"{"group":{"guid":"g"},"members":{"m":{"uid":"m"}}}"#);
    let harness = Harness::new();
    harness.post(&created(SECOND), NOON);
    harness.post(&added, NOON + 1_000);
    harness.post(&created(SECOND + 100), NOON + 100_000);
    assert_eq!(harness.ask("SELECT state FROM memberships"), "absent");
    assert!(!harness.post(&added, NOON + 120_000).duplicate);
    assert_eq!(harness.ask("SELECT state FROM memberships"), "joined");
}

#[test]
fn two_halves_of_different_emoji_are_two_facts() {
    let harness = Harness::new();
    let edit = |half: &str| {
        event(
            "message_edited",
            &format!(r#"{{"message":{{"id":"5","data":{{"text":"{half}"}},"editedAt":{SECOND}}}}}"#),
        )
    };
    harness.post(&edit(r"\ud83d"), NOON);
    assert!(!harness.post(&edit(r"\ud83e"), NOON).duplicate);
}
