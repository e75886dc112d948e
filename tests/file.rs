//! The file as people meet it without chatfold: views, comments, types.

mod harness;

use chatfold::store::sqlite::{export, projection::PROJECTION};
use harness::{Harness, NOON, fixtures};

/// The tables of the contract.
const TABLES: &[&str] = &[
    "events",
    "apps",
    "users",
    "groups",
    "memberships",
    "membership_changes",
    "rosters",
    "conversations",
    "messages",
    "message_edits",
    "message_tags",
    "mentions",
    "reactions",
    "receipts",
    "read_markers",
    "presence",
    "connections",
    "blocks",
    "call_sessions",
    "call_participants",
    "recordings",
    "transcripts",
    "moderation",
];

fn filled() -> Harness {
    let harness = Harness::new();
    harness.ingest(harness::story("demo").iter().map(String::as_str));
    for (_, body) in fixtures() {
        harness.post(&body, NOON);
    }
    harness
}

#[test]
fn every_table_is_strict_commented_keyed_by_app_and_has_a_view() {
    let harness = filled();
    for table in TABLES {
        let sql = harness.ask(&format!("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = '{table}'"));
        assert!(sql.contains("STRICT") && sql.contains("    -- "), "{table}");
        assert!(harness.ask(&format!("SELECT count(*) FROM {table}")) != "0", "no fixture fills {table}");
        let keyed = harness.ask(&format!(
            "SELECT count(*) FROM pragma_index_list('{table}') AS l
             JOIN pragma_index_info(l.name) AS i ON i.seqno = 0 WHERE i.name <> 'app_id'"
        ));
        assert_eq!(keyed, "0", "an index of {table} does not begin with the app");
        harness.ask(&format!("SELECT * FROM v_{table}"));
    }
}

/// An export and an erasure tell of the rows about a person. A group is not about its owner.
#[test]
fn each_table_that_names_a_person_is_one_of_those_that_hold_rows_about_a_person() {
    let harness = Harness::new();
    let page = include_str!("../docs/privacy.md");
    for table in export::tables() {
        assert!(page.contains(&format!("`{table}`")), "{table} is not in the list of docs/privacy.md");
    }
    for table in PROJECTION.iter().filter(|table| **table != "groups") {
        let names =
            format!("SELECT count(*) FROM pragma_table_info('{table}') WHERE name = 'uid' OR name GLOB '*_uid'");
        let told = export::tables().any(|told| told == *table);
        assert!(told || harness.ask(&names) == "0", "add {table} to ROWS in src/store/sqlite/erasures.rs");
    }
}

#[test]
fn a_new_file_has_small_pages_and_gives_back_free_ones() {
    let harness = Harness::new();
    assert_eq!(harness.ask("PRAGMA page_size"), "2048");
    assert_eq!(harness.ask("PRAGMA auto_vacuum"), "2", "incremental");
}

#[test]
fn views_show_text_ids_and_iso_times() {
    let harness = filled();
    for table in TABLES {
        let columns = harness.ask(&format!("SELECT name FROM pragma_table_info('v_{table}')"));
        for column in columns.lines().filter(|column| column.ends_with("_at") || *column == "at" || *column == "since")
        {
            let odd = format!("SELECT count(*) FROM v_{table} WHERE {column} NOT GLOB '2[0-9][0-9][0-9]-*T*Z'");
            assert_eq!(harness.ask(&odd), "0", "v_{table}.{column}");
        }
    }
}

#[test]
fn views_hold_no_secret_and_the_log_keeps_it() {
    let harness = filled();
    assert!(harness.ask("SELECT count(*) FROM events WHERE has_secret") != "0");
    assert_eq!(
        harness.ask("SELECT count(*) FROM v_events WHERE body LIKE '%@private%' OR body LIKE '%wsChannel%'"),
        "0"
    );
    for (table, column) in
        [("messages", "data"), ("messages", "metadata"), ("users", "metadata"), ("groups", "metadata")]
    {
        let leaks =
            format!("SELECT count(*) FROM {table} WHERE {column} LIKE '%@private%' OR {column} LIKE '%wsChannel%'");
        assert_eq!(harness.ask(&leaks), "0", "{table}.{column}");
    }
}

#[test]
fn a_foreign_file_and_a_newer_one_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let refused = chatfold::store::sqlite::open_writer(&path).unwrap_err().to_string();
    assert!(refused.contains("is not a chatfold file"), "{refused}");
    let harness = Harness::new();
    let edition = harness.ask("SELECT user_version FROM pragma_user_version");
    harness.conn.execute_batch("PRAGMA user_version = 99").unwrap();
    let refused = chatfold::store::sqlite::open_writer(&harness.path()).unwrap_err().to_string();
    assert!(refused.contains("newer chatfold"), "{refused}");
    // The harness reads its file once more at the end.
    harness.conn.execute_batch(&format!("PRAGMA user_version = {edition}")).unwrap();
}
