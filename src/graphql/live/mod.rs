//! The change feed: every applied fact after a position, in the order of the log. One way for subscriptions and for
//! `GET /changes`.
//!
//! Whoever follows reads the file until nothing older is left there. From then on the decoder (`decoder.rs`) reads each new
//! fact once for all, and the hub (`hub.rs`) wakes those whom the change concerns.

mod decoded;
mod decoder;
mod hub;
#[cfg(test)]
mod tests;

pub use decoded::Decoded;
pub use decoder::Decoder;
pub(super) use hub::Hub;

use super::answer::{finish, refusal};
use super::change::ChangeFilter;
use super::context::{Asking, Caller};
use super::drive::block_on;
use super::error::{Code, Result, bad_input, describe};
use super::run::{Api, Inner};
use super::turns::Asker;
use crate::store::sqlite::read::allowance::is_spent;
use crate::store::sqlite::read::{ReadError, change};
use async_graphql::futures_util::StreamExt;
use async_graphql::{Request, Response};
use hub::{Listener, Next};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Changes that are given at a time.
const BATCH: usize = 100;

/// One who follows the changes of an app. The first batch says which app and which changes.
pub struct Follower {
    hub: Arc<Hub>,
    /// The log position from which it reads the file; `None`: from now on.
    position: Mutex<Option<i64>>,
    /// Since the first batch.
    listener: OnceLock<Listener>,
}

impl Follower {
    /// The log position from which it would read the file.
    pub fn position(&self) -> Option<i64> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_to(&self, position: i64) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
    }

    /// Whether its next batch comes from the file.
    pub fn is_behind(&self) -> bool {
        self.listener.get().is_none_or(Listener::is_behind)
    }

    /// Returns once there is a batch for it.
    pub async fn called(&self) {
        if let Some(listener) = self.listener.get() {
            listener.called().await;
        }
    }

    fn is_waiting(&self) -> bool {
        self.listener.get().is_some_and(Listener::is_waiting)
    }

    /// Goes on behind what was looked at.
    fn pass(&self, Looked { position, seen, app, filter }: Looked) {
        self.go_to(position);
        let listener = self.listener.get_or_init(|| self.hub.listen(&app, filter));
        if let Some(seen) = seen {
            listener.stand(seen);
        }
    }
}

/// One batch, while it is answered.
pub(super) struct Batch {
    follower: Arc<Follower>,
    /// Changes that are given at most.
    most: usize,
    looked: Mutex<Option<Looked>>,
}

/// How far a batch goes.
struct Looked {
    /// Behind the last event that was looked at.
    position: i64,
    /// Up to where nothing is left, whatever the app; `None` where the file has more.
    seen: Option<i64>,
    app: Arc<str>,
    filter: ChangeFilter,
}

impl Batch {
    fn new(follower: &Arc<Follower>, most: usize) -> Self {
        Self { follower: Arc::clone(follower), most, looked: Mutex::default() }
    }

    /// The changes of the batch: those that were decoded for all, else those of the file.
    pub(super) fn read(
        &self,
        asking: &Asking,
        app_id: Option<String>,
        after_seq: Option<i64>,
        filter: ChangeFilter,
    ) -> Result<Vec<Arc<Decoded>>> {
        let listener = self.follower.listener.get();
        let app = listener.map_or_else(|| asking.app(app_id), |listener| Ok(Arc::clone(&listener.app)))?;
        let position = match listener.map(|listener| listener.next(self.most)) {
            Some(Next::Changes(changes)) => {
                if let Some(last) = changes.last() {
                    self.looked(Looked { position: last.seq, seen: Some(last.seq), app, filter });
                }
                return Ok(changes);
            }
            Some(Next::Behind(after)) => self.follower.position().max(Some(after)),
            None => self.follower.position().or(after_seq),
        };
        let (changes, looked) = read_file(asking, app, position, filter, self.most)?;
        self.looked(looked);
        Ok(changes)
    }

