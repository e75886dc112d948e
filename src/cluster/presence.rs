//! Tells the other nodes that this one is there, compares state hashes, and does what one node does for all.

use super::checks::Checks;
use super::node::Shared;
use super::verdict::{Verdict, comparable, verdict};
use crate::fold::FOLD_VERSION;
use crate::store::postgres::{Link, LogError, Presence as Told};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(2);
/// All that one beat does, but for the turn of trimming.
const WITHIN: Duration = Duration::from_secs(10);
/// A node is live if it was seen within this time.
pub const LIVE: Duration = Duration::from_secs(600);
/// Between two turns of trimming, by whichever node.
const TRIM_EVERY: Duration = Duration::from_secs(3_600);
/// A check takes at most one part of so many of the time.
const SHARE: u32 = 20;
/// While nodes differ, the next check comes so soon.
const AGAIN: Duration = Duration::from_secs(60);

/// The version of chatfold, and of its fold. Nodes that differ in it may read one delivery differently.
pub fn edition() -> String {
    format!("{FOLD_VERSION}/{}", env!("CARGO_PKG_VERSION"))
}

pub fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// How often, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Duties {
    /// Between two checks.
    pub check: Duration,
    /// How long the log keeps deliveries.
    pub keep: Duration,
}

/// The task.
pub struct Presence {
    shared: Arc<Shared>,
    id: String,
    name: String,
    duties: Duties,
}

impl Presence {
    pub fn new(shared: Arc<Shared>, id: String, name: String, duties: Duties) -> Self {
        Self { shared, id, name, duties }
    }

    pub async fn run(self) {
        let mut link = None;
        loop {
            // Why the log is away, the appender tells.
            if let Err(error) = self.beat(&mut link).await {
                tracing::debug!(%error, "this node tells nobody that it is there");
                link = None;
            }
            sleep(BEAT).await;
        }
    }

    async fn beat(&self, kept: &mut Option<Link>) -> Result<(), LogError> {
        let slow = || LogError::Away("it does not answer in time".to_owned());
        let link = match kept {
            Some(link) => link,
            None => kept.insert(timeout(WITHIN, self.connect()).await.unwrap_or_else(|_| Err(slow()))?),
        };
        timeout(WITHIN, self.exchange(link)).await.unwrap_or_else(|_| Err(slow()))?;
        if link.take_turn(ms(TRIM_EVERY)).await? {
            let trimmed = link.trim(ms(self.duties.keep), ms(LIVE)).await?;
            if trimmed.deliveries > 0 {
                tracing::info!(deliveries = trimmed.deliveries, "removed old deliveries from the shared log");
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Link, LogError> {
        let link = Link::open(&self.shared.address).await?;
        if link.head().await?.log_id != self.shared.log_id {
            return Err(LogError::Unusable("it is another log".to_owned()));
        }
        link.unsynced().await?;
        Ok(link)
    }

    async fn exchange(&self, link: &Link) -> Result<(), LogError> {
        let position = *self.shared.position.borrow();
        link.tell(&Told {
            id: self.id.clone(),
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fold_version: FOLD_VERSION,
            position,
        })
        .await?;
        let (checks, edition): (&Checks, _) = (&self.shared.checks, edition());
        if let Some(taken) = checks.untold() {
            link.tell_hash(taken.position, &self.id, &edition, &taken.hash).await?;
            checks.told(&taken);
        }
        let hashes = link.hashes(ms(LIVE)).await?;
        let told = verdict(comparable(&hashes, &self.id, &edition));
        let differ = told.as_ref().is_some_and(|told| !told.others.is_empty());
        self.shared.status.compared(told.as_ref(), told.as_ref().and_then(|told| self.alarm(told)));
        let every = self.duties.check.max(checks.took() * SHARE);
        let every = if differ { every.min(AGAIN.max(checks.took() * SHARE)) } else { every };
        link.ask_for_check(ms(every), differ).await
    }

    /// What the operator has to know, and whether this node is the one that differs.
    fn alarm(&self, told: &Verdict) -> Option<(String, bool)> {
        if told.others.iter().any(|(id, ..)| *id == self.id) {
            let right = told.right.join(", ");
            return Some((
                format!(
                    "the tables of this node say something else than those of {right} at log position {}. `chatfold \
                     rebuild` makes the tables anew, and `chatfold join --force` the whole node",
                    told.position
                ),
                true,
            ));
        }
        let others: Vec<&str> = told.others.iter().map(|(_, name, _)| name.as_str()).collect();
        (!others.is_empty()).then(|| {
            let others = others.join(", ");
            (
                format!(
                    "the tables of {others} say something else than those of this node at log position {}",
                    told.position
                ),
                false,
            )
        })
    }
}
