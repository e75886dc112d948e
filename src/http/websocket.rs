//! `GET /graphql`: the websocket protocol `graphql-transport-ws`. Nothing is kept of a subscription but its position: it
//! holds no connection to the file between two batches.

use super::changes::{KEEP_ALIVE, PATIENCE, rest};
use super::graphql::{Ask, wait_for};
use super::seats::{Full, Seat, Stranger, Subscribing};
use super::tokens::{Access, LOOK};
use super::{Shared, access, either, problem};
use crate::graphql::Caller;
use actix_web::guard::GuardContext;
use actix_web::http::StatusCode;
use actix_web::http::header::UPGRADE;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Session};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const PROTOCOL: &str = "graphql-transport-ws";
/// Longest message of a client's.
const MESSAGE: usize = 64 << 10;
/// The client says hello within this time.
const HELLO: Duration = Duration::from_secs(5);
const FORBIDDEN: Closing = Closing(4403, "Forbidden");

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    ConnectionInit { payload: Option<Value> },
    Ping { payload: Option<Value> },
    Pong {},
    Subscribe { id: String, payload: Ask },
    Complete { id: String },
}

/// Why a socket is closed, in the protocol's numbers.
struct Closing(u16, &'static str);

impl From<Full> for Closing {
    fn from(full: Full) -> Self {
        match full {
            Full::All => Self(1013, full.why()),
            Full::Token => Self(4429, full.why()),
        }
    }
}

/// Whether a request asks for a websocket, and for nothing else that `Upgrade` may name.
pub(super) fn is_wanted(ctx: &GuardContext<'_>) -> bool {
    let named = |names: &str| names.split(',').any(|name| name.trim().eq_ignore_ascii_case("websocket"));
    ctx.head().headers.get_all(UPGRADE).any(|value| value.to_str().is_ok_and(named))
}

/// Upgrades to a websocket.
pub(super) async fn get(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    either(upgrade(&request, payload, shared).await)
}

async fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, HttpResponse> {
    // A browser cannot send the header: with tokens in the file the first message may bring one instead.
    let access = match access::of_asker(request, &shared) {
        Ok(access) => Some(access),
        Err(_) if shared.tokens.are_needed() => None,
        Err(refusal) => return Err(refusal),
    };
    let offered = request.headers().get_all("Sec-WebSocket-Protocol").filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|names| names.split(',')).any(|name| name.trim() == PROTOCOL) {
        return Err(problem::of(StatusCode::BAD_REQUEST, "Sec-WebSocket-Protocol: expected graphql-transport-ws"));
    }
    let seat = access.as_ref().map(|access| Seat::take(&shared, access)).transpose().map_err(Full::problem)?;
    let stranger = seat.is_none().then(|| Stranger::enter(&shared));
    let (response, session, stream) = actix_ws::handle_with_protocols(request, payload, &[PROTOCOL])
        .map_err(|error| problem::of(StatusCode::BAD_REQUEST, &format!("no websocket handshake: {error}")))?;
    let address = access::address(request, &shared);
    let stream = stream.max_frame_size(MESSAGE).aggregate_continuations().max_continuation_size(MESSAGE);
    actix_web::rt::spawn(async move {
        let closer = session.clone();
        let mut socket = Socket {
            session,
            shared,
            address,
            seat,
            stranger,
            access,
            operations: HashMap::new(),
            subscriptions: Arc::default(),
            greeted: false,
        };
        let closing = socket.run(stream).await;
        socket.operations.into_values().for_each(|running| running.task.abort());
        if let Some(Closing(code, why)) = closing {
            let reason = CloseReason { code: CloseCode::Other(code), description: Some(why.to_owned()) };
            // Who does not read hears no reason either.
            let _ = timeout(PATIENCE, closer.close(Some(reason))).await;
        }
    });
    Ok(response)
}

struct Socket {
    session: Session,
    shared: web::Data<Shared>,
    address: IpAddr,
    /// `None` until a token is shown.
    seat: Option<Seat>,
    stranger: Option<Stranger>,
    /// What may be seen; `None` until a token says it.
    access: Option<Access>,
    operations: HashMap<String, Running>,
    /// How many of them are subscriptions.
    subscriptions: Arc<AtomicUsize>,
    greeted: bool,
}

