//! Several nodes of one log, over a real PostgreSQL: what is answered, in which order it is folded, and what happens while
//! the log is away.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chatfold::ids::Time;
use chatfold::store::Delivery;
use chatfold::store::postgres::{Address, Link};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::nodes::{ask, deliver, hash, log, message, position, ready, until};
use support::postgres::{Postgres, Proxy, told};
use support::{TestServer, chatfold, faulty};

fn node(address: &str) -> TestServer {
    ready(TestServer::with(&format!("log = \"{address}\"")))
}

/// The same node once more.
fn again(node: TestServer, address: &str) -> TestServer {
    let dir = node.dir();
    drop(node);
    ready(TestServer::within(dir, &format!("log = \"{address}\"")))
}

/// Blocked and unblocked in turn: facts without a time, whose order decides.
fn block(n: usize) -> String {
    let trigger = if n.is_multiple_of(2) { "user_blocked" } else { "user_unblocked" };
    format!(
        r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{{"users":{{"bob":{{"uid":"bob"}}}},"by":{{"uid":"ann"}}}}}}"#
    )
}

/// The log of a file as text, and where the node is.
fn logged(db: &Path) -> String {
    ask(
        db,
        "SELECT group_concat(line, char(10)) FROM (
            SELECT seq || ' ' || received_at || ' ' || occurred_at || ' ' || deliveries || ' ' || outcome || ' ' || body AS line
            FROM events ORDER BY seq)",
    )
}

/// All nodes agree, and their logs are equal. Gives the log.
fn agree(postgres: &Postgres, nodes: &[&TestServer]) -> String {
    support::nodes::agree(postgres, nodes);
    let first = logged(&nodes[0].db());
    for node in nodes {
        assert_eq!(logged(&node.db()), first);
    }
    first
}

#[test]
fn every_node_folds_what_any_node_takes_as_one_machine_would() {
    let Some(postgres) = log() else { return };
    let nodes = [node(&postgres.address()), node(&postgres.address()), node(&postgres.address())];
    let alone = TestServer::start();
    let bodies: Vec<String> = (0..60).map(|n| if n % 3 == 0 { block(n / 3) } else { message(n) }).collect();
    for (n, body) in bodies.iter().enumerate() {
        let (answer, expected) = (deliver(&nodes[n % 3], body), deliver(&alone, body));
        assert_eq!((answer.body.as_str(), answer.status), ("{}", 200));
        let ((seq, outcome), expected) = (told(&answer), told(&expected));
        assert_eq!(seq, expected.0);
        assert!(outcome == expected.1 || outcome == "accepted", "{outcome}");
    }
    // The same fact once more, at another node.
    let answer = deliver(&nodes[1], &bodies[1]);
    assert_eq!(told(&deliver(&alone, &bodies[1])), (Some(2), "duplicate"));
    assert!(matches!(told(&answer), (Some(2), "duplicate") | (Some(61), "accepted")), "{answer:?}");
    agree(&postgres, &[&nodes[0], &nodes[1], &nodes[2]]);
    assert_eq!(hash(&nodes[0].db()), hash(&alone.db()));
    // Large and small together, and what is no delivery.
    let answer = nodes[2].deliver("{}");
    assert_eq!(answer.status, 400);
    assert_eq!(ask(&nodes[2].db(), "SELECT CAST(count(*) AS TEXT) FROM refused"), "1");
    assert_eq!(ask(&nodes[0].db(), "SELECT CAST(count(*) AS TEXT) FROM refused"), "0", "it stays where it came");
    assert_eq!(postgres.ask("SELECT count(*), max(position) FROM chatfold_deliveries"), "61|61");
}

#[test]
fn a_node_answers_queries_with_the_time_at_which_it_had_read_all_of_the_log() {
    let Some(postgres) = log() else { return };
    let node = node(&postgres.address());
    let read_at = || {
        let answer = node.post("/graphql", &[support::JSON], r#"{"query":"{ __typename }"}"#).json();
        answer["extensions"]["chatfold"]["logReadAt"].as_str().map(str::to_owned)
    };
    // A node serves its file before it has read the log.
    until("an answer that tells the time", || read_at().is_some());
    assert!(read_at().is_some_and(|at| at.starts_with("20")));
    let ready = node.get("/readyz").json();
    assert_eq!((ready["status"].as_str(), ready["outbox"].as_u64()), (Some("ready"), Some(0)), "{ready}");
    assert!(ready["logReadAt"].is_string() && ready["logTrouble"].is_null(), "{ready}");
    let metrics = node.get("/metrics").body;
    for row in ["chatfold_shared_log_up 1", "chatfold_outbox_deliveries 0", "outcome=\"queued\"} 0"] {
        assert!(metrics.contains(row), "{row}: {metrics}");
    }
    // One machine says nothing of a log that it does not have.
    let alone = TestServer::start();
    let answer = alone.post("/graphql", &[support::JSON], r#"{"query":"{ __typename }"}"#).json();
    assert!(answer["extensions"]["chatfold"].get("logReadAt").is_none(), "{answer}");
    let ready = alone.get("/readyz").json();
    assert!(ready["status"] == "ready" && ready.get("logReadAt").is_none(), "{ready}");
    assert!(!alone.get("/metrics").body.contains("shared_log"));
    assert!(!threads(&alone).contains("cluster"), "code of the shared log runs without the setting");
    assert!(threads(&node).contains("cluster"));
}

fn threads(server: &TestServer) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default()).collect()
}

