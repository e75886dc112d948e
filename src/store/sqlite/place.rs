//! Whether the file still is where it was opened. SQLite does not ask: it writes on into a file without a name, and what
//! it takes is gone with the process. Looked at by name only, for closing another descriptor of the file would drop
//! SQLite's locks.

use crate::store::StoreError;
use std::fs::{Metadata, metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file, its WAL and the WAL's index, each as it was when it was opened.
#[derive(Debug)]
pub struct Place {
    files: Vec<(PathBuf, Identity)>,
}

type Identity = (u64, u64);

impl Place {
    /// Of a file that is open to write.
    pub fn of(path: &Path) -> Result<Self, StoreError> {
        let identified = |path: PathBuf| match metadata(&path) {
            Ok(meta) => Ok((path, identity(&meta))),
            Err(error) => Err(StoreError::Gone(format!("{} cannot be seen: {error}", path.display()))),
        };
        // Links lead to one file, and SQLite keeps the others beside that.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let files = [path.to_owned(), beside(&real, "-wal"), beside(&real, "-shm")];
        Ok(Self { files: files.into_iter().map(identified).collect::<Result<_, _>>()? })
    }

    /// An error where a name leads elsewhere now: whatever is written from then on would be lost.
    pub fn check(&self) -> Result<(), StoreError> {
        for (index, (path, known)) in self.files.iter().enumerate() {
            let what = match metadata(path) {
                Ok(meta) if identity(&meta) != *known => "was replaced by another file",
                Ok(meta) if index == 0 && meta.len() == 0 => "was emptied",
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::NotFound => "was removed or renamed",
                Err(error) => return Err(StoreError::Gone(format!("{} cannot be seen: {error}", path.display()))),
            };
            return Err(StoreError::Gone(format!("{} {what} while it was open", path.display())));
        }
        Ok(())
    }

    /// Bytes of the WAL on disk.
    pub fn wal_bytes(&self) -> u64 {
        self.files.get(1).and_then(|(path, _)| metadata(path).ok()).map_or(0, |meta| meta.len())
    }
}

/// The name of a file that SQLite keeps beside the database.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(unix)]
fn identity(meta: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (meta.dev(), meta.ino())
}

/// Open files cannot be removed or replaced there.
#[cfg(not(unix))]
fn identity(_meta: &Metadata) -> Identity {
    (0, 0)
}
