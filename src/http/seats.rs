//! Places of those who stay: websockets and event streams, all of them together and those of each token.

use super::tokens::Access;
use super::{Shared, problem};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are taken.
#[derive(Default)]
pub(super) struct Seats(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    of_tokens: HashMap<i64, usize>,
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscriber's place; free again when dropped.
pub(super) struct Seat {
    shared: web::Data<Shared>,
    token: Option<i64>,
}

impl Seat {
    /// A place among all.
    pub(super) fn take(shared: &web::Data<Shared>) -> Result<Self, HttpResponse> {
        let mut taken = shared.seats.taken();
        if taken.all >= shared.config.graphql.subscribers {
            return Err(problem::unavailable("too many subscribers: try again later"));
        }
        taken.all += 1;
        Ok(Self { shared: shared.clone(), token: None })
    }

    /// Counts it among those of the token, once that is known; says so where the token has as many as it may.
    pub(super) fn assign(&mut self, access: &Access) -> Result<(), &'static str> {
        let Some(token) = access.token() else { return Ok(()) };
        let mut taken = self.shared.seats.taken();
        let count = taken.of_tokens.entry(token).or_default();
        if *count >= self.shared.config.graphql.sockets_per_token {
            return Err("too many subscribers with one token");
        }
        *count += 1;
        self.token = Some(token);
        Ok(())
    }

    /// A place among all and among those of the token.
    pub(super) fn take_for(shared: &web::Data<Shared>, access: &Access) -> Result<Self, HttpResponse> {
        let mut seat = Self::take(shared)?;
        match seat.assign(access) {
            Ok(()) => Ok(seat),
            Err(why) => Err(problem::of(StatusCode::TOO_MANY_REQUESTS, why)),
        }
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
