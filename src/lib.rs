//! chatfold takes CometChat webhooks, keeps every one in an append-only log, folds them into SQLite tables and
//! answers GraphQL over them.

pub mod change;
pub mod cli;
pub mod clock;
pub mod config;
pub mod envelope;
pub mod feed;
pub mod fold;
pub mod graphql;
pub mod http;
pub mod ids;
pub mod ingest;
pub mod json;
pub mod lifecycle;
pub mod log;
pub mod merge;
pub mod sessions;
pub mod standing;
pub mod store;
pub mod trigger;
pub mod writer;
