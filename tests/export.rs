//! What leaves as files: views for analysts, and all about one person.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::{fixtures, story};
use serde_json::{Value, json};
use std::path::PathBuf;
use support::chatfold;

const APP: &str = "2489f0demo01";
/// What nothing exported may hold.
const CANARY: &str = "kanarie";

struct File {
    dir: tempfile::TempDir,
    db: String,
}

impl File {
    /// All fixtures, and a message whose text is a formula, with secrets in all forms.
    fn new() -> Self {
        let private = json!({ "@private": { "email": CANARY }, "shown": 1 });
        let message = json!({ "id": "900001", "sender": "mira", "receiverType": "user", "receiver": "tomas",
            "category": "message", "type": "text", "sentAt": 1_769_000_900, "data": {
                "text": "=HYPERLINK(\"https://x\")", "metadata": private.to_string(),
                "entities": { "sender": { "entity": { "uid": "mira", "name": "@Mira", "metadata": private } } } } });
        let body = json!({ "trigger": "message_sent", "appId": APP, "data": { "message": message } }).to_string();
        let fixtures = fixtures()
            .into_iter()
            .filter(|(name, _)| !name.starts_with("chatfold."))
            .map(|(_, body)| serde_json::from_str::<Value>(&body).ok());
        let lines: Vec<String> = fixtures.flatten().map(|body| body.to_string()).chain([body]).collect();
        Self::with(&lines)
    }

    fn with(lines: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (db, file) = (dir.path().join("chatfold.db"), dir.path().join("lines.ndjson"));
        std::fs::write(&file, lines.join("\n")).unwrap();
        let db = db.to_str().unwrap().to_owned();
        assert_eq!(chatfold(&["ingest", "--db", &db, file.to_str().unwrap()]).0, 0);
        Self { dir, db }
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        chatfold(&[args, &["--db", &self.db]].concat())
    }

    fn export(&self, format: &str) -> PathBuf {
        let folder = self.dir.path().join(format);
        let (code, out, err) = self.run(&["export", "--format", format, "--to", folder.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (0, ""), "{err}");
        folder
    }
}

/// The cells of a line of CSV.
fn records(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = csv.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    rows
}

#[test]
fn exported_views_are_whole_and_hold_neither_secrets_nor_formulas() {
    let file = File::new();
    let (ndjson, csv) = (file.export("ndjson"), file.export("csv"));
    let conn = rusqlite::Connection::open(&file.db).unwrap();
    let mut views = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'").unwrap();
    let views: Vec<String> = views.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(views.len() > 20);
    for view in views {
        let count: i64 = conn.query_row(&format!("SELECT count(*) FROM {view}"), [], |row| row.get(0)).unwrap();
        let count = usize::try_from(count).unwrap();
        let json = std::fs::read_to_string(ndjson.join(format!("{view}.ndjson"))).unwrap();
        let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), count, "{view}");
        let cells = std::fs::read_to_string(csv.join(format!("{view}.csv"))).unwrap();
        let records = records(&cells);
        assert_eq!(records.len(), count + 1, "{view}");
        for text in [&json, &cells] {
            assert!(!text.contains(CANARY), "{view}");
        }
        for cell in records.iter().flatten().filter(|cell| cell.starts_with(['=', '+', '-', '@'])) {
            assert!(cell.parse::<f64>().is_ok(), "{view}: {cell}");
        }
        if let Some(first) = lines.first() {
            let columns: Vec<&String> = first.as_object().unwrap().keys().collect();
            assert_eq!(columns, records[0].iter().collect::<Vec<_>>(), "{view}");
        }
    }
    let messages = std::fs::read_to_string(ndjson.join("v_messages.ndjson")).unwrap();
    let formula = messages.lines().find(|line| line.contains("900001")).unwrap();
    let formula: Value = serde_json::from_str(formula).unwrap();
    assert_eq!(formula["text"], "=HYPERLINK(\"https://x\")", "JSON needs no guard");
    assert_eq!(formula["metadata"], "{\"shown\":1}");
    assert!(std::fs::read_to_string(csv.join("v_messages.csv")).unwrap().contains("'=HYPERLINK"));
}

#[test]
fn an_export_replaces_no_file_and_names_the_views_there_are() {
    let file = File::with(&story("first_steps").into_iter().map(|it| it.replace('\n', " ")).collect::<Vec<_>>());
    let folder = file.export("csv");
    let (code, _, err) = file.run(&["export", "--format", "csv", "--to", folder.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains("v_events.csv"), "{err}");
    let (code, out, _) = file.run(&["export", "--view", "v_users"]);
    assert_eq!(code, 0);
    assert!(out.lines().count() > 0 && out.lines().all(|line| line.starts_with("{\"app_id\":")), "{out}");
    let (code, _, err) = file.run(&["export", "--view", "events"]);
    assert_eq!(code, 2);
    assert!(err.contains("v_messages"), "{err}");
    assert_eq!(file.run(&["export"]).0, 2, "several views need a folder");
    assert_eq!(file.run(&["export", "--view", "v_users", "--app", "none"]).0, 2);
}

#[test]
fn all_about_a_person_is_exported_without_secrets() {
    let file = File::new();
    let (code, out, err) = file.run(&["export-user", "--app", APP, "--uid", "mira"]);
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains(CANARY), "a secret");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["app_id"], &told["uid"]), (&json!(APP), &json!("mira")));
    assert_eq!((&told["users"][0]["uid"], &told["users"][0]["name"]), (&json!("mira"), &json!("Mira Halonen")));
    let is_told = |table: &str| told[table].as_array().is_some_and(|rows| !rows.is_empty());
    let tables = ["users", "presence", "memberships", "membership_changes", "messages", "message_edits"];
    assert_eq!(tables.into_iter().find(|table| !is_told(table)), None);
    let messages = told["messages"].as_array().unwrap();
    assert!(messages.iter().all(|it| it["sender_uid"] == "mira" && it.get("registers").is_none()));
    let formula = messages.iter().find(|it| it["message_id"] == "900001").unwrap();
    assert_eq!(
        (&formula["text"], &formula["sent_at"]),
        (&json!("=HYPERLINK(\"https://x\")"), &json!("2026-01-21T13:08:20Z"))
    );
    let events = told["events"].as_array().unwrap();
    let names = |event: &Value| event["body"].to_string().contains("mira");
    assert!(events.len() > 20 && events.iter().filter(|it| names(it)).count() * 2 > events.len());
    assert!(events.is_sorted_by_key(|it| it["seq"].as_i64()));
    let (code, out, err) = file.run(&["export-user", "--app", APP, "--uid", "nobody-known"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("nobody-known"), "{err}");
}
