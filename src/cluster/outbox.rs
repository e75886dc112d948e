//! The outbox: deliveries that were taken while the shared log could not take them. They are synced to the node's own disk
//! before they are answered.

use super::appender::{Kept, Waiting};
use super::status::Status;
use crate::store::sqlite::{self, Connection, outbox as table};
use crate::store::{Delivery, StoreError};
use crate::writer::Refusal;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::block_in_place;

/// Deliveries that go into the log at once, and bytes of their bodies.
const ROWS: usize = 1_000;
const BYTES: usize = 4 << 20;

/// The oldest deliveries of the outbox.
pub struct Chunk {
    pub deliveries: Vec<Delivery>,
    /// Number of the last of them.
    last: i64,
    /// There are no others.
    pub is_all: bool,
}

/// The outbox of a node, or none. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    file: Option<Arc<Mutex<File>>>,
}

impl Outbox {
    /// Opens the outbox beside a database.
    pub fn open(db: &Path, limit: u64, status: &Status) -> Result<Self, StoreError> {
        let outbox = Self { file: File::open(db, limit)?.map(|file| Arc::new(Mutex::new(file))) };
        outbox.tell_size(status);
        Ok(outbox)
    }

    /// Keeps deliveries and answers them. Those for which there is no room are refused. Fails where the disk failed.
    pub fn set_aside(&self, status: &Status, batch: Vec<Waiting>, refusal: &Refusal) -> Result<(), StoreError> {
        let deliveries: Vec<&Delivery> = batch.iter().map(|it| &it.delivery).collect();
        let kept = match self.lock() {
            None => 0,
            Some(mut file) => match block_in_place(|| file.add(&deliveries)) {
                Err(error) if error.is_full() || error.is_busy() => {
                    tracing::error!(%error, "the outbox takes no more");
                    0
                }
                kept => kept?,
            },
        };
        self.tell_size(status);
        for (place, it) in batch.into_iter().enumerate() {
            let answer = if place < kept { Ok(Kept::InOutbox) } else { Err(refusal.clone()) };
            // A sender that has given up takes the retry's `duplicate`.
            let _ = it.reply.send(answer);
        }
        Ok(())
    }

    /// The oldest deliveries; `None`: the outbox is empty.
    pub fn oldest(&self) -> Result<Option<Chunk>, StoreError> {
        self.lock().map_or(Ok(None), |file| block_in_place(|| file.oldest()))
    }

    /// Removes what is in the log now.
    pub fn remove(&self, status: &Status, chunk: &Chunk) -> Result<(), StoreError> {
        if let Some(mut file) = self.lock() {
            block_in_place(|| file.remove(chunk))?;
        }
        self.tell_size(status);
        Ok(())
    }

    fn tell_size(&self, status: &Status) {
        if let Some(file) = self.lock() {
            status.holds((file.rows, file.bytes), file.bytes < file.limit);
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, File>> {
        self.file.as_ref().map(|file| file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The open file.
struct File {
    conn: Connection,
    /// Most bytes of bodies. 0: the outbox takes nothing, and gives what it holds from before.
    limit: u64,
    rows: u64,
    bytes: u64,
}

impl File {
    /// Opens the outbox beside a database, and makes it where it is missing. `None`: it is off, and holds nothing.
    fn open(db: &Path, limit: u64) -> Result<Option<Self>, StoreError> {
        let path = sqlite::beside(&sqlite::real(db), ".outbox");
        if limit == 0 && !path.exists() {
            return Ok(None);
        }
        let failed = |error: &dyn std::fmt::Display| {
            StoreError::Unusable(format!("the outbox {} cannot be used: {error}", path.display()))
        };
        // Chats are in it: made for its owner alone, before SQLite opens it.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&error)),
            _ => {}
        }
        let conn = table::open(&path).map_err(|error| failed(&error))?;
        let (rows, bytes) = table::size(&conn).map_err(|error| failed(&error))?;
        Ok((limit > 0 || rows > 0).then_some(Self { conn, limit, rows, bytes }))
    }

    /// Keeps as many of these as there is room for, from the first on: their number.
    fn add(&mut self, deliveries: &[&Delivery]) -> Result<usize, StoreError> {
        let mut bytes = self.bytes;
        let fitting = deliveries.iter().take_while(|it| {
            bytes += it.body.len() as u64;
            bytes <= self.limit
        });
        let number = fitting.count();
        let kept = &deliveries[..number];
        if number > 0 {
            table::add(&mut self.conn, kept.iter().copied())?;
            self.rows += number as u64;
            self.bytes += kept.iter().map(|it| it.body.len() as u64).sum::<u64>();
        }
        Ok(number)
    }

    /// The oldest deliveries; `None`: the outbox is empty.
    fn oldest(&self) -> Result<Option<Chunk>, StoreError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let (deliveries, last) = table::oldest(&self.conn, ROWS, BYTES)?;
        let is_all = deliveries.len() as u64 == self.rows;
        Ok(Some(Chunk { deliveries, last, is_all }))
    }

    /// Removes what is in the log now.
    fn remove(&mut self, chunk: &Chunk) -> Result<(), StoreError> {
        table::remove(&self.conn, chunk.last)?;
        self.rows -= chunk.deliveries.len() as u64;
        self.bytes -= chunk.deliveries.iter().map(|it| it.body.len() as u64).sum::<u64>();
        if self.rows == 0 {
            table::shrink(&self.conn)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Time;

    fn delivery(n: u8, body: &str) -> Delivery {
        Delivery { id: [n; 16], received_at: Time(n.into()), app_id: "a\0b".into(), webhook: None, body: body.into() }
    }

    #[test]
    fn what_is_added_comes_out_in_its_order_after_a_restart_and_only_so_much_fits() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("chatfold.db");
        assert!(File::open(&db, 0).unwrap().is_none());
        let all: Vec<Delivery> = (1..=4).map(|n| delivery(n, "12345")).collect();
        let all: Vec<&Delivery> = all.iter().collect();
        let mut outbox = File::open(&db, 17).unwrap().unwrap();
        assert_eq!(outbox.add(&all[..1]).unwrap(), 1);
        assert_eq!(outbox.add(&all[1..]).unwrap(), 2, "the fourth does not fit");
        drop(outbox);

        // Switched off, it gives what it holds.
        let mut outbox = File::open(&db, 0).unwrap().unwrap();
        assert_eq!((outbox.rows, outbox.bytes), (3, 15));
        assert_eq!(outbox.add(&all[3..]).unwrap(), 0);
        let chunk = outbox.oldest().unwrap().unwrap();
        assert!(chunk.is_all);
        assert_eq!(chunk.deliveries.iter().collect::<Vec<_>>(), all[..3]);
        outbox.remove(&chunk).unwrap();
        assert!(outbox.oldest().unwrap().is_none() && (outbox.rows, outbox.bytes) == (0, 0));
        let mode = dir.path().join("chatfold.db.outbox").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
