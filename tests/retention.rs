//! Old events are cut from the log, the tables keep what they say of the present, and the log that is left folds to them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use chatfold::envelope::Envelope;
use chatfold::ids::{Outcome, Time};
use chatfold::log::Appended;
use chatfold::rebuild::Host;
use chatfold::retention::{self, Report, Rules};
use chatfold::store::sqlite;
use harness::{Harness, NOON, assert_same};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::{TestServer, chatfold, verified};

const APP: &str = "shop";
const HOUR: i64 = 3_600_000;
const PEOPLE: [&str; 4] = ["ann", "bob", "cem", "d/e"];

/// Numbers that a seed draws.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }
}

fn body(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": APP, "region": "eu", "webhook": "one", "data": data }).to_string()
}

/// A person comes or goes.
fn presence(uid: &str, at: i64, online: bool, connected_at: i64) -> String {
    let action = if online { "connected" } else { "disconnected" };
    let data = json!({
        "timestamp": at,
        "user": { "uid": uid, "name": format!("{uid} {}", at / HOUR), "lastActiveAt": at / 1_000 },
        "status": if online { "online" } else { "offline" },
        "currentConnection": { "action": action, "platform": "web", "connectedAt": connected_at },
        "userPresenceChanged": true,
    });
    body("user_connection_status_changed", &data)
}

/// An event that fills no tables.
fn ignored(n: i64, text: &str) -> String {
    body("user_saw_a_comet", &json!({ "n": n, "text": text }))
}

/// A history of `hours`, in the order in which it happened: when each event happened, and its body.
fn history(seed: u64, hours: i64) -> Vec<(i64, String)> {
    let mut dice = Dice::new(seed);
    let mut since = [0; PEOPLE.len()];
    let mut all = Vec::new();
    for n in 0..hours * 3 {
        let at = NOON + n * HOUR / 3 + dice.below(60_000) as i64;
        let who = dice.below(PEOPLE.len() as u64) as usize;
        let uid = PEOPLE[who];
        let was = std::mem::take(&mut since[who]);
        all.push((at, match dice.below(12) {
            0 => ignored(n, "seen"),
            1 => {
                let message = json!({ "id": n.to_string(), "sender": uid, "receiverType": "group", "receiver": "night",
                    "category": "message", "type": "text", "sentAt": at / 1_000, "data": { "text": "hi", "entities": {
                        "sender": { "entityType": "user", "entity": { "uid": uid, "name": "as a sender", "updatedAt": at / 1_000 } } } } });
                body("message_sent", &json!({ "message": message }))
            }
            2 => body("user_connection_status_changed", &json!({ "timestamp": at, "user": { "uid": uid, "role": "guest" },
                "status": "offline", "userPresenceChanged": false })),
            // Equal snapshots of an older profile.
            3 => body("user_connection_status_changed", &json!({ "timestamp": at, "status": "online",
                "user": { "uid": uid, "avatar": "a.png", "updatedAt": NOON / 1_000, "lastActiveAt": NOON / 1_000 } })),
            // No beginning is told.
            4 => presence(uid, at, dice.below(2) == 0, 0),
            5 => body("user_connection_status_change", &json!({
                "user": { "uid": uid, "status": "available", "status_updated_at": at / 1_000 },
                "event": { "type": "connected", "event_for": { "platform": "ios", "connected_at": at / 1_000 } } })),
            _ if was == 0 => {
                since[who] = at;
                presence(uid, at, true, at)
            }
            _ => presence(uid, at, false, was),
        }));
    }
    all
}

/// Posts a history, each delivery somewhat late, some twice, some long after.
fn post(harness: &Harness, seed: u64, history: &[(i64, String)]) {
    let mut dice = Dice::new(seed);
    let mut deliveries = Vec::new();
    for (at, body) in history {
        let late = if dice.below(10) == 0 { 5 * HOUR } else { 9_000 };
        deliveries.push((at + dice.below(late as u64) as i64, body));
        if dice.below(6) == 0 {
            deliveries.push((at + 11_000 + dice.below(30_000) as i64, body));
        }
    }
    deliveries.sort();
    for (at, body) in deliveries {
        harness.post(body, at);
    }
}

fn cut(harness: &Harness, hours: u64) -> Report {
    let age = Some(Duration::from_secs(hours * 3_600));
    let host = Host::alone(sqlite::open_writer(&harness.path()).unwrap());
    let rules = Rules { ignored: age, presence: age, ..Rules::default() };
    let now = Time(harness::READ_AT);
    let report = retention::cut(&harness.path(), &host, rules, now, &AtomicBool::new(false), &mut |_| {}).unwrap();
    host.finish().unwrap();
    harness.forget();
    report
}

fn cut_of(report: &Report) -> u64 {
    report.lines.iter().map(|line| line.events).sum()
}

