//! Reads a body: it checks the type, the declared and the real size, the time, and the memory of all bodies together.

use super::problem;
use crate::graphql::Party;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::{HttpResponse, web};
use futures_core::Stream;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// From the end of the head to the end of the body; actix itself has no such limit.
const DEADLINE: Duration = Duration::from_secs(10);

const TOO_MANY: &str = "the server is receiving too many bytes at once. Send the body again in a moment";
const TOO_MANY_OF_PARTY: &str = "this token, or this address without a token, has too many bytes in requests that are not \
                                 answered yet. Send the body again in a moment";

/// Bytes held by all bodies that are being read or handled. Of bodies that a reader sends, one party holds at most half:
/// whoever sends many large ones leaves room for the others.
pub(super) struct Budget {
    used: AtomicUsize,
    limit: usize,
    /// By party; none is 0.
    of_parties: Mutex<HashMap<Party, usize>>,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit, of_parties: Mutex::default() }
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A share that starts empty. Deliveries are of no party.
    pub fn share(&self, party: Option<Party>) -> Share<'_> {
        Share { budget: self, party, bytes: 0 }
    }

    fn of_parties(&self) -> MutexGuard<'_, HashMap<Party, usize>> {
        self.of_parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One body's part of the budget; given back on drop.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    party: Option<Party>,
    bytes: usize,
}

impl Share<'_> {
    /// Counts bytes as they come, or says why there is no room for them. If declared lengths counted, a few idle sockets
    /// could take the whole budget.
    fn grow(&mut self, bytes: usize) -> Result<(), &'static str> {
        // Held until both are counted.
        let mut parties = self.party.map(|party| (party, self.budget.of_parties()));
        if let Some((party, held)) = &parties
            && held.get(party).copied().unwrap_or_default() + bytes > self.budget.limit / 2
        {
            return Err(TOO_MANY_OF_PARTY);
        }
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.budget.limit);
        self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| TOO_MANY)?;
        if let Some((party, held)) = &mut parties {
            *held.entry(*party).or_default() += bytes;
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        let Some(party) = self.party else { return };
        if let Entry::Occupied(mut held) = self.budget.of_parties().entry(party) {
            *held.get_mut() -= self.bytes;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

/// 415 for all but JSON as it is, with or without parameters.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), HttpResponse> {
    let unsupported = |detail: &str| Err(problem::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    let mut types = headers.get_all(CONTENT_TYPE);
    let (first, more) = (types.next().and_then(|it| it.to_str().ok()), types.next());
    let essence = first.and_then(|it| it.split(';').next()).unwrap_or_default().trim();
    if more.is_some() || !essence.eq_ignore_ascii_case("application/json") {
        return unsupported("the content type must be application/json");
    }
    let plain = |it: &str| it.split(',').all(|coding| coding.trim().eq_ignore_ascii_case("identity"));
    if !headers.get_all(CONTENT_ENCODING).all(|it| it.to_str().is_ok_and(plain)) {
        return unsupported("the body must not be encoded: send it without Content-Encoding");
    }
    Ok(())
}

/// The body, or 413, 408, 503.
pub(super) async fn read(
    headers: &HeaderMap,
    payload: &mut web::Payload,
    limit: usize,
    share: &mut Share<'_>,
) -> Result<Vec<u8>, HttpResponse> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()).and_then(|it| it.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    // What is declared is allocated only up to a modest size, for the same reason as in `grow`.
    let capacity = declared.map_or(0, |length| length.min(64 << 10) as usize);
    match tokio::time::timeout(DEADLINE, collect(payload, limit, capacity, share)).await {
        Ok(result) => result,
        Err(_) => Err(problem::builder(StatusCode::REQUEST_TIMEOUT)
            .force_close()
            .body(problem::text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10 s"))),
    }
}

async fn collect(
    payload: &mut web::Payload,
    limit: usize,
    capacity: usize,
    share: &mut Share<'_>,
) -> Result<Vec<u8>, HttpResponse> {
    let mut body = Vec::with_capacity(capacity);
    while let Some(chunk) = std::future::poll_fn(|cx| Pin::new(&mut *payload).poll_next(cx)).await {
        let chunk =
            chunk.map_err(|_| problem::of(StatusCode::BAD_REQUEST, "the body ended early or is badly framed"))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        share.grow(chunk.len()).map_err(problem::unavailable)?;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An answer that may come before the end of the body. If a chunked body is dropped, actix reads on without an end, and
/// a slow peer could hold its connection for ever. While the body is alive, actix closes the connection instead.
pub(super) fn closing(response: HttpResponse, payload: web::Payload) -> HttpResponse {
    response.map_body(|_, inner| Holding { inner, _held: payload }).map_into_boxed_body()
}

/// The body of an answer, with something that is dropped after its last byte.
pub(super) struct Holding<T> {
    pub inner: BoxBody,
    pub _held: T,
}

impl<T: Unpin> MessageBody for Holding<T> {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.inner.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        Pin::new(&mut self.inner).poll_next(cx)
    }
}

fn too_large(limit: usize) -> HttpResponse {
    problem::of(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body may have at most {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::Asker;

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = Budget::new(10);
        let mut first = budget.share(None);
        assert!(first.grow(6).is_ok() && first.grow(5).is_err() && first.grow(4).is_ok());
        assert_eq!(budget.share(None).grow(1), Err(TOO_MANY));
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_party_holds_at_most_half_and_the_others_the_rest() {
        let budget = Budget::new(10);
        let of = |token| budget.share(Some(Asker { token: Some(token), address: None }.party()));
        let (mut first, mut second, mut other) = (of(1), of(1), of(2));
        assert_eq!((first.grow(3), second.grow(3)), (Ok(()), Err(TOO_MANY_OF_PARTY)));
        assert_eq!((second.grow(2), other.grow(5)), (Ok(()), Ok(())));
        assert_eq!(of(3).grow(1), Err(TOO_MANY));
        drop(first);
        assert_eq!((second.grow(3), budget.used()), (Ok(()), 10), "what ended makes room for the same party");
        drop((second, other));
        assert!(budget.used() == 0 && budget.of_parties().is_empty(), "no party is kept that holds nothing");
    }
}
