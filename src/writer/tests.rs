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

pub(super) fn message(app_id: &str, id: u32) -> Envelope {
    let body = format!(
        r#"{{"trigger":"message_sent","appId":"{app_id}","data":{{"message":{{"id":"{id}","sender":"u","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":1767614400,"data":{{"text":"x"}}}}}}}}"#
    );
    Envelope::parse(body.as_bytes()).unwrap()
}

fn faulty(id: u32, before_the_fold: bool) -> Envelope {
    Envelope { payload: Some(Box::new(Faulty { before_the_fold })), ..message("a", id) }
}

/// Its message names 6,000 people.
pub(super) fn large(app_id: &str) -> Envelope {
    let named: Vec<String> = (0..6_000).map(|n| format!(r#""u{n}":{{"uid":"u{n}"}}"#)).collect();
    let body = message(app_id, 1).body.replace(
        r#""data":{"text":"x"}"#,
        &format!(r#""data":{{"text":"x","mentions":{{{}}}}},"tags":["t"]"#, named.join(",")),
    );
    Envelope::parse(body.as_bytes()).unwrap()
}

fn folded(written: Result<Written, Refusal>) -> Appended {
    match written.unwrap() {
        Written::Folded(appended) => appended,
        Written::Unfolded(position) => panic!("{position} is not folded"),
    }
}

pub(super) const AT: Time = Time(1_767_614_400_000);

fn finished(writer: &Writer) {
    while writer.is_unfinished(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A writer, and a large event at position 1 that is not finished yet.
fn with_a_large_event(path: &std::path::Path, app: &'static str) -> (Writer, tokio::runtime::Runtime) {
    let writer = Writer::start(path, CACHE as usize, Box::new(|| panic!("no failure"))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let posting = writer.clone();
    runtime.spawn(async move { posting.append(large(app), AT).await });
    while !writer.is_unfinished(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    (writer, runtime)
}

pub(super) fn ask(path: &std::path::Path, sql: &str) -> i64 {
    open_reader(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn deliveries_are_answered_while_a_large_event_of_any_app_is_unfinished() {
    let (_dir, path) = file();
    let (writer, runtime) = with_a_large_event(&path, "a");
    let (mut answered, mut most, mut behind) = (0, 0, Vec::new());
    while writer.is_unfinished(1) {
        answered += 1;
        let own = writer.clone();
        behind.push(runtime.spawn(async move {
            let written = own.append(message("a", 1 + answered), AT).await.unwrap();
            if let Written::Unfolded(position) = written {
                own.folded(position).await;
            }
        }));
        let other = runtime.block_on(writer.append(message("b", answered), AT)).unwrap();
        assert!(matches!(other, Written::Folded(_)), "another app waits for nothing: {other:?}");
        most = most.max(ask(&path, "SELECT count(*) FROM unfinished"));
    }
    assert!(most > 5, "{most} are in the log before they are folded");
    runtime.block_on(async {
        for folded in behind {
            folded.await.unwrap();
        }
    });
    assert_eq!(ask(&path, "SELECT count(*) FROM mentions"), 6_000);
    assert_eq!(ask(&path, "SELECT count(*) FROM messages WHERE app_id = 'a'"), i64::from(answered) + 1);
    assert_eq!(ask(&path, "SELECT count(*) FROM unfinished"), 0);
    writer.stop();
}

#[test]
fn an_equal_body_without_a_time_waits_for_the_large_event_that_may_make_it_another_fact() {
    let (_dir, path) = file();
    let blocked = || {
        let body = r#"{"trigger":"user_blocked","appId":"a","webhook":"w","data":{"by":{"uid":"u1"},"users":{"u2":{"uid":"u2"}}}}"#;
        Envelope::parse(body.as_bytes()).unwrap()
    };
    let writer = Writer::start(&path, CACHE as usize, Box::new(|| panic!("no failure"))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(writer.append(blocked(), AT)).unwrap();
    let posting = writer.clone();
    runtime.spawn(async move { posting.append(large("a"), AT).await });
    while !writer.is_unfinished(2) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let refusal = runtime.block_on(writer.append(blocked(), AT)).unwrap_err();
    assert_eq!(refusal, Refusal::NotWritten("a large event of the app is not finished yet"));
    runtime.block_on(writer.folded(2));
    let Written::Folded(again) = runtime.block_on(writer.append(blocked(), AT)).unwrap() else { panic!("not folded") };
    assert!(again.duplicate, "{again:?}");
    writer.stop();
}

#[test]
fn an_app_that_has_too_many_events_unfinished_is_refused_and_others_are_not() {
    let (_dir, path) = file();
    let conn = sqlite::open_writer(&path).unwrap();
    sqlite::begin(&conn).unwrap();
    let mut batch = Batch::default();
    let limits = crate::large::Limits::default();
    crate::large::post(&mut batch, &conn, &large("a"), AT, limits, false).unwrap();
    for id in 0..pieces::BEHIND as u32 {
        crate::large::post(&mut batch, &conn, &message("a", 2 + id), AT, limits, true).unwrap();
    }
    batch.save(&conn).unwrap();
    sqlite::commit(&conn).unwrap();
    drop(conn);
    let writer = Writer::start(&path, CACHE as usize, Box::new(|| panic!("no failure"))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let own = runtime.block_on(writer.append(message("a", 1_000_000), AT)).unwrap_err();
    assert_eq!(own, Refusal::NotWritten("the writer is behind"));
    runtime.block_on(writer.append(message("b", 1), AT)).unwrap();
    let last = 1 + pieces::BEHIND as i64;
    runtime.block_on(writer.folded(last));
    assert_eq!(ask(&path, "SELECT count(*) FROM messages WHERE app_id = 'a'"), last);
    runtime.block_on(writer.append(message("a", 1_000_000), AT)).unwrap();
    writer.stop();
}

#[test]
fn a_unit_waits_until_a_large_event_is_finished() {
    let (_dir, path) = file();
    let (writer, _runtime) = with_a_large_event(&path, "a");
    let left = writer.run(crate::store::sqlite::unfinished::all).unwrap();
    assert!(left.is_empty(), "{left:?}");
    writer.stop();
}

#[test]
fn a_panic_in_the_fold_of_a_large_event_is_a_dead_letter_that_leaves_nothing_else() {
    let (_dir, path) = file();
    let (writer, runtime) = with_a_large_event(&path, crate::batch::PANICS);
    finished(&writer);
    for (table, rows) in [("users", 0), ("messages", 0), ("mentions", 0), ("event_refs", 0), ("unfinished", 0)] {
        assert_eq!(ask(&path, &format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
    assert_eq!(ask(&path, "SELECT n FROM event_counts WHERE outcome = 'rejected'"), 1);
    let again = folded(runtime.block_on(writer.append(large(crate::batch::PANICS), AT)));
    assert_eq!((again.seq, again.outcome, again.duplicate), (1, Outcome::Rejected, true));
    writer.stop();
}

#[test]
fn the_next_writer_finishes_what_was_left() {
    let (_dir, path) = file();
    let conn = sqlite::open_writer(&path).unwrap();
    sqlite::begin(&conn).unwrap();
    let mut batch = Batch::default();
    crate::large::post(&mut batch, &conn, &large("a"), AT, crate::large::Limits::default(), false).unwrap();
    batch.save(&conn).unwrap();
    sqlite::commit(&conn).unwrap();
    drop(conn);
    let writer = Writer::start(&path, CACHE as usize, Box::new(|| panic!("no failure"))).unwrap();
    assert!(writer.is_unfinished(1));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(writer.append(message("b", 1), AT)).unwrap();
    finished(&writer);
    let again = folded(runtime.block_on(writer.append(large("a"), AT)));
    assert_eq!((again.seq, again.outcome, again.duplicate), (1, Outcome::Applied, true));
    assert_eq!(ask(&path, "SELECT count(*) FROM mentions"), 6_000);
    writer.stop();
}

pub(super) fn file() -> (tempfile::TempDir, std::path::PathBuf) {
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
    let all = runtime.block_on(async {
        let store = message(crate::batch::PANICS, 4);
        let all = tokio::join!(
            append(message("a", 1)),
            append(faulty(2, false)),
            append(faulty(3, true)),
            append(store),
            append(message("a", 5)),
            async { release.send(()).unwrap() },
        );
        [all.0, all.1, all.2, all.3, all.4].map(folded)
    });
    blocker.join().unwrap();
    let outcomes = all.map(|appended| appended.outcome);
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

/// SQLite's result codes 1 to 26: <https://sqlite.org/rescode.html>.
#[test]
fn no_result_code_that_a_fold_meets_is_a_verdict_about_its_event() {
    const BUSY: [i32; 2] = [5, 6];
    const FULL: i32 = 13;
    for code in 1..=26 {
        let (_dir, path) = file();
        let (fail, failed) = std::sync::mpsc::channel();
        let writer = Writer::start(&path, CACHE as usize, Box::new(move || fail.send(()).unwrap())).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let post = |app: &str| runtime.block_on(writer.append(message(app, 1), Time(1_767_614_400_000)));
        let refused = post(&format!("{}{code}", crate::batch::FAILS)).unwrap_err();
        let apps = if code == FULL || BUSY.contains(&code) {
            assert!(matches!(refused, Refusal::NotWritten(_)), "{code}: {refused}");
            // Deliveries that arrive while the transaction is rolled back are refused, too.
            let written = (0..100).find_map(|_| post("a").ok());
            assert!(written.is_some() && failed.try_recv().is_err(), "{code}: the next delivery is written");
            vec!["a"]
        } else {
            assert_eq!(refused, Refusal::Unknown, "{code}");
            failed.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(post("a").is_err(), "{code}: nothing is written any more");
            vec![]
        };
        writer.stop();
        let conn = open_reader(&path).unwrap();
        let mut statement = conn.prepare("SELECT app_id FROM events").unwrap();
        let logged: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(logged, apps, "{code}");
    }
}

#[test]
fn a_refused_body_that_waits_too_long_leaves_the_queue_and_is_not_kept() {
    let (_dir, path) = file();
    let writer = Writer::start(&path, CACHE as usize, Box::new(|| {})).unwrap();
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let busy = writer.clone();
    let unit = move |_: &Connection| {
        begin.send(()).unwrap();
        released.recv().unwrap();
        Ok(())
    };
    let blocker = std::thread::spawn(move || busy.run(unit).unwrap());
    begun.recv().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(writer.refuse(Time(1_767_614_400_000), "no JSON".into(), b"x".to_vec()));
    assert_eq!(writer.waiting(), 0);
    release.send(()).unwrap();
    blocker.join().unwrap();
    writer.stop();
    let conn = open_reader(&path).unwrap();
    let kept: i64 = conn.query_row("SELECT count(*) FROM refused", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}

#[test]
fn large_bodies_that_come_faster_than_checkpoints_are_all_taken_and_the_wal_stays_small() {
    let (_dir, path) = file();
    let writer = Writer::start(&path, CACHE as usize, Box::new(|| panic!("no failure"))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let metadata = format!(r#""metadata":"{}""#, "x".repeat(2 << 20));
    let bodies = (0..30).map(|id| message("a", id).body.replace(r#""text":"x""#, &metadata));
    let append = |body: String| {
        let writer = writer.clone();
        runtime.spawn(async move {
            // A slow disk may need longer than a delivery waits.
            let until = Instant::now() + FINISHED_WITHIN;
            while Instant::now() < until {
                let envelope = Envelope::parse(body.as_bytes()).unwrap();
                if writer.append(envelope, AT).await.is_ok() {
                    return true;
                }
            }
            false
        })
    };
    let waiting: Vec<_> = bodies.map(append).collect();
    for taken in waiting {
        assert!(runtime.block_on(taken).unwrap());
        assert!(writer.wal_bytes() < 64 << 20);
    }
    writer.stop();
    assert_eq!(ask(&path, "SELECT count(*) FROM messages"), 30);
}
