//! Answers that several requests wait for. Of each answer, only one request at a time makes a new version.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// An answer, once somebody has made the answer. Whoever makes a new version holds the lock.
pub(super) type Place<A> = Arc<tokio::sync::Mutex<Option<A>>>;

/// The places of answers by what was asked.
pub(super) struct Places<Q, A> {
    all: Mutex<HashMap<Q, Place<A>>>,
    most: usize,
}

impl<Q: Eq + Hash, A> Places<Q, A> {
    /// Keeps so many answers. One more question forgets all of them.
    pub(super) fn keeping(most: usize) -> Self {
        Self { all: Mutex::default(), most }
    }

    /// The place of the answer to a question.
    pub(super) fn of(&self, question: Q) -> Place<A> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= self.most && !all.contains_key(&question) {
            all.clear();
        }
        Arc::clone(all.entry(question).or_default())
    }
}
