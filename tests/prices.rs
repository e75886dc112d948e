//! What an event costs the writer does not grow with what was told before: counted in statements and in steps of the
//! engine, over a story and over ten times as much.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::batch::Batch;
use chatfold::envelope::Envelope;
use chatfold::ids::Time;
use chatfold::log::{Source, append};
use harness::{Harness, NOON};
use rusqlite::StatementStatus;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// Statements run since they were last taken, and the steps that each has made so far.
    static RUN: RefCell<Vec<(String, i32)>> = RefCell::default();
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Profile(statement, _) = event {
        let steps = statement.get_status(StatementStatus::VmStep);
        RUN.with_borrow_mut(|run| run.push((statement.sql().into_owned(), steps)));
    }
}

/// Delivers, and gives the statements that were run with their steps.
fn price(harness: &mut Harness, body: &str, at: i64) -> Vec<(String, i32)> {
    harness.forget();
    // Statements prepared anew begin to count.
    harness.conn.flush_prepared_statement_cache();
    harness.conn.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note)).unwrap();
    RUN.take();
    harness.post(body, at);
    harness.conn.trace_v2(TraceEventCodes::empty(), None::<fn(TraceEvent<'_>)>).unwrap();
    RUN.take()
}

fn steps(run: &[(String, i32)]) -> i32 {
    let of_statement: BTreeMap<&str, i32> = run.iter().map(|(sql, steps)| (sql.as_str(), *steps)).collect();
    of_statement.values().sum()
}

fn event(trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{data}}}"#)
}

const SECOND: i64 = NOON / 1000;

