//! Lists of several pages, and whether they are complete: a list may change between two of its pages.
//!
//! Pages are cut by number. When somebody of an earlier page leaves meanwhile, somebody of a later one moves into a page
//! that was read already, and is missed. So a list of several pages counts only if it was read twice and came out the
//! same.

use super::answer::{Answer, id};
use super::{Client, PER_PAGE, RestError};
use crate::ids::Time;
use std::collections::BTreeMap;

/// Times that a list is read until two readings agree.
const READINGS: usize = 4;

/// What was read of a list.
#[derive(Debug)]
pub struct List {
    /// The rows as they came, each once.
    pub rows: Vec<String>,
    /// The list is not older than this.
    pub at: Time,
    /// Why it may not be whole; `None`: it is.
    pub incomplete: Option<String>,
}

/// The members of a group: uid, and scope and time of joining as they came.
pub type Members = List;

/// One reading of a list.
struct Reading {
    /// By what tells the rows apart.
    rows: BTreeMap<String, String>,
    at: Time,
    pages: usize,
    /// Why it cannot be whole.
    broken: Option<String>,
}

/// Reads a list of which the API does not say elsewhere how long it is.
pub(super) fn read(client: &Client, path: &[&str]) -> Result<List, RestError> {
    agreed(|| reading(client, path), |_| Ok(None))
}

/// Reads the members of a group. The list is as long as the group says, or it is not whole.
pub(super) fn members(client: &Client, guid: &str, expected: Option<i64>) -> Result<Members, RestError> {
    let mut expected = expected;
    agreed(
        || reading(client, &["groups", guid, "members"]),
        |found| {
            if expected == Some(found) {
                return Ok(None);
            }
            let group = client.group(guid)?;
            expected = group.row().and_then(|row| row.get("membersCount")?.number()?.parse().ok());
            let differs = expected.filter(|expected| *expected != found);
            Ok(differs.map(|expected| format!("the group has {expected} members, the list {found}")))
        },
    )
}

/// Reads until the list is whole. `wrong` says what speaks against a length.
fn agreed(
    mut read: impl FnMut() -> Result<Reading, RestError>,
    mut wrong: impl FnMut(i64) -> Result<Option<String>, RestError>,
) -> Result<List, RestError> {
    let mut last: Option<Reading> = None;
    let mut why = "it changed while it was read".to_owned();
    for _ in 0..READINGS {
        let now = read()?;
        let agrees = last.as_ref().is_some_and(|last| last.broken.is_none() && last.rows.keys().eq(now.rows.keys()));
        // The list of two equal readings is as old as the first of them.
        let at = last.as_ref().filter(|_| agrees).map_or(now.at, |last| last.at);
        if let Some(broken) = &now.broken {
            why.clone_from(broken);
        } else if now.pages == 1 || agrees {
            match wrong(now.rows.len() as i64)? {
                None => return Ok(List { rows: now.rows.into_values().collect(), at, incomplete: None }),
                Some(wrong) => why = wrong,
            }
        }
        last = Some(now);
    }
    let (rows, at) = last.map(|last| (last.rows, last.at)).unwrap_or_default();
    Ok(List { rows: rows.into_values().collect(), at, incomplete: Some(why) })
}

fn reading(client: &Client, path: &[&str]) -> Result<Reading, RestError> {
    let mut reading = Reading { rows: BTreeMap::new(), at: Time::default(), pages: 0, broken: None };
    let (mut seen, mut total) = (0, None);
    for number in 1.. {
        let query = [("perPage", PER_PAGE.to_string()), ("page", number.to_string())];
        let answer = client.get(path, &query.each_ref().map(|(name, value)| (*name, value.as_str())))?;
        if number == 1 {
            reading.at = answer.at;
        }
        let page = answer.page();
        total = page.total.or(total);
        let rows = answer.rows().count();
        seen += rows;
        reading.pages += 1;
        keep(&answer, &mut reading.rows);
        let per_page = page.per_page.unwrap_or(PER_PAGE as i64);
        let more = page.pages.map_or_else(
            || rows as i64 >= per_page || total.is_some_and(|total| (seen as i64) < total && rows > 0),
            |pages| number < pages,
        );
        if more && (rows as i64) < per_page {
            let which = if rows == 0 { "empty" } else { "not full" };
            reading.broken = Some(format!("page {number} is {which}, though more pages follow"));
        }
        if !more || rows == 0 {
            break;
        }
    }
    if reading.broken.is_none()
        && let Some(total) = total.filter(|total| *total != reading.rows.len() as i64)
    {
        reading.broken = Some(format!("the list has {total} rows, as it says, and {} came", reading.rows.len()));
    }
    Ok(reading)
}

/// Keeps the rows of a page, each by its uid and, for a reaction, by its text.
fn keep(answer: &Answer, rows: &mut BTreeMap<String, String>) {
    for row in answer.rows() {
        let uid = id(row, "uid").or_else(|| id(row.get("reactedBy")?, "uid"));
        let Some(uid) = uid else { continue };
        let key = id(row, "reaction").map_or(uid.clone(), |reaction| format!("{uid} {reaction}"));
        rows.insert(key, row.source().to_owned());
    }
}