#[test]
fn each_node_reads_the_log_once_for_each_append() {
    let Some(postgres) = Postgres::start("log_statement = 'all'") else { return };
    assert_eq!(chatfold(&["log", "init", "--log", &postgres.address()]).0, 0);
    let nodes = [node(&postgres.address()), node(&postgres.address())];
    let count = || {
        let log = postgres.log();
        ["UPDATE chatfold_head SET position = position + $1", "FROM chatfold_duties AS duties LEFT JOIN"]
            .map(|statement| log.matches(statement).count())
    };
    deliver(&nodes[0], &message(0));
    agree(&postgres, &[&nodes[0], &nodes[1]]);
    let (before, begun) = (count(), Instant::now());
    (1..=300).for_each(|n| drop(deliver(&nodes[0], &message(n))));
    agree(&postgres, &[&nodes[0], &nodes[1]]);
    let (after, elapsed) = (count(), begun.elapsed());
    let (appends, reads) = (after[0] - before[0], after[1] - before[1]);
    assert_eq!(appends, 300, "one statement for each append");
    // A node that hears nothing for 50 ms looks by itself. Connections that broke are made again.
    let looks = 2 * (elapsed.as_millis() / 50) as usize + 20;
    assert!(reads <= 2 * appends + looks, "{appends} appends, {reads} reads by two nodes in {elapsed:?}");
}

#[test]
fn a_delivery_writes_no_page_of_an_index_anew_however_long_the_log_is() {
    let Some(postgres) = Postgres::start("autovacuum = off\ncheckpoint_timeout = 1h") else { return };
    assert_eq!(chatfold(&["log", "init", "--log", &postgres.address()]).0, 0);
    // An index of 40,000 ids, of rows that no node reads. PostgreSQL logs a page as a whole when it changes for the first
    // time after this.
    postgres.ask(
        "INSERT INTO chatfold_deliveries SELECT -n, decode(md5(n::text), 'hex'), 4102444800000, 'a', NULL, ''
            FROM generate_series(1, 40000) AS n;
        CHECKPOINT",
    );
    let node = node(&postgres.address());
    let written =
        || postgres.ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").parse::<usize>().unwrap();
    let before = written();
    (0..300).for_each(|n| drop(deliver(&node, &message(n))));
    let bytes = (written() - before) / 300;
    assert!(bytes < 2_048, "{bytes} bytes of WAL for each delivery");
}

#[test]
fn a_node_waits_for_its_turn_where_others_append_and_nobody_appends_in_its_turn() {
    let Some(postgres) = Postgres::start("log_statement = 'all'") else { return };
    assert_eq!(chatfold(&["log", "init", "--log", &postgres.address()]).0, 0);
    let nodes = [node(&postgres.address()), node(&postgres.address())];
    let turns = |deliveries: std::ops::Range<usize>, others: usize| {
        let count = || postgres.log().matches("FROM chatfold_head FOR UPDATE").count();
        let before = count();
        deliveries.for_each(|n| drop(deliver(&nodes[n % others], &message(n))));
        count() - before
    };
    assert!(turns(0..20, 1) <= 3, "one node alone needs no second statement");
    assert!(turns(20..60, 2) >= 20);
    agree(&postgres, &[&nodes[0], &nodes[1]]);
    drop(nodes);
    let address = Address::parse(&postgres.address()).unwrap();
    let delivery = |n: u8| {
        let (app_id, body) = ("a".to_owned(), message(n.into()).into_bytes());
        Delivery { id: [n; 16], received_at: Time(1), app_id, webhook: None, body }
    };
    let (a, b, c) = (delivery(1), delivery(2), delivery(3));
    let (turn, other) = ([&a, &b], [&c]);
    let (other, turn) = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (one, two) = (Link::open(&address).await.unwrap(), Link::open(&address).await.unwrap());
        one.turn().await.unwrap();
        tokio::join!(biased; two.append(&other), one.append_in_turn(&turn))
    });
    assert_eq!(other.unwrap(), turn.unwrap() + 2, "who has the turn is first");
}

