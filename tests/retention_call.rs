//! Old calls and meetings are cut from the log with all that hangs on them; people, groups and what is younger stay as
//! they were.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;
#[path = "support/cuts.rs"]
mod cuts;
mod harness;
#[path = "support/messages.rs"]
mod messages;
mod support;

use calls::{ended, joined, joins, recording, rings_group, signal, started, transcript};
use chatfold::ids::{Outcome, Time};
use chatfold::retention::{Report, RetentionError, Rules};
use cuts::{cut_until, post};
use harness::{Harness, NOON, assert_same};
use messages::{Dice, HOUR, PEOPLE, body};
use serde_json::{Value, json};
use std::time::Duration;
use support::{TestServer, chatfold, verified};

const DAY: i64 = 24 * HOUR;
/// The tables of calls, each with the column by which it is known when something happened.
const OF_CALLS: [&str; 6] =
    ["call_histories", "call_facts", "call_sessions", "call_participants", "recordings", "transcripts"];

/// A history of `hours`, in the order in which it happened: when each event happened, and its body. Some session ids are
/// used again and again, and some events are not dated.
fn history(seed: u64, hours: i64) -> Vec<(i64, String)> {
    let mut dice = Dice::new(seed);
    let mut all = vec![(NOON - HOUR, body("group_created", &json!({ "group": { "guid": "night", "owner": "ann" } })))];
    for n in 0..hours * 2 {
        let at = NOON + n * HOUR / 2 + dice.below(600_000) as i64;
        let (by, to) = (dice.one_of(&PEOPLE), dice.one_of(&PEOPLE));
        let session = match dice.below(6) {
            0 => "standup".to_owned(),
            1 => format!("room {}", n / 20),
            _ => format!("v1.{n}"),
        };
        let later = |seconds: i64| at + seconds * 1_000;
        match dice.below(10) {
            0 => all.push((at, rings_group(n, &session, by, 1 + n % 3, at))),
            1 => {
                all.push((at, signal("call_initiated", n, &session, [by, to], at)));
                all.push((later(1), signal("message_sent", n, &session, [by, to], at)));
                all.push((later(30), signal("call_rejected", 10_000 + n, &session, [to, by], later(30))));
            }
            2 | 3 => {
                all.push((at, started("meeting_started", &session, at)));
                all.push((later(5), joined("meeting_participant_joined", &session, by, later(5))));
                all.push((later(900), ended("meeting_ended", &session, (at, later(900)), &[by, to])));
                all.push((later(960), recording(&session, n, later(10))));
                all.push((later(970), transcript(&session, n, later(10))));
            }
            4 => all.push((
                at,
                body("recording_generated", &json!({ "sessionId": session, "recording_url": "https://example.com/x" })),
            )),
            5 => all.push((
                at,
                body(
                    "user_connection_status_changed",
                    &json!({ "timestamp": at, "status": "online",
                "user": { "uid": by, "lastActiveAt": at / 1_000 } }),
                ),
            )),
            6 => all.push((at, joins(by, 1 + n % 4, at))),
            _ => {
                all.push((at, signal("call_initiated", n, &session, [by, to], at)));
                all.push((later(8), started("call_started", &session, later(8))));
                all.push((later(9), joined("call_participant_joined", &session, to, later(9))));
                all.push((later(300), ended("call_ended", &session, (later(8), later(300)), &[by, to])));
            }
        }
    }
    all
}

fn rules(hours: u64) -> Rules {
    Rules { call: Some(Duration::from_secs(hours * 3_600)), ..Rules::default() }
}

fn cut(harness: &Harness, hours: u64) -> Report {
    cut_until(harness, rules(hours), None).unwrap()
}

/// The rows that no cut of calls changes, and those of some session ids.
fn of_what_stays(harness: &Harness, sessions: &str) -> String {
    let tables = harness.tables();
    let changed = OF_CALLS.iter().chain(&["event_refs", "horizons", "apps"]);
    let changed: Vec<String> = changed.map(|name| format!("{name}\n")).collect();
    let mut out: String =
        tables.split("# ").filter(|table| changed.iter().all(|name| !table.starts_with(name))).collect();
    for table in OF_CALLS {
        let kept = format!("SELECT * FROM {table} WHERE session_key IN ({sessions}) ORDER BY 1, 2, 3, 4, 5");
        out += &format!("# {table}\n{}\n", harness.ask(&kept));
    }
    out
}

/// Session ids of which something was heard since a time, or of which an event is not dated.
fn that_stay(harness: &Harness, before: i64) -> String {
    let keys = harness.ask(&format!(
        "SELECT DISTINCT quote(f.session_key) FROM call_facts AS f JOIN events AS e ON e.seq = f.seq
         WHERE e.occurred_at >= {before} OR e.occurred_from <> 'told' ORDER BY 1"
    ));
    keys.lines().collect::<Vec<_>>().join(", ")
}

