//! People erased from every node.

use super::{agree, ask, caught_up, deliver, killed, log, node, until, within};
use crate::support::postgres::Postgres;
use crate::support::{TestServer, chatfold};
use crate::told::{APP, CANARY, UID, deliveries};
use chatfold::envelope::Envelope;
use std::path::Path;
use std::sync::Arc;

/// What CometChat sends.
fn sent() -> Vec<String> {
    deliveries().into_iter().filter(|body| !body.contains("\"trigger\":\"chatfold.")).collect()
}

/// What tells when it happened: a copy of it is one of the erased person, however late it comes.
fn dated(bodies: &[String]) -> impl Iterator<Item = &String> {
    bodies.iter().filter(|body| Envelope::parse(body.as_bytes()).unwrap().told_at.is_some())
}

fn deliver_all(node: &TestServer, bodies: &[String]) {
    bodies.iter().for_each(|body| drop(deliver(node, body)));
}

/// Rows of the log that name the person.
fn named(postgres: &Postgres) -> String {
    postgres
        .ask(&format!("SELECT count(*) FROM chatfold_deliveries WHERE lower(encode(body, 'escape')) LIKE '%{CANARY}%'"))
}

fn erase(node: &TestServer) -> serde_json::Value {
    let (code, out, err) = node.run(&["erase-user", "--app", APP, "--uid", UID, "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// A scanner that knows nothing of chatfold.
#[track_caller]
fn assert_clean(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "sock") || !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
    }
}

#[test]
fn a_person_erased_at_one_node_is_in_no_node_and_in_no_row_of_the_log_and_stays_out() {
    let Some(postgres) = log() else { return };
    let (one, two, behind) = (node(&postgres), node(&postgres), node(&postgres));
    let bodies = sent();
    let (early, late) = bodies.split_at(bodies.len() / 2);
    deliver_all(&one, early);
    caught_up(&postgres, &[&one, &two, &behind]);
    let behind = killed(behind);
    deliver_all(&one, late);
    caught_up(&postgres, &[&one, &two]);
    assert_ne!(named(&postgres), "0");
    let erased = erase(&one);
    assert_eq!(erased["isDoneHere"], true, "{erased}");
    caught_up(&postgres, &[&one, &two]);
    assert_eq!(named(&postgres), "0");
    // One that was away has read some rows as they were, and reads the others as they are now. Another one is new.
    let (behind, new) = (within(behind, &postgres), node(&postgres));
    agree(&postgres, &[&one, &two, &behind, &new]);
    let event =
        format!("SELECT group_concat(seq || ' ' || body) FROM events WHERE trigger = '{}'", chatfold::erase::TRIGGER);
    let told = ask(&one.db(), &event);
    assert!(told.contains(erased["pseudonym"].as_str().unwrap()), "{told}");
    assert!(told.starts_with(&format!("{} ", erased["position"].as_str().unwrap())), "{told}");
    // Copies that come late, at any node.
    for (n, body) in dated(&bodies).step_by(7).enumerate() {
        deliver(if n % 2 == 0 { &two } else { &behind }, body);
    }
    caught_up(&postgres, &[&one, &two, &behind, &new]);
    until("log without late copies", || named(&postgres) == "0");
    let newest = node(&postgres);
    let all = [one, two, behind, new, newest];
    agree(&postgres, &all.iter().collect::<Vec<_>>());
    for node in all {
        assert_eq!(ask(&node.db(), &event), told);
        let dir = node.dir();
        let mut node = node;
        assert!(node.sigterm().success());
        assert_clean(dir.path());
    }
}

#[test]
fn an_erasure_is_done_by_a_node_that_is_killed_in_the_middle() {
    let Some(postgres) = log() else { return };
    let (one, two) = (node(&postgres), node(&postgres));
    deliver_all(&one, &sent());
    caught_up(&postgres, &[&one, &two]);
    let dir = killed(one);
    let (db, address) = (dir.path().join("chatfold.db"), postgres.address());
    let args = ["erase-user", "--app", APP, "--uid", UID, "--json", "--log", &address, "--db", db.to_str().unwrap()];
    let (code, out, err) = chatfold(&args);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("\"isDoneHere\":false"), "{out}");
    let toml = format!("log = \"{address}\"");
    for pause in [0, 40, 120, 300, 700] {
        let one = TestServer::within(Arc::clone(&dir), &toml);
        std::thread::sleep(std::time::Duration::from_millis(pause));
        drop(one);
    }
    let one = within(dir, &postgres);
    agree(&postgres, &[&one, &two]);
    assert_eq!(named(&postgres), "0");
    let dir = one.dir();
    let mut one = one;
    assert!(one.sigterm().success());
    assert_clean(dir.path());
}

#[test]
fn once_the_uid_is_forgotten_a_node_that_still_names_the_person_begins_anew() {
    let Some(postgres) = log() else { return };
    let (one, behind) = (node(&postgres), node(&postgres));
    let bodies = sent();
    deliver_all(&one, &bodies[..bodies.len() / 3]);
    caught_up(&postgres, &[&one, &behind]);
    let behind = killed(behind);
    postgres.ask("INSERT INTO chatfold_hashes SELECT 1, id, 'an edition', 'of old rows', 0 FROM chatfold_nodes");
    erase(&one);
    caught_up(&postgres, &[&one]);
    // A new node has other rows there, and is no node that differs.
    assert_eq!(postgres.ask("SELECT count(*) FROM chatfold_hashes WHERE hash = 'of old rows'"), "0");
    assert_eq!(postgres.ask("SELECT count(*) FROM chatfold_erasures WHERE who IS NOT NULL AND rewritten"), "1");
    // A week goes by.
    postgres.ask("UPDATE chatfold_erasures SET made_at = made_at - 8 * 24 * 3600 * 1000");
    let one = within(killed(one), &postgres);
    until("forgotten person", || {
        postgres
            .ask("SELECT count(*) FROM chatfold_erasures WHERE who IS NULL AND known IS NULL AND hashes IS NOT NULL")
            == "1"
    });
    let toml = format!("log = \"{}\"", postgres.address());
    let behind = TestServer::within(behind, &toml);
    until("refused node", || behind.get("/readyz").body.contains("chatfold join --from"));
    let new = node(&postgres);
    dated(&bodies).take(30).for_each(|body| drop(deliver(&one, body)));
    agree(&postgres, &[&one, &new]);
    until("log without late copies", || named(&postgres) == "0");
}

#[test]
fn nobody_is_erased_while_postgresql_is_away_and_who_is_unknown_is_told_so() {
    let Some(mut postgres) = log() else { return };
    let one = node(&postgres);
    deliver_all(&one, &sent()[..60]);
    let (code, _, err) = one.run(&["erase-user", "--app", APP, "--uid", "nobody-of-that-name"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("holds nothing about the person nobody-of-that-name"), "{err}");
    postgres.stop();
    let (code, _, err) = one.run(&["erase-user", "--app", APP, "--uid", UID]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("Nothing was done, on no node"), "{err}");
    postgres.serve();
    assert_eq!(postgres.ask("SELECT count(*) FROM chatfold_erasures"), "0");
}
