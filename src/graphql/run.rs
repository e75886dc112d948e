//! Runs one request: checks, one snapshot, one thread, one answer.

use super::change::{self, ChangeFilter, Position, Subscription};
use super::context::{Asking, Caller, Computed};
use super::cost::Cost;
use super::error::{Code, complete, describe, is_request_error, once_a_field};
use super::limits::{INTROSPECTION_DEPTH, Limits};
use super::query::Query;
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use crate::store::StoreError;
use crate::store::sqlite::read::event::newest;
use crate::store::sqlite::read::{ReadError, Snapshot, statements};
use crate::store::sqlite::{Pool, open_pool};
use async_graphql::futures_util::StreamExt;
use async_graphql::parser::types::OperationType;
use async_graphql::{EmptyMutation, Error, Request, Response, Schema, ServerError, value};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

type Chatfold = Schema<Query, EmptyMutation, Subscription>;

/// Answers GraphQL over one file. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    schema: Chatfold,
    pool: Pool,
    limits: Limits,
    statements: AtomicU64,
    computed: Computed,
}

/// The schema in GraphQL's own language.
pub fn sdl() -> String {
    schema(&Limits::default()).sdl_with_options(async_graphql::SDLExportOptions::new().include_specified_by())
}

fn schema(limits: &Limits) -> Chatfold {
    let schema = Schema::build(Query, EmptyMutation, Subscription)
        .limit_depth(limits.depth.max(INTROSPECTION_DEPTH) as usize)
        .limit_directives(limits.directives)
        .extension(Cost { most: limits.complexity, page: limits.page })
        .disable_suggestions();
    let schema = if limits.introspection { schema } else { schema.disable_introspection() };
    schema.finish()
}

impl Api {
    /// Opens the file for reading. Fails where it is not ours or of another edition.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        Self::opened(path, limits, Computed::default())
    }

    /// The same file with limits and readers of its own.
    pub fn beside(&self, path: &Path, limits: Limits) -> Result<Self, StoreError> {
        Self::opened(path, limits, Arc::clone(&self.inner.computed))
    }

    fn opened(path: &Path, limits: Limits, computed: Computed) -> Result<Self, StoreError> {
        let pool = open_pool(path, limits.pool)?;
        let schema = schema(&limits);
        Ok(Self { inner: Arc::new(Inner { schema, pool, limits, statements: AtomicU64::new(0), computed }) })
    }

    /// The answer to a request, a complete response of GraphQL over HTTP. The order of fields is lost in a value:
    /// a server sends [`Api::execute_text`].
    pub async fn execute(&self, request: Request, caller: Caller) -> serde_json::Value {
        serde_json::from_str(&self.execute_text(request, caller).await).unwrap_or_default()
    }

    /// The same as JSON text, fields in the order in which they were selected.
    pub async fn execute_text(&self, request: Request, caller: Caller) -> String {
        let inner = Arc::clone(&self.inner);
        let hanging_up = HangUp::default();
        let gone = Arc::clone(&hanging_up.0);
        let answered = tokio::task::spawn_blocking(move || inner.answer(request, caller, gone)).await;
        answered.unwrap_or_else(|error| {
            tracing::error!(%error, "a request panicked");
            let error = Code::Internal.server_error("the request failed: the server's log has the cause");
            text(&Response::from_errors(vec![error]))
        })
    }

    /// Whether an operation of the request is a subscription; an answer where it is no request at all.
    pub fn is_subscription(&self, request: &mut Request) -> Result<bool, String> {
        self.inner.check(request).map_err(|error| finish(Response::from_errors(vec![error]), None))?;
        let operation_name = request.operation_name.clone();
        let Ok(document) = request.parsed_query() else { return Ok(false) };
        let named = |name: Option<&str>| operation_name.is_none() || operation_name.as_deref() == name;
        let found = document.operations.iter().find(|(name, _)| named(name.map(async_graphql::Name::as_str)));
        Ok(found.is_some_and(|(_, operation)| operation.node.ty == OperationType::Subscription))
    }

    /// The next answers of a subscription, in one snapshot; `position` moves on.
    pub async fn next_changes(&self, request: Request, caller: Caller, position: Arc<Position>) -> Changes<String> {
        let inner = Arc::clone(&self.inner);
        let hanging_up = HangUp::default();
        let gone = Arc::clone(&hanging_up.0);
        let read = tokio::task::spawn_blocking(move || inner.next_changes(request, caller, &position, gone)).await;
        read.unwrap_or_else(|error| {
            tracing::error!(%error, "a subscription panicked");
            let error = Code::Internal.server_error("the subscription failed: the server's log has the cause");
            Changes { items: Vec::new(), seen: 0, error: Some(finish(Response::from_errors(vec![error]), None)) }
        })
    }

    /// The next changes as `GET /changes` sends them: log position and JSON.
    pub async fn next_events(
        &self,
        app_id: Option<String>,
        filter: ChangeFilter,
        caller: Caller,
        position: Arc<Position>,
    ) -> Changes<(i64, String), Ended> {
        let inner = Arc::clone(&self.inner);
        let hanging_up = HangUp::default();
        let gone = Arc::clone(&hanging_up.0);
        let read = move || inner.next_events(app_id, &filter, caller, &position, gone);
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the change feed panicked");
            let message = "the feed failed: the server's log has the cause".into();
            Changes { items: Vec::new(), seen: 0, error: Some(Ended { code: Code::Internal, message }) }
        })
    }

    /// The newest log position of what the caller may read; `None` where it cannot be told now.
    pub async fn newest(&self, caller: Caller) -> Option<i64> {
        let inner = Arc::clone(&self.inner);
        let hanging_up = HangUp::default();
        let gone = Arc::clone(&hanging_up.0);
        let read = tokio::task::spawn_blocking(move || {
            let snapshot = Snapshot::open(&inner.pool, inner.limits.timeout, inner.limits.rows, gone).ok()?;
            snapshot.read(|conn| newest(conn, caller.apps.as_deref())).ok().map(|(seq, _)| seq)
        });
        read.await.ok().flatten()
    }

    /// The answer to who asked for a log position that was not reached in time.
    pub fn behind(&self, position: i64) -> String {
        let message = format!("log position {position} was not reached in time: ask again in a moment");
        refusal(Code::Timeout, &message)
    }

    /// The answer to who has too many requests running.
    pub fn busy(&self) -> String {
        refusal(Code::Busy, "too many requests of this token are running: ask again in a moment")
    }

    /// SQL statements run so far, for tests: their number must not grow with the rows.
    #[doc(hidden)]
    pub fn statements(&self) -> u64 {
        self.inner.statements.load(Ordering::Relaxed)
    }
}

