//! The state hash: one number for what the tables say, whatever the file, its pages or its engine look like.
//!
//! Log positions, times of arrival, and every time that was not told but taken from an arrival or a feed stay out of
//! it, and so does bookkeeping about which fact won: two servers that heard the same facts show the same number.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, Statement};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256, shown as hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What one table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableState {
    pub table: &'static str,
    pub rows: u64,
    pub hash: Hash,
}

/// What all tables say at one log position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub seq: i64,
    pub tables: Vec<TableState>,
    pub total: Hash,
}

impl State {
    /// As every `--json` prints it.
    pub fn to_json(&self) -> serde_json::Value {
        let table = |it: &TableState| (it.table.to_owned(), json!({ "rows": it.rows, "hash": it.hash.to_string() }));
        let tables: serde_json::Map<_, _> = self.tables.iter().map(table).collect();
        json!({ "seq": self.seq, "hash": self.total.to_string(), "tables": tables })
    }
}

/// One table's part in the hash.
struct Part {
    table: &'static str,
    /// After `app_id`: what is hashed, in this order; rows in the order of the first `key` of them.
    hashed: &'static [&'static str],
    key: usize,
    /// Columns that stay out.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares it with the table"))]
    left_out: &'static [&'static str],
}

/// A time that counts only if it was told.
macro_rules! told {
    ($time:literal by $from:literal) => {
        concat!("CASE WHEN ", $from, " = 'told' THEN ", $time, " END")
    };
}

const EDIT: &[&str] = &["message_id", "edited_at", "digest", "text", "edited_by"];
const EDIT_PLACE: &[&str] = &["rank", "fact_at", "seq"];

/// What is shown of a connection. The times that decide this may be those of arrivals.
const STILL_OPEN: &str = "seen_at >= coalesce((
    SELECT p.offline_at FROM presence p WHERE p.app_id = connections.app_id AND p.uid = connections.uid), 0)";

const PARTS: &[Part] = &[
    Part { table: "event_refs", hashed: &["kind", "key"], key: 2, left_out: &["seq"] },
    Part {
        table: "apps",
        hashed: &["region", "events_count"],
        key: 0,
        left_out: &["region_at", "first_seen_at", "last_event_at"],
    },
    Part {
        table: "users",
        hashed: &["uid", "name", "avatar", "link", "role", "status_message", "tags", "metadata", "last_active_at"],
        key: 1,
        left_out: &["registers"],
    },
    Part {
        table: "groups",
        hashed: &[
            "guid",
            "name",
            "type",
            "description",
            "icon",
            "tags",
            "metadata",
            "owner_uid",
            "created_at",
            "updated_at",
            "updated_by",
            "reported_members_count",
            "members_count",
            "members_known_since",
            "deleted_at IS NOT NULL",
        ],
        key: 1,
        left_out: &["history_since", "deleted_at", "deleted_at_from", "lifecycle", "registers"],
    },
    Part {
        table: "memberships",
        hashed: &[
            "guid",
            "uid",
            "state",
            "scope",
            told!("joined_at" by "joined_at_from"),
            told!("changed_at" by "changed_at_from"),
            "changed_by",
            "current",
        ],
        key: 2,
        left_out: &["joined_at", "joined_at_from", "changed_at", "changed_at_from"],
    },
    Part {
        table: "membership_changes",
        hashed: &[
            "guid",
            "uid",
            told!("at" by "at_from"),
            told!("occurred_at" by "at_from"),
            "trigger",
            "state",
            "scope",
            "old_scope",
            "by_uid",
            "joined_at",
            "group_created_at",
        ],
        key: 11,
        left_out: &["at", "digest", "seq", "at_from", "occurred_at", "arrived_at"],
    },
    Part { table: "rosters", hashed: &["guid", "at", "created"], key: 2, left_out: &["seq"] },
    Part {
        table: "conversations",
        hashed: &[
            "conversation_id",
            "low_length",
            "type",
            "guid",
            "low_uid",
            "high_uid",
            "messages_count",
            "last_message_id",
            "last_message_at",
            "active_at",
        ],
        key: 2,
        left_out: &[],
    },
    Part {
        table: "messages",
        hashed: &[
            "message_id",
            "message_no",
            "conversation_id",
            "low_length",
            "sender_uid",
            "receiver_type",
            "receiver_id",
            "category",
            "type",
            "text",
            "data",
            "metadata",
            "tags",
            "muid",
            "parent_id",
            "quoted_id",
            "sent_at",
            "edited_at",
            "edited_by",
            told!("deleted_at" by "deleted_at_from"),
            "deleted_by",
            "deleted",
            told!("pinned_at" by "pinned_at_from"),
            "pinned_at IS NOT NULL",
            "pinned_by",
            "delivered_to_all_at",
            "read_by_all_at",
            "attachments",
            "mentions",
            "blocked",
            "chat",
            "listed",
            "step",
            "may_be_last",
            "uncounted",
        ],
        key: 1,
        left_out: &["deleted_at", "deleted_at_from", "pinned_at", "pinned_at_from", "first_text", "registers"],
    },
    Part { table: "message_edits", hashed: EDIT, key: 3, left_out: EDIT_PLACE },
    Part { table: "message_additions", hashed: EDIT, key: 3, left_out: EDIT_PLACE },
    Part { table: "message_tags", hashed: &["tag", "message_no", "message_id"], key: 3, left_out: &[] },
    Part { table: "mentions", hashed: &["uid", "message_no", "message_id"], key: 3, left_out: &[] },
    Part {
        table: "reactions",
        hashed: &["message_id", "emoji", "uid", "reaction", "present", told!("reacted_at" by "reacted_at_from")],
        key: 4,
        left_out: &["reacted_at", "reacted_at_from", "first_at", "facts"],
    },
    Part {
        table: "receipts",
        hashed: &[
            "message_id",
            "uid",
            told!("delivered_at" by "delivered_at_from"),
            told!("read_at" by "read_at_from"),
            "delivered_at IS NOT NULL",
            "read_at IS NOT NULL",
        ],
        key: 2,
        left_out: &["delivered_at", "delivered_at_from", "read_at", "read_at_from"],
    },
    Part {
        table: "read_markers",
        hashed: &["conversation_id", "low_length", "uid", "numeric", "message_no", "message_id", "at"],
        key: 4,
        left_out: &[],
    },
    Part {
        table: "presence",
        hashed: &[
            "uid",
            "online",
            told!("changed_at" by "changed_at_from"),
            told!("last_seen_at" by "last_seen_at_from"),
            "changed_at IS NOT NULL",
        ],
        key: 1,
        left_out: &["changed_at", "changed_at_from", "last_seen_at", "last_seen_at_from", "offline_at", "registers"],
    },
    Part {
        table: "connections",
        hashed: &["uid", "platform", "connected_at", "open", STILL_OPEN],
        key: 3,
        left_out: &["seen_at", "registers"],
    },
    Part {
        table: "blocks",
        hashed: &["blocker_uid", "blocked_uid", told!("since" by "since_from"), "current"],
        key: 2,
        left_out: &["since", "since_from", "facts"],
    },
    Part {
        table: "call_sessions",
        hashed: &[
            "session_key",
            "kind",
            "anchor",
            "session_id",
            "type",
            "status",
            "initiator_uid",
            "receiver_type",
            "receiver_id",
            "call_message_id",
            "initiated_at",
            "started_at",
            "ended_at",
            "duration_seconds",
            "order_at",
            "news_at",
        ],
        key: 3,
        left_out: &[],
    },
    Part {
        table: "call_participants",
        hashed: &["session_key", "kind", "anchor", "person", "joined_at", "uid", "name", "left_at", "audio_only"],
        key: 5,
        left_out: &[],
    },
    Part {
        table: "recordings",
        hashed: &["session_key", "kind", "anchor", "started_at", "url", "duration_seconds"],
        key: 5,
        left_out: &[],
    },
    Part {
        table: "transcripts",
        hashed: &["session_key", "kind", "anchor", "transcript_id", "url", "started_at", "ended_at"],
        key: 4,
        left_out: &[],
    },
    Part {
        table: "moderation",
        hashed: &[
            "message_id",
            "status",
            "reviewed",
            "rule",
            told!("failed_at" by "failed_at_from"),
            "failed_at IS NOT NULL",
            "failure",
        ],
        key: 1,
        left_out: &["failed_at", "failed_at_from", "registers"],
    },
];

