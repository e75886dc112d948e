//! `chatfold backfill` and `chatfold reconcile` where CometChat's API is slow, tells half, or refuses: nobody who is there is
//! evicted, and what was not read is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use serde_json::{Value, json};
use std::time::Duration;
use support::{TestServer, verified};
use vendor::app::App;
use vendor::command::{File, ask, assert_true, backfill, done, run};
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

#[test]
fn an_empty_page_is_not_the_end_of_the_messages_while_newer_ones_are_known() {
    let vendor = Vendor::of(App::made(2, 6, 300), 100);
    let file = File::new();
    let ends_early = |target: &str| target.contains("affix=append") && target.contains("id=100&");
    vendor.fate(move |_, target, _| if ends_early(target) { Fate::Bare } else { Fate::Answered });
    let (code, report, err) = run(&vendor, &file.db(), &["--only", "messages"]);
    let tally = &report["stages"]["messages"];
    assert_eq!((code, &tally["read"], &tally["unreachable"]), (1, &json!(100), &json!(1)), "{report:#}{err}");
    assert!(tally["note"].as_str().unwrap().contains("the newest message is 300"), "{report:#}");
    // Once is a mishap. The newest message may also be gone before it is read.
    let mut empty = 0;
    vendor.fate(move |_, target, app| {
        if target.contains("id=300&") {
            app.messages.retain(|id, _| *id < 301);
        }
        empty += i32::from(ends_early(target));
        if empty == 1 && ends_early(target) { Fate::Bare } else { Fate::Answered }
    });
    let newest = App::made(2, 6, 301);
    vendor.change(|app| *app = newest);
    let (code, report, err) = run(&vendor, &file.db(), &["--only", "messages"]);
    assert_eq!((code, &report["stages"]["messages"]["read"]), (0, &json!(300)), "{report:#}{err}");
}

fn gaps(server: &TestServer, kind: &str) -> usize {
    let (_, out, _) = server.run(&["gaps", "--json"]);
    out.lines().filter(|line| line.contains(kind)).count()
}

fn reconcile(server: &TestServer) -> (i32, Value) {
    let (code, out, err) = server.run(&["reconcile", "--app", "app", "--json"]);
    (code, serde_json::from_str(out.lines().last().unwrap_or_else(|| panic!("{err}"))).unwrap())
}

#[test]
fn one_empty_answer_does_not_close_a_hole_of_message_ids() {
    let app = App::made(1, 3, 9);
    let vendor = Vendor::of(app.clone(), 100);
    let server = TestServer::with(&config(&vendor, ""));
    for id in [1, 2, 8, 9] {
        let told = event("message_sent", &json!({ "message": app.messages[&id] }));
        assert_eq!(server.deliver(told).status, 200);
    }
    assert_eq!(gaps(&server, "MESSAGE_IDS"), 1);
    let mut empty = 0;
    vendor.fate(move |_, target, _| {
        empty += i32::from(target.contains("id=2&"));
        if empty == 1 && target.contains("id=2&") { Fate::Bare } else { Fate::Answered }
    });
    let (_, report) = reconcile(&server);
    assert_eq!((gaps(&server, "MESSAGE_IDS"), &report["steps"]["messages"]["new"]), (0, &json!(5)), "{report:#}");
    let messages = "SELECT message_id || '' FROM messages WHERE text IS NOT NULL";
    assert_eq!(ask(&server.db(), messages).len(), 9);
}

#[test]
fn a_list_that_becomes_shorter_between_its_pages_is_read_again() {
    let (vendor, file) = (Vendor::of(App::made(25, 3, 0), 10), File::new());
    let shorter = |times: usize| {
        let mut left = times;
        move |_, target: &str, app: &mut App| {
            if target.starts_with("/v3/groups?") && target.contains("page=2&") && left > 0 {
                left -= 1;
                app.groups.pop_first();
            }
            Fate::Answered
        }
    };
    vendor.fate(shorter(1));
    let (code, report, err) = run(&vendor, &file.db(), &["--only", "groups"]);
    let tally = &report["stages"]["groups"];
    assert_eq!((code, &tally["read"], &tally["new"]), (0, &json!(24), &json!(25)), "{report:#}{err}");
    // It becomes shorter each time.
    vendor.fate(shorter(9));
    let (code, report, _) = run(&vendor, &file.db(), &["--only", "groups"]);
    let tally = &report["stages"]["groups"];
    assert_eq!((code, &tally["unreachable"]), (1, &json!(1)), "{report:#}");
    let note = tally["note"].as_str().unwrap();
    assert!(note.contains("the list of groups is incomplete: it had 23 rows, and 22"), "{note}");
}