/// The answer to a request that is not executed.
pub(super) fn refusal(code: Code, message: &str) -> String {
    finish(Response::from_errors(vec![code.server_error(message)]), None)
}

fn text(response: &Response) -> String {
    serde_json::to_string(response).unwrap_or_default()
}

impl Inner {
    fn answer(&self, mut request: Request, caller: Caller, gone: Arc<AtomicBool>) -> String {
        if let Err(error) = self.check(&mut request) {
            return finish(Response::from_errors(vec![error]), None);
        }
        let (asking, mut shown) = match self.asking(caller, gone) {
            Ok(opened) => opened,
            Err(error) => {
                let (code, message) = describe(error);
                return refusal(code, message);
            }
        };
        let before = statements();
        let response = block_on(self.schema.execute(request.data(Arc::clone(&asking))), &asking)
            .unwrap_or_else(|error| Response::from_errors(vec![error]));
        self.statements.fetch_add(statements() - before, Ordering::Relaxed);
        shown.cost = asking.cost.load(Ordering::Relaxed);
        let answer = finish(response, Some(shown));
        if answer.len() > self.limits.answer_bytes {
            let most = self.limits.answer_bytes;
            let error = Code::TooComplex.server_error(format!("the answer has more than {most} bytes: ask for less"));
            return finish(Response::from_errors(vec![error]), Some(shown));
        }
        answer
    }

    fn check(&self, request: &mut Request) -> Result<(), ServerError> {
        self.limits.check_text(&request.query)?;
        // Parsed once: the request keeps it.
        let document = request.parsed_query()?;
        self.limits.check(document)
    }
}

/// What an answer shows.
#[derive(Clone, Copy)]
struct Shown {
    /// Log position of the newest event, of those apps that the caller may read.
    seq: i64,
    /// Arrival of the same.
    received_at: Option<Time>,
    /// Edition of the fold that made the tables; where it is another than ours they are being made anew.
    fold_version: i64,
    /// What the request cost, and the most it may.
    cost: usize,
    most: usize,
}

/// One batch of the change feed.
pub struct Changes<T, E = String> {
    pub items: Vec<T>,
    /// The newest log position there was to read, of those apps that the caller may read.
    pub seen: i64,
    /// Why it ends; nothing follows.
    pub error: Option<E>,
}

/// Why `GET /changes` ends.
pub struct Ended {
    pub code: Code,
    pub message: String,
}

impl<T, E> Changes<T, E> {
    /// No connection is free: the same position is read again a little later.
    fn not_now(error: ReadError) -> Result<Self, ServerError> {
        if error == ReadError::Busy {
            return Ok(Self { items: Vec::new(), seen: i64::MAX, error: None });
        }
        let (code, message) = describe(error);
        Err(code.server_error(message))
    }
}

impl Inner {
    /// A fresh snapshot for a request, and what its answers show.
    fn asking(&self, caller: Caller, gone: Arc<AtomicBool>) -> Result<(Arc<Asking>, Shown), ReadError> {
        let snapshot = Snapshot::open(&self.pool, self.limits.timeout, self.limits.rows, gone)?;
        let (seq, received_at) = snapshot.read(|conn| newest(conn, caller.apps.as_deref()))?;
        let shown =
            Shown { seq, received_at, fold_version: snapshot.fold_version(), cost: 0, most: self.limits.complexity };
        let mut asking = Asking::new(snapshot, seq, caller, Arc::clone(&self.computed));
        asking.page = self.limits.page;
        Ok((Arc::new(asking), shown))
    }

