//! A node: its tasks, and the way of a delivery through them.

use super::appender::{Appender, Kept, Waiting};
use super::checks::Checks;
use super::follower::Follower;
use super::outbox::Outbox;
use super::place::trimmed;
use super::presence::{Duties, Presence};
use super::recovery::Recovery;
use super::status::Status;
use super::{LogStatus, OnFailure, Taken};
use crate::config::{Config, SharedLog};
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::store::postgres::{Address, Link, LogError, News};
use crate::store::sqlite::{self, shared_log};
use crate::store::{Delivery, DeliveryId, StoreError, delivery_id};
use crate::writer::{Appended, Refusal, Writer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Deliveries that may wait for the appender.
const QUEUE: usize = 8_192;
/// The vendor waits 2 s for an answer.
const KEPT_WITHIN: Duration = Duration::from_millis(1_800);
/// A delivery that is in the log is answered after so long, folded or not.
const FOLDED_WITHIN: Duration = Duration::from_millis(300);
/// How long somebody waits for a fold who compares with the tables.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
/// What a stop leaves to the appender.
const DRAIN: Duration = Duration::from_secs(2);

/// What the tasks share.
pub struct Shared {
    pub address: Address,
    pub writer: Writer,
    pub status: Status,
    pub log_id: String,
    pub checks: Checks,
    pub folds: Folds,
    /// How far this node has appended.
    pub appended: News,
    /// The newest position that this node has folded.
    pub position: watch::Sender<i64>,
    pub on_failure: OnFailure,
}

/// A node of a shared log.
pub struct Node {
    shared: Arc<Shared>,
    /// `None` once stopping.
    queue: Mutex<Option<mpsc::Sender<Waiting>>>,
    tasks: Mutex<Option<Tasks>>,
}

struct Tasks {
    runtime: Background,
    appender: JoinHandle<()>,
    follower: JoinHandle<()>,
    presence: JoinHandle<()>,
}

/// A runtime that may be dropped on a thread of another one: nobody waits for its tasks.
struct Background(Option<Runtime>);

impl Background {
    fn start() -> anyhow::Result<(Self, Handle)> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("cluster").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok((Self(Some(runtime)), handle))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Opens the file, which joins the log if it is new, and starts the tasks.
    pub fn start(config: &Config, log: &SharedLog, on_failure: OnFailure) -> anyhow::Result<Arc<Self>> {
        let (runtime, handle) = Background::start()?;
        let (mut joined, mut id) = (None, String::new());
        let (machine, new_id) = (machine(), new_id()?);
        let place = format!("{machine} {}", sqlite::real(&config.db).display());
        let (address, failed) = (log.address.clone(), Arc::clone(&on_failure));
        let join = |conn: &sqlite::Connection| {
            if shared_log::read(conn)?.is_none() {
                let unusable = |error: &dyn std::fmt::Display| {
                    StoreError::Unusable(format!("a new node needs the shared log, {}: {error}", address.shown()))
                };
                let (log_id, is_whole) = begin(&handle, &address).map_err(|error| unusable(&error))?;
                if !is_whole {
                    return Err(unusable(&trimmed(0)));
                }
                shared_log::join(conn, &log_id)?;
            }
            joined = shared_log::read(conn)?;
            id = shared_log::node_id(conn, &place, &new_id)?;
            Ok(())
        };
        let writer = Writer::start_node(&config.db, config.row_cache, join, Box::new(move || failed()))?;
        let joined = joined.ok_or_else(|| anyhow::anyhow!("the file does not say which log it follows"))?;
        let status = Status::new();
        let outbox = Outbox::open(&config.db, log.outbox, &status)?;
        tracing::info!(
            position = joined.position,
            "a node of the shared log {}, outbox {}",
            log.address.shown(),
            if log.outbox > 0 { "on" } else { "off" }
        );
        let shared = Arc::new(Shared {
            address: log.address.clone(),
            writer,
            status,
            log_id: joined.log_id.clone(),
            checks: Checks::new(config.db.clone()),
            folds: Folds::default(),
            appended: News::default(),
            position: watch::Sender::new(joined.position),
            on_failure,
        });
        let (queue, waiting) = mpsc::channel(QUEUE);
        let recovery = Recovery::new(Arc::clone(&shared), joined.log_id.clone(), outbox, log.durability);
        let failed = || Arc::clone(&shared.on_failure);
        let appender = handle.spawn(watched(failed(), Appender::new(Arc::clone(&shared), recovery, waiting).run()));
        let follower = handle.spawn(watched(failed(), Follower::new(Arc::clone(&shared), joined).run()));
        let duties = Duties { check: log.check, keep: log.keep };
        let presence = Presence::new(Arc::clone(&shared), id, format!("{machine} {}", config.listen), duties);
        let presence = handle.spawn(watched(failed(), presence.run()));
        let tasks = Mutex::new(Some(Tasks { runtime, appender, follower, presence }));
        Ok(Arc::new(Self { shared, queue: Mutex::new(Some(queue)), tasks }))
    }

    pub fn writer(&self) -> &Writer {
        &self.shared.writer
    }

    /// The delivery is in the log or in the outbox when this returns `Ok`.
    pub async fn take(&self, envelope: Envelope, received_at: Time) -> Result<Taken, Refusal> {
        let stopping = Refusal::NotWritten("the server is stopping");
        let queue = lock(&self.queue).clone().ok_or_else(|| stopping.clone())?;
        let id = delivery_id(received_at).ok_or(Refusal::NotWritten("the system gives no random bytes"))?;
        let delivery = Delivery {
            id,
            received_at,
            app_id: envelope.app_id.clone(),
            webhook: envelope.webhook_id.clone(),
            body: envelope.body.clone().into_bytes(),
        };
        // Before it is sent: another connection may see it in the log first.
        let mut fold = self.shared.folds.expect(id, envelope);
        let (reply, kept) = oneshot::channel();
        queue.try_send(Waiting { delivery, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::NotWritten("the queue is full"),
            mpsc::error::TrySendError::Closed(_) => stopping,
        })?;
        drop(queue);
        match timeout(KEPT_WITHIN, kept).await {
            Ok(Ok(Ok(Kept::InLog(position)))) => match timeout(FOLDED_WITHIN, &mut fold.folded).await {
                Ok(Ok(appended)) => Ok(Taken::Folded(appended)),
                _ => Ok(Taken::Accepted(position)),
            },
            Ok(Ok(Ok(Kept::InOutbox))) => Ok(Taken::Queued),
            Ok(Ok(Err(refusal))) => Err(refusal),
            Ok(Err(_)) | Err(_) => Err(Refusal::Unknown),
        }
    }

    /// Waits until this node has folded the log up to a position, a minute at most.
    pub async fn folded(&self, position: i64) {
        let mut folded = self.positions();
        // Who waits longer goes on: the delivery is in the log.
        let _ = timeout(CAUGHT_UP_WITHIN, folded.wait_for(|folded| *folded >= position)).await;
    }

    /// The newest position that this node has folded. A position may be that of a delivery that is no event of its own.
    pub fn positions(&self) -> watch::Receiver<i64> {
        self.shared.position.subscribe()
    }

    pub fn not_ready(&self) -> Option<String> {
        self.shared.writer.not_ready().or_else(|| self.shared.status.not_ready())
    }

    pub fn log(&self) -> LogStatus {
        self.shared.status.log()
    }

    /// What waits goes into the log or the outbox. Blocking.
    pub fn stop(&self) {
        *lock(&self.queue) = None;
        let Some(Tasks { runtime, appender, follower, presence }) = lock(&self.tasks).take() else { return };
        follower.abort();
        presence.abort();
        self.shared.checks.stop();
        let ended =
            runtime.0.as_ref().map(|runtime| runtime.block_on(async { timeout(DRAIN, appender).await.is_ok() }));
        if ended != Some(true) {
            tracing::warn!("the appender was not finished in time: what was not answered may not be kept");
        }
    }
}

/// A task without which the node would take deliveries for ever and keep none: if the task panics, the process ends.
async fn watched(on_failure: OnFailure, task: impl Future<Output = ()>) {
    struct Watch(OnFailure);
    impl Drop for Watch {
        fn drop(&mut self) {
            if std::thread::panicking() {
                tracing::error!("a task of the node failed: no more is written, the process ends");
                (self.0)();
            }
        }
    }
    let _watch = Watch(on_failure);
    task.await;
}

/// The name of this machine, for people.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn new_id() -> anyhow::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Which log it is, and whether it has its first delivery still. Asks on a thread of the runtime: the caller may stand on
/// a thread of another one.
fn begin(runtime: &Handle, address: &Address) -> Result<(String, bool), LogError> {
    let (send, answer) = std::sync::mpsc::channel();
    let address = address.clone();
    runtime.spawn(async move {
        let head = async {
            let link = Link::open(&address).await?;
            let head = link.head().await?;
            let is_whole = head.position == 0 || link.oldest().await? == Some(1);
            Ok((head.log_id, is_whole))
        };
        let asked = timeout(Duration::from_secs(10), head).await;
        // The receiver waits for it.
        let _ = send.send(asked.unwrap_or_else(|_| Err(LogError::Away("it does not answer in time".to_owned()))));
    });
    let gone = || Err(LogError::Away("nobody asked".to_owned()));
    answer.recv().unwrap_or_else(|_| gone())
}

/// Deliveries of this node that are on their way, and who waits for their fold.
#[derive(Default)]
pub struct Folds {
    waiting: Arc<Mutex<HashMap<DeliveryId, Fold>>>,
}

struct Fold {
    /// Read already when it was taken. `None`: the follower has it.
    envelope: Option<Envelope>,
    reply: oneshot::Sender<Appended>,
}

/// A delivery whose fold is waited for. Dropping it ends the wait.
struct Expected {
    id: DeliveryId,
    folded: oneshot::Receiver<Appended>,
    waiting: Arc<Mutex<HashMap<DeliveryId, Fold>>>,
}

impl Drop for Expected {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.id);
    }
}

