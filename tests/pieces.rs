//! A large event that is saved in pieces: whatever is stopped, and after whichever piece, the tables become what they
//! would be had it been saved at once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::batch::Batch;
use chatfold::envelope::Envelope;
use chatfold::graphql::{Api, Caller, ChangeFilter, Follower, Limits as ApiLimits};
use chatfold::ids::{Outcome, Time};
use chatfold::large::{self, Limits, Posted};
use chatfold::log::Appended;
use chatfold::store::sqlite::{self, Connection, unfinished};
use harness::{Harness, NOON, READ_AT, assert_same, fixtures, story};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const SECOND: i64 = NOON / 1000;
/// Every event that is folded is large, and a piece is a row or two.
const TINY: Limits = Limits { commas: 0, names: 0, people: 1, carried: 1, piece: 2 };

fn event(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": "a", "webhook": "w", "data": data }).to_string()
}

fn people(range: std::ops::Range<u32>) -> Map<String, Value> {
    range.map(|n| (format!("u{n}"), json!({ "uid": format!("u{n}"), "name": format!("N {n}") }))).collect()
}

fn members(trigger: &str, range: std::ops::Range<u32>, at: Option<i64>) -> String {
    let group = json!({ "guid": "g", "name": "G", "createdAt": SECOND - 900, "updatedAt": at });
    let by = json!({ "uid": "ann", "name": "Ann" });
    event(trigger, &json!({ "group": group, "members": people(range), "by": by }))
}

fn created(at: i64) -> String {
    let group = json!({ "guid": "g", "name": "G", "createdAt": at, "owner": "ann", "scope": "admin", "joinedAt": at });
    event("group_created", &json!({ "group": group, "members": people(0..1) }))
}

fn blocks(trigger: &str, range: std::ops::Range<u32>) -> String {
    event(trigger, &json!({ "by": { "uid": "ann" }, "users": people(range) }))
}

fn message(trigger: &str, text: &str, range: std::ops::Range<u32>) -> String {
    let tags: Vec<String> = range.clone().map(|n| format!("t{n}")).collect();
    let data = json!({ "text": text, "mentions": people(range) });
    let edited = (trigger != "message_sent").then_some(SECOND + 5);
    let message = json!({ "id": "1", "sender": "ann", "receiverType": "group", "receiver": "g", "category": "message",
        "type": "text", "sentAt": SECOND, "editedAt": edited, "tags": tags, "data": data });
    event(trigger, &json!({ "message": message }))
}

/// The same of message 2.
fn another(body: &str) -> String {
    body.replace(r#""id":"1""#, r#""id":"2""#)
}

/// Posts as the writer does, in a transaction of its own.
fn post(conn: &Connection, body: &str, at: i64, limits: Limits) -> Posted {
    post_behind(conn, body, at, limits, false)
}

fn post_behind(conn: &Connection, body: &str, at: i64, limits: Limits, behind: bool) -> Posted {
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    let mut batch = Batch::default();
    sqlite::begin(conn).unwrap();
    let posted = large::post(&mut batch, conn, &envelope, Time(at), limits, behind).unwrap();
    batch.save(conn).unwrap();
    sqlite::commit(conn).unwrap();
    posted
}

/// Folds the unfinished event beside, and saves so many pieces of it. How many rows the largest changed.
fn save(harness: &Harness, seq: i64, pieces: usize, limits: Limits) -> (Option<Appended>, u64) {
    let beside = sqlite::open_reader(&harness.path()).unwrap();
    let mut folded = large::fold(&beside, seq).unwrap();
    let mut largest = 0;
    for _ in 0..pieces {
        sqlite::begin(&harness.conn).unwrap();
        let before = harness.conn.total_changes();
        let saved = folded.save_piece(&harness.conn, limits).unwrap();
        largest = largest.max(harness.conn.total_changes() - before);
        sqlite::commit(&harness.conn).unwrap();
        if saved.is_some() {
            return (saved, largest);
        }
    }
    (None, largest)
}

/// All tables, and how deliveries are counted.
fn state(harness: &Harness) -> String {
    let more = ["event_counts", "feeds", "unfinished"].map(|table| harness.ask(&format!("SELECT * FROM {table}")));
    let log = harness.ask("SELECT seq, app_id, occurred_at, deliveries, outcome, reason FROM events");
    [harness.tables(), log].into_iter().chain(more).collect::<Vec<_>>().join("\n")
}

/// Posts deliveries one after the other. Each is stopped after some of its pieces, and finished by the next process.
fn stopped<'a>(bodies: impl IntoIterator<Item = &'a String>, at: i64, claim: &str) {
    let bodies: Vec<&String> = bodies.into_iter().collect();
    let whole = Harness::new();
    for body in &bodies {
        whole.post(body, at);
    }
    for after in [0, 2, 5] {
        let harness = Harness::new();
        for body in &bodies {
            if let Posted::Unfinished(seq) = post(&harness.conn, body, at, TINY) {
                save(&harness, seq, after, TINY);
            }
            large::finish_all(&harness.conn).unwrap();
        }
        assert_same(&state(&whole), &state(&harness), &format!("{claim}, stopped after {after} pieces"));
    }
}

