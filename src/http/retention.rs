//! Old events cut from the log of the file that is served: at the times that the settings name, and when asked.

use super::rebuilds::{Rebuilds, request, say};
use crate::backup::Stop;
use crate::clock;
use crate::config::{Config, RetentionSettings};
use crate::rebuild::Host;
use crate::retention::{self, At, Report, RetentionError, Rules};
use crate::store::StoreError;
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What a client says on the socket.
pub(super) const ASKS: &str = "retention";

/// The first cut after a start: the server has other things to do first.
const FIRST: Duration = Duration::from_secs(60);

/// The rules that the settings give.
pub fn rules(config: &Config) -> Rules {
    let RetentionSettings { ignored, presence, message, call, every: _ } = config.retention;
    Rules { ignored, presence, message, call }
}

/// Cuts again and again, until the server stops.
pub(super) fn schedule(rebuilds: &Rebuilds, rules: Rules, every: Duration, stop: Stop) -> std::io::Result<()> {
    let rebuilds = rebuilds.clone();
    let work = move || {
        let mut wait = FIRST.min(every);
        while !stop.wait(wait) {
            wait = every;
            let _running = rebuilds.wait();
            tell(&cut(&rebuilds, rules));
        }
    };
    std::thread::Builder::new().name("retention".into()).spawn(work).map(drop)
}

/// Answers a client that asks for a cut.
pub(super) fn answer(rebuilds: &Rebuilds, rules: Rules, stream: &UnixStream) {
    if rules.is_empty() {
        let error = "the running server has no setting that says how old events may get. Set retention.presence, \
                     retention.ignored, retention.message or retention.call, and start the server again";
        say(stream, &json!({ "error": error }));
        return;
    }
    let _running = rebuilds.wait();
    let done = cut(rebuilds, rules);
    tell(&done);
    match done {
        Ok(report) => say(stream, &json!({ "cut": report })),
        Err(error) => say(stream, &json!({ "error": error.to_string() })),
    };
}

fn cut(rebuilds: &Rebuilds, rules: Rules) -> Result<Report, RetentionError> {
    let stop: &AtomicBool = rebuilds.stopping();
    let host = Host::Writer(rebuilds.writer().clone());
    let done = retention::cut(rebuilds.path(), &host, rules, clock::now(), stop, &mut |at| {
        rebuilds.is_at(match at {
            At::Folding(at) => Some(at),
            At::Cutting(_) => None,
        });
    });
    rebuilds.is_at(None);
    done
}

fn tell(done: &Result<Report, RetentionError>) {
    match done {
        Ok(report) => {
            for line in &report.lines {
                tracing::info!(
                    app = line.app_id,
                    family = line.family.as_str(),
                    before = %line.before,
                    events = line.events,
                    "old events were cut from the log"
                );
            }
            let bytes = report.bytes_before - report.bytes_after;
            tracing::info!(bytes, "retention gave space back to the disk");
        }
        Err(RetentionError::Stopped) => {}
        Err(error) => tracing::error!(%error, "retention failed; the next run goes on"),
    }
}

/// Asks the server that holds the file to cut. `Ok(None)`: no server listens.
pub fn ask(path: &Path) -> Result<Option<Value>, StoreError> {
    request(path, (ASKS, "cut"), "the next run goes on", &mut |_| {})
}
