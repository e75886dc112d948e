//! Times and words as columns hold them. A word that is none of ours is an error: what cannot be read is not taken for
//! nothing.

use crate::ids::{CallKind, CallStatus, Outcome, Scope, State, Time, TimeSource};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

macro_rules! words {
    ($($type:ty),+) => {
        $(impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::from_word(value.as_str()?).ok_or(FromSqlError::InvalidType)
            }
        })+
    };
}

words!(TimeSource, State, Scope, Outcome, CallKind, CallStatus);

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn words_of_ours_are_read_and_others_are_an_error() {
        let conn = Connection::open_in_memory().unwrap();
        let read = |sql| conn.query_row(sql, [], |row| row.get::<_, Option<State>>(0));
        assert_eq!(read("SELECT 'banned'"), Ok(Some(State::Banned)));
        assert_eq!(read("SELECT NULL"), Ok(None));
        assert!(read("SELECT 'gone'").is_err());
        assert!(read("SELECT 1").is_err());
    }
}
