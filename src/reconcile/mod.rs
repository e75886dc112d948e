//! Reads from CometChat's API where the tables may be wrong: what is known to be wrong first, and then what was read
//! longest ago, within a budget of requests.
//!
//! What was read becomes events, as in a backfill. When an entity was read is kept in the file, so the next run goes on
//! where this one ended.

mod steps;

use crate::backfill::hand::{Hand, Note};
use crate::backfill::{BackfillError, Recorder, Tally};
use crate::clock;
use crate::rest::Client;
use crate::store::sqlite::Connection;
use crate::store::sqlite::reconcile::Ended;
use serde::Serialize;
use std::collections::HashMap;

/// Changes that a report names one by one.
const TOLD: usize = 1_000;

/// A part of a run, in the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Groups whose number of members differs from CometChat's.
    Drift,
    /// What anomalous and rejected events name.
    Events,
    /// Message ids that no event names, and messages after the newest known one.
    Messages,
    /// Groups and people as they describe themselves.
    Lists,
    /// Members and bans of the groups that were read longest ago.
    Members,
    /// Blocks of the people who were read longest ago.
    Blocks,
}

impl Step {
    pub const ALL: [Self; 6] = [Self::Drift, Self::Events, Self::Messages, Self::Lists, Self::Members, Self::Blocks];

    pub fn name(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Events => "events",
            Self::Messages => "messages",
            Self::Lists => "lists",
            Self::Members => "members",
            Self::Blocks => "blocks",
        }
    }
}

/// What to read.
#[derive(Debug, Clone)]
pub struct Plan {
    pub app_id: String,
    pub region: String,
    /// No entity is begun after so many requests.
    pub requests: u64,
}

/// An entity that was new, or other than in the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Such as `group:book-club`.
    pub what: String,
    pub step: Step,
    pub new: u64,
    pub changed: u64,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub steps: Vec<(Step, Tally)>,
    /// The first thousand.
    pub changes: Vec<Change>,
    pub requests: u64,
    /// How many of the requests were sent again.
    pub retries: u64,
    /// Groups whose members were not read: the budget was spent.
    pub groups_left: u64,
}

impl Report {
    /// What was read, what of it was new or changed, and what could not be read.
    pub fn sums(&self) -> (u64, u64, u64) {
        let tallies = self.steps.iter().map(|(_, tally)| (tally.read, tally.new + tally.changed, tally.unreachable));
        tallies.fold((0, 0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1, sum.2 + it.2))
    }
}

/// Reads what the plan says, until nothing is left, the budget is spent, or `stops` says so. `conn` reads the file that
/// `hand` writes to. What came of the run is kept in the file, also if it ends early.
pub fn run(
    client: &Client,
    conn: &Connection,
    hand: &mut Hand,
    plan: &Plan,
    stops: &dyn Fn() -> bool,
) -> Result<Report, BackfillError> {
    let began_at = clock::now().0;
    let recorder = Recorder::new(client, conn, hand, &plan.app_id, &plan.region);
    let mut run = Run { recorder, plan, stops, read: HashMap::new(), changes: Vec::new(), steps: Vec::new() };
    let ended = Step::ALL.into_iter().try_for_each(|step| run.step(step)).and_then(|()| run.groups_left());
    let (groups_left, error) = match &ended {
        Ok(left) => (*left, None),
        Err(error) => (0, Some(error.to_string())),
    };
    let Run { changes, steps, .. } = run;
    let (requests, retries) = client.requests();
    let report = Report { steps, changes, requests, retries, groups_left };
    let (entities, changes, unreachable) = report.sums();
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let kept = Ended {
        began_at,
        ended_at: clock::now().0,
        requests: number(requests),
        entities: number(entities),
        changes: number(changes),
        unreachable: number(unreachable),
        error,
    };
    let noted = hand.note(&plan.app_id, Note::Ended(kept));
    ended?;
    noted?;
    Ok(report)
}

/// A run under way.
struct Run<'a> {
    recorder: Recorder<'a>,
    plan: &'a Plan,
    stops: &'a dyn Fn() -> bool,
    /// The groups that this run read, or tried to: whether each was read whole.
    read: HashMap<String, bool>,
    changes: Vec<Change>,
    steps: Vec<(Step, Tally)>,
}

impl Run<'_> {
    /// Requests that are left of the budget.
    fn left(&self) -> u64 {
        if (self.stops)() { 0 } else { self.plan.requests.saturating_sub(self.recorder.client.requests().0) }
    }

    /// Reads one entity, and counts what came of it.
    fn one(
        &mut self,
        (step, tally): (Step, &mut Tally),
        what: &str,
        read: impl FnOnce(&mut Recorder<'_>, &mut Tally) -> Result<(), BackfillError>,
    ) -> Result<(), BackfillError> {
        let before = (tally.new, tally.changed);
        let read = read(&mut self.recorder, tally);
        tally.missed(what, read)?;
        let (new, changed) = (tally.new - before.0, tally.changed - before.1);
        if new + changed > 0 && self.changes.len() < TOLD {
            self.changes.push(Change { what: what.to_owned(), step, new, changed });
        }
        Ok(())
    }
}
