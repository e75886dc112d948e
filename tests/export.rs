//! What leaves as files: views for analysts, and all about one person.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

#[cfg(feature = "parquet")]
use chatfold::ids::Time;
use harness::{fixtures, story};
#[cfg(feature = "parquet")]
use serde_json::Map;
use serde_json::{Value, json};
#[cfg(feature = "parquet")]
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
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
    let names = || std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    for other in names().iter().filter(|path| !path.ends_with("v_moderation.csv")) {
        std::fs::remove_file(other).unwrap();
    }
    assert_eq!(file.run(&["export", "--format", "csv", "--to", folder.to_str().unwrap()]).0, 1);
    assert_eq!(names().len(), 1, "none or all");
    let (code, out, _) = file.run(&["export", "--view", "v_users"]);
    assert_eq!(code, 0);
    assert!(out.lines().count() > 0 && out.lines().all(|line| line.starts_with("{\"app_id\":")), "{out}");
    let (code, _, err) = file.run(&["export", "--view", "events"]);
    assert_eq!(code, 2);
    assert!(err.contains("v_messages"), "{err}");
    assert_eq!(file.run(&["export"]).0, 2, "several views need a folder");
    assert_eq!(file.run(&["export", "--view", "v_users", "--app", "none"]).0, 2);
}

/// A file may have 64 KiB, as if the disk was full.
fn without_room(file: &File, format: &str) {
    let folder = file.dir.path().join("no_room");
    let script = "trap '' XFSZ; ulimit -f 128; exec \"$0\" export --view v_events --db \"$1\" --format $2 --to \"$3\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_chatfold"), &file.db, format]).arg(&folder);
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{format}: {err}");
    assert!(err.contains(&format!("cannot write {}/v_events.{format}", folder.display())), "{err}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{format}");
}

#[test]
fn a_failed_export_leaves_no_file() {
    // Texts that no compression makes small.
    let text =
        || (0..200_000).map(|at: u32| char::from(33 + (at.wrapping_mul(at) % 7919 % 90) as u8)).collect::<String>();
    let message = json!({ "id": "1", "sender": "mira", "receiverType": "user", "receiver": "tomas", "category": "message",
        "type": "text", "sentAt": 1_769_000_900, "data": { "text": text() } });
    let body = json!({ "trigger": "message_sent", "appId": APP, "data": { "message": message } }).to_string();
    let file = File::with(&[body]);
    for format in ["ndjson", "csv"] {
        without_room(&file, format);
    }
    #[cfg(feature = "parquet")]
    without_room(&file, "parquet");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_how_to_build_with_it() {
    let file = File::with(&[]);
    let (code, out, err) = file.run(&["export", "--view", "v_users", "--format", "parquet"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("built without Parquet") && err.contains("--features parquet"), "{err}");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_holds_the_rows_of_ndjson_in_typed_columns() {
    use parquet::basic::Type;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let file = File::new();
    let (ndjson, parquet) = (file.export("ndjson"), file.export("parquet"));
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(&ndjson).unwrap() {
        let path = entry.unwrap().path();
        let view = path.file_stem().unwrap().to_str().unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(parquet.join(format!("{view}.parquet"))).unwrap());
        let reader = reader.unwrap();
        for column in reader.metadata().file_metadata().schema_descr().columns() {
            let logical = column.logical_type_ref().map(|it| format!("{it:?}"));
            kinds.insert(format!("{view}.{}", column.name()), (column.physical_type(), logical.unwrap_or_default()));
        }
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), lines.lines().count(), "{view}");
        for (row, line) in rows.iter().zip(lines.lines()) {
            let told: Map<String, Value> = serde_json::from_str(line).unwrap();
            let read = row.get_column_iter().map(|(name, field)| {
                let value = match field {
                    Field::Null => Value::Null,
                    Field::Bool(is) => i64::from(*is).into(),
                    Field::Long(number) => (*number).into(),
                    Field::Double(number) => (*number).into(),
                    Field::TimestampMillis(ms) => Time(*ms).to_string().into(),
                    Field::Str(text) if told[name].is_string() => text.as_str().into(),
                    Field::Str(json) => serde_json::from_str(json).unwrap(),
                    other => panic!("{view}.{name}: {other:?}"),
                };
                (name.clone(), value)
            });
            let read: Map<String, Value> = read.collect();
            assert_eq!(read.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>(), "{view}");
            assert_eq!(read, told, "{view}");
            assert!(!Value::Object(read).to_string().contains(CANARY), "{view}");
        }
    }
    let text = (Type::BYTE_ARRAY, "String".to_owned());
    let time = (Type::INT64, "Timestamp(TimestampType { is_adjusted_to_u_t_c: true, unit: MILLIS })".to_owned());
    assert_eq!((&kinds["v_messages.text"], &kinds["v_connections.platform"]), (&text, &text));
    for name in kinds.keys().filter(|name| name.ends_with("_at") || name.ends_with("since") || name.ends_with(".at")) {
        assert_eq!(kinds[name], time, "{name}");
    }
    assert_eq!(kinds["v_horizons.before"], time);
    for (name, kind) in [
        ("v_events.seq", Type::INT64),
        ("v_recordings.duration_seconds", Type::DOUBLE),
        ("v_memberships.is_owner", Type::BOOLEAN),
        ("v_presence.online", Type::BOOLEAN),
        ("v_moderation.reviewed", Type::BOOLEAN),
    ] {
        assert_eq!(kinds[name], (kind, String::new()), "{name}");
    }
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
