//! Removes what the log need not keep any more.

use super::LogError;
use super::link::Link;
use super::nodes::NOW;

/// Rows of one transaction.
const ROWS: i64 = 5_000;
/// State hashes, and nodes that were never seen again, are kept for so many milliseconds.
const HASHES: i64 = 7 * 86_400_000;
const NODES: i64 = 30 * 86_400_000;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    pub deliveries: u64,
    /// The oldest position that the log still has.
    pub oldest: Option<i64>,
}

impl Link {
    /// Whether this node has the turn: nobody trimmed within so many milliseconds. Then nobody else has it for as long.
    pub async fn take_turn(&self, every: i64) -> Result<bool, LogError> {
        let take = format!("UPDATE chatfold_duties SET trimmed_at = {NOW} WHERE trimmed_at <= {NOW} - $1");
        Ok(self.client.execute(&take, &[&every]).await? > 0)
    }

    /// Removes deliveries that arrived longer ago than `keep`, up to the first younger one, and that every node has that
    /// was seen within `live`, both in milliseconds. The row where the slowest node is stays, and so does the newest row:
    /// by them a node knows its log again. Without a live node nothing is removed, for nobody would have it.
    pub async fn trim(&self, keep: i64, live: i64) -> Result<Trimmed, LogError> {
        let bound = format!(
            "SELECT (SELECT min(position) FROM chatfold_nodes WHERE seen_at >= {NOW} - $2),
                least((SELECT position FROM chatfold_head),
                    (SELECT position FROM chatfold_deliveries WHERE received_at >= {NOW} - $1 ORDER BY position LIMIT 1))"
        );
        let row = self.client.query_one(&bound, &[&keep, &live]).await?;
        let (slowest, young): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let (Some(slowest), Some(young)) = (slowest, young) else {
            return Err(LogError::Unusable(format!(
                "no node was seen in the last {} minutes: nothing is removed, because nobody may have it. Start a node",
                live / 60_000
            )));
        };
        let mut deliveries = 0;
        loop {
            let oldest = self.oldest().await?;
            match oldest.filter(|oldest| *oldest < slowest.min(young)) {
                None => {
                    self.forget().await?;
                    return Ok(Trimmed { deliveries, oldest });
                }
                Some(oldest) => {
                    let before = slowest.min(young).min(oldest + ROWS);
                    deliveries +=
                        self.client.execute("DELETE FROM chatfold_deliveries WHERE position < $1", &[&before]).await?;
                }
            }
        }
    }

    /// Forgets old hashes, and nodes that are gone.
    async fn forget(&self) -> Result<(), LogError> {
        let hashes = format!("DELETE FROM chatfold_hashes WHERE at < {NOW} - $1");
        self.client.execute(&hashes, &[&HASHES]).await?;
        let nodes = format!("DELETE FROM chatfold_nodes WHERE seen_at < {NOW} - $1");
        self.client.execute(&nodes, &[&NODES]).await?;
        Ok(())
    }
}
