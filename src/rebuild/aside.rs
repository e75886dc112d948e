//! The log folded into a file of its own, beside the one it is read from.

use super::chunk::Chunk;
use super::repeat::{self, Repeat};
use crate::batch::Batch;
use crate::change::{Change, Changes};
use crate::envelope::{self, Envelope, NotADelivery};
use crate::fold::{self, Verdict};
use crate::ids::Outcome;
use crate::part::Part;
use crate::store::StoreError;
use crate::store::sqlite::aside::{self as store, Assigned};
use crate::store::sqlite::delivery::{self, Further};
use crate::store::sqlite::events::Logged;
use crate::store::sqlite::retention;
use crate::store::sqlite::{self, App, Connection};
use crate::tables::horizon::Horizon;
use crate::trigger::family;
use std::path::{Path, PathBuf};

/// Damaged rows that are told one by one.
const TOLD: usize = 20;

/// Tables made of the log from its beginning up to a position. The file goes when this is dropped.
pub struct Aside {
    pub(super) conn: Connection,
    batch: Batch,
    path: PathBuf,
    /// The part of the tables that is folded. `None`: all tables.
    part: Option<Part>,
    repeat: Repeat,
    pending: usize,
    pending_bytes: usize,
    /// Log position up to which deliveries are taken.
    pub position: i64,
    /// Log position of the event folded last.
    pub seq: i64,
    pub events: u64,
    /// Something else became of an event than the log says.
    pub(super) is_judged_otherwise: bool,
    /// Rows of the log that are not what was received: the first of them, in words.
    pub damaged: Vec<String>,
}

impl Aside {
    /// Begins with empty tables in a new file at `path`, whatever was there. `log` is what will be folded: the horizons of
    /// messages that it tells count from the beginning.
    pub fn create(path: &Path, log: &Connection) -> Result<Self, StoreError> {
        Self::of_part(path, log, None)
    }

    /// The same, for a part of the tables.
    pub(super) fn of_part(path: &Path, log: &Connection, part: Option<Part>) -> Result<Self, StoreError> {
        remove(path)?;
        let mut options = std::fs::OpenOptions::new();
        // Chats are in it: made new, for its owner alone.
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map_err(|error| StoreError::Unusable(format!("cannot make {}: {error}", path.display())))?;
        let conn = store::create(path)?;
        Ok(Self {
            conn,
            batch: expecting(log)?,
            path: path.to_owned(),
            part,
            repeat: Repeat::default(),
            pending: 0,
            pending_bytes: 0,
            position: 0,
            seq: 0,
            events: 0,
            is_judged_otherwise: false,
            damaged: Vec::new(),
        })
    }

    /// Repeats append and fold for the rest of the log, none of it later than `until`.
    pub fn fold_rest(&mut self, log: &Connection, until: i64) -> Result<(), StoreError> {
        while let Some(chunk) = Chunk::read(log, self.position, until)? {
            self.fold(log, &chunk)?;
        }
        self.save(until)
    }

    /// Repeats append and fold for a chunk of the log, in the order of the positions. It is saved with the ones that follow.
    pub(super) fn fold(&mut self, log: &Connection, chunk: &Chunk) -> Result<(), StoreError> {
        if self.pending == 0 {
            sqlite::begin(&self.conn)?;
        }
        let mut further = chunk.further.iter().peekable();
        for (event, read) in &chunk.events {
            while let Some(it) = further.next_if(|it| it.position < event.fact.seq) {
                self.further(log, it)?;
            }
            self.event(log, event, read)?;
            self.seq = event.fact.seq;
            self.events += 1;
        }
        further.try_for_each(|it| self.further(log, it))?;
        self.position = chunk.until;
        self.pending += chunk.events.len() + chunk.further.len();
        self.pending_bytes += chunk.bytes;
        if self.batch.is_full(self.pending, self.pending_bytes) { self.save(chunk.until) } else { Ok(()) }
    }

    /// Saves what is folded. There are no more deliveries up to a log position.
    pub(super) fn save(&mut self, until: i64) -> Result<(), StoreError> {
        self.position = self.position.max(until);
        if self.pending > 0 {
            self.batch.save(&self.conn)?;
            sqlite::commit(&self.conn)?;
            (self.pending, self.pending_bytes) = (0, 0);
        }
        Ok(())
    }

    fn event(
        &mut self,
        log: &Connection,
        logged: &Logged,
        read: &Result<Envelope, NotADelivery>,
    ) -> Result<(), StoreError> {
        let seq = logged.fact.seq;
        if self.part.as_ref().is_some_and(|part| part.app_id != logged.app_id) {
            return Ok(());
        }
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(problem) => {
                self.damage(format!("events {seq}: the body is no delivery any more: {problem}"));
                return Ok(());
            }
        };
        for (column, differs) in logged.differs(envelope) {
            if differs && !(column == "webhook_id" && delivery::is_event(log, seq)?) {
                self.damage(format!("events {seq}: {column} is not what the body gives"));
            }
        }
        if logged.has_secret != envelope.has_secret {
            store::mark(&self.conn, seq, envelope.has_secret)?;
        }
        let fact = repeat::dated(&logged.fact, envelope.told_at);
        if let Some(told_at) = envelope.told_at.filter(|_| fact != logged.fact) {
            store::tell(&self.conn, seq, told_at)?;
        }
        let verdict = match repeat::told_before(log, logged, envelope, &fact)? {
            Some(first) => {
                let reason = Some(format!("the same fact as event {first}, as its time tells"));
                Verdict { outcome: Outcome::Ignored, reason }
            }
            None => fold::fold_part(&mut self.batch, &self.conn, envelope, &fact, self.part.as_ref())?,
        };
        self.is_judged_otherwise |= verdict.outcome != logged.outcome;
        if (verdict.outcome, &verdict.reason) != (logged.outcome, &logged.reason) {
            store::note(&self.conn, seq, &verdict)?;
        }
        if verdict.outcome == Outcome::Applied && logged.outcome != Outcome::Applied {
            self.repeat.learn(envelope);
        }
        Ok(())
    }

    /// A further delivery, whose body told no time when it came: it may be an event of its own.
    fn further(&mut self, log: &Connection, it: &Further) -> Result<(), StoreError> {
        let Some((envelope, assigned)) = self.repeat.decide(&self.batch, &self.conn, log, it)? else { return Ok(()) };
        let mut verdict = None;
        if assigned == it.position {
            let Some(fact) = repeat::event_of(it, &envelope) else { return Ok(()) };
            verdict = Some(fold::fold(&mut self.batch, &self.conn, &envelope, &fact)?);
            self.events += 1;
        }
        self.repeat.assign(it, assigned, &envelope);
        store::assign(&self.conn, &Assigned { position: it.position, seq: assigned, verdict })
    }

    fn damage(&mut self, words: String) {
        if self.damaged.len() < TOLD {
            self.damaged.push(words);
        }
    }
}

/// A batch that knows the horizons of messages which a log tells.
fn expecting(log: &Connection) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    for told in retention::told(log)? {
        let mut changes = Changes::default();
        if let Some(payload) = envelope::payload(&told.body) {
            payload.reduce(&told.fact, &mut changes);
        }
        for change in changes {
            if let Change::Horizon { family, before, last_id } = change
                && family == family::MESSAGE
            {
                batch.expect(&App::from(told.app_id.as_str()), Horizon { before, last_id });
            }
        }
    }
    Ok(batch)
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, "a file made to fold the log aside stays");
        }
    }
}

/// Removes what an earlier run left.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Unusable(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
