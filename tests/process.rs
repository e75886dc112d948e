//! The process: one server a file, signals, permissions, exit codes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{TestServer, chatfold};

#[test]
fn a_second_server_leaves_at_once_and_names_the_first() {
    let server = TestServer::start();
    let begun = Instant::now();
    let (code, _, stderr) = server.run(&["serve"]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("process {}", server.pid())) && stderr.contains("chatfold.db.lock"), "{stderr}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    let (code, _, stderr) = server.run(&["ingest", "-"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("post to that server"), "{stderr}");
}

#[test]
fn sigterm_ends_with_0_and_an_idle_connection_does_not_hold_it() {
    let mut server = TestServer::start();
    let mut idle = TcpStream::connect(server.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    let begun = Instant::now();
    assert_eq!(server.sigterm().code(), Some(0), "{}", server.log());
    assert!(begun.elapsed() < Duration::from_millis(3500), "{:?}", begun.elapsed());
}

#[test]
fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start();
    for entry in std::fs::read_dir(server.dir().path()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("chatfold.db") {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
    }
}

#[test]
fn wrong_use_exits_with_2_and_says_what_to_do() {
    for (args, words) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], "CHATFOLD_WEBHOOK_PASSWORD"),
        (&["serve", "--workers", "0"], "between 1 and 64"),
        (&["serve", "--config", "missing.toml"], "missing.toml"),
        (&["events", "--refused", "--app", "a"], "--refused"),
        (&["events", "--since", "yesterday"], "not a time"),
        (&["events", "--outcome", "lost"], "applied"),
        (&["nothing"], "unrecognized"),
    ] {
        let (code, stdout, stderr) = chatfold(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?} {stderr}");
        assert!(stderr.contains(words), "{args:?} {stderr}");
    }
    let (code, _, stderr) = chatfold(&["inspect"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("there is no file chatfold.db"), "{stderr}");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = chatfold(&["serve", "--listen", &address]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&address) && stderr.contains("--listen"), "{stderr}");
}

#[test]
fn the_schema_goes_to_stdout() {
    let (code, stdout, _) = chatfold(&["schema"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("type Query"));
}
