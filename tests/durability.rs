//! What a node takes for durable: PostgreSQL with a standby, over real servers. And what an outbox leaves on the disk.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use support::nodes::{agree, ask, deliver, log, message, of, ready, until};
use support::postgres::{Postgres, free_port, told};
use support::{JSON, TestServer, chatfold, faulty};

/// A primary whose commits wait for a standby, the standby, and what a node that insists on the standby is told.
fn pair() -> Option<(Postgres, Postgres, String)> {
    let primary = Postgres::start("synchronous_standby_names = 'ANY 1 (s1)'\nwal_level = replica\nhot_standby = on")?;
    let standby = primary.standby("s1", free_port());
    let (code, _, err) = chatfold(&["log", "init", "--log", &primary.address()]);
    assert_eq!(code, 0, "{err}");
    let toml = format!("{}log_durability = \"quorum\"\n", of(&primary));
    Some((primary, standby, toml))
}

fn is_back(node: &TestServer) -> bool {
    let ready = node.get("/readyz").json();
    ready["outbox"] == 0 && ready["logTrouble"].is_null()
}

#[test]
fn a_commit_whose_wait_for_a_standby_was_ended_is_not_taken_for_durable() {
    let Some((primary, standby, toml)) = pair() else { return };
    let node = ready(TestServer::with(&toml));
    deliver(&node, &message(1));
    for (nth, end) in [(2, "pg_cancel_backend"), (3, "pg_terminate_backend")] {
        standby.signal_all("STOP");
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| node.deliver(message(nth)));
            let ended = format!("SELECT count({end}(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
            until("commit that waits for the standby", || primary.ask(&ended) != "0");
            answer.join().unwrap()
        });
        assert_eq!((answer.status, told(&answer)), (200, (None, "queued")), "{end}: one disk has it");
        standby.signal_all("CONT");
        until("log and empty outbox", || is_back(&node));
    }
    agree(&primary, &[&node]);
    let rows = "SELECT count(*) || ' ' || sum(deliveries) FROM events";
    assert_eq!(ask(&node.db(), rows), "3 3", "each was appended once");
}

