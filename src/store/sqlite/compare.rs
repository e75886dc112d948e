//! Two sets of the same tables, row by row, in words.

use super::layout::Layout;
use super::projection::PROJECTION;
use super::search;
use crate::ids::Time;
use crate::json;
use crate::store::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, Rows};
use std::cmp::Ordering;

/// Rows of one table that are told in words.
const TOLD: usize = 5;
/// Longest value shown.
const SHOWN: usize = 80;

/// How one table differs from what the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub table: &'static str,
    /// Rows that differ, are missing, or should not be there.
    pub rows: u64,
    /// The first of them.
    pub words: Vec<String>,
}

/// Compares every table of the projection, and the full-text index; those that agree are left out. Memory does not grow with the tables.
pub fn compare(live: &Connection, folded: &Connection) -> Result<Vec<Difference>, StoreError> {
    let mut differences = Vec::new();
    for table in PROJECTION.iter() {
        let layout = Layout::of(folded, table)?;
        let difference = table_difference(&layout, live, folded)?;
        if difference.rows > 0 {
            differences.push(difference);
        }
    }
    let difference = search::compare(live, folded)?;
    if difference.rows > 0 {
        differences.push(difference);
    }
    Ok(differences)
}

fn table_difference(layout: &Layout, live: &Connection, folded: &Connection) -> Result<Difference, StoreError> {
    let select =
        format!("SELECT {} FROM {} ORDER BY {}", layout.columns.join(", "), layout.table, layout.key.join(", "));
    let (mut live, mut folded) = (live.prepare(&select)?, folded.prepare(&select)?);
    let (mut live, mut folded) = (live.query([])?, folded.query([])?);
    let width = layout.columns.len();
    let places = layout.key_places();
    let mut difference = Difference { table: layout.table, rows: 0, words: Vec::new() };
    let (mut left, mut right) = (next(&mut live, width)?, next(&mut folded, width)?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(difference),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => places
                .iter()
                .map(|place| compare_values(&left[*place], &right[*place]))
                .find(|it| it.is_ne())
                .unwrap_or(Ordering::Equal),
        };
        let words = match (order, &left, &right) {
            (Ordering::Less, Some(row), _) => Some(format!("{} is there, the log tells of none", name(layout, row))),
            (Ordering::Greater, _, Some(row)) => Some(format!("{} is missing, the log tells of it", name(layout, row))),
            (_, Some(live), Some(folded)) if live != folded => {
                Some(format!("{}: {}", name(layout, live), changed(layout, live, folded)))
            }
            _ => None,
        };
        if let Some(words) = words {
            difference.rows += 1;
            if difference.words.len() < TOLD {
                difference.words.push(words);
            }
        }
        if order.is_le() {
            left = next(&mut live, width)?;
        }
        if order.is_ge() {
            right = next(&mut folded, width)?;
        }
    }
}

fn next(rows: &mut Rows<'_>, width: usize) -> Result<Option<Vec<Value>>, StoreError> {
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((0..width).map(|column| row.get(column)).collect::<Result<_, _>>()?))
}

/// SQLite's order of values: null, numbers, text, bytes.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    };
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        _ => kind(a).cmp(&kind(b)),
    }
}

/// The row's key: `a / team / bob`.
fn name(layout: &Layout, row: &[Value]) -> String {
    let shown: Vec<String> =
        layout.key_places().iter().map(|place| show(&layout.columns[*place], &row[*place])).collect();
    shown.join(" / ")
}

fn changed(layout: &Layout, live: &[Value], folded: &[Value]) -> String {
    let differing = layout.columns.iter().zip(live.iter().zip(folded)).filter(|(_, (live, folded))| live != folded);
    let words: Vec<String> = differing
        .map(|(column, (live, folded))| match (live, folded) {
            (Value::Blob(_), Value::Blob(_)) => format!("{column} hold other order keys"),
            _ => format!("{column} is {}, the log says {}", show(column, live), show(column, folded)),
        })
        .collect();
    words.join("; ")
}

/// A value in a few words, without the secrets that a row folded by an older rule may hold.
fn show(column: &str, value: &Value) -> String {
    let is_time = column == "at" || column == "since" || column.ends_with("_at") || column.ends_with("_since");
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(ms) if is_time && *ms > 0 => Time(*ms).rfc3339(),
        Value::Integer(int) => int.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Text(text) => {
            let text = json::without_secrets(text.as_str().into());
            let cut = if text.chars().count() > SHOWN { "…" } else { "" };
            format!("\"{}{cut}\"", text.chars().take(SHOWN).collect::<String>().escape_debug())
        }
        Value::Blob(bytes) => bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
    }
}
