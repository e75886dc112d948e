//! Clocks jump: an hour back, ten years on, to 1970. Only times of arrival know of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::{Harness, NOON, assert_same, fixtures};
use std::process::Command;
use support::TestServer;

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// Of a jumping clock, the instant of each delivery.
fn jumping(n: usize) -> i64 {
    let steady = NOON + n as i64 * 1_000;
    [steady, steady - HOUR, steady + 10 * YEAR, 0, steady, 1, steady + 100 * YEAR, i64::MAX][n % 8]
}

/// The bodies that tell their own time, so that nothing about them depends on the clock.
fn timed() -> Vec<String> {
    let harness = Harness::new();
    let told = |body: &String| {
        let seq = harness.post(body, NOON).seq;
        harness.ask(&format!("SELECT occurred_from FROM events WHERE seq = {seq}")) == "told"
    };
    fixtures().into_iter().map(|(_, body)| body).filter(told).collect()
}

#[test]
fn facts_that_tell_their_time_are_the_same_whatever_the_clock_says() {
    let (steady, jumps) = (Harness::new(), Harness::new());
    for (n, body) in timed().iter().enumerate() {
        let first = steady.post(body, NOON + n as i64 * 1_000);
        assert_eq!(first, jumps.post(body, jumping(n)), "{body}");
    }
    assert_same(&steady.truth(), &jumps.truth(), "the clock shows in the tables");
    let log = "SELECT seq, trigger, occurred_at, occurred_from, outcome, reason FROM events";
    assert_eq!(steady.ask(log), jumps.ask(log));
}

#[test]
fn no_jump_is_an_error_and_what_came_under_it_folds_again_to_the_same() {
    // Every fixture under every jump, delivered twice; dropping the harness folds the log again.
    for shift in 0..8 {
        let harness = Harness::new();
        for (n, (name, body)) in fixtures().iter().enumerate() {
            harness.post(body, jumping(n + shift));
            harness.post(body, jumping(n + shift + 1));
            assert_eq!(harness.ask("SELECT count(*) FROM events WHERE reason LIKE '% failed: %'"), "0", "{name}");
        }
        for view in harness.ask("SELECT name FROM sqlite_schema WHERE type = 'view'").lines() {
            harness.ask(&format!("SELECT * FROM {view}"));
        }
    }
}

#[test]
fn a_server_whose_clock_jumps_between_and_runs_too_fast_goes_on() {
    if !Command::new("faketime").arg("--version").output().is_ok_and(|it| it.status.success()) {
        eprintln!("SKIPPED: the clock of a process needs faketime");
        return;
    }
    let mut dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
    let bodies = timed();
    for (life, clock) in ["-10y", "+0", "+15y x2", "-1h", "@1970-01-01 00:00:05", "+100y"].into_iter().enumerate() {
        // Not by the command of that name: it would stand between us and the process. What waits still waits its time.
        let server = TestServer::launch(dir, |command| {
            command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1");
            command.env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        });
        let mut server = server.unwrap();
        for body in &bodies {
            let expected = if life == 0 { None } else { Some("duplicate") };
            let answer = server.deliver(body);
            assert_eq!(answer.status, 200, "{clock}: {}", server.log());
            assert!(expected.is_none() || answer.header("chatfold-outcome") == expected, "{clock}: {answer:?}");
        }
        assert_eq!(server.get("/readyz").status, 200);
        dir = server.dir();
        assert_eq!(server.sigterm().code(), Some(0), "{clock}: {}", server.log());
    }
    Harness::copy_of(&dir.path().join("chatfold.db"));
}
