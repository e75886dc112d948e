//! Orders from the command line into the shared log, past whatever server writes the node's file.

use super::erasing::Who;
use crate::clock;
use crate::config::{Config, ConfigError, LogDurability};
use crate::lock::{Lock, LockError};
use crate::store::postgres::{Address, Link, LogError};
use crate::store::sqlite::shared_log::{self, Joined};
use crate::store::sqlite::{Connection, is_erasing};
use crate::store::{Delivery, delivery_id};
use crate::writer::orders::{BEGIN, Order};
use anyhow::Context;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

/// A statement that takes longer has lost its connection.
const WITHIN: Duration = Duration::from_secs(5);
/// An order whose answer was lost is looked up for so long.
const SETTLE_WITHIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(300);
/// The server of this node reads an order within so long, unless it is far behind.
const READ_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// The way of one command into the shared log.
pub struct Post {
    runtime: Runtime,
    address: Address,
    joined: Joined,
    durability: Option<LogDurability>,
}

impl Post {
    /// For the node that the file belongs to. `None`: the file has a log of its own.
    pub fn of(config: &Config, conn: &Connection) -> anyhow::Result<Option<Self>> {
        let Some(joined) = shared_log::read(conn)? else { return Ok(None) };
        let Some(log) = &config.shared_log else {
            return Err(ConfigError(format!(
                "{} is the file of a node, and this command is for all nodes: give the address of the shared log \
                 (--log, CHATFOLD_LOG or the configuration file)",
                config.db.display()
            ))
            .into());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Some(Self { runtime, address: log.address.clone(), joined, durability: log.durability }))
    }

    /// The orders that this file has not done yet, with their positions.
    pub fn ahead(&self) -> anyhow::Result<Vec<(i64, Order)>> {
        let asked = self.runtime.block_on(async {
            let link = self.open().await?;
            within(link.orders(self.joined.position, BEGIN)).await
        });
        let rows = asked.map_err(|error| self.away(&error))?;
        Ok(rows.iter().filter_map(|(at, body)| Some((*at, Order::read(body)?.ok()?))).collect())
    }

    /// Appends an order: its position in the log. `who`: the uid of the person to erase.
    pub fn append(&self, order: &Order, who: Option<&str>) -> anyhow::Result<i64> {
        let received_at = clock::now();
        let delivery = Delivery {
            id: delivery_id(received_at).context("the system gives no random bytes")?,
            received_at,
            app_id: order.app_id().to_owned(),
            webhook: None,
            body: order.body()?,
        };
        self.runtime.block_on(async {
            let link = self.open().await.map_err(|error| self.away(&error))?;
            if let Some(uid) = who {
                let who = serde_json::to_vec(&Who { uid: uid.to_owned() })?;
                within(link.order_erasure(&delivery, &who)).await.map_err(|error| self.away(&error))?;
            }
            let mut lost = match within(link.append(&[&delivery])).await {
                Ok(position) => return Ok(position),
                Err(error) => error,
            };
            // It may be in the log or not.
            let until = Instant::now() + SETTLE_WITHIN;
            while Instant::now() < until {
                sleep(PAUSE).await;
                match self.settle(&delivery).await {
                    Ok(position) => return Ok(position),
                    Err(error) => lost = error,
                }
            }
            Err(anyhow::anyhow!(
                "the shared log, {}, went away in the middle: {lost}. What was told may be in the log or not. Once \
                 PostgreSQL is back, look, and run the command again if nothing came of it",
                self.address.shown()
            ))
        })
    }

    async fn settle(&self, delivery: &Delivery) -> Result<i64, LogError> {
        let link = self.open().await?;
        within(link.settle(std::slice::from_ref(delivery))).await?;
        let found = within(link.position_of(&delivery.id)).await?;
        found.ok_or_else(|| LogError::Away("the log has lost it again".to_owned()))
    }

    async fn open(&self) -> Result<Link, LogError> {
        let link = Link::open(&self.address).await?;
        let head = within(link.head()).await?;
        if head.log_id != self.joined.log_id || head.position < self.joined.position {
            return Err(LogError::Unusable("it does not hold what this node has folded".to_owned()));
        }
        if self.durability == Some(LogDurability::Quorum)
            && let Some(lack) = within(link.durability()).await?.lacks()
        {
            return Err(LogError::Away(format!("it cannot keep anything on several disks now: {lack}")));
        }
        Ok(link)
    }

    fn away(&self, error: &LogError) -> anyhow::Error {
        anyhow::anyhow!(
            "the shared log, {}, cannot be used now: {error}. Nothing was done, on no node: run the command again once \
             PostgreSQL is back",
            self.address.shown()
        )
    }
}

/// Waits until the server of this node has done what stands at a position, and all that belongs to it. False: no server
/// runs, or the server is behind; it will do so.
pub fn is_done(db: &Path, conn: &Connection, position: i64) -> anyhow::Result<bool> {
    let until = Instant::now() + READ_WITHIN;
    while matches!(Lock::hold(db), Err(LockError::Held { .. })) {
        let there = shared_log::read(conn)?.is_some_and(|it| it.position >= position);
        let erasing = is_erasing(conn)?;
        if there && !erasing {
            return Ok(true);
        }
        if Instant::now() > until && !erasing {
            break;
        }
        std::thread::sleep(LOOK);
    }
    Ok(shared_log::read(conn)?.is_some_and(|it| it.position >= position) && !is_erasing(conn)?)
}

async fn within<T>(asked: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    let late = || Err(LogError::Away("it does not answer in time".to_owned()));
    timeout(WITHIN, asked).await.unwrap_or_else(|_| late())
}
