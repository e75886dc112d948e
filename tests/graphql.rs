//! The read side over rows put in by hand.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "graphql/activity.rs"]
mod activity;
#[path = "graphql/appetite.rs"]
mod appetite;
#[path = "graphql/attention.rs"]
mod attention;
#[path = "graphql/bounds.rs"]
mod bounds;
#[path = "graphql/by_name.rs"]
mod by_name;
#[path = "graphql/edges.rs"]
mod edges;
#[path = "graphql/errors.rs"]
mod errors;
#[path = "graphql/fields.rs"]
mod fields;
#[path = "graphql/harness.rs"]
mod harness;
#[path = "graphql/lists.rs"]
mod lists;
#[path = "graphql/rules.rs"]
mod rules;
#[path = "graphql/responses.rs"]
mod responses;
#[path = "graphql/schema.rs"]
mod schema;
#[path = "graphql/scopes.rs"]
mod scopes;
#[path = "graphql/search.rs"]
mod search;
#[path = "graphql/statements.rs"]
mod statements;
