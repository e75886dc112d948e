//! The one thread that writes: a bounded queue, group commit, replies after the commit.
//!
//! Whatever waits goes into one transaction with one fsync; while that fsync runs, the next batch gathers. Throughput
//! grows with load and latency stays near one fsync.

mod follow;
pub mod orders;
mod pieces;
mod queue;
mod run;
mod worker;

use crate::batch::Batch;
use crate::checkpoints::Checkpoints;
use crate::clock;
use crate::envelope::Envelope;
use crate::ids::Time;
pub use crate::log::Appended;
use crate::meter::{Histogram, SECONDS};
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, Place, events as table, shared_log};
use follow::Follow;
pub use follow::{Folded, Followed, Read};
use pieces::{Pieces, Unfinished};
pub use queue::LARGE_BODY;
use queue::{Queue, Queued, Ticket};
use run::Run;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use worker::Worker;

/// A delivery whose batch has not begun by then is dropped: the vendor gives up after 2 s.
const BEGIN_WITHIN: Duration = Duration::from_millis(800);
/// One whose batch has begun waits this long for it.
const COMMIT_WITHIN: Duration = Duration::from_secs(1);
/// One that stands in the log behind an unfinished event of its app waits this long for its fold.
const FOLD_WITHIN: Duration = Duration::from_millis(150);
/// Who needs the tables waits this long for the fold of an event.
const FINISHED_WITHIN: Duration = Duration::from_secs(60);
/// Why a delivery is not taken that came faster than the writer goes.
const BEHIND: &str = "the writer is behind";
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

/// What became of a delivery that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Folded(Appended),
    /// It is at this position. Its fold comes later: the event is large, or stands behind a large one of its app.
    Unfolded(i64),
}

/// What the writer tells once a delivery is committed.
enum Committed {
    Folded(Appended),
    Unfinished { seq: i64, is_large: bool, folded: oneshot::Receiver<Appended> },
}

/// Where a delivery's answer goes.
type Reply = oneshot::Sender<Result<Committed, Refusal>>;

struct Waiting {
    envelope: Envelope,
    received_at: Time,
    reply: Reply,
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

/// What runs between two batches, and who waits for its end.
enum Unit {
    Work { work: Work, reply: oneshot::Sender<Result<(), StoreError>> },
    Follow(Follow),
}

enum Job {
    Append(Box<Waiting>),
    Refuse {
        received_at: Time,
        problem: String,
        body: Vec<u8>,
        reply: oneshot::Sender<()>,
    },
    /// Sees whether what was in the way is gone.
    Look,
    /// Notes that the server runs.
    Note,
}

impl Queued for Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(waiting) => waiting.envelope.body.len(),
            Self::Refuse { body, .. } => body.len(),
            Self::Look | Self::Note => 0,
        }
    }
}

impl Job {
    /// Who waits for a delivery.
    fn reply(self) -> Option<Reply> {
        if let Self::Append(waiting) = self { Some(waiting.reply) } else { None }
    }
}

/// What is answered once its transaction is committed.
enum Answer {
    Append(Reply, Appended),
    Refused(oneshot::Sender<()>),
    Unfinished(Reply, Unfinished),
}

/// What was measured of batches since the start.
pub struct Meters {
    /// Seconds that commits of batches took, their fsync among them.
    pub commits: Histogram,
    /// Deliveries of a batch, refused bodies among them.
    pub deliveries: Histogram,
}

impl Default for Meters {
    fn default() -> Self {
        let deliveries = Histogram::new(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]);
        Self { commits: Histogram::new(SECONDS), deliveries }
    }
}

/// Hands deliveries to the writer thread. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    seq: watch::Receiver<i64>,
}

