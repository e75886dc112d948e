//! A rebuild repeats append and fold: what a newer chatfold understands of a delivery counts as if it had been understood
//! when the delivery came, and what append decided otherwise stays.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::envelope::Envelope;
use chatfold::ids::{Outcome, Time};
use chatfold::ingest::Ingest;
use chatfold::log::{Appended, Run, Source};
use chatfold::store::sqlite::log_file::LogFile;
use chatfold::store::sqlite::open_reader;
use chatfold::store::sqlite::state::of_file;
use harness::{Harness, NOON, READ_AT, assert_same, story};

const SECOND: i64 = NOON / 1000;

/// A membership event of ann; `at`: `group.updatedAt` in seconds after noon, if the body tells one.
fn act(trigger: &str, at: Option<i64>, extra: &str) -> String {
    let updated = at.map(|at| format!(r#","updatedAt":{}"#, SECOND + at)).unwrap_or_default();
    format!(
        r#"{{"trigger":"group_member_{trigger}","appId":"a","webhook":"w","data":{{"group":{{"guid":"g"{updated}}},"members":{{"ann":{{"uid":"ann"{extra}}}}},"by":{{"uid":"boss"}}}}}}"#
    )
}

fn blocked(verb: &str, webhook: &str) -> String {
    format!(
        r#"{{"trigger":"user_{verb}","appId":"a","webhook":"{webhook}","data":{{"users":{{"bob":{{"uid":"bob"}}}},"by":{{"uid":"ann"}}}}}}"#
    )
}

/// How a chatfold reads a body that does not know its trigger.
fn unknown(body: &str) -> Envelope {
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    Envelope { outcome: Outcome::Ignored, reason: None, told_at: None, payload: None, ..envelope }
}

/// How a chatfold reads a body of whose trigger it expects something else.
fn rejected(body: &str) -> Envelope {
    Envelope { outcome: Outcome::Rejected, reason: Some("data.x: expected an id".into()), ..unknown(body) }
}

/// How a chatfold reads a body that does not look for the time in it.
fn untimed(body: &str) -> Envelope {
    Envelope { told_at: None, ..Envelope::parse(body.as_bytes()).unwrap() }
}

fn known(body: &str) -> Envelope {
    Envelope::parse(body.as_bytes()).unwrap()
}

/// Delivers over HTTP, seconds after noon.
fn post(harness: &Harness, envelope: &Envelope, at: i64) -> Appended {
    harness.transaction(|| harness.append(envelope, Time(NOON + at * 1_000), Source::Http))
}

const LOG: &str = "SELECT seq, webhook_id, received_at, occurred_at, occurred_from, arrived_at, floor_at, deliveries,
    last_received_at, outcome, reason FROM events ORDER BY seq";
const DELIVERIES: &str =
    "SELECT position, seq, webhook_id, received_at, bare FROM deliveries WHERE position <> seq ORDER BY position";
const COUNTS: &str = "SELECT trigger, outcome, sum(n) FROM event_counts GROUP BY 1, 2 ORDER BY 1, 2";

/// After a rebuild the file holds what one holds whose chatfold understood everything at once.
#[track_caller]
fn assert_as_if_always_understood(upgraded: &Harness, expected: &Harness, claim: &str) {
    upgraded.rebuild();
    for sql in [LOG, DELIVERIES, COUNTS] {
        assert_same(&expected.ask(sql), &upgraded.ask(sql), claim);
    }
    assert_same(&expected.tables(), &upgraded.tables(), claim);
    assert_eq!(of_file(&upgraded.conn).unwrap().total, of_file(&expected.conn).unwrap().total, "{claim}");
    let again = upgraded.rebuild();
    assert_eq!((again.before, again.retried), (again.after, 0), "{claim}: a second rebuild changes nothing");
}

#[test]
fn facts_understood_after_an_upgrade_happened_when_they_tell() {
    for (claim, read) in [("unknown", unknown as fn(&str) -> Envelope), ("rejected", rejected)] {
        let (upgraded, expected) = (Harness::new(), Harness::new());
        let acts = [
            act("kicked", Some(20), ""),
            act("scope_changed", Some(12), r#","scope":"admin","oldScope":"participant""#),
            act("added", Some(10), ""),
        ];
        for (n, body) in (30..).zip(&acts) {
            post(&upgraded, &read(body), n);
            post(&expected, &known(body), n);
        }
        assert_eq!(upgraded.ask("SELECT count(*) FROM memberships"), "0", "{claim}");
        upgraded.rebuild();
        assert_eq!(upgraded.ask("SELECT state, scope FROM memberships"), "kicked|null", "{claim}: told beats given");
        assert_eq!(upgraded.ask("SELECT DISTINCT occurred_from FROM events"), "told", "{claim}");
        assert_as_if_always_understood(&upgraded, &expected, claim);
    }
}

#[test]
fn verify_tells_of_a_time_that_the_log_has_otherwise() {
    let harness = Harness::new();
    post(&harness, &known(&act("kicked", Some(20), "")), 30);
    harness.conn.execute_batch("UPDATE events SET occurred_at = occurred_at + 1").unwrap();
    let verified = harness.verify();
    let differences: Vec<&str> = verified.differences.iter().map(|it| it.table).collect();
    assert_eq!(differences, ["events"], "{verified:#?}");
    assert!(verified.differences[0].words[0].contains("its body tells that it happened at"), "{verified:#?}");
    harness.rebuild();
}

#[test]
fn equal_facts_without_a_time_are_as_many_as_there_were_once_they_are_understood() {
    let (upgraded, expected) = (Harness::new(), Harness::new());
    let acts = ["blocked", "unblocked", "blocked", "blocked", "unblocked"].map(|verb| blocked(verb, "w"));
    for (n, body) in (0..).zip(&acts[..3]) {
        post(&upgraded, &unknown(body), n * 5);
        post(&expected, &known(body), n * 5);
    }
    assert_eq!(upgraded.ask("SELECT count(*) FROM events"), "2");
    let verified = upgraded.verify();
    let words: Vec<&String> = verified.differences.iter().flat_map(|it| &it.words).collect();
    assert!(words.iter().any(|it| it.contains("3: is an event of its own")), "{words:?}");
    assert_as_if_always_understood(&upgraded, &expected, "blocked three times");
    assert_eq!(upgraded.ask("SELECT current FROM blocks"), "1");
    for (n, body) in (3..).zip(&acts[3..]) {
        let receipts = [&upgraded, &expected].map(|harness| post(harness, &known(body), n * 5));
        assert_eq!(receipts[0], receipts[1], "appending goes on alike");
    }
    assert_as_if_always_understood(&upgraded, &expected, "and went on");
}

#[test]
fn fact_between_two_equal_ones_counts_also_where_it_alone_is_understood_later() {
    let (upgraded, expected) = (Harness::new(), Harness::new());
    let acts = [act("added", None, ""), act("kicked", Some(5), ""), act("added", None, "")];
    for (n, body) in (0..).zip(&acts) {
        let read = if body.contains("kicked") { unknown } else { known };
        post(&upgraded, &read(body), n * 5);
        post(&expected, &known(body), n * 5);
    }
    assert_as_if_always_understood(&upgraded, &expected, "added, kicked, added");
    assert_eq!(upgraded.ask("SELECT state FROM memberships"), "joined");
}

#[test]
fn late_copies_of_another_webhook_are_no_facts_once_they_are_understood() {
    let (upgraded, expected) = (Harness::new(), Harness::new());
    for (webhook, from) in [("w", 0), ("other", 20)] {
        for (n, verb) in (0..).zip(["blocked", "unblocked", "blocked"]) {
            let body = blocked(verb, webhook);
            post(&upgraded, &unknown(&body), from + n * 5);
            post(&expected, &known(&body), from + n * 5);
        }
    }
    assert_as_if_always_understood(&upgraded, &expected, "two webhooks");
    assert_eq!(upgraded.ask("SELECT count(*) FROM events"), "3");
}

#[test]
fn bare_bodies_are_as_many_facts_as_in_a_file_that_is_understood_at_once() {
    let read_file = |harness: &Harness, read: fn(&str) -> Envelope, bodies: &[String]| {
        let mut run = Run::new(&harness.conn).unwrap();
        harness.transaction(|| {
            for body in bodies {
                let source = Source::Ingest { run: &mut run, bare: true };
                harness.append(&read(body), Time(READ_AT), source);
            }
        });
    };
    let mut bodies = Vec::new();
    for webhook in ["w", "other"] {
        bodies.extend(["blocked", "unblocked", "blocked", "unblocked", "blocked"].map(|verb| blocked(verb, webhook)));
    }
    let (upgraded, expected) = (Harness::new(), Harness::new());
    read_file(&upgraded, unknown, &bodies);
    read_file(&expected, known, &bodies);
    assert_eq!(expected.ask("SELECT count(*) FROM events"), "5");
    assert_as_if_always_understood(&upgraded, &expected, "a file of bare bodies");
    read_file(&upgraded, known, &bodies);
    assert_eq!(upgraded.ask("SELECT count(*) FROM events"), "5", "the file read again changes nothing");
}

#[test]
fn equal_bodies_whose_time_is_understood_later_are_one_fact() {
    let (upgraded, expected) = (Harness::new(), Harness::new());
    let acts = [act("added", Some(1), ""), act("kicked", Some(5), ""), act("added", Some(1), "")];
    for (n, body) in (2..).zip(&acts) {
        let read = if body.contains("added") { untimed } else { known };
        post(&upgraded, &read(body), n * 5);
        post(&expected, &known(body), n * 5);
    }
    assert_eq!(upgraded.ask("SELECT state FROM memberships"), "joined");
    upgraded.rebuild();
    assert_eq!(
        upgraded.ask("SELECT outcome, reason FROM events WHERE seq = 3"),
        "ignored|the same fact as event 1, as its time tells"
    );
    assert_same(&expected.tables(), &upgraded.tables(), "one fact");
    assert_eq!(upgraded.ask("SELECT state FROM memberships"), "kicked");
    assert!(upgraded.verify().is_clean());
    let again = post(&upgraded, &known(&acts[0]), 60);
    assert_eq!((again.seq, again.outcome, again.duplicate), (1, Outcome::Applied, true));
}

#[test]
fn what_was_not_told_stays_as_it_was_decided() {
    let harness = Harness::new();
    post(&harness, &known(&act("added", None, "")), 3);
    harness.conn.execute_batch("UPDATE events SET occurred_at = 7000, arrived_at = 7500").unwrap();
    harness.rebuild();
    assert_eq!(harness.ask("SELECT occurred_at, occurred_from, arrived_at FROM events"), "7000|arrival|7500");
    assert_eq!(harness.ask("SELECT at, arrived_at FROM membership_changes"), "7000|7500");
}

#[test]
fn long_log_is_repeated_in_pieces_in_the_order_of_its_positions() {
    let (upgraded, expected) = (Harness::new(), Harness::new());
    for (harness, read) in [(&upgraded, unknown as fn(&str) -> Envelope), (&expected, known)] {
        harness.transaction(|| {
            for n in 0..2_200 {
                // Between two facts of the pair are many copies, and many facts about somebody else.
                let verb = if n % 500 == 499 { "unblocked" } else { "blocked" };
                harness.append(&read(&blocked(verb, "w")), Time(NOON + n * 1_000), Source::Http);
                if n < 1_100 {
                    harness.append(&known(&act("kicked", Some(n), "")), Time(NOON + n * 1_000), Source::Http);
                }
            }
        });
    }
    assert_as_if_always_understood(&upgraded, &expected, "many deliveries");
    assert_eq!(upgraded.ask("SELECT count(*) FROM events WHERE trigger GLOB 'user_*'"), "9");
}

/// Numbers of a fixed seed: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn random_histories_end_alike_whenever_they_are_understood() {
    let rounds = std::env::var("CHATFOLD_REPEATS").map_or(8, |rounds| rounds.parse().unwrap());
    for round in 1..=rounds {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (round * 0x1000_0001));
        let (upgraded, expected) = (Harness::new(), Harness::new());
        let unknown_triggers = dice.below(31) + 1;
        let mut now = 0;
        let mut told = Vec::new();
        for _ in 0..4 + dice.below(8) {
            now += 1 + dice.below(12) as i64 * (1 + dice.below(8) as i64);
            let kind = dice.below(5);
            let webhook = ["w", "other"][usize::from(dice.below(4) == 0)];
            let body = match kind {
                0 => act("added", None, ""),
                1 => act("kicked", Some(now), ""),
                2 => act("banned", Some(now - 3), ""),
                3 => blocked("blocked", "w"),
                _ => blocked("unblocked", "w"),
            };
            told.push((kind, body));
            // Something that was told before, or the newest.
            let again = dice.below(3) == 0;
            let (kind, body) = &told[if again { dice.below(told.len() as u64) as usize } else { told.len() - 1 }];
            let body = body.replace(r#""webhook":"w""#, &format!(r#""webhook":"{webhook}""#));
            let read = if unknown_triggers >> kind & 1 == 1 { unknown } else { known };
            post(&upgraded, &read(&body), now);
            post(&expected, &known(&body), now);
        }
        assert_as_if_always_understood(&upgraded, &expected, &format!("history {round}"));
    }
}

#[test]
fn further_deliveries_are_kept_with_what_append_saw_of_them() {
    let harness = Harness::new();
    let told = act("kicked", Some(1), "");
    let add = act("added", None, "");
    let other = |body: &str| body.replace(r#""webhook":"w""#, r#""webhook":"other""#);
    for (at, body) in [(2, &told), (3, &told), (4, &other(&add)), (5, &add), (6, &told), (7, &blocked("blocked", "w"))]
    {
        harness.post(body, NOON + at * 1_000);
    }
    let rows = "SELECT position, seq, webhook_id, received_at / 1000 - 1767614400, bare, occurred_at / 1000 - 1767614400, occurred_from FROM deliveries";
    assert_eq!(harness.ask(rows), "2|1|w|3|0|null|null\n4|3|w|5|0|5|arrival\n5|1|w|6|0|null|null");
    assert_eq!(harness.ask("SELECT seq, deliveries FROM events"), "1|3\n3|2\n6|1", "positions of first deliveries");
    let before = [LOG, DELIVERIES, COUNTS].map(|sql| harness.ask(sql));
    harness.rebuild();
    assert_eq!([LOG, DELIVERIES, COUNTS].map(|sql| harness.ask(sql)), before, "a rebuild leaves them alone");
}

#[test]
fn position_is_never_given_twice_also_after_deletions() {
    for (claim, delete) in [
        ("the newest event", "DELETE FROM events WHERE seq = 3"),
        ("all events", "DELETE FROM events"),
        ("events and deliveries", "DELETE FROM events; DELETE FROM deliveries"),
    ] {
        for ingested in [false, true] {
            let harness = Harness::new();
            let acts = [act("kicked", Some(1), ""), act("kicked", Some(1), ""), act("kicked", Some(2), "")];
            if ingested {
                harness.ingest_lines(acts.iter().map(|body| (body.as_str(), Some(NOON))));
            } else {
                for body in &acts {
                    harness.post(body, NOON);
                }
            }
            harness.conn.execute_batch(delete).unwrap();
            // Who opens the file next knows of no more than it holds.
            let opened = Harness::copy_of(&harness.path());
            let next = opened.post(&act("kicked", Some(4), ""), NOON + 5_000);
            assert_eq!(next.seq, 4, "{claim}, ingested: {ingested}");
            for harness in [&harness, &opened] {
                harness.rebuild();
            }
        }
    }
}

#[test]
fn rebuild_of_a_log_that_every_way_of_delivery_made_changes_nothing() {
    let harness = Harness::new();
    let bodies = story("demo");
    let other: Vec<String> =
        bodies.iter().map(|body| body.replace(r#""webhook": ""#, r#""webhook": "other-"#)).collect();
    for (n, body) in (0..).zip(&bodies).take(60) {
        harness.post(body, NOON + n * 1_000);
    }
    harness.ingest(other.iter().map(String::as_str));
    harness.ingest_lines((0..).zip(&bodies).map(|(n, body)| (body.as_str(), Some(NOON + n * 700))));
    harness.ingest(bodies.iter().chain(&other).map(String::as_str));
    let before = [LOG, DELIVERIES, COUNTS].map(|sql| harness.ask(sql));
    let rebuilt = harness.rebuild();
    assert_eq!((&rebuilt.before, rebuilt.retried, rebuilt.damaged.len()), (&rebuilt.after, 0, 0));
    assert_eq!([LOG, DELIVERIES, COUNTS].map(|sql| harness.ask(sql)), before);
}

/// A copy of another webhook that came late stands at its own place, not right behind the fact that the copy repeats: an
/// equal fact between the two is a fact of its own.
#[test]
fn log_of_a_file_gives_a_new_file_the_same_facts() {
    let old = Harness::new();
    let late = [
        (0, blocked("blocked", "w")),
        (1, blocked("unblocked", "w")),
        (3, blocked("blocked", "w")),
        (4, blocked("unblocked", "w")),
        (8, blocked("blocked", "other")),
        (9, act("kicked", Some(5), "")),
        (10, act("kicked", Some(5), "")),
    ];
    for (at, body) in &late {
        old.post(body, NOON + at * 1_000);
    }
    assert_eq!(old.ask("SELECT seq FROM events ORDER BY seq"), "1\n2\n3\n4\n6");
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new.db");
    let mut hashes = Vec::new();
    for read in ["applied", "duplicate"] {
        let mut ingest = Ingest::open(&new, 1 << 20, || Time(READ_AT)).unwrap();
        ingest.read_log("old", LogFile::open(&old.path()).unwrap(), |_| {}).unwrap();
        let (counts, problems) = ingest.finish().unwrap();
        assert!(problems.is_empty() && counts[read] >= 5, "{counts:?}");
        let conn = open_reader(&new).unwrap();
        hashes.push(of_file(&conn).unwrap().total);
        let copied = Harness::copy_of(&new);
        for sql in [LOG, DELIVERIES] {
            assert_eq!(copied.ask(sql), old.ask(sql), "reading again changes nothing");
        }
    }
    assert_eq!(hashes, [of_file(&old.conn).unwrap().total; 2]);
}
