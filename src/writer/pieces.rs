//! Large events: the app's line is held, a thread of its own folds the event, and the writer saves its rows in pieces.

use super::worker::Worker;
use super::{Refusal, Reply, Shared, lock};
use crate::large::{self, Folded, Limits};
use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::{self, unfinished};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// A large event that is in the log and not finished.
pub(super) struct Unfinished {
    pub seq: i64,
    pub app: String,
    /// `None`: nobody waits for it any more.
    pub reply: Option<Reply>,
}

/// Large events that are not finished, oldest first, and how far the first of them is.
pub(super) struct Pieces {
    path: PathBuf,
    events: VecDeque<Unfinished>,
    step: Step,
}

enum Step {
    Idle,
    Folding(Receiver<Result<Folded, StoreError>>),
    Saving(Box<Folded>),
    /// The disk is full: it is folded again once something is written.
    Stalled,
}

impl Pieces {
    /// What the last process that wrote the file left unfinished.
    pub fn left(path: PathBuf, conn: &sqlite::Connection, shared: &Shared) -> Result<Self, StoreError> {
        let left = unfinished::all(conn)?;
        let events = left.into_iter().map(|(seq, app)| {
            tracing::info!(seq, "a crash left a large event unfinished: chatfold finishes the event now");
            shared.hold(seq, &app);
            Unfinished { seq, app: app.to_string(), reply: None }
        });
        Ok(Self { path, events: events.collect(), step: Step::Idle })
    }

    /// A large event is committed.
    pub fn add(&mut self, event: Unfinished) {
        self.events.push_back(event);
    }

    /// Begins to fold the oldest event, unless one is at hand or a unit of work has its turn first.
    pub fn go_on(&mut self, shared: &Arc<Shared>) -> Result<(), StoreError> {
        if shared.queue.is_unit_due() {
            return Ok(());
        }
        let Some(event) = self.events.front().filter(|_| matches!(self.step, Step::Idle | Step::Stalled)) else {
            return Ok(());
        };
        let (path, seq, news) = (self.path.clone(), event.seq, Arc::clone(shared));
        let (send, folded) = sync_channel(1);
        shared.queue.folding();
        let fold = move || {
            let read = || {
                let conn = sqlite::open_again(&path)?;
                sqlite::begin_read(&conn)?;
                large::fold(&conn, seq)
            };
            let folded = panics::caught(read)
                .unwrap_or_else(|panicked| Err(StoreError::Unusable(format!("the fold beside failed: {panicked}"))));
            // Nobody takes it where the writer has ended.
            let _ = send.send(folded);
            news.queue.folded();
        };
        let thread = std::thread::Builder::new().name("large event".into()).spawn(fold);
        thread.map_err(|error| StoreError::Unusable(format!("cannot start a thread: {error}")))?;
        self.step = Step::Folding(folded);
        Ok(())
    }
}

impl Worker {
    /// Saves the next piece of the event at hand. An error is returned only if going on is forbidden.
    pub(super) fn save_piece(&mut self) -> Result<(), StoreError> {
        let saved = self.try_piece();
        match saved {
            Ok(None) => Ok(()),
            Ok(Some(appended)) => {
                // Its rows were written past the rows in memory.
                self.batch.forget();
                // Giving back the memory of so many rows takes long.
                let folded = std::mem::replace(&mut self.pieces.step, Step::Idle);
                let _ = std::thread::Builder::new().spawn(move || drop(folded));
                self.shared.queue.finished();
                if let Some(event) = self.pieces.events.pop_front() {
                    self.shared.release(event.seq, &event.app);
                    self.tell(sqlite::events::newest_seq(&self.conn)?, true);
                    // A sender that has given up takes the retry's `duplicate`.
                    if let Some(reply) = event.reply {
                        let _ = reply.send(Ok(appended));
                    }
                }
                self.pieces.go_on(&self.shared)
            }
            Err(error) if error.is_full() || error.is_busy() => {
                self.pieces.step = Step::Stalled;
                self.shared.queue.stalled();
                if let Some(reply) = self.pieces.events.front_mut().and_then(|event| event.reply.take()) {
                    // The log has it.
                    let _ = reply.send(Err(Refusal::Unknown));
                }
                self.put_off(&error, None);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn try_piece(&mut self) -> Result<Option<large::Appended>, StoreError> {
        if let Step::Folding(folded) = &self.pieces.step {
            let gone = || Err(StoreError::Unusable("the thread that folds ended".into()));
            self.pieces.step = Step::Saving(Box::new(folded.recv().unwrap_or_else(|_| gone())?));
        }
        let Step::Saving(folded) = &mut self.pieces.step else { return Ok(None) };
        sqlite::begin(&self.conn)?;
        let saved = folded.save_piece(&self.conn, Limits::default())?;
        self.shared.place.check()?;
        sqlite::commit(&self.conn)?;
        Ok(saved)
    }
}

impl Shared {
    /// No delivery of the app is taken until the event is finished.
    pub(super) fn hold(&self, seq: i64, app: &str) {
        lock(&self.unfinished).insert(seq);
        self.queue.hold(app);
    }

    pub(super) fn release(&self, seq: i64, app: &str) {
        lock(&self.unfinished).remove(&seq);
        self.queue.release(app);
    }
}
