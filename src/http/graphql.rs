//! `/graphql`: GraphQL over HTTP. A POST asks in its body, a GET in its address.

use super::tokens::Access;
use super::{Shared, access, body, cors, either, problem};
use crate::cluster::Intake;
use crate::graphql::{Asker, Caller, Code, Persisted};
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A body holds variables and a document, whose line breaks and quotes JSON doubles.
const BODY_BESIDE: usize = 32 << 10;
const MIN_SEQ: &str = "chatfold-min-seq";
const NEWER: &str = "application/graphql-response+json";
const VARIABLES_LIMIT: usize = 32 << 10;
const VARIABLES_COUNT: usize = 512;
const NO_QUERY: &str = "there is no query: expected ?query=… in the address, or a POST; a browser gets GraphiQL";

/// Between two looks for a position that others' deliveries went beyond.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// So many of those who wait look at the same time: thousands who wait take no reader from others.
static LOOKS: Semaphore = Semaphore::const_new(2);

/// What may be in a request. Unknown keys are left alone, as the specification asks.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ask {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<serde_json::Map<String, Value>>,
    extensions: Option<Extensions>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    min_seq: Option<Value>,
    persisted_query: Option<Persisted>,
}

/// A request as it came.
pub(super) struct Asked {
    query: Option<String>,
    persisted: Option<Persisted>,
    operation_name: Option<String>,
    variables: async_graphql::Variables,
    /// The log position that the answer must show.
    pub(super) min_seq: Option<i64>,
}

/// What may be in an address: the same, as JSON where it is no text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InAddress {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Answers one request.
pub(super) async fn answer(request: HttpRequest, mut payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    shared.metrics.graphql_requests.fetch_add(1, Ordering::Relaxed);
    let mut response = either(answered(&request, &mut payload, &shared).await);
    cors::mark(&request, &shared, &mut response);
    body::closing(response, payload)
}

async fn answered(
    request: &HttpRequest,
    payload: &mut web::Payload,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    let access = access::of_asker(request, shared)?;
    // Held until the answer, as the body is.
    let mut share = shared.graphql_budget.share(Some(access.asker().party()));
    let asked = match *request.method() {
        Method::POST => {
            body::expect_json(request.headers())?;
            let limit = BODY_BESIDE + 2 * shared.config.graphql.document_bytes;
            parse(&body::read(request.headers(), payload, limit, &mut share).await?)
        }
        _ => in_address(request.query_string()),
    };
    let bad = |detail: String| problem::of(StatusCode::BAD_REQUEST, &detail);
    let asked = asked.map_err(bad)?;
    let min_seq = in_header(request).map_err(bad)?.or(asked.min_seq);
    let reached = match min_seq {
        Some(position) => wait_for(shared, position, &access).await,
        None => Ok(()),
    };
    // The body may have taken seconds to come, and the position too.
    if !access.is_still_valid() {
        return Err(access::unauthorized());
    }
    let answer = match reached {
        Ok(()) => match asked.request(shared) {
            Ok(request) => shared.api.execute_text(request, access.caller(shared.config.default_app.clone())).await,
            Err(refusal) => refusal,
        },
        Err(position) => shared.api.behind(position),
    };
    let answer_type = answer_type(request);
    let is_executed = answer.starts_with("{\"data\"");
    let refusal = || serde_json::from_str(&answer).unwrap_or_default();
    let is_busy = !is_executed && shared.api.meters().count_refusal(&refusal()) == Some(Code::Busy);
    // The newer type tells by its status that a request was not executed.
    let status = match answer_type {
        NEWER if is_busy => StatusCode::SERVICE_UNAVAILABLE,
        NEWER if !is_executed => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, answer_type)).insert_header((CACHE_CONTROL, "no-store"));
    if is_busy {
        response.insert_header((RETRY_AFTER, "1"));
    }
    Ok(response.body(answer))
}

/// Until the file shows that position to this reader; the position, where that takes too long.
pub(super) async fn wait_for(shared: &Shared, position: i64, access: &Access) -> Result<(), i64> {
    let reached = reached(shared, position, access);
    match tokio::time::timeout(shared.config.graphql.wait, reached).await {
        Ok(Some(())) => Ok(()),
        _ => Err(position),
    }
}

