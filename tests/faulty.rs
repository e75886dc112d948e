//! A write or a sync of the file that fails: refused, ended, never tried again, and nothing lost at the next start. And
//! where nothing fails: no answer 200 before what it promises is on the disk.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::Harness;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::load::{Oracle, body};
use support::{TestServer, chatfold, faulty, number};

/// One line of the library's.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Number, call, file, result.
    Call(u64, String, String, String),
    /// The bytes of a delivery are in the WAL for the first time.
    Holds(u64),
    /// An answer 200 with a log position leaves.
    Answer(i64),
}

fn lines(trace: &Path) -> Vec<Line> {
    let parsed = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["holds", id] => Line::Holds(id.parse().unwrap()),
            ["200", seq] => Line::Answer(seq.parse().unwrap()),
            [number, call, file, result] => {
                Line::Call(number.parse().unwrap(), (*call).into(), (*file).into(), (*result).into())
            }
            _ => panic!("{line}"),
        }
    };
    std::fs::read_to_string(trace).unwrap().lines().map(parsed).collect()
}

/// A file that cannot be begun: SQLite takes back its header and syncs the file, which holds nothing yet.
const OPENING: &str = "chatfold: opening ";

/// After a call that failed nothing is synced on its file any more.
#[track_caller]
fn assert_not_synced(failed: &Line, after: &[Line], claim: &str) {
    let Line::Call(_, _, file, _) = failed else { panic!("{failed:?}") };
    let synced = |line: &&Line| matches!(line, Line::Call(_, call, of, _) if call.contains("sync") && of == file);
    assert_eq!(after.iter().find(synced), None, "nothing is synced after a failure: {claim}");
}

/// A life of a server, from an empty folder to its end, in which one call fails. False where it has fewer calls.
fn life(at: u64, how: &str) -> bool {
    let (dir, oracle) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Oracle::default()));
    let trace = dir.path().join("trace");
    let settings = [
        ("FAULTY_AT", at.to_string()),
        ("FAULTY_HOW", how.to_owned()),
        ("FAULTY_TRACE", trace.to_str().unwrap().to_owned()),
    ];
    let (code, log) = match faulty::launch(&dir, &settings) {
        Ok(mut server) => {
            oracle.post_all(server.address, 4, 5);
            (server.sigterm().code(), server.log())
        }
        Err((status, log)) => (status.code(), log),
    };
    let lines = lines(&trace);
    let failed = lines.iter().position(|line| matches!(line, Line::Call(.., result) if result == "failed"));
    let claim = format!("call {at} with {how}: {failed:?}, exit {code:?}: {log}");
    match failed.map(|place| (&lines[place], &lines[place + 1..])) {
        None => assert_eq!(code, Some(0), "{claim}"),
        // No space for a write: it goes on, or it never began.
        Some((Line::Call(_, call, ..), _)) if how == "ENOSPC" && call.contains("write") => {
            assert!(log.contains("full"), "{claim}");
            assert!(code == Some(0) || !log.contains("listening"), "{claim}");
        }
        Some((call, after)) => {
            assert_eq!(code, Some(1), "{claim}");
            assert!(log.contains("the process ends") || log.contains("chatfold.db"), "{claim}");
            if !log.contains(OPENING) {
                assert_not_synced(call, after, &claim);
            }
        }
    }
    let mut server = TestServer::within(Arc::clone(&dir), "");
    oracle.retry_unknown(server.address);
    assert_eq!(server.sigterm().code(), Some(0), "{claim}");
    oracle.check(&Harness::copy_of(&server.db()).conn);
    failed.is_some() || lines.iter().any(|line| matches!(line, Line::Call(.., result) if result == "short"))
}

