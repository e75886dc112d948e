//! The ceiling: the rows that chatfold writes, written without chatfold. chatfold folds deliveries, batch after batch; what
//! changed in its file after each batch is then written in the same batches into an empty file of the same schema, with
//! prepared statements and nothing else. No HTTP, no JSON, no row is loaded, nothing is decided.

use crate::files::Log;
use crate::server;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// The head of the column.
pub const NAME: &str = "bare rows";
/// A checkpoint runs whenever the WAL has grown by so much, as in chatfold.
const CHECKPOINT: u64 = 8 << 20;

struct Table {
    name: String,
    upsert: String,
    /// Where the row holds what the search index is told: its number and its text. Of messages only.
    searched: Option<(usize, usize)>,
}

/// A row to write, and of which table.
type Written = (usize, Vec<Value>);

/// The rows that chatfold wrote.
struct Recorded {
    page_size: i64,
    schema: Vec<String>,
    tables: Vec<Table>,
    /// Rows that were there before the first batch.
    base: Vec<Written>,
    batches: Vec<Vec<Written>>,
}

/// Measures batches of this size over a file that holds `base` deliveries.
pub fn measure(binary: &Path, dir: &Path, base: u64, batch: u64, batches: u64) -> Cost {
    let recorded = record(binary, dir, base, batch, batches);
    write(&recorded, dir, batch * batches)
}

/// The cost of the deliveries.
pub struct Cost {
    elapsed: Duration,
    cpu: Duration,
    written: u64,
    deliveries: u64,
}

impl Cost {
    /// Deliveries a second, µs of CPU and KiB written for each.
    pub fn figures(&self) -> [f64; 3] {
        let count = self.deliveries as f64;
        let cpu = self.cpu.as_secs_f64() * 1e6 / count;
        [count / self.elapsed.as_secs_f64(), cpu, self.written as f64 / 1024.0 / count]
    }
}

fn record(binary: &Path, dir: &Path, base: u64, batch: u64, batches: u64) -> Recorded {
    let file = dir.join("chatfold.db");
    let ingest = |from: u64, lines: u64| {
        let log = Log::make(dir, from, lines);
        server::run(binary, &["ingest", log.name(), "--db", "chatfold.db"], dir);
    };
    ingest(1, base.max(1));
    let conn = Connection::open(&file).unwrap();
    let page_size = conn.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    let schema = column(&conn, SCHEMA);
    let tables: Vec<Table> = column(&conn, TABLES).into_iter().map(|name| Table::of(&conn, name)).collect();
    conn.close().unwrap();
    let mut seen = HashSet::new();
    let mut changed = || changed(&file, &tables, &mut seen);
    let first = changed();
    let of = |n: u64| {
        ingest(base.max(1) + 1 + n * batch, batch);
        changed()
    };
    let batches = (0..batches).map(of).collect();
    Recorded { page_size, schema, tables, base: first, batches }
}

/// Tables, without those of the search index.
const TABLES: &str = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
/// What makes the tables and indexes. The search index makes its own tables.
const SCHEMA: &str = "
    SELECT sql FROM sqlite_schema
    WHERE sql IS NOT NULL AND type IN ('table', 'index') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')
    ORDER BY rowid";
/// Columns by which a row is found again.
const KEYS: &str = "
    SELECT name FROM pragma_table_info(?1) WHERE pk > 0
    UNION SELECT info.name FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS info
    WHERE list.\"unique\" AND NOT list.partial";

fn column(conn: &Connection, sql: &str) -> Vec<String> {
    texts(conn, sql, &[])
}

fn texts(conn: &Connection, sql: &str, by: &[&str]) -> Vec<String> {
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map(params_from_iter(by), |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

impl Table {
    fn of(conn: &Connection, name: String) -> Self {
        let columns = texts(conn, "SELECT name FROM pragma_table_info(?1)", &[&name]);
        let keys = texts(conn, KEYS, &[&name]);
        let others = columns.iter().filter(|column| !keys.contains(column));
        let sets: Vec<String> = others.map(|column| format!("\"{column}\" = excluded.\"{column}\"")).collect();
        let conflict =
            if sets.is_empty() { "DO NOTHING".to_owned() } else { format!("DO UPDATE SET {}", sets.join(", ")) };
        let places = vec!["?"; columns.len()].join(", ");
        let upsert =
            format!("INSERT INTO \"{name}\" (\"{}\") VALUES ({places}) ON CONFLICT {conflict}", columns.join("\", \""));
        let place = |wanted: &str| columns.iter().position(|column| column == wanted);
        let searched = if name == "messages" { place("message_no").zip(place("text")) } else { None };
        Self { name, upsert, searched }
    }
}

/// The rows that are not as they were when this was asked before, in the order of their keys. No row of the mix goes away.
fn changed(file: &Path, tables: &[Table], seen: &mut HashSet<(usize, u64)>) -> Vec<Written> {
    let conn = Connection::open(file).unwrap();
    let mut changed = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        let mut statement = conn.prepare(&format!("SELECT * FROM \"{}\"", table.name)).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let mut hasher = DefaultHasher::new();
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Null => 0.hash(&mut hasher),
                    ValueRef::Integer(int) => (1, int).hash(&mut hasher),
                    ValueRef::Real(real) => (2, real.to_bits()).hash(&mut hasher),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => (3, bytes).hash(&mut hasher),
                }
            }
            if seen.insert((number, hasher.finish())) {
                changed.push((number, (0..columns).map(|column| row.get(column).unwrap()).collect()));
            }
        }
    }
    changed
}

fn write(recorded: &Recorded, dir: &Path, deliveries: u64) -> Cost {
    let mut conn = Connection::open(dir.join("bare.db")).unwrap();
    conn.pragma_update(None, "page_size", recorded.page_size).unwrap();
    conn.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
    )
    .unwrap();
    recorded.schema.iter().for_each(|sql| conn.execute_batch(sql).unwrap());
    conn.set_prepared_statement_cache_capacity(200);
    let pages = Arc::new(AtomicI32::new(0));
    let counted = Arc::clone(&pages);
    conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        counted.store(pages, Ordering::Relaxed);
        Ok(())
    }))
    .unwrap();
    let mut indexed = HashSet::new();
    let mut save = |rows: &[Written]| {
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        for (number, row) in rows {
            let table = &recorded.tables[*number];
            conn.prepare_cached(&table.upsert).unwrap().execute(params_from_iter(row)).unwrap();
            if let Some((number, text)) = table.searched
                && let (Value::Integer(number), Value::Text(text)) = (&row[number], &row[text])
                && indexed.insert(*number)
            {
                let mut statement =
                    conn.prepare_cached("INSERT INTO message_search (rowid, text) VALUES (?1, ?2)").unwrap();
                statement.execute((1 << 44 | number, text)).unwrap();
            }
        }
        conn.execute_batch("COMMIT").unwrap();
    };
    let checkpoint = || {
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    };
    save(&recorded.base);
    checkpoint();
    let (mut elapsed, mut cpu, before) = (Duration::ZERO, Duration::ZERO, written());
    for batch in &recorded.batches {
        let (begun, used) = (Instant::now(), used());
        save(batch);
        elapsed += begun.elapsed();
        cpu += self::used() - used;
        if u64::from(pages.load(Ordering::Relaxed).cast_unsigned()) * recorded.page_size.cast_unsigned() > CHECKPOINT {
            checkpoint();
        }
    }
    checkpoint();
    Cost { elapsed, cpu, written: written() - before, deliveries }
}

/// CPU of this thread so far.
fn used() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Bytes that this process had written to disk.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}
