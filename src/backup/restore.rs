//! A copy put in the place of a file.

use super::part::{Part, sync_folder};
use super::schedule::compact;
use super::{BackupError, Progress, Stop, copied, sound};
use crate::clock;
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use crate::lock::Lock;
use crate::store::StoreError;
use crate::store::sqlite::copy::{self, Note};
use crate::store::sqlite::state::{self, State};
use crate::store::sqlite::{self, Connection, beside};
use std::fs::{hard_link, remove_file, rename};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is in place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the copy was made, where it says so.
    pub at: Option<Time>,
    /// What its tables say; `None` if the next start of a server updates them.
    pub state: Option<State>,
    /// Where the files are kept that were in place before.
    pub kept: Vec<PathBuf>,
}

/// Puts a copy in the place of a file, or where there is none. Nobody may write the file meanwhile. `replace`: also where
/// there is a file, which is kept under another name.
pub fn restore(
    from: &Path,
    db: &Path,
    replace: bool,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<Restored, BackupError> {
    if !from.is_file() {
        return Err(BackupError::NotAFile(from.to_owned()));
    }
    let (_lock, real) = Lock::hold(db)?;
    if from.canonicalize().is_ok_and(|from| from == real) {
        return Err(BackupError::Itself(from.to_owned()));
    }
    may_replace(&real, replace)?;
    let part = Part::create(&real)?;
    let filled = copy_and_check(from, &part, stop, progress);
    if stop.is_asked() {
        return Err(BackupError::Stopped);
    }
    let (note, state) = filled?;
    Ok(Restored { at: note.map(|note| Time(note.at)), state, kept: put(part, &real)? })
}

fn copy_and_check(
    from: &Path,
    part: &Part,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Option<Note>, Option<State>), BackupError> {
    let (mut source, is_new) = sqlite::open_copy(from)?;
    sqlite::interrupted_by(&mut source, stop.asked())?;
    let snapshot = sqlite::snapshot(&source)?;
    let note = copy::note(&source)?;
    copied(&source, part, stop, progress)?;
    drop(snapshot);
    copy::finish(part.path())?;
    part.sync()?;
    progress(Progress::Check);
    let (mut written, _) = sqlite::open_copy(part.path())?;
    sqlite::interrupted_by(&mut written, stop.asked())?;
    let state = check(&written, note.as_ref(), is_new)?;
    Ok((note, state))
}

/// Whether it is what the copy says it is, and what its tables say.
pub(super) fn check(file: &Connection, note: Option<&Note>, is_new: bool) -> Result<Option<State>, BackupError> {
    sound(file)?;
    let log = state::of_log(file).map_err(StoreError::from)?.to_string();
    if note.is_some_and(|note| note.log != log) {
        return Err(BackupError::Damaged("its log is not what it was when the copy was made".into()));
    }
    if !is_new {
        return Ok(None);
    }
    let state = state::of_file(file).map_err(StoreError::from)?;
    let is_same = |note: &Note| note.state == state.total.to_string();
    if sqlite::fold_version(file)? == FOLD_VERSION && !note.is_none_or(is_same) {
        return Err(BackupError::Damaged("its tables do not say what they said when the copy was made".into()));
    }
    Ok(Some(state))
}

/// Puts it in place. A process that ends meanwhile leaves the old files, or the new file beside a WAL that every start
/// refuses.
pub(super) fn put(part: Part, real: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let kept = beside(real, &format!(".{}.old", compact(clock::now())));
    let mut moved = Vec::new();
    if has_bytes(real) {
        // Where a file cannot have two names, there is none in place for a moment.
        hard_link(real, &kept).or_else(|_| rename(real, &kept)).map_err(BackupError::io(&kept))?;
        moved.push(kept.clone());
    }
    part.put(real)?;
    let (wal, kept_wal) = (beside(real, "-wal"), beside(&kept, "-wal"));
    if has_bytes(&wal) {
        rename(&wal, &kept_wal).map_err(BackupError::io(&kept_wal))?;
        moved.push(kept_wal);
    }
    for left in ["-wal", "-shm", "-journal"].map(|end| beside(real, end)) {
        match remove_file(&left) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(BackupError::io(&left)(error)),
            _ => {}
        }
    }
    sync_folder(real).map_err(BackupError::io(real))?;
    Ok(moved)
}

/// Refuses to replace a file that holds anything, unless told to.
pub(super) fn may_replace(real: &Path, replace: bool) -> Result<(), BackupError> {
    let there = [real.to_owned(), beside(real, "-wal")].into_iter().find(|path| has_bytes(path));
    there.filter(|_| !replace).map_or(Ok(()), |there| Err(BackupError::InPlace(there)))
}

fn has_bytes(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.len() > 0)
}
