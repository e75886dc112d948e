//! A server that saves a large event in pieces while it is killed, while its disk is full, and while readers wait.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::Harness;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::load::{Oracle, Told, connect};
use support::{Instants, JSON, TestServer, faulty, number};

/// So many people come into a group.
fn crowd(app: &str, guid: u64, people: u32) -> String {
    let members: Vec<String> =
        (0..people).map(|n| format!(r#""u{n}":{{"uid":"u{n}","name":"N {n}","role":"default"}}"#)).collect();
    format!(
        r#"{{"trigger":"group_member_added","appId":"{app}","webhook":"w","data":{{"group":{{"guid":"g{guid}","name":"G","updatedAt":{}}},"members":{{{}}}}}}}"#,
        1_767_614_400 + guid,
        members.join(",")
    )
}

/// Posts; whether it was acknowledged.
fn post_once(address: SocketAddr, body: &str) -> std::io::Result<bool> {
    let mut stream = connect(address)?;
    let head = "POST /webhooks/cometchat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    stream.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b"200"))
}

/// How many rows the file has.
fn count(server: &TestServer, of: &str) -> i64 {
    let conn = rusqlite::Connection::open(server.db()).unwrap();
    conn.busy_timeout(Duration::from_secs(1)).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {of}"), [], |row| row.get(0)).unwrap()
}

fn unfinished(server: &TestServer) -> i64 {
    count(server, "unfinished")
}

fn wait_until(server: &TestServer, what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never {what}: {}", server.log());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Delivers until it is acknowledged: what became of it.
fn acknowledged(server: &TestServer, body: &str) -> String {
    let begun = Instant::now();
    loop {
        let answer = server.deliver(body);
        if answer.status == 200 {
            return answer.header("chatfold-outcome").unwrap().to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{answer:?}: {}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_large_event_and_those_behind_it_are_finished_after_sigkill_at_any_instant() {
    // The app of the senders.
    const APP: &str = "a";
    let kills = number("CHATFOLD_LARGE_KILLS", 5);
    let (dir, oracle) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Oracle::default()));
    let mut instants = Instants::default();
    for kill in 0..kills {
        let server = TestServer::within(Arc::clone(&dir), "");
        let senders = oracle.senders(server.address, 2);
        let (address, body) = (server.address, crowd(APP, u64::from(kill), 3_000));
        // The kill breaks the connection.
        let large = std::thread::spawn(move || while post_once(address, &body).is_ok_and(|answer| !answer) {});
        let crowds = "events WHERE trigger = 'group_member_added'";
        wait_until(&server, "in the log", || count(&server, crowds) > i64::from(kill));
        std::thread::sleep(instants.within(0..900));
        drop(server);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        large.join().unwrap();
    }
    let mut server = TestServer::within(Arc::clone(&dir), "");
    oracle.retry_unknown(server.address);
    for kill in 0..kills {
        assert_eq!(acknowledged(&server, &crowd(APP, u64::from(kill), 3_000)), "duplicate", "it is in the log");
    }
    wait_until(&server, "finished", || unfinished(&server) == 0);
    assert_eq!(server.sigterm().code(), Some(0));
    let file = Harness::copy_of(&server.db());
    let crowds = "FROM groups WHERE guid <> 'g'";
    let groups = file.ask(&format!("SELECT count(*), min(members_count), max(members_count) {crowds}"));
    assert_eq!(groups, format!("{kills}|3000|3000"));
    let events = file.ask("SELECT count(*) FROM events");
    assert_eq!(file.ask("SELECT sum(events_count) FROM apps"), events);
    assert_eq!(file.ask("SELECT sum(n) FROM event_counts WHERE outcome <> 'duplicate'"), events);
    let (code, out, _) = server.run(&["verify"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn deliveries_of_the_same_app_are_taken_while_a_large_event_is_folded() {
    let server = TestServer::start();
    let (mut most, mut posted) = (0, 0);
    std::thread::scope(|scope| {
        let large = scope.spawn(|| server.deliver(crowd("a", 1, 30_000)));
        wait_until(&server, "unfinished", || unfinished(&server) > 0);
        while unfinished(&server) > 0 {
            posted += 1;
            let answer = server.deliver(support::load::body(posted));
            let outcome = answer.header("chatfold-outcome").unwrap_or_default();
            assert!(answer.status == 200 && ["applied", "accepted"].contains(&outcome), "{answer:?}");
            most = most.max(unfinished(&server));
        }
        assert_eq!(large.join().unwrap().status, 200);
    });
    assert!(most > 3, "{most} of {posted} were in the log before the large event was finished");
    assert_eq!(count(&server, "messages"), posted.cast_signed());
    assert_eq!(count(&server, "memberships"), 30_000);
    let (code, out, _) = server.run(&["verify"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn a_disk_that_is_full_between_two_pieces_puts_the_rest_off_until_there_is_room() {
    let Some(_) = faulty::library() else { return };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let full = dir.path().join("full");
    let mut server = faulty::launch(&dir, &[("FAULTY_FULL", full.to_str().unwrap().to_owned())]).unwrap();
    let (oracle, body) = (Oracle::default(), crowd("large", 1, 8_000));
    std::thread::scope(|scope| {
        let large = scope.spawn(|| server.deliver(&body));
        wait_until(&server, "unfinished", || unfinished(&server) > 0);
        std::fs::write(&full, "").unwrap();
        server.wait_for_log("the disk is full: deliveries are answered 503");
        let answer = large.join().unwrap();
        assert_eq!((answer.status, answer.header("chatfold-outcome")), (200, Some("accepted")), "the log has it");
    });
    assert_ne!(oracle.post(&mut connect(server.address).unwrap()), Some(Told::Acknowledged));
    assert_eq!(server.get("/readyz").problem(503), "the disk is full");
    assert_eq!(unfinished(&server), 1);
    std::fs::remove_file(&full).unwrap();
    wait_until(&server, "finished", || unfinished(&server) == 0);
    assert_eq!(acknowledged(&server, &body), "duplicate");
    assert_eq!(server.sigterm().code(), Some(0), "{}", server.log());
    let file = Harness::copy_of(&server.db());
    assert_eq!(file.ask("SELECT members_count FROM groups"), "8000");
}

#[test]
fn an_app_whose_large_event_found_no_room_goes_on_once_there_is_room() {
    let Some(_) = faulty::library() else { return };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let full = dir.path().join("full");
    let server = faulty::launch(&dir, &[("FAULTY_FULL", full.to_str().unwrap().to_owned())]).unwrap();
    std::fs::write(&full, "").unwrap();
    let body = crowd("large", 1, 8_000);
    assert_eq!(server.deliver(&body).status, 503);
    std::fs::remove_file(&full).unwrap();
    acknowledged(&server, &body);
    acknowledged(&server, &crowd("large", 2, 1));
}

#[test]
fn a_large_event_that_waits_for_room_keeps_no_core_busy() {
    let Some(_) = faulty::library() else { return };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let full = dir.path().join("full");
    let server = faulty::launch(&dir, &[("FAULTY_FULL", full.to_str().unwrap().to_owned())]).unwrap();
    std::thread::scope(|scope| {
        let body = crowd("large", 1, 8_000);
        scope.spawn(|| server.deliver(body));
        wait_until(&server, "unfinished", || unfinished(&server) > 0);
        std::fs::write(&full, "").unwrap();
        server.wait_for_log("the disk is full: deliveries are answered 503");
    });
    let before = busy_hundredths(&server);
    std::thread::sleep(Duration::from_secs(3));
    let busy = busy_hundredths(&server) - before;
    assert!(busy < 30, "{busy} hundredths of a second of 3 s");
}

/// Processor time of the server so far, in hundredths of a second.
fn busy_hundredths(server: &TestServer) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn rows_kept_in_memory_do_not_undo_what_a_large_event_changed() {
    let server = TestServer::start();
    // From here on the rows of the group and of u0 are in memory.
    acknowledged(&server, &crowd("large", 1, 1));
    acknowledged(&server, &crowd("large", 1, 8_000).replace("N ", "New "));
    acknowledged(&server, &crowd("large", 1, 1).replace("u0", "another"));
    // A busy machine answers `accepted` before they are folded.
    wait_until(&server, "finished", || unfinished(&server) == 0);
    assert_eq!(count(&server, "memberships WHERE state = 'joined'"), 8_001);
    assert_eq!(count(&server, "groups WHERE members_count = 8001"), 1);
    let (code, out, _) = server.run(&["verify"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn who_waits_for_a_large_event_is_answered_though_nothing_follows_it() {
    let server = TestServer::with("[graphql]\nwait_ms = 10000\n");
    std::thread::scope(|scope| {
        // Nobody sends it again, and the other app's event comes before it is finished: a later one would be news as well.
        scope.spawn(|| server.deliver(crowd("large", 1, 12_000)));
        wait_until(&server, "unfinished", || unfinished(&server) > 0);
        server.deliver(support::load::body(1));
        let query = r#"{"query":"{group(appId:\"large\",guid:\"g1\"){membersCount}}"}"#;
        let answer = server.post("/graphql", &[JSON, ("Chatfold-Min-Seq", "1")], query).json();
        assert_eq!(answer["data"]["group"]["membersCount"], 12_000, "{answer}");
    });
}

#[test]
fn who_waits_for_the_position_of_a_large_event_sees_all_of_it() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        scope.spawn(|| acknowledged(&server, &crowd("large", 1, 8_000)));
        wait_until(&server, "unfinished", || unfinished(&server) > 0);
        let later = server.deliver(support::load::body(1));
        assert_eq!((later.status, later.header("chatfold-seq")), (200, Some("2")), "other apps go on");
        let ask = |position: &str| {
            let query = r#"{"query":"{group(appId:\"large\",guid:\"g1\"){membersCount}}"}"#;
            server.post("/graphql", &[JSON, ("Chatfold-Min-Seq", position)], query).json()
        };
        assert!(ask("2").get("errors").is_none(), "positions of other apps are reached");
        let answer = std::iter::repeat_with(|| ask("1")).find(|answer| answer.get("errors").is_none()).unwrap();
        assert_eq!(answer["data"]["group"]["membersCount"], 8_000);
    });
}
