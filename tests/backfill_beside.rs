//! `chatfold backfill` beside a running server, while webhooks come, requests fail, and both processes are killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use serde_json::json;
use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Duration;
use support::TestServer;
use vendor::app::App;
use vendor::command::{ask, assert_true, backfill, run};
use vendor::{Fate, Vendor};

/// The command is killed after so many requests, and the server.
const COMMAND: [usize; 2] = [40, 130];
const SERVER: usize = 80;
/// Requests between two notes of how far a run is: 50 people, or a page of messages and who reacted to them.
const NOTED: usize = 55;

fn ended(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How often the API answered a request that it had answered before. It refuses each twentieth.
fn repeated(vendor: &Vendor) -> usize {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, target) in (1..).zip(vendor.asked()).filter(|(number, _)| number % 20 != 0) {
        *times.entry(target).or_default() += 1;
    }
    times.values().map(|times| times - 1).sum()
}

#[test]
fn beside_a_server_events_go_through_it_while_webhooks_come_requests_fail_and_both_are_killed() {
    let app = App::made(10, 40, 500);
    let mut server = TestServer::start();
    let dir = server.dir();
    let db = server.db();
    let vendor = Vendor::start(app.clone(), 50, |number, _, _| match number % 20 {
        0 => Fate::Refused(503, ""),
        _ => Fate::Answered,
    });
    let spawn = || backfill(&vendor, &db, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut child, mut truth, mut number) = (spawn(), app, 0);
    let (mut of_command, mut of_server) = (COMMAND.into_iter().peekable(), Some(SERVER));
    loop {
        if of_command.next_if(|at| vendor.count() >= *at).is_some() {
            ended(child);
            child = spawn();
        } else if of_server.take_if(|at| vendor.count() >= *at).is_some() {
            // Dropping the server kills it. Without a server the command would write the file by itself.
            drop(server);
            ended(child);
            server = TestServer::within(dir.clone(), "");
            child = spawn();
        } else if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success() && of_command.next().is_none() && of_server.is_none() && number > 3);
            break;
        }
        number += 1;
        let (guid, uid, now) = ("g0".to_owned(), format!("late{number}"), chatfold::clock::now().0 / 1_000);
        let group = json!({ "guid": guid, "updatedAt": now });
        let body = json!({ "trigger": "group_member_joined", "appId": "app", "region": "eu",
            "data": { "group": group, "members": { &uid: { "uid": uid, "name": uid, "scope": "participant" } } } });
        let body = body.to_string();
        while server.deliver(&body).status != 200 {
            std::thread::sleep(Duration::from_millis(50));
        }
        truth.join(&guid, &uid, "participant", now);
        truth.users.insert(uid.clone(), json!({ "uid": uid, "name": uid }));
        std::thread::sleep(Duration::from_millis(5));
    }
    let again = repeated(&vendor);
    assert!(again <= 3 * NOTED, "{again} requests were answered again after three kills");
    // The webhooks told of people whom the API did not: they joined after the list was read.
    vendor.change(|app| *app = truth.clone());
    std::thread::sleep(Duration::from_millis(3_100));
    let (code, report, err) = run(&vendor, &db, &[]);
    assert_eq!(code, 0, "{report:#}{err}");
    let late = "SELECT count(*) || '' FROM memberships WHERE uid GLOB 'late*' AND current";
    assert_eq!(ask(&db, late), [number.to_string()]);
    assert_true(&truth, &db);
    assert_eq!(server.deliver(r#"{"trigger":"chatfold.user_snapshot","appId":"app","data":{}}"#).status, 400);
    support::verified(&db);
}
