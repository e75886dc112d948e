//! Backups again and again, into one folder.

use super::{BackupError, Progress, Stop, Taken, take};
use crate::clock;
use crate::ids::Time;
use crate::store::sqlite::real;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A backup that failed is tried again after so long, or when the next is due.
const AGAIN: Duration = Duration::from_secs(300);

/// Where, how often, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub folder: PathBuf,
    pub every: Duration,
    /// The newest so many stay. `None`: all.
    pub keep: Option<usize>,
}

impl Schedule {
    /// Makes backups until it is stopped, and tells of each.
    pub fn run(
        &self,
        db: &Path,
        stop: &Stop,
        progress: &mut dyn FnMut(Progress),
        tell: &mut dyn FnMut(Result<Taken, BackupError>),
    ) {
        let mut wait = self.until_due(db, clock::now());
        while !stop.wait(wait) {
            let taken = self.once(db, stop, progress);
            if matches!(taken, Err(BackupError::Stopped)) {
                return;
            }
            wait = if taken.is_ok() { self.until_due(db, clock::now()) } else { self.every.min(AGAIN) };
            tell(taken);
        }
    }

    /// Makes one, under a name of its own, and removes the oldest.
    pub fn once(&self, db: &Path, stop: &Stop, progress: &mut dyn FnMut(Progress)) -> Result<Taken, BackupError> {
        let names = Names::of(db);
        let taken = take(db, &self.folder.join(names.at(clock::now())), false, stop, progress)?;
        let all = names.within(&self.folder).map_err(BackupError::io(&self.folder))?;
        let surplus = all.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        for (_, name) in all.into_iter().take(surplus) {
            let old = self.folder.join(name);
            std::fs::remove_file(&old).map_err(BackupError::io(&old))?;
        }
        Ok(taken)
    }

    /// The time until the next one.
    fn until_due(&self, db: &Path, now: Time) -> Duration {
        let newest = Names::of(db).within(&self.folder).ok().and_then(|all| all.last().map(|(at, _)| *at));
        let since = newest.map(|at| Duration::from_millis(now.0.saturating_sub(at.0).max(0).cast_unsigned()));
        since.map_or(Duration::ZERO, |since| self.every.saturating_sub(since))
    }
}

/// What the backups of one file are called: `chatfold-20260105T120000Z.db`.
struct Names {
    stem: String,
}

impl Names {
    fn of(db: &Path) -> Self {
        let stem = real(db).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Self { stem }
    }

    fn at(&self, at: Time) -> String {
        format!("{}-{}.db", self.stem, compact(at))
    }

    /// Those in a folder, oldest first. Other files are nobody's business.
    fn within(&self, folder: &Path) -> std::io::Result<Vec<(Time, String)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let at = name.strip_prefix(&format!("{}-", self.stem)).and_then(|rest| read(rest.strip_suffix(".db")?));
            found.extend(at.map(|at| (at, name)));
        }
        found.sort();
        Ok(found)
    }
}

/// A time as a part of a name, to the second.
pub fn compact(at: Time) -> String {
    at.second().rfc3339().replace(['-', ':'], "")
}

fn read(text: &str) -> Option<Time> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(day, 8) || !digits(time, 6) {
        return None;
    }
    let [year, month, day] = [&day[..4], &day[4..6], &day[6..]];
    let [hour, minute, second] = [&time[..2], &time[2..4], &time[4..]];
    Time::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_time_and_no_other_name_does() {
        let names = Names::of(Path::new("somewhere/chatfold.db"));
        let at = Time::parse("2026-01-05T12:00:07Z").unwrap();
        assert_eq!(names.at(at), "chatfold-20260105T120007Z.db");
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "chatfold-20260105T120007Z.db",
            "chatfold-20260104T120007Z.db",
            "chatfold-20260104T120007Z.db.part",
            "chatfold-before-upgrade.db",
            "chatfold-20261304T120007Z.db",
            "other-20260105T120007Z.db",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found: Vec<String> = names.within(dir.path()).unwrap().into_iter().map(|(_, name)| name).collect();
        assert_eq!(found, ["chatfold-20260104T120007Z.db", "chatfold-20260105T120007Z.db"]);
    }

    #[test]
    fn the_next_is_due_so_long_after_the_newest_and_the_first_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let every = Duration::from_secs(3_600);
        let schedule = Schedule { folder: dir.path().to_owned(), every, keep: None };
        let db = Path::new("chatfold.db");
        let now = Time::parse("2026-01-05T12:30:00Z").unwrap();
        assert_eq!(schedule.until_due(db, now), Duration::ZERO);
        std::fs::write(dir.path().join("chatfold-20260105T120000Z.db"), "").unwrap();
        assert_eq!(schedule.until_due(db, now), Duration::from_secs(1_800));
        assert_eq!(schedule.until_due(db, Time::parse("2026-01-06T12:30:00Z").unwrap()), Duration::ZERO);
    }
}
