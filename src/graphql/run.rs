//! Runs one request: checks, one snapshot, one thread, one answer.

use super::answer::{Shown, finish, refusal};
use super::checks::{Chatfold, Checks, schema};
use super::context::{Asking, Caller, Computed};
use super::drive::block_on;
use super::error::{Code, describe};
use super::limits::Limits;
use super::live::Hub;
use super::meters::Meters;
use super::prepared::Document;
use super::server::Host;
use super::turns::{Asker, Turns};
use crate::store::StoreError;
use crate::store::sqlite::read::allowance::{Amount, bytes_read};
use crate::store::sqlite::read::{ReadError, Snapshot, app, event, statements};
use crate::store::sqlite::{Pool, open_pool};
use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response, ValidationMode};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tracing::field::Empty;

/// Answers GraphQL over one file. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) checks: Checks,
    /// Runs requests that were checked.
    pub(super) schema: Chatfold,
    pool: Pool,
    /// As many at once as the pool has connections.
    turns: Turns,
    pub(super) limits: Limits,
    statements: AtomicU64,
    bytes: AtomicU64,
    computed: Computed,
    meters: Arc<Meters>,
    /// The server around it.
    host: OnceLock<Arc<dyn Host>>,
    /// Those who follow the changes.
    pub(super) hub: Arc<Hub>,
    /// Looks of the decoder, and changes it decoded.
    pub(super) looks: AtomicU64,
    pub(super) decoded: AtomicU64,
}

/// The schema in GraphQL's own language.
pub fn sdl() -> String {
    schema(&Limits::default()).finish().sdl_with_options(async_graphql::SDLExportOptions::new().include_specified_by())
}