#[test]
fn while_the_log_is_away_deliveries_wait_in_the_outbox_and_reads_go_on() {
    let Some(mut postgres) = log() else { return };
    let (one, two) = (node(&postgres.address()), node(&postgres.address()));
    deliver(&one, &message(1));
    postgres.stop();
    until("trouble", || !one.get("/readyz").json()["logTrouble"].is_null());
    let mut taken = Vec::new();
    for n in 2..12 {
        let answer = one.deliver(block(n));
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{answer:?}");
        assert_eq!(told(&answer), (None, "queued"));
        taken.push(answer);
    }
    let ready = one.get("/readyz");
    assert_eq!((ready.status, ready.json()["outbox"].as_u64()), (200, Some(10)), "{}", ready.body);
    let answer =
        one.post("/graphql", &[support::JSON], r#"{"query":"{ message(messageId: \"1\") { messageId } }"}"#).json();
    assert_eq!(answer["data"]["message"]["messageId"], "1", "{answer}");
    std::thread::sleep(Duration::from_millis(30));
    let arrived: Vec<i64> = waiting(&one.db());
    // A kill loses nothing of it.
    let one = {
        let dir = one.dir();
        drop(one);
        TestServer::within(dir, &format!("log = \"{}\"", postgres.address()))
    };
    assert_eq!(told(&one.deliver(block(12))), (None, "queued"));
    postgres.serve();
    until("empty outbox", || one.get("/readyz").json()["outbox"] == 0);
    deliver(&two, &message(13));
    let log = agree(&postgres, &[&one, &two]);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 13, "{log}");
    for (n, line) in (2..13).zip(&lines[1..]) {
        assert!(line.ends_with(&block(n)), "{n}: {log}");
    }
    let kept: Vec<i64> = lines[1..11].iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(kept, arrived, "arrival times are kept");
}

/// Arrivals of what waits in an outbox.
fn waiting(db: &Path) -> Vec<i64> {
    let conn = Connection::open(format!("{}.outbox", db.display())).unwrap();
    let mut statement = conn.prepare("SELECT received_at FROM outbox ORDER BY n").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn without_an_outbox_and_with_a_full_one_deliveries_are_answered_503() {
    let Some(mut postgres) = log() else { return };
    let with = |outbox: usize| format!("log = \"{}\"\noutbox = {outbox}", postgres.address());
    let (off, small) = (ready(TestServer::with(&with(0))), ready(TestServer::with(&with(message(1).len() * 2))));
    postgres.stop();
    until("trouble", || off.get("/readyz").status == 503 && !small.get("/readyz").json()["logTrouble"].is_null());
    let refused = off.deliver(message(1));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.problem(503).contains("the shared log cannot be reached"));
    assert!(!off.dir().path().join("chatfold.db.outbox").exists());
    for n in 1..3 {
        assert_eq!(told(&small.deliver(message(n))), (None, "queued"));
    }
    small.deliver(message(3)).problem(503);
    assert!(small.get("/readyz").problem(503).contains("the shared log cannot be reached"));
    postgres.serve();
    let (off, small) = (ready(off), ready(small));
    deliver(&off, &message(4));
    assert_eq!(agree(&postgres, &[&off, &small]).lines().count(), 3);
}

#[test]
fn a_commit_whose_answer_was_lost_is_not_appended_again() {
    let Some(postgres) = log() else { return };
    let proxy = Proxy::before(postgres.port);
    let (one, two) = (node(&proxy.address()), node(&postgres.address()));
    let count = || postgres.ask("SELECT count(*) FROM chatfold_deliveries").parse::<usize>().unwrap();
    let (mut sent, mut lost) = (0, 0);
    while lost < 3 {
        assert!(
            sent < 40,
            "the node looks whether the log is there, and finds that its answers are lost, too early each time"
        );
        proxy.lose_answers(true);
        let answer = one.deliver(message(sent));
        assert_eq!((answer.status, told(&answer)), (200, (None, "queued")));
        sent += 1;
        let waited = Instant::now();
        while count() < sent && waited.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
        lost += usize::from(count() == sent);
        proxy.lose_answers(false);
        proxy.cut();
        let is_back = |ready: serde_json::Value| ready["outbox"] == 0 && ready["logTrouble"].is_null();
        until("log and empty outbox", || is_back(one.get("/readyz").json()));
        let answer = deliver(&one, &message(sent));
        assert!(matches!(told(&answer).1, "applied" | "accepted" | "queued"), "{answer:?}");
        sent += 1;
        until("log and empty outbox", || is_back(one.get("/readyz").json()));
    }
    let ids = postgres.ask("SELECT count(*) || ' ' || count(DISTINCT id) FROM chatfold_deliveries");
    assert_eq!(ids, format!("{sent} {sent}"));
    let log = agree(&postgres, &[&one, &two]);
    assert_eq!(log.lines().count(), sent);
    assert!(log.lines().all(|line| line.split(' ').nth(3) == Some("1")), "delivered once each: {log}");
}

