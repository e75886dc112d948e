//! What a node knows of the shared log, for those who ask whether it should get traffic.

use super::LogStatus;
use super::verdict::Verdict;
use crate::ids::Time;
use crate::writer::Refusal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A node that is further behind should get no traffic.
const BEHIND: Duration = Duration::from_secs(10);

/// Why deliveries do not go into the log.
pub const UNREACHABLE: &str = "the shared log cannot be reached";
pub const NOT_DURABLE: &str = "the shared log cannot keep deliveries on several disks now";
/// The outbox cannot be emptied either: a row that is removed needs room too.
pub const NO_ROOM: &str = "the outbox has no room on its disk";
const STARTING: &str = "the shared log has not been reached yet";

/// Shared by the tasks of a node.
pub struct Status {
    state: Mutex<State>,
}

struct State {
    /// Why deliveries do not go into the log now.
    trouble: Option<&'static str>,
    /// What the log line about it said.
    told: String,
    /// Deliveries in the outbox, and bytes of their bodies.
    queued: (u64, u64),
    /// Whether the outbox takes a delivery.
    has_room: bool,
    /// Standbys in sync, and how many a commit waits for.
    standbys: (i64, i64),
    /// Since when the follower is connected.
    follows_since: Option<Instant>,
    /// All that stood in the log then is folded.
    complete_at: Option<(Time, Instant)>,
    /// Why the log does not go on where this node is.
    lost: Option<String>,
    /// Nodes whose state hashes were compared, those that differ, and where.
    compared: (u64, u64),
    compared_at: i64,
    /// What the operator has to know of it, and whether this node is the one that differs.
    alarm: Option<(String, bool)>,
    /// A person is erased, and the node folds nothing meanwhile.
    erases: bool,
}

