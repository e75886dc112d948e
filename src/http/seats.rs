//! Places of long connections: websockets, their subscriptions and event streams, counted together and for each token.
//! A client that has shown no token yet has no seat.

use super::tokens::Access;
use super::{Shared, problem};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Websockets that may wait for their first message at once. A browser's sends its token in milliseconds.
const STRANGERS: usize = 256;

/// The places that are taken.
#[derive(Default)]
pub(super) struct Seats(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    of_tokens: HashMap<i64, usize>,
    next: u64,
    /// Websockets that have shown no token, the oldest first.
    strangers: BTreeMap<u64, Arc<Notify>>,
}

impl Seats {
    /// How many seats are taken.
    pub(super) fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy)]
pub(super) enum Full {
    /// All seats are taken.
    All,
    /// All seats of the token are taken.
    Token,
}

impl Full {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::All => "too many subscribers: try again later",
            Self::Token => "too many subscribers with one token",
        }
    }

    pub(super) fn problem(self) -> HttpResponse {
        match self {
            Self::All => problem::unavailable(self.why()),
            Self::Token => problem::of(StatusCode::TOO_MANY_REQUESTS, self.why()),
        }
    }
}

/// The place of one subscriber. It is free again when dropped.
pub(super) struct Seat {
    shared: web::Data<Shared>,
    token: Option<i64>,
}

impl Seat {
    /// Takes a seat, counted among all seats and among those of the token.
    pub(super) fn take(shared: &web::Data<Shared>, access: &Access) -> Result<Self, Full> {
        let limits = &shared.config.graphql;
        let token = access.token();
        let mut taken = shared.seats.taken();
        if taken.all >= limits.subscribers {
            return Err(Full::All);
        }
        if let Some(token) = token {
            let count = taken.of_tokens.entry(token).or_default();
            if *count >= limits.subscribers_per_token {
                return Err(Full::Token);
            }
            *count += 1;
        }
        taken.all += 1;
        Ok(Self { shared: shared.clone(), token })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.shared.seats.taken();
        taken.all -= 1;
        let Some(token) = self.token else { return };
        if let Some(count) = taken.of_tokens.get_mut(&token) {
            *count -= 1;
            if *count == 0 {
                taken.of_tokens.remove(&token);
            }
        }
    }
}

/// A subscription of a websocket. The first sits in the seat of its socket, each further one takes its own.
pub(super) struct Subscribing {
    running: Arc<AtomicUsize>,
    _seat: Option<Seat>,
}

impl Subscribing {
    /// `running` counts those of the socket.
    pub(super) fn begin(running: &Arc<AtomicUsize>, shared: &web::Data<Shared>, access: &Access) -> Result<Self, Full> {
        let is_first = running.fetch_add(1, Ordering::Relaxed) == 0;
        // From here on it is counted out when dropped, also where there is no seat.
        let mut subscribing = Self { running: Arc::clone(running), _seat: None };
        if !is_first {
            subscribing._seat = Some(Seat::take(shared, access)?);
        }
        Ok(subscribing)
    }
}

impl Drop for Subscribing {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A websocket that has shown no token. There are few places for them, and the oldest gives way to a new one.
pub(super) struct Stranger {
    shared: web::Data<Shared>,
    id: u64,
    displaced: Arc<Notify>,
}

impl Stranger {
    pub(super) fn enter(shared: &web::Data<Shared>) -> Self {
        let mut taken = shared.seats.taken();
        if taken.strangers.len() >= STRANGERS
            && let Some((_, oldest)) = taken.strangers.pop_first()
        {
            oldest.notify_one();
        }
        let id = taken.next;
        taken.next += 1;
        let displaced = Arc::new(Notify::new());
        taken.strangers.insert(id, Arc::clone(&displaced));
        Self { shared: shared.clone(), id, displaced }
    }

    /// Signals that this websocket has to go.
    pub(super) fn displaced(&self) -> Arc<Notify> {
        Arc::clone(&self.displaced)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.shared.seats.taken().strangers.remove(&self.id);
    }
}
