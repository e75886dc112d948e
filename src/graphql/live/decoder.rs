//! Reads what is committed once for all who follow, on a thread of its own and with a connection of its own.

use super::decoded::{Decoded, Places, refs};
use super::hub::{Look, Task};
use crate::graphql::run::{Api, Inner};
use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::read::{Amount, Conn, ReadError, Snapshot, Sql, change};
use crate::store::sqlite::{Pool, open_pool};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Facts that are decoded in one snapshot, and about how many bytes of them.
const FACTS: i64 = 1_000;
const BYTES: usize = 1 << 20;
/// Whoever follows reads for itself what takes longer.
const TIME: Duration = Duration::from_secs(10);
/// After a look that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// The one decoder of a file.
pub struct Decoder {
    inner: Arc<Inner>,
    pool: Pool,
}

impl Decoder {
    /// Decodes for those who follow by this API.
    pub fn open(api: &Api, path: &Path) -> Result<Self, StoreError> {
        Ok(Self { inner: Arc::clone(&api.inner), pool: open_pool(path, 1, api.inner.limits.page_cache)? })
    }

    /// Looks after each commit, while somebody listens. Ends once nothing is committed any more. Blocking.
    pub fn run(&self, runtime: &Handle, mut committed: watch::Receiver<i64>) {
        while runtime.block_on(self.is_due(&mut committed)) {
            while !self.look() {}
        }
    }

    /// Waits for a commit, or for somebody who begins to listen; false once there is nothing to wait for.
    async fn is_due(&self, committed: &mut watch::Receiver<i64>) -> bool {
        let hub = &self.inner.hub;
        if !hub.is_listened_to() {
            hub.asked.notified().await;
            return true;
        }
        tokio::select! {
            changed = committed.changed() => changed.is_ok(),
            () = hub.asked.notified() => true,
        }
    }

    /// Decodes what is new; whether that is all of it.
    fn look(&self) -> bool {
        let hub = &self.inner.hub;
        let task = hub.task();
        if task.after.is_none() && task.fresh.is_empty() {
            return true;
        }
        let is_all = match panics::caught(|| self.inner.counted(|| self.read(task))) {
            Ok(Ok((look, is_all))) => {
                self.inner.decoded.fetch_add(look.changes.len() as u64, Ordering::Relaxed);
                hub.publish(look);
                is_all
            }
            failed => {
                match failed {
                    Ok(Err(error)) => tracing::warn!(?error, "changes were not decoded: subscribers read the file"),
                    _ => tracing::error!("decoding changes failed: subscribers read the file"),
                }
                hub.lose();
                std::thread::sleep(PAUSE);
                true
            }
        };
        self.inner.looks.fetch_add(1, Ordering::Relaxed);
        is_all
    }

    /// What followed, and whether that is all of it.
    fn read(&self, task: Task) -> Result<(Look, bool), ReadError> {
        let amount = Amount { rows: u64::MAX, bytes: u64::MAX };
        let snapshot = Snapshot::open(&self.pool, TIME, amount, Arc::new(AtomicBool::new(false)))?;
        let newest = snapshot.seq();
        let mut look = Look { changes: Vec::new(), reached: newest, fresh: task.fresh, unfinished: HashMap::new() };
        snapshot.read(|conn| {
            look.unfinished = change::all_unfinished(conn)?;
            let Some(after) = task.after else { return Ok(()) };
            for (app, held) in task.held {
                // The event is finished now: it comes late, but nothing of its app has followed it.
                let until = look.unfinished.get(&*app).map_or(after, |seq| seq - 1);
                change::after(conn, &app, held - 1..until, FACTS, |fact| {
                    look.changes.push(decode(conn, &app, fact)?);
                    Ok(true)
                })?;
            }
            self.read_on(conn, after, &mut look)
        })?;
        let is_all = look.reached == newest;
        Ok((look, is_all))
    }

    /// Decodes what follows a position, as far as a look goes.
    fn read_on(&self, conn: &Conn, after: i64, look: &mut Look) -> Sql<()> {
        let Look { changes, reached, unfinished, .. } = look;
        let (mut looked_at, mut bytes) = (0, 0);
        change::of_all_apps(conn, after..*reached, |seq, app, fact| {
            if looked_at == FACTS || bytes > BYTES {
                *reached = seq - 1;
                return Ok(false);
            }
            looked_at += 1;
            let is_finished = unfinished.get(app).is_none_or(|held| seq < *held);
            if let Some(app) = is_finished.then(|| self.inner.hub.follows(app)).flatten() {
                let change = decode(conn, &app, fact()?)?;
                bytes += change.bytes();
                changes.push(change);
            }
            Ok(true)
        })
    }
}

fn decode(conn: &Conn, app: &Arc<str>, fact: change::Applied) -> Sql<Decoded> {
    let refs = refs(&fact.body);
    let places = Places::of(conn, app, &refs)?;
    Decoded::of(conn, app, fact, &refs, places)
}
