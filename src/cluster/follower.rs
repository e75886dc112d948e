//! Folds what stands in the shared log, in its order, into the file of this node.

use super::node::Shared;
use super::place::{Place, place, trimmed};
use crate::clock;
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::store::DeliveryId;
use crate::store::postgres::{Check, Link, LogError, Row};
use crate::store::sqlite::shared_log::Joined;
use crate::writer::{Followed, NotRun};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Deliveries in one transaction, and bytes of their bodies.
const ROWS: i64 = 1_000;
const BYTES: i64 = 4 << 20;
/// Looks so often where nothing wakes it.
const POLL: Duration = Duration::from_millis(50);
/// A read that takes longer has lost its connection.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Before it connects again.
const PAUSE: Duration = Duration::from_millis(300);
/// The same where somebody has to help, or another server has to take over.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// The task.
pub struct Follower {
    shared: Arc<Shared>,
    joined: Joined,
    /// The log went on where this node was, once since the start.
    has_followed: bool,
}

/// What was read of the log.
struct Next {
    deliveries: Vec<Followed>,
    /// The newest check.
    check: Check,
    /// No more stood in the log.
    is_all: bool,
    /// When the read began.
    at: (Time, Instant),
}

impl Next {
    /// Takes what is to be folded next, behind a position: all, or what stands before a check.
    fn up_to_check(&mut self, position: i64) -> Vec<Followed> {
        let all = self.deliveries.len();
        let before = usize::try_from(self.check.position - position).unwrap_or(0);
        let rest = if (1..all).contains(&before) { self.deliveries.split_off(before) } else { Vec::new() };
        std::mem::replace(&mut self.deliveries, rest)
    }
}

/// Why following ended.
enum End {
    /// The connection broke, or the disk is full: it begins again.
    Broken(String),
    /// The log does not go on where this node is.
    Lost(String),
    /// The log has no rows any more that this node needs.
    Trimmed(String),
    /// The server is stopping.
    Stopping,
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Follower {
    pub fn new(shared: Arc<Shared>, joined: Joined) -> Self {
        Self { shared, joined, has_followed: false }
    }

    pub async fn run(mut self) {
        let mut told = String::new();
        loop {
            let Err(end) = self.follow().await;
            self.shared.status.follows(false);
            match end {
                End::Stopping => return,
                // At the start the operator is there to read it. Later reads go on, and `/readyz` says it.
                End::Trimmed(why) if !self.has_followed => {
                    tracing::error!("{why}");
                    self.shared.status.lost(Some(why));
                    (self.shared.on_failure)();
                    return;
                }
                End::Lost(why) | End::Trimmed(why) => {
                    self.shared.status.lost(Some(why));
                    sleep(LONG_PAUSE).await;
                }
                End::Broken(why) => {
                    if why != told {
                        tracing::warn!("the shared log is not read: {why}");
                        told = why;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn follow(&mut self) -> Result<Infallible, End> {
        let link = Link::open(&self.shared.address).await?;
        timeout(READ_WITHIN, self.check(&link)).await.unwrap_or_else(|_| Err(slow()))?;
        self.has_followed = true;
        link.listen().await;
        self.shared.status.lost(None);
        self.shared.status.follows(true);
        let mut next = self.read(&link, self.joined.position).await?;
        loop {
            self.shared.checks.reached(next.check, self.joined.position);
            let (at, is_all) = (next.at, next.is_all);
            let deliveries = next.up_to_check(self.joined.position);
            let Some(last) = deliveries.last().map(|it| (it.position, it.id)) else {
                self.shared.status.complete(at);
                tokio::select! {
                    () = link.news() => {}
                    () = self.shared.appended.notified() => {}
                    () = sleep(POLL) => {}
                    () = link.closed() => return Err(End::Broken("the connection is closed".to_owned())),
                }
                next = self.read(&link, self.joined.position).await?;
                continue;
            };
            if !next.deliveries.is_empty() {
                self.fold(deliveries).await?;
                self.moved(last);
                continue;
            }
            // While the writer folds, the next are read.
            let (folded, after) = tokio::join!(self.fold(deliveries), self.read(&link, last.0));
            folded?;
            self.moved(last);
            if is_all {
                self.shared.status.complete(at);
            }
            next = after?;
        }
    }

    /// The tables are at this delivery.
    fn moved(&mut self, last: (i64, DeliveryId)) {
        (self.joined.position, self.joined.delivery_id) = (last.0, Some(last.1.to_vec()));
        self.shared.position.store(last.0, Ordering::Release);
    }

    /// Whether the log goes on where this node is.
    async fn check(&self, link: &Link) -> Result<(), End> {
        match place(link, &self.joined).await? {
            Place::Fits => Ok(()),
            Place::Lost(why) => Err(End::Lost(why)),
            Place::Trimmed(why) => Err(End::Trimmed(why)),
        }
    }

    /// The deliveries behind a position.
    async fn read(&self, link: &Link, position: i64) -> Result<Next, End> {
        let at = (clock::now(), Instant::now());
        let (check, rows) = timeout(READ_WITHIN, link.after(position, ROWS, BYTES)).await.map_err(|_| slow())??;
        if (position + 1..).zip(&rows).any(|(expected, row)| row.position != expected) {
            return Err(End::Trimmed(trimmed(position)));
        }
        let bytes: usize = rows.iter().map(|row| row.body.len()).sum();
        let is_all = rows.len() < ROWS as usize && bytes < BYTES as usize;
        let deliveries = tokio::task::block_in_place(|| rows.into_iter().map(|row| self.decode(row)).collect());
        Ok(Next { deliveries, check, is_all, at })
    }

    fn decode(&self, Row { position, id, received_at, body }: Row) -> Followed {
        let read = match self.shared.folds.envelope(&id) {
            Some(envelope) => Ok(envelope),
            None => Envelope::parse(&body).map_err(|problem| problem.to_string()),
        };
        Followed { position, id, received_at, read }
    }

    async fn fold(&self, deliveries: Vec<Followed>) -> Result<(), End> {
        let ids: Vec<DeliveryId> = deliveries.iter().map(|it| it.id).collect();
        let folded = self.shared.writer.follow(deliveries).await.map_err(|error| match error {
            NotRun::Stopping => End::Stopping,
            NotRun::Failed(error) => End::Broken(error.to_string()),
        })?;
        for (id, appended) in ids.iter().zip(folded) {
            if let Some(appended) = appended {
                self.shared.folds.folded(id, appended);
            }
        }
        Ok(())
    }
}

fn slow() -> End {
    End::Broken("it does not answer in time".to_owned())
}
