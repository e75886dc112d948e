//! What waits for the writer: a line for each app, and the apps take turns.
//!
//! One delivery of each app that waits is taken after the other, so that an app with many deliveries, or with slow ones,
//! does not hold up the others. A line holds at most as much as is still free: however much one app sends, there is room
//! for another.
//!
//! A large body joins no transaction that has begun, and a small body has its turn after a large one: other apps do not
//! wait for the megabytes that one app sends. While a checkpoint is behind, only small bodies are taken that no large one
//! of their app stands before.
//!
//! While a large event is unfinished its pieces and the jobs take turns, and units of work wait until it is finished.

use super::Refusal;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that may wait.
const JOBS: usize = 8_192;
/// Bytes of bodies that may wait.
const BYTES: usize = 128 << 20;
/// A body of so many bytes is large.
pub const LARGE_BODY: usize = 512 << 10;

/// What a line holds.
pub(super) trait Queued {
    /// Bytes of the body.
    fn bytes(&self) -> usize;
}

/// Jobs by app, and units of work, which run between two batches.
pub(super) struct Queue<J, U> {
    state: Mutex<State<J, U>>,
    news: Condvar,
}

/// Whose line it is; `None`: it is the line of what belongs to no app. An app's id may be any text, the empty text too.
type Owner = Option<String>;

struct State<J, U> {
    lines: HashMap<Owner, Line<J>>,
    /// Whose lines there are, in the order of their turns.
    turns: VecDeque<Owner>,
    units: VecDeque<U>,
    /// A unit was taken last: the next turn is a job's.
    unit_was_last: bool,
    /// Units waited when the last large event was finished: one has its turn before the next large event.
    unit_is_due: bool,
    large: Large,
    /// A piece was taken last: the next turn is a job's.
    piece_was_last: bool,
    /// A large body was taken last: the next turn is a small one's.
    large_body_was_last: bool,
    /// Only small bodies are taken.
    held: bool,
    /// A checkpoint has ended.
    checkpointed: bool,
    jobs: usize,
    bytes: usize,
    tickets: u64,
    closed: bool,
}

/// The large event that is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Large {
    None,
    /// It is being folded.
    Folding,
    /// It is to be saved, piece by piece; or events behind it are to be folded, some at a time.
    Folded,
    /// It cannot be saved now.
    Stalled,
}

