//! The state hash of a node at the positions of checks.
//!
//! PostgreSQL tells of a check with the deliveries, in one snapshot: no node reads a later position without it. The
//! follower stops for the moment in which a reader opens its snapshot, and a thread hashes that. So the hash costs the
//! writer nothing, and belongs to one position.

use crate::fold::FOLD_VERSION;
use crate::store::StoreError;
use crate::store::postgres::Check;
use crate::store::sqlite::{self, Connection, shared_log, state};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A state hash, for the others to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub position: i64,
    pub hash: String,
}

/// Takes hashes.
pub struct Checks {
    db: PathBuf,
    /// The newest one that was begun or left out.
    newest: Mutex<Check>,
    running: Arc<AtomicBool>,
    taken: Arc<Mutex<Option<Taken>>>,
    took: Arc<Mutex<Duration>>,
    stop: Arc<AtomicBool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Checks {
    pub fn new(db: PathBuf) -> Self {
        Self {
            db,
            newest: Mutex::default(),
            running: Arc::default(),
            taken: Arc::default(),
            took: Arc::default(),
            stop: Arc::default(),
        }
    }

    /// The tables are at this position, and stay there until this returns. Begins the check if it is here.
    pub fn reached(&self, check: Check, position: i64) {
        if check.number == 0
            || check.position != position
            || std::mem::replace(&mut *lock(&self.newest), check) == check
        {
            return;
        }
        if self.running.swap(true, Ordering::AcqRel) {
            tracing::info!(position, "no state hash at this position: the one before is not finished");
            return;
        }
        let begun = tokio::task::block_in_place(|| self.begin(position));
        if !matches!(begun, Ok(true)) {
            self.running.store(false, Ordering::Release);
        }
        if let Err(error) = begun {
            tracing::warn!(%error, position, "no state hash at this position");
        }
    }

    /// False: the tables are of another edition, and are being made anew.
    fn begin(&self, position: i64) -> Result<bool, StoreError> {
        let mut conn = sqlite::open_again(&self.db)?;
        sqlite::interrupted_by(&mut conn, Arc::clone(&self.stop))?;
        sqlite::begin_read(&conn)?;
        let here = shared_log::read(&conn)?.map(|joined| joined.position);
        if sqlite::fold_version(&conn)? != FOLD_VERSION || here != Some(position) {
            return Ok(false);
        }
        let (running, taken, took) = (Arc::clone(&self.running), Arc::clone(&self.taken), Arc::clone(&self.took));
        let work = move || {
            let begun = Instant::now();
            match hash(&conn) {
                Ok(hash) => *lock(&taken) = Some(Taken { position, hash }),
                Err(error) => tracing::warn!(%error, position, "no state hash at this position"),
            }
            *lock(&took) = begun.elapsed();
            drop(conn);
            running.store(false, Ordering::Release);
        };
        let thread = std::thread::Builder::new().name("state hash".into()).spawn(work);
        thread.map_err(|error| StoreError::Unusable(format!("cannot start a thread: {error}")))?;
        Ok(true)
    }

    /// The newest hash that nobody was told of yet.
    pub fn untold(&self) -> Option<Taken> {
        lock(&self.taken).clone()
    }

    /// Others know of it now.
    pub fn told(&self, it: &Taken) {
        let mut taken = lock(&self.taken);
        if taken.as_ref() == Some(it) {
            *taken = None;
        }
    }

    /// Ends the one that is being taken: its snapshot would hold the last checkpoint back.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// How long the last one took.
    pub fn took(&self) -> Duration {
        *lock(&self.took)
    }
}

fn hash(conn: &Connection) -> Result<String, StoreError> {
    Ok(state::of_file(conn)?.total.to_string())
}