impl Folds {
    fn expect(&self, id: DeliveryId, envelope: Envelope) -> Expected {
        let (reply, folded) = oneshot::channel();
        lock(&self.waiting).insert(id, Fold { envelope: Some(envelope), reply });
        Expected { id, folded, waiting: Arc::clone(&self.waiting) }
    }

    /// What was read of a delivery, if this node took it just now.
    pub fn envelope(&self, id: &DeliveryId) -> Option<Envelope> {
        lock(&self.waiting).get_mut(id)?.envelope.take()
    }

    /// A delivery is folded.
    pub fn folded(&self, id: &DeliveryId, appended: Appended) {
        if let Some(fold) = lock(&self.waiting).remove(id) {
            // Who waited may have gone just now.
            let _ = fold.reply.send(appended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_task_that_panics_ends_the_process_and_one_that_is_stopped_does_not() {
        let ends = Arc::new(AtomicUsize::new(0));
        let on_failure = || {
            let ends = Arc::clone(&ends);
            Arc::new(move || {
                ends.fetch_add(1, Ordering::SeqCst);
            })
        };
        let stopped = tokio::spawn(watched(on_failure(), std::future::pending()));
        tokio::spawn(watched(on_failure(), async {})).await.unwrap();
        tokio::task::yield_now().await;
        stopped.abort();
        assert!(stopped.await.unwrap_err().is_cancelled());
        assert_eq!(ends.load(Ordering::SeqCst), 0);
        assert!(tokio::spawn(watched(on_failure(), async { panic!("on purpose") })).await.unwrap_err().is_panic());
        assert_eq!(ends.load(Ordering::SeqCst), 1);
    }
}
