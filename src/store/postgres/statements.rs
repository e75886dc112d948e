//! The texts of the statements. Portable SQL: no extension, no advisory lock.

/// Makes the tables where they are missing.
pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS chatfold_head (
        -- One row. Whoever appends locks it first: it gives the positions.
        one      smallint PRIMARY KEY CHECK (one = 1),
        log_id   text NOT NULL,   -- tells this log from all others
        layout   integer NOT NULL,
        position bigint NOT NULL  -- the newest position given
    );
    CREATE TABLE IF NOT EXISTS chatfold_deliveries (
        -- One row a delivery, in the order in which the nodes read them.
        position    bigint PRIMARY KEY,
        id          bytea NOT NULL UNIQUE, -- made by the node that took the delivery: no delivery is appended twice
        received_at bigint NOT NULL,       -- unix ms, by the clock of that node
        app_id      text NOT NULL,         -- for people: app and webhook are read from the body
        webhook     text,
        body        bytea NOT NULL         -- the exact bytes received
    )";
pub const BEGIN_LOG: &str = "
    INSERT INTO chatfold_head (one, log_id, layout, position) VALUES (1, $1, $2, 0) ON CONFLICT (one) DO NOTHING";
pub const LOCK_HEAD: &str = "SELECT log_id, layout, position FROM chatfold_head FOR UPDATE";
/// The log begins behind what a file holds.
pub const FOUND: &str = "UPDATE chatfold_head SET log_id = $1, position = $2";
pub const HEAD: &str = "SELECT log_id, layout, position FROM chatfold_head";
pub const ENCODING: &str = "SELECT current_setting('server_encoding')";

/// What a session is told first. A lock that does not come is no reason to wait longer than a delivery can. Cancelling a
/// statement that waits for a standby would report a commit that may be lost: so no statement has a time-out.
pub const SESSION: &str = "SET lock_timeout = 700; SET statement_timeout = 0";
pub const LISTEN: &str = "LISTEN chatfold";

/// One statement, so one transaction and one answer: positions, rows, and the call that tells all nodes how far the log
/// goes now.
pub const APPEND: &str = "
    WITH head AS (
        UPDATE chatfold_head SET position = position + $1 RETURNING position - $1 AS before
    ), added AS (
        INSERT INTO chatfold_deliveries (position, id, received_at, app_id, webhook, body)
        SELECT head.before + it.n, it.id, it.received_at, it.app_id, it.webhook, it.body
        FROM head, unnest($2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::bytea[]) WITH ORDINALITY
            AS it (id, received_at, app_id, webhook, body, n)
        RETURNING position
    )
    SELECT min(position), pg_notify('chatfold', CAST(max(position) AS text)) FROM added";

/// The same in two steps. The first ends when nobody else appends, and a node that says nothing more loses its turn.
pub const TURN: &str = "
    BEGIN; SET LOCAL idle_in_transaction_session_timeout = 700; SELECT 1 FROM chatfold_head FOR UPDATE";
pub const COMMIT: &str = "COMMIT";

/// A commit of its own that comes after every append that began before it, a lost one too.
pub const BARRIER: &str = "UPDATE chatfold_head SET position = position";
pub const FIND: &str = "SELECT id, position FROM chatfold_deliveries WHERE id = ANY($1)";

/// The next rows: so many, and no more bytes of bodies than so many but for a single one.
/// With them comes the newest check: the same snapshot shows both. One row without a delivery: there is none behind.
pub const AFTER: &str = "
    SELECT duties.check_number, duties.check_position, after.position, after.id, after.received_at, after.body
    FROM chatfold_duties AS duties LEFT JOIN (
        SELECT position, id, received_at, body FROM (
            SELECT position, id, received_at, body,
                sum(octet_length(body)) OVER (ORDER BY position) - octet_length(body) AS bytes_before
            FROM (
                SELECT position, id, received_at, body FROM chatfold_deliveries WHERE position > $1
                ORDER BY position LIMIT $2
            ) AS next
        ) AS sized
        WHERE bytes_before < $3
    ) AS after ON true
    ORDER BY after.position";
pub const ID_AT: &str = "SELECT id FROM chatfold_deliveries WHERE position = $1";
pub const OLDEST: &str = "SELECT min(position) FROM chatfold_deliveries";

/// Who may not see the standbys sees rows without a state.
pub const DURABILITY: &str = "
    SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
        count(CASE WHEN sync_state IN ('sync', 'quorum') THEN 1 END),
        count(*) - count(sync_state)
    FROM pg_stat_replication";
