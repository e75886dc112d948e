//! A file that cannot be written for a while: deliveries are refused, reads go on, and it recovers on its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chatfold::envelope::Envelope;
use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::Time;
use chatfold::writer::{Refusal, Writer};

fn envelope(id: u32) -> Envelope {
    let text = "x".repeat(4_000);
    let body = format!(
        r#"{{"trigger":"message_sent","appId":"a","data":{{"message":{{"id":"{id}","sender":"u","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":1767614400,"data":{{"text":"{text}"}}}}}}}}"#
    );
    Envelope::parse(body.as_bytes()).unwrap()
}

#[test]
fn while_another_process_holds_the_lock_deliveries_are_refused_and_then_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chatfold.db");
    let writer = Writer::start(&path, Box::new(|| panic!("a lock is no failure of the disk"))).unwrap();
    let api = Api::open(&path, Limits::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let append = |id: u32| runtime.block_on(writer.append(envelope(id), Time(1_767_614_400_000)));
    append(1).unwrap();

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(append(2), Err(Refusal::NotWritten(_) | Refusal::Unknown)));
    let query = async_graphql::Request::new("{messages {totalCount}}");
    let answer = runtime.block_on(api.execute_text(query, Caller::default()));
    assert!(answer.contains(r#""totalCount":1"#), "reads go on: {answer}");
    other.execute_batch("ROLLBACK").unwrap();

    while append(3).is_err() {}
    assert_eq!(writer.not_ready(), None);
    assert!(append(3).unwrap().duplicate);
    writer.stop();
    assert!(matches!(append(4), Err(Refusal::NotWritten("the server is stopping"))));
}

#[test]
fn a_statement_that_fails_is_no_verdict_on_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chatfold.db");
    let (fail, failed) = std::sync::mpsc::channel();
    let writer = Writer::start(&path, Box::new(move || fail.send(()).unwrap())).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("DROP TABLE users").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(writer.append(envelope(1), Time(1_767_614_400_000)));
    assert_eq!(refused, Err(Refusal::Unknown));
    failed.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
    assert!(writer.not_ready().is_some());
    writer.stop();
    let kept: i64 = other.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0, "no dead letter: the retry comes to a server that works");
}
