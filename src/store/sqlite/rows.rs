//! Rows of registers: read, merged, written back. How keys are packed is known here alone.

use crate::json::{self, Document};
use crate::merge::{Key, Row, Value};
use crate::store::StoreError;
use rusqlite::types::{ToSql, ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, params_from_iter};
use std::collections::BTreeMap;

/// The statements of one table of registers. Texts are made once, of names that are constants.
pub struct Table {
    name: &'static str,
    select: String,
    upsert: String,
    fields: usize,
    extras: usize,
    hidden: usize,
}

impl Table {
    /// `keys` lead, `fields` are merged in this order, `extras` are derived and follow.
    pub fn new(name: &'static str, keys: &[&str], fields: &[&str], extras: &[&str]) -> Self {
        let by: Vec<String> = (1..).zip(keys).map(|(n, key)| format!("{key} = ?{n}")).collect();
        let written: Vec<&str> = fields.iter().chain(extras).copied().chain(["registers"]).collect();
        let all: Vec<&str> = keys.iter().copied().chain(written.iter().copied()).collect();
        let places: Vec<String> = (1..=all.len()).map(|n| format!("?{n}")).collect();
        let updates: Vec<String> = written.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        Self {
            name,
            select: format!("SELECT {} FROM {name} WHERE {}", written.join(", "), by.join(" AND ")),
            upsert: format!(
                "INSERT INTO {name} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
                all.join(", "),
                places.join(", "),
                keys.join(", "),
                updates.join(", ")
            ),
            fields: fields.len(),
            extras: extras.len(),
            hidden: 0,
        }
    }

    /// The last fields of the row, this many, have keys but no column of their own.
    pub fn hiding(self, hidden: usize) -> Self {
        Self { hidden, ..self }
    }

    /// The row and its derived columns, if there is one.
    pub fn load(&self, conn: &Connection, keys: &[&dyn ToSql]) -> Result<Option<(Row, Vec<SqlValue>)>, StoreError> {
        let mut statement = conn.prepare_cached(&self.select)?;
        let mut rows = statement.query(keys)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let damaged = |why: &str| StoreError::Damaged(self.name, why.to_owned());
        let mut merged = Row::new(self.fields + self.hidden);
        for field in 0..self.fields {
            merged.values[field] = match row.get_ref(field)? {
                ValueRef::Integer(int) => Value::Int(int),
                ValueRef::Text(text) => {
                    let text = std::str::from_utf8(text).map_err(|_| damaged("a text is not UTF-8"))?;
                    Value::Text(text.to_owned())
                }
                _ => Value::Null,
            };
        }
        let extras = (0..self.extras).map(|extra| row.get(self.fields + extra)).collect::<Result<_, _>>()?;
        let packed = row.get_ref(self.fields + self.extras)?.as_bytes().map_err(rusqlite::Error::from)?;
        unpack(packed, &mut merged).ok_or_else(|| damaged("registers: the bytes are not what chatfold writes"))?;
        Ok(Some((merged, extras)))
    }

