//! The one thread that writes: a bounded queue, group commit, replies after the commit.
//!
//! Whatever waits goes into one transaction with one fsync; while that fsync runs, the next batch gathers. Throughput
//! grows with load and latency stays near one fsync.

use crate::envelope::Envelope;
use crate::ids::Time;
pub use crate::log::Receipt;
use crate::log::{self, Source};
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, log as table};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Deliveries that may wait. At the rates measured this is well under the time they may wait.
const QUEUE: usize = 4_096;
/// Events in one transaction.
const BATCH: usize = 512;
/// A delivery whose batch has not begun by then is dropped: the vendor gives up after 2 s.
const BEGIN_WITHIN: Duration = Duration::from_millis(800);
/// One whose batch has begun waits this long for it.
const COMMIT_WITHIN: Duration = Duration::from_secs(1);
/// Events between two checkpoints: some thousand pages.
const CHECKPOINT_EVERY: usize = 1_000;
/// A unit of work writes about as many pages as this many events.
const WORK_WEIGHT: usize = 100;
/// What a stop leaves to finish the queue.
const DRAIN: Duration = Duration::from_secs(3);

/// Why a delivery was not taken: all are answered 503.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not written: the queue or the disk is full, or its batch did not begin in time.
    #[error("{0}")]
    NotWritten(&'static str),
    /// Its batch had begun and did not end in time, or failed at its fsync: it may yet be there.
    #[error("the commit did not end in time")]
    Unknown,
}

/// A delivery waits, its batch has begun, or its sender has given up.
const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

struct Waiting {
    envelope: Envelope,
    received_at: Time,
    state: Arc<AtomicU8>,
    reply: oneshot::Sender<Result<Receipt, Refusal>>,
}

/// A unit of work on the write connection, which begins and commits by itself.
type Work = Box<dyn FnOnce(&Connection) -> Result<(), StoreError> + Send>;

/// Why a unit of work was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Failed(StoreError),
}

/// What the queue holds: jobs go into a batch, a unit of work ends it.
enum Task {
    Job(Job),
    Work { unit: Work, reply: oneshot::Sender<Result<(), StoreError>> },
}

enum Job {
    Append(Box<Waiting>),
    Refuse { received_at: Time, problem: String, body: Vec<u8>, reply: oneshot::Sender<()> },
}

/// What is answered once its transaction is committed.
enum Answer {
    Append(oneshot::Sender<Result<Receipt, Refusal>>, Receipt),
    Refused(oneshot::Sender<()>),
}

/// Hands deliveries to the writer thread. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    seq: watch::Receiver<i64>,
}

