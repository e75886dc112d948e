//! A part of the tables, folded again where few events of the log were written anew ([`crate::part`]).

use super::aside::Aside;
use super::chunk::chunks;
use super::run::{aside_of, judge, mark};
use super::{Host, Phase, Progress, RebuildError};
use crate::fold::FOLD_VERSION;
use crate::part::Part;
use crate::store::sqlite::{self, aside as store, events, part as rows};
use std::path::Path;

/// Folds a part of the tables of the file at `path` again, and puts it in the place of what they said. False: nothing was
/// done, because more may change, and the whole log is to be folded.
pub fn refold(
    path: &Path,
    host: &Host,
    mut part: Part,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, RebuildError> {
    if part.is_whole {
        return Ok(false);
    }
    let log = sqlite::open_reader(path)?;
    rows::with_listed(&log, &mut part)?;
    let mut aside = Aside::of_part(&aside_of(path), &log, Some(part.clone()))?;
    let until = events::newest_position(&log)?;
    for chunk in chunks(path, aside.position, until)? {
        aside.fold(&log, &chunk?)?;
        let done = aside.position.cast_unsigned();
        progress(Progress { phase: Phase::Fold, done, total: until.cast_unsigned() });
    }
    aside.save(until)?;
    if aside.is_judged_otherwise || !store::told(&aside.conn, 0, 1)?.is_empty() {
        return Ok(false);
    }
    progress(Progress { phase: Phase::Copy, done: 0, total: 0 });
    host.write(move |conn| {
        if !rows::is_closed(conn, &aside.conn, &part)? {
            return Ok(false);
        }
        rows::replace(conn, &aside.conn, &part)?;
        judge(conn, &aside)?;
        mark(conn, &aside)?;
        sqlite::stamp_fold_version(conn, FOLD_VERSION)?;
        Ok(true)
    })
}
