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
