//! Checkpoints beside the writer: a thread with a connection of its own moves the WAL into the file, while the writer
//! goes on. What was written meanwhile is little, and the writer moves it itself: only then can the WAL begin anew.

use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, WalSize};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// A checkpoint begins whenever the WAL has grown by so much.
const EVERY: u64 = 24 << 20;
/// After a checkpoint that a reader held up, the next one comes sooner.
const AGAIN: u64 = 2 << 20;
/// If another commit like the newest would let the WAL grow by so much, the writer waits for the checkpoint beside. It
/// must not outrun it.
const AT_MOST: u64 = 60 << 20;
/// What a commit should add to the WAL at most, for who can choose how much a commit holds: two of them fit, also if the
/// second is a fifth larger than expected.
const COMMIT: u64 = 25 << 20;

/// When the WAL is moved, and by whom.
pub struct Checkpoints {
    beside: Beside,
    wal: WalSize,
    /// How much the WAL held after the newest checkpoint, and whether that checkpoint moved all of it.
    held: u64,
    /// How much the WAL held when [`Self::look`] was last called.
    seen: u64,
    /// How much the newest commit has added to the WAL.
    newest: u64,
    moved: bool,
    running: bool,
}

/// The thread. It ends when nothing can be asked of it any more.
struct Beside {
    begin: Option<Sender<()>>,
    ended: Receiver<Result<(), StoreError>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Begins to count what the writer's connection commits.
    pub fn start(path: &Path, writer: &mut Connection) -> Result<Self, StoreError> {
        let wal = WalSize::of(writer)?;
        let conn = sqlite::open_beside(path)?;
        let (begin, begun) = channel();
        let (end, ended) = channel();
        let work = move || {
            while begun.recv().is_ok() {
                let checkpoint = || sqlite::checkpoint(&conn, false).map(drop);
                let done = panics::caught(checkpoint)
                    .unwrap_or_else(|panicked| Err(StoreError::Unusable(format!("the checkpoint failed: {panicked}"))));
                if end.send(done).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn(work);
        let thread =
            thread.map_err(|error| StoreError::Unusable(format!("cannot start the checkpoint thread: {error}")))?;
        let beside = Beside { begin: Some(begin), ended, thread: Some(thread) };
        Ok(Self { beside, wal, held: 0, seen: 0, newest: 0, moved: true, running: false })
    }

    /// To be called after each commit. Some: a checkpoint has ended, and whether the whole WAL is moved. An error is
    /// one after which nothing may be written any more.
    pub fn look(&mut self, writer: &Connection) -> Result<Option<bool>, StoreError> {
        if self.wal.began_anew() {
            match sqlite::mark(writer) {
                Err(error) if error.is_full() || error.is_busy() => self.wal.put_off(),
                marked => marked?,
            }
        }
        let now = self.wal.bytes();
        // A WAL that holds less than before began anew.
        let more_than = |before: u64| if now < before { now } else { now - before };
        let grown = more_than(self.held);
        (self.newest, self.seen) = (more_than(self.seen), now);
        if !self.running {
            let soon = grown + 2 * self.newest > AT_MOST;
            if soon || grown >= if self.moved { EVERY } else { AGAIN } {
                self.running = self.beside.begin.as_ref().is_some_and(|begin| begin.send(()).is_ok());
            }
            return Ok(None);
        }
        let ended = if grown + self.newest <= AT_MOST {
            match self.beside.ended.try_recv() {
                Err(TryRecvError::Empty) => return Ok(None),
                ended => ended.ok(),
            }
        } else {
            self.beside.ended.recv().ok()
        };
        self.running = false;
        let gone = || Err(StoreError::Unusable("the checkpoint thread ended".into()));
        let moved = match ended.unwrap_or_else(gone).and_then(|()| sqlite::checkpoint(writer, false)) {
            // No space for the file to grow, or a reader in the way: the WAL keeps it until later.
            Err(error) if error.is_full() || error.is_busy() => {
                tracing::warn!(%error, "checkpoint put off");
                false
            }
            moved => moved?,
        };
        (self.held, self.moved) = (now, moved);
        Ok(Some(moved))
    }

    /// Of `commit` things of one kind that the newest commit held, how many the next one may hold.
    pub fn next(&self, commit: usize, at_most: usize) -> usize {
        let fitting = (commit as u64).saturating_mul(COMMIT) / self.newest.max(1);
        usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, at_most)
    }

    /// Waits for the thread to end.
    pub fn stop(&mut self) {
        self.beside.begin = None;
        if let Some(thread) = self.beside.thread.take() {
            // What it panicked over was caught and is told.
            let _ = thread.join();
        }
    }
}
