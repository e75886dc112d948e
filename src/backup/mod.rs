//! Copies of a file, each checked before it counts, and a copy put in place again.

mod anew;
#[cfg(feature = "postgres")]
mod join;
mod part;
mod restore;
mod schedule;
mod stop;

pub use anew::write_anew;
#[cfg(feature = "postgres")]
pub use join::{Fetched, fetch};
pub use restore::{Restored, restore};
pub use schedule::{Schedule, compact};
pub use stop::Stop;

use crate::clock;
use crate::ids::Time;
use crate::rebuild;
use crate::store::StoreError;
pub use crate::store::sqlite::state::State;
use crate::store::sqlite::{self, Connection, beside, copy, folder, state};
use part::Part;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another machine makes a copy.
    #[cfg(feature = "postgres")]
    Wait,
    /// So many bytes of how many have come; 0: it is not known how many there are.
    #[cfg(feature = "postgres")]
    Fetch { done: u64, total: u64 },
    /// So many pages of how many are copied.
    Copy { done: u64, total: u64 },
    /// What the tables of the file say is hashed.
    Hash,
    /// The copy is checked.
    Check,
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub file: PathBuf,
    pub bytes: u64,
    /// When its moment was.
    pub at: Time,
    /// What its tables say.
    pub state: State,
}

/// Why there is no copy, or no copy was put in place.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("there is a file {} already. Name another file, or replace this one with --force", _0.display())]
    Exists(PathBuf),
    #[error("{} is in place, and was not touched. With --force it is moved aside, and kept", _0.display())]
    InPlace(PathBuf),
    #[error("{} belongs to the database itself. Name another file", _0.display())]
    Itself(PathBuf),
    #[error("{} is not a file", _0.display())]
    NotAFile(PathBuf),
    #[error("there is no folder {}", _0.display())]
    NoFolder(PathBuf),
    #[error("another process writes {} now", _0.display())]
    Busy(PathBuf),
    #[error("the copy is damaged, and was not kept: {0}")]
    Damaged(String),
    #[error("stopped: no file was changed")]
    Stopped,
    #[error("cannot write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Copies one moment of a file, also while a server writes it. The copy has its name only once it is complete, synced and
/// checked. `replace`: also where another file has the name.
///
/// The WAL of a server grows until the pages are copied and hashed.
pub fn take(
    db: &Path,
    to: &Path,
    replace: bool,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupError> {
    may_write(db, to, replace)?;
    let part = Part::create(to)?;
    let taken = fill(db, &part, stop, progress)?;
    // Another process may have taken the name meanwhile.
    may_write(db, to, replace)?;
    part.put(to)?;
    Ok(Taken { file: to.to_owned(), ..taken })
}

/// The same into a file without a name, which is gone once it is closed. It lies in the folder of the database meanwhile.
pub fn take_unnamed(db: &Path, stop: &Stop) -> Result<(std::fs::File, Taken), BackupError> {
    let part = Part::create(&beside(&sqlite::real(db), ".download"))?;
    let taken = fill(db, &part, stop, &mut |_| {})?;
    Ok((part.unnamed()?, taken))
}

fn fill(db: &Path, part: &Part, stop: &Stop, progress: &mut dyn FnMut(Progress)) -> Result<Taken, BackupError> {
    let filled = copy_and_check(db, part, stop, progress);
    if stop.is_asked() { Err(BackupError::Stopped) } else { filled }
}

fn copy_and_check(
    db: &Path,
    part: &Part,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupError> {
    let mut source = sqlite::open_reader(db)?;
    sqlite::interrupted_by(&mut source, stop.asked())?;
    // A copy of a file in which a large event is saved in part is a copy all the same.
    let snapshot = rebuild::finished(&source).or_else(|_| sqlite::snapshot(&source))?;
    let at = clock::now();
    copied(&source, part, stop, progress)?;
    progress(Progress::Hash);
    let state = state::of_file(&source).map_err(StoreError::from)?;
    drop(snapshot);
    copy::finish_noted(part.path(), at, &state)?;
    part.sync()?;
    progress(Progress::Check);
    let mut written = sqlite::open_reader(part.path())?;
    sqlite::interrupted_by(&mut written, stop.asked())?;
    sound(&written)?;
    if state::of_file(&written).map_err(StoreError::from)? != state {
        return Err(BackupError::Damaged("its tables do not say what those of the file say".into()));
    }
    Ok(Taken { file: part.path().to_owned(), bytes: part.bytes()?, at, state })
}

/// Copies the pages, as far as nobody stops it.
fn copied(
    source: &Connection,
    part: &Part,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BackupError> {
    let all = copy::pages(source, part.path(), |done, total| {
        progress(Progress::Copy { done, total });
        if stop.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if all.is_break() { Err(BackupError::Stopped) } else { Ok(()) }
}

/// Whether the structure of a file is sound.
fn sound(file: &Connection) -> Result<(), BackupError> {
    match sqlite::integrity(file)?.first() {
        None => Ok(()),
        Some(problem) => Err(BackupError::Damaged(problem.clone())),
    }
}

/// Refuses a name that belongs to the database, or to anything but a copy.
fn may_write(db: &Path, to: &Path, replace: bool) -> Result<(), BackupError> {
    let folder = folder(to).filter(|folder| folder.is_dir());
    let Some(folder) = folder.and_then(|folder| folder.canonicalize().ok()) else {
        return Err(BackupError::NoFolder(folder_of(to)));
    };
    let real = sqlite::real(db);
    let full = to.file_name().map(|name| folder.join(name));
    if ["", "-wal", "-shm", "-journal", ".lock", ".sock"].iter().any(|end| full == Some(beside(&real, end))) {
        return Err(BackupError::Itself(to.to_owned()));
    }
    match to.symlink_metadata() {
        Ok(meta) if !meta.is_file() => Err(BackupError::NotAFile(to.to_owned())),
        Ok(_) if !replace => Err(BackupError::Exists(to.to_owned())),
        _ => Ok(()),
    }
}

fn folder_of(to: &Path) -> PathBuf {
    folder(to).unwrap_or(to).to_owned()
}
