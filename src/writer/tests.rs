use super::*;
use crate::batch::CACHE;
use crate::change::Changes;
use crate::ids::Outcome;
use crate::merge::Fact;
use crate::store::sqlite::open_reader;
use crate::trigger::{Payload, Ref};

/// A delivery of this trigger makes the writer panic, outside of what an event may do.
pub const PANICS: &str = "a_panic_of_the_writer";

/// What a trigger with a bug gives.
#[derive(Debug)]
struct Faulty {
    before_the_fold: bool,
}

impl Payload for Faulty {
    fn occurred_at(&self) -> Option<Time> {
        None
    }

    fn refs(&self) -> Vec<Ref> {
        assert!(!self.before_the_fold, "a bug before the fold");
        Vec::new()
    }

    fn reduce(&self, _fact: &Fact, _out: &mut Changes) {
        panic!("a bug in a reducer");
    }
}

fn message(app_id: &str, id: u32) -> Envelope {
    let body = format!(
        r#"{{"trigger":"message_sent","appId":"{app_id}","data":{{"message":{{"id":"{id}","sender":"u","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":1767614400,"data":{{"text":"x"}}}}}}}}"#
    );
    Envelope::parse(body.as_bytes()).unwrap()
}

fn faulty(id: u32, before_the_fold: bool) -> Envelope {
    Envelope { payload: Some(Box::new(Faulty { before_the_fold })), ..message("a", id) }
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chatfold.db");
    (dir, path)
}

#[test]
fn a_panic_over_one_event_is_a_dead_letter_and_the_batch_goes_on() {
    let (_dir, path) = file();
    let writer =
        Writer::start(&path, CACHE as usize, Box::new(|| panic!("one event is no failure of the file"))).unwrap();
    // While this unit of work runs the deliveries gather into one batch.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let blocked = writer.clone();
    let blocker = std::thread::spawn(move || {
        let wait = move |_: &Connection| {
            released.recv().unwrap();
            Ok(())
        };
        blocked.run(wait).unwrap();
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let append = |envelope| writer.append(envelope, Time(1_767_614_400_000));
    let receipts = runtime.block_on(async {
        let store = message(crate::batch::PANICS, 4);
        let all = tokio::join!(
            append(message("a", 1)),
            append(faulty(2, false)),
            append(faulty(3, true)),
            append(store),
            append(message("a", 5)),
            async { release.send(()).unwrap() },
        );
        [all.0, all.1, all.2, all.3, all.4].map(Result::unwrap)
    });
    blocker.join().unwrap();
    let outcomes = receipts.map(|receipt| receipt.outcome);
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Rejected, Outcome::Rejected, Outcome::Rejected, Outcome::Applied]);
    assert_eq!(writer.not_ready(), None);
    let conn = open_reader(&path).unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut statement = conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(list("SELECT app_id || '/' || message_id FROM messages ORDER BY 1"), ["a/1", "a/5"]);
    let left = list(&format!("SELECT uid FROM users WHERE app_id = '{}'", crate::batch::PANICS));
    assert!(left.is_empty(), "nothing of a dead letter stays: {left:?}");
    assert_eq!(
        list("SELECT reason FROM events WHERE outcome = 'rejected' AND reason LIKE '%a bug in chatfold%'").len(),
        3
    );
    writer.stop();
}

#[test]
fn any_other_panic_of_the_writer_is_a_failure_that_ends_the_process() {
    let (_dir, path) = file();
    let (fail, failed) = std::sync::mpsc::channel();
    let writer = Writer::start(&path, CACHE as usize, Box::new(move || fail.send(()).unwrap())).unwrap();
    assert!(matches!(writer.run::<()>(|_| panic!("a bug")), Err(NotRun::Stopping)));
    failed.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(writer.not_ready().unwrap(), "the writer failed: the server is stopping");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(writer.append(message("a", 1), Time(1_767_614_400_000))).unwrap_err();
    assert!(refused.to_string().contains("the server is stopping"), "{refused}");
    writer.stop();
}

#[test]
fn who_waits_when_the_writer_fails_hears_that_no_answer_comes() {
    let (_dir, path) = file();
    let writer = Writer::start(&path, CACHE as usize, Box::new(|| {})).unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let failing = writer.clone();
    let fails = std::thread::spawn(move || {
        let unit = move |_: &Connection| -> Result<(), StoreError> {
            released.recv().unwrap();
            panic!("a bug")
        };
        failing.run(unit).is_err()
    });
    let waiting = writer.clone();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(waiting.run(|_| Ok(())).is_err()).unwrap());
    // One unit runs and the other waits, or the other way round: then it is done before.
    std::thread::sleep(Duration::from_millis(100));
    release.send(()).unwrap();
    assert!(fails.join().unwrap());
    told.recv_timeout(Duration::from_secs(10)).unwrap();
    writer.stop();
}
