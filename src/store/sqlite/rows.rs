//! Rows of registers: read, merged, written back. How keys are packed is known here alone.

use super::table::{Binder, Column, Hashed, Reader, ToColumns, columns};
use crate::json::{self, Document};
use crate::merge::{Key, Row, Value};
use crate::store::StoreError;
use rusqlite::types::{ToSql, ToSqlOutput, Value as SqlValue, ValueRef};
use std::collections::BTreeMap;

/// Said where the registers of a row are damaged.
const REGISTERS: &str = "registers: the bytes are not what chatfold writes";

/// The columns of registers: those of the fields and, last, that of their keys. `hashed` are the fields of which the
/// state hash does not take the value.
pub fn registers(fields: &[&'static str], hashed: &[Column]) -> Vec<Column> {
    let own = |name| hashed.iter().find(|it| it.name == name).copied();
    let column = |name| own(name).unwrap_or(Column { name, hashed: Hashed::Value });
    fields.iter().copied().map(column).chain(columns![registers: LeftOut]).collect()
}

impl ToColumns for Row {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        put_row(self, &self.values, to)
    }
}

/// Puts the values that columns hold, and the keys of all fields.
pub fn put_row<'a>(
    row: &Row,
    values: impl IntoIterator<Item = &'a Value>,
    to: &mut Binder<'_>,
) -> Result<(), StoreError> {
    values.into_iter().try_for_each(|value| to.bind(value))?;
    to.bind(&pack(row))
}

/// Takes a row of so many fields; the first `columns` of them have a column of their own.
pub fn take_row(table: &'static str, columns: usize, fields: usize, from: &mut Reader<'_>) -> Result<Row, StoreError> {
    let mut row = Row::new(fields);
    take_values(table, &mut row.values[..columns], from)?;
    let mut packed = from.cell()?.as_bytes().map_err(rusqlite::Error::from)?;
    let read = unpack_fields(&mut packed, &mut row).and_then(|keys| unpack_named(packed, &keys, &mut row));
    read.ok_or_else(|| StoreError::Damaged(table, REGISTERS.to_owned()))?;
    Ok(row)
}

/// Takes a row without its named registers.
pub fn take_fields(table: &'static str, fields: usize, from: &mut Reader<'_>) -> Result<Row, StoreError> {
    let mut row = Row::new(fields);
    take_values(table, &mut row.values, from)?;
    let mut packed = from.cell()?.as_bytes().map_err(rusqlite::Error::from)?;
    unpack_fields(&mut packed, &mut row).ok_or_else(|| StoreError::Damaged(table, REGISTERS.to_owned()))?;
    Ok(row)
}

fn take_values(table: &'static str, values: &mut [Value], from: &mut Reader<'_>) -> Result<(), StoreError> {
    for value in values {
        *value = match from.cell()? {
            ValueRef::Integer(int) => Value::Int(int),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text);
                let text = text.map_err(|_| StoreError::Damaged(table, "a text is not UTF-8".to_owned()))?;
                Value::Text(text.to_owned())
            }
            _ => Value::Null,
        };
    }
    Ok(())
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

/// Reads what [`pack`] wrote of the fields, and gives all keys. `None` where it is anything else.
fn unpack_fields(bytes: &mut &[u8], row: &mut Row) -> Option<Vec<Key>> {
    let count = take(bytes)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let at = take_signed(bytes)?;
        let rank = *bytes.split_off_first()?;
        let fact_at = at.wrapping_add(take_signed(bytes)?);
        keys.push(Key { at, rank, fact_at, seq: take_signed(bytes)? });
    }
    for field in &mut row.keys {
        let index = take(bytes)?;
        *field = if index == 0 { None } else { Some(key_at(&keys, index)?) };
    }
    Some(keys)
}

/// Reads the rest, about names; their values come with [`read_named`].
fn unpack_named(mut bytes: &[u8], keys: &[Key], row: &mut Row) -> Option<()> {
    while !bytes.is_empty() {
        let key = key_at(keys, take(&mut bytes)?)?;
        let length = usize::try_from(take(&mut bytes)?).ok()?;
        let name = std::str::from_utf8(bytes.split_off(..length)?).ok()?;
        row.named.insert(name.to_owned(), (Value::Null, key));
    }
    Some(())
}

/// The key that an index names, from 1.
fn key_at(keys: &[Key], index: u64) -> Option<Key> {
    keys.get(usize::try_from(index.checked_sub(1)?).ok()?).copied()
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

    fn unpack(packed: &[u8], row: &mut Row) -> Option<()> {
        let mut bytes = packed;
        let keys = unpack_fields(&mut bytes, row)?;
        unpack_named(bytes, &keys, row)
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
