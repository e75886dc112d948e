//! Plays deliveries to an address as CometChat sends them: Basic auth, an answer within two seconds, two retries.
//!
//! What is sent, and when, is planned before the first delivery leaves: [`plan`]. A seed makes the plan repeatable.

mod plan;
mod read;
mod summary;

pub use plan::{Delivery, Options, Planned, plan};
pub use read::{ReadError, demo, read};
pub use summary::Summary;

use plan::Chance;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// CometChat takes a later answer for none.
const PATIENCE: Duration = Duration::from_secs(2);
/// The waits before the second and the third attempt.
const RETRIES: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(30)];

/// Where deliveries go.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    /// The value of the header `Authorization`.
    pub authorization: Option<String>,
    /// Attempts at once.
    pub connections: usize,
    /// Waits before a retry are so many times shorter.
    pub speed: f64,
    /// The share of attempts that the network breaks, from 0 to 1.
    pub faults: f64,
    pub seed: u64,
}

/// How an attempt ended.
pub(crate) enum Ended {
    Answered {
        status: u16,
        outcome: Option<String>,
        after: Duration,
    },
    /// Nothing came back, and why.
    Nothing(String),
    /// Nothing listens there.
    Away(String),
}

impl Ended {
    /// A retry may help: the receiver was late, busy or away.
    fn may_be_retried(&self) -> bool {
        match self {
            Self::Answered { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Nothing(_) | Self::Away(_) => true,
        }
    }
}

/// What is left to send, and what became of the rest.
struct Line {
    waiting: BinaryHeap<Reverse<Attempt>>,
    running: usize,
    summary: Summary,
}

/// One delivery, to be sent at a time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    at: Duration,
    place: usize,
    /// Attempts before this one.
    before: usize,
}

/// Sends all of it. `progress` hears of every delivery that is done.
pub fn send(target: &Target, planned: &[Planned], progress: &(dyn Fn() + Sync)) -> Summary {
    let first = (0..).zip(planned).map(|(place, it)| Reverse(Attempt { at: it.at, place, before: 0 }));
    let summary = Summary { deliveries: planned.len() as u64, ..Summary::default() };
    let line = Mutex::new(Line { waiting: first.collect(), running: 0, summary });
    let (changed, begun) = (Condvar::new(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..target.connections {
            scope.spawn(|| {
                let agent = agent();
                while let Some(attempt) = next(&line, &changed, begun) {
                    let body = &planned[attempt.place].body;
                    let mut chance = Chance::new(target.seed, &[attempt.place as u64, attempt.before as u64]);
                    let fault = (chance.share() < target.faults).then(|| chance.share() < 0.5);
                    let ended = try_once(&agent, target, body, fault);
                    let mut held = hold(&line);
                    held.running -= 1;
                    held.summary.attempts += 1;
                    held.summary.broken += u64::from(fault.is_some());
                    if let (Ended::Away(why), true) = (&ended, held.summary.answers.is_empty()) {
                        // Whoever types a wrong address hears it now, and not after all retries.
                        held.summary.away = Some(why.clone());
                        held.waiting.clear();
                    }
                    let is_away = held.summary.away.is_some();
                    let is_done = match RETRIES.get(attempt.before) {
                        Some(wait) if !is_away && ended.may_be_retried() => {
                            let at = begun.elapsed() + wait.div_f64(target.speed);
                            held.waiting.push(Reverse(Attempt { at, before: attempt.before + 1, ..attempt }));
                            false
                        }
                        _ => true,
                    };
                    held.summary.note(ended, fault.is_some(), is_done);
                    drop(held);
                    changed.notify_all();
                    if is_done {
                        progress();
                    }
                }
            });
        }
    });
    let mut summary = line.into_inner().unwrap_or_else(PoisonError::into_inner).summary;
    summary.took = begun.elapsed();
    summary
}

fn hold(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the time of the next attempt. `None` once nothing is left and nothing can come back.
fn next(line: &Mutex<Line>, changed: &Condvar, begun: Instant) -> Option<Attempt> {
    let mut held = hold(line);
    loop {
        let now = begun.elapsed();
        held = match held.waiting.peek() {
            Some(Reverse(attempt)) if attempt.at <= now => {
                held.running += 1;
                return held.waiting.pop().map(|Reverse(attempt)| attempt);
            }
            Some(Reverse(attempt)) => {
                let wait = attempt.at - now;
                changed.wait_timeout(held, wait).unwrap_or_else(PoisonError::into_inner).0
            }
            None if held.running == 0 => return None,
            None => changed.wait(held).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("chatfold/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// One attempt. A fault breaks the connection in the middle of the body (true), or loses the answer (false).
fn try_once(agent: &ureq::Agent, target: &Target, body: &[u8], fault: Option<bool>) -> Ended {
    // In the capitals of CometChat.
    let mut request = agent.post(&target.url).header("Content-Type", "Application/json");
    if let Some(value) = &target.authorization {
        request = request.header("Authorization", value);
    }
    let begun = Instant::now();
    let sent = match fault {
        Some(true) => {
            request = request.header("Content-Length", body.len().to_string());
            let mut half = Broken(&body[..body.len() / 2]);
            request.send(ureq::SendBody::from_reader(&mut half))
        }
        _ => request.send(body),
    };
    match sent {
        Ok(_) if fault.is_some() => Ended::Nothing("the answer was lost".into()),
        Ok(answer) => Ended::Answered {
            status: answer.status().as_u16(),
            outcome: answer.headers().get("chatfold-outcome").and_then(|it| it.to_str().ok()).map(str::to_owned),
            after: begun.elapsed(),
        },
        Err(error) => match hopeless(&error) {
            Some(why) => Ended::Away(why),
            None => Ended::Nothing(error.to_string()),
        },
    }
}

/// Why no later attempt would do better.
fn hopeless(error: &ureq::Error) -> Option<String> {
    let is_away = match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        _ => false,
    };
    let is_untrusted = match error {
        ureq::Error::Rustls(error) => matches!(error, rustls::Error::InvalidCertificate(_)),
        ureq::Error::Io(error) => matches!(
            error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>()),
            Some(rustls::Error::InvalidCertificate(_))
        ),
        _ => false,
    };
    match (is_away, is_untrusted) {
        (true, _) => Some(format!("nothing listens there ({error}). `chatfold serve` starts a server on this machine")),
        (_, true) => Some(format!("its certificate is not trusted ({error})")),
        _ => None,
    }
}

/// A body that ends with an error.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the connection was broken")),
            bytes => Ok(bytes),
        }
    }
}
