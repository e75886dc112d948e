//! The full-text index says what the messages say: through edits, deletions, verdicts, and in any order.

mod harness;

use chatfold::store::sqlite::checkpoint;
use harness::{Harness, NOON, assert_same, fixtures};

/// Message numbers found, newest first.
fn found(harness: &Harness, word: &str) -> String {
    harness.ask(&format!(
        "SELECT rowid % 17592186044416 FROM message_search WHERE message_search MATCH '\"{word}\"' ORDER BY rowid DESC"
    ))
}

fn sent(id: &str, text: &str) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"app","data":{{"message":{{"id":"{id}","sender":"a","receiverType":"user","receiver":"b","category":"message","type":"text","sentAt":1767614400,"data":{{"text":"{text}"}}}}}}}}"#
    )
}

fn action(trigger: &str, id: &str, more: &str) -> String {
    let action = trigger.trim_start_matches("message_");
    format!(
        r#"{{"trigger":"{trigger}","appId":"app","data":{{"message":{{"id":"9{id}","sender":"a","receiverType":"user","receiver":"b","category":"action","type":"message","sentAt":1767614500,"data":{{"action":"{action}","entities":{{"on":{{"entityType":"message","entity":{{"id":"{id}","sender":"a","receiverType":"user","receiver":"b","category":"message","type":"text","sentAt":1767614400,{more}}}}}}}}}}}}}}}"#
    )
}

fn blocked(id: &str) -> String {
    format!(
        r#"{{"trigger":"moderation_engine_blocked","appId":"app","data":{{"message":{{"id":"{id}","sender":"a","receiverType":"user","receiver":"b","category":"message","type":"text","sentAt":1767614400,"updatedAt":1767614400,"data":{{"text":"rude words","moderation":{{"status":"disapproved"}}}}}}}}}}"#
    )
}

#[test]
fn an_edit_is_found_by_what_it_says_now_and_a_deletion_by_nothing() {
    let edit = action("message_edited", "7", r#""data":{"text":"calm words"},"editedAt":1767614450,"editedBy":"a""#);
    let delete = action("message_deleted", "7", r#""deletedAt":1767614460,"deletedBy":"a""#);
    let harness = Harness::new();
    harness.post(&sent("7", "angry words"), NOON);
    assert_eq!((found(&harness, "angry"), found(&harness, "words")), ("7".to_owned(), "7".to_owned()));
    harness.post(&edit, NOON);
    assert_eq!((found(&harness, "angry"), found(&harness, "calm")), (String::new(), "7".to_owned()));
    harness.post(&delete, NOON);
    assert_eq!(found(&harness, "words"), "");
    let verified = harness.verify();
    assert!(verified.is_clean(), "{:?} {:?} {:?}", verified.differences, verified.damaged, verified.integrity);
    let late = Harness::new();
    for body in [&delete, &edit, &sent("7", "angry words")] {
        late.post(body, NOON);
    }
    assert_eq!(found(&late, "words"), "", "deleted stays deleted");
    assert_same(&harness.truth(), &late.truth(), "whether it was ever found leaves no trace");
    let together = Harness::new();
    together.ingest([edit.as_str(), sent("7", "angry words").as_str()]);
    assert_eq!((found(&together, "angry"), found(&together, "calm")), (String::new(), "7".to_owned()));
}

#[test]
fn what_is_no_listed_chat_is_not_found() {
    let harness = Harness::new();
    harness.post(&blocked("8"), NOON);
    assert_eq!(found(&harness, "rude"), "8", "it can be listed, by who asks for blocked ones");
    harness.post(&sent("text-id", "words"), NOON);
    harness.post(&sent("17592186044416", "words"), NOON);
    harness.post(&sent("17592186044415", "words"), NOON);
    assert_eq!(found(&harness, "words"), "17592186044415\n8", "ids that are no number, or too great a one");
    assert_eq!(harness.ask("SELECT count(*) FROM message_search"), "2");
}

#[test]
fn the_index_of_all_fixtures_verifies() {
    let harness = Harness::new();
    for (_, body) in fixtures() {
        harness.post(&body, NOON);
    }
    assert_eq!(harness.ask("SELECT count(*) > 5 FROM message_search"), "1");
    let verified = harness.verify();
    assert!(verified.is_clean(), "{verified:?}");
}

#[test]
fn an_index_that_says_something_else_is_told() {
    for (damage, words) in [
        (
            "INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', 17592186044423, 'angry words')",
            "app / 7: is not found by a word it has",
        ),
        (
            "INSERT INTO message_search (rowid, text) VALUES (17592186044422, 'x')",
            "app / 6: is found by a word it has not",
        ),
        (
            "INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', 17592186044423, 'angry words');
             INSERT INTO message_search (rowid, text) VALUES (17592186044423, 'words angry')",
            "app / 7: is ",
        ),
    ] {
        let harness = Harness::new();
        harness.post(&sent("7", "angry words"), NOON);
        harness.conn.execute_batch(damage).unwrap();
        let verified = harness.verify();
        // Mended, so that it is clean when it is dropped.
        harness.conn.execute_batch("INSERT INTO message_search (message_search) VALUES ('delete-all')").unwrap();
        harness
            .conn
            .execute("INSERT INTO message_search (rowid, text) VALUES (17592186044423, 'angry words')", [])
            .unwrap();
        let difference = verified.differences.iter().find(|it| it.table == "message_search");
        assert!(difference.is_some_and(|it| it.words[0].starts_with(words)), "{damage}: {verified:?}");
    }
}

/// Tools that list all tables, such as Datasette, ask for the rows of each.
#[test]
fn an_older_sqlite_opens_a_copy_with_every_table_and_view() {
    let harness = Harness::new();
    harness.post(&sent("7", "angry words"), NOON);
    checkpoint(&harness.conn, true).unwrap();
    let all = harness.ask("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')");
    let selects: Vec<String> = all.lines().map(|name| format!("SELECT count(*) FROM {name};")).collect();
    let script = format!("{} SELECT text FROM v_messages;", selects.join(" "));
    let copy = harness.path().with_extension("copy");
    std::fs::copy(harness.path(), &copy).unwrap();
    // Debian's program, of SQLite 3.40.
    let tool = std::process::Command::new("sqlite3").arg("-bail").arg(&copy).args([".schema", &script]).output();
    let Ok(output) = tool else {
        assert!(std::env::var_os("CHATFOLD_SQLITE3").is_none(), "CHATFOLD_SQLITE3 is set, and there is no sqlite3");
        eprintln!("SKIPPED: there is no sqlite3");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{out}{err}");
    assert!(out.contains("angry words"), "{out}");
}