#[test]
fn a_cut_of_calls_leaves_the_tables_that_the_log_which_is_left_gives() {
    for seed in 1..=8 {
        let harness = Harness::new();
        post(&harness, &history(seed, 60));
        let hours = 1 + seed * 6;
        let newest: i64 = harness.ask("SELECT clock_at FROM feeds").parse().unwrap();
        let before = (newest - hours as i64 * HOUR) / 1_000 * 1_000;
        let stay = that_stay(&harness, before);
        let gone = harness.ask(&format!("SELECT count(*) FROM call_histories WHERE session_key NOT IN ({stay})"));
        let expected = of_what_stays(&harness, &stay);
        let report = cut(&harness, hours);
        assert_eq!(report.lines[0].before.0, before);
        assert_eq!(report.lines[0].sessions.to_string(), gone, "seed {seed}: {report:?}");
        assert!(report.lines[0].sessions > 0 && report.lines[0].events > 0, "seed {seed}: {report:?}");
        assert_same(&expected, &of_what_stays(&harness, &stay), &format!("seed {seed}"));
        for table in OF_CALLS {
            let left = format!("SELECT count(*) FROM {table} WHERE session_key NOT IN ({stay})");
            assert_eq!(harness.ask(&left), "0", "seed {seed}: {table}");
        }
        let refs =
            "SELECT count(*) FROM event_refs WHERE seq IN (SELECT seq FROM events WHERE trigger = 'chatfold.kept')";
        assert_eq!(harness.ask(refs), "0", "seed {seed}");
        let tables = harness.tables();
        assert!(harness.verify().is_clean(), "seed {seed}: {:#?}", harness.verify());
        harness.rebuild();
        assert_same(&tables, &harness.tables(), &format!("seed {seed}: rebuilt"));
        assert!(harness.explain_all(&format!("seed {seed}")) > 0);
        assert_eq!(cut(&harness, hours).lines, [], "seed {seed}: once more");
    }
}

#[test]
fn every_order_of_late_events_about_calls_gives_the_same_tables_as_the_log_folded_again() {
    for seed in 1..=3 {
        let (early, late): (Vec<_>, Vec<_>) =
            history(seed, 40).into_iter().enumerate().partition(|(at, _)| at % 3 != 0);
        let early: Vec<_> = early.into_iter().map(|(_, it)| it).collect();
        let is_dated = |body: &str| !body.contains("example.com/x");
        let mut late: Vec<_> = late.into_iter().map(|(_, it)| it).filter(|(_, body)| is_dated(body)).collect();
        let mut first = None;
        for order in 0..3 {
            let harness = Harness::new();
            post(&harness, &early);
            assert!(cut(&harness, 12).lines[0].events > 0);
            let mut dice = Dice::new(seed * 100 + order);
            for at in (1..late.len()).rev() {
                late.swap(at, dice.below(at as u64 + 1) as usize);
            }
            for (n, (_, body)) in late.iter().enumerate() {
                harness.post(body, NOON + 70 * HOUR + n as i64 * 1_000);
            }
            let tables = harness.truth();
            let expected = first.get_or_insert_with(|| tables.clone());
            assert_same(expected, &tables, &format!("seed {seed}, order {order}"));
            harness.rebuild();
            assert_same(&tables, &harness.truth(), &format!("seed {seed}, order {order}: rebuilt"));
            assert!(cut(&harness, 12).lines[0].events > 0, "what was refused is cut by the next run");
            assert_eq!(cut(&harness, 12).lines, []);
            assert_eq!(harness.ask("SELECT count(*) FROM events WHERE outcome = 'ignored'"), "0");
        }
    }
}

/// A call of ninety days ago, and what is told today.
fn old_and_new(harness: &Harness) {
    harness.post(&body("group_created", &json!({ "group": { "guid": "night", "owner": "ann" } })), NOON - HOUR);
    let old = [
        signal("call_initiated", 1, "old", ["ann", "bob"], NOON),
        started("call_started", "old", NOON + 8_000),
        joined("call_participant_joined", "old", "bob", NOON + 9_000),
        ended("call_ended", "old", (NOON + 8_000, NOON + 60_000), &["ann", "bob"]),
    ];
    for (n, body) in (0..).zip(&old) {
        harness.post(body, NOON + n * 10_000);
    }
    harness.post(&signal("call_initiated", 2, "new", ["cem", "bob"], NOON + 90 * DAY), NOON + 90 * DAY);
}

