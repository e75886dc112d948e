//! The change feed: `GET /changes` as Server-Sent Events, and what both ways of following it share.

use super::seats::{Full, Seat};
use super::{Shared, access, cors, either, problem};
use crate::graphql::{ChangeFilter, Code, Position, ReceiverType};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_core::Stream;
use serde::Deserialize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Who does not read for so long is cut off; with the last position it goes on where it was.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two signs of life.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After a batch that could not be read for now.
const PAUSE: Duration = Duration::from_millis(200);

/// Waits for the next commit; false once there is none to wait for.
pub(super) struct Waker {
    seq: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
}

impl Waker {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { seq: shared.seq.clone(), stopping: shared.stopping.subscribe() }
    }

    /// What is committed from here on wakes; call before reading.
    pub(super) fn mark(&mut self) {
        self.seq.mark_unchanged();
    }

    /// Rests after a batch: not at all if there is more to read, a little if it could not be read, else until a commit.
    pub(super) async fn rest(&mut self, moved: bool, behind: bool) -> bool {
        if *self.stopping.borrow() {
            return false;
        }
        match (behind, moved) {
            (true, true) => true,
            (true, false) => {
                tokio::time::sleep(PAUSE).await;
                true
            }
            (false, _) => {
                tokio::select! {
                    woken = self.seq.changed() => woken.is_ok(),
                    _ = self.stopping.changed() => false,
                }
            }
        }
    }
}

/// What may follow the path. A client that reconnects says the last position by `Last-Event-ID`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Question {
    app_id: Option<String>,
    after_seq: Option<i64>,
    /// Divided by commas.
    triggers: Option<String>,
    guid: Option<String>,
    uid: Option<String>,
    conversation_id: Option<String>,
    receiver_type: Option<ReceiverType>,
}

/// Answers with a stream of events, each a change.
pub(super) async fn get(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    let mut response = either(answer(&request, &shared).await);
    cors::mark(&request, &shared, &mut response);
    response
}

async fn answer(request: &HttpRequest, shared: &web::Data<Shared>) -> Result<HttpResponse, HttpResponse> {
    let access = access::of_reader(request, shared)?;
    let bad = |detail: &str| problem::of(StatusCode::BAD_REQUEST, detail);
    let question = web::Query::<Question>::from_query(request.query_string()).map_err(|error| {
        bad(&format!(
            "expected appId, afterSeq (a log position), triggers, guid, uid, conversationId, receiverType (USER or GROUP): {error}"
        ))
    })?;
    let question = question.into_inner();
    let last = match request.headers().get("Last-Event-ID") {
        Some(last) => {
            let seq = last.to_str().ok().and_then(|text| text.trim().parse().ok());
            Some(seq.ok_or_else(|| bad("Last-Event-ID: expected a log position"))?)
        }
        None => question.after_seq,
    };
    let filter = ChangeFilter {
        triggers: question.triggers.map(|names| names.split(',').map(|name| name.trim().to_owned()).collect()),
        guid: question.guid,
        uid: question.uid,
        conversation_id: question.conversation_id,
        receiver_type: question.receiver_type,
    };
    let seat = Seat::take(shared, &access).map_err(Full::problem)?;
    let position = Arc::new(Position::at(last));
    let mut waker = Waker::new(shared);
    waker.mark();
    // What is wrong with the question is answered as a problem, not as an event.
    let caller = access.caller(shared.config.default_app.clone());
    let app_id = question.app_id;
    // Whether there is an app tells only who may read it.
    if let Some(named) = app_id.clone().filter(|app| caller.may_read(app)) {
        let _turn = shared.feeds.turn().await;
        if shared.api.has_app(named).await == Some(false) {
            return Err(problem::of(StatusCode::NOT_FOUND, "appId: this file has heard of no such app"));
        }
    }
    let first = {
        let _turn = shared.feeds.turn().await;
        shared.api.next_events(app_id.clone(), filter.clone(), caller.clone(), Arc::clone(&position)).await
    };
    if let Some(ended) = &first.error {
        return Err(problem::of(status(ended.code), &ended.message));
    }
    let (sender, receiver) = mpsc::channel(1);
    if request.method() == Method::HEAD {
        drop(sender);
        return Ok(stream(receiver));
    }
    let shared = shared.clone();
    let feeds = shared.feeds.clone();
    let valid = access.clone();
    let feed = async move {
        let mut batch = first;
        let mut before = last;
        loop {
            if let Some(ended) = batch.error {
                let _ = send(&sender, format!("event: error\ndata: {}\n\n", serde_json::json!(ended.message))).await;
                return;
            }
            for (seq, change) in &batch.items {
                if !send(&sender, format!("id: {seq}\ndata: {change}\n\n")).await {
                    return;
                }
            }
            let at = position.get();
            loop {
                let behind = at < Some(batch.seen);
                let rested = tokio::time::timeout(KEEP_ALIVE, waker.rest(at > before, behind)).await;
                match rested {
                    Ok(true) if valid.is_still_valid() => break,
                    Ok(_) => return,
                    Err(_) if send(&sender, ": still here\n\n".to_owned()).await => {}
                    Err(_) => return,
                }
            }
            before = at;
            waker.mark();
            let _turn = shared.feeds.turn().await;
            batch = shared.api.next_events(app_id.clone(), filter.clone(), caller.clone(), Arc::clone(&position)).await;
        }
    };
    feeds.spawn(async move {
        let _seat = seat;
        tokio::select! {
            () = feed => {}
            // On a quiet log too, and while the client does not read.
            () = access.ended() => {}
        }
    });
    Ok(stream(receiver))
}

/// An answer that goes on for as long as something is sent.
pub(super) fn stream(receiver: mpsc::Receiver<String>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(Events(receiver))
}

/// What a question that cannot be answered is answered with.
fn status(code: Code) -> StatusCode {
    match code {
        Code::BeforeHistory => StatusCode::GONE,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::Busy | Code::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// False once nobody reads.
pub(super) async fn send(sender: &mpsc::Sender<String>, event: String) -> bool {
    tokio::time::timeout(PATIENCE, sender.send(event)).await.is_ok_and(|sent| sent.is_ok())
}

/// What the task hands over, as a body.
struct Events(mpsc::Receiver<String>);

impl Stream for Events {
    type Item = Result<web::Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(event.into())))
    }
}
