//! Folds what stands in the shared log, in its order, into the file of this node.

use super::node::Shared;
use super::place::{Place, place, trimmed};
use crate::clock;
use crate::envelope::Envelope;
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use crate::rebuild::{self, Host};
use crate::store::postgres::{Check, Link, LogError, Row};
use crate::store::sqlite::shared_log::Joined;
use crate::store::{DeliveryId, StoreError};
use crate::writer::orders::{Order, UserErased};
use crate::writer::{Folded, Followed, NotRun, Read};
use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Deliveries in one transaction, and bytes of their bodies.
const ROWS: i64 = 1_000;
const BYTES: i64 = 4 << 20;
/// Looks so often where nothing wakes it.
const POLL: Duration = Duration::from_millis(50);
/// A read that takes longer has lost its connection.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How often what names erased people is forgotten.
const FORGET: Duration = Duration::from_hours(1);
/// Before it connects again.
const PAUSE: Duration = Duration::from_millis(300);
/// The same where somebody has to help, or another server has to take over.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// The task.
pub struct Follower {
    pub(super) shared: Arc<Shared>,
    joined: Joined,
    /// The log went on where this node was, once since the start.
    has_followed: bool,
    /// Late copies of deliveries that name erased people: the log is to hold them without these people.
    late: Mutex<Vec<(i64, String)>>,
    /// When what names erased people was last forgotten.
    forgot_at: Option<Instant>,
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
#[derive(Debug)]
pub enum End {
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

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Follower {
    pub fn new(shared: Arc<Shared>, joined: Joined) -> Self {
        Self { shared, joined, has_followed: false, late: Mutex::default(), forgot_at: None }
    }

    pub async fn run(mut self) {
        let mut told = String::new();
        loop {
            let Err(end) = self.follow().await;
            self.shared.status.follows(false);
            self.shared.status.erases(false);
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
        // What a kill left.
        self.finish_erasure()?;
        let link = Link::open(&self.shared.address).await?;
        timeout(READ_WITHIN, self.check(&link)).await.unwrap_or_else(|_| Err(slow()))?;
        self.has_followed = true;
        let listens = link.listen().await;
        self.shared.status.lost(None);
        self.shared.status.follows(true);
        let mut next = self.read(&link, self.joined.position).await?;
        loop {
            self.look_after(&link).await?;
            self.shared.checks.reached(next.check, self.joined.position);
            let (at, is_all) = (next.at, next.is_all);
            let deliveries = next.up_to_check(self.joined.position);
            let Some(last) = deliveries.last().map(|it| (it.position, it.id)) else {
                self.shared.status.complete(at);
                tokio::select! {
                    () = link.news().behind(self.joined.position) => {}
                    () = self.shared.appended.behind(self.joined.position) => {}
                    () = sleep(POLL) => {}
                    () = link.closed() => return Err(End::Broken("the connection is closed".to_owned())),
                }
                next = self.read(&link, self.joined.position).await?;
                continue;
            };
            if let Some(order) = erasure(&deliveries) {
                self.erase(&link, order, last).await?;
                self.moved(last);
                next = self.read(&link, last.0).await?;
                continue;
            }
            // If the log is known to go on, the next deliveries are read while the writer folds.
            let knows = link.news().are_behind(last.0) || self.shared.appended.are_behind(last.0);
            if !next.deliveries.is_empty() || is_all && listens && !knows {
                self.fold(deliveries).await?;
                self.moved(last);
                continue;
            }
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
        self.shared.position.send_replace(last.0);
    }

    /// What is to be done for erased people beside following.
    async fn look_after(&mut self, link: &Link) -> Result<(), End> {
        let late = self.late.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !late.is_empty() {
            timeout(READ_WITHIN, link.rewrite(late)).await.map_err(|_| slow())??;
            late.clear();
        }
        if self.forgot_at.is_none_or(|at| at.elapsed() > FORGET) {
            self.forget_erased(link).await?;
            self.forgot_at = Some(Instant::now());
        }
        Ok(())
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
        let number = rows.len();
        let deliveries = tokio::task::block_in_place(|| self.decode_all(rows))?;
        Ok(Next { is_all: is_all && deliveries.len() == number, deliveries, check, at })
    }

    /// What can be folded together: all, or what stands before an erasure, or an erasure alone.
    fn decode_all(&self, rows: Vec<Row>) -> Result<Vec<Followed>, End> {
        let mut together = Vec::with_capacity(rows.len());
        for row in rows {
            match self.decode(row) {
                Ok(it) if erasure(std::slice::from_ref(&it)).is_none() => together.push(it),
                other => {
                    // The next read begins with it.
                    if together.is_empty() {
                        together.push(other?);
                    }
                    break;
                }
            }
        }
        Ok(together)
    }

    fn decode(&self, Row { position, id, received_at, body }: Row) -> Result<Followed, End> {
        let read = match (self.shared.folds.envelope(&id), Order::read(&body)) {
            (Some(envelope), _) => Read::Delivery(Box::new(envelope)),
            (None, Some(Ok(Order::Redacted(it)))) => match Envelope::parse(it.body.as_bytes()) {
                Ok(envelope) => {
                    Read::Redacted(Box::new(Envelope { newest: it.newest.map(Time), ..envelope }), it.event)
                }
                Err(problem) => Read::Nothing(problem.to_string()),
            },
            (None, Some(Ok(order))) => Read::Order(order),
            (None, Some(Err(problem))) => {
                return Err(End::Lost(format!(
                    "the shared log holds an order at position {position} that this chatfold does not know ({problem}). \
                     Upgrade this node"
                )));
            }
            (None, None) => match Envelope::parse(&body) {
                Ok(envelope) => Read::Delivery(Box::new(envelope)),
                Err(problem) => Read::Nothing(problem.to_string()),
            },
        };
        Ok(Followed { position, id, received_at, read })
    }

    async fn fold(&self, deliveries: Vec<Followed>) -> Result<(), End> {
        let ids: Vec<DeliveryId> = deliveries.iter().map(|it| it.id).collect();
        let rebuilds = deliveries.iter().any(asks_for_rebuild);
        let Folded { appended, late } = self.shared.writer.follow(deliveries).await.map_err(|error| match error {
            NotRun::Stopping => End::Stopping,
            NotRun::Failed(error) => End::Broken(error.to_string()),
        })?;
        for (id, appended) in ids.iter().zip(appended) {
            if let Some(appended) = appended {
                self.shared.folds.folded(id, appended);
            }
        }
        self.late.lock().unwrap_or_else(PoisonError::into_inner).extend(late);
        if rebuilds {
            self.rebuild();
        }
        Ok(())
    }

    /// Makes the tables again beside all else, as all nodes of this edition were told.
    fn rebuild(&self) {
        let writer = self.shared.writer.clone();
        let rebuild = move || {
            tracing::info!("all nodes make their tables again: deliveries and queries go on");
            let host = Host::Writer(writer.clone());
            match rebuild::rebuild(writer.path(), &host, &AtomicBool::new(false), &mut |_| {}) {
                Ok(rebuilt) => tracing::info!(rebuilt.events, rebuilt.retried, "the tables are made again"),
                Err(error) => tracing::error!(%error, "the tables are not made again"),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("rebuild".into()).spawn(rebuild) {
            tracing::error!(%error, "cannot start a thread: the tables are not made again");
        }
    }
}

/// The order to erase a person, if the rows begin with one.
fn erasure(rows: &[Followed]) -> Option<&UserErased> {
    match &rows.first()?.read {
        Read::Order(Order::EraseUser(order)) => Some(order),
        _ => None,
    }
}

fn asks_for_rebuild(row: &Followed) -> bool {
    matches!(&row.read, Read::Order(Order::Rebuild(asked)) if asked.edition == FOLD_VERSION)
}

fn slow() -> End {
    End::Broken("it does not answer in time".to_owned())
}
