//! A time that no payload tells is marked, gives way to a told one, and is no part of the state hash.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::store::sqlite::state::of_file;
use harness::{Harness, NOON};
use serde_json::json;

const SECOND: i64 = NOON / 1000;

fn event(trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{data}}}"#)
}

/// Moderation of message 7 failed, so many seconds after noon.
fn failed(at: Option<i64>, why: &str) -> String {
    let at = at.map(|at| format!(r#""completedAt":{},"#, SECOND + at)).unwrap_or_default();
    let data = format!(r#"{{{at}"resource":{{"id":"7"}},"failures":[{{"errorMessage":"{why}"}}]}}"#);
    event("moderation_engine_failed", &data)
}

/// Bob's reaction to message 7.
fn reaction(verb: &str, id: Option<u8>, emoji: &str, at: Option<i64>) -> String {
    let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
    let at = at.map(|at| format!(r#""reactedAt":{},"#, SECOND + at)).unwrap_or_default();
    let data = format!(r#"{{"reaction":{{{id}{at}"messageId":"7","reaction":"{emoji}","uid":"bob"}}}}"#);
    event(&format!("message_reaction_{verb}"), &data)
}

/// Bob's presence flips. `more` tells apart what says the same otherwise.
fn presence(status: &str, at: Option<i64>, more: &str) -> String {
    let at = at.map(|at| format!(r#""timestamp":{},"#, NOON + at * 1000)).unwrap_or_default();
    let data = format!(r#"{{{at}"user":{{"uid":"bob"}},"status":"{status}","userPresenceChanged":true{more}}}"#);
    event("user_connection_status_changed", &data)
}

fn connection(action: &str) -> String {
    format!(r#","currentConnection":{{"action":"{action}","platform":"web","connectedAt":{NOON}}}"#)
}

/// The deliveries arrive one after another, the first so many milliseconds after noon.
fn heard<'a>(bodies: impl IntoIterator<Item = &'a String>, first: i64) -> Harness {
    let harness = Harness::new();
    for (at, body) in (NOON + first..).step_by(1_000).zip(bodies) {
        harness.post(body, at);
    }
    harness
}

/// Every order of the bodies.
fn orders(bodies: &[String]) -> Vec<Vec<String>> {
    if bodies.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let mut others = bodies.to_vec();
        let first = others.remove(at);
        orders(&others).into_iter().map(move |rest| [vec![first.clone()], rest].concat())
    };
    (0..bodies.len()).flat_map(first).collect()
}

/// In every order and at whatever times the bodies arrive, the tables say the same, and `sql` answers so.
fn agree(bodies: &[String], sql: &str, answer: &str) {
    let mut hashes = Vec::new();
    for order in orders(bodies) {
        for first in [1_000, 100_000] {
            let harness = heard(&order, first);
            assert_eq!(harness.ask(sql), answer, "{first}: {order:#?}");
            harness.explain_all("times told and times of arrival");
            hashes.push((of_file(&harness.conn).unwrap().total, order.clone(), first));
        }
    }
    for (hash, order, first) in &hashes {
        assert_eq!(*hash, hashes[0].0, "{first}: {order:#?}");
    }
}

/// In one order, the hash is the same whenever the bodies arrive.
fn whenever(bodies: &[String]) {
    let hash = |first| of_file(&heard(bodies, first).conn).unwrap().total;
    assert_eq!(hash(1_000), hash(100_000), "{bodies:#?}");
}

#[test]
fn failure_of_moderation_without_a_time_is_marked() {
    let harness = heard(&[failed(None, "slow")], 5_400);
    let known = "SELECT failed_at - 1767614400000, failed_at_from, failure FROM moderation";
    assert_eq!(harness.ask(known), "5000|arrival|slow");
    assert_eq!(harness.ask("SELECT failed_at, failed_at_from FROM v_moderation"), "2026-01-05T12:00:05.000Z|arrival");
    let told = r#"{message(messageId:"7"){moderation{failedAt failedAtFrom failure}}}"#;
    let moderation = json!({"failedAt": "2026-01-05T12:00:05Z", "failedAtFrom": "ARRIVAL", "failure": "slow"});
    assert_eq!(harness.data(told)["message"]["moderation"], moderation);
}

#[test]
fn failure_of_moderation_says_the_same_in_whatever_order_and_whenever_it_arrives() {
    let known = "SELECT failed_at / 1000 - 1767614400, failed_at_from, failure FROM moderation";
    agree(&[failed(None, "slow"), failed(Some(20), "down"), failed(Some(10), "lost")], known, "20|told|down");
    whenever(&[failed(None, "slow"), failed(None, "down")]);
}

#[test]
fn reaction_without_a_time_is_marked() {
    let harness = heard(&[reaction("added", Some(1), "x", None)], 5_400);
    assert_eq!(harness.ask("SELECT reacted_at - 1767614400000, reacted_at_from FROM reactions"), "5000|arrival");
    let seen = "SELECT reacted_at, reacted_at_from FROM v_reactions";
    assert_eq!(harness.ask(seen), "2026-01-05T12:00:05.000Z|arrival");
    harness.post(&reaction("removed", Some(1), "x", None), NOON + 9_000);
    assert_eq!(harness.ask("SELECT reacted_at, reacted_at_from FROM reactions"), "null|null");
}

#[test]
fn reaction_says_the_same_in_whatever_order_and_whenever_it_arrives() {
    let known = "SELECT reacted_at / 1000 - 1767614400, reacted_at_from FROM reactions";
    let one = |at| reaction("added", Some(1), "x", at);
    agree(&[one(None), one(Some(60)), one(Some(80))], known, "60|told");
    let two = [reaction("added", Some(2), "x", None), reaction("removed", Some(2), "x", None)];
    agree(&[one(Some(60)), two[0].clone(), two[1].clone()], known, "60|told");
    whenever(&[reaction("added", None, "x", None), one(None)]);
    whenever(&[reaction("added", None, "x", None), reaction("removed", None, "x", None)]);
}

#[test]
fn emoji_is_shown_as_first_told_whenever_a_spelling_without_a_time_arrives() {
    let (plain, styled) = ("\u{1f44d}", "\u{1f44d}\u{fe0f}");
    let bodies = [reaction("added", Some(1), plain, None), reaction("added", Some(2), styled, Some(60))];
    let seen = "SELECT reaction, substr(reacted_at, 15, 5), reacted_at_from FROM v_reactions";
    agree(&bodies, seen, &format!("{styled}|01:00|told"));
}

#[test]
fn an_arrival_dates_an_emoji_before_a_feed_does() {
    let (plain, styled) = ("\u{1f44d}", "\u{1f44d}\u{fe0f}");
    let bodies = [reaction("added", Some(1), plain, None), reaction("added", Some(2), styled, None)];
    let harness = heard(&bodies, 5_400);
    let replayed = "UPDATE reactions SET reacted_at_from = 'feed', reacted_at = 1767614400000 WHERE reaction = ";
    harness.ask("BEGIN");
    harness.ask(&format!("{replayed}'{plain}'"));
    assert_eq!(harness.ask("SELECT substr(reacted_at, 15, 5), reacted_at_from FROM v_reactions"), "00:06|arrival");
    harness.ask("ROLLBACK");
}

#[test]
fn presence_without_a_time_is_marked() {
    let harness = heard(&[presence("online", None, "")], 5_400);
    let known = "SELECT changed_at - 1767614400000, changed_at_from, last_seen_at - 1767614400000, last_seen_at_from FROM presence";
    assert_eq!(harness.ask(known), "5000|arrival|5000|arrival");
    let told = r#"{user(uid:"bob"){presence{changedAt changedAtFrom lastSeenAt lastSeenAtFrom}}}"#;
    let (at, from) = ("2026-01-05T12:00:05Z", "ARRIVAL");
    let presence = json!({"changedAt": at, "changedAtFrom": from, "lastSeenAt": at, "lastSeenAtFrom": from});
    assert_eq!(harness.data(told)["user"]["presence"], presence);
    harness.conn.execute("UPDATE presence SET online = 0", []).unwrap();
    let seen = "SELECT changed_at_from, last_seen_at_from FROM v_presence";
    assert_eq!(harness.ask(seen), "arrival|arrival");
    harness.conn.execute("UPDATE presence SET online = 1", []).unwrap();
}

#[test]
fn presence_says_the_same_in_whatever_order_and_whenever_it_arrives() {
    let known = "SELECT online, changed_at / 1000 - 1767614400, changed_at_from, last_seen_at / 1000 - 1767614400, last_seen_at_from FROM presence";
    let online = |at| presence("online", at, &connection("connected"));
    agree(&[online(None), online(Some(60)), online(Some(80))], known, "1|80|told|80|told");
    whenever(&[online(None), presence("offline", None, "")]);
    whenever(&[online(None), presence("offline", None, &connection("disconnected"))]);
    whenever(&[presence("offline", None, ""), online(None)]);
}

#[test]
fn deletion_of_a_group_is_marked() {
    let harness = heard(&[event("group_deleted", r#"{"group":{"guid":"g"}}"#)], 5_400);
    assert_eq!(harness.ask("SELECT deleted_at - 1767614400000, deleted_at_from FROM groups"), "5000|arrival");
    let group = json!({"deletedAt": "2026-01-05T12:00:05Z", "deletedAtFrom": "ARRIVAL"});
    assert_eq!(harness.data(r#"{group(guid:"g"){deletedAt deletedAtFrom}}"#)["group"], group);
}

#[test]
fn newest_of_several_arrivals_is_when_a_person_was_last_seen() {
    let harness = heard(&[presence("online", None, ""), presence("online", None, r#","n":2"#)], 5_400);
    assert_eq!(harness.ask("SELECT last_seen_at - 1767614400000, last_seen_at_from FROM presence"), "6000|arrival");
}
