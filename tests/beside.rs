//! Other processes at the same file while a server writes it: they lose nothing, stop nothing for good, and see no
//! half of anything.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::Harness;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::load::{Oracle, Told, connect};
use support::{TestServer, verified};

#[test]
fn inspect_events_verify_and_a_second_server_beside_a_server_under_load_lose_nothing() {
    let mut server = TestServer::start();
    let oracle = Arc::new(Oracle::default());
    let senders = oracle.senders(server.address, 8);
    while oracle.acknowledged() < 100 {
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..2 {
        for args in [&["inspect", "--json"][..], &["events", "--json", "--limit", "50"], &["verify"]] {
            let (code, out, err) = server.run(args);
            assert_eq!(code, 0, "{args:?} {out}{err}");
            assert!(!out.is_empty());
        }
        assert_eq!(server.run(&["serve"]).0, 1);
    }
    assert_eq!(server.sigterm().code(), Some(0), "{}", server.log());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert!(oracle.acknowledged() > 100);
    let again = TestServer::within(server.dir(), "");
    oracle.retry_unknown(again.address);
    drop(again);
    oracle.check(&Harness::copy_of(&server.db()).conn);
    verified(&server.db());
}

#[test]
fn while_another_process_holds_the_lock_it_is_said_and_over_by_itself() {
    let mut server = TestServer::start();
    let oracle = Oracle::default();
    let mut stream = connect(server.address).unwrap();
    assert_eq!(oracle.post(&mut stream), Some(Told::Acknowledged));
    let other = rusqlite::Connection::open(server.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        assert!(matches!(oracle.post(&mut stream), Some(Told::Refused | Told::Unknown)));
    }
    server.wait_for_log("another process holds the file's lock: deliveries are answered 503");
    assert_eq!(server.get("/readyz").problem(503), "another process holds the file's lock");
    assert_eq!(server.post("/graphql", &[support::JSON], r#"{"query":"{messages{totalCount}}"}"#).status, 200);
    other.execute_batch("ROLLBACK").unwrap();
    let begun = Instant::now();
    while server.get("/readyz").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(oracle.post(&mut stream), Some(Told::Acknowledged));
    oracle.retry_unknown(server.address);
    assert_eq!(server.log().matches("deliveries are answered 503").count(), 1, "{}", server.log());
    assert_eq!(server.sigterm().code(), Some(0));
    oracle.check(&Harness::copy_of(&server.db()).conn);
}

#[test]
fn a_reader_that_holds_an_old_state_for_long_is_told_of_and_takes_nothing_with_it() {
    let server = TestServer::start();
    let wal = || {
        let metrics = server.get("/metrics").body;
        let line = metrics.lines().find_map(|line| line.strip_prefix("chatfold_wal_bytes ")).unwrap().to_owned();
        line.parse::<u64>().unwrap()
    };
    let big = |id: usize| {
        let text = "x".repeat(1 << 20);
        let body = format!(r#"{{"trigger":"of_tomorrow","appId":"a","data":{{"{id}":"{text}"}}}}"#);
        // A large body waits for a late checkpoint, and then for a slow disk it may be too late.
        assert!((0..100).any(|_| server.deliver(&body).status == 200));
    };
    for id in 0..60 {
        big(id);
    }
    assert!(wal() < 64 << 20, "without a reader it is moved into the file: {}", wal());
    let reader = rusqlite::Connection::open(server.db()).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let count = |reader: &rusqlite::Connection| {
        reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(count(&reader), 60);
    for id in 60..145 {
        big(id);
    }
    server.wait_for_log("cannot be moved into the file: somebody reads an old state of it");
    assert!(wal() > 64 << 20);
    assert_eq!(count(&reader), 60, "what it saw first");
    drop(reader);
    // A delivery begins the next checkpoint.
    let told = || server.log().contains("the WAL is moved into the file again");
    let seq = (145..400).take_while(|_| !told()).inspect(|id| big(*id)).last().map_or(145, |id| id + 1);
    assert!(told(), "{}", server.log());
    assert_eq!(server.log().matches("cannot be moved into the file").count(), 1, "{}", server.log());
    let (code, out, err) = server.run(&["inspect", "--json"]);
    assert!(code == 0 && out.contains(&format!("\"seq\":{seq}")), "{out}{err}");
}
