//! Appending to the log: is it a fact we know, when did it happen, and then the fold (contract 3).
//!
//! The vendor sends no event id, so a fact is known by its fingerprint. Facts without a time of their own may have
//! equal bodies and still be two: then another fact of the same register lies between them, and the webhook that tells
//! the second has told the first.

use crate::envelope::{Envelope, OWN};
use crate::feed::{Clues, Feed};
use crate::fold::{self, Verdict};
use crate::ids::{Outcome, Time};
use crate::merge::Fact;
use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::log::{self, Equal};
use crate::store::sqlite::{self, Connection};
use crate::trigger::{Ref, Role};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Another webhook's copy of a fact comes at most this long after the first: the vendor's retries end after 40 s.
const COPIES: u64 = 60_000;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Log position of the fact: of its first delivery, for a duplicate.
    pub seq: i64,
    /// What the fold did with the fact; a duplicate delivery does nothing more.
    pub outcome: Outcome,
    pub duplicate: bool,
}

/// Where a delivery comes from.
pub enum Source<'a> {
    /// Posted now.
    Http,
    /// A line of a file; `bare`: it does not tell when it was received.
    Ingest { run: &'a mut Run, bare: bool },
}

impl Source<'_> {
    /// The same for one more attempt.
    fn again(&mut self) -> Source<'_> {
        match self {
            Self::Http => Source::Http,
            Self::Ingest { run, bare } => Source::Ingest { run, bare: *bare },
        }
    }
}

/// One run of `ingest`: a feed of its own an app, and what it has read so far.
#[derive(Debug)]
pub struct Run {
    /// Newest log position when the run began.
    started_at: i64,
    lines: u64,
    feeds: HashMap<String, Feed>,
    /// Untimed facts of bare bodies by app and fingerprint, in their order.
    copies: HashMap<(String, [u8; 32]), Vec<Copied>>,
    /// Log positions of the facts read.
    read: HashSet<i64>,
    /// Line of the newest fact of a register.
    set: HashMap<(String, &'static str, String), u64>,
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
            started_at: log::newest_seq(conn)?,
            lines: 0,
            feeds: HashMap::new(),
            copies: HashMap::new(),
            read: HashSet::new(),
            set: HashMap::new(),
        })
    }

    /// Which one of several facts with this fingerprint a bare body tells, from 0. The rule of [`untimed_again`], but
    /// that nothing tells how long ago the others came: copies with no other fact of the register between them are one;
    /// else it is the oldest that its webhook has not told in this run, else another.
    fn nth(&mut self, envelope: &Envelope, refs: &[Ref]) -> usize {
        let (set, webhook_id) = (&self.set, webhook_id(envelope));
        let facts = self.copies.entry((envelope.app_id.clone(), envelope.fingerprint)).or_default();
        let set_after =
            |line: u64| registers(envelope, refs).any(|it| set.get(&it).is_some_and(|newest| *newest > line));
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

    /// A fact that the log holds, read once more.
    fn again(&self, equal: Equal) -> Known {
        if equal.seq <= self.started_at { Known::Reread(equal) } else { Known::Again(equal) }
    }

    /// Takes note of the fact at a log position. Its copies set nothing anew.
    fn note(&mut self, envelope: &Envelope, refs: &[Ref], seq: i64) {
        if refs.iter().any(|it| it.role == Role::Sets) && self.read.insert(seq) {
            let sets = refs.iter().filter(|it| it.role == Role::Sets);
            self.set.extend(sets.map(|it| ((envelope.app_id.clone(), it.kind, it.key.clone()), self.lines)));
        }
    }
}

/// The registers between whose facts another one makes two of equal bodies.
fn registers(envelope: &Envelope, refs: &[Ref]) -> impl Iterator<Item = (String, &'static str, String)> {
    refs.iter().filter(|it| it.role != Role::About).map(|it| (envelope.app_id.clone(), it.kind, it.key.clone()))
}

