//! Runs one request: checks, one snapshot, one thread, one answer.

use super::context::{Asking, Caller};
use super::cost::Cost;
use super::error::{Code, complete, describe, is_request_error, once_a_field};
use super::limits::{INTROSPECTION_DEPTH, Limits};
use super::query::Query;
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use crate::store::StoreError;
use crate::store::sqlite::read::event::newest_received;
use crate::store::sqlite::read::{Snapshot, statements};
use crate::store::sqlite::{Pool, open_pool};
use async_graphql::{EmptyMutation, EmptySubscription, Request, Response, Schema, ServerError, value};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

type Chatfold = Schema<Query, EmptyMutation, EmptySubscription>;

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
}

/// The schema in GraphQL's own language.
pub fn sdl() -> String {
    schema(&Limits::default()).sdl_with_options(async_graphql::SDLExportOptions::new().include_specified_by())
}

fn schema(limits: &Limits) -> Chatfold {
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription)
        .limit_depth(limits.depth.max(INTROSPECTION_DEPTH) as usize)
        .limit_directives(limits.directives)
        .extension(Cost { most: limits.complexity })
        .disable_suggestions();
    let schema = if limits.introspection { schema } else { schema.disable_introspection() };
    schema.finish()
}

impl Api {
    /// Opens the file for reading. Fails where it is not ours or of another edition.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let pool = open_pool(path, limits.pool)?;
        let schema = schema(&limits);
        Ok(Self { inner: Arc::new(Inner { schema, pool, limits, statements: AtomicU64::new(0) }) })
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

    /// The answer to who asked for a log position that was not reached in time.
    pub fn behind(&self, position: i64) -> String {
        let message = format!("log position {position} was not reached in time: ask again in a moment");
        refusal(Code::Timeout, &message)
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
        let opened = Snapshot::open(&self.pool, self.limits.timeout, gone).and_then(|snapshot| {
            let received_at = snapshot.read(|conn| newest_received(conn, caller.apps.as_deref()))?;
            Ok((snapshot, received_at))
        });
        let (snapshot, received_at) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let (code, message) = describe(error);
                return refusal(code, message);
            }
        };
        let mut shown = Shown {
            seq: snapshot.seq(),
            received_at,
            fold_version: snapshot.fold_version(),
            cost: 0,
            most: self.limits.complexity,
        };
        let before = statements();
        let mut asking = Asking::new(snapshot, caller);
        asking.page = self.limits.page;
        let asking = Arc::new(asking);
        let response = block_on(self.schema.execute(request.data(Arc::clone(&asking))), &asking);
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
    seq: i64,
    /// Arrival of the newest event, of those apps that the caller may read.
    received_at: Option<Time>,
    /// Edition of the fold that made the tables; where it is another than ours they are being made anew.
    fold_version: i64,
    /// What the request cost, and the most it may.
    cost: usize,
    most: usize,
}

/// Sets what every answer carries, and trims its errors.
fn finish(mut response: Response, shown: Option<Shown>) -> String {
    once_a_field(&mut response.errors);
    response.errors.truncate(10);
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
fn block_on(request: impl Future<Output = Response>, asking: &Asking) -> Response {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut request = pin!(request);
    loop {
        flag.0.store(false, Ordering::Relaxed);
        if let Poll::Ready(response) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
            return response;
        }
        if asking.snapshot.is_late() {
            let (code, message) = describe(crate::store::sqlite::read::ReadError::Timeout);
            return Response::from_errors(vec![code.server_error(message)]);
        }
        if !flag.0.load(Ordering::Relaxed) && !asking.loaders.flush(&asking.snapshot) {
            tracing::error!("a request waits for nothing");
            return Response::from_errors(vec![Code::Internal.server_error("the request stopped")]);
        }
    }
}