#[test]
fn a_list_is_read_to_its_end_whatever_it_says_of_its_pages() {
    let app = App::made(12, 12, 30);
    for omitted in
        [vec!["total"], vec!["total_pages"], vec!["total", "total_pages"], vec!["total_pages", "current_page"]]
    {
        let (vendor, file) = (Vendor::of(App { omitted, ..app.clone() }, 6), File::new());
        done(&vendor, &file.db());
        assert_true(&app, &file.db());
    }
    // Rows are left of those told.
    let (vendor, file) = (Vendor::of(App { omitted: vec!["total_pages"], ..app }, 6), File::new());
    vendor.fate(|_, target, _| match target.starts_with("/v3/users?") && target.contains("page=2&") {
        true => Fate::Empty,
        false => Fate::Answered,
    });
    let (code, report, err) = run(&vendor, &file.db(), &["--only", "users"]);
    let tally = &report["stages"]["users"];
    assert_eq!((code, &tally["read"], &tally["unreachable"]), (1, &json!(12), &json!(1)), "{report:#}{err}");
    assert!(tally["note"].as_str().unwrap().contains("page 2 is empty, though more pages follow"), "{report:#}");
}

#[test]
fn what_is_refused_of_one_entity_ends_no_stage() {
    let (app, file) = (App::made(3, 6, 60), File::new());
    let vendor = Vendor::of(app.clone(), 100);
    vendor.fate(|_, target, _| match target.contains("/messages/10/reactions") {
        true => Fate::Refused(403, "ERR_CONVERSATION_NOT_ACCESSIBLE"),
        false => Fate::Answered,
    });
    let (code, report, err) = run(&vendor, &file.db(), &[]);
    let tally = &report["stages"]["messages"];
    assert_eq!((code, &tally["read"], &tally["unreachable"]), (1, &json!(60), &json!(1)), "{report:#}{err}");
    assert!(tally["note"].as_str().unwrap().contains("the reactions to message 10"), "{report:#}");
    assert_eq!(ask(&file.db(), "SELECT DISTINCT message_id || '' FROM reactions").len(), 5);
    vendor.fate(|_, _, _| Fate::Answered);
    done(&vendor, &file.db());
    assert_true(&app, &file.db());
}

#[test]
fn a_list_that_the_plan_leaves_out_keeps_no_other_from_being_read() {
    let (app, file) = (App::made(3, 6, 60), File::new());
    let vendor = Vendor::of(app, 100);
    let left_out = ["/bannedusers", "/reactions"];
    vendor.fate(move |_, target, _| match left_out.iter().any(|list| target.contains(list)) {
        true => Fate::Refused(402, "ERR_PLAN_RESTRICTION"),
        false => Fate::Answered,
    });
    let (code, report, err) = run(&vendor, &file.db(), &[]);
    let read = |stage: &str| [&report["stages"][stage]["new"], &report["stages"][stage]["unreachable"]];
    assert_eq!(
        (code, read("members"), read("messages")),
        (1, [18, 1].map(Value::from).each_ref(), [60, 1].map(Value::from).each_ref()),
        "{report:#}{err}"
    );
    let note = report["stages"]["members"]["note"].as_str().unwrap();
    assert!(note.contains("who is banned from g0: the plan of the app does not allow this"), "{note}");
    let asked = vendor.asked();
    for list in left_out {
        assert_eq!(asked.iter().filter(|target| target.contains(list)).count(), 1, "{list} is asked for once");
    }
}

/// A run that ends when the API is asked for the messages after an id.
fn stopped(vendor: &Vendor, file: &File, more: &[&str], id: i64) {
    vendor.fate(move |_, target, _| match target.contains(&format!("id={id}&")) {
        true => Fate::Refused(401, "AUTH_ERR_APIKEY_NOT_FOUND"),
        false => Fate::Answered,
    });
    assert_eq!(run(vendor, &file.db(), more).0, 1);
    vendor.fate(|_, _, _| Fate::Answered);
    vendor.asked();
}

