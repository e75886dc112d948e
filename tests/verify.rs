//! `chatfold verify`: whatever the tables or the log were made to say wrongly is found and told in words.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use chatfold::store::sqlite::checkpoint;
use chatfold::store::sqlite::state::of_file;
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
    checkpoint(&harness.conn, true).unwrap();
    std::fs::copy(harness.path(), &path).unwrap();
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
    let (code, out) = damaged("UPDATE memberships SET state = 'kicked' WHERE uid = (SELECT min(uid) FROM memberships)");
    assert_eq!(code, 1);
    assert!(out.contains("memberships: ") && out.contains("state is \"kicked\", the log says \"joined\""), "{out}");
}

#[test]
fn a_missing_row_and_one_too_many_are_found() {
    let (code, out) = damaged("DELETE FROM messages WHERE message_id = (SELECT min(message_id) FROM messages)");
    assert!(code == 1 && out.contains("is missing, the log tells of it"), "{out}");
    let (code, out) = damaged("INSERT INTO mentions VALUES ('app', 'nobody', 7, '7')");
    assert!(code == 1 && out.contains("is there, the log tells of none"), "{out}");
}

#[test]
fn a_changed_log_is_found() {
    let (code, out) = damaged("UPDATE events SET body = replace(body, 'text', 'tExt') WHERE trigger = 'message_sent'");
    assert!(code == 1 && out.contains("fingerprint is not what the body gives"), "{out}");
    let (code, out) = damaged("UPDATE events SET body = '{' || body WHERE seq = 2");
    assert!(code == 1 && out.contains("events 2: the body is no delivery any more"), "{out}");
    let (code, out) = damaged("UPDATE events SET outcome = 'rejected', reason = 'no' WHERE seq = 2");
    assert!(code == 1 && out.contains("2: is rejected (no), folding it gives applied"), "{out}");
}

#[test]
fn a_bit_turned_anywhere_is_never_a_wrong_answer_and_a_clean_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let sound = std::fs::read(&path).unwrap();
    let (_, state, _) = chatfold(&["inspect", "--db", &path, "--json"]);
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    // A step that meets every kind of page, and every part of it.
    for place in (100..sound.len()).step_by(sound.len() / 40) {
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&path, &bytes).unwrap();
        let (code, out, _) = chatfold(&["verify", "--db", &path, "--json"]);
        if code == 0 {
            let verified: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(verified["state"], state["state"], "a bit at {place}");
        }
    }
}

#[test]
fn two_servers_that_heard_the_same_facts_show_the_same_number() {
    let bodies = story("demo");
    let (one, other, undisturbed) = (Harness::new(), Harness::new(), Harness::new());
    for (n, body) in (0..).zip(&bodies) {
        // The first was down for a while; the other heard everything, later and elsewhere in its log.
        if !(20..40).contains(&n) {
            one.post(body, NOON + n * 1_000);
        }
        undisturbed.post(body, NOON + n * 1_000);
    }
    // Another server has a webhook of its own.
    let late = |n: i64| NOON + n * 1_000 + 1_234;
    let theirs: Vec<String> =
        bodies.iter().map(|body| body.replace(r#""webhook": ""#, r#""webhook": "other-"#)).collect();
    assert!(bodies.iter().zip(&theirs).all(|(ours, theirs)| ours != theirs));
    for (n, body) in (0..).zip(&theirs) {
        other.post(body, late(n));
    }
    assert_ne!(of_file(&one.conn).unwrap().total, of_file(&undisturbed.conn).unwrap().total);
    one.ingest_lines((0..).zip(&theirs).map(|(n, body)| (body.as_str(), Some(late(n)))));
    let number = of_file(&undisturbed.conn).unwrap();
    for (claim, harness) in [("one that was down and read the other's log", &one), ("one that heard all later", &other)]
    {
        let state = of_file(&harness.conn).unwrap();
        for (table, expected) in state.tables.iter().zip(&number.tables) {
            assert_eq!(table, expected, "{claim}");
        }
        assert_eq!(state.total, number.total, "{claim}");
    }
}