/// So many calls in a life, counted up, each failing once; all of them where there are no more.
fn count_up(how: &str, points: u64) {
    let Some(_) = faulty::library() else { return };
    let (mut at, mut points_done) = (1, 0);
    // A life has some 500 calls.
    let step = (500 / points).max(1);
    while life(at, how) {
        at += step;
        points_done += 1;
    }
    assert!(points_done > 0);
    eprintln!("{points_done} lives with {how}, each at another of {at} calls: none lost an acknowledged delivery");
}

fn points(otherwise: u32) -> u64 {
    number("CHATFOLD_FAULTS", otherwise).into()
}

#[test]
fn after_an_io_error_the_server_ends_and_the_next_start_has_all_that_was_acknowledged() {
    count_up("EIO", points(12));
}

#[test]
fn no_space_for_one_write_refuses_a_batch_and_goes_on() {
    count_up("ENOSPC", points(5));
}

#[test]
fn an_ingest_that_fails_ends_and_the_next_one_reads_the_rest() {
    let Some(library) = faulty::library() else { return };
    for at in (1..).step_by(500 / points(12) as usize + 1) {
        let dir = tempfile::tempdir().unwrap();
        let (db, trace) = (dir.path().join("chatfold.db"), dir.path().join("trace"));
        let file = dir.path().join("lines.ndjson");
        std::fs::write(&file, (1..=30).map(|id| body(id) + "\n").collect::<String>()).unwrap();
        let args = ["ingest", file.to_str().unwrap(), "--db", db.to_str().unwrap()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatfold"));
        command.args(args).env("LD_PRELOAD", library).env("FAULTY_TRACE", &trace).env("FAULTY_AT", at.to_string());
        let output = command.output().unwrap();
        let lines = lines(&trace);
        let failed = lines.iter().position(|line| matches!(line, Line::Call(.., result) if result == "failed"));
        let claim = format!("call {at}: {failed:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(i32::from(failed.is_some())), "{claim}");
        if let Some(failed) = failed.filter(|_| !claim.contains(OPENING)) {
            assert_not_synced(&lines[failed], &lines[failed + 1..], &claim);
        }
        let (code, _, err) = chatfold(&args);
        assert_eq!(code, 0, "{claim} {err}");
        let harness = Harness::copy_of(&db);
        assert_eq!(harness.ask("SELECT count(*), count(DISTINCT body) FROM events"), "30|30", "{claim}");
        assert!(!dir.path().join("chatfold.db-wal").exists(), "one file is left");
        if failed.is_none() {
            return;
        }
    }
}

#[test]
fn a_short_write_is_finished() {
    count_up("SHORT", points(2));
}

#[test]
fn no_answer_leaves_before_what_it_promises_is_synced() {
    let Some(_) = faulty::library() else { return };
    let (dir, oracle) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Oracle::default()));
    let trace = dir.path().join("trace");
    let mut server = faulty::launch(&dir, &[("FAULTY_TRACE", trace.to_str().unwrap().to_owned())]).unwrap();
    oracle.post_all(server.address, 16, number("CHATFOLD_ANSWERS", 800) as usize / 16);
    assert_eq!(server.sigterm().code(), Some(0));
    // Deliveries in the WAL, those covered by each sync that runs, and those that are on the disk.
    let (mut written, mut syncing, mut durable) = (HashSet::new(), HashMap::new(), HashSet::new());
    let mut answers = 0;
    for line in lines(&trace) {
        match line {
            Line::Holds(id) => {
                written.insert(id);
            }
            Line::Call(number, call, file, result) if call.contains("sync") && file == "wal" => match result.as_str() {
                "begins" => drop(syncing.insert(number, written.clone())),
                _ => durable.extend(syncing.remove(&number).unwrap()),
            },
            Line::Answer(seq) if seq > 0 => {
                let id = oracle.at(seq).unwrap();
                assert!(durable.contains(&id), "delivery {id} was answered before it was synced");
                answers += 1;
            }
            Line::Answer(_) | Line::Call(..) => {}
        }
    }
    assert!(answers >= 800 && answers == oracle.acknowledged(), "{answers}");
    eprintln!("{answers} answers, none before its sync");
}