fn webhook_id(envelope: &Envelope) -> &str {
    envelope.webhook_id.as_deref().unwrap_or("")
}

/// What the log already holds of a delivery.
enum Known {
    New,
    /// Delivered once more.
    Again(Equal),
    /// Read once more from a file: not a delivery.
    Reread(Equal),
}

/// Appends one delivery inside the caller's transaction: log row and tables move together or not at all. A delivery
/// over which this panics is a dead letter: its row is kept, and nothing else of it.
pub fn append(
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
    mut source: Source<'_>,
) -> Result<Receipt, StoreError> {
    sqlite::savepoint(conn)?;
    let receipt = match panics::caught(|| try_append(conn, envelope, received_at, source.again())) {
        Ok(appended) => appended?,
        Err(panicked) => {
            sqlite::undo(conn)?;
            let reason = format!("append failed: {panicked}");
            tracing::error!(trigger = envelope.trigger, reason, "kept as a dead letter");
            return try_append(conn, &envelope.as_dead_letter(reason), received_at, source);
        }
    };
    sqlite::release(conn)?;
    Ok(receipt)
}

fn try_append(
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
    mut source: Source<'_>,
) -> Result<Receipt, StoreError> {
    let refs = envelope
        .payload
        .as_ref()
        .filter(|_| envelope.outcome == Outcome::Applied)
        .map(|it| it.refs())
        .unwrap_or_default();
    let untimed = envelope.told_at.is_none() && !refs.is_empty();
    let known = match &mut source {
        Source::Http if untimed => untimed_again(conn, envelope, &refs, received_at)?,
        Source::Http => newest(conn, envelope)?.map_or(Known::New, Known::Again),
        Source::Ingest { run, bare } => {
            run.lines += 1;
            if *bare {
                in_bare_file(conn, envelope, &refs, run, untimed)?
            } else {
                in_file(conn, envelope, &refs, received_at, run, untimed)?
            }
        }
    };
    if let Known::Again(equal) | Known::Reread(equal) = known {
        if matches!(known, Known::Again(_)) {
            log::repeat(conn, equal.seq, received_at)?;
            log::count(conn, &envelope.app_id, received_at, &envelope.trigger, "duplicate")?;
        }
        if untimed {
            log::tell(conn, &envelope.app_id, equal.seq, webhook_id(envelope))?;
        }
        if let Source::Ingest { run, .. } = source {
            run.note(envelope, &refs, equal.seq);
        }
        return Ok(Receipt { seq: equal.seq, outcome: equal.outcome, duplicate: true });
    }
    let clues = Clues {
        told: envelope.told_at,
        newest: envelope.newest,
        not_before: envelope.payload.as_ref().and_then(|payload| payload.not_before()),
        received_at,
        replay: matches!(source, Source::Ingest { bare: true, .. }),
    };
    let mut feed = match &source {
        Source::Http => log::feed(conn, &envelope.app_id)?,
        Source::Ingest { run, .. } => run.feeds.get(&envelope.app_id).cloned().unwrap_or_default(),
    };
    let dated = feed.date(&clues);
    let seq = log::append(conn, envelope, received_at, &dated)?;
    if !envelope.trigger.starts_with(OWN) {
        let before = feed.clone();
        feed.show(&clues);
        say_of_the_clock(&envelope.app_id, &before, &feed);
        match &mut source {
            Source::Http if feed != before => log::write_feed(conn, &envelope.app_id, &feed)?,
            Source::Http => {}
            Source::Ingest { run, .. } => {
                run.feeds.insert(envelope.app_id.clone(), feed);
            }
        }
    }
    if untimed {
        log::tell(conn, &envelope.app_id, seq, webhook_id(envelope))?;
    }
    if let Source::Ingest { run, .. } = source {
        run.note(envelope, &refs, seq);
    }
    let fact = Fact {
        seq,
        trigger: envelope.trigger.clone(),
        received_at,
        arrived_at: dated.arrived_at,
        occurred_at: dated.occurred_at,
        occurred_from: dated.from,
        floor: dated.floor,
        fingerprint: envelope.fingerprint,
    };
    let Verdict { outcome, reason } = fold::fold(conn, envelope, &fact)?;
    if outcome != envelope.outcome {
        log::judge(conn, seq, outcome, reason.as_deref())?;
    }
    log::count(conn, &envelope.app_id, received_at, &envelope.trigger, outcome.as_str())?;
    Ok(Receipt { seq, outcome, duplicate: false })
}