struct Shared {
    path: PathBuf,
    /// Closed once stopping: the thread ends when the queue is empty.
    queue: Queue<Job, Unit>,
    trouble: Mutex<Option<String>>,
    /// Log positions of large events that are not finished.
    unfinished: Mutex<BTreeSet<i64>>,
    failed: AtomicBool,
    meters: Meters,
    /// The file is a node's: its deliveries come from the shared log alone.
    follows: bool,
    place: Place,
    run: Run,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    /// From now on nothing is taken, and what waits is not answered.
    fn fail(&self, why: &str) {
        self.failed.store(true, Ordering::Release);
        *lock(&self.trouble) = Some(format!("{why}: the server is stopping"));
        self.queue.abandon();
    }
}

/// A lock whose data stays meaningful whatever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Opens the file and starts the thread, which keeps `row_cache` bytes of rows in memory.
    ///
    /// `on_failure` runs once when nothing may be written any more: after an I/O
    /// error, for pages of a failed fsync count as clean and it is never tried again, or after a panic of the thread.
    pub fn start(path: &Path, row_cache: usize, on_failure: Box<dyn Fn() + Send>) -> Result<Self, StoreError> {
        let conn = sqlite::open_writer(path)?;
        shared_log::refuse(&conn, path)?;
        Self::over(conn, path, row_cache, false, on_failure)
    }

    fn over(
        mut conn: Connection,
        path: &Path,
        row_cache: usize,
        follows: bool,
        on_failure: Box<dyn Fn() + Send>,
    ) -> Result<Self, StoreError> {
        let (seq, seen) = watch::channel(table::newest_seq(&conn)?);
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            queue: Queue::new(),
            trouble: Mutex::new(None),
            unfinished: Mutex::default(),
            failed: AtomicBool::new(false),
            meters: Meters::default(),
            follows,
            place: Place::of(path)?,
            run: Run::begin(&conn, clock::now())?,
            thread: Mutex::new(None),
        });
        let told = Arc::clone(&shared);
        let checkpoints = Checkpoints::start(path, &mut conn, move || told.queue.checkpointed())?;
        let pieces = Pieces::left(path.to_owned(), &conn, &shared)?;
        let worker = Worker {
            conn,
            batch: Batch::keeping(row_cache),
            seq,
            shared: Arc::clone(&shared),
            checkpoints,
            pieces,
            wal_grows: false,
        };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || worker.run(&*on_failure));
        match thread {
            Ok(thread) => *lock(&shared.thread) = Some(thread),
            Err(error) => return Err(StoreError::Unusable(format!("cannot start the writer thread: {error}"))),
        }
        Ok(Self { shared, seq: seen })
    }

    /// Durable when it returns `Ok`. Refused where a shared log gives the positions.
    pub async fn append(&self, envelope: Envelope, received_at: Time) -> Result<Written, Refusal> {
        if self.shared.follows {
            return Err(Refusal::NotWritten("deliveries of this node come from the shared log"));
        }
        let (reply, mut answer) = oneshot::channel();
        let app = envelope.app_id.clone();
        let ticket = self.send(Some(&app), Job::Append(Box::new(Waiting { envelope, received_at, reply })))?;
        let answer = match timeout(BEGIN_WITHIN, &mut answer).await {
            Ok(answer) => answer,
            Err(_) if self.shared.queue.give_up(Some(&app), ticket) => {
                return Err(Refusal::NotWritten(BEHIND));
            }
            Err(_) => timeout(COMMIT_WITHIN, answer).await.map_err(|_| Refusal::Unknown)?,
        };
        match answer.unwrap_or(Err(Refusal::Unknown))? {
            Committed::Folded(appended) => Ok(Written::Folded(appended)),
            Committed::Unfinished { seq, is_large, folded } => {
                let folded = timeout(if is_large { COMMIT_WITHIN } else { FOLD_WITHIN }, folded).await;
                Ok(folded.ok().and_then(Result::ok).map_or(Written::Unfolded(seq), Written::Folded))
            }
        }
    }

    /// Waits until the event at a log position is folded, a minute at most.
    pub async fn folded(&self, position: i64) {
        let mut seq = self.seq.clone();
        let _ = timeout(FINISHED_WITHIN, seq.wait_for(|_| !self.is_unfinished(position))).await;
    }

    fn send(&self, app: Option<&str>, job: Job) -> Result<Ticket, Refusal> {
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(Refusal::NotWritten("nothing is written any more: the server is stopping"));
        }
        self.shared.queue.push(app, job)
    }

    /// Keeps the bytes of a body that is no delivery, unless it would wait longer than a delivery may.
    pub async fn refuse(&self, received_at: Time, problem: String, mut body: Vec<u8>) {
        body.truncate(table::REFUSED_BYTES);
        body.shrink_to_fit();
        let (reply, kept) = oneshot::channel();
        let is_kept = match self.send(None, Job::Refuse { received_at, problem, body, reply }) {
            Ok(ticket) => match timeout(BEGIN_WITHIN, kept).await {
                Ok(kept) => kept.is_ok(),
                Err(_) => !self.shared.queue.give_up(None, ticket),
            },
            Err(_) => false,
        };
        if !is_kept {
            tracing::warn!("a refused body may not have been kept");
        }
    }

    /// Runs a unit of work on the write connection, between two batches. It never runs while a large event is being folded or
    /// saved, but other events may be in the log that are not folded yet. Deliveries wait meanwhile. Blocking.
    pub fn run<T: Send + 'static>(
        &self,
        unit: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, NotRun> {
        let (done, result) = std::sync::mpsc::sync_channel(1);
        // The receiver waits below for as long as the unit runs.
        let work: Work = Box::new(move |conn| unit(conn).map(|value| drop(done.send(value))));
        let (reply, ended) = oneshot::channel();
        if self.shared.failed.load(Ordering::Acquire) || !self.shared.queue.push_unit(Unit::Work { work, reply }) {
            return Err(NotRun::Stopping);
        }
        ended.blocking_recv().map_err(|_| NotRun::Stopping)?.map_err(NotRun::Failed)?;
        result.recv().map_err(|_| NotRun::Stopping)
    }

    /// The file that it writes.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Newest committed log position; changes wake subscribers.
    pub fn seq(&self) -> watch::Receiver<i64> {
        self.seq.clone()
    }

    /// Whether the event at a log position is in the log and not wholly in the tables yet.
    pub fn is_unfinished(&self, seq: i64) -> bool {
        lock(&self.shared.unfinished).contains(&seq)
    }

    /// Why a delivery would not be accepted now; `None` when it would.
    pub fn not_ready(&self) -> Option<String> {
        let is_closed = self.shared.queue.is_closed();
        let trouble = lock(&self.shared.trouble).clone();
        trouble.or_else(|| is_closed.then(|| "the server is stopping".into()))
    }

    /// To be called about once a second: sees that the file is still in its place, whether trouble is over, and that the
    /// file knows of the server, though no delivery comes.
    pub fn look(&self) {
        if lock(&self.shared.trouble).is_some() || self.shared.place.check().is_err() {
            // A full queue looks by itself.
            let _ = self.send(None, Job::Look);
        } else if self.shared.run.is_overdue(clock::now()) {
            let _ = self.send(None, Job::Note);
        }
    }

    /// What was measured of batches since the start.
    pub fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// Jobs that wait for their batch.
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Bytes of the WAL on disk.
    pub fn wal_bytes(&self) -> u64 {
        self.shared.place.wal_bytes()
    }

    /// Finishes the queue (at most 3 s), checkpoints, closes the file. Blocking.
    pub fn stop(&self) {
        self.shared.queue.close();
        let Some(thread) = lock(&self.shared.thread).take() else { return };
        let until = Instant::now() + DRAIN;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // The thread tells of its failure by itself, a panic among them.
            let _ = thread.join();
        } else {
            tracing::warn!("the queue was not finished in time: what was not answered is not kept");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