#[test]
fn a_run_of_some_stages_forgets_no_place_of_others() {
    let (app, file) = (App::made(2, 6, 300), File::new());
    let vendor = Vendor::of(app.clone(), 100);
    stopped(&vendor, &file, &[], 200);
    let conn = rusqlite::Connection::open(file.db()).unwrap();
    conn.execute("INSERT INTO backfill VALUES ('app', 'reconcile-users', '3', 0, '')", []).unwrap();
    drop(conn);
    let (code, _, err) = run(&vendor, &file.db(), &["--only", "groups"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        vendor.asked().iter().any(|target| target.starts_with("/v3/groups?")),
        "groups are read, though the other run did"
    );
    let stages = ask(&file.db(), "SELECT stage FROM backfill");
    assert_eq!(stages, ["blocks", "members", "messages", "reconcile-users", "users"]);
    vendor.asked();
    done(&vendor, &file.db());
    let messages = |target: &&String| target.contains("affix=append");
    assert_eq!(vendor.asked().iter().filter(messages).count(), 2, "from id 200 on, and the end");
    assert_eq!(ask(&file.db(), "SELECT stage FROM backfill"), ["reconcile-users"]);
    assert_true(&app, &file.db());
}

#[test]
fn a_run_without_since_reads_the_messages_that_a_stopped_one_left_out() {
    let (app, file) = (App::made(2, 6, 400), File::new());
    let vendor = Vendor::of(app.clone(), 100);
    let since = ["--since", "2023-11-14T22:50:00Z"]; // 1700002200: ids from 200 on
    stopped(&vendor, &file, &since, 299);
    // The same command, and one that leaves out more, go on.
    stopped(&vendor, &file, &since, 399);
    let report = done(&vendor, &file.db());
    assert_eq!(report["stages"]["messages"]["read"], json!(400), "{report:#}");
    assert_true(&app, &file.db());
}

#[test]
fn an_anomaly_stays_a_gap_while_what_it_names_cannot_be_read() {
    let app = App::made(1, 4, 0);
    let vendor = Vendor::of(app, 100);
    let server = TestServer::with(&config(&vendor, ""));
    for at in [10, 20] {
        let group = json!({ "guid": "g0", "createdAt": 1_700_000_000, "updatedAt": 1_700_100_000 + at });
        let ban = json!({ "group": group, "members": { "u0": { "uid": "u0" } }, "by": { "uid": "u0" } });
        assert_eq!(server.deliver(event("group_member_banned", &ban)).status, 200);
    }
    assert_eq!(gaps(&server, "NOT_APPLIED"), 2);
    vendor.fate(|_, target, _| match target.contains("/bannedusers") {
        true => Fate::Refused(400, "ERR_BAD_REQUEST"),
        false => Fate::Answered,
    });
    let (code, report) = reconcile(&server);
    assert_eq!((code, gaps(&server, "NOT_APPLIED")), (1, 2), "{report:#}");
    let tries = vendor.asked().iter().filter(|target| target.contains("/bannedusers")).count();
    assert_eq!(tries, 1, "what failed is not read again in the same run");
    vendor.fate(|_, _, _| Fate::Answered);
    let (code, report) = reconcile(&server);
    assert_eq!((code, gaps(&server, "NOT_APPLIED")), (0, 0), "{report:#}");
    verified(&server.db());
}

#[test]
fn tags_of_people_groups_and_messages_are_asked_for() {
    let (mut app, file) = (App::made(1, 3, 5), File::new());
    app.users.get_mut("u1").unwrap()["tags"] = json!(["vip"]);
    app.groups.get_mut("g0").unwrap()["tags"] = json!(["books"]);
    app.messages.get_mut(&3).unwrap()["tags"] = json!(["pinned", "faq"]);
    let vendor = Vendor::of(app, 100);
    done(&vendor, &file.db());
    let tags = "SELECT tags FROM users WHERE tags IS NOT NULL UNION ALL SELECT tags FROM groups UNION ALL
        SELECT tags FROM messages WHERE tags IS NOT NULL";
    assert_eq!(ask(&file.db(), tags), [r#"["books"]"#, r#"["pinned","faq"]"#, r#"["vip"]"#]);
    let tagged = "SELECT message_id || tag FROM message_tags";
    assert_eq!(ask(&file.db(), tagged), ["3faq", "3pinned"]);
}
