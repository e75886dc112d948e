//! One process writes a file. The lock is a file of its own, `<db>.lock`: whoever opened and closed the database itself
//! beside SQLite would drop SQLite's locks. It is never removed, for a removed lock file can be held twice.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Held until dropped, at the latest when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is written by another chatfold ({pid}), which holds {}: stop it, or name another file with --db", db.display(), lock.display())]
    Held { db: PathBuf, lock: PathBuf, pid: String },
    /// The lock file cannot be made.
    #[error("cannot lock {}: {source}", lock.display())]
    Io { lock: PathBuf, source: io::Error },
}

impl LockError {
    /// The same with the way out for a command that writes while no server runs.
    pub fn for_command(self, command: &str) -> anyhow::Error {
        match self {
            Self::Held { db, lock, pid } => anyhow::anyhow!(
                "{} is written by another chatfold ({pid}), which holds {}: post to that server \
                 (POST /webhooks/cometchat), or stop it and run `chatfold {command}` again",
                db.display(),
                lock.display()
            ),
            other => other.into(),
        }
    }
}

impl Lock {
    /// Takes the lock of a database file, at once or not at all.
    pub fn acquire(db: &Path) -> Result<Self, LockError> {
        let lock = path(db);
        let failed = |source| LockError::Io { lock: lock.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&lock).map_err(failed)?;
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
        Ok(Self { _file: file })
    }
}

/// The lock file of a database file.
fn path(db: &Path) -> PathBuf {
    beside(db, ".lock")
}

/// The socket of the server that holds the lock.
pub(crate) fn socket(db: &Path) -> PathBuf {
    beside(db, ".sock")
}

/// A file beside the database file, however that one is named: links lead to the same one.
fn beside(db: &Path, suffix: &str) -> PathBuf {
    let real = db.canonicalize().ok().or_else(|| Some(folder(db)?.canonicalize().ok()?.join(db.file_name()?)));
    let mut name = real.unwrap_or_else(|| db.to_owned()).into_os_string();
    name.push(suffix);
    name.into()
}

/// The folder a file is in.
pub(crate) fn folder(path: &Path) -> Option<&Path> {
    path.parent().map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_once_whatever_the_name_and_free_after() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("chatfold.db");
        let lock = Lock::acquire(&db).unwrap();
        File::create(&db).unwrap();
        let link = dir.path().join("link.db");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&db, &link).unwrap();
        let error = Lock::acquire(&link).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.for_command("ingest").to_string().contains("post to that server"));
        drop(lock);
        Lock::acquire(&db).unwrap();
    }
}
