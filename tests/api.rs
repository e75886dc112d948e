//! `chatfold backfill` and `chatfold reconcile` where CometChat's API is slow, tells half, or refuses: nobody who is there is
//! evicted, and what was not read is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use serde_json::{Value, json};
use std::time::Duration;
use support::TestServer;
use vendor::app::App;
use vendor::command::{ask, backfill, done};
use vendor::{Fate, Vendor};

fn event(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": "app", "region": "eu", "data": data }).to_string()
}

fn now() -> i64 {
    chatfold::clock::now().0 / 1_000
}

#[test]
fn a_slow_answer_evicts_nobody() {
    let vendor = Vendor::of(App::made(1, 6, 10), 100);
    let server = TestServer::start();
    done(&vendor, &server.db());
    std::thread::sleep(Duration::from_millis(1_100));
    // The rows of the member list are read at once, and come seconds later.
    vendor.fate(|_, target, _| if target.contains("/members") { Fate::Slow(3_500) } else { Fate::Answered });
    let mut command = backfill(&vendor, &server.db(), &["--only", "members"]);
    vendor.asked();
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    while !vendor.asked().iter().any(|target| target.contains("/members")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let group = json!({ "guid": "g0", "updatedAt": now() });
    let joined = json!({ "group": group, "members": { "late": { "uid": "late", "scope": "participant" } } });
    assert_eq!(server.deliver(event("group_member_joined", &joined)).status, 200);
    child.wait().unwrap();
    let late = "SELECT state FROM memberships WHERE uid = 'late' AND current";
    assert_eq!(ask(&server.db(), late), ["joined"]);
}
