//! Events that are in the log and not in the tables yet. A thread of its own folds a large event, and the writer saves its
//! rows in pieces. Events of the same app that come meanwhile are folded behind it, in the order of the log.

use super::worker::{BATCH, BATCH_TIME, Worker};
use super::{Shared, lock};
use crate::large::{self, Appended, Folded, Limits};
use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::{self, events, unfinished};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;
use tokio::sync::oneshot;

/// Events of one app that may be unfinished. Further ones are refused.
pub(super) const BEHIND: usize = 4_096;

/// An event that is in the log and not finished.
pub(super) struct Unfinished {
    pub seq: i64,
    pub app: String,
    /// It is known to be large, and a part of it may be saved.
    pub is_large: bool,
    /// Who waits for its fold.
    pub waits: Option<oneshot::Sender<Appended>>,
}

/// Events that are not finished, oldest first, and how far the first of them is.
pub(super) struct Pieces {
    path: PathBuf,
    events: VecDeque<Unfinished>,
    /// How many there are of each app, those of the transaction at hand among them.
    by_app: HashMap<String, usize>,
    step: Step,
}

enum Step {
    Idle,
    Folding(Receiver<Result<Folded, StoreError>>),
    Saving(Box<Folded>),
    /// The first is to be folded at once, with those behind it, if it is not large.
    Following,
    /// The disk is full: the first is folded again once something is written.
    Stalled,
}

impl Pieces {
    /// What the last process that wrote the file left unfinished.
    pub fn left(path: PathBuf, conn: &sqlite::Connection, shared: &Shared) -> Result<Self, StoreError> {
        let left = unfinished::all(conn)?;
        if let Some((seq, _)) = left.first() {
            tracing::info!(seq, events = left.len(), "a crash left events unfinished: chatfold finishes them now");
        }
        let mut pieces = Self { path, events: VecDeque::new(), by_app: HashMap::new(), step: Step::Idle };
        for (nth, (seq, app)) in left.into_iter().enumerate() {
            // Only the first may be saved in part.
            let event = Unfinished { seq, app: app.to_string(), is_large: nth == 0, waits: None };
            pieces.hold(&event, shared);
            pieces.add(event);
        }
        Ok(pieces)
    }

    /// How many events of an app are not finished. A new event of the app has to stand behind them.
    pub fn behind(&self, app: &str) -> usize {
        self.by_app.get(app).copied().unwrap_or(0)
    }

    /// An event is in the log, and is not finished.
    pub fn hold(&mut self, event: &Unfinished, shared: &Shared) {
        lock(&shared.unfinished).insert(event.seq);
        *self.by_app.entry(event.app.clone()).or_default() += 1;
    }

    /// An event is finished, or its transaction was taken back.
    pub fn release(&mut self, event: &Unfinished, shared: &Shared) {
        lock(&shared.unfinished).remove(&event.seq);
        if let Some(left) = self.by_app.get_mut(&event.app) {
            *left -= 1;
            if *left == 0 {
                self.by_app.remove(&event.app);
            }
        }
    }

    /// An event that is held is committed.
    pub fn add(&mut self, event: Unfinished) {
        self.events.push_back(event);
    }

    /// Takes up the oldest event, unless one is at hand or a unit of work has its turn first.
    pub fn go_on(&mut self, shared: &Arc<Shared>) -> Result<(), StoreError> {
        if shared.queue.is_unit_due() {
            return Ok(());
        }
        let Some(event) = self.events.front().filter(|_| matches!(self.step, Step::Idle | Step::Stalled)) else {
            return Ok(());
        };
        if !event.is_large {
            self.step = Step::Following;
            shared.queue.folded();
            return Ok(());
        }
        let (path, seq, news) = (self.path.clone(), event.seq, Arc::clone(shared));
        let (send, folded) = sync_channel(1);
        shared.queue.folding();
        let fold = move || {
            let read = || {
                let conn = sqlite::open_again(&path)?;
                sqlite::keep_few_pages(&conn)?;
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
    /// Saves the next piece of the event at hand, or folds the events behind it. An error is returned only if going on is
    /// forbidden.
    pub(super) fn save_piece(&mut self) -> Result<(), StoreError> {
        let saved = if let Step::Following = self.pieces.step { self.follow_on() } else { self.try_piece() };
        match saved {
            Ok(finished) if finished.is_empty() => Ok(()),
            Ok(finished) => {
                let first: Vec<Unfinished> = self.pieces.events.drain(..finished.len()).collect();
                self.release(&first)?;
                for (event, appended) in first.into_iter().zip(finished) {
                    // A sender that has given up takes the retry's `duplicate`.
                    let _ = event.waits.map(|waits| waits.send(appended));
                }
                self.shared.queue.finished();
                self.pieces.go_on(&self.shared)
            }
            Err(error) if error.is_full() || error.is_busy() => {
                self.pieces.step = Step::Stalled;
                self.shared.queue.stalled();
                // The log has them.
                self.pieces.events.iter_mut().for_each(|event| event.waits = None);
                self.put_off(&error, None);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the event, if it is finished.
    fn try_piece(&mut self) -> Result<Vec<Appended>, StoreError> {
        if let Step::Folding(folded) = &self.pieces.step {
            let gone = || Err(StoreError::Unusable("the thread that folds ended".into()));
            self.pieces.step = Step::Saving(Box::new(folded.recv().unwrap_or_else(|_| gone())?));
        }
        let Step::Saving(folded) = &mut self.pieces.step else { return Ok(Vec::new()) };
        sqlite::begin(&self.conn)?;
        let saved = folded.save_piece(&self.conn, Limits::default())?;
        self.shared.place.check()?;
        sqlite::commit(&self.conn)?;
        if saved.is_some() {
            // Its rows were written past the rows in memory.
            self.batch.forget();
            // Giving back the memory of so many rows takes long.
            let folded = std::mem::replace(&mut self.pieces.step, Step::Idle);
            let _ = std::thread::Builder::new().spawn(move || drop(folded));
        }
        Ok(saved.into_iter().collect())
    }

    /// Folds the oldest events, up to the next large one, in one transaction. Gives what became of them.
    fn follow_on(&mut self) -> Result<Vec<Appended>, StoreError> {
        let (begun, mut finished) = (Instant::now(), Vec::new());
        sqlite::begin(&self.conn)?;
        for event in self.pieces.events.iter_mut().take(BATCH) {
            match large::follow(&mut self.batch, &self.conn, event.seq, Limits::default())? {
                Some(appended) => finished.push(appended),
                None => event.is_large = true,
            }
            if event.is_large || begun.elapsed() >= BATCH_TIME {
                break;
            }
        }
        self.batch.save(&self.conn)?;
        self.shared.place.check()?;
        sqlite::commit(&self.conn)?;
        self.recovered();
        self.pieces.step = Step::Idle;
        if finished.is_empty() {
            self.pieces.go_on(&self.shared)?;
        }
        Ok(finished)
    }

    /// Readers are told of events that are finished.
    fn release(&mut self, finished: &[Unfinished]) -> Result<(), StoreError> {
        finished.iter().for_each(|event| self.pieces.release(event, &self.shared));
        self.tell(events::newest_seq(&self.conn)?, true);
        Ok(())
    }

    /// Drops the events that a unit of work has finished.
    pub(super) fn drop_finished(&mut self) -> Result<(), StoreError> {
        if self.pieces.events.is_empty() || !unfinished::all(&self.conn)?.is_empty() {
            return Ok(());
        }
        self.pieces.step = Step::Idle;
        let finished = Vec::from(std::mem::take(&mut self.pieces.events));
        self.release(&finished)
    }
}
