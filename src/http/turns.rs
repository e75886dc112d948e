//! Turns at the readers: one token never has all of them, so whoever asks too much keeps others waiting a little, not out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As long as a request waits for the other requests of its token.
const PATIENCE: Duration = Duration::from_secs(1);

/// The turns of each token that has asked.
pub(super) struct Turns {
    of_tokens: Mutex<HashMap<i64, Arc<Semaphore>>>,
    of_each: usize,
}

/// Held while a request runs; without a token there is nobody to be fair to.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// With so many readers, three quarters of them for each.
    pub(super) fn new(readers: u32) -> Self {
        Self { of_tokens: Mutex::default(), of_each: (readers as usize * 3 / 4).max(1) }
    }

    /// A turn; `None` where the token's other requests do not end soon.
    pub(super) async fn take(&self, token: Option<i64>) -> Option<Turn> {
        let Some(token) = token else { return Some(Turn { _permit: None }) };
        let turns = {
            let mut all = self.of_tokens.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(token).or_insert_with(|| Arc::new(Semaphore::new(self.of_each))))
        };
        let permit = tokio::time::timeout(PATIENCE, turns.acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _permit: Some(permit) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn one_token_leaves_readers_for_the_others() {
        let turns = Turns::new(4);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(turns.take(Some(1)).await.unwrap());
        }
        assert!(turns.take(Some(1)).await.is_none());
        assert!(turns.take(Some(2)).await.is_some() && turns.take(None).await.is_some());
        held.pop();
        assert!(turns.take(Some(1)).await.is_some());
    }
}
