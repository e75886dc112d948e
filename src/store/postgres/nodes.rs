//! What the nodes of a log tell each other: who is there, and which state hash each has at which position.

use super::LogError;
use super::link::Link;

/// Makes the tables where they are missing. Times are unix milliseconds by PostgreSQL's clock.
pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS chatfold_nodes (
        -- One row a node. Nothing of a delivery depends on it.
        id           text PRIMARY KEY,  -- of the file of the node; a copy of the file gets another one
        name         text NOT NULL,     -- for people: machine and address
        version      text NOT NULL,     -- of chatfold
        fold_version bigint NOT NULL,   -- edition of the fold
        position     bigint NOT NULL,   -- the newest one that is folded
        joined_at    bigint NOT NULL,
        seen_at      bigint NOT NULL
    );
    CREATE TABLE IF NOT EXISTS chatfold_hashes (
        -- State hashes of nodes. Those of one position and one edition must be equal.
        position bigint NOT NULL,
        node     text NOT NULL,
        edition  text NOT NULL,
        hash     text NOT NULL,
        at       bigint NOT NULL,
        PRIMARY KEY (position, node)
    );
    CREATE TABLE IF NOT EXISTS chatfold_duties (
        -- One row: what one node at a time does for all. Whoever changes it first has the turn.
        one            smallint PRIMARY KEY CHECK (one = 1),
        check_number   bigint NOT NULL, -- of the newest check
        check_position bigint NOT NULL, -- where nodes take their state hash
        check_at       bigint NOT NULL,
        trimmed_at     bigint NOT NULL
    );
    INSERT INTO chatfold_duties (one, check_number, check_position, check_at, trimmed_at)
    VALUES (1, 0, 0, 0, 0) ON CONFLICT (one) DO NOTHING";

/// Now, in unix milliseconds.
pub(super) const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)";

/// Presence is not worth a wait for standbys.
const UNSYNCED: &str = "SET synchronous_commit = off";

/// A check: at this position every node takes its state hash. A later check may have the same position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Check {
    pub number: i64,
    pub position: i64,
}

/// What a node tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    pub id: String,
    pub name: String,
    pub version: String,
    pub fold_version: i64,
    pub position: i64,
}

/// A node, as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub node: Presence,
    /// Milliseconds since it told something.
    pub ago: i64,
    /// When, in unix milliseconds.
    pub seen_at: i64,
}

/// A state hash that a node took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    pub position: i64,
    pub node: String,
    pub name: String,
    pub joined_at: i64,
    pub edition: String,
    pub hash: String,
}

impl Link {
    /// What this connection commits may be lost with the server.
    pub async fn unsynced(&self) -> Result<(), LogError> {
        Ok(self.client.batch_execute(UNSYNCED).await?)
    }

    /// The node is there.
    pub async fn tell(&self, it: &Presence) -> Result<(), LogError> {
        let told = format!(
            "INSERT INTO chatfold_nodes (id, name, version, fold_version, position, joined_at, seen_at)
             VALUES ($1, $2, $3, $4, $5, {NOW}, {NOW})
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version,
                fold_version = excluded.fold_version, position = excluded.position, seen_at = excluded.seen_at"
        );
        self.client.execute(&told, &[&it.id, &it.name, &it.version, &it.fold_version, &it.position]).await?;
        Ok(())
    }

    /// The node has this state hash at this position.
    pub async fn tell_hash(&self, position: i64, node: &str, edition: &str, hash: &str) -> Result<(), LogError> {
        let told = format!(
            "INSERT INTO chatfold_hashes (position, node, edition, hash, at) VALUES ($1, $2, $3, $4, {NOW})
             ON CONFLICT (position, node) DO UPDATE SET edition = excluded.edition, hash = excluded.hash, at = excluded.at"
        );
        self.client.execute(&told, &[&position, &node, &edition, &hash]).await?;
        Ok(())
    }

    /// Asks all nodes for their state hash at the newest position, unless one did within so many milliseconds, or nothing
    /// came since (`anyway`: then too). Whoever appends next waits for the row that is locked here. So nobody reads a later
    /// position without the check.
    pub async fn ask_for_check(&self, every: i64, anyway: bool) -> Result<(), LogError> {
        let is_due = format!(
            "SELECT 1 FROM chatfold_duties AS duties, chatfold_head AS head
             WHERE duties.check_at <= {NOW} - $1 AND (head.position > duties.check_position OR $2)"
        );
        if self.client.query_opt(&is_due, &[&every, &anyway]).await?.is_none() {
            return Ok(());
        }
        let ask = format!(
            "WITH head AS (UPDATE chatfold_head SET position = position RETURNING position)
             UPDATE chatfold_duties
             SET check_number = check_number + 1, check_position = head.position, check_at = {NOW}
             FROM head WHERE check_at <= {NOW} - $1"
        );
        self.client.execute(&ask, &[&every]).await?;
        Ok(())
    }

    /// The nodes, by name.
    pub async fn nodes(&self) -> Result<Vec<Seen>, LogError> {
        let all = format!(
            "SELECT id, name, version, fold_version, position, {NOW} - seen_at, seen_at FROM chatfold_nodes
             ORDER BY name, id"
        );
        let rows = self.client.query(&all, &[]).await?;
        let seen = |row: &tokio_postgres::Row| {
            Ok(Seen {
                node: Presence {
                    id: row.try_get(0)?,
                    name: row.try_get(1)?,
                    version: row.try_get(2)?,
                    fold_version: row.try_get(3)?,
                    position: row.try_get(4)?,
                },
                ago: row.try_get(5)?,
                seen_at: row.try_get(6)?,
            })
        };
        rows.iter().map(seen).collect()
    }

    /// The newest state hashes of nodes that were seen within so many milliseconds.
    pub async fn hashes(&self, live: i64) -> Result<Vec<Hashed>, LogError> {
        let newest = format!(
            "SELECT h.position, h.node, n.name, n.joined_at, h.edition, h.hash
             FROM chatfold_hashes AS h JOIN chatfold_nodes AS n ON n.id = h.node
             WHERE n.seen_at >= {NOW} - $1 ORDER BY h.position DESC LIMIT 300"
        );
        let rows = self.client.query(&newest, &[&live]).await?;
        let hashed = |row: &tokio_postgres::Row| {
            Ok(Hashed {
                position: row.try_get(0)?,
                node: row.try_get(1)?,
                name: row.try_get(2)?,
                joined_at: row.try_get(3)?,
                edition: row.try_get(4)?,
                hash: row.try_get(5)?,
            })
        };
        rows.iter().map(hashed).collect()
    }
}
