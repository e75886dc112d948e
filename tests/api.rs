//! `chatfold backfill` and `chatfold reconcile` where CometChat's API is slow, tells half, or refuses: nobody who is there is
//! evicted, and what was not read is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use serde_json::{Value, json};
use std::time::Duration;
use support::TestServer;
use vendor::app::App;
use vendor::command::{File, ask, backfill, done, run};
use vendor::{Fate, KEY, Vendor};

fn config(vendor: &Vendor, more: &str) -> String {
    format!("api_key = \"{KEY}\"\napi_region = \"eu\"\napi_url = \"{}\"\n{more}", vendor.url())
}

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

/// Whether a text has a part of the key. A dump of bytes has lines of 16.
fn has_key(text: &str) -> bool {
    KEY.as_bytes().windows(8).any(|part| text.contains(std::str::from_utf8(part).unwrap()))
}

#[test]
fn the_api_key_is_in_no_log_whatever_the_filter_says() {
    let (vendor, file) = (Vendor::of(App::made(1, 2, 2), 100), File::new());
    for filter in ["trace", "ureq=trace,ureq_proto::util=trace", "off,log=trace,ureq_proto=trace"] {
        let mut command = backfill(&vendor, &file.db(), &["--only", "users"]);
        let output = command.env("CHATFOLD_LOG_FILTER", filter).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !has_key(&said), "{filter}: {said}");
    }
}

#[test]
fn the_api_key_is_in_nothing_that_repeats_what_cometchat_says_of_it() {
    let vendor = Vendor::of(App::default(), 100);
    vendor.fate(|_, _, _| Fate::Refused(404, "AUTH_ERR_APIKEY_NOT_FOUND"));
    let file = File::new();
    let (code, _, err) = run(&vendor, &file.db(), &["--only", "users"]);
    assert!(code == 1 && err.contains("The key … does not exist"), "{err}");
    let server = TestServer::with(&config(&vendor, "api_app = \"app\""));
    server.wait_for_log("The key … does not exist");
    let ended = json!({ "query": "{apps{reconcile{error}}}" }).to_string();
    let known = event("user_blocked", &json!({ "user": { "uid": "u2" } }));
    assert_eq!(server.deliver(known).status, 200);
    let told = server.post("/graphql", &[support::JSON], ended).body;
    assert!(told.contains("does not exist"), "{told}");
    let kept = ask(&server.db(), "SELECT error FROM reconciles").concat();
    for (what, text) in [("log", server.log()), ("GraphQL", told), ("console", server.get("/").body), ("file", kept)] {
        assert!(!has_key(&text), "{what}: {text}");
    }
}