impl Api {
    /// Opens the file for reading. Fails where it is not ours or of another edition.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let (pool, turns) = (open_pool(path, limits.pool, limits.page_cache)?, Turns::new(limits.pool, limits.timeout));
        Ok(Self::over(pool, turns, limits, Computed::default(), Arc::default()))
    }

    /// The same readers with other limits.
    pub fn with_limits(&self, limits: Limits) -> Self {
        let Inner { pool, turns, computed, meters, .. } = &*self.inner;
        Self::over(pool.clone(), turns.clone(), limits, Arc::clone(computed), Arc::clone(meters))
    }

    /// From now on its answers tell of the server around it, too.
    pub fn serve_for(&self, host: Arc<dyn Host>) {
        // Whoever comes second changes nothing: a process is one server.
        let _ = self.inner.host.set(host);
    }

    fn over(pool: Pool, turns: Turns, limits: Limits, computed: Computed, meters: Arc<Meters>) -> Self {
        Self {
            inner: Arc::new(Inner {
                checks: Checks::new(&limits),
                schema: schema(&limits).validation_mode(ValidationMode::Fast).finish(),
                pool,
                turns,
                limits,
                statements: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                computed,
                meters,
                host: OnceLock::new(),
                hub: Arc::default(),
                looks: AtomicU64::new(0),
                decoded: AtomicU64::new(0),
            }),
        }
    }

    /// The answer to a request, a complete response of GraphQL over HTTP. The order of fields is lost in a value:
    /// a server sends [`Api::execute_text`].
    pub async fn execute(&self, request: Request, caller: Caller) -> serde_json::Value {
        self.execute_as(request, caller, |answer| serde_json::from_str(&answer).unwrap_or_default()).await
    }

    /// The same as JSON text, fields in the order in which they were selected.
    pub async fn execute_text(&self, request: Request, caller: Caller) -> String {
        self.execute_as(request, caller, |answer| answer).await
    }

    /// The same, made into something else on the thread that answers: the server's workers take deliveries meanwhile.
    async fn execute_as<T, F>(&self, request: Request, caller: Caller, make: F) -> T
    where
        T: Send + 'static,
        F: Fn(String) -> T + Clone + Send + 'static,
    {
        let (asker, begun) = (caller.asker, Instant::now());
        let made = make.clone();
        let read = move |inner: &Inner, gone| made(inner.answer(request, caller, gone));
        let answered = self.in_turn(asker, read).await.unwrap_or_else(|error| {
            let (code, message) = describe(error);
            make(refusal(code, message))
        });
        self.inner.meters.times.observe(begun.elapsed().as_secs_f64());
        answered
    }

    /// Reads on a thread that may block, in a turn of this asker. There are as many turns as connections.
    pub(super) async fn in_turn<T, F>(&self, asker: Asker, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner, Arc<AtomicBool>) -> T + Send + 'static,
    {
        let turn = self.inner.turns.take(asker).await.ok_or(ReadError::Busy)?;
        let inner = Arc::clone(&self.inner);
        let hanging_up = HangUp::default();
        let gone = Arc::clone(&hanging_up.0);
        let in_turn = move || {
            // Held until the connection is free again, also if nobody waits for the answer any more.
            let _turn = turn;
            read(&inner, gone)
        };
        tokio::task::spawn_blocking(in_turn).await.map_err(|error| {
            tracing::error!(%error, "a request panicked");
            ReadError::Failed
        })
    }

    /// Whether an operation of the request is a subscription; an answer where it is no request at all.
    pub fn is_subscription(&self, request: &Request) -> Result<bool, String> {
        let document = self
            .inner
            .checks
            .document(&self.inner.limits, request)
            .map_err(|error| finish(Response::from_errors(vec![error]), None))?;
        let operation_name = request.operation_name.as_deref();
        let named = |name: Option<&str>| operation_name.is_none() || operation_name == name;
        let found = document.parsed.operations.iter().find(|(name, _)| named(name.map(async_graphql::Name::as_str)));
        Ok(found.is_some_and(|(_, operation)| operation.node.ty == OperationType::Subscription))
    }

    /// The newest log position of what the caller may read; `None` where it cannot be told now.
    pub async fn newest(&self, caller: Caller) -> Option<i64> {
        let asker = caller.asker;
        let read = move |inner: &Inner, gone| {
            let snapshot = inner.snapshot(gone).ok()?;
            snapshot.read(|conn| event::newest(conn, caller.apps.as_deref())).ok().map(|(seq, _)| seq)
        };
        self.in_turn(asker, read).await.ok().flatten()
    }

    /// Whether what the caller may read goes up to a log position, or the delivery of that position repeats an event that
    /// the caller may read; `None` where that cannot be told now.
    pub async fn has_reached(&self, caller: Caller, position: i64) -> Option<bool> {
        let asker = caller.asker;
        let read = move |inner: &Inner, gone| {
            let snapshot = inner.snapshot(gone).ok()?;
            snapshot.read(|conn| event::has_reached(conn, caller.apps.as_deref(), position)).ok()
        };
        self.in_turn(asker, read).await.ok().flatten()
    }

    /// Whether the file has heard of an app; `None` where it cannot be told now.
    pub async fn has_app(&self, app_id: String) -> Option<bool> {
        let read = move |inner: &Inner, gone| {
            let snapshot = inner.snapshot(gone).ok()?;
            snapshot.read(|conn| app::all(conn, Some(&[app_id]))).ok().map(|found| !found.is_empty())
        };
        self.in_turn(Asker::default(), read).await.ok().flatten()
    }

    /// The answer to who asked for a log position that was not reached in time.
    pub fn behind(&self, position: i64) -> String {
        let message = format!("log position {position} was not reached in time: ask again in a moment");
        refusal(Code::Timeout, &message)
    }

    /// The answer to who has too much running.
    pub fn busy(&self, why: &str) -> String {
        refusal(Code::Busy, why)
    }

    /// What was measured of requests since the start, those with other limits over the same readers among them.
    pub fn meters(&self) -> &Meters {
        &self.inner.meters
    }

    /// How many requests have a reader, and how many wait for one.
    pub fn load(&self) -> (usize, usize) {
        self.inner.turns.load()
    }

    /// Requests checked against the schema so far, for tests: one with a known document is not.
    #[doc(hidden)]
    pub fn checks(&self) -> u64 {
        self.inner.checks.count()
    }

    /// SQL statements run so far, for tests: their number must not grow with the rows.
    #[doc(hidden)]
    pub fn statements(&self) -> u64 {
        self.inner.statements.load(Ordering::Relaxed)
    }

    /// Bytes that rows have brought into memory so far, for tests.
    #[doc(hidden)]
    pub fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn answer(&self, mut request: Request, caller: Caller, gone: Arc<AtomicBool>) -> String {
        let span = tracing::debug_span!("graphql", seq = Empty, cost = Empty).entered();
        let document = match self.checks.document(&self.limits, &request) {
            Ok(document) => document,
            Err(error) => return finish(Response::from_errors(vec![error]), None),
        };
        let (asking, mut shown) = match self.asking(caller, gone, Some(&document)) {
            Ok(opened) => opened,
            Err(error) => {
                let (code, message) = describe(error);
                return refusal(code, message);
            }
        };
        let before = (statements(), bytes_read());
        let checked = self.checks.cost(&request, &document, &asking);
        let cost = *checked.as_ref().unwrap_or_else(|(cost, _)| cost);
        self.meters.costs.observe(cost as f64);
        span.record("seq", shown.seq).record("cost", cost as i64);
        (shown.cost, request) = match checked {
            Ok(cost) => (cost, request),
            Err((cost, errors)) => return finish(Response::from_errors(errors), Some(Shown { cost, ..shown })),
        };
        request.set_parsed_query(document.parsed.clone());
        let response = block_on(self.schema.execute(request.data(Arc::clone(&asking))), &asking)
            .unwrap_or_else(|error| Response::from_errors(vec![error]));
        self.statements.fetch_add(statements() - before.0, Ordering::Relaxed);
        self.bytes.fetch_add(bytes_read() - before.1, Ordering::Relaxed);
        if let Some(error) = asking.ended() {
            return finish(Response::from_errors(vec![error]), Some(shown));
        }
        let answer = finish(response, Some(shown));
        if answer.len() > self.limits.answer_bytes {
            let most = self.limits.answer_bytes;
            let error = Code::TooComplex.server_error(format!("the answer has more than {most} bytes: ask for less"));
            return finish(Response::from_errors(vec![error]), Some(shown));
        }
        answer
    }
}

