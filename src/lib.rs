//! chatfold takes CometChat webhooks, keeps every one in an append-only log, folds them into SQLite tables and
//! answers GraphQL over them.
pub mod clock;
pub mod envelope;
pub mod graphql;
pub mod ids;
pub mod standing;
pub mod store;
pub mod writer;
