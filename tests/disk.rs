//! A disk that is full, a file that is taken away, a place that cannot be written: refused and said so, never lost in
//! silence.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::Harness;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::load::{Oracle, Told, connect};
use support::{JSON, TestServer, faulty};

/// Waits until a delivery ends so.
fn until(told: Told, server: &TestServer, oracle: &Oracle) {
    let begun = Instant::now();
    loop {
        let mut stream = connect(server.address).unwrap_or_else(|error| panic!("{error}: {}", server.log()));
        let got = oracle.post(&mut stream);
        if got == Some(told) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "still {got:?}: {}", server.log());
    }
}

/// Full now: refused, said, and read; then there is room, and nobody needs to do anything.
fn full_and_free_again(server: &TestServer, oracle: &Oracle, free: impl FnOnce()) {
    until(Told::Refused, server, oracle);
    for _ in 0..20 {
        oracle.post(&mut connect(server.address).unwrap());
    }
    assert_eq!(server.get("/readyz").problem(503), "the disk is full");
    assert_eq!(server.get("/healthz").status, 200);
    let query = r#"{"query":"{messages {totalCount}}"}"#;
    let answer = server.post("/graphql", &[JSON], query);
    assert!(answer.body.contains(r#""totalCount":"#) && !answer.body.contains("errors"), "{answer:?}");
    let told = server.log().matches("the disk is full: deliveries are answered 503").count();
    free();
    let begun = Instant::now();
    while server.get("/readyz").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "not ready again: {}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(oracle.post(&mut connect(server.address).unwrap()), Some(Told::Acknowledged));
    server.wait_for_log("deliveries are taken again; it was: the disk is full");
    assert!(told <= 1 + server.log().matches("taken again").count(), "said more than once: {}", server.log());
}

#[test]
fn a_file_at_its_size_limit_ends_the_server_in_order() {
    let mut server = TestServer::start();
    let oracle = Oracle::default();
    until(Told::Acknowledged, &server, &oracle);
    let wal = PathBuf::from(format!("{}-wal", server.db().display()));
    let limit = format!("--fsize={}", wal.metadata().unwrap().len() + 300_000);
    let limited = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status();
    if !limited.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: a limit on the size of files needs `prlimit` (util-linux)");
        return;
    }
    while let Ok(mut stream) = connect(server.address) {
        if oracle.post(&mut stream) != Some(Told::Acknowledged) {
            break;
        }
    }
    // SQLite does not tell it from a failing disk. It is no signal that kills.
    assert_eq!(server.ended().code(), Some(1), "{}", server.log());
    assert!(server.log().contains("disk I/O error") && server.log().contains("the process ends"), "{}", server.log());
    let mut server = TestServer::within(server.dir(), "");
    oracle.retry_unknown(server.address);
    assert_eq!(server.sigterm().code(), Some(0));
    oracle.check(&Harness::copy_of(&server.db()).conn);
}

/// A server whose folder is a small file system of its own, seen through the process; `None` where that needs rights
/// that are not there.
fn on_small_disk(size: &str) -> Option<(TestServer, PathBuf)> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
    let probe = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "none"]).arg(dir.path()).output();
    if !probe.is_ok_and(|it| it.status.success()) {
        eprintln!("SKIPPED: a small file system needs `unshare -Urm` (user namespaces)");
        return None;
    }
    let server = TestServer::launch(Arc::clone(&dir), |command| {
        let place = dir.path().display();
        let script = format!(
            "mount -t tmpfs -o size={size} none '{place}' && cd '{place}' && : > chatfold.toml && exec \"$0\" \"$@\""
        );
        let mut within = Command::new("unshare");
        within.args(["-Urm", "sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
        within.current_dir(dir.path());
        *command = within;
    });
    let server = server.unwrap();
    let seen = PathBuf::from(format!("/proc/{}/root{}", server.pid(), dir.path().display()));
    Some((server, seen))
}

#[test]
fn a_full_disk_is_announced_it_refuses_reads_go_on_and_it_recovers_by_itself() {
    let Some((server, dir)) = on_small_disk("6m") else { return };
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(ready.json()["warnings"][0].as_str().unwrap().contains("of the disk is free"), "{ready:?}");
    assert!(server.get("/metrics").body.contains("\nchatfold_disk_bytes 6291456\n"));
    let oracle = Oracle::default();
    for _ in 0..3 {
        until(Told::Acknowledged, &server, &oracle);
        assert!(server.get("/").body.contains("Disk nearly full"));
        // Another's file takes what is left.
        let filler = dir.join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        drop(file);
        full_and_free_again(&server, &oracle, || std::fs::remove_file(&filler).unwrap());
    }
    oracle.check(&Harness::copy_of(&dir.join("chatfold.db")).conn);
}

#[test]
fn a_rebuild_that_finds_no_room_changes_nothing_and_ends_when_there_is_room() {
    let Some((server, dir)) = on_small_disk("48m") else { return };
    let oracle = Arc::new(Oracle::default());
    oracle.post_all(server.address, 16, 30);
    let rebuild = || {
        let mut within = Command::new("nsenter");
        within.args(["-U", "-m", "--preserve-credentials", "-t", &server.pid().to_string()]);
        within.args(["sh", "-c", "cd \"$1\" && exec \"$0\" rebuild", env!("CARGO_BIN_EXE_chatfold")]);
        within.arg(server.dir().path()).output().unwrap()
    };
    let filler = dir.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    // Less than empty tables take.
    file.set_len(file.metadata().unwrap().len() - (128 << 10)).unwrap();
    let state = |server: &TestServer| {
        let query = r#"{"query":"{status{stateHash}}"}"#;
        server.post("/graphql", &[JSON], query).json()["data"]["status"]["stateHash"].clone()
    };
    let before = state(&server);
    let output = rebuild();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["full", "needs room", "the tables did not change"] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(state(&server), before);
    assert!(!dir.join("chatfold.db.rebuild").exists());
    // So little may be too little for deliveries, too.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    until(Told::Acknowledged, &server, &oracle);
    assert_eq!(server.get("/readyz").status, 200);
    oracle.check(&Harness::copy_of(&dir.join("chatfold.db")).conn);

    let output = rebuild();
    assert_eq!(output.status.code(), Some(0), "{}{}", String::from_utf8_lossy(&output.stderr), server.log());
    oracle.check(&Harness::copy_of(&dir.join("chatfold.db")).conn);
}

#[test]
fn where_the_system_says_the_disk_is_full_it_is_refused_until_there_is_room() {
    let Some(_) = faulty::library() else { return };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let full = dir.path().join("full");
    let server = faulty::launch(&dir, &[("FAULTY_FULL", full.to_str().unwrap().to_owned())]).unwrap();
    let oracle = Oracle::default();
    for _ in 0..2 {
        until(Told::Acknowledged, &server, &oracle);
        std::fs::write(&full, "").unwrap();
        full_and_free_again(&server, &oracle, || std::fs::remove_file(&full).unwrap());
    }
    let db = server.db();
    drop(server);
    oracle.retry_unknown(TestServer::within(Arc::clone(&dir), "").address);
    oracle.check(&Harness::copy_of(&db).conn);
}

/// The name of the file leads elsewhere: the server says so and ends, and what was answered 200 is where it was.
fn gone(server: &mut TestServer, oracle: &Oracle, words: &str) {
    server.wait_for_log(words);
    let log = server.log();
    assert!(log.contains("chatfold.db") && log.contains("the process ends"), "{log}");
    if let Ok(mut stream) = connect(server.address) {
        let told = oracle.post(&mut stream);
        assert!(!matches!(told, Some(Told::Acknowledged)), "{log}");
    }
    assert_eq!(server.ended().code(), Some(1), "{log}");
}

#[test]
fn a_file_that_is_renamed_is_missed_within_seconds_and_not_begun_anew() {
    let mut server = TestServer::start();
    let (dir, oracle) = (server.dir(), Oracle::default());
    until(Told::Acknowledged, &server, &oracle);
    let elsewhere = dir.path().join("elsewhere");
    std::fs::rename(server.db(), &elsewhere).unwrap();
    // No delivery is needed to see it.
    gone(&mut server, &oracle, "was removed or renamed");

    let (status, log) = TestServer::launch(server.dir(), |_| {}).map(|_| ()).unwrap_err();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("chatfold.db is missing"), "{log}");
    assert!(!server.db().exists(), "no empty file in its place");
    std::fs::rename(&elsewhere, server.db()).unwrap();
    let mut server = TestServer::within(dir, "");
    assert_eq!(oracle.post(&mut connect(server.address).unwrap()), Some(Told::Acknowledged));
    assert_eq!(server.sigterm().code(), Some(0));
    oracle.check(&Harness::copy_of(&server.db()).conn);
}