impl Status {
    pub fn new() -> Self {
        let state = State {
            trouble: Some(STARTING),
            told: String::new(),
            queued: (0, 0),
            has_room: false,
            standbys: (0, 0),
            follows_since: None,
            complete_at: None,
            lost: None,
            compared: (0, 0),
            compared_at: 0,
            alarm: None,
            erases: false,
        };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deliveries go into the log.
    pub fn appends(&self) {
        let mut state = self.lock();
        if state.trouble.take().is_some() {
            state.told.clear();
            tracing::info!("deliveries go into the shared log");
        }
    }

    /// Deliveries do not go into the log. A log line tells each cause once.
    pub fn cannot_append(&self, trouble: &'static str, cause: &str) {
        let mut state = self.lock();
        state.trouble = Some(trouble);
        if state.told != cause {
            cause.clone_into(&mut state.told);
            let outbox = if state.has_room && trouble != NO_ROOM {
                "deliveries go to the outbox"
            } else {
                "deliveries are answered 503"
            };
            tracing::warn!(cause, "{trouble}: {outbox}");
        }
    }

    /// The answer to a delivery that neither the log nor the outbox takes.
    pub fn refusal(&self) -> Refusal {
        Refusal::NotWritten(self.lock().trouble.unwrap_or(UNREACHABLE))
    }

    /// How much is in the outbox, and whether it takes more.
    pub fn holds(&self, queued: (u64, u64), has_room: bool) {
        let mut state = self.lock();
        (state.queued, state.has_room) = (queued, has_room);
    }

    /// Standbys in sync, and how many a commit waits for.
    pub fn has_standbys(&self, in_sync: i64, wanted: i64) {
        self.lock().standbys = (in_sync, wanted);
    }

    /// The follower is connected, or is not any more.
    pub fn follows(&self, is_connected: bool) {
        self.lock().follows_since = is_connected.then(Instant::now);
    }

    /// All that stood in the log at this time is folded. The same instant by the clock that shows it, and by the one that
    /// measures.
    pub fn complete(&self, at: (Time, Instant)) {
        if self.lock().complete_at.replace(at).is_none() {
            tracing::info!("this node has folded all of the shared log");
        }
    }

    /// The log does not go on where this node is, or does again (`None`). Without it the node should get no traffic.
    pub fn lost(&self, why: Option<String>) {
        let mut state = self.lock();
        if state.lost != why {
            match &why {
                Some(why) => tracing::error!("{why}: this node should get no traffic"),
                None => tracing::info!("the shared log goes on where this node is"),
            }
            state.lost = why;
        }
    }

    /// State hashes of nodes were compared. A log line tells each alarm once.
    pub fn compared(&self, told: Option<&Verdict>, alarm: Option<(String, bool)>) {
        let mut state = self.lock();
        let numbers = told.map(|told| (told.right.len() as u64, told.others.len() as u64));
        let (right, others) = numbers.unwrap_or_default();
        (state.compared, state.compared_at) = ((right + others, others), told.map_or(0, |told| told.position));
        if state.alarm != alarm {
            match &alarm {
                Some((alarm, true)) => tracing::error!("{alarm}: this node should get no traffic"),
                Some((alarm, false)) => tracing::error!("{alarm}"),
                None => tracing::info!("all nodes of this edition have one state hash again"),
            }
            state.alarm = alarm;
        }
    }

    /// A person is being erased, or is not any more. All nodes do so at the same place of the log, so it must not make
    /// them unready: they take deliveries meanwhile.
    pub fn erases(&self, is_erasing: bool) {
        self.lock().erases = is_erasing;
    }

    pub fn log(&self) -> LogStatus {
        let state = self.lock();
        LogStatus {
            read_at: state.complete_at.map(|at| at.0),
            trouble: state.trouble,
            queued: state.queued,
            standbys: state.standbys,
            compared: state.compared,
            compared_at: state.compared_at,
            alarm: state.alarm.as_ref().map(|alarm| alarm.0.clone()),
        }
    }

    /// Why the node should get no traffic.
    pub fn not_ready(&self) -> Option<String> {
        let state = self.lock();
        if let Some(why) = &state.lost {
            return Some(why.clone());
        }
        // The others are named only to those who may know: everybody may ask whether a node is ready.
        if let Some((_, true)) = &state.alarm {
            return Some(format!(
                "the tables of this node say something else than those of other nodes at log position {}",
                state.compared_at
            ));
        }
        if let Some(trouble) = state.trouble.filter(|_| !state.has_room) {
            return Some(trouble.to_owned());
        }
        // Without a connection nothing tells how far behind it is.
        let since = state.follows_since?;
        let Some(complete) = state.complete_at else {
            return Some("this node has not folded all of the shared log yet".to_owned());
        };
        let behind = complete.1.max(since).elapsed();
        (behind > BEHIND && !state.erases).then(|| format!("this node is {} s behind the shared log", behind.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_while_it_takes_deliveries_and_has_folded_what_stands_in_the_log() {
        let status = Status::new();
        assert_eq!(status.not_ready().unwrap(), STARTING);
        status.holds((0, 0), true);
        assert_eq!(status.not_ready(), None, "the outbox takes deliveries");
        status.follows(true);
        assert!(status.not_ready().unwrap().contains("not folded all"));
        let now = (Time(5), Instant::now());
        status.complete(now);
        assert_eq!((status.not_ready(), status.log().read_at), (None, Some(Time(5))));
        let long_ago = now.1.checked_sub(BEHIND + Duration::from_secs(2)).unwrap();
        status.complete((Time(4), long_ago));
        assert_eq!(status.not_ready(), None, "it is connected only now");
        status.lock().follows_since = Some(long_ago);
        assert!(status.not_ready().unwrap().contains("behind the shared log"));
        status.follows(false);
        assert_eq!(status.not_ready(), None, "how far behind it is cannot be told");
        status.holds((9, 9), false);
        assert_eq!(status.not_ready().unwrap(), STARTING);
        status.appends();
        assert_eq!((status.not_ready(), status.log().queued), (None, (9, 9)));
        status.cannot_append(NOT_DURABLE, "x");
        assert_eq!(status.not_ready().unwrap(), NOT_DURABLE);
        status.appends();
        status.lost(Some("y".into()));
        assert_eq!(status.not_ready().unwrap(), "y");
        status.lost(None);
        assert_eq!(status.not_ready(), None);
        status.compared(None, Some(("z".into(), false)));
        assert_eq!((status.not_ready(), status.log().alarm.as_deref()), (None, Some("z")), "another node differs");
        status.compared(None, Some(("z".into(), true)));
        assert!(status.not_ready().unwrap().contains("something else than those of other nodes"));
        status.compared(None, None);
        assert_eq!(status.not_ready(), None);
    }
}
