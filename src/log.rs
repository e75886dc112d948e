//! Appends to the log. First: is the fact known already? Then: when did it happen? Then the fold (contract 3).
//!
//! The vendor sends no event id, so a fact is known by its fingerprint. Two facts without a time may have equal bodies.
//! They count as two if another fact of the same register lies between them and the webhook that sends the second has
//! sent the first.

mod run;

pub use run::Run;

use crate::batch::Batch;
use crate::clock;
use crate::envelope::{Envelope, OWN};
use crate::feed::{Clues, Feed};
use crate::fold::{self, Verdict};
use crate::ids::{Outcome, Time};
use crate::late;
use crate::merge::Fact;
use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::delivery::{self, Further};
use crate::store::sqlite::events::{self, Equal};
use crate::store::sqlite::retention;
use crate::store::sqlite::{App, Connection, RefKey};
use crate::trigger::{Ref, Role};

/// Another webhook's copy of a fact arrives at most this long after the first delivery: the vendor's retries end after
/// 40 s.
pub const COPIES: u64 = 60_000;

/// The result of appending a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Log position of the fact. For a duplicate, that of the first delivery.
    pub seq: i64,
    /// What the fold did with the fact. A duplicate delivery changes nothing.
    pub outcome: Outcome,
    pub duplicate: bool,
}

/// Where a delivery comes from.
pub enum Source<'a> {
    /// Posted now.
    Http,
    /// The same, from a shared log that was written anew: the delivery tells the event at this log position.
    Decided(i64),
    /// A line of a file. `bare`: the line does not tell when the delivery was received.
    Ingest { run: &'a mut Run, bare: bool },
}

/// Registers of a fact. A fact of the same register between two equal bodies makes them two facts.
pub fn registers(app: &App, refs: &[Ref]) -> impl Iterator<Item = RefKey> {
    refs.iter().filter(|it| it.role != Role::About).map(|it| (App::clone(app), it.kind, it.key.clone()))
}

fn webhook_id(envelope: &Envelope) -> &str {
    envelope.webhook_id.as_deref().unwrap_or("")
}

/// What the log already holds of a delivery.
enum Known {
    New,
    /// The fact was delivered once more.
    Again(Equal),
    /// The fact was read once more from a file. That is not a delivery.
    Reread(Equal),
}

/// Appends one delivery inside the caller's transaction: log row and tables are committed together or not at all.
pub fn append(
    batch: &mut Batch,
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
    source: Source<'_>,
) -> Result<Appended, StoreError> {
    let settle = |batch: &mut Batch, envelope: &Envelope, fact: &Fact| settle(batch, conn, envelope, fact);
    enter(batch, conn, envelope, received_at, source, settle)
}

/// Folds a new event, and keeps its outcome.
pub fn settle(batch: &mut Batch, conn: &Connection, envelope: &Envelope, fact: &Fact) -> Result<Appended, StoreError> {
    let Verdict { outcome, reason } = fold::fold(batch, conn, envelope, fact)?;
    if outcome != envelope.outcome {
        events::judge(conn, fact.seq, outcome, reason.as_deref())?;
    }
    batch.count(&App::from(envelope.app_id.as_str()), fact.received_at, &envelope.trigger, outcome.as_str());
    Ok(Appended { seq: fact.seq, outcome, duplicate: false })
}

/// Gives a delivery its row of the log, and passes a new event to `fold`. If this panics, the delivery is a dead
/// letter: only its row is kept.
pub fn enter<T: From<Appended>>(
    batch: &mut Batch,
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
    mut source: Source<'_>,
    fold: impl FnOnce(&mut Batch, &Envelope, &Fact) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let replay = matches!(source, Source::Ingest { bare: true, .. });
    let late = late::redacted(batch, conn, envelope, received_at, replay)?;
    let envelope = late.as_ref().unwrap_or(envelope);
    let app = App::from(envelope.app_id.as_str());
    let dead;
    let (envelope, delivery) = match panics::caught(|| Delivery::read(&app, envelope, received_at)) {
        Ok(delivery) => (envelope, delivery),
        Err(panicked) => {
            let reason = format!("append failed: {panicked}");
            tracing::error!(trigger = envelope.trigger, reason, "kept as a dead letter");
            dead = envelope.as_dead_letter(reason);
            (&dead, Delivery::read(&app, &dead, received_at))
        }
    };
    if let Some(seq) = retention::cut_before(conn, envelope)? {
        batch.count(&app, received_at, &envelope.trigger, "duplicate");
        return Ok(Appended { seq, outcome: Outcome::Ignored, duplicate: true }.into());
    }
    let (equal, counts) = match delivery.known(batch, conn, &mut source)? {
        Known::New => (None, true),
        Known::Again(equal) => (Some(equal), true),
        Known::Reread(equal) => (Some(equal), false),
    };
    if let Some(equal) = equal {
        if counts {
            delivery.repeat(batch, conn, equal.seq, &source)?;
            batch.count(&app, received_at, &envelope.trigger, "duplicate");
        }
        delivery.note(equal.seq, false, source);
        return Ok(Appended { seq: equal.seq, outcome: equal.outcome, duplicate: true }.into());
    }
    let clues = delivery.clues(&source);
    let before = delivery.feed(batch, conn, &source)?;
    let dated = before.date(&clues);
    let seq = batch.next_seq(conn, &app, delivery.show(&before, &clues, &mut source))?;
    events::append(conn, seq, envelope, received_at, &dated)?;
    delivery.note(seq, true, source);
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
    fold(batch, envelope, &fact)
}

