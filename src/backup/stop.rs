//! The wish that something long ends early.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Somebody may ask that it ends. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    waiting: Arc<(Mutex<()>, Condvar)>,
}

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        let _held = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked.store(true, Ordering::Release);
        self.waiting.1.notify_all();
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// The same for whoever looks often.
    pub fn asked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Waits so long, or until somebody asks. Whether somebody has.
    pub fn wait(&self, most: Duration) -> bool {
        let held = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.waiting.1.wait_timeout_while(held, most, |()| !self.is_asked());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.is_asked()
    }
}
