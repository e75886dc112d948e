//! A file that cannot be written for a while: deliveries are refused, reads go on, and it recovers on its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chatfold::envelope::Envelope;
use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::{Outcome, Time};
use chatfold::ingest::Ingest;
use chatfold::writer::{Appended, Refusal, Writer, Written};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

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
    let writer = Writer::start(&path, 16 << 20, Box::new(|| panic!("a lock is no failure of the disk"))).unwrap();
    let api = Api::open(&path, Limits::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let append = |id: u32| append(&writer, envelope(id));
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

/// A writer of a file that holds one event, and a sender that hears when the writer fails.
fn file_of_one_event(dir: &Path) -> (PathBuf, Writer, Receiver<()>) {
    let path = dir.join("chatfold.db");
    let (writer, failed) = writer_of(&path);
    append(&writer, envelope(1)).unwrap();
    (path, writer, failed)
}

fn writer_of(path: &Path) -> (Writer, Receiver<()>) {
    let (fail, failed) = std::sync::mpsc::channel();
    (Writer::start(path, 16 << 20, Box::new(move || fail.send(()).unwrap())).unwrap(), failed)
}

fn append(writer: &Writer, envelope: Envelope) -> Result<Appended, Refusal> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match runtime.block_on(writer.append(envelope, Time(1_767_614_400_000)))? {
        Written::Folded(appended) => Ok(appended),
        Written::Unfolded(position) => panic!("{position} is not folded"),
    }
}

/// The delivery is not answered 200, the process ends, and nothing of the delivery is in the log.
#[track_caller]
fn assert_ends_without_a_verdict(path: &Path, writer: &Writer, failed: &Receiver<()>, envelope: Envelope, claim: &str) {
    let before = events(path);
    assert_eq!(append(writer, envelope), Err(Refusal::Unknown), "{claim}");
    failed.recv_timeout(Duration::from_secs(10)).unwrap_or_else(|_| panic!("{claim}: the process goes on"));
    assert!(writer.not_ready().is_some(), "{claim}");
    writer.stop();
    assert_eq!(events(path), before, "{claim}: no dead letter, the retry comes to a server that works");
}

/// How many events there are, and how many were applied.
fn events(path: &Path) -> (i64, i64) {
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT count(*), coalesce(sum(outcome = 'applied'), 0) FROM events";
    conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// Runs SQL on the write connection itself.
fn on_the_write_connection(writer: &Writer, sql: &'static str) {
    let unit = move |conn: &rusqlite::Connection| {
        conn.execute_batch(sql)?;
        Ok(())
    };
    writer.run(unit).unwrap();
}

#[test]
fn what_the_store_does_wrong_is_no_verdict_on_the_event() {
    for (claim, sql) in [
        ("SQLITE_ERROR", "DROP TABLE event_counts"),
        ("SQLITE_CONSTRAINT", "CREATE UNIQUE INDEX bug ON messages (app_id)"),
        ("SQLITE_CONSTRAINT of the log", "CREATE UNIQUE INDEX bug ON events (app_id)"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (path, writer, failed) = file_of_one_event(dir.path());
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        assert_ends_without_a_verdict(&path, &writer, &failed, envelope(2), claim);
    }
}

#[test]
fn connection_that_may_not_write_is_no_verdict_on_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let (path, writer, failed) = file_of_one_event(dir.path());
    on_the_write_connection(&writer, "PRAGMA query_only = ON");
    assert_ends_without_a_verdict(&path, &writer, &failed, envelope(2), "SQLITE_READONLY");
}

#[test]
fn page_that_is_damaged_is_no_verdict_on_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let (path, writer, _failed) = file_of_one_event(dir.path());
    writer.stop();
    let conn = rusqlite::Connection::open(&path).unwrap();
    let sql =
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'messages_key'";
    let (page, size): (u32, u32) = conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(u64::from(page - 1) * u64::from(size))).unwrap();
    file.write_all(&vec![0xff; size as usize]).unwrap();
    drop(file);
    let (writer, failed) = writer_of(&path);
    assert_ends_without_a_verdict(&path, &writer, &failed, envelope(2), "SQLITE_CORRUPT");
}

#[test]
fn file_at_its_greatest_size_refuses_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (path, writer, failed) = file_of_one_event(dir.path());
    on_the_write_connection(&writer, "PRAGMA max_page_count = 1");
    let full = (2..100).find_map(|id| append(&writer, envelope(id)).err()).unwrap();
    assert_eq!(full, Refusal::NotWritten("the disk is full"), "SQLITE_FULL");
    let (all, applied) = events(&path);
    assert_eq!(all, applied, "no dead letter");
    assert!(failed.try_recv().is_err(), "the process goes on");
    on_the_write_connection(&writer, "PRAGMA max_page_count = 1000000");
    while append(&writer, envelope(100)).is_err() {}
    writer.stop();
}

/// Columns of facts kept as JSON, each with a delivery that makes such a row.
const FACTS: [(&str, &str, &str); 6] = [
    ("call_facts", "fact", "call_started"),
    ("groups", "lifecycle", "group_deleted"),
    ("groups", "tally", "group_deleted"),
    ("blocks", "facts", "user_blocked"),
    ("reactions", "facts", "message_reaction_added"),
    ("feeds", "lags", "call_started"),
];

#[test]
fn facts_that_cannot_be_read_are_an_error_and_are_never_written_back() {
    for (table, column, fixture) in FACTS {
        let claim = format!("{table}.{column}");
        let file = format!("{}/fixtures/triggers/{fixture}.json", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read_to_string(file).unwrap();
        let again = body.replacen("\"data\": {", "\"data\": { \"more\": 1,", 1);
        assert_ne!(body, again);
        let read = |body: &str| Envelope::parse(body.as_bytes()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (path, writer, _failed) = file_of_one_event(dir.path());
        assert_eq!(append(&writer, read(&body)).unwrap().outcome, Outcome::Applied, "{claim}");
        writer.stop();
        let conn = rusqlite::Connection::open(&path).unwrap();
        let damaged = conn.execute(&format!("UPDATE {table} SET {column} = 'no JSON'"), []).unwrap();
        assert_ne!(damaged, 0, "{claim}");
        let mut ingest = Ingest::open(&path, 1 << 20, chatfold::clock::now).unwrap();
        let line = again.replace('\n', " ");
        let told =
            ingest.read("-", std::io::Cursor::new(line), |_| {}).and_then(|()| Ok(ingest.finish()?)).unwrap_err();
        assert!(told.to_string().contains(&format!("{claim} cannot be read")), "{told}");
        let (writer, failed) = writer_of(&path);
        assert_ends_without_a_verdict(&path, &writer, &failed, read(&again), &claim);
        let kept: String =
            conn.query_row(&format!("SELECT DISTINCT {column} FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "no JSON", "{claim} is not written back");
    }
}
