//! What one run of `ingest` has read: equal lines are told apart by their order.

use super::{Known, registers, webhook_id};
use crate::envelope::Envelope;
use crate::feed::Feed;
use crate::store::StoreError;
use crate::store::sqlite::events::{self, Equal};
use crate::store::sqlite::{App, Connection, RefKey};
use crate::trigger::{Ref, Role};
use foldhash::{HashMap, HashSet};
use std::collections::BTreeSet;

/// One run of `ingest`: a feed for each app, and what the run has read so far.
#[derive(Debug)]
pub struct Run {
    /// Newest log position when the run began.
    started_at: i64,
    pub(super) lines: u64,
    pub(super) feeds: HashMap<App, Feed>,
    /// Facts without a time from bare bodies, by app and fingerprint, in their order.
    copies: HashMap<(App, [u8; 32]), Vec<Copied>>,
    /// Log positions of the facts that the run has read.
    read: HashSet<i64>,
    /// Line of the newest fact of each register.
    set: HashMap<RefKey, u64>,
}

/// A fact that a run has read: the line that told it first, and the webhooks that told it.
#[derive(Debug)]
struct Copied {
    line: u64,
    tellers: BTreeSet<String>,
}

impl Run {
    pub fn new(conn: &Connection) -> Result<Self, StoreError> {
        Ok(Self {
            started_at: events::newest_seq(conn)?,
            lines: 0,
            feeds: HashMap::default(),
            copies: HashMap::default(),
            read: HashSet::default(),
            set: HashMap::default(),
        })
    }

    /// Which of several facts with this fingerprint a bare body tells, counted from 0. The rule is that of
    /// [`super::repeated`], but a bare body does not tell how long ago the others came. Copies without another fact of the
    /// register between them are one fact. Else the body tells the oldest fact that its webhook has not told in this
    /// run, or else a new one.
    pub(super) fn nth(&mut self, app: &App, envelope: &Envelope, refs: &[Ref]) -> usize {
        let (set, webhook_id) = (&self.set, webhook_id(envelope));
        let facts = self.copies.entry((App::clone(app), envelope.fingerprint)).or_default();
        let set_after = |line: u64| registers(app, refs).any(|it| set.get(&it).is_some_and(|newest| *newest > line));
        let known = match facts.last() {
            Some(newest) if !set_after(newest.line) => Some(facts.len() - 1),
            _ => facts.iter().position(|fact| !fact.tellers.contains(webhook_id)),
        };
        let which = known.unwrap_or_else(|| {
            facts.push(Copied { line: self.lines, tellers: BTreeSet::new() });
            facts.len() - 1
        });
        facts[which].tellers.insert(webhook_id.to_owned());
        which
    }

    /// A fact that the log holds is read once more.
    pub(super) fn again(&self, equal: Equal) -> Known {
        if equal.seq <= self.started_at { Known::Reread(equal) } else { Known::Again(equal) }
    }

    /// Notes that the run has read the fact at a log position. Copies of the fact do not move registers again.
    pub(super) fn note(&mut self, app: &App, refs: &[Ref], seq: i64) {
        if refs.iter().any(|it| it.role == Role::Sets) && self.read.insert(seq) {
            let sets = refs.iter().filter(|it| it.role == Role::Sets);
            self.set.extend(sets.map(|it| ((App::clone(app), it.kind, it.key.clone()), self.lines)));
        }
    }
}
