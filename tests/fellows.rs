//! What the nodes of a log know of each other: who is there, whether all say the same, and what the log may forget.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::nodes::{agree, change, deliver, hash, log, message, of, position, ready, until};
use support::postgres::Postgres;
use support::{JSON, TestServer, chatfold};

/// A node that asks for a check every second.
fn node(postgres: &Postgres) -> TestServer {
    ready(TestServer::with(&format!("{}log_check_seconds = 1\n", of(postgres))))
}

/// `chatfold nodes --json`: exit code, and what it says.
fn nodes(postgres: &Postgres) -> (i32, Value) {
    let (code, out, err) = chatfold(&["nodes", "--json", "--log", &postgres.address()]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

/// Position and state hash of each node, where they are compared.
fn compared(told: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    told["nodes"].as_array().unwrap().iter().map(|it| (text(&it["comparedAt"]), text(&it["stateHash"]))).collect()
}

#[test]
fn nodes_are_listed_with_their_state_hash_at_one_position() {
    let Some(postgres) = log() else { return };
    let (one, two) = (node(&postgres), node(&postgres));
    (0..10).for_each(|id| drop(deliver(&one, &message(id))));
    agree(&postgres, &[&one, &two]);
    let expected = ("10".to_owned(), hash(&one.db()));
    until("comparison", || compared(&nodes(&postgres).1) == [expected.clone(), expected.clone()]);
    let (code, told) = nodes(&postgres);
    assert_eq!((code, told["differ"].as_bool(), told["position"].as_str()), (0, Some(false), Some("10")), "{told}");
    for it in told["nodes"].as_array().unwrap() {
        assert_eq!((it["live"].as_bool(), it["differs"].as_bool()), (Some(true), Some(false)), "{told}");
        assert_eq!(it["version"], env!("CARGO_PKG_VERSION"));
        until("position", || nodes(&postgres).1["nodes"][0]["position"] == "10");
    }
    let (code, out, err) = chatfold(&["nodes", "--log", &postgres.address()]);
    assert!(code == 0 && out.contains(&expected.1[..12]) && !out.contains("DIFFERS"), "{out}{err}");
    until("metric", || one.get("/metrics").body.contains(r#"chatfold_shared_log_nodes{state="compared"} 2"#));
    // A restart makes no other node; a copy of the file elsewhere is another one.
    let dir = two.dir();
    drop(two);
    postgres.ask("UPDATE chatfold_nodes SET seen_at = 0");
    let _two = ready(TestServer::within(dir, &of(&postgres)));
    let seen = || postgres.ask("SELECT count(*) || ' ' || count(CASE WHEN seen_at > 0 THEN 1 END) FROM chatfold_nodes");
    until("both nodes", || seen() == "2 2");
    let elsewhere = Arc::new(tempfile::tempdir().unwrap());
    let copy = elsewhere.path().join("chatfold.db");
    let (code, _, err) = one.run(&["backup", copy.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let _three = ready(TestServer::within(elsewhere, &of(&postgres)));
    until("a third node", || seen() == "3 3");
}

#[test]
fn hashes_of_one_position_are_equal_while_deliveries_come_at_every_node() {
    let Some(postgres) = log() else { return };
    let all = Arc::new([node(&postgres), node(&postgres), node(&postgres)]);
    let stop = Arc::new(AtomicBool::new(false));
    let posting: Vec<_> = (0..3)
        .map(|place| {
            let (all, stop) = (Arc::clone(&all), Arc::clone(&stop));
            std::thread::spawn(move || {
                for id in (place..).step_by(3).take_while(|_| !stop.load(Ordering::SeqCst)) {
                    deliver(&all[place], &message(id));
                }
            })
        })
        .collect();
    let positions =
        "SELECT count(*) FROM (SELECT position FROM chatfold_hashes GROUP BY position HAVING count(*) = 3) AS p";
    until("comparison while deliveries come", || postgres.ask(positions).parse::<i64>().unwrap() >= 4);
    stop.store(true, Ordering::SeqCst);
    posting.into_iter().for_each(|thread| thread.join().unwrap());
    let differing = "SELECT count(*) FROM (SELECT position FROM chatfold_hashes GROUP BY position
                     HAVING count(DISTINCT hash) > 1) AS p";
    assert_eq!(postgres.ask(differing), "0");
    let moved = "SELECT count(DISTINCT hash) FROM chatfold_hashes";
    assert!(postgres.ask(moved).parse::<i64>().unwrap() >= 4, "tables that grow have another hash at each position");
    assert_eq!(nodes(&postgres).0, 0);
    agree(&postgres, &[&all[0], &all[1], &all[2]]);
}

#[test]
fn a_node_whose_tables_differ_says_so_and_takes_no_traffic_until_they_do_not() {
    let Some(postgres) = log() else { return };
    let (one, two, three) = (node(&postgres), node(&postgres), node(&postgres));
    (0..5).for_each(|id| drop(deliver(&one, &message(id))));
    agree(&postgres, &[&one, &two, &three]);
    change(&three.db(), "UPDATE messages SET sender_uid = 'u9' WHERE message_id = '2'");
    deliver(&one, &message(5));
    until("alarm", || three.get("/readyz").status == 503);
    let told = three.get("/readyz").problem(503);
    assert!(told.contains("say something else than those of other nodes"), "{told}");
    assert!(!told.contains(hash(&three.db()).get(..8).unwrap()), "everybody may read it: {told}");
    three.wait_for_log("this node should get no traffic");
    until("alarm at another node", || one.get("/metrics").body.contains(r#"nodes{state="differing"} 1"#));
    assert_eq!((one.get("/readyz").status, two.get("/readyz").status), (200, 200));
    let answer = one.post("/graphql", &[JSON], r#"{"query":"{ status { server { logAlarm } } }"}"#).json();
    assert!(answer["data"]["status"]["server"]["logAlarm"].as_str().unwrap().contains("something else"), "{answer}");
    assert!(one.get("/health").body.contains("something else"));
    assert!(one.get("/").body.contains("Nodes differ"));
    let (code, told) = nodes(&postgres);
    assert_eq!((code, told["differ"].as_bool()), (1, Some(true)), "{told}");
    // It still takes what is sent to it, and its log is right.
    deliver(&three, &message(6));
    let (code, _, err) = three.run(&["rebuild"]);
    assert_eq!(code, 0, "{err}");
    until("a node that is right again", || three.get("/readyz").status == 200);
    until("end of the alarm", || !one.get("/health").body.contains("something else"));
    agree(&postgres, &[&one, &two, &three]);
    assert_eq!(nodes(&postgres).0, 0);
}

#[test]
fn the_log_forgets_what_is_old_and_every_live_node_has() {
    let Some(postgres) = log() else { return };
    let trim = || chatfold(&["log", "trim", "--json", "--log", &postgres.address()]);
    let oldest = || postgres.ask("SELECT min(position) FROM chatfold_deliveries");
    let (code, _, err) = trim();
    assert!(code == 1 && err.contains("no node was seen"), "{err}");
    let (one, mut two) = (node(&postgres), node(&postgres));
    (0..3).for_each(|id| drop(deliver(&one, &message(id))));
    until("a node at 3", || nodes(&postgres).1["nodes"].as_array().unwrap().iter().all(|it| it["position"] == "3"));
    two.sigterm();
    (3..12).for_each(|id| drop(deliver(&one, &message(id))));
    until("a node at 12", || nodes(&postgres).1.to_string().contains(r#""position":"12","seenAt""#));
    // Nothing is old.
    assert_eq!((trim().0, oldest()), (0, "1".to_owned()));
    postgres
        .ask("UPDATE chatfold_deliveries SET received_at = received_at - 8 * 86400000::bigint WHERE position <= 10");
    // The node that stopped is live for a while: what it needs stays, and the row where it is.
    let (code, out, err) = trim();
    assert!(code == 0 && out.contains(r#""deliveries":2,"oldest":"3""#), "{out}{err}");
    postgres.ask("UPDATE chatfold_nodes SET seen_at = seen_at - 3600000 WHERE position = 3");
    assert_eq!((trim().0, oldest()), (0, "11".to_owned()));
    // A longer time keeps more, and a delivery that is young keeps those behind it.
    assert_eq!(chatfold(&["log", "trim", "--days", "0", "--log", &postgres.address()]).0, 2);
    postgres.ask("UPDATE chatfold_deliveries SET received_at = received_at - 8 * 86400000::bigint");
    let (code, _, _) = chatfold(&["log", "trim", "--days", "9", "--log", &postgres.address()]);
    assert_eq!((code, oldest()), (0, "11".to_owned()));
    // A node has the turn now, and does the same by itself. The newest row stays.
    postgres.ask("UPDATE chatfold_duties SET trimmed_at = 0");
    until("trimmed log", || oldest() == "12");
    assert_eq!(position(&one.db()), 12);
    deliver(&one, &message(12));
    agree(&postgres, &[&one]);
}