impl Socket {
    /// Until the client goes, or has to.
    async fn run(&mut self, mut stream: actix_ws::AggregatedMessageStream) -> Option<Closing> {
        let opened = Instant::now();
        let mut heard = opened;
        let mut stopping = self.shared.stopping.subscribe();
        let mut ticks = tokio::time::interval_at(opened + HELLO, KEEP_ALIVE);
        let mut looks = tokio::time::interval(LOOK);
        let displaced = self.stranger.as_ref().map(Stranger::displaced);
        loop {
            let message = tokio::select! {
                message = stream.recv() => message,
                _ = stopping.changed() => return Some(Closing(1001, "the server is stopping")),
                _ = looks.tick() => {
                    if self.access.as_ref().is_some_and(|access| !access.is_still_valid()) {
                        return Some(FORBIDDEN);
                    }
                    continue;
                }
                () = told(displaced.as_deref()), if self.stranger.is_some() => {
                    return Some(Closing(1013, "too many wait to say who they are: try again later"));
                }
                _ = ticks.tick() => {
                    if !self.greeted {
                        return Some(Closing(4408, "Connection initialisation timeout"));
                    }
                    if heard.elapsed() > KEEP_ALIVE * 2 || timeout(PATIENCE, self.session.ping(b"")).await.is_err() {
                        return Some(Closing(4429, "the client does not read: go on with afterSeq"));
                    }
                    continue;
                }
            };
            heard = Instant::now();
            match message? {
                Ok(AggregatedMessage::Text(text)) => match serde_json::from_str(&text) {
                    Ok(said) => {
                        if let Err(closing) = self.hear(said).await {
                            return Some(closing);
                        }
                    }
                    Err(_) => return Some(Closing(4400, "expected a message of graphql-transport-ws")),
                },
                Ok(AggregatedMessage::Ping(bytes)) => self.session.pong(&bytes).await.ok()?,
                Ok(AggregatedMessage::Pong(_)) => {}
                Ok(AggregatedMessage::Binary(_)) => return Some(Closing(4400, "expected text")),
                Ok(AggregatedMessage::Close(_)) => return Some(Closing(1000, "")),
                Err(_) => return Some(Closing(1009, "messages may have at most 64 KiB")),
            }
        }
    }

    async fn hear(&mut self, said: Said) -> Result<(), Closing> {
        match said {
            Said::ConnectionInit { .. } if self.greeted => Err(Closing(4429, "Too many initialisation requests")),
            Said::ConnectionInit { payload } => {
                if let Some(token) = payload.as_ref().and_then(token).filter(|_| self.shared.tokens.are_needed()) {
                    self.access = self.shared.tokens.check(token, self.address);
                    self.seat = None;
                }
                let Some(access) = &self.access else { return Err(FORBIDDEN) };
                if self.seat.is_none() {
                    self.seat = Some(Seat::take(&self.shared, access)?);
                }
                self.stranger = None;
                self.greeted = true;
                self.say(&json!({ "type": "connection_ack" })).await
            }
            Said::Ping { payload } => self.say(&json!({ "type": "pong", "payload": payload })).await,
            Said::Pong {} => Ok(()),
            Said::Complete { id } => {
                if let Some(running) = self.operations.remove(&id) {
                    running.task.abort();
                }
                Ok(())
            }
            Said::Subscribe { .. } if !self.greeted => Err(Closing(4401, "Unauthorized")),
            Said::Subscribe { id, payload } => {
                self.operations.retain(|_, running| !running.has_ended());
                if self.operations.contains_key(&id) {
                    return Err(Closing(4409, "Subscriber for this id already exists"));
                }
                if self.operations.len() >= self.shared.config.graphql.operations {
                    return Err(Closing(4429, "Too many operations on one socket"));
                }
                let Some(access) = self.access.clone() else { return Err(FORBIDDEN) };
                let operation = Operation {
                    id: id.clone(),
                    session: self.session.clone(),
                    shared: self.shared.clone(),
                    access,
                    subscriptions: Arc::clone(&self.subscriptions),
                    ended: Arc::default(),
                };
                let ended = Arc::clone(&operation.ended);
                let task = self.shared.feeds.spawn(operation.run(payload));
                self.operations.insert(id, Running { task, ended });
                Ok(())
            }
        }
    }

    async fn say(&mut self, message: &Value) -> Result<(), Closing> {
        match timeout(PATIENCE, self.session.text(message.to_string())).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Closing(4429, "the client does not read: go on with afterSeq")),
        }
    }
}

