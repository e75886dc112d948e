//! What is generated and committed is what the code says now.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::store::sqlite::projection::PROJECTION;
use harness::{Harness, NOON, fixtures};
use std::fmt::Write;

/// Compares a committed file with what it should be; writes it instead when asked to.
fn committed(path: &str, expected: &str) {
    if std::env::var_os("CHATFOLD_UPDATE").is_some() {
        std::fs::write(path, expected).unwrap();
    }
    let actual = std::fs::read_to_string(path).unwrap_or_default();
    assert!(actual == expected, "{path} is out of date: CHATFOLD_UPDATE=1 cargo test --test generated, then commit it");
}

#[test]
fn the_schema_after_all_migrations_is_committed() {
    let harness = Harness::new();
    let sql = harness.ask("SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'message_search_*' ORDER BY rowid");
    let head = "-- The tables after all migrations. Generated: see tests/generated.rs.\n\n";
    committed("schema/sqlite.sql", &format!("{head}{sql}\n"));
}

#[test]
fn what_each_trigger_writes_is_committed() {
    let mut page = String::from(
        "# What each trigger writes\n\nEvery fixture, folded alone into an empty file: the tables it writes, with its rows. Generated: see tests/generated.rs.\n\n| delivery | outcome | rows |\n| --- | --- | --- |\n",
    );
    for (name, body) in fixtures() {
        let harness = Harness::new();
        let outcome = harness.post(&body, NOON).outcome.as_str();
        let tables = PROJECTION.iter().filter(|table| {
            !matches!(**table, "apps" | "app_numbers" | "event_refs" | "call_facts" | "call_histories")
        });
        let rows = tables.filter_map(|table| match harness.ask(&format!("SELECT count(*) FROM {table}")).as_str() {
            "0" => None,
            "1" => Some((*table).to_owned()),
            n => Some(format!("{table} × {n}")),
        });
        writeln!(page, "| {name} | {outcome} | {} |", rows.collect::<Vec<_>>().join(", ")).unwrap();
    }
    committed("schema/triggers.md", &page);
}

#[test]
fn the_graphql_schema_is_committed() {
    committed("schema/schema.graphql", &chatfold::graphql::sdl());
}
