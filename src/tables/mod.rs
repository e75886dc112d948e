//! What each entity is made of, and how a fact changes it: pure, one file an entity. The store loads and saves these rows
//! and decides nothing.

pub mod app;
pub mod call;
pub mod conversation;
pub mod edits;
pub mod group;
pub mod membership;
pub mod message;
pub mod reaction;
pub mod receipt;
pub mod registers;

/// The edition of reducers and tables. Raise it with every change that makes tables of an old log differ: files of
/// another edition are rebuilt when the server starts.
pub const FOLD_VERSION: i64 = 2;
