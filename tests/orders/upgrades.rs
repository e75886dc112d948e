//! Nodes of different builds: each reads deliveries as it understands them, and all are equal after the last upgrade.

use super::{agree, ask, caught_up, deliver, hash, killed, log, message, node, until, within};
use crate::support::postgres::Postgres;
use chatfold::envelope::Envelope;
use chatfold::ids::{Outcome, Time};
use chatfold::store::sqlite::{self, shared_log};
use chatfold::writer::{Followed, Read, Writer};
use std::path::Path;
use std::sync::Arc;

/// A trigger that the older build does not know.
const NEWER: &str = "group_member_scope_changed";

fn scope(guid: usize, at: usize, scope: &str, old: &str) -> String {
    format!(
        r#"{{"trigger":"{NEWER}","appId":"a","webhook":"w","data":{{"group":{{"guid":"g{guid}","updatedAt":{}}},"members":{{"ann":{{"uid":"ann","scope":"{scope}","oldScope":"{old}"}}}},"by":{{"uid":"boss"}}}}}}"#,
        1_767_614_400 + at
    )
}

fn act(verb: &str, guid: usize, at: usize) -> String {
    format!(
        r#"{{"trigger":"group_member_{verb}","appId":"a","webhook":"w","data":{{"group":{{"guid":"g{guid}","updatedAt":{}}},"members":{{"ann":{{"uid":"ann"}}}},"by":{{"uid":"boss"}}}}}}"#,
        1_767_614_400 + at
    )
}

/// Deliveries of all kinds, those among them that only the newer build knows.
fn deliveries(from: usize) -> Vec<String> {
    (from..from + 30)
        .map(|n| match n % 5 {
            0 => act("added", n % 4, n * 3),
            1 => scope(n % 4, n * 3, "admin", "participant"),
            2 => message(n),
            3 => act(if n % 2 == 0 { "kicked" } else { "left" }, n % 4, n * 3),
            _ => scope(n % 4, n * 3, "moderator", "admin"),
        })
        .collect()
}

/// What the older build makes of the log: a node that reads as it reads, from its own position.
fn follow_as_the_older_build(postgres: &Postgres, db: &Path) {
    let log_id = postgres.ask("SELECT log_id FROM chatfold_head");
    let join = |conn: &sqlite::Connection| match shared_log::read(conn)? {
        Some(_) => Ok(()),
        None => shared_log::join(conn, &log_id),
    };
    let writer = Writer::start_node(db, 1 << 20, join, Box::new(|| panic!("no failure"))).unwrap();
    let from = ask(db, "SELECT CAST(position AS TEXT) FROM shared_log");
    let rows = postgres.ask(&format!(
        "SELECT position || ' ' || encode(id, 'hex') || ' ' || received_at || ' ' || encode(body, 'hex')
         FROM chatfold_deliveries WHERE position > {from} ORDER BY position"
    ));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for row in rows.lines() {
        let mut parts = row.split(' ');
        let mut next = || parts.next().unwrap();
        let position = next().parse().unwrap();
        let id = bytes(next()).try_into().unwrap();
        let received_at = Time(next().parse().unwrap());
        let envelope = Envelope::parse(&bytes(next())).unwrap();
        let envelope = match envelope.trigger == NEWER {
            true => Envelope { outcome: Outcome::Ignored, reason: None, told_at: None, payload: None, ..envelope },
            false => envelope,
        };
        let it = Followed { position, id, received_at, read: Read::Delivery(Box::new(envelope)) };
        runtime.block_on(writer.follow(vec![it])).unwrap();
    }
    // Its tables are those of an earlier edition.
    writer
        .run(|conn| {
            sqlite::begin(conn)?;
            sqlite::stamp_fold_version(conn, 1)?;
            sqlite::commit(conn)
        })
        .unwrap();
    writer.stop();
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

#[test]
fn nodes_of_two_builds_are_equal_again_after_the_last_upgrade_and_its_rebuild() {
    let Some(postgres) = log() else { return };
    let newer = node(&postgres);
    let older = Arc::new(tempfile::tempdir().unwrap());
    let db = older.path().join("chatfold.db");
    deliveries(0).iter().for_each(|body| drop(deliver(&newer, body)));
    follow_as_the_older_build(&postgres, &db);
    // A retry at each, and more.
    deliveries(20).iter().for_each(|body| drop(deliver(&newer, body)));
    follow_as_the_older_build(&postgres, &db);
    caught_up(&postgres, &[&newer]);
    assert_ne!(hash(&newer.db()), hash(&db), "the two read one delivery differently");
    assert_eq!(
        ask(&db, "SELECT group_concat(DISTINCT outcome) FROM events WHERE trigger LIKE '%scope_changed'"),
        "ignored"
    );
    let upgraded = within(older, &postgres);
    until("rebuild after the upgrade", || {
        let edition = "SELECT value FROM settings WHERE name = 'fold_version'";
        ask(&db, edition) == chatfold::fold::FOLD_VERSION.to_string()
    });
    let third = node(&postgres);
    agree(&postgres, &[&newer, &upgraded, &third]);
    deliveries(45).iter().for_each(|body| drop(deliver(&upgraded, body)));
    agree(&postgres, &[&newer, &upgraded, &third]);
}

#[test]
fn all_nodes_of_the_edition_make_their_tables_again_once_one_is_told_to() {
    let Some(postgres) = log() else { return };
    let (one, two) = (node(&postgres), node(&postgres));
    deliver(&one, &message(1));
    caught_up(&postgres, &[&one, &two]);
    let two = killed(two);
    let db = two.path().join("chatfold.db");
    rusqlite::Connection::open(&db).unwrap().execute_batch("UPDATE users SET uid = 'wrong'").unwrap();
    let two = within(two, &postgres);
    assert_ne!(hash(&two.db()), hash(&one.db()));
    let (code, _, err) = one.run(&["rebuild", "--all-nodes"]);
    assert_eq!(code, 0, "{err}");
    until("tables that are made again", || hash(&two.db()) == hash(&one.db()));
    agree(&postgres, &[&one, &two]);
}