const SEQ: &str = "SELECT coalesce(max(seq), 0) FROM events";
const APPS: &str = "SELECT app_id FROM apps ORDER BY app_id";

impl Part {
    fn statement(&self) -> String {
        let order: Vec<String> = (1..=self.key).map(|place| place.to_string()).collect();
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        format!("SELECT {} FROM {} WHERE app_id = ?1{order}", self.hashed.join(", "), self.table)
    }
}

/// What the tables say about one app. Its id is no part of it.
pub fn of_app(conn: &Connection, app_id: &str) -> Result<State> {
    let tables = PARTS
        .iter()
        .map(|part| {
            let (rows, hash) = rows(&mut conn.prepare(&part.statement())?, app_id)?;
            Ok(TableState { table: part.table, rows, hash })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(State { seq: newest_seq(conn)?, total: total(&tables), tables })
}

/// What the tables say about all apps. Read in one snapshot if the caller holds one.
pub fn of_file(conn: &Connection) -> Result<State> {
    let apps: Vec<String> = conn.prepare_cached(APPS)?.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut tables = Vec::with_capacity(PARTS.len());
    for part in PARTS {
        let mut statement = conn.prepare(&part.statement())?;
        let (mut hash, mut count) = (Sha256::new(), 0);
        for app in &apps {
            let (rows, of_app) = rows(&mut statement, app)?;
            add_bytes(&mut hash, b't', app.as_bytes());
            hash.update(of_app.0);
            count += rows;
        }
        tables.push(TableState { table: part.table, rows: count, hash: Hash(hash.finalize().into()) });
    }
    Ok(State { seq: newest_seq(conn)?, total: total(&tables), tables })
}

fn newest_seq(conn: &Connection) -> Result<i64> {
    conn.query_row(SEQ, [], |row| row.get(0))
}

fn rows(statement: &mut Statement<'_>, app_id: &str) -> Result<(u64, Hash)> {
    let columns = statement.column_count();
    let mut rows = statement.query([app_id])?;
    let (mut hash, mut count) = (Sha256::new(), 0);
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => hash.update(b"n"),
                ValueRef::Integer(int) => add_bytes(&mut hash, b'i', &int.to_be_bytes()),
                ValueRef::Real(real) => add_bytes(&mut hash, b'r', &real.to_bits().to_be_bytes()),
                ValueRef::Text(text) => add_bytes(&mut hash, b't', text),
                ValueRef::Blob(blob) => add_bytes(&mut hash, b'b', blob),
            }
        }
        count += 1;
    }
    Ok((count, Hash(hash.finalize().into())))
}

/// Kind, length, bytes: no two rows read alike.
fn add_bytes(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn total(tables: &[TableState]) -> Hash {
    let mut hash = Sha256::new();
    for table in tables {
        add_bytes(&mut hash, b't', table.table.as_bytes());
        hash.update(table.hash.0);
    }
    Hash(hash.finalize().into())
}

#[cfg(test)]
mod tests;
