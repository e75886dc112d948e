//! One real file for many histories, each an app of its own: nothing crosses from one app to another.

use super::deliver::body;
use super::faults::Delivery;
use super::script::Dice;
use super::world::Told;
use crate::harness::{Harness, NOON};
use chatfold::envelope::Envelope;
use chatfold::ids::Time;
use chatfold::log::Source;
use chatfold::store::sqlite::{Connection, projection::PROJECTION};
use rusqlite::types::Value;
use std::fmt::Write;

/// Apps in one file, which is folded again when it is full.
const APPS: usize = 400;

pub struct Arena {
    pub file: Harness,
    apps: usize,
}

impl Arena {
    pub fn new() -> Self {
        let file = Harness::new();
        // The power does not fail in these tests.
        file.conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 4000").unwrap();
        Self { file, apps: 0 }
    }

    pub fn conn(&self) -> &Connection {
        &self.file.conn
    }

    /// An app nobody has heard of.
    pub fn app(&mut self) -> String {
        if self.apps >= APPS {
            *self = Self::new();
        }
        self.apps += 1;
        format!("app-{}", self.apps)
    }

    /// Posts the deliveries in their order, in batches drawn from `seed`.
    pub fn post(&self, app: &str, told: &[Told], deliveries: &[Delivery], seed: u64) {
        let mut dice = Dice::new(seed);
        let mut deliveries = deliveries.iter().peekable();
        while deliveries.peek().is_some() {
            let batch = 1 + dice.below(20) as usize;
            self.file.transaction(|| {
                for delivery in deliveries.by_ref().take(batch) {
                    let told = &told[delivery.told];
                    self.append(&body(app, delivery.webhook, told.trigger, &told.data), delivery.at);
                }
            });
        }
    }

    /// Delivers the told facts without which nothing is known of the two clocks.
    pub fn hear(&self, app: &str, clock: i64) {
        self.file.transaction(|| {
        for n in 0..20 {
            let at = NOON - 60_000 + n * 2_000;
            let data = format!(
                r#"{{"message":{{"id":"{n}","sender":"gus","receiverType":"user","receiver":"hal","category":"message","type":"text","data":{{"text":"{n}"}},"sentAt":{}}}}}"#,
                at / 1_000
            );
            self.append(&body(app, 0, "message_sent", &data), at + 40 + n * 137 % 3_000 + clock);
        }
        });
    }

    fn append(&self, body: &str, at: i64) {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        let receipt = self.file.append(&envelope, Time(at), Source::Http);
        assert_eq!((receipt.outcome.as_str(), &envelope.reason), ("applied", &None), "{body}");
    }

    /// An app's tables without its id and what tells one order of arrival from another.
    pub fn tables(&self, app: &str) -> String {
        const WITHOUT: &[&str] = &[
            "app_id",
            "seq",
            "arrived_at",
            "registers",
            "facts",
            "fact",
            "lifecycle",
            "first_seen_at",
            "last_event_at",
            "digest",
        ];
        let mut out = String::new();
        for table in
            PROJECTION.iter().filter(|table| !matches!(**table, "event_refs" | "call_facts" | "call_histories"))
        {
            let sql = format!("SELECT * FROM {table} WHERE app_id = ?1");
            let mut statement = self.file.conn.prepare_cached(&sql).unwrap();
            let shown: Vec<(usize, String)> = statement
                .column_names()
                .enumerate()
                .filter(|(_, name)| !WITHOUT.contains(name))
                .map(|(at, name)| (at, (*name).to_owned()))
                .collect();
            let mut rows = statement.query([app]).unwrap();
            let mut lines = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                let mut line = String::from(*table);
                for (at, name) in &shown {
                    write!(line, " {name}={:?}", row.get::<_, Value>(*at).unwrap()).unwrap();
                }
                lines.push(line);
            }
            lines.sort();
            out += &lines.join("\n");
            out.push('\n');
        }
        out
    }

    /// Rows of a query over one app (`?1`), columns joined.
    pub fn rows(&self, app: &str, sql: &str) -> Vec<String> {
        let mut statement = self.file.conn.prepare_cached(sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([app]).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cells = (0..columns).map(|at| match row.get::<_, Value>(at).unwrap() {
                Value::Null => "null".to_owned(),
                Value::Integer(int) => int.to_string(),
                Value::Text(text) => text,
                other => format!("{other:?}"),
            });
            found.push(cells.collect::<Vec<_>>().join("|"));
        }
        found
    }
}
