//! A delivery answered 200 survives `kill -9` at any instant, in the log and in the tables.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::Harness;
use std::sync::Arc;
use std::time::Duration;
use support::load::Oracle;
use support::{Instants, TestServer, number, verified};
use tempfile::TempDir;

const CLIENTS: usize = 64;
/// The file begins anew after so many.
const KILLS_OF_A_FILE: u32 = 50;

/// Starts servers on one file and kills each at an instant, while deliveries come. What `meanwhile` gives is dropped
/// after the kill.
fn killed<T>(
    dir: &Arc<TempDir>,
    oracle: &Arc<Oracle>,
    times: u32,
    mut instant: impl FnMut() -> Duration,
    meanwhile: impl Fn(&TestServer) -> T,
) {
    for _ in 0..times {
        let server = TestServer::within(Arc::clone(dir), "");
        oracle.retry_unknown(server.address);
        let senders = oracle.senders(server.address, CLIENTS);
        let running = meanwhile(&server);
        std::thread::sleep(instant());
        // Dropping the server kills it with SIGKILL.
        drop(server);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        drop(running);
    }
    // Sound, as it was told, and the tables are the log folded again.
    oracle.check(&Harness::copy_of(&dir.path().join("chatfold.db")).conn);
    verified(&dir.path().join("chatfold.db"));
}

#[test]
fn nothing_acknowledged_is_lost_to_sigkill() {
    let kills = number("CHATFOLD_KILLS", 20);
    let mut instants = Instants::default();
    let (mut done, mut acknowledged) = (0, 0);
    while done < kills {
        let (dir, oracle) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Oracle::default()));
        let times = KILLS_OF_A_FILE.min(kills - done);
        killed(&dir, &oracle, times, || instants.within(20..220), |_| ());
        done += times;
        acknowledged += oracle.acknowledged();
    }
    assert!(acknowledged > 100, "only {acknowledged} were acknowledged");
    eprintln!("{kills} kills, {acknowledged} acknowledged, none lost");
}

#[test]
fn nothing_is_lost_to_sigkill_in_a_rebuild_under_load() {
    let kills = number("CHATFOLD_REBUILD_KILLS", 4);
    let (dir, oracle) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Oracle::default()));
    let server = TestServer::within(Arc::clone(&dir), "");
    oracle.post_all(server.address, 8, 150);
    drop(server);
    let mut instants = Instants::default();
    let rebuild = |server: &TestServer| server.spawn(&["rebuild"]);
    // From the fold to the swap and beyond.
    killed(&dir, &oracle, kills, || instants.within(20..1_200), rebuild);
    eprintln!("{kills} kills in a rebuild, {} acknowledged, none lost", oracle.acknowledged());

    let server = TestServer::within(Arc::clone(&dir), "");
    let (code, out, err) = loop {
        let ended = server.run(&["rebuild"]);
        // What the last one left is swept first, which counts as a rebuild.
        if !ended.2.contains("a rebuild is running already") {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(code, 0, "the next rebuild ends: {out}{err}{}", server.log());
    drop(server);
    verified(&dir.path().join("chatfold.db"));
    assert!(!dir.path().join("chatfold.db.rebuild").exists());
}