struct Shared {
    /// `None` once stopping: the thread ends when the queue is empty.
    queue: Mutex<Option<mpsc::Sender<Task>>>,
    trouble: Mutex<Option<String>>,
    failed: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A lock whose data stays meaningful whatever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Opens the file and starts the thread. `on_failure` runs once after an I/O error that forbids going on: pages of
    /// a failed fsync count as clean, so it is never tried again.
    pub fn start(path: &Path, on_failure: Box<dyn Fn() + Send>) -> Result<Self, StoreError> {
        let conn = sqlite::open_writer(path)?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (seq, seen) = watch::channel(table::newest_seq(&conn)?);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Some(queue)),
            trouble: Mutex::new(None),
            failed: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let worker = Worker { conn, queue: waiting, seq, shared: Arc::clone(&shared), on_failure, since_checkpoint: 0 };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || worker.run());
        match thread {
            Ok(thread) => *lock(&shared.thread) = Some(thread),
            Err(error) => return Err(StoreError::Unusable(format!("cannot start the writer thread: {error}"))),
        }
        Ok(Self { shared, seq: seen })
    }

    /// Durable when it returns `Ok`.
    pub async fn append(&self, envelope: Envelope, received_at: Time) -> Result<Receipt, Refusal> {
        let (reply, mut answer) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(WAITING));
        let job = Job::Append(Box::new(Waiting { envelope, received_at, state: Arc::clone(&state), reply }));
        self.send(job)?;
        if let Ok(answer) = tokio::time::timeout(BEGIN_WITHIN, &mut answer).await {
            return answer.unwrap_or(Err(Refusal::Unknown));
        }
        if state.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return Err(Refusal::NotWritten("the writer is behind"));
        }
        match tokio::time::timeout(COMMIT_WITHIN, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Refusal::Unknown)),
            Err(_) => Err(Refusal::Unknown),
        }
    }

    fn send(&self, job: Job) -> Result<(), Refusal> {
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(Refusal::NotWritten("the disk failed"));
        }
        let queue = lock(&self.shared.queue).clone().ok_or(Refusal::NotWritten("the server is stopping"))?;
        queue.try_send(Task::Job(job)).map_err(|_| Refusal::NotWritten("the queue is full"))
    }

    /// Keeps the bytes of a body that is no delivery: best effort, and no longer than a delivery may wait.
    pub async fn refuse(&self, received_at: Time, problem: String, body: Vec<u8>) {
        let (reply, kept) = oneshot::channel();
        let sent = self.send(Job::Refuse { received_at, problem, body, reply });
        if sent.is_err() || !matches!(tokio::time::timeout(BEGIN_WITHIN, kept).await, Ok(Ok(()))) {
            tracing::warn!("a refused body may not have been kept");
        }
    }

    /// Runs a unit of work on the write connection, between two batches: deliveries wait meanwhile. Blocking.
    pub fn run<T: Send + 'static>(
        &self,
        unit: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, NotRun> {
        let (done, result) = std::sync::mpsc::sync_channel(1);
        // The receiver waits below for as long as the unit runs.
        let work: Work = Box::new(move |conn| unit(conn).map(|value| drop(done.send(value))));
        let (reply, ended) = oneshot::channel();
        let queue = lock(&self.shared.queue).clone().ok_or(NotRun::Stopping)?;
        queue.blocking_send(Task::Work { unit: work, reply }).map_err(|_| NotRun::Stopping)?;
        ended.blocking_recv().map_err(|_| NotRun::Stopping)?.map_err(NotRun::Failed)?;
        result.recv().map_err(|_| NotRun::Stopping)
    }

    /// Newest committed log position; changes wake subscribers.
    pub fn seq(&self) -> watch::Receiver<i64> {
        self.seq.clone()
    }

    /// Why a delivery would not be accepted now; `None` when it would.
    pub fn not_ready(&self) -> Option<String> {
        if lock(&self.shared.queue).is_none() {
            return Some("the server is stopping".into());
        }
        lock(&self.shared.trouble).clone()
    }

    /// Finishes the queue (at most 3 s), checkpoints, closes the file. Blocking.
    pub fn stop(&self) {
        *lock(&self.shared.queue) = None;
        let Some(thread) = lock(&self.shared.thread).take() else { return };
        let until = Instant::now() + DRAIN;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        } else {
            tracing::warn!("the queue was not finished in time: what was not answered is not kept");
        }
    }
}

struct Worker {
    conn: Connection,
    queue: mpsc::Receiver<Task>,
    seq: watch::Sender<i64>,
    shared: Arc<Shared>,
    on_failure: Box<dyn Fn() + Send>,
    since_checkpoint: usize,
}

