//! Explanations, inside a request's snapshot.

use super::{Conn, Sql};
use crate::explain::{Entity, ExplainError, Explanation, Reach, explain, explain_named};
use crate::store::StoreError;
use crate::store::sqlite::explain::count_about;

/// Why the tables say what they say about what a text names; `None` if nothing is known of it. The inner error is about
/// the question: no entity, or one with more than `most` events.
pub fn explanation(conn: &Conn, app: &str, name: &str, most: usize) -> Sql<Result<Option<Explanation>, ExplainError>> {
    match explain_named(conn, app, name, Reach::Needed, Some(most)) {
        Err(ExplainError::Store(error)) => Err(engine(error)),
        answered => Ok(answered),
    }
}

/// The same of an entity, from its own events alone; `Err` where these are more than `most`: then none is read.
pub fn own_explanation(conn: &Conn, app: &str, entity: &Entity, most: usize) -> Sql<Result<Option<Explanation>, ()>> {
    if count_about(conn, app, entity, most).map_err(engine)? > most {
        return Ok(Err(()));
    }
    explain(conn, app, entity, Reach::Own, Some(most)).map(Ok).map_err(engine)
}

fn engine(error: StoreError) -> rusqlite::Error {
    match error {
        StoreError::Engine(error) => error,
        error => rusqlite::Error::ToSqlConversionFailure(error.into()),
    }
}
