//! `groups` and `rosters`.

use super::Key;
use super::rows::{put_row, registers, take_row};
use super::table::{Binder, FromColumns, Json, Reader, Stored, ToColumns, in_columns, table};
use crate::change;
use crate::drift::Drift;
use crate::merge::{Row, Value};
use crate::standing;
use crate::store::StoreError;
use crate::tables::group::{Group, OWNER, OWNER_COPY, Roster, Rosters, owner_field};
use rusqlite::Connection;

const FIELDS: usize = change::Group::COLUMNS.len();

table! {
    "groups": Group by (guid)
    columns |it| {
        // The two owners, which are the last fields, share a column: of the two, the file keeps the one that counts.
        row => [registers(&[&change::Group::COLUMNS[..OWNER], &["owner_uid"]].concat(), &[])] = Profile(&it.row),
        members_count,
        members_known_since,
        history_since: LeftOut,
        lifecycle: LeftOut = Json(&it.lifecycle),
        tally: LeftOut = Json(&it.tally),
    }
    derived |it| {
        deleted => (deleted_at: IfAny, deleted_at_from: LeftOut) = it.lifecycle.deleted_at(),
        // It follows from the two counts, which are hashed, and from the order in which facts arrived.
        drift => (drift_expected: LeftOut, drift_counted: LeftOut, drift_since: LeftOut) = it.drift(),
    }
}

struct Profile<'a>(&'a Row);

impl ToColumns for Profile<'_> {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        put_row(self.0, self.0.values[..OWNER].iter().chain([&self.0.values[owner_field(self.0)]]), to)
    }
}

impl FromColumns for Group {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        let mut row = take_row("groups", OWNER + 1, FIELDS, from)?;
        if owner_field(&row) == OWNER_COPY {
            row.values[OWNER_COPY] = std::mem::replace(&mut row.values[OWNER], Value::Null);
        }
        Ok(Self {
            row,
            members_count: from.next()?,
            members_known_since: from.next()?,
            history_since: from.next()?,
            lifecycle: from.json("groups.lifecycle")?,
            tally: from.json("groups.tally")?,
        })
    }
}

impl ToColumns for Option<Drift> {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        let of = |part: fn(&Drift) -> i64| self.as_ref().map(part);
        (of(|it| it.expected), of(|it| it.counted), of(|it| it.since)).put(to)
    }
}

table! {
    "rosters": Roster by (guid) and (at)
    columns |it| {
        created = it.roster.created,
        seq: LeftOut = it.roster.seq,
        base = it.roster.base,
        entries,
        replaces,
    }
}

impl FromColumns for Roster {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        Ok(Self { roster: from.next()?, entries: from.next()?, replaces: from.next()? })
    }
}

in_columns! { standing::Roster { at, created, seq, base } }

/// The columns of a [`standing::Roster`].
macro_rules! roster_columns {
    () => {
        "at, created, seq, base"
    };
}
pub(super) use roster_columns;

/// In the order of the log.
pub fn load_rosters(conn: &Connection, key: &Key) -> Result<Option<Rosters>, StoreError> {
    let mut rosters: Vec<Roster> = Roster::table().load_all(conn, key)?;
    rosters.sort_by_key(|it| (it.roster.seq, it.roster.at));
    Ok(Some(Rosters(rosters)))
}

/// Lists are added, or taken away, and never changed.
pub fn save_rosters(conn: &Connection, key: &Key, stored: Option<&Rosters>, now: &Rosters) -> Result<(), StoreError> {
    let stored = stored.map(|stored| stored.0.as_slice()).unwrap_or_default();
    let gone = stored.iter().filter(|roster| !now.0.contains(roster));
    gone.map(|it| &it.roster.at).try_for_each(|at| Roster::table().delete(conn, &(key, at)))?;
    let mut added = now.0.iter().filter(|roster| !stored.contains(roster));
    added.try_for_each(|roster| Roster::table().append(conn, &(key, roster.roster.at), roster))
}
