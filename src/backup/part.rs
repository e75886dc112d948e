//! A file that is being written, beside the name that it will have.

use super::BackupError;
use crate::store::sqlite::{beside, folder};
use std::fs::{File, OpenOptions, Permissions, remove_file, rename};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Removed when dropped, unless it got its name. What a process left that was killed is written over by the next.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Part {
    /// An empty file for its owner alone. One process writes it.
    pub fn create(to: &Path) -> Result<Self, BackupError> {
        let path = beside(to, ".part");
        let failed = BackupError::io(&path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(&failed)?;
        file.try_lock().map_err(|_| BackupError::Busy(path.clone()))?;
        file.set_len(0).and_then(|()| file.set_permissions(Permissions::from_mode(0o600))).map_err(&failed)?;
        drop(failed);
        Ok(Self { path, file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn bytes(&self) -> Result<u64, BackupError> {
        Ok(self.file.metadata().map_err(BackupError::io(&self.path))?.len())
    }

    /// From then on a power loss does not change it.
    pub fn sync(&self) -> Result<(), BackupError> {
        self.file.sync_all().map_err(BackupError::io(&self.path))
    }

    /// Gives it its name, in the place of whatever has it.
    pub fn put(self, to: &Path) -> Result<(), BackupError> {
        rename(&self.path, to).and_then(|()| sync_folder(to)).map_err(BackupError::io(to))
    }

    /// Takes its name away: it is gone once it is closed.
    pub fn unnamed(self) -> Result<File, BackupError> {
        self.file.try_clone().map_err(BackupError::io(&self.path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Where it got its name there is none of this name.
        let _ = remove_file(&self.path);
    }
}

/// Makes names in the folder of a file durable.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    folder(file).map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
