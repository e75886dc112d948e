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
/// A WAL that has grown by so much waits for the checkpoint beside: the writer must not outrun it.
const AT_MOST: u64 = 48 << 20;

/// When the WAL is moved, and by whom.
pub struct Checkpoints {
    beside: Beside,
    wal: WalSize,
    /// How much the WAL held after the newest checkpoint, and whether that checkpoint moved all of it.
    held: u64,
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
        Ok(Self { beside, wal, held: 0, moved: true, running: false })
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
        let grown = if now < self.held { now } else { now - self.held };
        if !self.running {
            if grown >= if self.moved { EVERY } else { AGAIN } {
                self.running = self.beside.begin.as_ref().is_some_and(|begin| begin.send(()).is_ok());
            }
            return Ok(None);
        }
        let ended = if grown < AT_MOST {
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

    /// Waits for the thread to end.
    pub fn stop(&mut self) {
        self.beside.begin = None;
        if let Some(thread) = self.beside.thread.take() {
            // What it panicked over was caught and is told.
            let _ = thread.join();
        }
    }
}
