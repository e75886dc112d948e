//! Where deliveries go: to the writer of the file, or into the log that several nodes share.
//!
//! A node appends what it takes to the log in PostgreSQL (`appender`), and folds what stands there, of all nodes and in the
//! order of the log (`follower`). While the log cannot be reached deliveries wait in the `outbox`, on the node's own disk.
//! Nothing of this runs without the setting `log`.

#[cfg(feature = "postgres")]
mod appender;
#[cfg(feature = "postgres")]
mod erasing;
#[cfg(feature = "postgres")]
mod follower;
#[cfg(feature = "postgres")]
mod checks;
#[cfg(feature = "postgres")]
mod found;
#[cfg(feature = "postgres")]
mod node;
#[cfg(feature = "postgres")]
mod outbox;
#[cfg(feature = "postgres")]
mod place;
#[cfg(feature = "postgres")]
pub mod post;
#[cfg(feature = "postgres")]
mod presence;
#[cfg(feature = "postgres")]
mod recovery;
#[cfg(feature = "postgres")]
mod status;
#[cfg(feature = "postgres")]
mod verdict;

#[cfg(feature = "postgres")]
pub use found::found;
#[cfg(feature = "postgres")]
pub use place::fits;
#[cfg(feature = "postgres")]
pub use presence::{LIVE, edition, ms};
#[cfg(feature = "postgres")]
pub use verdict::{Verdict, verdict};

use crate::config::Config;
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::writer::{Appended, Refusal, Writer, Written};
use anyhow::Context;
use std::sync::Arc;
use tokio::sync::watch;

/// Runs once when nothing may be written any more: the process has to end.
pub type OnFailure = Arc<dyn Fn() + Send + Sync>;

/// What became of a delivery that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is folded.
    Folded(Appended),
    /// The delivery is in the log at this position. This process has not folded it yet.
    Accepted(i64),
    /// It is in the outbox.
    Queued,
}

/// What a node knows of the shared log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// When the node last had folded all that stood in the log; `None`: not since its start.
    pub read_at: Option<Time>,
    /// Why deliveries do not go into the log now.
    pub trouble: Option<&'static str>,
    /// Deliveries in the outbox, and bytes of their bodies.
    pub queued: (u64, u64),
    /// Standbys in sync, and how many a commit waits for.
    pub standbys: (i64, i64),
    /// Nodes of this edition whose state hashes were compared, and how many of them differ from most.
    pub compared: (u64, u64),
    /// The log position of that comparison; 0: there was none.
    pub compared_at: i64,
    /// What the operator has to know of it.
    pub alarm: Option<String>,
}

/// Takes deliveries. Cheap to clone.
#[derive(Clone)]
pub enum Intake {
    /// The file has a log of its own.
    Alone(Writer),
    /// The file follows a shared log.
    #[cfg(feature = "postgres")]
    Node(Arc<node::Node>),
}

impl Intake {
    /// Opens the file, and with the setting `log` the way to the shared log. A file that is not a node's yet needs the log
    /// for its first start.
    pub fn start(config: &Config, on_failure: OnFailure) -> anyhow::Result<Self> {
        let opening = || format!("opening {}", config.db.display());
        #[cfg(feature = "postgres")]
        if let Some(log) = &config.shared_log {
            return node::Node::start(config, log, on_failure).map(Self::Node).with_context(opening);
        }
        let writer = Writer::start(&config.db, config.row_cache, Box::new(move || on_failure()));
        writer.map(Self::Alone).with_context(opening)
    }

    /// What writes the file.
    pub fn writer(&self) -> &Writer {
        match self {
            Self::Alone(writer) => writer,
            #[cfg(feature = "postgres")]
            Self::Node(node) => node.writer(),
        }
    }

    /// The delivery is durable when this returns `Ok`.
    pub async fn take(&self, envelope: Envelope, received_at: Time) -> Result<Taken, Refusal> {
        match self {
            Self::Alone(writer) => Ok(match writer.append(envelope, received_at).await? {
                Written::Folded(appended) => Taken::Folded(appended),
                Written::Unfolded(position) => Taken::Accepted(position),
            }),
            #[cfg(feature = "postgres")]
            Self::Node(node) => node.take(envelope, received_at).await,
        }
    }

    /// Waits until the event at a log position is folded here, a minute at most.
    pub async fn folded(&self, position: i64) {
        match self {
            Self::Alone(writer) => writer.folded(position).await,
            #[cfg(feature = "postgres")]
            Self::Node(node) => node.folded(position).await,
        }
    }

    /// The newest log position that is folded here, also if its delivery is no event of its own. `None` without a shared
    /// log.
    pub fn positions(&self) -> Option<watch::Receiver<i64>> {
        match self {
            Self::Alone(_) => None,
            #[cfg(feature = "postgres")]
            Self::Node(node) => Some(node.positions()),
        }
    }

    /// Why the node should get no traffic now; `None` when it should.
    pub fn not_ready(&self) -> Option<String> {
        match self {
            Self::Alone(writer) => writer.not_ready(),
            #[cfg(feature = "postgres")]
            Self::Node(node) => node.not_ready(),
        }
    }

    /// What the node knows of the shared log; `None` without one.
    pub fn log(&self) -> Option<LogStatus> {
        match self {
            Self::Alone(_) => None,
            #[cfg(feature = "postgres")]
            Self::Node(node) => Some(node.log()),
        }
    }

    /// Finishes what waits, and closes the file. Blocking.
    pub fn stop(&self) {
        #[cfg(feature = "postgres")]
        if let Self::Node(node) = self {
            node.stop();
        }
        self.writer().stop();
    }
}
