//! The command that reads the stand-in, and what a file says afterwards.

use super::app::{App, TOLD};
use super::{KEY, Vendor};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

pub fn backfill(vendor: &Vendor, db: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatfold"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATFOLD_")) {
        command.env_remove(name);
    }
    command.env("CHATFOLD_API_KEY", KEY).env("CHATFOLD_LOG_FILTER", "debug");
    command.args(["backfill", "--app", "app", "--region", "eu", "--json", "--api-url", &vendor.url(), "--db"]).arg(db);
    command.args(more);
    command
}

/// Exit code, what it reported, what it said.
pub fn run(vendor: &Vendor, db: &Path, more: &[&str]) -> (i32, Value, String) {
    let output = backfill(vendor, db, more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!out.contains(KEY) && !err.contains(KEY), "the key is shown: {out}{err}");
    (output.status.code().unwrap(), serde_json::from_str(&out).unwrap_or(Value::Null), err)
}

/// Exit code 0, and the report.
pub fn done(vendor: &Vendor, db: &Path) -> Value {
    let (code, report, err) = run(vendor, db, &[]);
    assert_eq!(code, 0, "{report:#}\n{err}");
    report
}

pub fn ask(db: &Path, sql: &str) -> Vec<String> {
    let conn = rusqlite::Connection::open_with_flags(db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut rows: Vec<String> = rows.map(Result::unwrap).collect();
    rows.sort();
    rows
}

#[track_caller]
pub fn assert_true(app: &App, db: &Path) {
    let (truth, told) = (app.truth(), ask(db, TOLD));
    let missing: Vec<_> = truth.iter().filter(|line| told.binary_search(line).is_err()).take(10).collect();
    let extra: Vec<_> = told.iter().filter(|line| truth.binary_search(line).is_err()).take(10).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:#?}\ntoo many {extra:#?}");
}

pub struct File(tempfile::TempDir);

impl File {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn db(&self) -> std::path::PathBuf {
        self.0.path().join("chatfold.db")
    }
}