/// Whether only the tables can tell if a posted delivery is new: the log holds equal bodies, and the events between may make
/// this one another fact.
pub fn asks_tables(
    batch: &mut Batch,
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
) -> Result<bool, StoreError> {
    let late = late::redacted(batch, conn, envelope, received_at, false)?;
    let envelope = late.as_ref().unwrap_or(envelope);
    let app = App::from(envelope.app_id.as_str());
    // What panics is a dead letter, which names no register.
    let Ok(delivery) = panics::caught(|| Delivery::read(&app, envelope, received_at)) else { return Ok(false) };
    Ok(delivery.is_untimed() && !delivery.equals(conn)?.is_empty())
}

/// A delivery to be appended.
struct Delivery<'a> {
    app: &'a App,
    envelope: &'a Envelope,
    /// Empty unless the delivery is to be folded.
    refs: Vec<Ref>,
    not_before: Option<Time>,
    received_at: Time,
}

impl<'a> Delivery<'a> {
    fn read(app: &'a App, envelope: &'a Envelope, received_at: Time) -> Self {
        let payload = envelope.payload.as_ref();
        Self {
            app,
            envelope,
            refs: payload.filter(|_| envelope.outcome == Outcome::Applied).map(|it| it.refs()).unwrap_or_default(),
            not_before: payload.and_then(|payload| payload.not_before()),
            received_at,
        }
    }

    /// Whether the fact has no time of its own. Then equal bodies may be two facts.
    fn is_untimed(&self) -> bool {
        self.envelope.told_at.is_none() && !self.refs.is_empty()
    }

    /// What the log already holds of it.
    fn known(&self, batch: &Batch, conn: &Connection, source: &mut Source<'_>) -> Result<Known, StoreError> {
        match source {
            Source::Http if self.is_untimed() => self.untimed_again(batch, conn),
            Source::Http => Ok(self.first(conn)?.map_or(Known::New, Known::Again)),
            Source::Decided(at) => {
                Ok(self.equals(conn)?.into_iter().find(|it| it.seq == *at).map_or(Known::New, Known::Again))
            }
            Source::Ingest { run, bare } => {
                run.lines += 1;
                if *bare { self.in_bare_file(conn, run) } else { self.in_file(batch, conn, run) }
            }
        }
    }

    /// What the delivery says about time.
    fn clues(&self, source: &Source<'_>) -> Clues {
        Clues {
            told: self.envelope.told_at,
            newest: self.envelope.newest,
            not_before: self.not_before,
            received_at: self.received_at,
            replay: matches!(source, Source::Ingest { bare: true, .. }),
        }
    }

    /// What the feed of the delivery has shown before it.
    fn feed(&self, batch: &mut Batch, conn: &Connection, source: &Source<'_>) -> Result<Feed, StoreError> {
        match source {
            Source::Http | Source::Decided(_) => batch.feed(conn, self.app),
            Source::Ingest { run, .. } => Ok(run.feeds.get(self.app).cloned().unwrap_or_default()),
        }
    }

    /// Teaches the feed a new event. Gives the feed of the app's HTTP deliveries if that changed.
    fn show(&self, before: &Feed, clues: &Clues, source: &mut Source<'_>) -> Option<Feed> {
        if self.envelope.trigger.starts_with(OWN) {
            return None;
        }
        let mut feed = before.clone();
        feed.show(clues);
        clock::tell_offset(self.app, before.offset(), feed.offset());
        match source {
            Source::Http | Source::Decided(_) => Some(feed),
            Source::Ingest { run, .. } => {
                run.feeds.insert(App::clone(self.app), feed);
                None
            }
        }
    }

