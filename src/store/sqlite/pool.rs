//! The pool of read-only connections. r2d2 blocks, so it is used from blocking threads only.

use super::{open_again, open_reader};
use crate::store::StoreError;
use std::path::{Path, PathBuf};

/// Connections that only read.
pub type Pool = r2d2::Pool<Manager>;

/// Opens readers of one file.
pub struct Manager {
    path: PathBuf,
}

/// A pool of at most `size` connections. Fails where the file cannot be read by this edition.
pub fn open_pool(path: &Path, size: u32) -> Result<Pool, StoreError> {
    drop(open_reader(path)?);
    Ok(r2d2::Pool::builder()
        .max_size(size.max(1))
        .min_idle(Some(0))
        .test_on_check_out(false)
        .build_unchecked(Manager { path: path.to_owned() }))
}

impl r2d2::ManageConnection for Manager {
    type Connection = rusqlite::Connection;
    type Error = StoreError;

    fn connect(&self) -> Result<Self::Connection, StoreError> {
        open_again(&self.path)
    }

    fn is_valid(&self, _conn: &mut Self::Connection) -> Result<(), StoreError> {
        Ok(())
    }

    /// A connection left inside a transaction would show the next request an old snapshot.
    fn has_broken(&self, conn: &mut Self::Connection) -> bool {
        !conn.is_autocommit()
    }
}