/// The tables without what a cut changes: which events there are, and connections that ended before the horizon.
fn of_the_present(harness: &Harness) -> String {
    let tables = harness.tables();
    let tables = tables.split("# ").filter(|table| {
        ["event_refs", "connections", "horizons", "apps"].iter().all(|name| !table.starts_with(&format!("{name}\n")))
    });
    tables.collect()
}

const CONNECTIONS: &str =
    "SELECT uid, platform, connected_at, open, seen_at, hex(registers) FROM connections ORDER BY 1, 2, 3";

#[test]
fn the_log_that_is_left_folds_to_the_tables_and_these_say_the_same_of_the_present() {
    for seed in 1..=8 {
        let harness = Harness::new();
        post(&harness, seed, &history(seed, 40));
        let (before, connections) = (of_the_present(&harness), harness.ask(CONNECTIONS));
        let events: u64 = harness.ask("SELECT count(*) FROM events").parse().unwrap();
        let hours = 1 + seed * 4;
        let report = cut(&harness, hours);
        assert!(cut_of(&report) > 0, "seed {seed}: {report:?}");
        let left: u64 = harness.ask("SELECT count(*) FROM events WHERE trigger NOT LIKE 'chatfold.%'").parse().unwrap();
        assert_eq!(events - left, cut_of(&report), "seed {seed}");
        assert_same(&before, &of_the_present(&harness), &format!("seed {seed}"));
        let known = harness.ask(CONNECTIONS);
        assert!(known.lines().all(|row| connections.lines().any(|it| it == row)), "seed {seed}: {known}");
        let before = report.lines[0].before.0;
        let old = "SELECT count(*) FROM connections WHERE seen_at > ";
        assert_eq!(
            harness.ask(&format!("{old}{before}")),
            connections
                .lines()
                .filter(|row| row.split('|').nth(4).unwrap().parse::<i64>().unwrap() > before)
                .count()
                .to_string()
        );
        let tables = harness.tables();
        assert!(harness.verify().is_clean(), "seed {seed}: {:#?}", harness.verify());
        harness.rebuild();
        assert_same(&tables, &harness.tables(), &format!("seed {seed}: rebuilt"));
        assert!(harness.explain_all(&format!("seed {seed}")) > 0);
        assert_eq!(cut_of(&cut(&harness, hours)), 0, "seed {seed}: once more");
    }
}

#[test]
fn every_order_of_what_arrives_after_a_cut_gives_the_same_tables() {
    for seed in 1..=4 {
        let all = history(seed, 40);
        let (early, late): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(at, _)| at % 3 != 0);
        let early: Vec<_> = early.into_iter().map(|(_, it)| it).collect();
        let mut late: Vec<_> = late.into_iter().map(|(_, it)| it).filter(|(_, body)| !body.contains("comet")).collect();
        let mut first = None;
        for order in 0..4 {
            let harness = Harness::new();
            post(&harness, seed, &early);
            assert!(cut_of(&cut(&harness, 12)) > 0);
            let mut dice = Dice::new(seed * 100 + order);
            for at in (1..late.len()).rev() {
                late.swap(at, dice.below(at as u64 + 1) as usize);
            }
            for (n, (_, body)) in late.iter().enumerate() {
                harness.post(body, NOON + 50 * HOUR + n as i64 * 1_000);
            }
            let tables = harness.truth();
            let expected = first.get_or_insert_with(|| tables.clone());
            assert_same(expected, &tables, &format!("seed {seed}, order {order}"));
        }
    }
}

#[test]
fn a_delivery_older_than_the_horizon_changes_nothing_and_says_so() {
    let harness = Harness::new();
    let (came, went) = (presence("ann", NOON, true, NOON), presence("ann", NOON + 1_000, false, NOON));
    harness.post(&presence("cem", NOON - HOUR, true, NOON - HOUR), NOON - HOUR);
    harness.post(&came, NOON);
    harness.post(&went, NOON + 1_000);
    harness.post(&presence("ann", NOON + 90 * HOUR, false, NOON + 89 * HOUR), NOON + 90 * HOUR);
    assert_eq!(cut_of(&cut(&harness, 24)), 2);
    let tables = of_the_present(&harness);
    let newest: i64 = harness.ask("SELECT max(seq) FROM events").parse().unwrap();
    let news = presence("bob", NOON + 2_000, true, NOON);
    for (late, body) in [&went, &news].into_iter().enumerate() {
        let Appended { seq, outcome, duplicate } = harness.post(body, NOON + 91 * HOUR + late as i64);
        assert_eq!((outcome, duplicate, seq > newest), (Outcome::Ignored, false, true), "{body}");
    }
    assert_same(&tables, &of_the_present(&harness), "late deliveries");
    let reasons = harness.ask("SELECT reason FROM events WHERE outcome = 'ignored'");
    assert!(reasons.lines().all(|reason| reason.contains("up to which events about presence were cut")), "{reasons}");
    assert_eq!(harness.ask("SELECT count(*) FROM event_refs WHERE key = 'bob'"), "0");
    assert_eq!(
        harness.post(&presence("bob", NOON + 91 * HOUR, true, NOON), NOON + 92 * HOUR).outcome,
        Outcome::Applied
    );
    harness.rebuild();
    assert_eq!(harness.ask("SELECT count(*) FROM events WHERE outcome = 'ignored'"), "2");
}

