//! One session id: the facts told about it, and the calls and meetings they come to (see [`crate::sessions`]).

use crate::sessions::{CallFact, Instance, sessions};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Session {
    /// Each with the fingerprint of the event that told it, in the order of the log.
    pub facts: Vec<([u8; 32], CallFact)>,
    pub instances: Vec<Instance>,
}

impl Session {
    pub fn new(facts: Vec<([u8; 32], CallFact)>) -> Self {
        let told: Vec<CallFact> = facts.iter().map(|(_, fact)| fact.clone()).collect();
        Self { instances: sessions(&told), facts }
    }

    /// One event tells one fact.
    pub fn apply(&mut self, fingerprint: [u8; 32], fact: &CallFact) {
        if self.facts.last().is_some_and(|(_, known)| known.seq == fact.seq) {
            return;
        }
        let mut facts = std::mem::take(&mut self.facts);
        facts.push((fingerprint, fact.clone()));
        *self = Self::new(facts);
    }
}
