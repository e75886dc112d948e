//! Those who follow the changes: each change is decoded once for all of them, and wakes only whom it concerns.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use async_graphql::futures_util::future::join_all;
use chatfold::envelope::Envelope;
use chatfold::graphql::{Api, Caller, ChangeFilter, Decoder, Follower, Limits};
use chatfold::ids::Time;
use chatfold::large::{self, Limits as Large, Posted};
use chatfold::writer::Writer;
use harness::{Harness, NOON};
use std::sync::Arc;
use std::time::Duration;
use support::feed::message;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Statements of a delivery at most, whoever follows: those of two looks, and where its message belongs.
const STATEMENTS: u64 = 6;

/// A file that is written, its decoder, and one way to ask.
struct Live {
    writer: Writer,
    api: Api,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Live {
    fn start(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chatfold.db");
        let writer = Writer::start(&path, 16 << 20, Box::new(|| panic!("no failure"))).unwrap();
        let (api, runtime) = (Api::open(&path, limits).unwrap(), runtime());
        decode(&api, &path, &runtime, writer.seq());
        Self { writer, api, runtime, _dir: dir }
    }

    fn post(&self, bodies: impl IntoIterator<Item = String>) {
        let append = async |body: String| {
            let envelope = Envelope::received(body.as_bytes()).unwrap();
            self.writer.append(envelope, Time(NOON)).await.unwrap();
        };
        let mut bodies = bodies.into_iter().peekable();
        while bodies.peek().is_some() {
            // Few at once: a delivery is refused after a second.
            self.runtime.block_on(join_all(bodies.by_ref().take(50).map(append)));
        }
    }

    /// Follows from now on, and has nothing more to read.
    fn follow(&self, guid: Option<&str>) -> One {
        let filter = ChangeFilter { guid: guid.map(str::to_owned), ..ChangeFilter::default() };
        let one = One { follower: self.api.follow(None), filter };
        let looks = self.api.looks();
        one.read(self);
        // The decoder takes up the app after its first listener came.
        while looks == 0 && self.api.looks() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        while one.follower.is_behind() {
            one.read(self);
        }
        one
    }

    fn counts(&self) -> (u64, u64, u64) {
        (self.api.decoded(), self.api.wakes(), self.api.statements())
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn decode(api: &Api, path: &std::path::Path, runtime: &Runtime, committed: watch::Receiver<i64>) {
    let (decoder, handle) = (Decoder::open(api, path).unwrap(), runtime.handle().clone());
    std::thread::spawn(move || decoder.run(&handle, committed));
}

/// One who follows the app `a`.
struct One {
    follower: Arc<Follower>,
    filter: ChangeFilter,
}

impl One {
    /// What there is just now.
    fn read(&self, live: &Live) -> Vec<i64> {
        let next = live.api.next_events(Some("a".into()), self.filter.clone(), Caller::default(), &self.follower);
        let batch = live.runtime.block_on(next);
        assert!(batch.error.is_none(), "{:?}", batch.error.map(|ended| ended.message));
        batch.items.iter().map(|change| change.seq).collect()
    }

    /// So many changes, as they come.
    fn hear(&self, live: &Live, count: usize) -> Vec<i64> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let called = async { tokio::time::timeout(Duration::from_secs(10), self.follower.called()).await.is_ok() };
            assert!(live.runtime.block_on(called), "only {heard:?}");
            heard.extend(self.read(live));
        }
        heard
    }
}

#[test]
fn a_change_wakes_and_reads_for_nobody_of_another_group() {
    let live = Live::start(Limits::default());
    live.post([message(1, "g7")]);
    let all: Vec<One> = (0..200).map(|n| live.follow(Some(&format!("g{n}")))).collect();
    live.post([message(2, "g7")]);
    all[7].hear(&live, 1);
    let before = live.counts();
    for id in 3..13 {
        live.post([message(id, "g7")]);
        assert_eq!(all[7].hear(&live, 1), [id]);
    }
    let after = live.counts();
    assert_eq!((after.0 - before.0, after.1 - before.1), (10, 10), "decoded, and woken");
    assert!(after.2 - before.2 <= 10 * STATEMENTS, "{} statements", after.2 - before.2);
    for (n, one) in (0..).zip(&all).filter(|(n, _)| *n != 7) {
        live.post([message(1000 + n, &format!("g{n}"))]);
        assert_eq!(one.hear(&live, 1).len(), 1, "it still follows");
    }
}

#[test]
fn a_change_is_decoded_once_for_all_who_hear_it() {
    let live = Live::start(Limits::default());
    live.post([message(1, "g")]);
    let all: Vec<One> = (0..50).map(|_| live.follow(None)).collect();
    live.post([message(2, "g")]);
    assert!(all.iter().all(|one| one.hear(&live, 1) == [2]));
    let before = live.counts();
    for id in 3..13 {
        live.post([message(id, "g")]);
        assert!(all.iter().all(|one| one.hear(&live, 1) == [id]));
    }
    let after = live.counts();
    assert_eq!((after.0 - before.0, after.1 - before.1), (10, 500), "decoded, and woken");
    assert!(after.2 - before.2 <= 10 * STATEMENTS, "{} statements", after.2 - before.2);
}

#[test]
fn with_nobody_who_follows_nothing_is_decoded() {
    let live = Live::start(Limits::default());
    live.post((1..=5).map(|id| message(id, "g")));
    assert_eq!(live.api.looks(), 0);
    let one = live.follow(None);
    live.post([message(6, "g"), message(7, "g").replace("\"a\"", "\"b\"")]);
    assert_eq!(one.hear(&live, 1).len(), 1);
    drop(one);
    // A look may have begun before.
    std::thread::sleep(Duration::from_millis(500));
    let before = (live.api.looks(), live.api.decoded());
    live.post((8..=12).map(|id| message(id, "g")));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((live.api.looks(), live.api.decoded()), before);
    assert_eq!(before.1, 1, "nobody follows the app `b`");
}

#[test]
fn who_lags_beyond_what_is_kept_reads_the_file_without_gap_or_repeat() {
    let live = Live::start(Limits::default());
    live.post([message(1, "g")]);
    let (quick, slow, elsewhere) = (live.follow(None), live.follow(None), live.follow(Some("h")));
    let last = 5_001;
    for first in (2..=last).step_by(500) {
        live.post((first..first + 500).map(|id| message(id, "g")));
        assert_eq!(quick.hear(&live, 500), (first..first + 500).collect::<Vec<_>>());
    }
    assert!(slow.follower.is_behind(), "what it missed is not kept any more");
    assert_eq!(slow.hear(&live, 5_000), (2..=last).collect::<Vec<_>>());
    live.post([message(last + 1, "h")]);
    assert!([quick, slow].iter().all(|one| one.hear(&live, 1) == [last + 1]));
    assert!(!elsewhere.follower.is_behind(), "what does not concern it moves it on");
    assert_eq!(elsewhere.hear(&live, 1), [last + 1]);
}

#[test]
fn a_subscription_reads_nothing_while_nothing_concerns_it() {
    let live = Live::start(Limits::default());
    live.post([message(1, "g")]);
    let (other, follower) = (live.follow(None), live.api.follow(None));
    let next = || {
        let query = "subscription{changes(appId:\"a\",filter:{guid:\"h\"}){seq nodes{id}}}";
        let asked = live.api.next_changes(async_graphql::Request::new(query), Caller::default(), &follower);
        let batch = live.runtime.block_on(asked);
        assert!(batch.error.is_none(), "{:?}", batch.error);
        batch.items
    };
    assert!(next().is_empty());
    live.post([message(2, "g")]);
    assert_eq!(other.hear(&live, 1), [2]);
    let before = live.counts();
    assert!(next().is_empty());
    assert_eq!(live.counts(), before);
    live.post([message(3, "h")]);
    live.runtime.block_on(follower.called());
    let heard = next();
    assert!(heard.len() == 1 && heard[0].contains("{\"seq\":\"3\",\"nodes\":[{\"id\":"), "{heard:?}");
    assert!(next().is_empty(), "not again");
}

#[test]
fn decoded_changes_that_are_too_much_together_come_one_by_one() {
    let live = Live::start(Limits { bytes: 20_000, ..Limits::default() });
    live.post([message(1, "g")]);
    let (other, follower) = (live.follow(None), live.api.follow(None));
    let next = || {
        let query = "subscription{changes(appId:\"a\"){seq nodes{... on Message{text}}}}";
        let asked = live.api.next_changes(async_graphql::Request::new(query), Caller::default(), &follower);
        let batch = live.runtime.block_on(asked);
        assert!(batch.error.is_none(), "{:?}", batch.error);
        batch.items
    };
    assert!(next().is_empty());
    let long = "x".repeat(5_000);
    live.post((2..=9).map(|id| message(id, "g").replace("no ", &long)));
    other.hear(&live, 8);
    assert!(!follower.is_behind());
    let mut heard = next();
    assert_eq!(heard.len(), 1, "alone, for all together were too much");
    while heard.len() < 8 {
        heard.extend(next());
    }
    for (seq, answer) in (2..=9).zip(&heard) {
        assert!(answer.contains(&format!("{{\"seq\":\"{seq}\"")) && answer.contains(&long));
    }
    assert!(next().is_empty());
}

/// A file that is written by hand, and a decoder that looks when it is told to.
struct Told {
    harness: Harness,
    api: Api,
    runtime: Runtime,
    committed: watch::Sender<i64>,
}

impl Told {
    fn start() -> Self {
        let harness = Harness::new();
        let (api, runtime) = (Api::open(&harness.path(), Limits::default()).unwrap(), runtime());
        let (committed, seen) = watch::channel(0);
        decode(&api, &harness.path(), &runtime, seen);
        harness.post(&message(1, "g"), NOON);
        Self { harness, api, runtime, committed }
    }