impl Worker {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(task) = self.queue.blocking_recv() {
            let mut work = None;
            let mut next = Some(task);
            while let Some(task) = next.take() {
                match task {
                    Task::Job(job) => batch.push(job),
                    Task::Work { unit, reply } => work = Some((unit, reply)),
                }
                if work.is_none() && batch.len() < BATCH {
                    next = self.queue.try_recv().ok();
                }
            }
            let mut written = if batch.is_empty() { Ok(()) } else { self.commit(&mut batch) };
            if let Some((unit, reply)) = work.filter(|_| written.is_ok()) {
                written = self.work(unit, reply);
            }
            if let Err(error) = written.and_then(|()| self.checkpoint()) {
                self.fail(&error);
                return;
            }
        }
        if let Err(error) = sqlite::checkpoint(&self.conn, true) {
            tracing::error!(%error, "the last checkpoint failed: the WAL stays beside the file");
        }
    }

    /// A unit of somebody else's. An error is returned only if going on is forbidden.
    fn work(&mut self, unit: Work, reply: oneshot::Sender<Result<(), StoreError>>) -> Result<(), StoreError> {
        self.since_checkpoint += WORK_WEIGHT;
        let done = unit(&self.conn);
        sqlite::rollback(&self.conn);
        let fatal = done.as_ref().is_err_and(|error| error.is_of_the_file() && !error.is_full() && !error.is_busy());
        if fatal {
            return done;
        }
        // Who asked may be gone; what was done is done.
        let _ = reply.send(done);
        Ok(())
    }

    /// One transaction. An error is returned only if going on is forbidden.
    fn commit(&mut self, batch: &mut Vec<Job>) -> Result<(), StoreError> {
        self.since_checkpoint += batch.len();
        let mut answers = Vec::with_capacity(batch.len());
        let mut jobs = std::mem::take(batch).into_iter();
        let written = sqlite::begin(&self.conn).and_then(|()| {
            for job in jobs.by_ref() {
                self.write(job, &mut answers)?;
            }
            let seq = table::newest_seq(&self.conn)?;
            sqlite::commit(&self.conn)?;
            Ok(seq)
        });
        match written {
            Ok(seq) => {
                if let Some(trouble) = lock(&self.shared.trouble).take() {
                    tracing::info!("deliveries are taken again; it was: {trouble}");
                }
                self.seq.send_if_modified(|known| std::mem::replace(known, seq) != seq);
                for answer in answers {
                    // A sender that has given up takes the retry's `duplicate`.
                    match answer {
                        Answer::Append(reply, receipt) => drop(reply.send(Ok(receipt))),
                        Answer::Refused(reply) => drop(reply.send(())),
                    }
                }
                Ok(())
            }
            Err(error) if error.is_full() || error.is_busy() => {
                sqlite::rollback(&self.conn);
                let why = if error.is_full() { "the disk is full" } else { "another process holds the file's lock" };
                // Once, not once a batch.
                if lock(&self.shared.trouble).replace(why.to_owned()).as_deref() != Some(why) {
                    tracing::error!(%error, "{why}: deliveries are answered 503");
                }
                let begun = answers
                    .into_iter()
                    .filter_map(|it| if let Answer::Append(reply, _) = it { Some(reply) } else { None });
                let waiting = jobs.filter_map(|it| if let Job::Append(it) = it { Some(it.reply) } else { None });
                for reply in begun.chain(waiting) {
                    let _ = reply.send(Err(Refusal::NotWritten(why)));
                }
                Ok(())
            }
            // Senders hear of it as their replies are dropped: unknown.
            Err(error) => Err(error),
        }
    }

    fn write(&self, job: Job, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        match job {
            Job::Refuse { received_at, problem, body, reply } => {
                answers.push(Answer::Refused(reply));
                table::refuse(&self.conn, received_at, &problem, &body)
            }
            Job::Append(waiting) => {
                let Waiting { envelope, received_at, state, reply } = *waiting;
                if state.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire).is_err() {
                    return Ok(());
                }
                match log::append(&self.conn, &envelope, received_at, Source::Http) {
                    Ok(receipt) => {
                        answers.push(Answer::Append(reply, receipt));
                        Ok(())
                    }
                    Err(error) => {
                        let refusal =
                            if error.is_full() { Refusal::NotWritten("the disk is full") } else { Refusal::Unknown };
                        let _ = reply.send(Err(refusal));
                        Err(error)
                    }
                }
            }
        }
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.since_checkpoint < CHECKPOINT_EVERY {
            return Ok(());
        }
        self.since_checkpoint = 0;
        match sqlite::checkpoint(&self.conn, false) {
            // No space for the file to grow, or a reader in the way: the WAL keeps it until later.
            Err(error) if error.is_full() || error.is_busy() => {
                tracing::warn!(%error, "checkpoint put off");
                Ok(())
            }
            done => done,
        }
    }

    fn fail(self, error: &StoreError) {
        tracing::error!(%error, "the file failed: no more is written, the process ends");
        self.shared.failed.store(true, Ordering::Release);
        *lock(&self.shared.trouble) = Some("the disk failed".into());
        // Closing would write and sync again.
        std::mem::forget(self.conn);
        (self.on_failure)();
    }
}
