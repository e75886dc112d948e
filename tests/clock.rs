//! The clock of the machine jumps: arrival times change, and what is dated by arrival, and nothing else.

mod harness;

use harness::{Harness, NOON, assert_same, fixtures, story};

/// Where the clock says it is, delivery by delivery.
const JUMPS: &[(&str, &[i64])] = &[
    ("an hour back", &[0, 1_000, -3_600_000, -3_599_000]),
    ("ten years ahead and back", &[0, 10 * 365 * 86_400_000, 10 * 365 * 86_400_000 + 1, 1_000]),
    ("1970", &[-NOON, -NOON + 1, 0, 1_000]),
    ("beyond 2038", &[0, 2_200_000_000_000 - NOON, 1_000]),
];

fn folded(bodies: &[String], at: impl Fn(usize) -> i64) -> Harness {
    let harness = Harness::new();
    for (index, body) in bodies.iter().enumerate() {
        harness.post(body, at(index));
    }
    harness
}

#[test]
fn a_clock_that_jumps_changes_arrival_times_only() {
    let mut bodies = story("demo");
    bodies.extend(fixtures().into_iter().map(|(_, body)| body));
    // Those that tell when they happened; what is dated by arrival may differ.
    let all = folded(&bodies, |_| NOON);
    let told = |body: &&String| {
        let body = body.replace('\'', "''");
        all.ask(&format!("SELECT DISTINCT occurred_from FROM events WHERE body = '{body}'")) == "told"
    };
    let bodies: Vec<String> = bodies.iter().filter(told).cloned().collect();
    assert!(bodies.len() > 60, "{}", bodies.len());
    let steady = folded(&bodies, |index| NOON + index as i64 * 1_000);
    for (jump, offsets) in JUMPS {
        // Dropping verifies: the log folded again gives the same.
        let jumped = folded(&bodies, |index| NOON + offsets[index % offsets.len()]);
        assert_same(&steady.truth(), &jumped.truth(), jump);
        let facts = "SELECT seq, occurred_at, occurred_from, outcome, hex(fingerprint), body FROM events";
        assert_same(&steady.ask(facts), &jumped.ask(facts), jump);
    }
}

#[test]
fn what_arrival_dates_is_dated_by_the_clock_of_its_arrival_and_verifies() {
    let bodies: Vec<String> = fixtures().into_iter().map(|(_, body)| body).collect();
    for (_, offsets) in JUMPS {
        let jumped = folded(&bodies, |index| NOON + offsets[index % offsets.len()]);
        let wrong = "SELECT count(*) FROM events WHERE occurred_from = 'arrival' AND occurred_at < received_at - 1000";
        let early = jumped.ask(wrong);
        let after = "SELECT count(*) FROM events WHERE occurred_from = 'arrival' AND received_at < 0";
        assert_eq!((early.as_str(), jumped.ask(after).as_str()), ("0", "0"));
    }
}