fn media(trigger: &str, more: &str) -> String {
    event(trigger, &format!(r#"{{"sessionId":"room",{more}}}"#))
}

/// A room that is used every hour: it starts, two come, it ends.
fn uses(count: i64) -> Vec<String> {
    let one = |number: i64| {
        let at = SECOND - (count - number) * 3_600;
        let joined = |uid: &str| format!(r#""occupant":{{"uid":"{uid}","name":"{uid}","joined_at":{}}}"#, at + 5);
        [
            media("meeting_started", &format!(r#""created_at":{at}"#)),
            media("meeting_participant_joined", &joined("ann")),
            media("meeting_participant_joined", &joined("bob")),
            media("meeting_ended", &format!(r#""created_at":{at},"destroyed_at":{}"#, at + 1_800)),
        ]
    };
    (0..count).flat_map(one).collect()
}

#[test]
fn an_event_of_a_call_costs_the_same_however_often_its_room_was_used() {
    let prices: Vec<[i32; 3]> = [30, 300]
        .into_iter()
        .map(|count| {
            let mut harness = Harness::new();
            harness.ingest(uses(count).iter().map(String::as_str));
            let start = media("meeting_started", &format!(r#""created_at":{SECOND}"#));
            let join = |at: i64| {
                media(
                    "meeting_participant_joined",
                    &format!(r#""occupant":{{"uid":"cem","name":"Cem","joined_at":{at}}}"#),
                )
            };
            let prices = [
                steps(&price(&mut harness, &start, NOON)),
                steps(&price(&mut harness, &join(SECOND + 9), NOON + 9_000)),
                // Comes late: of the use five hours ago.
                steps(&price(&mut harness, &join(SECOND - 5 * 3_600 + 9), NOON + 10_000)),
            ];
            let sessions = harness.ask("SELECT count(*) FROM call_sessions");
            assert_eq!(sessions, (count + 1).to_string());
            let stays = "SELECT joined_at FROM call_participants WHERE uid = 'cem' ORDER BY anchor";
            assert_eq!(harness.ask(stays), format!("{}\n{}", (SECOND - 5 * 3_600 + 9) * 1_000, (SECOND + 9) * 1_000));
            prices
        })
        .collect();
    for (few, many) in prices[0].iter().zip(prices[1]) {
        assert!(many < few + few / 4, "{prices:?}");
    }
}

fn group(created: i64) -> String {
    format!(r#"{{"guid":"g","name":"G","type":"public","owner":"ann","createdAt":{created},"updatedAt":{created}}}"#)
}

fn created(at: i64) -> String {
    event("group_created", &format!(r#"{{"group":{}}}"#, group(at)))
}

/// People joined one after the other.
fn joined(people: std::ops::Range<i64>, at: i64) -> String {
    let members: Vec<String> = people.map(|n| format!(r#""u{n:05}":{{"uid":"u{n:05}","name":"U"}}"#)).collect();
    let group = format!(r#"{{"guid":"g","name":"G","type":"public","createdAt":{at},"updatedAt":{at}}}"#);
    event("group_member_added", &format!(r#"{{"group":{group},"members":{{{}}}}}"#, members.join(",")))
}

#[test]
fn a_group_made_anew_costs_what_it_ends_and_not_who_was_ever_heard_of() {
    let prices: Vec<i32> = [40, 400]
        .into_iter()
        .map(|people| {
            let mut harness = Harness::new();
            for (number, body) in
                [joined(0..people, SECOND - 9_000), created(SECOND - 5_000), joined(0..10, SECOND - 4_000)]
                    .iter()
                    .enumerate()
            {
                harness.post(body, NOON - 9_000_000 + number as i64);
            }
            assert_eq!(harness.ask("SELECT count(*) FROM memberships WHERE current"), "10");
            let price = steps(&price(&mut harness, &created(SECOND), NOON));
            assert_eq!(harness.ask("SELECT count(*) FROM memberships WHERE current"), "0");
            assert_eq!(harness.ask("SELECT members_count FROM groups"), "0");
            price
        })
        .collect();
    assert!(prices[1] < prices[0] + prices[0] / 4, "{prices:?}");
}

#[test]
fn a_creation_that_is_told_again_decides_nobody_anew() {
    let mut harness = Harness::new();
    harness.post(&created(SECOND), NOON);
    harness.post(&joined(0..200, SECOND + 10), NOON + 10_000);
    let again = created(SECOND).replace("\"name\":\"G\"", "\"name\":\"H\"");
    let run = price(&mut harness, &again, NOON + 20_000);
    assert!(run.len() < 60, "{} statements", run.len());
    assert_eq!(harness.ask("SELECT count(*) FROM memberships WHERE current"), "200");
    assert_eq!(harness.ask("SELECT count(*) FROM rosters"), "1");
}

fn message(keys: usize) -> String {
    let data: Vec<String> = (0..keys).map(|n| format!(r#""key{n:06}":{n}"#)).collect();
    event(
        "message_sent",
        &format!(
            r#"{{"message":{{"id":"7","sender":"ann","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{SECOND},"data":{{"text":"hi",{}}}}}}}"#,
            data.join(",")
        ),
    )
}

fn reads_data((sql, _): &(String, i32)) -> bool {
    sql.contains("FROM messages WHERE") && sql.contains("data")
}

#[test]
fn a_receipt_and_a_reaction_read_no_data_of_their_message() {
    let mut harness = Harness::new();
    harness.post(&message(3_000), NOON);
    let receipt = event(
        "message_read_receipt",
        &format!(
            r#"{{"sender":"bob","messageSender":"ann","receiver":"g","receiverType":"group","body":{{"action":"read","messageId":"7","timestamp":{}}}}}"#,
            SECOND + 5
        ),
    );
    let reaction = event(
        "message_reaction_added",
        &format!(
            r#"{{"reaction":{{"id":"r","messageId":"7","reaction":"x","uid":"bob","reactedAt":{}}}}}"#,
            SECOND + 6
        ),
    );
    for (body, at) in [(receipt, NOON + 5_000), (reaction, NOON + 6_000)] {
        let run = price(&mut harness, &body, at);
        let wrong: Vec<_> = run.iter().filter(|it| reads_data(it)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(!run.iter().any(|(sql, _)| sql.contains("INTO messages")), "the message is written");
    }
    assert_eq!(harness.ask("SELECT count(*) FROM receipts WHERE read_at IS NOT NULL"), "1");
    assert_eq!(harness.ask("SELECT count(*) FROM reactions WHERE present"), "1");
}

/// What comes before its message tells who sent it, until the message itself is heard.
#[test]
fn a_receipt_still_tells_of_a_message_nobody_heard_of() {
    let harness = Harness::new();
    let receipt = |author: &str, reader: &str, at: i64| {
        event(
            "message_read_receipt",
            &format!(
                r#"{{"sender":"{reader}","messageSender":"{author}","receiver":"g","receiverType":"group","body":{{"action":"read","messageId":"7","timestamp":{at}}}}}"#
            ),
        )
    };
    harness.post(&receipt("old", "bob", SECOND + 5), NOON + 5_000);
    assert_eq!(harness.ask("SELECT sender_uid FROM messages"), "old");
    harness.post(&receipt("ann", "cem", SECOND + 6), NOON + 6_000);
    harness.post(&receipt("old", "bob", SECOND + 5).replace("\"w\"", "\"w2\""), NOON + 7_000);
    assert_eq!(harness.ask("SELECT sender_uid FROM messages"), "ann", "the newer of two");
}

#[test]
fn a_row_is_read_once_while_the_cache_has_room_for_it() {
    for (cache, reads) in [(16 << 20, 0), (0, 1)] {
        let mut harness = Harness::new();
        let mut batch = Batch::keeping(cache);
        harness.conn.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note)).unwrap();
        for (uid, at) in [("ann", NOON), ("bob", NOON + 1_000), ("ann", NOON + 2_000)] {
            let user = format!(r#"{{"user":{{"uid":"{uid}","name":"{at}"}},"status":"online","timestamp":{at}}}"#);
            let envelope = Envelope::parse(event("user_connection_status_changed", &user).as_bytes()).unwrap();
            RUN.take();
            harness.transaction(|| {
                append(&mut batch, &harness.conn, &envelope, Time(at), Source::Http).unwrap();
                batch.save(&harness.conn).unwrap();
            });
        }
        let run = RUN.take();
        let read = run.iter().filter(|(sql, _)| sql.contains("SELECT") && sql.contains("FROM users")).count();
        assert_eq!(read, reads, "{cache} bytes: {run:?}");
    }
}