#[test]
fn a_node_that_insists_on_standbys_appends_nothing_while_postgresql_waits_for_none() {
    let Some((primary, _standby, toml)) = pair() else { return };
    let (with, without) = (ready(TestServer::with(&toml)), ready(TestServer::with(&format!("{toml}outbox = 0\n"))));
    let finding = |node: &TestServer| {
        let (code, out, err) = node.run(&["doctor", "--json"]);
        let finding = out.lines().find(|line| line.contains(r#""check":"shared log""#)).unwrap_or(&err).to_owned();
        (code, finding)
    };
    assert!(finding(&with).1.contains("a commit waits for 1 standbys, and 1 are in sync"), "{}", finding(&with).1);
    let names = |names: &str| {
        primary.ask(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
        primary.ask("SELECT pg_reload_conf()");
    };
    names("");
    let trouble = "the shared log cannot keep deliveries on several disks now";
    until("nodes that see it", || [&with, &without].iter().all(|node| !is_back(node)));
    assert_eq!(with.get("/readyz").json()["logTrouble"], trouble);
    let answer = with.deliver(message(1));
    assert_eq!((answer.status, told(&answer)), (200, (None, "queued")));
    assert!(without.deliver(message(2)).problem(503).contains(trouble));
    assert!(without.get("/readyz").problem(503).contains(trouble));
    assert_eq!(primary.ask("SELECT count(*) FROM chatfold_deliveries"), "0");
    let (code, told) = finding(&with);
    assert!(code == 1 && told.contains("synchronous_standby_names is empty"), "{code}: {told}");

    names("ANY 1 (s1)");
    until("log and empty outbox", || is_back(&with) && is_back(&without));
    deliver(&without, &message(2));
    agree(&primary, &[&with, &without]);
}

#[test]
fn a_node_whose_disk_is_full_when_the_log_returns_stays_and_empties_its_outbox_later() {
    let (Some(mut postgres), Some(library)) = (log(), faulty::library()) else { return };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let full = dir.path().join("full");
    std::fs::write(dir.path().join("chatfold.toml"), of(&postgres)).unwrap();
    let node = TestServer::launch(dir, |command| {
        command.env("LD_PRELOAD", library).env("FAULTY_FULL", &full);
    });
    let node = ready(node.unwrap());
    deliver(&node, &message(1));
    postgres.stop();
    until("trouble", || !is_back(&node));
    for n in 2..6 {
        assert_eq!(told(&node.deliver(message(n))), (None, "queued"));
    }
    std::fs::write(&full, "").unwrap();
    postgres.serve();
    let trouble = "the outbox has no room on its disk: deliveries are answered 503";
    until("node that says what it lacks", || node.log().contains(trouble));
    let query = r#"{"query":"{ message(messageId: \"1\") { messageId } }"}"#;
    assert_eq!(node.post("/graphql", &[JSON], query).json()["data"]["message"]["messageId"], "1");
    std::fs::remove_file(&full).unwrap();
    until("log and empty outbox", || is_back(&node));
    agree(&postgres, &[&node]);
    assert_eq!(ask(&node.db(), "SELECT count(*) || ' ' || sum(deliveries) FROM events"), "5 5");
}

#[test]
fn an_outbox_that_was_emptied_gives_its_room_back_and_keeps_no_chat() {
    let Some(mut postgres) = log() else { return };
    let node = ready(TestServer::with(&of(&postgres)));
    postgres.stop();
    until("trouble", || !is_back(&node));
    let secret = "a text that nobody else writes";
    for n in 0..40 {
        let body = message(n).replace(r#""text":"x""#, &format!(r#""text":"{}""#, secret.repeat(300)));
        assert_eq!(told(&node.deliver(body)), (None, "queued"));
    }
    let files = ["chatfold.db.outbox", "chatfold.db.outbox-wal"].map(|name| node.dir().path().join(name));
    let held = || files.iter().map(|file| std::fs::read(file).unwrap_or_default()).collect::<Vec<_>>().concat();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(holds(&held()) && held().len() > 40 * 9_000);
    postgres.serve();
    until("log and empty outbox", || is_back(&node));
    let held = held();
    assert!(!holds(&held) && held.len() <= 4 * 4_096, "{} bytes", held.len());
}

/// A query that waits for a log position, and the errors of its answer.
fn wait_for(node: &TestServer, position: &str, headers: &[(&str, &str)]) -> serde_json::Value {
    let query = r#"{"query":"{ __typename }"}"#;
    node.post("/graphql", &[headers, &[JSON, ("Chatfold-Min-Seq", position)]].concat(), query).json()["errors"].clone()
}

#[test]
fn a_position_that_repeats_an_event_is_reached_on_every_node() {
    let Some(postgres) = log() else { return };
    let (one, two) = (ready(TestServer::with(&of(&postgres))), ready(TestServer::with(&of(&postgres))));
    deliver(&one, &message(1));
    assert_eq!(told(&deliver(&two, &message(1))).1, "duplicate");
    for node in [&one, &two] {
        assert!(wait_for(node, "2", &[]).is_null());
    }
    let (code, out, err) = one.run(&["token", "create", "--name", "bound", "--app", "a"]);
    assert_eq!(code, 0, "{err}");
    let bearer = format!("Bearer {}", out.trim());
    let bound = ("Authorization", bearer.as_str());
    for node in [&one, &two] {
        let query = r#"{"query":"{ __typename }"}"#;
        until("token that is known", || node.post("/graphql", &[bound, JSON], query).status == 200);
        assert!(wait_for(node, "2", &[bound]).is_null(), "the delivery repeats an event of the reader's app");
        let errors = wait_for(node, "3", &[bound]);
        assert_eq!(errors[0]["extensions"]["code"], "TIMEOUT", "the token was made there: {errors}");
    }
}