    pub fn write(
        &self,
        conn: &Connection,
        keys: &[&dyn ToSql],
        row: &Row,
        extras: &[SqlValue],
    ) -> Result<(), StoreError> {
        let packed = pack(row);
        let values = row.values.iter().take(self.fields).map(|value| value as &dyn ToSql);
        let all = keys
            .iter()
            .copied()
            .chain(values)
            .chain(extras.iter().map(|extra| extra as &dyn ToSql))
            .chain([&packed as &dyn ToSql]);
        conn.prepare_cached(&self.upsert)?.execute(params_from_iter(all))?;
        Ok(())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Int(int) => ToSqlOutput::Owned(SqlValue::Integer(*int)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// Distinct keys first, then for each field which of them (0: not told), then names and theirs. Most rows hold one or
/// two distinct keys. Numbers are written seven bits a byte, the least first; times relative to the key's own.
fn pack(row: &Row) -> Vec<u8> {
    let mut keys: Vec<Key> =
        row.keys.iter().flatten().copied().chain(row.named.values().map(|(_, key)| *key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let index = |key: &Key| keys.binary_search(key).map_or(0, |at| at as u64 + 1);
    let mut out = Vec::with_capacity(4 + keys.len() * 14 + row.keys.len());
    put(&mut out, keys.len() as u64);
    for key in &keys {
        put_signed(&mut out, key.at);
        out.push(key.rank);
        put_signed(&mut out, key.fact_at.wrapping_sub(key.at));
        put_signed(&mut out, key.seq);
    }
    for key in &row.keys {
        put(&mut out, key.as_ref().map_or(0, index));
    }
    for (name, (_, key)) in &row.named {
        put(&mut out, index(key));
        put(&mut out, name.len() as u64);
        out.extend(name.as_bytes());
    }
    out
}

/// Reads what [`pack`] wrote; the values of names come with [`read_named`]. `None` where it is anything else.
fn unpack(packed: &[u8], row: &mut Row) -> Option<()> {
    let mut bytes = packed;
    let count = take(&mut bytes)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let at = take_signed(&mut bytes)?;
        let rank = *bytes.split_off_first()?;
        let fact_at = at.wrapping_add(take_signed(&mut bytes)?);
        keys.push(Key { at, rank, fact_at, seq: take_signed(&mut bytes)? });
    }
    let key = |index: u64| keys.get(usize::try_from(index.checked_sub(1)?).ok()?).copied();
    for field in &mut row.keys {
        let index = take(&mut bytes)?;
        *field = if index == 0 { None } else { Some(key(index)?) };
    }
    while !bytes.is_empty() {
        let key = key(take(&mut bytes)?)?;
        let length = usize::try_from(take(&mut bytes)?).ok()?;
        let name = std::str::from_utf8(bytes.split_off(..length)?).ok()?;
        row.named.insert(name.to_owned(), (Value::Null, key));
    }
    Some(())
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The sign goes into the lowest bit, so that small negative numbers are short too.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let number = take(bytes)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// The named registers as one JSON object; `None` if nothing is told but nulls.
pub fn named_json(named: &BTreeMap<String, (Value, Key)>) -> Option<String> {
    let members: Vec<String> = named
        .iter()
        .filter_map(|(name, (value, _))| value.text().map(|text| format!("{}:{text}", json::quote(name))))
        .collect();
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

/// Puts the values of a stored object back beside their keys.
pub fn read_named(data: &str, named: &mut BTreeMap<String, (Value, Key)>) -> Result<(), StoreError> {
    let damaged = |error| StoreError::Damaged("messages.data", format!("{error}"));
    let document = Document::parse(data.as_bytes().to_vec()).map_err(damaged)?;
    for (name, value) in document.root().members() {
        if let Some((known, _)) = named.get_mut(name.as_ref()) {
            *known = json::redact_member(&name, value).map_or(Value::Null, Value::Text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(at: i64, seq: i64) -> Key {
        Key { at, rank: 1, fact_at: at, seq }
    }

    #[test]
    fn packed_keys_read_back() {
        let mut row = Row::new(3);
        row.keys = vec![Some(key(i64::MIN, i64::MAX)), None, Some(Key { fact_at: -1, ..key(i64::MAX, -2) })];
        // More facts than 16 bits count.
        let names = (0..70_000).map(|n| (format!("name {n}"), (Value::Null, key(1_767_614_400_000 + n, n))));
        row.named.extend(names);
        let mut back = Row::new(3);
        unpack(&pack(&row), &mut back).unwrap();
        assert_eq!((back.keys, back.named), (row.keys, row.named));
    }

    #[test]
    fn damaged_keys_are_no_keys() {
        let mut row = Row::new(2);
        row.keys = vec![Some(key(5, 1)), Some(key(9, 2))];
        row.named.insert("text".into(), (Value::Null, key(5, 1)));
        let packed = pack(&row);
        for length in 0..packed.len() {
            let cut = unpack(&packed[..length], &mut Row::new(2));
            // All fields are read there; what follows are names.
            assert_eq!(cut.is_some(), length == packed.len() - 6, "{length} bytes");
        }
        assert_eq!(unpack(&[0xff, 0x00, 0xff], &mut Row::new(2)), None);
        assert!(unpack(&[packed, vec![1]].concat(), &mut Row::new(2)).is_none());
    }
}
