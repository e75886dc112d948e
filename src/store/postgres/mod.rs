//! The log that several nodes share, in PostgreSQL. Nothing outside this folder names its client.
//!
//! `chatfold_head` has one row, which gives the positions, and `chatfold_deliveries` has a row a delivery. An
//! append locks the one row first, and PostgreSQL keeps the lock until the commit is as durable as it was told to be. So
//! appends of all nodes stand in one line, no position is left out, and whoever reads one position can read all before it.
//! Other tables tell which nodes there are (`nodes`).

mod address;
mod durability;
mod found;
mod link;
mod nodes;
mod orders;
mod statements;
mod tls;
mod trim;

pub use address::Address;
pub use durability::Durability;
pub use found::{Founder, Made};
pub use link::{Head, Link, News, Row};
pub use nodes::{Check, Hashed, Presence, Seen};
pub use orders::ErasureRow;
pub use trim::Trimmed;

/// Why PostgreSQL did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be reached, refuses, or broke off. What was sent may be done or not.
    #[error("{0}")]
    Away(String),
    /// It answers, but it is not what a node needs. The text says what to do.
    #[error("{0}")]
    Unusable(String),
}

impl From<tokio_postgres::Error> for LogError {
    /// The client names the cause only in the chain of its errors.
    fn from(error: tokio_postgres::Error) -> Self {
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            words.extend(tls::advice(error).map(|advice| format!(". {advice}")));
            cause = error.source();
        }
        Self::Away(words)
    }
}