    /// A look, and what came of it.
    fn look(&self) {
        let looks = self.api.looks();
        // The second begins after what the first saw was told.
        for look in 1..=2 {
            self.committed.send_replace(0);
            while self.api.looks() < looks + look {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn hear(&self, app: &str, follower: &Arc<Follower>) -> Vec<i64> {
        let next = self.api.next_events(Some(app.into()), ChangeFilter::default(), Caller::default(), follower);
        let batch = self.runtime.block_on(next);
        assert!(batch.error.is_none());
        batch.items.iter().map(|change| change.seq).collect()
    }
}

#[test]
fn a_large_event_comes_once_it_is_finished_and_other_apps_go_on() {
    let told = Told::start();
    let (a, b) = (told.api.follow(Some(0)), told.api.follow(Some(0)));
    let late = told.api.follow(None);
    let heard = || [told.hear("a", &a), told.hear("b", &b)];
    assert_eq!(heard(), [vec![1], Vec::new()]);
    told.look();
    let members: Vec<String> = (0..9).map(|n| format!(r#""u{n}":{{"uid":"u{n}"}}"#)).collect();
    let large = format!(
        r#"{{"trigger":"group_member_added","appId":"a","data":{{"group":{{"guid":"g"}},"members":{{{}}}}}}}"#,
        members.join(",")
    );
    let envelope = Envelope::received(large.as_bytes()).unwrap();
    let tiny = Large { commas: 0, names: 0, people: 1, carried: 1, piece: 2 };
    let mut batch = chatfold::batch::Batch::default();
    told.harness.transaction(|| {
        let posted = large::post(&mut batch, &told.harness.conn, &envelope, Time(NOON), tiny, false).unwrap();
        assert!(matches!(posted, Posted::Unfinished(2)));
        batch.save(&told.harness.conn).unwrap();
    });
    told.harness.forget();
    told.harness.post(&message(2, "g").replace("\"a\"", "\"b\""), NOON);
    told.look();
    assert_eq!(heard(), [Vec::new(), vec![3]]);
    assert!(told.hear("a", &late).is_empty(), "it begins before the large event");
    large::finish_all(&told.harness.conn).unwrap();
    told.look();
    assert_eq!((heard(), told.hear("a", &late)), ([vec![2], Vec::new()], vec![2]));
    assert_eq!(heard(), [Vec::<i64>::new(), Vec::new()]);
}

#[test]
fn what_cannot_be_decoded_is_read_by_each_for_itself() {
    let told = Told::start();
    let follower = told.api.follow(None);
    assert!(told.hear("a", &follower).is_empty());
    told.look();
    told.harness.post(&message(2, "g"), NOON);
    // The places of messages cannot be looked up.
    told.harness.conn.execute_batch("ALTER TABLE messages RENAME TO elsewhere").unwrap();
    told.committed.send_replace(0);
    told.runtime.block_on(follower.called());
    assert!(follower.is_behind());
    assert_eq!(told.hear("a", &follower), [2]);
    told.harness.conn.execute_batch("ALTER TABLE elsewhere RENAME TO messages").unwrap();
    told.look();
    told.harness.post(&message(3, "g"), NOON);
    told.look();
    let statements = told.api.statements();
    assert_eq!((told.hear("a", &follower), told.api.statements()), (vec![3], statements), "decoded again");
}
