//! Facts with different told times end in the same tables in every order, doubled or not, in any batching; and each
//! row can be explained from its deliveries.

mod harness;

use harness::{Harness, NOON, assert_same};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// One fact at second `at`, about small entities, so that facts meet. `a`, `b`, `c` choose among them.
fn fact(kind: u8, at: i64, a: u8, b: u8, c: u8) -> String {
    let (user, other, message) =
        (["ann", "bob", "cem"][usize::from(a % 3)], ["ann", "bob", "cem"][usize::from(b % 3)], i64::from(b % 3));
    let person = format!(r#"{{"uid":"{user}","name":"{user} {at}"}}"#);
    // What was first sent is the same whoever tells it; an edit differs by its time.
    let full = |id: i64, text: &str, more: &str| {
        let author = if id < 10 { ["ann", "bob", "cem"][id as usize] } else { other };
        let content = if more.contains("editedAt") {
            format!(r#""k{}":{at},"mentions":{{"{user}":{person}}}"#, c % 4)
        } else {
            r#""k0":0,"mentions":{"bob":{"uid":"bob"}}"#.to_owned()
        };
        format!(
            r#"{{"id":"{id}","sender":"{author}","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{},"data":{{"text":"{text}",{content}}}{more}}}"#,
            100 + id
        )
    };
    let group = format!(r#"{{"guid":"g","name":"g {at}","membersCount":{c},"updatedAt":{at},"owner":"{user}"}}"#);
    let member = |more: &str| {
        format!(r#"{{"group":{group},"members":{{"{other}":{{"uid":"{other}","name":"{at}"{more}}}}},"by":{person}}}"#)
    };
    let scope = ["admin", "moderator", "participant"][usize::from(c % 3)];
    let action = |verb: &str, on: &str| {
        format!(
            r#"{{"message":{{"id":"{}","sender":"{user}","receiverType":"group","receiver":"g","category":"action","type":"message","sentAt":{at},"data":{{"action":"{verb}","entities":{{"by":{{"entity":{person}}},"on":{{"entity":{on}}}}}}}}}}}"#,
            1_000 + at
        )
    };
    let edited = full(message, &format!("edit {at}"), &format!(r#","editedAt":{at},"editedBy":"{user}""#));
    let deleted = format!(r#"{{"id":"{message}","deletedAt":{at},"deletedBy":"{user}"}}"#);
    let rtc = |more: &str| format!(r#"{{"sessionId":"s{}",{more}}}"#, c % 2);
    let (trigger, data) = match kind {
        0 => ("message_sent", format!(r#"{{"message":{}}}"#, full(message, "first", ""))),
        1 => ("message_edited", format!(r#"{{"message":{edited}}}"#)),
        2 => ("message_edited", action("edited", &edited)),
        3 => ("message_sent", action("edited", &edited)),
        4 => ("message_deleted", action("deleted", &deleted)),
        5 => ("message_sent", action("deleted", &deleted)),
        6 => (
            "message_sent",
            format!(
                r#"{{"message":{}}}"#,
                full(
                    at,
                    "reply",
                    &format!(r#","parentId":{message},"quotedMessageId":"{message}","quotedMessage":{edited}"#)
                )
            ),
        ),
        7 => ("group_updated", format!(r#"{{"group":{group}}}"#)),
        8 => ("group_member_joined", member("")),
        9 => ("group_member_left", member("")),
        10 => ("group_member_kicked", member("")),
        11 => ("group_member_scope_changed", member(&format!(r#","scope":"{scope}""#))),
        12 => ("group_owner_transferred", format!(r#"{{"group":{group}}}"#)),
        13 => (
            "message_reaction_added",
            format!(
                r#"{{"reaction":{{"id":"{at}","messageId":"{message}","reaction":"x","uid":"{user}","reactedAt":{at}}}}}"#
            ),
        ),
        14 => (
            "message_read_receipt",
            format!(
                r#"{{"receiver":"g","receiverType":"group","sender":"{user}","messageSender":"{other}","body":{{"messageId":{message},"timestamp":{at}}}}}"#
            ),
        ),
        15 => (
            "message_delivered_to_all",
            format!(
                r#"{{"receiver":"g","receiverType":"group","messageSender":"{other}","body":{{"action":"deliveredToAll","messageId":"{message}","timestamp":{at}}}}}"#
            ),
        ),
        16 => (
            "user_connection_status_changed",
            format!(
                r#"{{"timestamp":{at}001,"user":{person},"status":"{}","currentConnection":{{"action":"{}","platform":"p","connectedAt":{}001}},"userPresenceChanged":{}}}"#,
                ["online", "offline"][usize::from(c % 2)],
                ["connected", "disconnected"][usize::from(b % 2)],
                100 + i64::from(c),
                a.is_multiple_of(2)
            ),
        ),
        17 => ("call_started", rtc(&format!(r#""created_at":{at}"#))),
        18 => (
            "call_participant_joined",
            rtc(&format!(r#""occupant":{{"name":"{user}","uid":"{user}","joined_at":{at}}}"#)),
        ),
        19 => ("call_ended", rtc(&format!(r#""created_at":{},"destroyed_at":{at},"all_occupants":[]"#, at - 20))),
        20 => (
            "moderation_engine_blocked",
            format!(
                r#"{{"message":{},"moderation":[{{"rule":{{"id":"r{c}","blockedAt":{at}}}}}]}}"#,
                full(message, "first", "")
            ),
        ),
        21 => (
            "moderation_manual_approved",
            format!(
                r#"{{"message":{},"moderation":[{{"rule":{{"id":"r","blockedAt":{at}}}}}]}}"#,
                full(message, "first", "")
            ),
        ),
        22 => (
            "message_pinned",
            format!(r#"{{"message":{}}}"#, full(message, "first", &format!(r#","pinnedAt":{at},"pinnedBy":"{user}""#))),
        ),
        _ => (
            "group_created",
            format!(
                r#"{{"group":{{"guid":"g","owner":"{user}","createdAt":{at},"scope":"admin"}},"members":{{"{user}":{person}}}}}"#
            ),
        ),
    };
    format!(r#"{{"trigger":"{trigger}","appId":"app","data":{data}}}"#)
}

fn history() -> impl Strategy<Value = (Vec<String>, Vec<usize>)> {
    let one = (0u8..24, any::<u8>(), any::<u8>(), any::<u8>());
    prop::collection::vec(one, 2..28).prop_flat_map(|kinds| {
        let facts: Vec<String> =
            (1_000i64..).step_by(7).zip(kinds).map(|(at, (kind, a, b, c))| fact(kind, at, a, b, c)).collect();
        let order: Vec<usize> = (0..facts.len()).chain(0..facts.len() / 3).collect();
        (Just(facts), Just(order).prop_shuffle())
    })
}

fn tables<'a>(bodies: impl Iterator<Item = &'a str>) -> String {
    let harness = Harness::new();
    for body in bodies {
        harness.post(body, NOON);
    }
    harness.explain_all("a random history");
    harness.truth()
}

#[test]
fn told_facts_end_in_the_same_tables_in_every_order() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let cases = std::env::var("CHATFOLD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let mut runner = TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    let law = |(facts, order): (Vec<String>, Vec<usize>)| {
        let told = tables(facts.iter().map(String::as_str));
        let shuffled = tables(order.iter().map(|at| facts[*at].as_str()));
        assert_same(&told, &shuffled, &format!("another order gives other tables:\n{}", facts.join("\n")));
        Ok(())
    };
    runner.run(&history(), law).unwrap_or_else(|failure| panic!("{failure}"));
}
