//! Nodes of one log, and CometChat's API: what one node reads is in the tables of all.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use std::sync::Arc;
use support::nodes::{agree, log, of, ready, until};
use support::{TestServer, chatfold};
use vendor::app::App;
use vendor::command::{assert_true, done, run};
use vendor::{KEY, Vendor};

#[test]
fn what_one_node_reads_from_the_api_is_in_the_tables_of_all_nodes() {
    let Some(postgres) = log() else { return };
    let (one, two) = (ready(TestServer::with(&of(&postgres))), ready(TestServer::with(&of(&postgres))));
    let mut truth = App::made(4, 20, 120);
    let vendor = Vendor::of(truth.clone(), 50);
    let report = done(&vendor, &one.db());
    assert_eq!(report["stages"]["messages"]["new"], truth.messages.len(), "{report:#}");
    agree(&postgres, &[&one, &two]);
    assert_true(&truth, &one.db());
    assert_true(&truth, &two.db());

    // Somebody leaves, and no webhook tells. The API's times have seconds.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    truth.leave("g0", "u2");
    vendor.change(|app| *app = truth.clone());
    let report = done(&vendor, &two.db());
    assert_eq!(report["stages"]["members"]["changed"], 1, "{report:#}");
    agree(&postgres, &[&one, &two]);
    assert_true(&truth, &one.db());

    // Whoever joins later reads the same from the log.
    let three = ready(TestServer::with(&of(&postgres)));
    agree(&postgres, &[&one, &three]);
    assert_true(&truth, &three.db());

    // Nobody writes into the file of a node but its server.
    let (dir, db) = (one.dir(), one.db());
    drop(one);
    let (code, _, err) = run(&vendor, &db, &[]);
    assert_eq!(code, 1);
    for words in ["is the file of a node", "`chatfold serve`"] {
        assert!(err.contains(words), "{err}");
    }
    let one = ready(TestServer::within(dir, &of(&postgres)));
    agree(&postgres, &[&one, &two]);
}

#[test]
fn a_node_with_a_key_reads_the_api_on_a_schedule_for_all_nodes() {
    let Some(postgres) = log() else { return };
    let truth = App::made(3, 10, 30);
    let vendor = Vendor::of(truth.clone(), 50);
    let api = format!(
        "api_app = \"app\"\napi_key = \"{KEY}\"\napi_region = \"eu\"\napi_url = \"{}\"\n{}[reconcile]\nevery = \"1m\"\n",
        vendor.url(),
        of(&postgres)
    );
    let other = ready(TestServer::with(&of(&postgres)));
    // A reconcile reads what is known. So each group is known before.
    for guid in truth.groups.keys() {
        let body = format!(
            r#"{{"trigger":"group_member_joined","appId":"app","region":"eu","data":{{"group":{{"guid":"{guid}","updatedAt":1600000000}},"members":{{"gone":{{"uid":"gone","name":"gone","scope":"participant"}}}}}}}}"#
        );
        assert_eq!(other.deliver(&body).status, 200);
    }
    let reads = ready(TestServer::within(Arc::new(tempfile::tempdir().unwrap()), &api));
    let ended = || reads.get("/metrics").body.contains(r#"chatfold_reconciles_total{app="app",result="done"} 1"#);
    until("reconcile that is done", ended);
    agree(&postgres, &[&reads, &other]);
    let members = |server: &TestServer| {
        vendor::command::ask(&server.db(), "SELECT guid || ' ' || uid FROM memberships WHERE current")
    };
    let expected: Vec<String> = truth
        .members
        .iter()
        .flat_map(|(guid, members)| members.keys().map(move |uid| format!("{guid} {uid}")))
        .collect();
    assert_eq!(members(&other), expected, "{}", reads.log());
    let (code, out, err) = chatfold(&["nodes", "--log", &postgres.address()]);
    assert_eq!(code, 0, "{out}{err}");
}
