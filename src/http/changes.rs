//! The change feed: `GET /changes` as Server-Sent Events, and what both ways of following it share.

use super::seats::{Full, Seat};
use super::tokens::Access;
use super::{Shared, access, cors, either, problem};
use crate::graphql::{ChangeFilter, Changes, Code, Decoded, Ended, Follower, ReceiverType};
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

/// Rests until there is a batch for a follower, and a little longer if nothing could be read; false once the server stops.
pub(super) async fn rest(follower: &Follower, is_stuck: bool, stopping: &mut watch::Receiver<bool>) -> bool {
    let called = async {
        if is_stuck {
            tokio::time::sleep(PAUSE).await;
        }
        follower.called().await;
    };
    tokio::select! {
        biased;
        _ = stopping.wait_for(|is_stopping| *is_stopping) => false,
        () = called => true,
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
    // Whether there is an app tells only who may read it.
    let may_read = |app: &String| access.caller(None).may_read(app);
    if let Some(named) = question.app_id.clone().filter(may_read) {
        let _turn = shared.feeds.turn().await;
        if shared.api.has_app(named).await == Some(false) {
            return Err(problem::of(StatusCode::NOT_FOUND, "appId: this file has heard of no such app"));
        }
    }
    let following = Following {
        shared: shared.clone(),
        follower: shared.api.follow(last),
        app_id: question.app_id,
        filter,
        access: access.clone(),
    };
    // What is wrong with the question is answered as a problem, not as an event.
    let first = following.next().await;
    if let Some(ended) = &first.error {
        return Err(problem::of(status(ended.code), &ended.message));
    }
    let (sender, receiver) = mpsc::channel(1);
    if request.method() == Method::HEAD {
        drop(sender);
        return Ok(stream(receiver));
    }
    shared.feeds.spawn(async move {
        let _seat = seat;
        tokio::select! {
            () = following.send_all(first, &sender) => {}
            // On a quiet log too, and while the client does not read.
            () = access.ended() => {}
        }
    });
    Ok(stream(receiver))
}

/// A stream of events, and whose it is.
struct Following {
    shared: web::Data<Shared>,
    follower: Arc<Follower>,
    app_id: Option<String>,
    filter: ChangeFilter,
    access: Access,
}

type Batch = Changes<Arc<Decoded>, Ended>;

impl Following {
    /// A turn at the readers is for those who read the file.
    async fn next(&self) -> Batch {
        let Self { shared, follower, app_id, filter, access } = self;
        let _turn = if follower.is_behind() { shared.feeds.turn().await } else { None };
        let caller = access.caller(shared.config.default_app.clone());
        shared.api.next_events(app_id.clone(), filter.clone(), caller, follower).await
    }

    /// Until the client goes, or has to.
    async fn send_all(&self, first: Batch, sender: &mpsc::Sender<String>) {
        let mut stopping = self.shared.stopping.subscribe();
        let mut batch = first;
        loop {
            if let Some(ended) = batch.error {
                let _ = send(sender, format!("event: error\ndata: {}\n\n", serde_json::json!(ended.message))).await;
                return;
            }
            for change in &batch.items {
                if !send(sender, format!("id: {}\ndata: {}\n\n", change.seq, change.json())).await {
                    return;
                }
            }
            loop {
                let rest = rest(&self.follower, batch.is_stuck, &mut stopping);
                match tokio::time::timeout(KEEP_ALIVE, rest).await {
                    Ok(true) if self.access.is_still_valid() => break,
                    Ok(_) => return,
                    Err(_) if send(sender, ": still here\n\n".to_owned()).await => {}
                    Err(_) => return,
                }
            }
            batch = self.next().await;
        }
    }
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
