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
/// If the WAL has grown by so much, the checkpoint beside is behind: all work but small deliveries waits for it.
const BEHIND: u64 = 32 << 20;
/// If the WAL has grown by so much, all writes wait for the checkpoint beside: the writer must not outrun it.
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
    /// Begins to count what the writer's connection commits. `on_end` runs after each checkpoint beside, on its thread.
    pub fn start(path: &Path, writer: &mut Connection, on_end: impl Fn() + Send + 'static) -> Result<Self, StoreError> {
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
                on_end();
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
            self.held = 0;
            match sqlite::mark(writer) {
                Err(error) if error.is_full() || error.is_busy() => self.wal.put_off(),
                marked => marked?,
            }
        }
        let (now, grown) = (self.wal.bytes(), self.grown());
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

    /// Whether the checkpoint that runs is too slow for what is written meanwhile.
    pub fn is_behind(&self) -> bool {
        self.running && self.grown() >= BEHIND
    }

    /// How much was written since the newest checkpoint.
    fn grown(&self) -> u64 {
        self.wal.bytes().saturating_sub(self.held)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_is_behind_from_32_mib_on_in_every_wal_until_its_end_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chatfold.db");
        let mut conn = sqlite::open_writer(&path).unwrap();
        let readers = [(); 3].map(|()| sqlite::open_reader(&path).unwrap());
        let (end, ended) = channel();
        let mut checkpoints = Checkpoints::start(&path, &mut conn, move || end.send(()).unwrap()).unwrap();
        conn.execute_batch("CREATE TABLE filled (bytes)").unwrap();
        let write = |mib| {
            (0..mib).for_each(|_| conn.execute_batch("INSERT INTO filled VALUES (zeroblob(1048576))").unwrap());
        };
        for reader in readers {
            // Otherwise the WAL may begin anew before the end is seen.
            sqlite::begin_read(&reader).unwrap();
            write(25);
            assert_eq!(checkpoints.look(&conn).unwrap(), None);
            assert!(!checkpoints.is_behind());
            write(9);
            assert!(checkpoints.is_behind());
            ended.recv().unwrap();
            assert_eq!(checkpoints.look(&conn).unwrap(), Some(false));
            assert!(!checkpoints.is_behind());
            drop(reader);
            write(3);
            assert_eq!(checkpoints.look(&conn).unwrap(), None);
            ended.recv().unwrap();
            assert_eq!(checkpoints.look(&conn).unwrap(), Some(true));
            write(1);
            assert_eq!(checkpoints.look(&conn).unwrap(), None, "the WAL began anew");
        }
        checkpoints.stop();
    }
}
