//! Cuts of old events in a file that no server holds. The test has `harness` beside it.

use crate::harness::{self, Harness};
use chatfold::ids::Time;
use chatfold::rebuild::Host;
use chatfold::retention::{self, At, Report, RetentionError, Rules};
use chatfold::store::sqlite;
use std::sync::atomic::{AtomicBool, Ordering};

/// Posts a history, each delivery a second after the event.
pub fn post(harness: &Harness, history: &[(i64, String)]) {
    for (at, body) in history {
        harness.post(body, at + 1_000);
    }
}

/// Cuts until so many events are cut, or all.
pub fn cut_until(harness: &Harness, rules: Rules, stop_at: Option<u64>) -> Result<Report, RetentionError> {
    let host = Host::alone(sqlite::open_writer(&harness.path()).unwrap());
    let stop = AtomicBool::new(false);
    let mut progress = |at| {
        if let At::Cutting(done) = at {
            stop.store(stop_at.is_some_and(|at| done >= at), Ordering::Relaxed);
        }
    };
    let now = Time(harness::READ_AT + harness.ask("SELECT max(seq) FROM events").parse::<i64>().unwrap());
    let report = retention::cut(&harness.path(), &host, rules, now, &stop, &mut progress);
    harness.forget();
    if report.is_ok() {
        host.finish().unwrap();
    }
    report
}