struct Line<J> {
    jobs: VecDeque<(u64, J)>,
    bytes: usize,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<J, U> {
    Job(J),
    Unit(U),
    /// Of the large event at hand.
    Piece,
    /// A checkpoint has ended.
    Checkpointed,
}

/// Where a job stands in the line of its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl<J: Queued, U> Queue<J, U> {
    pub fn new() -> Self {
        let state = State {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            units: VecDeque::new(),
            unit_was_last: false,
            unit_is_due: false,
            large: Large::None,
            piece_was_last: false,
            large_body_was_last: false,
            held: false,
            checkpointed: false,
            jobs: 0,
            bytes: 0,
            tickets: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), news: Condvar::new() }
    }

    /// Puts a job at the end of its app's line. Refused once the queue is closed, and where the line is full.
    pub fn push(&self, app: Option<&str>, job: J) -> Result<Ticket, Refusal> {
        let owner = app.map(str::to_owned);
        let mut state = self.lock();
        if state.closed {
            return Err(Refusal::NotWritten("the server is stopping"));
        }
        let bytes = job.bytes();
        let (jobs_free, bytes_free) = (JOBS - state.jobs, BYTES - state.bytes);
        let (jobs_held, bytes_held) = state.lines.get(&owner).map_or((0, 0), |line| (line.jobs.len(), line.bytes));
        if jobs_held >= jobs_free || bytes_held + bytes > bytes_free {
            return Err(Refusal::NotWritten("the queue is full"));
        }
        state.tickets += 1;
        state.jobs += 1;
        state.bytes += bytes;
        let ticket = state.tickets;
        if jobs_held == 0 {
            state.turns.push_back(owner.clone());
        }
        let line = state.lines.entry(owner).or_insert_with(|| Line { jobs: VecDeque::new(), bytes: 0 });
        line.jobs.push_back((ticket, job));
        line.bytes += bytes;
        drop(state);
        self.news.notify_one();
        Ok(Ticket(ticket))
    }

    /// Takes a job out of its line, if it still waits there.
    pub fn give_up(&self, app: Option<&str>, ticket: Ticket) -> bool {
        let mut state = self.lock();
        let owner = app.map(str::to_owned);
        let found = state.lines.get_mut(&owner).and_then(|line| {
            let place = line.jobs.binary_search_by_key(&ticket.0, |(ticket, _)| *ticket).ok()?;
            line.jobs.remove(place)
        });
        let Some((_, job)) = found else { return false };
        state.left(&owner, job.bytes());
        true
    }

    /// Puts a unit of work behind those that wait. False once the queue is closed.
    pub fn push_unit(&self, unit: U) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.units.push_back(unit);
        drop(state);
        self.news.notify_one();
        true
    }

    /// Waits for a job, a unit, a piece or the end of a checkpoint. Jobs, units and pieces take turns. `None` once the
    /// queue is closed and nothing more can be done.
    pub fn next(&self) -> Option<Next<J, U>> {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.checkpointed) {
                return Some(Next::Checkpointed);
            }
            let is_piece = state.large == Large::Folded && !state.held;
            if is_piece && !state.piece_was_last {
                state.piece_was_last = true;
                return Some(Next::Piece);
            }
            let jobs_turn = state.unit_was_last && state.jobs > 0;
            if state.large == Large::None && !state.units.is_empty() && !jobs_turn && !state.held {
                (state.unit_was_last, state.unit_is_due) = (true, false);
                return state.units.pop_front().map(Next::Unit);
            }
            let small_first = state.large_body_was_last || state.held;
            let small = if small_first { state.take_small() } else { None };
            if let Some(job) = small.or_else(|| if state.held { None } else { state.take() }) {
                (state.unit_was_last, state.piece_was_last) = (false, false);
                state.large_body_was_last = is_large(&job);
                return Some(Next::Job(job));
            }
            if is_piece {
                return Some(Next::Piece);
            }
            if state.closed && state.large != Large::Folding && !state.held {
                return None;
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job with a small body, if one waits. A unit that waits has its turn after the batch: where each batch took
    /// one job for each of many units, deliveries would come faster than they are taken.
    pub fn more(&self) -> Option<J> {
        self.lock().take_small()
    }

    /// Takes every job.
    pub fn drain(&self) -> Vec<J> {
        let mut state = self.lock();
        std::iter::from_fn(|| state.take()).collect()
    }

    /// Whether only small bodies are taken from now on.
    pub fn hold(&self, held: bool) {
        self.lock().held = held;
    }

    /// A checkpoint has ended.
    pub fn checkpointed(&self) {
        self.lock().checkpointed = true;
        self.news.notify_all();
    }

    /// A large event is being folded.
    pub fn folding(&self) {
        self.lock().large = Large::Folding;
    }

    /// It is folded: pieces of it have their turns.
    pub fn folded(&self) {
        self.lock().large = Large::Folded;
        self.news.notify_all();
    }

    /// It cannot be saved now.
    pub fn stalled(&self) {
        self.lock().large = Large::Stalled;
    }

    /// It is finished.
    pub fn finished(&self) {
        let mut state = self.lock();
        (state.large, state.unit_is_due) = (Large::None, !state.units.is_empty());
    }

    /// Whether the next large event has to wait for a unit's turn: those who send large events without end would keep
    /// units waiting for ever.
    pub fn is_unit_due(&self) -> bool {
        self.lock().unit_is_due
    }

    /// From now on nothing is taken in; what waits is still to be had.
    pub fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    /// Closes the queue and drops what waits: who waits for an answer hears that none comes.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let left = (std::mem::take(&mut state.lines), std::mem::take(&mut state.units));
        state.turns.clear();
        (state.jobs, state.bytes) = (0, 0);
        drop(state);
        drop(left);
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        self.lock().jobs
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The state stays meaningful whatever panicked while holding it.
    fn lock(&self) -> MutexGuard<'_, State<J, U>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Queued, U> State<J, U> {
    /// The first job of the line whose turn it is; the line then comes last.
    fn take(&mut self) -> Option<J> {
        self.take_of(0)
    }

    /// The same, of the first line that begins with a small body.
    fn take_small(&mut self) -> Option<J> {
        let is_small = |owner: &Owner| {
            let first = self.lines.get(owner).and_then(|line| line.jobs.front());
            first.is_some_and(|(_, job)| !is_large(job))
        };
        self.take_of(self.turns.iter().position(is_small)?)
    }

    fn take_of(&mut self, turn: usize) -> Option<J> {
        let owner = self.turns.remove(turn)?;
        let (_, job) = self.lines.get_mut(&owner)?.jobs.pop_front()?;
        self.turns.push_back(owner.clone());
        self.left(&owner, job.bytes());
        Some(job)
    }

    /// A job has left its line.
    fn left(&mut self, owner: &Owner, bytes: usize) {
        self.jobs -= 1;
        self.bytes -= bytes;
        let Some(line) = self.lines.get_mut(owner) else { return };
        line.bytes -= bytes;
        if line.jobs.is_empty() {
            self.lines.remove(owner);
            self.turns.retain(|other| other != owner);
        }
    }
}

fn is_large(job: &impl Queued) -> bool {
    job.bytes() >= LARGE_BODY
}

#[cfg(test)]
mod tests;