#[test]
fn a_stop_after_any_piece_of_any_event_ends_in_the_same_tables() {
    let bodies: Vec<String> = fixtures().into_iter().map(|(_, body)| body).collect();
    for at in [NOON, READ_AT] {
        stopped(&bodies, at, "all triggers");
        stopped(bodies.iter().rev(), at, "all triggers, the other way round");
    }
}

#[test]
fn a_stop_after_any_piece_of_any_story_ends_in_the_same_tables() {
    for name in std::fs::read_dir("fixtures/stories").unwrap().map(|entry| entry.unwrap()) {
        if name.path().is_dir() {
            let name = name.file_name().into_string().unwrap();
            stopped(&story(&name), NOON, &name);
        }
    }
}

/// Posts deliveries of one app behind each other, so many at most before the next process finishes them.
fn behind(bodies: &[String], claim: &str) {
    let whole = Harness::new();
    for body in bodies {
        whole.post(body, NOON);
    }
    let mut undecided = 0;
    for most in [3, usize::MAX] {
        let harness = Harness::new();
        for body in bodies {
            let left = unfinished::all(&harness.conn).unwrap();
            let app_id = Envelope::parse(body.as_bytes()).unwrap().app_id;
            let is_behind = left.iter().any(|(_, app)| **app == *app_id);
            let posted = post_behind(&harness.conn, body, NOON, TINY, is_behind);
            let is_undecided = matches!(posted, Posted::Undecided);
            if is_undecided || left.len() >= most {
                large::finish_all(&harness.conn).unwrap();
            }
            if is_undecided {
                undecided += 1;
                post(&harness.conn, body, NOON, TINY);
            }
        }
        large::finish_all(&harness.conn).unwrap();
        assert_same(&state(&whole), &state(&harness), &format!("{claim}, up to {most} behind each other"));
    }
    assert!(undecided < bodies.len(), "{claim}: only equal bodies without a time have to wait");
}

#[test]
fn events_behind_a_large_one_end_in_the_tables_of_events_that_were_folded_at_once() {
    let bodies: Vec<String> = fixtures().into_iter().map(|(_, body)| body).collect();
    let twice: Vec<String> = bodies.iter().chain(bodies.iter().rev()).cloned().collect();
    behind(&twice, "all triggers");
    for name in std::fs::read_dir("fixtures/stories").unwrap().map(|entry| entry.unwrap()) {
        if name.path().is_dir() {
            let name = name.file_name().into_string().unwrap();
            behind(&story(&name), &name);
        }
    }
}

