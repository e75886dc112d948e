//! chatfold takes CometChat webhooks, keeps every one in an append-only log, folds them into SQLite tables and
//! answers GraphQL over them.
//!
//! The modules stand in reading order, which is the way of a delivery:
//!
//! ```text
//! http ─▶ envelope ─▶ writer ─▶ log ─▶ fold ─▶ trigger: reduce ─▶ change ─▶ batch: apply, save ─▶ COMMIT ─▶ 200
//! graphql ─▶ one snapshot ─▶ store: read
//! ```
//!
//! With a shared log a delivery goes from `http` to `cluster`, into PostgreSQL, and from there to the `writer` of every node.
//!
//! Invariants, each with a test:
//!
//! - An answer 200 leaves after the commit that made the delivery durable (`tests/crash.rs`, `tests/faulty.rs`).
//! - The tables are a function of the log: folded again they are the same, byte for byte (every test of `tests/` that
//!   uses the harness checks it when it ends).
//! - Facts with different told times end in the same tables in every order (`tests/order.rs`, `tests/truth.rs`).
//! - An event that is saved in pieces ends in the same tables, after whichever piece the process is stopped
//!   (`tests/pieces.rs`, `tests/large_events.rs`).
//! - Reducers read nothing: no database, no clock, no randomness, no ordering of a hash map (`tests/tidy.rs`).
//! - Only `store` names the engine; only `clock` asks the time (`tests/tidy.rs`).
//! - A module names only modules below it; the order stands in `tests/tidy.rs`.
//! - Nodes of one log fold the same deliveries in the same order, whatever fails (`tests/nodes.rs`, `tests/cluster.rs`).
//! - Nothing crosses from one app to another: the app leads every key (`tests/file.rs`, `tests/laws.rs`).
//! - A token sees its apps and what its scope shows (`tests/apart.rs`, `tests/graphql/scopes.rs`).

pub mod ids;
pub mod clock;
pub mod disk;
pub mod panics;
pub mod meter;
pub mod ahead;
pub mod days;
pub mod json;
pub mod csv;
pub mod http;
pub mod envelope;
pub mod cluster;
pub mod lock;
pub mod writer;
pub mod rest;
pub mod reconcile;
pub mod backfill;
pub mod large;
pub mod checkpoints;
pub mod log;
pub mod feed;
pub mod late;
pub mod fold;
pub mod part;
pub mod batch;
pub mod trigger;
pub mod change;
pub mod tables;
pub mod merge;
pub mod chat;
pub mod standing;
pub mod sessions;
pub mod lifecycle;
pub mod drift;
pub mod edits;
pub mod store;
pub mod rebuild;
pub mod backup;
pub mod erase;
pub mod retention;
pub mod passed;
pub mod entity;
pub mod person;
pub mod quiet;
pub mod responses;
pub mod explain;
pub mod token;
pub mod graphql;
pub mod console;
pub mod ingest;
pub mod send;
pub mod config;
pub mod cli;

#[cfg(test)]
#[path = "../tests/support/mutate.rs"]
mod mutate;
