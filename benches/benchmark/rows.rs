//! The rows of a chatfold file, for the programs that are compared on reads: one SQLite file, and the same in PostgreSQL.

use crate::postgres::Postgres;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What fills each table, in the order of the foreign keys. Presence is that of the table: the view leaves out who has not
/// been heard of for a day.
const TABLES: [(&str, &str); 8] = [
    ("users", "SELECT uid, name, avatar FROM chat.v_users"),
    ("presence", "SELECT uid, online FROM chat.presence"),
    ("groups", "SELECT guid, name FROM chat.v_groups"),
    ("memberships", "SELECT guid, uid, scope, joined_at FROM chat.v_memberships"),
    ("conversations", "SELECT conversation_id, type, last_message_id, last_message_at FROM chat.v_conversations"),
    (
        "participants",
        "SELECT p.uid, p.conversation_id, p.last_message_at, coalesce(r.message_id, 0)
         FROM (
             SELECT m.uid, c.conversation_id, c.low_length, c.last_message_at
             FROM chat.v_conversations AS c JOIN chat.v_memberships AS m ON m.app_id = c.app_id AND m.guid = c.guid
             UNION ALL SELECT low_uid, conversation_id, low_length, last_message_at FROM chat.v_conversations WHERE type = 'user'
             UNION ALL SELECT high_uid, conversation_id, low_length, last_message_at FROM chat.v_conversations WHERE type = 'user'
         ) AS p
         LEFT JOIN chat.v_read_markers AS r
             ON r.conversation_id = p.conversation_id AND r.low_length = p.low_length AND r.uid = p.uid",
    ),
    ("messages", "SELECT message_id, conversation_id, sender_uid, text, sent_at FROM chat.v_messages"),
    ("reactions", "SELECT message_id, uid, reaction FROM chat.v_reactions"),
];

const SCHEMA: &str = include_str!("../peers/rows.sql");
const INDEXES: &str = include_str!("../peers/rows-indexes.sql");

/// Copies the rows of the file into a SQLite file beside it.
pub fn copy(chatfold: &Path) -> PathBuf {
    let path = chatfold.with_file_name("rows.db");
    // An earlier run may have left one where files are kept.
    let _ = std::fs::remove_file(&path);
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144;").unwrap();
    // SQLite has no times, and its tools take a column of an unknown type for numbers. An integer key is the row's own number.
    conn.execute_batch(&SCHEMA.replace("timestamptz", "text").replace("bigint", "integer")).unwrap();
    conn.execute("ATTACH ?1 AS chat", [chatfold.to_str().unwrap()]).unwrap();
    for (table, rows) in TABLES {
        conn.execute_batch(&format!("INSERT INTO {table} {rows}")).unwrap();
    }
    conn.execute_batch("DETACH chat").unwrap();
    conn.execute_batch(INDEXES).unwrap();
    conn.execute_batch(include_str!("../peers/rows-sqlite.sql")).unwrap();
    conn.pragma_update(None, "journal_mode", "DELETE").unwrap();
    path
}

/// Loads the rows of the SQLite file into a new database; its URL.
pub fn load(rows: &Path, postgres: &Postgres) -> String {
    let database = postgres.database("rows");
    database.run(SCHEMA);
    let conn = Connection::open(rows).unwrap();
    for (table, _) in TABLES {
        database.feed(&format!("COPY {table} FROM STDIN"), |out| write(&conn, table, out));
    }
    database.run(INDEXES);
    database.run(include_str!("../peers/rows-postgres.sql"));
    database.url
}

/// The rows as `COPY` reads them.
fn write(conn: &Connection, table: &str, out: &mut dyn Write) {
    let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> = (0..columns).map(|column| cell(row.get_ref(column).unwrap())).collect();
        writeln!(out, "{}", cells.join("\t")).unwrap();
    }
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "\\N".to_owned(),
        ValueRef::Integer(int) => int.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = std::str::from_utf8(bytes).unwrap();
            text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
        }
    }
}