#[test]
fn a_node_without_room_answers_no_query_as_current_and_goes_on_when_there_is_room() {
    let (Some(postgres), Some(library)) = (log(), faulty::library()) else { return };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let full = dir.path().join("full");
    std::fs::write(dir.path().join("chatfold.toml"), format!("log = \"{}\"", postgres.address())).unwrap();
    let small = TestServer::launch(dir, |command| {
        command.env("LD_PRELOAD", library).env("FAULTY_FULL", &full);
    });
    let (small, other) = (ready(small.unwrap()), node(&postgres.address()));
    for round in 0..2 {
        std::fs::write(&full, "").unwrap();
        let bodies: Vec<String> = (0..20).map(|n| message(round * 20 + n)).collect();
        // A load balancer tries the next node where one does not take a delivery.
        let took = bodies
            .iter()
            .filter(|body| small.deliver(body.as_str()).status == 200 || deliver(&other, body).status == 200);
        assert_eq!(took.count(), bodies.len());
        until("node that says it is behind", || small.get("/readyz").status == 503);
        assert!(small.log().contains("the disk is full"), "{}", small.log());
        std::fs::remove_file(&full).unwrap();
        until("node that has caught up", || small.get("/readyz").status == 200);
        let log = agree(&postgres, &[&small, &other]);
        assert_eq!(log.lines().count(), (round + 1) * bodies.len(), "each delivery is one event");
    }
}

#[test]
fn a_killed_node_goes_on_at_its_position_and_folds_nothing_twice() {
    let Some(postgres) = log() else { return };
    let (one, mut two) = (node(&postgres.address()), node(&postgres.address()));
    let one = Arc::new(one);
    let posting = {
        let one = Arc::clone(&one);
        std::thread::spawn(move || {
            (0..400_usize).for_each(|n| drop(deliver(&one, &if n.is_multiple_of(2) { block(n) } else { message(n) })));
        })
    };
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(300));
        two = again(two, &postgres.address());
    }
    posting.join().unwrap();
    agree(&postgres, &[&one, &two]);
    let alone = TestServer::start();
    for n in 0..400 {
        deliver(&alone, &if n % 2 == 0 { block(n) } else { message(n) });
    }
    assert_eq!(hash(&alone.db()), hash(&two.db()));
}

#[test]
fn a_file_belongs_to_one_log() {
    let Some(postgres) = log() else { return };
    let (one, alone) = (node(&postgres.address()), TestServer::start());
    deliver(&one, &message(1));
    deliver(&alone, &message(1));
    // A node's file takes deliveries from its log alone.
    let (dir, own) = (one.dir(), alone.dir());
    drop((one, alone));
    std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
    let (_, told) = TestServer::launch(Arc::clone(&dir), |_| {}).err().unwrap();
    assert!(told.contains("is the file of a node"), "{told}");
    std::fs::write(dir.path().join("a.json"), message(2)).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (code, _, told) = chatfold(&["ingest", &path("a.json"), "--db", &path("chatfold.db")]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("post deliveries to a node"), "{told}");
    // A file with a log of its own does not become a node.
    std::fs::write(own.path().join("chatfold.toml"), format!("log = \"{}\"", postgres.address())).unwrap();
    let (_, told) = TestServer::launch(own, |_| {}).err().unwrap();
    assert!(told.contains("holds deliveries that the shared log does not have"), "{told}");
    // A new node needs the log once.
    let nobody = format!("log = \"postgres://chatfold@127.0.0.1:{}/postgres\"", support::postgres::free_port());
    let new = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(new.path().join("chatfold.toml"), nobody).unwrap();
    let (_, told) = TestServer::launch(new, |_| {}).err().unwrap();
    assert!(told.contains("a new node needs the shared log, postgres://127.0.0.1:"), "{told}");
    // Another log, and one that lost what the node has folded.
    postgres.ask("UPDATE chatfold_head SET log_id = 'another'");
    let lost = TestServer::within(Arc::clone(&dir), &format!("log = \"{}\"", postgres.address()));
    lost.wait_for_log("another log than this file has followed");
    assert!(lost.get("/readyz").problem(503).contains("another log"));
    assert_eq!(told_of(&lost, &message(2)), "queued", "it must not go into another log");
    let id = ask(&lost.db(), "SELECT log_id FROM shared_log");
    postgres.ask(&format!(
        "UPDATE chatfold_head SET log_id = '{id}'; UPDATE chatfold_deliveries SET id = decode(repeat('00', 16), 'hex')"
    ));
    until("lost delivery", || lost.get("/readyz").body.contains("has lost deliveries"));
    assert_eq!(position(&lost.db()), 1);
}

fn told_of(node: &TestServer, body: &str) -> String {
    told(&node.deliver(body)).1.to_owned()
}