    fn looked(&self, looked: Looked) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(looked);
    }

    /// Its follower goes on behind it; whether anything was looked at.
    fn pass(&self) -> bool {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner).take();
        looked.map(|looked| self.follower.pass(looked)).is_some()
    }

    fn is_read(&self) -> bool {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The changes that the file has after a position, and how far they go.
fn read_file(
    asking: &Asking,
    app: Arc<str>,
    position: Option<i64>,
    filter: ChangeFilter,
    most: usize,
) -> Result<(Vec<Arc<Decoded>>, Looked)> {
    // Nothing of the app follows an event that is not finished.
    let unfinished = asking.snapshot.read(|conn| change::unfinished(conn, &app))?;
    let newest = unfinished.map_or(asking.newest, |seq| asking.newest.min(seq - 1));
    if filter.receiver_type.is_some() && filter.conversation_id.is_none() {
        return Err(bad_input("filter.receiverType", "expected conversationId in the same filter"));
    }
    let after = position.unwrap_or(newest);
    if after < 0 {
        return Err(bad_input("afterSeq", "expected a position of this log, 0 or greater"));
    }
    let everything = unfinished.map_or(asking.snapshot.seq(), |seq| seq - 1);
    let given = || asking.snapshot.read(|conn| change::given(conn, asking.caller.apps.as_deref()));
    if after > newest && (after <= asking.newest || given()? >= after) {
        // The newest events were deleted, or are not finished. What comes next has a greater position than they had.
        let seen = Some(everything.max(after));
        return Ok((Vec::new(), Looked { position: after, seen, app, filter }));
    }
    if after > newest {
        let what = format!("expected a position of this log, but {after} is newer than its newest, {newest}");
        return Err(bad_input("afterSeq", &what));
    }
    // Whoever goes on from before the oldest event there is would miss what is gone without noticing.
    if let Some(begins) = asking.snapshot.read(|conn| change::begins_after(conn, after))? {
        let what = format!(
            "afterSeq: the log begins after position {begins}, so events after {after} are missing. Read the lists anew, and follow from the position that they tell"
        );
        return Err(Code::BeforeHistory.error(what));
    }
    let is_enough = |looked_at: i64, found: usize| found == most || (looked_at > 0 && asking.snapshot.is_half_over());
    let (changes, position) =
        asking.snapshot.read(|conn| decoded::read(conn, &app, after..newest, &filter, is_enough))?;
    let seen = (position == newest).then_some(everything);
    Ok((changes, Looked { position, seen, app, filter }))
}

/// A batch of the change feed, answered.
pub struct Changes<T, E = String> {
    pub items: Vec<T>,
    /// Nothing could be read for now: the next batch is for a little later.
    pub is_stuck: bool,
    /// Why it ends; nothing follows.
    pub error: Option<E>,
}

/// Why `GET /changes` ends.
pub struct Ended {
    pub code: Code,
    pub message: String,
}

impl Ended {
    fn of(why: ReadError) -> Self {
        let (code, message) = describe(why);
        Self { code, message: message.to_owned() }
    }
}

impl<T, E> Changes<T, E> {
    fn of(items: Vec<T>) -> Self {
        Self { items, is_stuck: false, error: None }
    }

    fn failed(error: E) -> Self {
        Self { items: Vec::new(), is_stuck: false, error: Some(error) }
    }

    /// No snapshot was opened. Where no connection is free, the same position is read again a little later.
    fn not_now(why: ReadError, error: impl FnOnce() -> E) -> Self {
        let error = (why != ReadError::Busy).then(error);
        Self { items: Vec::new(), is_stuck: error.is_none(), error }
    }
}

/// The answer of a subscription that could not read.
fn refused(why: ReadError) -> String {
    let (code, message) = describe(why);
    refusal(code, message)
}

impl Api {
    /// Begins to follow, from a log position or from now on.
    pub fn follow(&self, after: Option<i64>) -> Arc<Follower> {
        let hub = Arc::clone(&self.inner.hub);
        Arc::new(Follower { hub, position: Mutex::new(after), listener: OnceLock::new() })
    }

    /// The next answers of a subscription, in one snapshot. Nothing is read while nothing concerns the follower.
    pub async fn next_changes(&self, request: Request, caller: Caller, follower: &Arc<Follower>) -> Changes<String> {
        if follower.is_waiting() {
            return Changes::of(Vec::new());
        }
        let follower = Arc::clone(follower);
        let read = move |inner: &Inner, gone| inner.counted(|| inner.next_changes(&request, &caller, &follower, &gone));
        self.in_turn(Asker::default(), read).await.unwrap_or_else(|why| Changes::not_now(why, || refused(why)))
    }

    /// The next changes for `GET /changes`. The file is read only for a follower who is behind.
    pub async fn next_events(
        &self,
        app_id: Option<String>,
        filter: ChangeFilter,
        caller: Caller,
        follower: &Arc<Follower>,
    ) -> Changes<Arc<Decoded>, Ended> {
        if let Some(listener) = follower.listener.get()
            && let Next::Changes(changes) = listener.next(BATCH)
        {
            if let Some(last) = changes.last() {
                follower.go_to(last.seq);
                listener.stand(last.seq);
            }
            return Changes::of(changes);
        }
        let follower = Arc::clone(follower);
        let read =
            move |inner: &Inner, gone| inner.counted(|| inner.next_events(app_id, filter, caller, &follower, gone));
        self.in_turn(Asker::default(), read).await.unwrap_or_else(|why| Changes::not_now(why, || Ended::of(why)))
    }

    /// Looks of the decoder so far, for tests: with nobody who follows there is none.
    #[doc(hidden)]
    pub fn looks(&self) -> u64 {
        self.inner.looks.load(Ordering::Relaxed)
    }

    /// Changes decoded for all so far, for tests: their number must not grow with those who follow.
    #[doc(hidden)]
    pub fn decoded(&self) -> u64 {
        self.inner.decoded.load(Ordering::Relaxed)
    }

    /// How often the decoder woke somebody, for tests: nobody whom a change does not concern.
    #[doc(hidden)]
    pub fn wakes(&self) -> u64 {
        self.inner.hub.wakes.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// The next answers of a subscription. Facts that are together too much for one request are answered one by one.
    fn next_changes(
        &self,
        request: &Request,
        caller: &Caller,
        follower: &Arc<Follower>,
        gone: &Arc<AtomicBool>,
    ) -> Changes<String> {
        let read = |most| {
            let mut copy = Request::new(request.query.as_str()).variables(request.variables.clone());
            copy.operation_name.clone_from(&request.operation_name);
            self.changes(copy, caller.clone(), follower, Arc::clone(gone), most)
        };
        let before = follower.position();
        let changes = read(BATCH).or_else(|| read(1));
        let mut changes = changes.unwrap_or_else(|| Changes::failed(refused(ReadError::Failed)));
        changes.is_stuck |= follower.is_behind() && follower.position() == before;
        changes
    }

    /// `None` where the answers were too much for one request; never of one alone, which is told what was too much.
    fn changes(
        &self,
        mut request: Request,
        caller: Caller,
        follower: &Arc<Follower>,
        gone: Arc<AtomicBool>,
        most: usize,
    ) -> Option<Changes<String>> {
        let failed = |error| Changes::failed(finish(Response::from_errors(vec![error]), None));
        let document = match self.checks.document(&self.limits, &request) {
            Ok(document) => document,
            Err(error) => return Some(failed(error)),
        };
        let (asking, shown) = match self.asking(caller, gone, Some(&document)) {
            Ok(opened) => opened,
            Err(why) => return Some(Changes::not_now(why, || refused(why))),
        };
        if let Err((_, errors)) = self.checks.cost(&request, &document, &asking) {
            return Some(Changes::failed(finish(Response::from_errors(errors), Some(shown))));
        }
        request.set_parsed_query(document.parsed.clone());
        let batch = Arc::new(Batch::new(follower, most));
        let request = request.data(Arc::clone(&asking)).data(Arc::clone(&batch));
        let answers = block_on(self.schema.execute_stream(request).collect::<Vec<_>>(), &asking);
        let answers = asking.ended().map_or(answers, Err);
        if most > 1 && batch.is_read() && (answers.is_err() || is_spent()) {
            return None;
        }
        let was_read = batch.pass();
        Some(match answers {
            // Nothing was subscribed to: the one answer says why.
            Ok(mut answers) if !was_read && answers.first().is_some_and(Response::is_err) => {
                Changes::failed(answers.pop().map(|answer| finish(answer, Some(shown))).unwrap_or_default())
            }
            Ok(answers) => Changes::of(answers.into_iter().map(|answer| finish(answer, Some(shown))).collect()),
            Err(error) => Changes::failed(finish(Response::from_errors(vec![error]), Some(shown))),
        })
    }

    fn next_events(
        &self,
        app_id: Option<String>,
        filter: ChangeFilter,
        caller: Caller,
        follower: &Arc<Follower>,
        gone: Arc<AtomicBool>,
    ) -> Changes<Arc<Decoded>, Ended> {
        let (asking, _) = match self.asking(caller, gone, None) {
            Ok(opened) => opened,
            Err(why) => return Changes::not_now(why, || Ended::of(why)),
        };
        let (before, batch) = (follower.position(), Batch::new(follower, BATCH));
        match batch.read(&asking, app_id, None, filter) {
            Ok(changes) => {
                batch.pass();
                let is_stuck = follower.is_behind() && follower.position() == before;
                Changes { items: changes, is_stuck, error: None }
            }
            Err(error) => Changes::failed(Ended { code: Code::of(&error), message: error.message }),
        }
    }
}
