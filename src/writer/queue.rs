//! What waits for the writer: a line for each app, and the apps take turns.
//!
//! One delivery of each app that waits is taken after the other, so that an app with many deliveries, or with slow ones,
//! does not hold up the others. A line holds at most as much as is still free: however much one app sends, there is room
//! for another.
//!
//! While a large event is unfinished the line of its app is held: what is in it waits. The pieces of the event and the jobs
//! of other apps take turns, and units of work wait until it is finished.

use super::Refusal;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that may wait.
const JOBS: usize = 8_192;
/// Bytes of bodies that may wait.
const BYTES: usize = 128 << 20;

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

struct State<J, U> {
    lines: HashMap<String, Line<J>>,
    /// The apps that have a line, in the order of their turns.
    turns: VecDeque<String>,
    units: VecDeque<U>,
    /// A unit was taken last: the next turn is a job's.
    unit_was_last: bool,
    /// Apps of which no job is taken.
    held: HashSet<String>,
    large: Large,
    /// A piece was taken last: the next turn is a job's.
    piece_was_last: bool,
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
    /// It is to be saved, piece by piece.
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
            held: HashSet::new(),
            large: Large::None,
            piece_was_last: false,
            jobs: 0,
            bytes: 0,
            tickets: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), news: Condvar::new() }
    }

    /// Puts a job at the end of its app's line. Refused once the queue is closed, and where the line is full.
    pub fn push(&self, app: &str, job: J) -> Result<Ticket, Refusal> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refusal::NotWritten("the server is stopping"));
        }
        let bytes = job.bytes();
        let (jobs_free, bytes_free) = (JOBS - state.jobs, BYTES - state.bytes);
        let (jobs_held, bytes_held) = state.lines.get(app).map_or((0, 0), |line| (line.jobs.len(), line.bytes));
        if jobs_held >= jobs_free || bytes_held + bytes > bytes_free {
            return Err(Refusal::NotWritten("the queue is full"));
        }
        state.tickets += 1;
        state.jobs += 1;
        state.bytes += bytes;
        let ticket = state.tickets;
        if jobs_held == 0 {
            state.turns.push_back(app.to_owned());
        }
        let line = state.lines.entry(app.to_owned()).or_insert_with(|| Line { jobs: VecDeque::new(), bytes: 0 });
        line.jobs.push_back((ticket, job));
        line.bytes += bytes;
        drop(state);
        self.news.notify_one();
        Ok(Ticket(ticket))
    }

    /// Takes a job out of its line, if it still waits there.
    pub fn give_up(&self, app: &str, ticket: Ticket) -> bool {
        let mut state = self.lock();
        let found = state.lines.get_mut(app).and_then(|line| {
            let place = line.jobs.binary_search_by_key(&ticket.0, |(ticket, _)| *ticket).ok()?;
            line.jobs.remove(place)
        });
        let Some((_, job)) = found else { return false };
        state.left(app, job.bytes());
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

    /// Waits for a job, a unit or a piece; they take turns. `None` once the queue is closed and nothing more can be done.
    pub fn next(&self) -> Option<Next<J, U>> {
        let mut state = self.lock();
        loop {
            let is_piece = state.large == Large::Folded;
            if is_piece && !state.piece_was_last {
                state.piece_was_last = true;
                return Some(Next::Piece);
            }
            let jobs_turn = state.unit_was_last && state.jobs > 0;
            if state.large == Large::None && !state.units.is_empty() && !jobs_turn {
                state.unit_was_last = true;
                return state.units.pop_front().map(Next::Unit);
            }
            if let Some(job) = state.take() {
                (state.unit_was_last, state.piece_was_last) = (false, false);
                return Some(Next::Job(job));
            }
            if is_piece {
                return Some(Next::Piece);
            }
            if state.closed && state.large != Large::Folding {
                return None;
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job, if one waits. A unit that waits has its turn after the batch: where each batch took one job for each
    /// of many units, deliveries would come faster than they are taken.
    pub fn more(&self) -> Option<J> {
        self.lock().take()
    }

    /// Takes every job, those of held lines too.
    pub fn drain(&self) -> Vec<J> {
        let mut state = self.lock();
        let held = std::mem::take(&mut state.held);
        let jobs = std::iter::from_fn(|| state.take()).collect();
        state.held = held;
        jobs
    }

    /// From now on no job of this app is taken.
    pub fn hold(&self, app: &str) {
        self.lock().held.insert(app.to_owned());
    }

    /// Jobs of this app are taken again.
    pub fn release(&self, app: &str) {
        self.lock().held.remove(app);
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
        self.lock().large = Large::None;
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

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The state stays meaningful whatever panicked while holding it.
    fn lock(&self) -> MutexGuard<'_, State<J, U>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Queued, U> State<J, U> {
    /// The first job of the app whose turn it is and whose line is not held; the app then comes last.
    fn take(&mut self) -> Option<J> {
        let place = self.turns.iter().position(|app| !self.held.contains(app))?;
        let app = self.turns.remove(place)?;
        let (_, job) = self.lines.get_mut(&app)?.jobs.pop_front()?;
        self.turns.push_back(app.clone());
        self.left(&app, job.bytes());
        Some(job)
    }

    /// A job of this app has left its line.
    fn left(&mut self, app: &str, bytes: usize) {
        self.jobs -= 1;
        self.bytes -= bytes;
        let Some(line) = self.lines.get_mut(app) else { return };
        line.bytes -= bytes;
        if line.jobs.is_empty() {
            self.lines.remove(app);
            self.turns.retain(|other| other != app);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Body(&'static str, usize);

    impl Queued for Body {
        fn bytes(&self) -> usize {
            self.1
        }
    }

    fn queue(jobs: &[(&str, &'static str)]) -> Queue<Body, u8> {
        let queue = Queue::new();
        for (app, body) in jobs {
            queue.push(app, Body(body, 1)).unwrap();
        }
        queue
    }

    fn taken(queue: &Queue<Body, u8>) -> Vec<&'static str> {
        queue.drain().into_iter().map(|body| body.0).collect()
    }

    #[test]
    fn apps_take_turns_and_each_keeps_its_order() {
        let queue = queue(&[("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("c", "c2")]);
        assert_eq!(taken(&queue), ["a1", "b1", "c1", "a2", "c2", "a3"]);
    }

    #[test]
    fn the_turn_goes_on_where_it_stopped() {
        let queue = queue(&[("a", "a1"), ("a", "a2"), ("b", "b1")]);
        assert_eq!(queue.more(), Some(Body("a1", 1)));
        queue.push("a", Body("a3", 1)).unwrap();
        assert_eq!(taken(&queue), ["b1", "a2", "a3"]);
    }

    #[test]
    fn who_gives_up_leaves_room() {
        let queue = queue(&[("a", "a1")]);
        let large = queue.push("a", Body("large", BYTES / 2 - 1)).unwrap();
        assert!(queue.push("a", Body("too much", 2)).is_err());
        assert!(queue.give_up("a", large));
        assert!(!queue.give_up("a", large), "nobody leaves twice");
        queue.push("a", Body("a2", BYTES / 2 - 1)).unwrap();
        assert_eq!(taken(&queue), ["a1", "a2"]);
        assert!(!queue.give_up("a", large));
    }

    #[test]
    fn an_app_that_fills_its_line_leaves_room_for_others() {
        let queue = queue(&[]);
        let fill = |app: &str, bytes: usize| (0..).take_while(|_| queue.push(app, Body("x", bytes)).is_ok()).count();
        assert_eq!(fill("a", 1), JOBS / 2);
        assert_eq!(fill("b", 1), JOBS / 4);
        assert_eq!(fill("c", 1), JOBS / 8);
        assert_eq!(queue.drain().len(), JOBS / 2 + JOBS / 4 + JOBS / 8);
        assert_eq!(fill("a", 2 << 20), BYTES / (2 << 20) / 2);
        assert_eq!(fill("b", 2 << 20), BYTES / (2 << 20) / 4);
    }

    #[test]
    fn units_and_jobs_take_turns() {
        let queue = queue(&[("a", "a1"), ("a", "a2")]);
        assert!([1, 2, 3].into_iter().all(|unit| queue.push_unit(unit)));
        queue.close();
        let order: Vec<String> = std::iter::from_fn(|| queue.next())
            .map(|next| match next {
                Next::Job(body) => body.0.to_owned(),
                Next::Unit(unit) => unit.to_string(),
                Next::Piece => "piece".to_owned(),
            })
            .collect();
        assert_eq!(order, ["1", "a1", "2", "a2", "3"]);
        assert!(!queue.push_unit(4) && queue.push("a", Body("late", 1)).is_err());
    }

    #[test]
    fn a_batch_takes_all_jobs_that_wait_whatever_units_wait() {
        let queue = queue(&[("a", "a1"), ("a", "a2"), ("b", "b1")]);
        assert!([1, 2].into_iter().all(|unit| queue.push_unit(unit)));
        assert_eq!(queue.next(), Some(Next::Unit(1)));
        assert_eq!(queue.next(), Some(Next::Job(Body("a1", 1))));
        let batch: Vec<&str> = std::iter::from_fn(|| queue.more()).map(|body| body.0).collect();
        assert_eq!(batch, ["b1", "a2"]);
        assert_eq!(queue.next(), Some(Next::Unit(2)));
    }

    #[test]
    fn pieces_and_jobs_take_turns_and_units_wait() {
        let queue = queue(&[("a", "a1"), ("b", "b1"), ("b", "b2")]);
        queue.hold("a");
        queue.folding();
        assert!(queue.push_unit(1));
        let next = || queue.next().unwrap();
        assert_eq!(next(), Next::Job(Body("b1", 1)), "while it is folded others go on");
        queue.folded();
        assert_eq!([next(), next()], [Next::Piece, Next::Job(Body("b2", 1))]);
        assert_eq!([next(), next()], [Next::Piece, Next::Piece], "the line of its app is held");
        queue.push("a", Body("a2", 1)).unwrap();
        queue.release("a");
        queue.finished();
        assert_eq!([next(), next(), next()], [Next::Unit(1), Next::Job(Body("a1", 1)), Next::Job(Body("a2", 1))]);
    }

    #[test]
    fn a_held_line_has_room_and_is_left_by_who_gives_up() {
        let queue = queue(&[("a", "a1")]);
        queue.hold("a");
        let a2 = queue.push("a", Body("a2", 1)).unwrap();
        assert_eq!(queue.more(), None);
        assert!(queue.give_up("a", a2));
        assert_eq!(taken(&queue), ["a1"], "a full disk refuses it too");
    }

    #[test]
    fn a_closed_queue_ends_once_the_large_event_is_finished_or_cannot_be() {
        let queue = queue(&[]);
        queue.folding();
        queue.close();
        queue.folded();
        assert_eq!(queue.next(), Some(Next::Piece));
        queue.stalled();
        assert_eq!(queue.next(), None);
    }
}
