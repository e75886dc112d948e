//! No memory is left for SQLite: that is no verdict on an event. Alone in its process, whose memory it limits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chatfold::envelope::Envelope;
use chatfold::ids::Time;
use chatfold::writer::{Refusal, Writer};
use support::chatfold;
use support::load::body;

#[test]
fn without_memory_the_process_ends_and_no_event_becomes_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chatfold.db");
    let (fail, failed) = std::sync::mpsc::channel();
    let writer = Writer::start(&path, 16 << 20, Box::new(move || fail.send(()).unwrap())).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let append = |id| {
        let envelope = Envelope::parse(body(id).as_bytes()).unwrap();
        runtime.block_on(writer.append(envelope, Time(1_767_614_400_000)))
    };
    append(1).unwrap();
    let limit = |conn: &rusqlite::Connection| {
        conn.execute_batch("PRAGMA hard_heap_limit = 1000")?;
        Ok(())
    };
    writer.run(limit).unwrap();
    assert_eq!(append(2), Err(Refusal::Unknown), "SQLITE_NOMEM");
    failed.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
    assert!(writer.not_ready().is_some());
    writer.stop();
    let (code, out, err) = chatfold(&["events", "--json", "--db", path.to_str().unwrap()]);
    assert_eq!((code, out.lines().count()), (0, 1), "{out}{err}");
    assert!(out.contains(r#""outcome":"applied""#), "{out}");
}
