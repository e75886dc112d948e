//! Lists of several pages, and whether they are complete: a list may change between two of its pages.
//!
//! Pages are cut by number. When somebody of an earlier page leaves meanwhile, somebody of a later one moves into a page
//! that was read already, and is missed. So a list of several pages counts only if it was read twice and came out the
//! same. Of a row only what the caller takes is kept, and of an earlier reading only a digest: a list may have a hundred
//! thousand rows.

use super::answer::{Answer, id};
use super::{Client, PER_PAGE, RestError};
use crate::ids::Time;
use crate::json::Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Times that a list is read until two readings agree.
const READINGS: usize = 4;

/// What was read of a list.
#[derive(Debug)]
pub struct List<T> {
    /// What was taken of each row, by its uid.
    pub rows: BTreeMap<String, T>,
    /// The list is not older than this.
    pub at: Time,
    /// Why it may not be whole; `None`: it is.
    pub incomplete: Option<String>,
}

/// What is taken of a row.
type Take<'a, T> = &'a dyn Fn(Json<'_>) -> T;

/// One reading of a list.
struct Reading<T> {
    /// By what tells the rows apart.
    rows: BTreeMap<String, T>,
    at: Time,
    pages: usize,
    /// Why it cannot be whole.
    broken: Option<String>,
}

/// What is kept of an earlier reading.
struct Earlier {
    at: Time,
    is_broken: bool,
    /// Of what tells the rows apart.
    digest: [u8; 32],
}

impl<T> Reading<T> {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for key in self.rows.keys() {
            hash.update(key.len().to_le_bytes());
            hash.update(key);
        }
        hash.finalize().into()
    }
}

/// Reads a list of which the API does not say elsewhere how long it is.
pub(super) fn read<T>(client: &Client, path: &[&str], take: Take<'_, T>) -> Result<List<T>, RestError> {
    agreed(|| reading(client, path, take), |_| Ok(None))
}

/// Reads the members of a group. The list is as long as the group says, or it is not whole.
pub(super) fn members<T>(
    client: &Client,
    guid: &str,
    expected: Option<i64>,
    take: Take<'_, T>,
) -> Result<List<T>, RestError> {
    let mut expected = expected;
    agreed(
        || reading(client, &["groups", guid, "members"], take),
        |found| {
            if expected == Some(found) {
                return Ok(None);
            }
            let group = client.group(guid)?;
            expected = group.row().and_then(|row| row.get("membersCount")?.number()?.parse().ok());
            Ok(match expected {
                // Nobody would be left in the group, and nothing confirms that.
                None if found == 0 => Some("it is empty, and the group does not say how many members it has".into()),
                Some(expected) if expected != found => {
                    Some(format!("the group has {expected} members, the list {found}"))
                }
                _ => None,
            })
        },
    )
}

/// Reads until the list is whole. `wrong` says what speaks against a length.
fn agreed<T>(
    mut read: impl FnMut() -> Result<Reading<T>, RestError>,
    mut wrong: impl FnMut(i64) -> Result<Option<String>, RestError>,
) -> Result<List<T>, RestError> {
    let mut earlier: Option<Earlier> = None;
    let mut why = "it changed while it was read".to_owned();
    for left in (0..READINGS).rev() {
        let now = read()?;
        let digest = now.digest();
        let agrees = earlier.as_ref().is_some_and(|it| !it.is_broken && it.digest == digest);
        // The list of two equal readings is as old as the first of them.
        let at = earlier.as_ref().filter(|_| agrees).map_or(now.at, |it| it.at);
        if let Some(broken) = &now.broken {
            why.clone_from(broken);
        } else if now.pages == 1 || agrees {
            match wrong(now.rows.len() as i64)? {
                None => return Ok(List { rows: now.rows, at, incomplete: None }),
                Some(wrong) => why = wrong,
            }
        }
        if left == 0 {
            return Ok(List { rows: now.rows, at: now.at, incomplete: Some(why) });
        }
        earlier = Some(Earlier { at: now.at, is_broken: now.broken.is_some(), digest });
    }
    Ok(List { rows: BTreeMap::new(), at: Time::default(), incomplete: Some(why) })
}

fn reading<T>(client: &Client, path: &[&str], take: Take<'_, T>) -> Result<Reading<T>, RestError> {
    let mut reading = Reading { rows: BTreeMap::new(), at: Time::default(), pages: 0, broken: None };
    let (mut seen, mut total) = (0, None);
    for number in 1.. {
        let query = [("perPage", PER_PAGE.to_string()), ("page", number.to_string())];
        let answer = client.get(path, &query.each_ref().map(|(name, value)| (*name, value.as_str())))?;
        reading.at = if number == 1 { answer.at } else { reading.at.min(answer.at) };
        let page = answer.page();
        total = page.total.or(total);
        let rows = answer.rows().count();
        seen += rows;
        reading.pages += 1;
        keep(&answer, take, &mut reading.rows);
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
fn keep<T>(answer: &Answer, take: Take<'_, T>, rows: &mut BTreeMap<String, T>) {
    for row in answer.rows() {
        let uid = id(row, "uid").or_else(|| id(row.get("reactedBy")?, "uid"));
        let Some(uid) = uid else { continue };
        let key = id(row, "reaction").map_or(uid.clone(), |reaction| format!("{uid} {reaction}"));
        rows.insert(key, take(row));
    }
}
