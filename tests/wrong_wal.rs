//! A file beside a WAL that was written beside another state of it is refused; what belongs together never is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusqlite::{Connection, OpenFlags};
use std::fs::{copy, read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::load::{Oracle, body};
use support::{Instants, TestServer, number, verified};
use tempfile::TempDir;

fn deliver(server: &TestServer, id: u64) {
    assert!((0..100).any(|_| server.deliver(body(id)).status == 200));
}

/// Puts an early copy beside the WAL that a killed server left: the start is refused, and changes nothing.
#[track_caller]
fn is_refused(dir: &Arc<TempDir>, early: &Path) {
    let db = dir.path().join("chatfold.db");
    let wal = dir.path().join("chatfold.db-wal");
    assert!(wal.metadata().unwrap().len() > 0, "the server left a WAL");
    let there = read(&db).unwrap();
    copy(early, &db).unwrap();
    let before = (read(&db).unwrap(), read(&wal).unwrap());
    assert_ne!(before.0, there, "the copy is another state of the file");
    let (status, said) = TestServer::launch(Arc::clone(dir), |_| {}).err().unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("chatfold.db and ") && said.contains("chatfold.db-wal do not belong together"), "{said}");
    assert_eq!(before, (read(&db).unwrap(), read(&wal).unwrap()));
    // What was there before is as good as it was.
    std::fs::write(&db, there).unwrap();
    drop(TestServer::within(Arc::clone(dir), ""));
    verified(&db);
}

fn early(dir: &TempDir) -> PathBuf {
    dir.path().join("early.db")
}

#[test]
fn a_copy_of_a_stopped_server_beside_the_wal_of_a_later_one() {
    let mut server = TestServer::start();
    deliver(&server, 1);
    assert!(server.sigterm().success());
    let dir = server.dir();
    copy(server.db(), early(&dir)).unwrap();
    let server = TestServer::within(Arc::clone(&dir), "");
    deliver(&server, 2);
    drop(server);
    is_refused(&dir, &early(&dir));
}

#[test]
fn a_copy_that_sqlite_made_beside_a_running_server() {
    let server = TestServer::start();
    deliver(&server, 1);
    let dir = server.dir();
    let reader = Connection::open_with_flags(server.db(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute("VACUUM INTO ?1", [early(&dir).to_str().unwrap()]).unwrap();
    drop(reader);
    deliver(&server, 2);
    drop(server);
    is_refused(&dir, &early(&dir));
}

#[test]
fn a_backup_beside_the_wal_of_its_own_server() {
    let server = TestServer::start();
    deliver(&server, 1);
    let dir = server.dir();
    assert_eq!(server.run(&["backup", early(&dir).to_str().unwrap()]).0, 0);
    deliver(&server, 2);
    drop(server);
    is_refused(&dir, &early(&dir));
}

#[test]
fn a_copy_from_before_several_wals() {
    let server = TestServer::start();
    deliver(&server, 1);
    let dir = server.dir();
    // Beside a running server this is allowed only here, where nothing is moved into the file meanwhile.
    copy(server.db(), early(&dir)).unwrap();
    for id in 2..40 {
        let long = body(id).replace(&format!("no {id}"), &"w".repeat(1_000_000));
        assert!((0..100).any(|_| server.deliver(&long).status == 200));
    }
    drop(server);
    is_refused(&dir, &early(&dir));
}

#[test]
fn the_wal_of_another_file() {
    let (one, other) = (TestServer::start(), TestServer::start());
    deliver(&one, 1);
    deliver(&other, 2);
    let (dir, db) = (one.dir(), other.db());
    let elsewhere = early(&dir);
    let mut other = other;
    assert!(other.sigterm().success());
    copy(db, &elsewhere).unwrap();
    drop(one);
    is_refused(&dir, &elsewhere);
}

/// Copies all files of a server as `cp -r` does.
fn all_files(dir: &TempDir) -> Arc<TempDir> {
    let other = Arc::new(tempfile::tempdir().unwrap());
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            copy(&path, other.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    other
}

#[test]
fn what_a_killed_server_left_belongs_together_wherever_it_is_copied() {
    let (mut dir, oracle) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Oracle::default()));
    let mut instants = Instants::default();
    for n in 0..number("CHATFOLD_KILLS", 40) {
        let server = TestServer::within(Arc::clone(&dir), "");
        oracle.retry_unknown(server.address);
        let senders = oracle.senders(server.address, 8);
        std::thread::sleep(instants.within(5..60));
        drop(server);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        if n % 4 == 0 {
            dir = all_files(&dir);
        }
    }
    let server = TestServer::within(Arc::clone(&dir), "");
    drop(server);
    verified(&dir.path().join("chatfold.db"));
}
