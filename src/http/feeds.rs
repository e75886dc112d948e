//! Where subscriptions run: on a thread of their own and, a few at a time, on threads that read, so that a thousand of them
//! leave the workers to deliveries.

use crate::graphql::Decoder;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

/// Threads that block, for queries over websockets and batches of subscriptions.
const READERS: usize = 16;

/// The runtime; the server holds it as long as it runs.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(READERS)
        .thread_name("feeds")
        .enable_all()
        .build()
}

/// The way to it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Feeds {
    handle: Handle,
    turns: Arc<Semaphore>,
}

impl Feeds {
    /// Half of the cores read for subscriptions at once.
    pub(super) fn new(handle: Handle) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { handle, turns: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// Starts the thread that decodes new changes for all of them.
    pub(super) fn decode(&self, decoder: Decoder, committed: watch::Receiver<i64>) -> std::io::Result<()> {
        let handle = self.handle.clone();
        std::thread::Builder::new().name("decoder".into()).spawn(move || decoder.run(&handle, committed)).map(drop)
    }

    /// Runs one for as long as it goes on.
    pub(super) fn spawn(&self, feed: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle.spawn(feed)
    }

    /// A turn to read a batch, held while it is read.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }
}
