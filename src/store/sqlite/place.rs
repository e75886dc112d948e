//! Whether the file still is where it was opened. SQLite does not ask: it writes on into a file without a name, and what
//! it takes is gone with the process. Looked at by name only, for closing another descriptor of the file would drop
//! SQLite's locks.

use crate::store::StoreError;
use std::fs::{Metadata, metadata, symlink_metadata};
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
        let real = real(path);
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

/// The file itself, whatever links lead to it: SQLite keeps the others beside that.
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The file itself, whatever links lead to it; also where there is none yet. Refuses a file of which one lock and one
/// WAL cannot be had, and whatever else would make SQLite write into a file with another name.
pub fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let unusable = |words: String| Err(StoreError::Unusable(format!("{} {words}", path.display())));
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() != ErrorKind::NotFound => return unusable(format!("cannot be seen: {error}")),
        Err(_) if path.is_symlink() => {
            let target = path.read_link().unwrap_or_default();
            return unusable(format!(
                "is a link to {}, which does not exist. Put that file back, or name that path itself with --db to make a new file",
                target.display()
            ));
        }
        Err(_) => {
            let folder = folder(path).and_then(|folder| folder.canonicalize().ok());
            folder.zip(path.file_name()).map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name))
        }
    };
    match metadata(&real) {
        Ok(meta) if !meta.is_file() => return unusable("is not a file. Name a file with --db".to_owned()),
        Ok(meta) if links(&meta) > 1 => {
            return unusable(format!(
                "has {} names (hard links). A process that opens another name uses another lock and another WAL, and the two \
                 processes damage the file. Remove the other names (`find … -samefile {}` lists them), or copy the file \
                 and name the copy",
                links(&meta),
                real.display()
            ));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return unusable(format!("cannot be seen: {error}")),
        _ => {}
    }
    for end in ["-wal", "-shm", "-journal"] {
        let file = beside(&real, end);
        if symlink_metadata(&file).is_ok_and(|meta| !meta.is_file() || links(&meta) > 1) {
            return Err(StoreError::Unusable(format!(
                "{} is a link, or has a second name, so SQLite would write into a file that is not its own. Move it away",
                file.display()
            )));
        }
    }
    Ok(real)
}

/// The folder a file is in.
pub fn folder(path: &Path) -> Option<&Path> {
    path.parent().map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it })
}

/// How many names a file has.
pub fn links(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(meta)
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