    fn next_changes(
        &self,
        mut request: Request,
        caller: Caller,
        position: &Arc<Position>,
        gone: Arc<AtomicBool>,
    ) -> Changes<String> {
        let failed = |error| Changes {
            items: Vec::new(),
            seen: 0,
            error: Some(finish(Response::from_errors(vec![error]), None)),
        };
        if let Err(error) = self.check(&mut request) {
            return failed(error);
        }
        let (asking, shown) = match self.asking(caller, gone) {
            Ok(opened) => opened,
            Err(error) => return Changes::not_now(error).unwrap_or_else(failed),
        };
        let request = request.data(Arc::clone(&asking)).data(Arc::clone(position));
        let before = position.get();
        let answers = block_on(self.schema.execute_stream(request).collect::<Vec<_>>(), &asking);
        let mut changes = Changes { items: Vec::new(), seen: shown.seq, error: None };
        match answers {
            // Nothing was subscribed to: the one answer says why.
            Ok(mut answers) if position.get() == before && answers.first().is_some_and(Response::is_err) => {
                changes.error = answers.pop().map(|answer| finish(answer, Some(shown)));
            }
            Ok(answers) => changes.items = answers.into_iter().map(|answer| finish(answer, Some(shown))).collect(),
            Err(error) => changes.error = Some(finish(Response::from_errors(vec![error]), Some(shown))),
        }
        changes
    }

    fn next_events(
        &self,
        app_id: Option<String>,
        filter: &ChangeFilter,
        caller: Caller,
        position: &Position,
        gone: Arc<AtomicBool>,
    ) -> Changes<(i64, String), Ended> {
        let failed = |error: Error| {
            let ended = Ended { code: Code::of(&error), message: error.message };
            Changes { items: Vec::new(), seen: 0, error: Some(ended) }
        };
        let (asking, _) = match self.asking(caller, gone) {
            Ok(opened) => opened,
            Err(error) => return Changes::not_now(error).unwrap_or_else(|_| failed(error.into())),
        };
        let next = asking.app(app_id).and_then(|app| {
            let changes = change::next(&asking, &app, position, None, filter)?;
            Ok(changes.into_iter().map(|change| (change.seq, change.to_json(&app))).collect())
        });
        match next {
            Ok(items) => Changes { items, seen: asking.newest, error: None },
            Err(error) => failed(error),
        }
    }
}

/// Errors of an answer; how many more there are is told.
const ERRORS: usize = 10;

/// Sets what every answer carries, and trims its errors.
fn finish(mut response: Response, shown: Option<Shown>) -> String {
    once_a_field(&mut response.errors);
    let left_out = response.errors.len().saturating_sub(ERRORS);
    response.errors.truncate(ERRORS);
    response.errors.iter_mut().for_each(complete);
    if let Some(shown) = shown {
        let told = value!({
            "seq": shown.seq.to_string(),
            "receivedAt": shown.received_at.map(Time::rfc3339),
            "foldVersion": shown.fold_version,
            "rebuilding": shown.fold_version != FOLD_VERSION,
            "cost": shown.cost,
            "maxCost": shown.most,
        });
        response.extensions.insert("chatfold".to_owned(), told);
        if left_out > 0 {
            response.extensions.insert("errorsLeftOut".to_owned(), value!(left_out));
        }
    }
    if !response.errors.iter().any(is_request_error) {
        return text(&response);
    }
    // Nothing was executed, or nothing of it counts: then an answer has no data at all.
    response.errors.retain(is_request_error);
    response.errors.iter_mut().for_each(|error| error.path.clear());
    let mut answer = serde_json::to_value(&response).unwrap_or_default();
    if let Some(members) = answer.as_object_mut() {
        members.shift_remove("data");
    }
    answer.to_string()
}

/// Set when the request is dropped before its answer: the client is gone, and reading stops.
#[derive(Default)]
struct HangUp(Arc<AtomicBool>);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Says whether anything became ready while the request was polled.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls until all that is left waits for the loaders, lets them look up, and goes on.
fn block_on<T>(request: impl Future<Output = T>, asking: &Asking) -> Result<T, ServerError> {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut request = pin!(request);
    loop {
        flag.0.store(false, Ordering::Relaxed);
        if let Poll::Ready(response) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(response);
        }
        if asking.snapshot.is_late() {
            let (code, message) = describe(ReadError::Timeout);
            return Err(code.server_error(message));
        }
        if !flag.0.load(Ordering::Relaxed) && !asking.loaders.flush(&asking.snapshot) {
            tracing::error!("a request waits for nothing");
            return Err(Code::Internal.server_error("the request stopped"));
        }
    }
}
