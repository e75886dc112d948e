//! Explanations, inside a request's snapshot.

use super::{Conn, Sql};
use crate::explain::{EntityError, ExplainError, Explanation, explain_named};
use crate::store::StoreError;

/// Why the tables say what they say about what a text names; `None` if nothing is known of it.
pub fn explanation(conn: &Conn, app: &str, name: &str) -> Sql<Result<Option<Explanation>, EntityError>> {
    match explain_named(conn, app, name, false) {
        Ok(found) => Ok(Ok(found)),
        Err(ExplainError::Entity(error)) => Ok(Err(error)),
        Err(ExplainError::Store(StoreError::Engine(error))) => Err(error),
        Err(ExplainError::Store(error)) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
    }
}
