//! Rows that grow without end: one event cannot make a row that SQLite does not store.

mod harness;

use chatfold::envelope::Envelope;
use chatfold::ids::{Outcome, Time};
use chatfold::log::Source;
use harness::{Harness, NOON};
use serde_json::{Value, json};

const SECOND: i64 = NOON / 1000;

fn event(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": "a", "webhook": "w", "data": data }).to_string()
}

/// Message 1 gets one more member of `data`, so many MiB long.
fn edited(n: i64, mib: usize) -> String {
    let data = json!({ format!("k{n}"): "x".repeat(mib << 20) });
    event("message_edited", &json!({ "message": { "id": "1", "editedAt": SECOND + n, "data": data } }))
}

/// Ann reacts to message 1 once more, with an id of so many MiB.
fn reacted(n: i64, mib: usize) -> String {
    let id = format!("{n}{}", "x".repeat(mib << 20));
    let reaction = json!({ "id": id, "messageId": "1", "reaction": "+", "uid": "ann", "reactedAt": SECOND + n });
    event("message_reaction_added", &json!({ "reaction": reaction }))
}

fn sent(id: &str) -> String {
    let message = json!({ "id": id, "sender": "ann", "receiverType": "group", "receiver": "g", "category": "message",
        "type": "text", "sentAt": SECOND, "data": { "text": "hello" } });
    event("message_sent", &json!({ "message": message }))
}

#[test]
fn an_event_that_makes_a_row_too_large_is_a_dead_letter_and_the_batch_goes_on() {
    let harness = Harness::new();
    let bodies = [sent("1"), edited(1, 20), reacted(2, 5), reacted(3, 5), edited(4, 20), edited(5, 20), sent("2")];
    let outcomes = harness.transaction(|| {
        let append = |body: &String| {
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            harness.append(&envelope, Time(NOON), Source::Http).outcome
        };
        bodies.each_ref().map(append)
    });
    use Outcome::{Applied, Rejected};
    assert_eq!(outcomes, [Applied, Applied, Applied, Rejected, Applied, Rejected, Applied]);
    assert_eq!(
        harness.ask("SELECT seq, reason FROM events WHERE outcome = 'rejected'"),
        "4|fold failed: a row of reactions would be larger than 48 MiB\n\
         6|fold failed: a row of messages would be larger than 48 MiB"
    );
    assert_eq!(harness.ask("SELECT message_id, text FROM messages"), "1|hello\n2|hello");
    assert_eq!(harness.ask("SELECT count(*) FROM messages, json_each(data) WHERE message_id = '1'"), "3");
}

#[test]
fn a_row_whose_registers_are_damaged_is_an_error_and_no_row_of_which_nothing_is_known() {
    for (damage, named) in [
        ("UPDATE messages SET registers = x'ff00ff'", "messages cannot be read (registers:"),
        ("UPDATE messages SET registers = x''", "messages cannot be read (registers:"),
        ("UPDATE messages SET data = '[5'", "messages.data cannot be read"),
        ("UPDATE messages SET sender_uid = CAST(x'ff' AS TEXT)", "messages cannot be read (a text is not UTF-8)"),
    ] {
        let harness = Harness::new();
        harness.post(&sent("1"), NOON);
        harness.conn.execute_batch(damage).unwrap();
        let envelope = Envelope::parse(edited(1, 0).as_bytes()).unwrap();
        let mut batch = chatfold::batch::Batch::default();
        chatfold::store::sqlite::begin(&harness.conn).unwrap();
        let error = chatfold::log::append(&mut batch, &harness.conn, &envelope, Time(NOON), Source::Http).unwrap_err();
        assert!(error.to_string().starts_with(named), "{damage}: {error}");
        chatfold::store::sqlite::rollback(&harness.conn);
        // Dropped, the file would have to be sound.
        std::mem::forget(harness);
    }
}

#[test]
fn a_message_edited_a_thousand_times_saves_one_row_an_edit() {
    let harness = Harness::new();
    harness.post(&sent("1"), NOON);
    let said = |n: i64| {
        let message = json!({ "id": "1", "editedAt": SECOND + n, "data": { "text": format!("score {n}") } });
        event("message_edited", &json!({ "message": message }))
    };
    harness.transaction(|| {
        for n in 1..=1_000 {
            harness.append(&Envelope::parse(said(n).as_bytes()).unwrap(), Time(NOON), Source::Http);
        }
    });
    let changes = || harness.conn.total_changes();
    let before = changes();
    harness.post(&said(1_001), NOON);
    assert!(changes() - before < 20, "{} rows", changes() - before);
    assert_eq!(harness.ask("SELECT count(*) FROM message_edits"), "1001");
}
