//! Times and words as columns hold them. A word that is none of ours is an error: what cannot be read is not taken for
//! nothing.

use super::table::{Binder, FromColumns, Reader, ToColumns};
use crate::ids::{CallKind, CallStatus, Outcome, ReceiverType, Scope, State, Time, TimeSource};
use crate::store::StoreError;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use std::sync::Arc;

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

macro_rules! words {
    ($($type:ty),+) => {
        $(impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::from_word(value.as_str()?).ok_or(FromSqlError::InvalidType)
            }
        }

        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        })+
    };
}

words!(TimeSource, State, Scope, Outcome, ReceiverType, CallKind, CallStatus);

macro_rules! one_column {
    ($($type:ty),+) => {
        $(impl ToColumns for $type {
            fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
                to.bind(self)
            }
        }

        impl ToColumns for Option<$type> {
            fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
                to.bind(self)
            }
        })+
    };
}

macro_rules! read_too {
    ($($type:ty),+) => {
        $(impl FromColumns for $type {
            fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
                from.value()
            }
        }

        impl FromColumns for Option<$type> {
            fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
                from.value()
            }
        })+
    };
}

one_column!(bool, u8, i64, f64, &str, String, Arc<str>, [u8; 32], Time, TimeSource, State, Scope, ReceiverType);
one_column!(CallKind, CallStatus);
read_too!(bool, u8, i64, String, [u8; 32], Time, TimeSource, State, Scope);

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
