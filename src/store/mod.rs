//! Where facts and tables are kept. Only `sqlite` and `postgres` below name the engines.

#[cfg(feature = "postgres")]
pub mod postgres;
pub mod sqlite;

use crate::ids::Time;

/// Tells one delivery from all others: the time at which it was taken (6 bytes), and random bytes. So ids grow, and PostgreSQL
/// puts a new one beside the newest ones in its index. Ids that fall anywhere make it log a page of 8 KiB for most of them.
pub type DeliveryId = [u8; 16];

/// A new id; `None`: the system gives no random bytes.
pub fn delivery_id(taken_at: Time) -> Option<DeliveryId> {
    let mut id: DeliveryId = [0; 16];
    id[..6].copy_from_slice(&taken_at.0.to_be_bytes()[2..]);
    getrandom::fill(&mut id[6..]).ok()?;
    Some(id)
}

/// A delivery on its way into a log that several nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    /// When the node that took it received it.
    pub received_at: Time,
    /// For people who look into the table. What counts is the body.
    pub app_id: String,
    pub webhook: Option<String>,
    pub body: Vec<u8>,
}

/// What can go wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed.
    #[error("database: {0}")]
    Engine(#[from] rusqlite::Error),
    /// The file is not ours, or not of this edition; the text says what to do.
    #[error("{0}")]
    Unusable(String),
    /// What the file holds cannot be read as what it should be, and is not taken for nothing.
    #[error("{0} cannot be read ({1}): the file is damaged. `chatfold rebuild` makes its tables again")]
    Damaged(&'static str, String),
    /// The name leads to the opened file no more; the text says which.
    #[error("{0}")]
    Gone(String),
}

/// For whoever reads inside a request, whose limits are errors of the engine.
impl From<StoreError> for rusqlite::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Engine(error) => error,
            error => Self::ToSqlConversionFailure(error.into()),
        }
    }
}

impl StoreError {
    /// An error of the engine, by its result code.
    #[cfg(test)]
    pub fn of_code(code: i32) -> Self {
        Self::Engine(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
    }

    /// No space left, by the file system's or the file's own limit: the next attempt may succeed.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Engine(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }

    /// The file or its disk failed, not this one event.
    pub fn is_of_the_file(&self) -> bool {
        use rusqlite::ErrorCode::{
            ApiMisuse, CannotOpen, DatabaseCorrupt, NotADatabase, OperationInterrupted, OutOfMemory, PermissionDenied,
            ReadOnly, SystemIoFailure,
        };
        let code = if let Self::Engine(error) = self { error.sqlite_error_code() } else { None };
        self.is_full()
            || self.is_busy()
            || matches!(
                code,
                Some(
                    ApiMisuse
                        | CannotOpen
                        | DatabaseCorrupt
                        | NotADatabase
                        | OperationInterrupted
                        | OutOfMemory
                        | PermissionDenied
                        | ReadOnly
                        | SystemIoFailure
                )
            )
    }

    /// Another process holds the lock: the next attempt may succeed.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Engine(error) if matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        ))
    }
}

/// Reads JSON that the column holds.
fn read_json<T: serde::de::DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(column, error.to_string()))
}

/// Writes JSON for a column.
fn write_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unusable(format!("cannot write JSON: {error}")))
}
