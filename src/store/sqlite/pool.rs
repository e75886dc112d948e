//! The pool of read-only connections. r2d2 blocks, so it is used from blocking threads only.

use super::{open_again, open_reader};
use crate::store::StoreError;
use std::path::{Path, PathBuf};

/// Connections that only read.
pub type Pool = r2d2::Pool<Manager>;

/// Opens readers of one file.
pub struct Manager {
    path: PathBuf,
    page_cache: usize,
}

/// A pool of at most `size` connections, each of which keeps so many bytes of pages in memory. Fails where the file cannot be read by this edition.
pub fn open_pool(path: &Path, size: u32, page_cache: usize) -> Result<Pool, StoreError> {
    drop(open_reader(path)?);
    Ok(r2d2::Pool::builder()
        .max_size(size.max(1))
        .min_idle(Some(0))
        .test_on_check_out(false)
        .build_unchecked(Manager { path: path.to_owned(), page_cache }))
}

impl r2d2::ManageConnection for Manager {
    type Connection = rusqlite::Connection;
    type Error = StoreError;

    fn connect(&self) -> Result<Self::Connection, StoreError> {
        let conn = open_again(&self.path)?;
        // A negative number counts KiB.
        conn.pragma_update(None, "cache_size", -((self.page_cache >> 10) as i64))?;
        Ok(conn)
    }

    fn is_valid(&self, _conn: &mut Self::Connection) -> Result<(), StoreError> {
        Ok(())
    }

    /// A connection left inside a transaction would show the next request an old snapshot.
    fn has_broken(&self, conn: &mut Self::Connection) -> bool {
        !conn.is_autocommit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open_writer;

    #[test]
    fn each_connection_keeps_as_many_bytes_of_pages_as_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        drop(open_writer(&path).unwrap());
        let pool = open_pool(&path, 2, 3 << 20).unwrap();
        for conn in [pool.get().unwrap(), pool.get().unwrap()] {
            let kib: i64 = conn.pragma_query_value(None, "cache_size", |row| row.get(0)).unwrap();
            assert_eq!(kib, -3_072);
        }
    }
}
