//! Litestream 0.3.13 beside a server that ends in order: what it restores is what the server had. operate.md says what is
//! not safe. The program comes with the packages of `tests/python/requirements.txt`, in the folder of the Python that
//! `CHATFOLD_PYTHON` names; without it the test is skipped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::load::{Oracle, body};
use support::{TestServer, chatfold, verified};

fn program() -> Option<PathBuf> {
    let Ok(python) = std::env::var("CHATFOLD_PYTHON") else {
        // Past the capture of what a test that passes prints.
        std::io::stderr().write_all(b"SKIPPED litestream: CHATFOLD_PYTHON names no Python\n").unwrap();
        return None;
    };
    let program = Path::new(&python).parent().unwrap().join("litestream");
    assert!(program.exists(), "{program:?}: install tests/python/requirements.txt");
    Some(program)
}

/// Replicates until it is killed.
struct Replicating(Child);

impl Replicating {
    fn start(program: &Path, db: &Path, replica: &str) -> Self {
        let mut command = Command::new(program);
        command.args(["replicate", db.to_str().unwrap(), replica]).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Replicating {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn state(db: &Path) -> serde_json::Value {
    let (code, out, err) = chatfold(&["inspect", "--json", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap()["state"].take()
}

/// Messages that make the server move its WAL by itself.
fn deliver_long(server: &TestServer, ids: std::ops::Range<u64>) {
    for id in ids {
        let long = body(id).replace(&format!("no {id}"), &"w".repeat(1_000_000));
        assert!((0..100).any(|_| server.deliver(&long).status == 200));
    }
}

#[test]
fn what_litestream_restores_is_what_the_server_had() {
    let Some(program) = program() else { return };
    let (mut server, oracle) = (TestServer::start(), Arc::new(Oracle::default()));
    let (dir, db) = (server.dir(), server.db());
    let replica = format!("file://{}/replica", dir.path().display());
    let replicating = Replicating::start(&program, &db, &replica);
    for _ in 0..600 {
        if dir.path().join("replica").is_dir() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let senders = oracle.senders(server.address, 4);
    deliver_long(&server, 1_000_000..1_000_008);
    // Killed, and started again after the server has moved a WAL that Litestream did not see to its end.
    drop(replicating);
    deliver_long(&server, 1_000_008..1_000_024);
    let replicating = Replicating::start(&program, &db, &replica);
    deliver_long(&server, 1_000_024..1_000_028);
    assert!(server.sigterm().success(), "{}", server.log());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    // Litestream copies once a second, and can fail if it is told to end in the middle of that.
    let (restored, had) = (dir.path().join("restored.db"), state(&db));
    for left in (0..120).rev() {
        let mut restore = Command::new(&program);
        let output = restore.args(["restore", "-o", restored.to_str().unwrap(), &replica]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let state = state(&restored);
        if left == 0 || state == had {
            assert_eq!(state, had);
            break;
        }
        for name in ["restored.db", "restored.db-wal", "restored.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(replicating);
    verified(&restored);
    // It is a copy like any other, and the server goes on with the file and its WAL.
    let placed = dir.path().join("placed.db");
    let (code, _, err) = chatfold(&["restore", restored.to_str().unwrap(), "--db", placed.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(state(&placed), had);
    let server = TestServer::within(Arc::clone(&dir), "");
    assert_eq!(server.deliver(body(2_000_000)).status, 200);
}