#[test]
fn a_call_before_the_horizon_is_gone_and_the_people_stay_as_it_described_them() {
    let harness = Harness::new();
    old_and_new(&harness);
    let people = "SELECT uid, name, metadata, tags FROM users ORDER BY uid";
    let known = harness.ask(people);
    let answer = r#"{ callSessions { totalCount nodes { sessionId } } callSession(sessionId: "old") { status } }"#;
    assert_eq!(harness.data(answer)["callSessions"]["totalCount"], 2);
    let report = cut(&harness, 24 * 30);
    assert_eq!((report.lines[0].sessions, report.lines[0].events), (1, 4), "{report:?}");
    assert_eq!(
        harness.data(answer),
        json!({ "callSessions": { "totalCount": 1, "nodes": [{ "sessionId": "new" }] }, "callSession": null })
    );
    assert_eq!(harness.ask(people), known);
    let kept = harness.ask("SELECT body FROM events WHERE trigger = 'chatfold.kept'");
    assert!(kept.contains("ann") && !kept.contains("\"old\""), "{kept}");
    assert!(harness.verify().is_clean());
}

#[test]
fn what_is_kept_of_a_call_goes_once_something_newer_tells_it() {
    let harness = Harness::new();
    old_and_new(&harness);
    cut(&harness, 24 * 30);
    let kept = "SELECT count(*) FROM events WHERE trigger = 'chatfold.kept'";
    assert_ne!(harness.ask(kept), "0");
    let at = NOON + 91 * DAY;
    harness.post(&signal("call_initiated", 3, "newer", ["ann", "bob"], at), at);
    harness.post(&signal("call_rejected", 4, "newer", ["bob", "ann"], at + 20_000), at + 20_000);
    let people = harness.ask("SELECT * FROM users ORDER BY uid");
    cut(&harness, 24 * 30);
    assert_eq!(harness.ask(kept), "0");
    assert_eq!(harness.ask("SELECT * FROM users ORDER BY uid"), people);
    assert!(harness.verify().is_clean());
}

#[test]
fn a_late_event_about_a_call_before_the_horizon_changes_nothing_and_says_so() {
    let harness = Harness::new();
    old_and_new(&harness);
    cut(&harness, 24 * 30);
    let tables = of_what_stays(&harness, "'s:new'");
    let at = NOON + 90 * DAY + HOUR;
    for late in [
        ended("call_ended", "old", (NOON + 8_000, NOON + 60_000), &["ann", "bob"]),
        signal("message_sent", 9, "older", ["dan", "bob"], NOON - DAY),
    ] {
        assert_eq!(harness.post(&late, at).outcome, Outcome::Ignored, "{late}");
    }
    assert_same(&tables, &of_what_stays(&harness, "'s:new'"), "late deliveries");
    let reasons = harness.ask("SELECT DISTINCT reason FROM events WHERE outcome = 'ignored'");
    assert!(reasons.ends_with("up to which events about call were cut"), "{reasons}");
    // The id may be used again.
    assert_eq!(harness.post(&started("meeting_started", "old", at), at).outcome, Outcome::Applied);
    let request = r#"{ callSessions { nodes { sessionId kind participants { user { uid } } } } }"#;
    assert_eq!(
        harness.data(request)["callSessions"]["nodes"][0],
        json!({ "sessionId": "old", "kind": "MEETING", "participants": [] })
    );
}

#[test]
fn a_session_id_with_an_event_of_unknown_time_stays() {
    let harness = Harness::new();
    old_and_new(&harness);
    let untold = body("recording_generated", &json!({ "sessionId": "old", "recording_url": "https://example.com/x" }));
    harness.post(&untold, NOON + 100_000);
    assert_eq!(cut(&harness, 24 * 30).lines, []);
}

#[test]
fn when_the_number_of_members_began_to_differ_is_known_after_a_cut() {
    let harness = Harness::new();
    let created = json!({ "group": { "guid": "night", "owner": "ann", "membersCount": 1, "createdAt": NOON / 1_000 },
        "members": { "ann": { "uid": "ann" } } });
    let today = NOON + 90 * DAY;
    harness.post(&body("group_created", &created), NOON);
    harness.post(&rings_group(1, "old", "ann", 7, NOON + HOUR), NOON + HOUR);
    harness.post(&rings_group(2, "new", "ann", 7, today), today);
    let drift = "SELECT drift_expected, drift_counted, drift_since FROM groups";
    let known = harness.ask(drift);
    assert_eq!(known, format!("7|1|{}", NOON + HOUR));
    assert_eq!(cut(&harness, 24 * 30).lines[0].sessions, 1);
    assert_eq!(harness.ask(drift), known);
    assert!(harness.verify().is_clean());
    harness.post(&rings_group(3, "newer", "ann", 7, today + DAY), today + DAY);
    cut(&harness, 24);
    harness.rebuild();
    assert_eq!(harness.ask(drift), known);
}