#[test]
fn a_copy_of_a_cut_event_that_fills_no_tables_is_a_duplicate() {
    let harness = Harness::new();
    harness.post(&presence("ann", NOON, true, NOON), NOON);
    let seq = harness.post(&ignored(1, "old"), NOON + 1_000).seq;
    harness.post(&presence("ann", NOON + 90 * HOUR, true, NOON), NOON + 90 * HOUR);
    cut(&harness, 24);
    assert_eq!(harness.ask("SELECT count(*) FROM events WHERE trigger = 'user_saw_a_comet'"), "0");
    let copy = harness.post(&ignored(1, "old"), NOON + 91 * HOUR);
    assert_eq!((copy.seq, copy.duplicate, copy.outcome), (seq, true, Outcome::Ignored));
    assert!(harness.ingest([ignored(1, "old").as_str()])[0].duplicate);
    assert!(!harness.post(&ignored(2, "old"), NOON + 91 * HOUR).duplicate);
    assert_eq!(harness.ask("SELECT count(*) FROM events WHERE trigger = 'user_saw_a_comet'"), "1");
}

#[test]
fn a_log_position_is_given_once_also_after_a_cut() {
    let harness = Harness::new();
    harness.post(&presence("ann", NOON, true, NOON), NOON);
    harness.post(&presence("ann", NOON + 90 * HOUR, true, NOON), NOON + 90 * HOUR);
    harness.post(&ignored(1, "old"), NOON + 1_000);
    let mut newest = 0;
    for again in 0..3 {
        harness.post(&ignored(1, "old"), NOON + 2_000 + again);
        newest = harness.ask("SELECT max(position) FROM deliveries").parse::<i64>().unwrap();
    }
    cut(&harness, 24);
    assert_eq!(harness.ask("SELECT count(*) FROM deliveries"), "0");
    assert!(harness.post(&ignored(2, "new"), NOON + 91 * HOUR).seq > newest);
}

/// A status without a connection.
fn status(uid: &str, at: i64, name: Option<&str>) -> String {
    let user = name.map_or_else(|| json!({ "uid": uid }), |name| json!({ "uid": uid, "name": name }));
    body("user_connection_status_changed", &json!({ "timestamp": at, "user": user, "status": "offline" }))
}

#[test]
fn an_event_that_a_feed_dated_value_stands_on_stays() {
    let harness = Harness::new();
    harness.post(&presence("bob", NOON - HOUR, true, NOON), NOON);
    // Old bodies: the name told with the addition has no time, and is not older than the name that was known.
    let added = json!({ "group": { "guid": "g" }, "members": { "ann": { "uid": "ann", "name": "c" } } });
    let old =
        [status("ann", NOON, Some("a")), status("ann", NOON + HOUR, Some("b")), body("group_member_added", &added)];
    harness.ingest_lines((0..).zip(&old).map(|(n, body)| (body.as_str(), Some(harness::READ_AT - HOUR + n))));
    harness.post(&status("ann", NOON + 90 * HOUR, None), NOON + 90 * HOUR);
    let before = of_the_present(&harness);
    assert_eq!(harness.ask("SELECT name FROM users WHERE uid = 'ann'"), "c");
    assert_eq!(cut_of(&cut(&harness, 24)), 1);
    assert_same(&before, &of_the_present(&harness), "a name of a feed");
}

#[test]
fn all_events_about_the_presence_of_a_person_stay_if_one_of_them_tells_no_time() {
    let harness = Harness::new();
    harness.post(&presence("bob", NOON - HOUR, true, NOON), NOON);
    let untold = body("user_connection_status_changed", &json!({ "user": { "uid": "ann" }, "status": "online" }));
    for (hours, body) in (0..).zip([status("ann", NOON, None), status("ann", NOON + HOUR, None), untold]) {
        harness.post(&body, NOON + hours * HOUR);
    }
    harness.post(&status("ann", NOON + 90 * HOUR, None), NOON + 90 * HOUR);
    cut(&harness, 24);
    assert_eq!(harness.ask("SELECT count(*) FROM event_refs WHERE kind = 'presence' AND key = 'ann'"), "4");
}

