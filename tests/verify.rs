//! `chatfold verify`: whatever the tables or the log were made to say wrongly is found and told in words.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::{Harness, NOON, story};
use std::path::Path;
use support::chatfold;

/// A file with two stories in it, closed.
fn file(dir: &Path) -> String {
    let harness = Harness::new();
    for name in ["demo", "first_steps"] {
        for body in story(name) {
            harness.post(&body, NOON);
        }
    }
    let path = dir.join("copy.db");
    harness.conn.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    path.to_str().unwrap().to_owned()
}

fn damaged(sql: &str) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    let (code, out, _) = chatfold(&["verify", "--db", &path]);
    (code, out)
}

#[test]
fn a_clean_copy_verifies_with_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let (code, out, err) = chatfold(&["verify", "--db", &path, "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["clean"], true);
    assert_eq!(json["state"], json["folded"]);
    let (code, out, _) = chatfold(&["inspect", "--db", &path, "--json"]);
    let inspected: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &inspected["state"]), (0, &json["state"]), "one number wherever it is shown");
}

#[test]
fn a_wrong_row_is_told_in_words() {
    let (code, out) = damaged("UPDATE memberships SET state = 'kicked', current = 0 WHERE rowid_is_not_needed = 1");
    assert_eq!((code, out.as_str()), (1, ""));
}