    /// Keeps a further delivery of the event at a log position, and what a rebuild needs to decide the same again.
    fn repeat(&self, batch: &mut Batch, conn: &Connection, seq: i64, source: &Source<'_>) -> Result<(), StoreError> {
        let clues = self.clues(source);
        let dated = match clues.told {
            Some(_) => None,
            None => Some(self.feed(batch, conn, source)?.date(&clues)),
        };
        let position = batch.next_position(conn)?;
        let webhook_id = self.envelope.webhook_id.clone();
        let further = Further { position, seq, webhook_id, received_at: self.received_at, bare: clues.replay, dated };
        delivery::add(conn, &further)?;
        events::repeat(conn, seq, self.received_at)
    }

    /// Notes in the run that it has read the fact at a log position, as a new event or once more.
    fn note(&self, seq: i64, is_new: bool, source: Source<'_>) {
        if let Source::Ingest { run, .. } = source {
            run.note(self.app, &self.refs, seq, is_new);
        }
    }

    fn equals(&self, conn: &Connection) -> Result<Vec<Equal>, StoreError> {
        events::equals(conn, self.app, &self.envelope.fingerprint, self.envelope.told_at)
    }

    /// The event that a body with a time of its own repeats.
    fn first(&self, conn: &Connection) -> Result<Option<Equal>, StoreError> {
        Ok(self.equals(conn)?.into_iter().next())
    }

    /// A line of a file that tells when it was received: reading it twice changes nothing.
    fn in_file(&self, batch: &Batch, conn: &Connection, run: &Run) -> Result<Known, StoreError> {
        let equals = self.equals(conn)?;
        for equal in &equals {
            if self.is_held_by(equal, conn)? {
                return Ok(run.again(equal.clone()));
            }
        }
        let known = if self.is_untimed() {
            self.untimed_again(batch, conn)?
        } else {
            equals.into_iter().next().map_or(Known::New, Known::Again)
        };
        // The row cannot tell that an earlier copy was counted, so it is not: reading it again must change nothing.
        Ok(match known {
            Known::Again(equal) if self.received_at < equal.received_at => Known::Reread(equal),
            known => known,
        })
    }

    /// Whether the log holds this delivery already, for a line that tells when it was received. Equal bodies without a
    /// time may be two facts, so only the line's own time and webhook decide.
    fn is_held_by(&self, equal: &Equal, conn: &Connection) -> Result<bool, StoreError> {
        if !self.is_untimed() {
            return Ok((equal.received_at..=equal.last_received_at).contains(&self.received_at));
        }
        let webhook_id = webhook_id(self.envelope);
        let is_first = equal.received_at == self.received_at && equal.webhook_id == webhook_id;
        Ok(is_first || delivery::told_at(conn, equal.seq, webhook_id, self.received_at)?)
    }

    /// A line of a file that is the body alone. The n-th such fact of the run is the n-th that the log held before the
    /// run, and only further ones are new.
    fn in_bare_file(&self, conn: &Connection, run: &mut Run) -> Result<Known, StoreError> {
        if !self.is_untimed() {
            return Ok(self.first(conn)?.map_or(Known::New, |equal| run.again(equal)));
        }
        let equals = self.equals(conn)?;
        let n = run.nth(self.app, self.envelope, &self.refs);
        Ok(equals.into_iter().nth(n).map_or(Known::New, |equal| run.again(equal)))
    }

    fn untimed_again(&self, batch: &Batch, conn: &Connection) -> Result<Known, StoreError> {
        let (equals, webhook_id) = (self.equals(conn)?, webhook_id(self.envelope));
        let repeated = repeated(
            equals.last(),
            equals.iter().filter(|equal| self.received_at.0.abs_diff(equal.received_at.0) <= COPIES),
            |newest| batch.set_after(conn, self.app, &self.refs, newest.seq),
            |equal| Ok(equal.webhook_id == webhook_id || delivery::told_by(conn, equal.seq, webhook_id)?),
        )?;
        Ok(repeated.map_or(Known::New, |equal| Known::Again(equal.clone())))
    }
}

/// Which of several equal facts without a time a further body tells. `None`: the body is a fact of its own.
///
/// The body tells the newest of them, unless another fact of their register came since. In that case it tells the
/// oldest of the `copied` facts that its webhook has not told yet: some webhooks deliver everything once more, late.
/// `copied` holds the facts that may be told so late.
pub fn repeated<'a>(
    newest: Option<&'a Equal>,
    copied: impl IntoIterator<Item = &'a Equal>,
    set_after: impl FnOnce(&Equal) -> Result<bool, StoreError>,
    told: impl Fn(&Equal) -> Result<bool, StoreError>,
) -> Result<Option<&'a Equal>, StoreError> {
    let Some(newest) = newest else { return Ok(None) };
    if !set_after(newest)? {
        return Ok(Some(newest));
    }
    for equal in copied {
        if !told(equal)? {
            return Ok(Some(equal));
        }
    }
    Ok(None)
}