#[test]
fn tables_made_anew_hold_each_event_that_was_unfinished_once() {
    let bodies: Vec<String> = fixtures().into_iter().map(|(_, body)| body).collect();
    let whole = Harness::new();
    for body in &bodies {
        whole.post(body, NOON);
    }
    let harness = Harness::new();
    post(&harness.conn, &bodies[0], NOON, TINY);
    for body in &bodies[1..] {
        if matches!(post_behind(&harness.conn, body, NOON, TINY, true), Posted::Undecided) {
            large::finish_all(&harness.conn).unwrap();
            post(&harness.conn, body, NOON, TINY);
        }
    }
    assert!(!unfinished::all(&harness.conn).unwrap().is_empty());
    harness.rebuild();
    large::finish_all(&harness.conn).unwrap();
    assert_same(&state(&whole), &state(&harness), "made anew");
}

/// What came before, and the large event.
fn cases() -> Vec<(&'static str, Vec<String>, String)> {
    let joined = || members("group_member_added", 0..20, Some(SECOND - 600));
    vec![
        ("added to a new group", vec![], members("group_member_added", 0..20, Some(SECOND))),
        ("added, no time told", vec![joined()], members("group_member_added", 10..30, None)),
        ("kicked", vec![joined()], members("group_member_kicked", 5..25, Some(SECOND))),
        ("created anew", vec![joined(), members("group_member_left", 15..20, None)], created(SECOND - 60)),
        ("created anew within a minute", vec![joined(), created(SECOND - 640)], created(SECOND - 595)),
        ("blocked", vec![blocks("user_blocked", 0..5)], blocks("user_blocked", 0..20)),
        ("unblocked", vec![blocks("user_blocked", 0..20)], blocks("user_unblocked", 5..15)),
        ("sent", vec![], message("message_sent", "hello", 0..20)),
        ("edited", vec![message("message_sent", "hello", 0..20)], message("message_edited", "bye", 10..30)),
    ]
}

#[test]
fn a_stop_after_each_piece_of_a_large_event_ends_in_the_same_tables() {
    for at in [NOON, READ_AT] {
        for (claim, before, large) in cases() {
            let limits = Limits { piece: 6, ..TINY };
            let begun = Harness::new();
            for body in &before {
                begun.post(body, at);
            }
            let whole = Harness::copy_of(&begun.path());
            whole.post(&large, at);
            for after in 0.. {
                let harness = Harness::copy_of(&begun.path());
                let Posted::Unfinished(seq) = post(&harness.conn, &large, at, limits) else { panic!("{claim}") };
                let (finished, _) = save(&harness, seq, after, limits);
                // A second process may be stopped, too.
                if finished.is_none() {
                    save(&harness, seq, 1, limits);
                }
                large::finish_all(&harness.conn).unwrap();
                assert_same(&state(&whole), &state(&harness), &format!("{claim}, stopped after {after} pieces"));
                if finished.is_some() {
                    assert!(after > 3, "{claim}: {after} pieces");
                    break;
                }
            }
        }
    }
}

#[test]
fn no_piece_but_the_last_saves_more_rows_than_it_may_and_the_last_few_more() {
    let harness = Harness::new();
    harness.post(&members("group_member_added", 0..3_000, Some(SECOND - 600)), NOON);
    for body in [
        members("group_member_kicked", 0..4_000, Some(SECOND - 300)),
        created(SECOND - 200),
        blocks("user_blocked", 0..4_000),
        message("message_sent", "hello", 0..4_000),
        message("message_edited", "bye", 0..0),
        another(&message("message_sent", "hello", 0..4_000)),
        another(&message("message_pinned", "bye", 0..0)),
    ] {
        let limits = Limits::default();
        let Posted::Unfinished(seq) = post(&harness.conn, &body, NOON, limits) else { panic!("{}", &body[..99]) };
        let (saved, rows) = save(&harness, seq, usize::MAX, limits);
        assert_eq!(saved, Some(Appended { seq, outcome: Outcome::Applied, duplicate: false }));
        assert!(rows < limits.piece as u64 + 50, "{rows} rows: {}", &body[..99]);
    }
}

