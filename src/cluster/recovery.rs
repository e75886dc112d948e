//! The way back to the shared log: connects, checks what the log promises, and brings what the outbox holds.

use super::node::Shared;
use super::outbox::Outbox;
use super::status::{NO_ROOM, NOT_DURABLE, UNREACHABLE};
use crate::config::LogDurability;
use crate::store::StoreError;
use crate::store::postgres::{Durability, Link, LogError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A commit for which deliveries wait. What is left of the vendor's 2 s is for the outbox.
pub const COMMIT_WITHIN: Duration = Duration::from_millis(800);
/// A commit of deliveries from the outbox, for which nobody waits.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// Before another attempt.
const PAUSE: Duration = Duration::from_millis(300);

/// What it takes to come back, each time the log was away.
pub struct Recovery {
    shared: Arc<Shared>,
    log_id: String,
    outbox: Outbox,
    /// What a commit has to be. `None`: what the server has, once it is seen first.
    durability: Option<LogDurability>,
}

impl Recovery {
    pub fn new(shared: Arc<Shared>, log_id: String, outbox: Outbox, durability: Option<LogDurability>) -> Self {
        Self { shared, log_id, outbox, durability }
    }

    /// Where deliveries go meanwhile.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Why a commit would not be as durable as it has to be, in words for the operator.
    pub async fn check(&mut self, link: &Link) -> Result<(), (&'static str, String)> {
        let asked = timeout(COMMIT_WITHIN, link.durability()).await.unwrap_or_else(|_| Err(slow()));
        let has = asked.map_err(|error| (UNREACHABLE, error.to_string()))?;
        self.shared.status.has_standbys(has.in_sync, has.wanted);
        match *self.durability.get_or_insert_with(|| told(&has)) {
            LogDurability::Local => Ok(()),
            LogDurability::Quorum => has.lacks().map_or(Ok(()), |lack| Err((NOT_DURABLE, lack.to_owned()))),
        }
    }

    /// A connection, once deliveries can go straight into the log: the outbox is empty. `finishing` says when the last
    /// deliveries are on their way out of it. What comes meanwhile should wait, or there would always be some more.
    pub async fn come_back(&mut self, finishing: &watch::Sender<bool>) -> Result<Link, StoreError> {
        loop {
            match self.try_once(finishing).await {
                Ok(link) => {
                    self.shared.status.appends();
                    return Ok(link);
                }
                Err(Failed::Disk(error)) => return Err(error),
                Err(Failed::Log(trouble, cause)) => self.shared.status.cannot_append(trouble, &cause),
            }
            finishing.send_replace(false);
            sleep(PAUSE).await;
        }
    }

    async fn try_once(&mut self, finishing: &watch::Sender<bool>) -> Result<Link, Failed> {
        let link = Link::open(&self.shared.address).await?;
        let head = timeout(COMMIT_WITHIN, link.head()).await.unwrap_or_else(|_| Err(slow()))?;
        // A server that lacks what was folded here is a primary of yesterday, or another log: it must get nothing.
        if head.log_id != self.log_id || head.position < *self.shared.position.borrow() {
            return Err(LogError::Away("it does not hold what this node has folded".to_owned()).into());
        }
        self.check(&link).await.map_err(|(trouble, cause)| Failed::Log(trouble, cause))?;
        // A commit that is held up is met here, where nobody waits for it.
        timeout(SETTLE_WITHIN, link.barrier()).await.unwrap_or_else(|_| Err(slow()))?;
        while let Some(chunk) = self.outbox.oldest()? {
            finishing.send_replace(chunk.is_all);
            let within = if chunk.is_all { COMMIT_WITHIN } else { SETTLE_WITHIN };
            timeout(within, link.settle(&chunk.deliveries)).await.unwrap_or_else(|_| Err(slow()))?;
            self.outbox.remove(&self.shared.status, &chunk)?;
            self.shared.appended.tell_of_some();
        }
        Ok(link)
    }
}

/// Why an attempt failed.
enum Failed {
    /// The trouble, and its cause.
    Log(&'static str, String),
    /// The outbox cannot be read or written.
    Disk(StoreError),
}

impl From<LogError> for Failed {
    fn from(error: LogError) -> Self {
        Self::Log(UNREACHABLE, error.to_string())
    }
}

impl From<StoreError> for Failed {
    /// Without room the node goes on: queries are answered, and the next attempt may find room.
    fn from(error: StoreError) -> Self {
        if error.is_full() || error.is_busy() { Self::Log(NO_ROOM, error.to_string()) } else { Self::Disk(error) }
    }
}

/// The log is there, and too late.
pub fn slow() -> LogError {
    LogError::Away("it does not answer in time".to_owned())
}

/// Without the setting a node keeps to what the server has when it is met first.
fn told(has: &Durability) -> LogDurability {
    if has.asks_for_quorum() {
        tracing::info!(standbys = has.wanted, "PostgreSQL waits for standbys: log_durability is quorum");
        LogDurability::Quorum
    } else {
        tracing::warn!("PostgreSQL waits for no standby: log_durability is local, and the log is as safe as one disk");
        LogDurability::Local
    }
}