/// Says once that arrivals begin or cease to be read on the vendor's clock.
fn say_of_the_clock(app_id: &str, before: &Feed, after: &Feed) {
    let (was, is) = (before.offset(), after.offset());
    if was == 0 && is != 0 {
        tracing::warn!(
            app = app_id,
            offset_ms = is,
            "our clock and the vendor's differ: arrivals are read on the vendor's clock from now on"
        );
    } else if was != 0 && is == 0 {
        tracing::info!(app = app_id, "our clock and the vendor's agree: arrivals are read on our clock again");
    }
}

fn newest(conn: &Connection, envelope: &Envelope) -> Result<Option<Equal>, StoreError> {
    Ok(log::equals(conn, &envelope.app_id, &envelope.fingerprint)?.pop())
}

/// A line of a file that tells when it was received: reading it twice changes nothing.
fn in_file(
    conn: &Connection,
    envelope: &Envelope,
    refs: &[Ref],
    received_at: Time,
    run: &Run,
    untimed: bool,
) -> Result<Known, StoreError> {
    let mut equals = log::equals(conn, &envelope.app_id, &envelope.fingerprint)?;
    let within = |equal: &&Equal| (equal.received_at..=equal.last_received_at).contains(&received_at);
    if let Some(equal) = equals.iter().find(within) {
        return Ok(run.again(*equal));
    }
    let known = if untimed {
        untimed_again(conn, envelope, refs, received_at)?
    } else {
        equals.pop().map_or(Known::New, Known::Again)
    };
    // The row cannot tell that an earlier copy was counted, so it is not: reading it again must change nothing.
    Ok(match known {
        Known::Again(equal) if received_at < equal.received_at => Known::Reread(equal),
        known => known,
    })
}

/// A line of a file that is the body alone: the n-th fact of the run is the n-th that the log held before, and only
/// further ones are new.
fn in_bare_file(
    conn: &Connection,
    envelope: &Envelope,
    refs: &[Ref],
    run: &mut Run,
    untimed: bool,
) -> Result<Known, StoreError> {
    if !untimed {
        return Ok(newest(conn, envelope)?.map_or(Known::New, |equal| run.again(equal)));
    }
    let equals = log::equals(conn, &envelope.app_id, &envelope.fingerprint)?;
    let n = run.nth(envelope, refs);
    Ok(equals.get(n).map_or(Known::New, |equal| run.again(*equal)))
}

/// A fact without a time of its own, which may be told by equal bodies twice and be two: so it is where another fact of
/// its register came since, unless its webhook has not yet told an equal one of the last minute. A second webhook tells
/// everything again, late: it repeats the oldest of these.
fn untimed_again(conn: &Connection, envelope: &Envelope, refs: &[Ref], received_at: Time) -> Result<Known, StoreError> {
    let equals = log::equals(conn, &envelope.app_id, &envelope.fingerprint)?;
    let Some(newest) = equals.last() else { return Ok(Known::New) };
    if !log::set_after(conn, &envelope.app_id, refs, newest.seq)? {
        return Ok(Known::Again(*newest));
    }
    for equal in equals.iter().filter(|equal| received_at.0.abs_diff(equal.received_at.0) <= COPIES) {
        if !log::told_by(conn, &envelope.app_id, equal.seq, webhook_id(envelope))? {
            return Ok(Known::Again(*equal));
        }
    }
    Ok(Known::New)
}
