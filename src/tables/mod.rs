//! The entities, and how a fact changes each of them. The code is pure, with one file for each entity. The store loads
//! and saves the rows and decides nothing.

pub mod app;
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