/// `None` where the server stops.
async fn reached(shared: &Shared, position: i64, access: &Access) -> Option<()> {
    let mut seq = shared.seq.clone();
    if let Some(mut folded) = shared.intake.as_ref().and_then(Intake::positions) {
        folded.wait_for(|folded| *folded >= position).await.ok()?;
    } else {
        let is_unfinished = || shared.writer.as_ref().is_some_and(|writer| writer.is_unfinished(position));
        seq.wait_for(|seq| *seq >= position && !is_unfinished()).await.ok()?;
    }
    // Who may read some apps does not learn by waiting how far the log is: their own newest position has to get there.
    while !access.is_of_all_apps() {
        let look = LOOKS.acquire().await.ok()?;
        // In a turn of the server's: those who look wait for no other request of their tokens.
        let caller = Caller { asker: Asker::default(), ..access.caller(None) };
        let reached = shared.api.has_reached(caller, position).await;
        drop(look);
        match reached {
            Some(true) => break,
            Some(false) => seq.changed().await.ok()?,
            None => {}
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Some(())
}

pub(super) fn in_header(request: &HttpRequest) -> Result<Option<i64>, String> {
    let Some(value) = request.headers().get(MIN_SEQ) else { return Ok(None) };
    value.to_str().ok().and_then(position).map(Some).ok_or_else(|| "Chatfold-Min-Seq must be a log position".into())
}

fn position(text: &str) -> Option<i64> {
    text.parse().ok().filter(|position| *position >= 0)
}

fn parse(body: &[u8]) -> Result<Asked, String> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err("one request at a time: batches are not taken".into());
    }
    let ask: Ask = serde_json::from_slice(body).map_err(|error| {
        // The parser's own words may quote the body; where it is wrong is enough.
        format!(
            "the body must be a JSON object with query, operationName, variables: wrong at line {}, column {}",
            error.line(),
            error.column()
        )
    })?;
    ask.asked()
}

fn in_address(address: &str) -> Result<Asked, String> {
    let found = web::Query::<InAddress>::from_query(address)
        .map_err(|_| "query, operationName, variables and extensions may each be in the address once")?;
    let InAddress { query, operation_name, variables, extensions } = found.into_inner();
    let (query, extensions) = (told(query), json("extensions", extensions)?);
    if query.is_none() && extensions.is_none() {
        return Err(NO_QUERY.into());
    }
    let operation_name = told(operation_name);
    Ask { query, operation_name, variables: json("variables", variables)?, extensions }.asked()
}

/// What stands in the address without a value is not told.
fn told(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn json<T: DeserializeOwned>(name: &str, text: Option<String>) -> Result<Option<T>, String> {
    let Some(text) = told(text) else { return Ok(None) };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|_| format!("{name} in the address must be a JSON object, percent-encoded"))
}

impl Ask {
    /// What is asked, within its limits.
    pub(super) fn asked(self) -> Result<Asked, String> {
        let extensions = self.extensions.unwrap_or_default();
        let query = self.query.filter(|it| !it.is_empty());
        if query.is_none() && extensions.persisted_query.is_none() {
            return Err("there is no query".into());
        }
        let variables = Value::Object(self.variables.unwrap_or_default());
        if variables.as_object().is_some_and(|it| it.len() > VARIABLES_COUNT)
            || variables.to_string().len() > VARIABLES_LIMIT
        {
            return Err(format!("variables may have at most {VARIABLES_LIMIT} bytes and {VARIABLES_COUNT} names"));
        }
        let min_seq = match extensions.min_seq {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(position(&text).ok_or("extensions.minSeq must be a log position")?),
            Some(other) => Some(position(&other.to_string()).ok_or("extensions.minSeq must be a log position")?),
        };
        Ok(Asked {
            query,
            persisted: extensions.persisted_query,
            operation_name: self.operation_name,
            variables: async_graphql::Variables::from_json(variables),
            min_seq,
        })
    }
}

impl Asked {
    /// The request, once its document is found; the refusal where it is not.
    pub(super) fn request(self, shared: &Shared) -> Result<async_graphql::Request, String> {
        let document = shared.documents.find(self.query, self.persisted)?;
        let mut request = async_graphql::Request::new(document).variables(self.variables);
        request.operation_name = self.operation_name;
        Ok(request)
    }
}

/// The newer type for those who name it.
fn answer_type(request: &HttpRequest) -> &'static str {
    let named = |accept: &str| {
        accept.split(',').any(|it| it.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case(NEWER)))
    };
    let accepted = request.headers().get_all(ACCEPT).any(|it| it.to_str().is_ok_and(named));
    if accepted { NEWER } else { "application/json" }
}