#[test]
fn own_events_and_dead_letters_stay() {
    let harness = Harness::new();
    harness.post(&presence("ann", NOON, true, NOON), NOON);
    harness.post(&json!({ "trigger": "chatfold.user_erased", "appId": APP, "data": {} }).to_string(), NOON + 500);
    harness.post(&body("group_updated", &json!([])), NOON + 700);
    harness.post(&ignored(1, "x"), NOON + 1_000);
    harness.post(&presence("ann", NOON + 90 * HOUR, true, NOON), NOON + 90 * HOUR);
    let envelope = Envelope::parse(ignored(1, "x").as_bytes()).unwrap();
    assert_eq!(envelope.outcome, Outcome::Ignored);
    cut(&harness, 24);
    let kept = harness.ask("SELECT trigger FROM events WHERE trigger NOT LIKE 'user_c%' ORDER BY 1");
    assert_eq!(kept, "chatfold.retention\nchatfold.user_erased\ngroup_updated");
}

const CANARY: &str = "canary-of-a-cut-body";

fn has_canary(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
    };
    files.filter(holds).map(|path| path.display().to_string()).collect()
}

/// Posts what is old, and something of now.
fn tell_old(server: &TestServer, now: i64) {
    let old = now - 400 * 24 * HOUR;
    assert_eq!(server.deliver(presence("ann", old, true, old)).status, 200);
    for n in 0..400 {
        let text = format!("{CANARY} {}", "x".repeat(3_000));
        let campaign = json!({ "id": n, "text": text, "completedAt": (old + n) / 1_000 });
        assert_eq!(server.deliver(body("after_campaign_completed", &campaign)).status, 200);
        // Rows that stay, and share their pages with rows that go.
        if n % 8 == 0 {
            assert_eq!(server.deliver(presence(&format!("person {n}"), now - n * HOUR, true, now)).status, 200);
            let small = json!({ "id": n, "text": CANARY, "completedAt": (old + n) / 1_000 });
            assert_eq!(server.deliver(body("after_campaign_failed", &small)).status, 200);
        }
    }
    assert_eq!(server.deliver(presence("ann", now, true, now)).status, 200);
}

#[test]
fn a_running_server_cuts_when_asked_gives_the_space_back_and_no_byte_stays() {
    let server = TestServer::with("[retention]\nignored = \"90d\"\n");
    let now = chatfold::clock::now().0;
    tell_old(&server, now);
    let (dir, db) = (server.dir(), server.db());
    let db_arg = db.to_str().unwrap();
    let (code, out, err) = chatfold(&["retention", "--db", db_arg, "--retention-ignored", "90d", "--json"]);
    assert_eq!(code, 0, "{err}");
    let planned: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(planned["lines"][0]["events"], 450);
    assert!(!has_canary(dir.path()).is_empty(), "a report changes nothing");
    let (code, out, err) = chatfold(&["retention", "--db", db_arg, "--apply", "--json"]);
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["lines"], planned["lines"]);
    assert_eq!(report["walIsEmpty"], true);
    assert_eq!(has_canary(dir.path()), [""; 0]);
    let returned = report["bytesBefore"].as_i64().unwrap() - report["bytesAfter"].as_i64().unwrap();
    assert!(returned > 1_200_000, "{report}");
    assert_eq!(std::fs::metadata(&db).unwrap().len().cast_signed(), report["bytesAfter"].as_i64().unwrap());
    assert_eq!(server.deliver(presence("ann", now + 1_000, false, now)).status, 200);
    verified(&db);
    let (_, out, _) = chatfold(&["inspect", "--db", db_arg]);
    assert!(out.contains("ignored"), "{out}");
}

#[test]
fn nothing_is_cut_without_the_setting() {
    let server = TestServer::start();
    tell_old(&server, chatfold::clock::now().0);
    let db = server.db();
    for args in [&["retention", "--apply"][..], &["retention"]] {
        let (code, _, err) = chatfold(&[args, &["--db", db.to_str().unwrap()]].concat());
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("says how old events may get"), "{err}");
    }
    assert_eq!(has_canary(server.dir().path()).len(), 1);
}

#[test]
fn ages_and_nodes_are_checked_at_the_start() {
    for (args, problem) in [
        (&["--retention-ignored", "12h"][..], "expected days, from 1d to 3660d"),
        (&["--retention-presence", "0d"], "expected days, from 1d to 3660d"),
        (&["--retention-presence", "90d", "--log", "postgres://localhost/x"], "the log of this node is PostgreSQL's"),
        (&["--retention-message", "90d", "--log", "postgres://localhost/x"], "the log of this node is PostgreSQL's"),
        (&["--retention-call", "90d", "--log", "postgres://localhost/x"], "the log of this node is PostgreSQL's"),
    ] {
        let (code, _, err) = chatfold(&[&["config"], args].concat());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(problem), "{err}");
    }
}
