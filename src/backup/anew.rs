//! A file written anew, so that no byte of what was deleted stays in it.

use super::BackupError;
use super::part::Part;
use crate::store::sqlite::{self, Connection, erasures};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, fchown};
use std::path::Path;

/// Bytes written over at once.
const BLOCK: usize = 1 << 20;

/// Puts a copy of what the file at `db` holds in the place of the file, and then writes over what was there. `conn` is the
/// only one that writes the file, and is closed. Less than half as much is written as by a `VACUUM` in place. False: the
/// file is as it was, because somebody else has it open, or because nothing can take its place.
///
/// A process that ends meanwhile leaves the old file or the new one.
pub fn write_anew(conn: Connection, db: &Path) -> Result<bool, BackupError> {
    let real = sqlite::real(db);
    if !erasures::leave_wal(&conn)? {
        return Ok(false);
    }
    let meta = real.metadata().map_err(BackupError::io(&real))?;
    let Ok(part) = Part::create(&real) else { return Ok(false) };
    erasures::write_into(&conn, part.path())?;
    drop(conn);
    if own_as(&part.file, &meta).is_err() {
        return Ok(false);
    }
    part.sync()?;
    let old = OpenOptions::new().write(true).open(&real).map_err(BackupError::io(&real))?;
    // A file that is mounted by itself keeps its name.
    if part.put(&real).is_err() {
        return Ok(false);
    }
    write_over(&old, meta.len()).map_err(BackupError::io(&real))?;
    Ok(true)
}

fn own_as(file: &File, meta: &Metadata) -> io::Result<()> {
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (meta.uid(), meta.gid()) {
        fchown(file, Some(meta.uid()), Some(meta.gid()))?;
    }
    file.set_permissions(meta.permissions())
}

fn write_over(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; BLOCK];
    for at in (0..bytes).step_by(BLOCK) {
        let block = zeros.get(..(bytes - at) as usize).unwrap_or(&zeros);
        file.write_all_at(block, at)?;
    }
    file.sync_all()
}