#[test]
fn the_ids_of_messages_that_announced_a_cut_call_are_no_gap() {
    let harness = Harness::new();
    old_and_new(&harness);
    harness.post(&signal("call_initiated", 6, "later", ["cem", "bob"], NOON + 90 * DAY), NOON + 90 * DAY);
    cut(&harness, 24 * 30);
    let asked = harness.ask("SELECT first, last FROM asked_ids");
    assert_eq!(asked, "1|1");
}

#[test]
fn an_age_counts_from_what_cometchat_told_also_after_a_cut() {
    let harness = Harness::new();
    let at = |days: i64| started("meeting_started", &format!("day {days}"), NOON + days * DAY);
    let lines = [at(0), at(1), at(85), at(90)];
    harness.ingest_lines(lines.iter().map(|body| (body.as_str(), Some(NOON + 400 * DAY))));
    let before = cut(&harness, 24 * 30).lines[0].before;
    assert_eq!(before, Time(NOON + 60 * DAY));
    assert_eq!(cut(&harness, 24 * 30).lines, []);
    assert_eq!(harness.ask("SELECT group_concat(session_key) FROM call_histories"), "s:day 85,s:day 90");
}

#[test]
fn a_time_far_ahead_of_its_arrival_cuts_nothing_that_is_young() {
    let harness = Harness::new();
    let at = |days: i64| started("meeting_started", &format!("day {days}"), NOON + days * DAY);
    let lines = [at(0), at(85), at(90), at(200)];
    harness.ingest_lines(lines.iter().map(|body| (body.as_str(), Some(NOON + 91 * DAY))));
    assert_eq!(cut(&harness, 24 * 30).lines[0].before, Time(NOON + 60 * DAY));
    assert_eq!(harness.ask("SELECT count(*) FROM call_histories"), "3");
}

#[test]
fn a_cut_that_is_stopped_leaves_no_half_of_a_call() {
    let harness = Harness::new();
    for session in 0..3 {
        let at = NOON + session * HOUR;
        harness.post(&started("meeting_started", &format!("room {session}"), at), at);
        for n in 0..70 {
            let at = at + n * 2_000;
            harness.post(&joined("meeting_participant_joined", &format!("room {session}"), &format!("p{n}"), at), at);
        }
    }
    harness.post(&started("meeting_started", "today", NOON + 90 * DAY), NOON + 90 * DAY);
    assert!(matches!(cut_until(&harness, rules(24), Some(1)), Err(RetentionError::Stopped)));
    assert_eq!(
        harness.ask("SELECT session_key, count(*) FROM call_facts GROUP BY 1"),
        "s:room 1|71\ns:room 2|71\ns:today|1"
    );
    // The row of the app depends on its first event.
    let first = harness.ask("SELECT trigger, body FROM events ORDER BY seq LIMIT 1");
    assert!(first.starts_with("chatfold.kept") && !first.contains("room 0"), "{first}");
    assert!(harness.verify().is_clean());
    assert_eq!(cut(&harness, 24).lines[0].sessions, 2);
    assert_eq!(harness.ask("SELECT count(*) FROM call_sessions"), "1");
    assert!(harness.verify().is_clean());
}

#[test]
fn a_server_that_has_a_call_in_memory_forgets_it_with_the_cut() {
    let server = TestServer::with("[retention]\ncall = \"90d\"\n");
    let now = chatfold::clock::now().0;
    let old = now - 400 * DAY;
    for (n, session) in (0..).zip(["first", "again", "again", "once"]) {
        let at = old + n * HOUR;
        assert_eq!(server.deliver(started("meeting_started", session, at)).status, 200);
        let ended = ended("meeting_ended", session, (at, at + 900_000), &["ann", "bob"]);
        assert_eq!(server.deliver(ended).status, 200);
    }
    assert_eq!(server.deliver(started("meeting_started", "today", now)).status, 200);
    let db = server.db();
    let (code, out, err) = chatfold(&["retention", "--db", db.to_str().unwrap(), "--retention-call", "90d"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.lines().nth(1).unwrap().ends_with(" 3         0"), "{out}");
    let (code, out, err) = chatfold(&["retention", "--db", db.to_str().unwrap(), "--apply", "--json"]);
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["lines"][0]["sessions"], &report["lines"][0]["events"]), (&json!(3), &json!(8)), "{report}");
    let (code, _, err) = chatfold(&["explain", "call:once", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains("Session ids last heard of before"), "{err}");
    assert_eq!(server.deliver(started("meeting_started", "again", now + 1_000)).status, 200);
    let request = r#"{ callSessions(first: 5) { totalCount nodes { sessionId startedAt } } }"#;
    let request = json!({ "query": request }).to_string();
    let answer = server.post("/graphql", &[("Content-Type", "application/json")], request).json();
    let calls = &answer["data"]["callSessions"];
    assert_eq!((&calls["totalCount"], &calls["nodes"][0]["sessionId"]), (&json!(2), &json!("again")), "{calls}");
    verified(&db);
}
