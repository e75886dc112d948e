//! Appends what this node takes to the shared log: whatever waits goes into one transaction, and while that one commits the
//! next gathers. While the log is away, deliveries go to the outbox.
//!
//! Where other nodes append too, a node waits for its turn. Deliveries that come meanwhile go into the same commit: a commit
//! takes as long for many deliveries as for few.

use super::node::Shared;
use super::recovery::{COMMIT_WITHIN, Recovery, slow};
use super::status::UNREACHABLE;
use crate::store::postgres::Link;
use crate::store::{Delivery, StoreError};
use crate::writer::Refusal;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// Deliveries in one transaction, and bytes of their bodies but for a single one.
const ROWS: usize = 512;
const BYTES: usize = 4 << 20;
/// How often the durability of the log is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where a delivery is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In the log, at this position.
    InLog(i64),
    InOutbox,
}

/// A delivery, and who waits for it.
pub struct Waiting {
    pub delivery: Delivery,
    pub reply: oneshot::Sender<Result<Kept, Refusal>>,
}

/// The task.
pub struct Appender {
    shared: Arc<Shared>,
    recovery: Recovery,
    queue: mpsc::Receiver<Waiting>,
    waiting: VecDeque<Waiting>,
}

impl Appender {
    pub fn new(shared: Arc<Shared>, recovery: Recovery, queue: mpsc::Receiver<Waiting>) -> Self {
        Self { shared, recovery, queue, waiting: VecDeque::new() }
    }

    /// Until the server stops, or the disk of the outbox fails.
    pub async fn run(mut self) {
        let failed = loop {
            match self.away().await {
                Ok(Some(link)) => match self.append(&link).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => break error,
                },
                Ok(None) => return,
                Err(error) => break error,
            }
        };
        tracing::error!(error = %failed, "the outbox failed: no more is written, the process ends");
        (self.shared.on_failure)();
    }

    /// The log is away: what comes goes to the outbox. A connection, once it is back; `None`: the server stops.
    async fn away(&mut self) -> Result<Option<Link>, StoreError> {
        let Self { shared, recovery, queue, waiting } = self;
        let (finishing, mut seen) = watch::channel(false);
        let outbox = recovery.outbox().clone();
        let back = recovery.come_back(&finishing);
        tokio::pin!(back);
        loop {
            let hold = *seen.borrow_and_update();
            tokio::select! {
                biased;
                link = &mut back => return link.map(Some),
                _ = seen.changed() => {}
                more = gather(queue, waiting), if !hold => {
                    let batch = cut(waiting);
                    if !more && batch.is_empty() {
                        return Ok(None);
                    }
                    outbox.set_aside(&shared.status, batch, &shared.status.refusal())?;
                }
            }
        }
    }

    /// The log is there. Ends when it is not any more (true), or the server stops (false).
    async fn append(&mut self, link: &Link) -> Result<bool, StoreError> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The position behind the newest append, and whether others had appended before it.
        let (mut next, mut takes_turns) = (None, false);
        loop {
            let more = tokio::select! {
                more = gather(&mut self.queue, &mut self.waiting) => more,
                _ = look.tick() => {
                    if let Err((trouble, cause)) = self.recovery.check(link).await {
                        self.shared.status.cannot_append(trouble, &cause);
                        return Ok(true);
                    }
                    continue;
                }
                () = link.closed() => {
                    self.shared.status.cannot_append(UNREACHABLE, "the connection is closed");
                    return Ok(true);
                }
            };
            if !more && self.waiting.is_empty() {
                return Ok(false);
            }
            let until = Instant::now() + COMMIT_WITHIN;
            if takes_turns {
                if let Err(error) = timeout_at(until, link.turn()).await.unwrap_or_else(|_| Err(slow())) {
                    self.shared.status.cannot_append(UNREACHABLE, &error.to_string());
                    return Ok(true);
                }
                take(&mut self.queue, &mut self.waiting);
            }
            let batch = cut(&mut self.waiting);
            let deliveries: Vec<&Delivery> = batch.iter().map(|it| &it.delivery).collect();
            let append = async {
                if takes_turns { link.append_in_turn(&deliveries).await } else { link.append(&deliveries).await }
            };
            let cause = match timeout_at(until, append).await {
                Ok(Ok(first)) => {
                    let behind = first + batch.len() as i64;
                    takes_turns = next.replace(behind).is_some_and(|next| next != first);
                    self.shared.appended.tell(behind - 1);
                    for (position, it) in (first..).zip(batch) {
                        // A sender that has given up takes the retry's `duplicate`.
                        let _ = it.reply.send(Ok(Kept::InLog(position)));
                    }
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "a commit took too long".to_owned(),
            };
            self.shared.status.cannot_append(UNREACHABLE, &cause);
            // They may be in the log or not: the recovery looks before it appends them.
            self.recovery.outbox().set_aside(&self.shared.status, batch, &Refusal::Unknown)?;
            return Ok(true);
        }
    }
}

/// Waits for deliveries, unless some wait already. False: no more will come.
async fn gather(queue: &mut mpsc::Receiver<Waiting>, waiting: &mut VecDeque<Waiting>) -> bool {
    let mut more = Vec::new();
    if waiting.is_empty() && queue.recv_many(&mut more, ROWS).await == 0 {
        return false;
    }
    waiting.extend(more);
    take(queue, waiting);
    true
}

/// Takes what is there.
fn take(queue: &mut mpsc::Receiver<Waiting>, waiting: &mut VecDeque<Waiting>) {
    while waiting.len() < ROWS {
        let Ok(it) = queue.try_recv() else { break };
        waiting.push_back(it);
    }
}

/// The next deliveries that go together.
fn cut(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let fitting = waiting.iter().take(ROWS).take_while(|it| {
        let is_first = bytes == 0;
        bytes += it.delivery.body.len();
        is_first || bytes <= BYTES
    });
    let number = fitting.count();
    waiting.drain(..number).collect()
}