#[test]
fn under_load_a_file_that_is_replaced_takes_nothing_and_is_not_touched() {
    let mut server = TestServer::start();
    let oracle = Arc::new(Oracle::default());
    let senders = oracle.senders(server.address, 8);
    std::thread::sleep(Duration::from_millis(300));
    let (old, other) = (server.dir().path().join("old"), server.dir().path().join("other"));
    std::fs::write(&other, "not ours").unwrap();
    std::fs::hard_link(server.db(), &old).unwrap();
    std::fs::rename(&other, server.db()).unwrap();
    gone(&mut server, &oracle, "was replaced by another file");
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert_eq!(std::fs::read(server.db()).unwrap(), b"not ours");

    std::fs::rename(&old, server.db()).unwrap();
    let mut server = TestServer::within(server.dir(), "");
    oracle.retry_unknown(server.address);
    assert_eq!(server.sigterm().code(), Some(0));
    assert!(oracle.acknowledged() > 10);
    oracle.check(&Harness::copy_of(&server.db()).conn);
}

#[test]
fn a_wal_that_is_removed_takes_nothing() {
    let mut server = TestServer::start();
    let oracle = Oracle::default();
    until(Told::Acknowledged, &server, &oracle);
    std::fs::remove_file(format!("{}-wal", server.db().display())).unwrap();
    gone(&mut server, &oracle, "chatfold.db-wal was removed or renamed");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(Harness::new());
    let made = TestServer::start();
    std::fs::copy(made.db(), dir.path().join("chatfold.db")).unwrap();
    // Root may write whatever the permissions say, but not through a read-only mount.
    let place = dir.path().display();
    let script = |within: &str| {
        let mount = format!("mount --bind '{place}' '{place}' && mount -o remount,bind,ro '{place}' && {within}");
        let binary = env!("CARGO_BIN_EXE_chatfold");
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        Command::new("unshare").args(["-Urm", "sh", "-c", &mount, binary]).args(serve).current_dir("/tmp").output()
    };
    if !script("true").is_ok_and(|it| it.status.success()) {
        eprintln!("SKIPPED: a read-only mount needs `unshare -Urm` (user namespaces)");
        return;
    }
    let output = script(&format!("cd '{place}' && exec \"$0\" \"$@\"")).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("chatfold.db") && said.contains("Read-only file system"), "{said}");
    // The folder can be written and the file cannot.
    std::fs::write(dir.path().join("chatfold.db.lock"), "").unwrap();
    let file = format!("mount --bind '{place}/chatfold.db' '{place}/chatfold.db'");
    let script =
        format!("{file} && mount -o remount,bind,ro '{place}/chatfold.db' && cd '{place}' && exec \"$0\" \"$@\"");
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-c", &script, env!("CARGO_BIN_EXE_chatfold"), "serve", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("chatfold.db is read-only for chatfold"), "{said}");
}
