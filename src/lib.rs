//! chatfold takes CometChat webhooks, keeps every one in an append-only log, folds them into SQLite tables and
//! answers GraphQL over them.
pub mod cli;
pub mod clock;
pub mod config;
pub mod envelope;
pub mod graphql;
pub mod http;
pub mod ids;
pub mod json;
pub mod store;
pub mod writer;
