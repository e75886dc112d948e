//! `POST /webhooks/cometchat`: one delivery in, 200 when it is durable.

use super::metrics::trigger_label;
use super::{Shared, access, auth, body, either, problem, proxies};
use crate::clock;
use crate::cluster::Taken;
use crate::envelope::Envelope;
use crate::writer::{LARGE_BODY, Refusal};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// A body of so many bytes is read on a thread that may block: other connections of the worker do not wait for it.
const BESIDE: usize = 64 << 10;
/// A large body whose turn has not come by then is refused: the vendor gives up after 2 s.
const TURN_WITHIN: Duration = Duration::from_millis(800);

const TOO_MANY_LARGE: &str = "too many large bodies came at once. Send the body again in a moment";

/// Takes one delivery.
pub(super) async fn post(request: HttpRequest, mut payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    let span =
        tracing::debug_span!("delivery", app = Empty, trigger = Empty, seq = Empty, outcome = Empty, status = Empty);
    let response = either(take(&request, &mut payload, &shared).instrument(span.clone()).await);
    // As a signed number: that is what a trace can hold.
    span.record("status", i64::from(response.status().as_u16()));
    shared.metrics.answered(response.status());
    body::closing(response, payload)
}

async fn take(
    request: &HttpRequest,
    payload: &mut web::Payload,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    let credentials = shared.credentials();
    let credential = admit(request, shared, &credentials)?;
    body::expect_json(request.headers())?;
    let Some(intake) = &shared.intake else { return Err(problem::unavailable(super::READ_ONLY)) };
    if shared.failed.load(Ordering::Acquire) {
        return Err(problem::unavailable("nothing can be written any more: the server is stopping"));
    }
    let mut share = shared.budget.share(None);
    let body = body::read(request.headers(), payload, shared.config.body_limit, &mut share).await?;

    let (received_at, begun) = (clock::now(), Instant::now());
    let (read, body) = if body.len() < BESIDE {
        (Envelope::received(&body), body)
    } else {
        // Many large bodies at once would take every core from the small ones.
        let turn = match body.len() < LARGE_BODY {
            true => None,
            false => Some(timeout(TURN_WITHIN, Arc::clone(&shared.large_bodies).acquire_owned()).await),
        };
        let turn = turn.transpose().map_err(|_| {
            shared.metrics.not_written.fetch_add(1, Ordering::Relaxed);
            problem::unavailable(TOO_MANY_LARGE)
        })?;
        let read = web::block(move || {
            // Kept to the end, though the sender may be gone.
            let _turn = turn;
            (Envelope::received(&body), body)
        });
        read.await.map_err(|_| problem::unavailable("the body could not be read: the server is stopping"))?
    };
    let envelope = match read {
        Ok(envelope) => {
            // The envelope holds the text, which may be large.
            drop(body);
            envelope
        }
        Err(problem) => {
            let detail = problem.to_string();
            tracing::warn!(
                problem = detail,
                bytes = body.len(),
                "refused a body that is not a delivery; `chatfold events --refused` lists it"
            );
            shared.metrics.refused.fetch_add(1, Ordering::Relaxed);
            intake.writer().refuse(received_at, detail.clone(), body).await;
            return Err(problem::of(StatusCode::BAD_REQUEST, &detail));
        }
    };
    if let Some(credential) = credential {
        if !credential.covers(&envelope.app_id) {
            tracing::warn!(
                credential = credential.name,
                app_id = short(&envelope.app_id),
                "refused a delivery: the credential may not send deliveries of this app"
            );
            return Err(problem::of(StatusCode::FORBIDDEN, "this credential may not send deliveries of this app"));
        }
        shared.metrics.authenticated(&credential.name, received_at);
    }
    let (app, trigger) = (envelope.app_id.clone(), trigger_label(&envelope.trigger));
    Span::current().record("app", short(&app)).record("trigger", trigger);
    let taken = intake.take(envelope, received_at).await;
    shared.metrics.deliveries.observe(begun.elapsed().as_secs_f64());
    match taken {
        Ok(taken) => Ok(answer(shared, &app, trigger, taken)),
        Err(Refusal::NotWritten(why)) => {
            shared.metrics.not_written.fetch_add(1, Ordering::Relaxed);
            Err(problem::unavailable(why))
        }
        Err(unknown @ Refusal::Unknown) => {
            shared.metrics.unknown.fetch_add(1, Ordering::Relaxed);
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(problem::builder(status)
                .insert_header((RETRY_AFTER, "1"))
                .insert_header(("Chatfold-Outcome", "unknown"))
                .body(problem::text(status, &unknown.to_string())))
        }
    }
}

/// Who posts, before anything of the body is read; `None` where no credentials are configured.
fn admit<'a>(
    request: &HttpRequest,
    shared: &Shared,
    credentials: &'a auth::Credentials,
) -> Result<Option<&'a auth::Credential>, HttpResponse> {
    if credentials.is_empty() {
        let missing = "configure webhook credentials to post from elsewhere";
        return access::local_only(request, missing).map(|()| None);
    }
    match credentials.check(request.headers()) {
        Ok(credential) => Ok(Some(credential)),
        Err(name) => {
            let peer = proxies::client(request, &shared.config.trusted_proxies).map(|ip| ip.to_string());
            tracing::info!(credential = name, peer, "refused a delivery without valid credentials");
            shared.metrics.auth_failed(name);
            Err(unauthorized())
        }
    }
}

/// The same bytes for every cause.
fn unauthorized() -> HttpResponse {
    let status = StatusCode::UNAUTHORIZED;
    problem::builder(status)
        .insert_header((WWW_AUTHENTICATE, "Basic realm=\"chatfold\", charset=\"UTF-8\""))
        .body(problem::text(status, "valid webhook credentials are needed"))
}

/// The legacy `before_message` hook reads our answer: it is always `{}`.
fn answer(shared: &Shared, app: &str, trigger: &'static str, taken: Taken) -> HttpResponse {
    let (seq, outcome) = match taken {
        Taken::Folded(appended) if appended.duplicate => (Some(appended.seq), "duplicate"),
        Taken::Folded(appended) => (Some(appended.seq), appended.outcome.as_str()),
        Taken::Accepted(position) => (Some(position), "accepted"),
        Taken::Queued => (None, "queued"),
    };
    shared.metrics.delivered(app, trigger, outcome);
    Span::current().record("seq", seq).record("outcome", outcome);
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "application/json")).insert_header(("Chatfold-Outcome", outcome));
    if let Some(seq) = seq {
        response.insert_header(("Chatfold-Seq", seq.to_string()));
    }
    response.body("{}")
}

/// Ids are hostile text: log lines show at most 128 characters.
fn short(id: &str) -> String {
    id.chars().take(128).collect()
}
