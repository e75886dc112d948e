//! The entities, and how a fact changes each of them. The code is pure, with one file for each entity. The store loads
//! and saves the rows and decides nothing.

pub mod app;
pub mod block;
pub mod call;
pub mod conversation;
pub mod edits;
pub mod group;
pub mod horizon;
pub mod membership;
pub mod message;
pub mod reaction;
pub mod receipt;
pub mod registers;

/// The edition of reducers and tables. Raise it with every change that gives other tables for an old log: the server
/// rebuilds files of another edition when it starts.
pub const FOLD_VERSION: i64 = 4;

#[cfg(test)]
mod tests {
    use crate::ids::{Time, TimeSource};
    use crate::merge::Fact;

    /// A fact at a log position, with a time from a source.
    pub fn fact(seq: i64, at: i64, from: TimeSource) -> Fact {
        Fact {
            seq,
            trigger: "a_trigger".into(),
            received_at: Time(at),
            arrived_at: None,
            occurred_at: Time(at),
            occurred_from: from,
            floor: None,
            fingerprint: [0; 32],
        }
    }
}
