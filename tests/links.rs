//! One file, many names: one process writes it, and nothing is written into a file of somebody else's.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use support::{TestServer, chatfold, verified};

const LINE: &str = r#"{"trigger":"of_tomorrow","appId":"a"}"#;

fn refused(args: &[&str], db: &Path, words: &str) {
    let args: Vec<&str> = args.iter().copied().chain(["--db", db.to_str().unwrap()]).collect();
    let (code, out, err) = chatfold(&args);
    assert_eq!((code, out.as_str()), (1, ""), "{args:?} {err}");
    assert!(err.contains(words), "{args:?}: no {words:?} in {err}");
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

#[test]
fn a_second_server_through_a_hard_link_is_refused_and_the_first_loses_nothing() {
    let mut server = TestServer::start();
    assert_eq!(server.deliver(LINE).status, 200);
    let elsewhere = tempfile::tempdir_in(server.dir().path()).unwrap();
    let link = elsewhere.path().join("link.db");
    fs::hard_link(server.db(), &link).unwrap();
    let line = elsewhere.path().join("line.json");
    fs::write(&line, LINE).unwrap();
    let line = line.to_str().unwrap();
    for args in [
        SERVE,
        &["ingest", line],
        &["rebuild"],
        &["verify"],
        &["inspect"],
        &["events"],
        &["open", link.to_str().unwrap()],
        &["token", "list"],
        &["token", "create", "--name", "x"],
    ] {
        refused(args, &link, "has 2 names (hard links)");
    }
    // The link alone does not stop the server that runs; the next one says what to do.
    assert_eq!(server.deliver(r#"{"trigger":"of_tomorrow","appId":"b"}"#).status, 200);
    let query = r#"{"query":"{apps{appId}}"}"#;
    for _ in 0..3 {
        let answer = server.post("/graphql", &[support::JSON], query);
        assert!(answer.body.contains(r#""appId":"b""#), "{answer:?}");
    }
    assert_eq!(server.sigterm().code(), Some(0));
    refused(SERVE, &server.db(), "-samefile");
    fs::remove_file(link).unwrap();
    let mut server = TestServer::within(server.dir(), "");
    assert_eq!(server.sigterm().code(), Some(0));
    verified(&server.db());
}

#[test]
fn two_servers_through_two_links_to_one_file_share_one_lock() {
    let server = TestServer::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    symlink(server.db(), &link).unwrap();
    refused(SERVE, &link, &format!("process {}", server.pid()));
    symlink(server.dir().path(), elsewhere.path().join("folder")).unwrap();
    refused(SERVE, &elsewhere.path().join("folder/chatfold.db"), &format!("process {}", server.pid()));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 2, "nothing was made beside the links");
}

#[test]
fn a_link_to_nothing_makes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (link, target) = (dir.path().join("link.db"), dir.path().join("target.db"));
    symlink(&target, &link).unwrap();
    let line = dir.path().join("line.json");
    fs::write(&line, LINE).unwrap();
    for args in [SERVE, &["ingest", line.to_str().unwrap()]] {
        refused(args, &link, "target.db, which does not exist");
    }
    assert!(!target.exists() && !dir.path().join("link.db.lock").exists());
}

#[test]
fn a_link_in_the_place_of_a_file_beside_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("chatfold.db");
    let line = dir.path().join("line.json");
    fs::write(&line, LINE).unwrap();
    let ingest = ["ingest", line.to_str().unwrap()];
    let args = [&ingest[..], &["--db", db.to_str().unwrap()]].concat();
    assert_eq!(chatfold(&args).0, 0);
    let treasure = dir.path().join("treasure");
    for end in ["-wal", "-shm", "-journal", ".lock"] {
        for hard in [false, true] {
            fs::write(&treasure, "of somebody else's").unwrap();
            let planted = dir.path().join(format!("chatfold.db{end}"));
            let _ = fs::remove_file(&planted);
            if hard {
                fs::hard_link(&treasure, &planted).unwrap();
            } else {
                symlink(&treasure, &planted).unwrap();
            }
            for args in [SERVE, &ingest[..], &["rebuild"]] {
                refused(args, &db, "Move it away");
            }
            if end != ".lock" {
                refused(&["inspect"], &db, "Move it away");
                refused(&["token", "list"], &db, "Move it away");
            }
            assert_eq!(fs::read_to_string(&treasure).unwrap(), "of somebody else's", "{end}");
            fs::remove_file(&planted).unwrap();
        }
    }
    assert_eq!(chatfold(&args).0, 0);
    verified(&db);
}

#[test]
fn a_file_in_the_place_of_the_socket_stays_and_the_server_runs_without_one() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let socket = dir.path().join("chatfold.db.sock");
    fs::write(&socket, "of somebody else's").unwrap();
    let mut server = TestServer::within(dir, "");
    server.wait_for_log("cannot listen on");
    assert_eq!(server.deliver(LINE).status, 200);
    assert_eq!(server.sigterm().code(), Some(0));
    assert_eq!(fs::read_to_string(&socket).unwrap(), "of somebody else's");
}
