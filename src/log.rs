//! Appending to the log: is it a fact we know, when did it happen, and then the fold (contract 3).
//!
//! The vendor sends no event id, so a fact is known by its fingerprint. Facts without a time of their own may have
//! equal bodies and still be two: then another fact of the same register lies between them.

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
use std::collections::HashMap;

/// The vendor's retries end 40 s after the first attempt.
const RETRIES: i64 = 60_000;

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
    /// Untimed facts by app and fingerprint: how many, and the line of the newest.
    copies: HashMap<(String, [u8; 32]), (usize, u64)>,
    /// Line of the newest fact of a register.
    set: HashMap<(String, &'static str, String), u64>,
}

impl Run {
    pub fn new(conn: &Connection) -> Result<Self, StoreError> {
        Ok(Self {
            started_at: log::newest_seq(conn)?,
            lines: 0,
            feeds: HashMap::new(),
            copies: HashMap::new(),
            set: HashMap::new(),
        })
    }

    /// Which one of several facts with this fingerprint it is, from 1: copies with no other fact of the register
    /// between them are one.
    fn nth(&mut self, envelope: &Envelope, refs: &[Ref]) -> usize {
        let registers = || {
            refs.iter().filter(|it| it.role != Role::About).map(|it| (envelope.app_id.clone(), it.kind, it.key.clone()))
        };
        let set = &self.set;
        let (n, line) = self.copies.entry((envelope.app_id.clone(), envelope.fingerprint)).or_insert((0, 0));
        if *n == 0 || registers().any(|register| set.get(&register).is_some_and(|newest| *newest > *line)) {
            *n += 1;
        }
        *line = self.lines;
        *n
    }

    fn note(&mut self, envelope: &Envelope, refs: &[Ref]) {
        for reference in refs.iter().filter(|reference| reference.role == Role::Sets) {
            self.set.insert((envelope.app_id.clone(), reference.kind, reference.key.clone()), self.lines);
        }
    }
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
    let known = known(conn, envelope, &refs, received_at, &mut source)?;
    let webhook_id = envelope.webhook_id.as_deref().unwrap_or("");
    let is_block = envelope.payload.as_ref().is_some_and(|payload| payload.is_block());
    if let Known::Again(equal) | Known::Reread(equal) = known {
        if matches!(known, Known::Again(_)) {
            log::repeat(conn, equal.seq, received_at)?;
            log::count(conn, &envelope.app_id, received_at, &envelope.trigger, "duplicate")?;
        }
        if is_block {
            log::tell(conn, &envelope.app_id, equal.seq, webhook_id)?;
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
        Source::Ingest { run, .. } => run.feeds.get(&envelope.app_id).copied().unwrap_or_default(),
    };
    let dated = feed.date(&clues);
    let seq = log::append(conn, envelope, received_at, &dated)?;
    if !envelope.trigger.starts_with(OWN) {
        let before = feed;
        feed.show(&clues);
        match source {
            Source::Http if feed != before => log::write_feed(conn, &envelope.app_id, &feed)?,
            Source::Http => {}
            Source::Ingest { run, .. } => {
                run.feeds.insert(envelope.app_id.clone(), feed);
            }
        }
    }
    if is_block {
        log::tell(conn, &envelope.app_id, seq, webhook_id)?;
    }
    let fact = Fact {
        seq,
        trigger: envelope.trigger.clone(),
        received_at,
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

fn known(
    conn: &Connection,
    envelope: &Envelope,
    refs: &[Ref],
    received_at: Time,
    source: &mut Source<'_>,
) -> Result<Known, StoreError> {
    let equals = log::equals(conn, &envelope.app_id, &envelope.fingerprint)?;
    let untimed = envelope.told_at.is_none() && !refs.is_empty();
    let known = match source {
        Source::Http if untimed => untimed_again(conn, envelope, refs, received_at, &equals)?,
        Source::Http => equals.last().map_or(Known::New, |equal| Known::Again(*equal)),
        Source::Ingest { run, bare } => {
            run.lines += 1;
            let known = in_file(conn, envelope, refs, received_at, &equals, run, *bare, untimed)?;
            run.note(envelope, refs);
            known
        }
    };
    Ok(known)
}

/// A line of a file: reading it twice changes nothing.
#[expect(clippy::too_many_arguments, reason = "the whole situation decides, and has no other use")]
fn in_file(
    conn: &Connection,
    envelope: &Envelope,
    refs: &[Ref],
    received_at: Time,
    equals: &[Equal],
    run: &mut Run,
    bare: bool,
    untimed: bool,
) -> Result<Known, StoreError> {
    let again = |equal: &Equal| if equal.seq <= run.started_at { Known::Reread(*equal) } else { Known::Again(*equal) };
    if !bare {
        let within = |equal: &&Equal| (equal.received_at..=equal.last_received_at).contains(&received_at);
        if let Some(equal) = equals.iter().find(within) {
            return Ok(again(equal));
        }
        let known = match equals.last() {
            Some(_) if untimed => untimed_again(conn, envelope, refs, received_at, equals)?,
            Some(equal) => Known::Again(*equal),
            None => Known::New,
        };
        // The row cannot tell that an earlier copy was counted, so it is not: reading it again must change nothing.
        return Ok(match known {
            Known::Again(equal) if received_at < equal.received_at => Known::Reread(equal),
            known => known,
        });
    }
    let Some(newest) = equals.last() else {
        run.nth(envelope, refs);
        return Ok(Known::New);
    };
    if !untimed {
        return Ok(again(newest));
    }
    let is_block = envelope.payload.as_ref().is_some_and(|payload| payload.is_block());
    let before = equals.iter().filter(|equal| equal.seq <= run.started_at).count();
    let started_at = run.started_at;
    let n = run.nth(envelope, refs);
    // The first ones of the run pair with those of the log from before; later ones with those it appended itself.
    let in_run = equals.iter().filter(|equal| equal.seq > started_at).collect::<Vec<_>>();
    Ok(match equals.get(n - 1).filter(|_| n <= before) {
        Some(equal) => Known::Reread(*equal),
        None => match in_run.get(n - 1 - before) {
            Some(equal) => Known::Again(**equal),
            None if is_block => Known::New,
            None => {
                if newest.seq <= started_at {
                    Known::Reread(*newest)
                } else {
                    Known::Again(*newest)
                }
            }
        },
    })
}

/// A fact without a time of its own, which may be told by equal bodies twice and be two.
fn untimed_again(
    conn: &Connection,
    envelope: &Envelope,
    refs: &[Ref],
    received_at: Time,
    equals: &[Equal],
) -> Result<Known, StoreError> {
    let Some(newest) = equals.last() else { return Ok(Known::New) };
    if !log::set_after(conn, &envelope.app_id, refs, newest.seq)? {
        return Ok(Known::Again(*newest));
    }
    if !envelope.payload.as_ref().is_some_and(|payload| payload.is_block()) {
        let retry = received_at.0 - newest.received_at.0 <= RETRIES;
        return Ok(if retry { Known::Again(*newest) } else { Known::New });
    }
    // A second webhook tells each block late; what it has not told yet it repeats, oldest first.
    let webhook_id = envelope.webhook_id.as_deref().unwrap_or("");
    for equal in equals.iter().filter(|equal| (received_at.0 - equal.received_at.0).abs() <= RETRIES) {
        if !log::told_by(conn, &envelope.app_id, equal.seq, webhook_id)? {
            return Ok(Known::Again(*equal));
        }
    }
    Ok(Known::New)
}