impl Inner {
    /// Counts what is read on this thread.
    pub(super) fn counted<T>(&self, read: impl FnOnce() -> T) -> T {
        let before = (statements(), bytes_read());
        let done = read();
        self.statements.fetch_add(statements() - before.0, Ordering::Relaxed);
        self.bytes.fetch_add(bytes_read() - before.1, Ordering::Relaxed);
        done
    }

    fn snapshot(&self, gone: Arc<AtomicBool>) -> Result<Snapshot, ReadError> {
        let amount = Amount { rows: self.limits.rows, bytes: self.limits.bytes };
        Snapshot::open(&self.pool, self.limits.timeout, amount, gone)
    }

    /// A fresh snapshot for a request, and what its answers show.
    pub(super) fn asking(
        &self,
        caller: Caller,
        gone: Arc<AtomicBool>,
        document: Option<&Document>,
    ) -> Result<(Arc<Asking>, Shown), ReadError> {
        let snapshot = self.snapshot(gone)?;
        let (seq, received_at) = snapshot.read(|conn| event::newest(conn, caller.apps.as_deref()))?;
        let shown = Shown {
            seq,
            received_at,
            log_read_at: self.host.get().and_then(|host| host.log_read_at()),
            fold_version: snapshot.fold_version(),
            cost: 0,
            most: self.limits.complexity,
        };
        let mut asking = Asking::new(snapshot, seq, caller, Arc::clone(&self.computed), self.turns.clone());
        asking.host = self.host.get().cloned();
        asking.page = self.limits.page;
        asking.answer_bytes = self.limits.answer_bytes;
        asking.unread = self.limits.unread;
        asking.show_private = Arc::clone(&self.limits.show_private);
        asking.keys_are_distinct = document.is_some_and(|document| document.keys_are_distinct);
        Ok((Arc::new(asking), shown))
    }
}

/// Set when the request is dropped before its answer: the client is gone, and reading stops.
#[derive(Default)]
struct HangUp(Arc<AtomicBool>);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
