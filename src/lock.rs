//! One process writes a file. The lock is a separate file, `<db>.lock`, because a process that opens and closes the
//! database itself drops SQLite's locks. The lock file is never removed, because two processes can hold a lock file
//! that was removed.

use crate::store::StoreError;
use crate::store::sqlite::{beside, folder, links, real, resolve};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held until dropped, at the latest when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// The database, where it was made with the lock.
    made: Option<PathBuf>,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is written by another chatfold ({pid}), which holds {}. Stop that process, or name another file with --db", db.display(), lock.display())]
    Held { db: PathBuf, lock: PathBuf, pid: String },
    /// The lock file cannot be made.
    #[error("cannot lock {}: {source}", lock.display())]
    Io { lock: PathBuf, source: io::Error },
    /// There was a database once, and it is gone now.
    #[error("{} is missing, but chatfold wrote it before: {} is still there. Put the missing file back, or remove the WAL to begin a new file", db.display(), left.display())]
    Gone { db: PathBuf, left: PathBuf },
    /// The name of the database leads to no file that one lock can guard.
    #[error(transparent)]
    Unusable(StoreError),
    /// Something else is in the place of the lock file.
    #[error("{} is a link, or has a second name, so the lock would be written into a file that is not chatfold's. Move it away", _0.display())]
    NotOurs(PathBuf),
    /// The database cannot be made.
    #[error("cannot make the file {}: {source}", db.display())]
    Make { db: PathBuf, source: io::Error },
}

impl LockError {
    /// The same error, with advice for a command that nothing but an end of the other process helps.
    pub fn for_exclusive(self, command: &str) -> anyhow::Error {
        match self {
            Self::Held { db, lock, pid } => anyhow::anyhow!(
                "{} is written by another chatfold ({pid}), which holds {}. Stop that process, and run `chatfold \
                 {command}` again",
                db.display(),
                lock.display()
            ),
            other => other.into(),
        }
    }

    /// The same error, with advice for a command that needs the file while no server runs.
    pub fn for_command(self, command: &str) -> anyhow::Error {
        match self {
            Self::Held { db, lock, pid } => anyhow::anyhow!(
                "{} is written by another chatfold ({pid}), which holds {}. Post to that server \
                 (POST /webhooks/cometchat), or stop that process and run `chatfold {command}` again",
                db.display(),
                lock.display()
            ),
            other => other.into(),
        }
    }
}

impl Lock {
    /// Takes the lock of a database file, at once or not at all, and makes the file if it never was there.
    pub fn acquire(db: &Path) -> Result<Self, LockError> {
        let (mut lock, real) = Self::hold(db)?;
        // A lost file is not quietly replaced by an empty one: a WAL without its database tells of it.
        let bytes = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
        let left = beside(&real, "-wal");
        if bytes(&real) == 0 && bytes(&left) > 0 {
            return Err(LockError::Gone { db: db.to_owned(), left });
        }
        let is_new = make(&real).map_err(|source| LockError::Make { db: db.to_owned(), source })?;
        lock.made = is_new.then_some(real);
        Ok(lock)
    }

    /// Removes the database if it was made with this lock. No connection to it may be open.
    pub fn unmake(self) -> io::Result<()> {
        let Some(made) = &self.made else { return Ok(()) };
        // The database goes last: a WAL without its database is taken for a loss.
        for path in [beside(made, "-shm"), beside(made, "-wal"), made.clone()] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the lock, whatever is in the place of the file. Gives the path that the name leads to.
    pub fn hold(db: &Path) -> Result<(Self, PathBuf), LockError> {
        let real = resolve(db).map_err(LockError::Unusable)?;
        let lock = beside(&real, ".lock");
        let mut file = open(&lock)?;
        let failed = |source| LockError::Io { lock: lock.clone(), source };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Best effort: the holder may be writing it just now.
                let _ = file.take(32).read_to_string(&mut text);
                let pid = match text.trim() {
                    "" => "process unknown".to_owned(),
                    pid => format!("process {pid}"),
                };
                return Err(LockError::Held { db: db.to_owned(), lock, pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok((Self { _file: file, made: None }, real))
    }
}

/// Opens the lock file, and makes it if it is missing. Links are not followed, because opening empties the file.
fn open(lock: &Path) -> Result<File, LockError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let failed = |source| LockError::Io { lock: lock.to_owned(), source };
    let file = match options.open(lock) {
        Err(_) if lock.is_symlink() => return Err(LockError::NotOurs(lock.to_owned())),
        opened => opened.map_err(failed)?,
    };
    let meta = file.metadata().map_err(failed)?;
    if meta.is_file() && links(&meta) == 1 { Ok(file) } else { Err(LockError::NotOurs(lock.to_owned())) }
}

/// Makes the file for its owner alone; SQLite gives `-wal` and `-shm` the same permissions. Must run before SQLite
/// opens the file: closing another descriptor of it later would drop SQLite's locks. Whether the file is new.
fn make(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            // The name must survive a power loss as the first commit does.
            file.sync_all()?;
            if let Some(folder) = folder(path) {
                File::open(folder)?.sync_all()?;
            }
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            warn_if_wide(path);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn warn_if_wide(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(meta) = std::fs::metadata(path)
        && meta.permissions().mode() & 0o077 != 0
    {
        tracing::warn!("others may read {}: it holds chats and secrets, `chmod 600` it", path.display());
    }
}

/// The socket of the server that holds the lock, beside the file that the name leads to.
pub(crate) fn socket(db: &Path) -> PathBuf {
    beside(&real(db), ".sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_once_whatever_the_name_free_after_and_no_new_file_for_a_lost_one() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("chatfold.db");
        let lock = Lock::acquire(&db).unwrap();
        let link = dir.path().join("link.db");
        std::os::unix::fs::symlink(&db, &link).unwrap();
        let error = Lock::acquire(&link).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.for_command("ingest").to_string().contains("Post to that server"));
        drop(lock);
        Lock::acquire(&db).unwrap();

        std::fs::remove_file(&db).unwrap();
        std::fs::write(dir.path().join("chatfold.db-wal"), "facts").unwrap();
        let error = Lock::acquire(&db).unwrap_err().to_string();
        assert!(error.contains("chatfold.db is missing") && error.contains("chatfold.db-wal"), "{error}");
        assert!(!db.exists());
    }
}
