//! Orders in the log, and what erasures need beside it.

use super::LogError;
use super::link::Link;
use crate::store::{Delivery, DeliveryId};
use tokio_postgres::Row as Columns;

/// The table of erasures. What names a person stands beside the log and is forgotten; the log itself names nobody.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS chatfold_erasures (
        -- One row an order to erase a person.
        id        bytea PRIMARY KEY, -- the id of the order in chatfold_deliveries
        made_at   bigint NOT NULL,   -- unix ms
        who       bytea,             -- JSON: the uid. Null: forgotten, all nodes should have read the order by now
        known     bytea,             -- JSON: names and addresses of the person, found by the first node
        hashes    bytea,             -- JSON: salted hashes of all these, for nodes that come later
        rewritten boolean NOT NULL DEFAULT false -- true: no older row of the log names the person
    )";
const ORDERS: &str = "
    SELECT position, body FROM chatfold_deliveries
    WHERE position > $1 AND substr(body, 1, 27) = $2 ORDER BY position";
const POSITION: &str = "SELECT position FROM chatfold_deliveries WHERE id = $1";
const ORDER_ERASURE: &str = "
    INSERT INTO chatfold_erasures (id, made_at, who) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
const ERASURE: &str = "SELECT who, known, hashes, rewritten FROM chatfold_erasures WHERE id = $1";
const KEEP: &str = "UPDATE chatfold_erasures SET known = $2, hashes = $3 WHERE id = $1 AND known IS NULL";
/// A node that reads the log from now on has other rows at these positions than a node that read the log before.
const FORGET_HASHES: &str = "
    DELETE FROM chatfold_hashes WHERE position <= (SELECT position FROM chatfold_deliveries WHERE id = $1)";
const REWRITTEN: &str = "UPDATE chatfold_erasures SET rewritten = true WHERE id = $1";
const FORGET: &str = "
    UPDATE chatfold_erasures SET who = NULL, known = NULL WHERE made_at < $1 AND rewritten AND who IS NOT NULL";
const BODIES: &str = "
    SELECT position, body FROM (
        SELECT position, body, sum(octet_length(body)) OVER (ORDER BY position) - octet_length(body) AS bytes_before
        FROM (
            SELECT position, body FROM chatfold_deliveries
            WHERE position > $1 AND position < $2 AND app_id = $3 ORDER BY position LIMIT 500
        ) AS next
    ) AS sized
    WHERE bytes_before < 4194304 ORDER BY position";
const REWRITE: &str = "
    UPDATE chatfold_deliveries SET body = it.body
    FROM unnest($1::bigint[], $2::bytea[]) AS it (position, body)
    WHERE chatfold_deliveries.position = it.position AND chatfold_deliveries.body <> it.body";
const VACUUM: &str = "VACUUM chatfold_deliveries";

/// What stands beside the log about an order to erase a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureRow {
    pub who: Option<Vec<u8>>,
    pub known: Option<Vec<u8>>,
    pub hashes: Option<Vec<u8>>,
    pub rewritten: bool,
}

fn erasure_of(row: &Columns) -> Result<ErasureRow, LogError> {
    Ok(ErasureRow { who: row.try_get(0)?, known: row.try_get(1)?, hashes: row.try_get(2)?, rewritten: row.try_get(3)? })
}

impl Link {
    /// Position and body of each order behind a position. `begin`: what the body of an order begins with.
    pub async fn orders(&self, position: i64, begin: &[u8; 27]) -> Result<Vec<(i64, Vec<u8>)>, LogError> {
        let rows = self.client.query(ORDERS, &[&position, &&begin[..]]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Where a row of the log is; `None`: the log does not hold it.
    pub async fn position_of(&self, id: &DeliveryId) -> Result<Option<i64>, LogError> {
        let row = self.client.query_opt(POSITION, &[&&id[..]]).await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// Keeps who is to be erased, before the order goes into the log.
    pub async fn order_erasure(&self, order: &Delivery, who: &[u8]) -> Result<(), LogError> {
        self.client.execute(ORDER_ERASURE, &[&&order.id[..], &order.received_at.0, &who]).await?;
        Ok(())
    }

    /// What is known of an order to erase a person; `None`: nothing is.
    pub async fn erasure(&self, id: &DeliveryId) -> Result<Option<ErasureRow>, LogError> {
        let row = self.client.query_opt(ERASURE, &[&&id[..]]).await?;
        row.as_ref().map(erasure_of).transpose()
    }

    /// Keeps what the first node found. If another node was first, its findings stay.
    pub async fn keep_known(&self, id: &DeliveryId, known: &[u8], hashes: &[u8]) -> Result<(), LogError> {
        self.client.execute(KEEP, &[&&id[..], &known, &hashes]).await?;
        Ok(())
    }

    /// No row of the log before the order names the person any more. State hashes at these positions are compared no more.
    pub async fn is_rewritten(&self, id: &DeliveryId) -> Result<(), LogError> {
        self.client.execute(FORGET_HASHES, &[&&id[..]]).await?;
        self.client.execute(REWRITTEN, &[&&id[..]]).await?;
        // Without it the old rows stay in the pages of the table until PostgreSQL cleans up by itself.
        if let Err(error) = self.client.batch_execute(VACUUM).await {
            tracing::info!(%error, "PostgreSQL keeps the old rows until its own VACUUM");
        }
        Ok(())
    }

    /// Forgets who was erased by orders that were made before a time.
    pub async fn forget_erased(&self, before: i64) -> Result<u64, LogError> {
        Ok(self.client.execute(FORGET, &[&before]).await?)
    }

    /// The next bodies of an app between two positions, both left out.
    pub async fn bodies(&self, after: i64, until: i64, app_id: &str) -> Result<Vec<(i64, Vec<u8>)>, LogError> {
        let rows = self.client.query(BODIES, &[&after, &until, &super::link::told(app_id)]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Gives rows of the log other bodies.
    pub async fn rewrite(&self, rows: &[(i64, String)]) -> Result<(), LogError> {
        let positions: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let bodies: Vec<&[u8]> = rows.iter().map(|row| row.1.as_bytes()).collect();
        self.client.execute(REWRITE, &[&positions, &bodies]).await?;
        Ok(())
    }
}