/// An operation that was begun.
struct Running {
    task: JoinHandle<()>,
    ended: Arc<AtomicBool>,
}

impl Running {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.task.is_finished()
    }
}

/// One query or subscription.
struct Operation {
    id: String,
    session: Session,
    shared: web::Data<Shared>,
    access: Access,
    subscriptions: Arc<AtomicUsize>,
    /// Set before the client is told of the end: the client may use the id again at once.
    ended: Arc<AtomicBool>,
}

impl Operation {
    fn caller(&self) -> Caller {
        self.access.caller(self.shared.config.default_app.clone())
    }

    async fn run(mut self, ask: Ask) {
        // Nothing is lost where it is cut short: the client goes on with the position it saw last.
        if self.answer(ask).await.is_none() {
            let reason = CloseReason {
                code: CloseCode::Other(4429),
                description: Some("the client does not read: go on with afterSeq".to_owned()),
            };
            let _ = timeout(PATIENCE, self.session.close(Some(reason))).await;
        }
    }

    /// `None` where the client does not read.
    async fn answer(&mut self, ask: Ask) -> Option<()> {
        let asked = match ask.clone().asked() {
            Ok(asked) => asked,
            Err(problem) => return self.fail(json!([{ "message": problem }])).await,
        };
        if let Some(position) = asked.min_seq
            && wait_for(&self.shared, position, &self.access).await.is_err()
        {
            return self.fail(errors(&self.shared.api.behind(position))).await;
        }
        let request = match asked.request(&self.shared) {
            Ok(request) => request,
            Err(refusal) => return self.fail(errors(&refusal)).await,
        };
        match self.shared.api.is_subscription(&request) {
            Err(answer) => self.fail(errors(&answer)).await,
            Ok(false) => {
                let answer = self.shared.api.execute_text(request, self.caller()).await;
                // Not executed: that ends the operation.
                if !answer.starts_with("{\"data\"") {
                    return self.fail(errors(&answer)).await;
                }
                self.next(&answer).await?;
                self.complete().await
            }
            Ok(true) => match Subscribing::begin(&self.subscriptions, &self.shared, &self.access) {
                Ok(_subscribing) => self.follow(&ask).await,
                Err(full) => self.fail(errors(&self.shared.api.busy(full.why()))).await,
            },
        }
    }

    async fn follow(&mut self, ask: &Ask) -> Option<()> {
        let follower = self.shared.api.follow(None);
        let mut stopping = self.shared.stopping.subscribe();
        loop {
            let request = ask.clone().asked().and_then(|asked| asked.request(&self.shared));
            let (Ok(request), true) = (request, self.access.is_still_valid()) else { return self.complete().await };
            let batch = {
                let _turn = self.shared.feeds.turn().await;
                self.shared.api.next_changes(request, self.caller(), &follower).await
            };
            for answer in &batch.items {
                self.next(answer).await?;
            }
            if let Some(answer) = batch.error {
                return self.fail(errors(&answer)).await;
            }
            if !rest(&follower, batch.is_stuck, &mut stopping).await {
                return self.complete().await;
            }
        }
    }

    async fn next(&mut self, answer: &str) -> Option<()> {
        self.say(format!(r#"{{"id":{},"type":"next","payload":{answer}}}"#, json!(self.id))).await
    }

    async fn fail(&mut self, errors: Value) -> Option<()> {
        self.shared.api.meters().count_refusal(&errors);
        self.ended.store(true, Ordering::Release);
        self.say(json!({ "id": self.id, "type": "error", "payload": errors }).to_string()).await
    }

    async fn complete(&mut self) -> Option<()> {
        self.ended.store(true, Ordering::Release);
        self.say(json!({ "id": self.id, "type": "complete" }).to_string()).await
    }

    async fn say(&mut self, message: String) -> Option<()> {
        timeout(PATIENCE, self.session.text(message)).await.ok().map(|_| ())
    }
}

async fn told(displaced: Option<&Notify>) {
    match displaced {
        Some(displaced) => displaced.notified().await,
        None => std::future::pending().await,
    }
}

/// The token in the first message: `{"Authorization": "Bearer …"}`, the name in any case.
fn token(payload: &Value) -> Option<&str> {
    let (_, value) = payload.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    let (scheme, token) = value.as_str()?.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("bearer ").then_some(token)
}

fn errors(answer: &str) -> Value {
    serde_json::from_str(answer).map_or(Value::Null, |mut answer: Value| answer["errors"].take())
}
