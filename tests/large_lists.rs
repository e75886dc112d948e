//! A member list of a large group, read from a stand-in of CometChat's API beside a running server: how much memory that
//! takes, and that deliveries go on meanwhile.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use serde_json::json;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::TestServer;
use vendor::Vendor;
use vendor::app::App;
use vendor::command::{ask, backfill};

/// The most memory that a process ever had, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[test]
fn a_long_member_list_takes_little_memory_and_all_apps_deliver_meanwhile() {
    let members = support::number("CHATFOLD_LIST_MEMBERS", 3_000) as usize;
    let mut app = App::default();
    app.groups.insert("g".into(), json!({ "guid": "g", "name": "g", "owner": "u0", "createdAt": 1_700_000_000 }));
    let about = "x".repeat(300);
    for n in 0..members {
        let uid = format!("u{n}");
        let row = json!({ "uid": uid, "name": format!("Person {n}"), "createdAt": 1_700_000_000, "metadata": { "about": about } });
        app.users.insert(uid.clone(), row);
        app.join("g", &uid, "participant", 1_700_000_500);
    }
    let vendor = Vendor::of(app, 1_000);
    let server = Arc::new(TestServer::start());
    let mut command = backfill(&vendor, &server.db(), &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let delivering = {
        let (server, is_done) = (Arc::clone(&server), Arc::clone(&is_done));
        std::thread::spawn(move || {
            let (mut id, mut refused, mut longest) = (0, 0, [Duration::ZERO; 2]);
            while !is_done.load(Ordering::Relaxed) {
                id += 1;
                let which = id % 2;
                let message = json!({ "id": id.to_string(), "sender": "ann", "receiver": "bob", "receiverType": "user",
                    "category": "message", "type": "text", "sentAt": 1_700_000_000 + id, "data": { "text": "hi" } });
                let app_id = ["other", "app"][which];
                let body = json!({ "trigger": "message_sent", "appId": app_id, "data": { "message": message } });
                let begun = Instant::now();
                // On a busy machine a delivery may have to be sent again.
                while server.deliver(body.to_string()).status != 200 {
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(50));
                }
                longest[which] = longest[which].max(begun.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            (id, refused, longest)
        })
    };
    let mut of_command = 0;
    let status = loop {
        of_command = peak(child.id()).unwrap_or(0).max(of_command);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    is_done.store(true, Ordering::Relaxed);
    let (deliveries, refused, [other, own]) = delivering.join().unwrap();
    let of_server = peak(server.pid()).unwrap();
    println!(
        "{members} members: command {} MiB, server {} MiB; {deliveries} deliveries, {refused} refused; the longest of the \
         app {own:?}, of another {other:?}",
        of_command / 1_024,
        of_server / 1_024
    );
    assert!(status.success());
    assert_eq!(ask(&server.db(), "SELECT count(*) || '' FROM messages"), [deliveries.to_string()]);
    let listed = "SELECT count(*) || '' FROM memberships WHERE app_id = 'app' AND current AND scope = 'participant'";
    assert_eq!(ask(&server.db(), listed), [members.to_string()]);
    assert!(of_command <= 200 << 10, "the command took {of_command} KiB");
    assert!(of_server <= 200 << 10, "the server took {of_server} KiB");
}