#[test]
fn what_is_folded_at_once_changes_a_few_times_as_many_rows_as_a_piece_at_most() {
    let (harness, limits) = (Harness::new(), Limits::default());
    // One comma each.
    let crowd = |n: u32| {
        let members: Map<_, _> = (0..n).map(|n| (format!("u{n}"), json!({ "uid": format!("u{n}") }))).collect();
        event("group_member_added", &json!({ "group": { "guid": "g", "updatedAt": SECOND }, "members": members }))
    };
    let mut most = 0;
    for n in (100..).step_by(100) {
        let before = harness.conn.total_changes();
        if let Posted::Unfinished(seq) = post(&harness.conn, &crowd(n), NOON, limits) {
            save(&harness, seq, usize::MAX, limits);
            break;
        }
        most = harness.conn.total_changes() - before;
    }
    assert!((1..4 * limits.piece as u64).contains(&most), "{most} rows");
}

#[test]
fn what_names_few_is_folded_at_once() {
    let harness = Harness::new();
    let limits = Limits::default();
    let text = "word, ".repeat(1_000);
    for body in [
        members("group_member_added", 0..100, Some(SECOND - 600)),
        created(SECOND - 60),
        message("message_sent", &text, 0..100),
    ] {
        assert!(matches!(post(&harness.conn, &body, NOON, limits), Posted::Done(_)));
    }
}

#[test]
fn an_app_keeps_its_number_while_its_first_event_is_unfinished() {
    let harness = Harness::new();
    let Posted::Unfinished(seq) = post(&harness.conn, &message("message_sent", "hello", 0..5), NOON, TINY) else {
        panic!("not large")
    };
    harness.forget();
    harness.post(&message("message_sent", "other", 0..1).replace(r#""appId":"a""#, r#""appId":"b""#), NOON);
    save(&harness, seq, usize::MAX, TINY);
    assert_eq!(harness.ask("SELECT app_id, number FROM app_numbers"), "a|1\nb|2");
}

#[test]
fn an_unfinished_event_is_no_position_that_readers_are_told() {
    let harness = Harness::new();
    harness.post(&members("group_member_added", 0..2, Some(SECOND - 600)), NOON);
    let kicked = members("group_member_kicked", 0..2, Some(SECOND));
    let Posted::Unfinished(seq) = post(&harness.conn, &kicked, NOON, TINY) else { panic!("not large") };
    assert_eq!((seq, harness.data("{status{seq}}")["status"]["seq"].as_str()), (2, Some("1")));
    let api = Api::open(&harness.path(), ApiLimits::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The follower as it would be after a restart: nothing is known of it but its position.
    let changes = |follower: &mut Arc<Follower>| {
        *follower = api.follow(follower.position());
        let next = api.next_events(Some("a".to_owned()), ChangeFilter::default(), Caller::default(), follower);
        runtime.block_on(next).items.iter().map(|change| change.seq).collect::<Vec<i64>>()
    };
    let mut followers = [None, Some(1), Some(3)].map(|after| api.follow(after));
    let other = kicked.replace(r#""appId":"a""#, r#""appId":"b""#);
    harness.forget();
    harness.post(&other, NOON);
    let none: Vec<i64> = Vec::new();
    assert_eq!(followers.each_mut().map(changes), [none.clone(), none.clone(), none.clone()], "it is not told");
    assert_eq!(harness.data("{status{seq}}")["status"]["seq"].as_str(), Some("3"), "other apps go on");
    let error =
        chatfold::rebuild::verify(&harness.path(), &harness.conn, &harness.dir.path().join("early.db"), &mut |_| {})
            .unwrap_err();
    assert!(error.to_string().contains("the large event 2 is saved in part"), "{error}");
    large::finish_all(&harness.conn).unwrap();
    assert!(unfinished::all(&harness.conn).unwrap().is_empty());
    assert_eq!(followers.each_mut().map(changes), [vec![2], vec![2], none], "it is told once it is finished");
}
