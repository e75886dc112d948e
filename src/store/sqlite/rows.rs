//! Rows of registers: read, merged, written back. How keys are packed is known here alone.

use crate::json::{self, Document};
use crate::merge::{Key, Row, Value};
use crate::store::StoreError;
use rusqlite::types::{ToSql, ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::collections::BTreeMap;

/// The statements of one table of registers. Texts are made once, of names that are constants.
pub struct Table {
    select: String,
    select_fields: String,
    select_many: String,
    upsert: String,
    fields: usize,
    extras: usize,
    hidden: usize,
}

impl Table {
    /// `keys` lead, `fields` are merged in this order, `extras` are derived and follow.
    pub fn new(name: &str, keys: &[&str], fields: &[&str], extras: &[&str]) -> Self {
        let by: Vec<String> = (1..).zip(keys).map(|(n, key)| format!("{key} = ?{n}")).collect();
        let written: Vec<&str> = fields.iter().chain(extras).copied().chain(["registers"]).collect();
        let all: Vec<&str> = keys.iter().copied().chain(written.iter().copied()).collect();
        let places: Vec<String> = (1..=all.len()).map(|n| format!("?{n}")).collect();
        let updates: Vec<String> = written.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        Self {
            select_many: format!(
                "SELECT {}, {key} FROM json_each(?2) AS wanted CROSS JOIN {name} ON app_id = ?1 AND {key} = wanted.value",
                written.join(", "),
                key = keys.last().copied().unwrap_or_default(),
            ),
            select_fields: format!("SELECT {}, registers FROM {name} WHERE {}", fields.join(", "), by.join(" AND ")),
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
        Ok(conn.prepare_cached(&self.select)?.query_row(keys, |row| self.read(row)).optional()?)
    }

    /// The rows of an app that there are among many, by the last part of their key.
    pub fn load_many(&self, conn: &Connection, app_id: &str, ids: &str) -> Result<Vec<(String, Row)>, StoreError> {
        let mut statement = conn.prepare_cached(&self.select_many)?;
        let id = self.fields + self.extras + 1;
        let rows = statement.query_map((app_id, ids), |row| Ok((row.get(id)?, self.read(row)?.0)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn read(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<(Row, Vec<SqlValue>)> {
        let mut merged = self.values(row)?;
        let extras = (0..self.extras).map(|extra| row.get(self.fields + extra)).collect::<Result<_, _>>()?;
        let mut packed = row.get_ref(self.fields + self.extras)?.as_blob()?;
        let keys = unpack_fields(&mut packed, &mut merged);
        unpack_named(packed, &keys, &mut merged);
        Ok((merged, extras))
    }

    /// The row without its named registers.
    pub fn load_fields(&self, conn: &Connection, keys: &[&dyn ToSql]) -> Result<Option<Row>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| {
            let mut merged = self.values(row)?;
            unpack_fields(&mut row.get_ref(self.fields)?.as_blob()?, &mut merged);
            Ok(merged)
        };
        Ok(conn.prepare_cached(&self.select_fields)?.query_row(keys, read).optional()?)
    }

    fn values(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        let mut merged = Row::new(self.fields + self.hidden);
        for field in 0..self.fields {
            merged.values[field] = match row.get_ref(field)? {
                ValueRef::Integer(int) => Value::Int(int),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                _ => Value::Null,
            };
        }
        Ok(merged)
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
/// two distinct keys.
fn pack(row: &Row) -> Vec<u8> {
    let mut keys: Vec<Key> =
        row.keys.iter().flatten().copied().chain(row.named.values().map(|(_, key)| *key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let index = |key: &Key| keys.binary_search(key).map_or(0, |at| at as u16 + 1).to_le_bytes();
    let mut out = Vec::with_capacity(4 + keys.len() * 25 + row.keys.len() * 2);
    out.extend((keys.len() as u16).to_le_bytes());
    for key in &keys {
        out.extend(key.at.to_le_bytes());
        out.push(key.rank);
        out.extend(key.fact_at.to_le_bytes());
        out.extend(key.seq.to_le_bytes());
    }
    for key in &row.keys {
        out.extend(key.as_ref().map_or([0, 0], index));
    }
    for (name, (_, key)) in &row.named {
        out.extend(index(key));
        out.extend((name.len() as u32).to_le_bytes());
        out.extend(name.as_bytes());
    }
    out
}

/// Reads what [`pack`] wrote of the fields. Gives all keys.
fn unpack_fields(bytes: &mut &[u8], row: &mut Row) -> Vec<Key> {
    let count = u16::from_le_bytes(take(bytes));
    let mut keys = Vec::with_capacity(count.into());
    for _ in 0..count {
        let at = i64::from_le_bytes(take(bytes));
        let [rank] = take(bytes);
        let fact_at = i64::from_le_bytes(take(bytes));
        keys.push(Key { at, rank, fact_at, seq: i64::from_le_bytes(take(bytes)) });
    }
    for key in &mut row.keys {
        *key = next_key(bytes, &keys);
    }
    keys
}

fn next_key(bytes: &mut &[u8], keys: &[Key]) -> Option<Key> {
    let index = u16::from_le_bytes(take(bytes));
    usize::from(index).checked_sub(1).and_then(|at| keys.get(at)).copied()
}

/// Reads the rest, about names; their values come with [`read_named`].
fn unpack_named(mut bytes: &[u8], keys: &[Key], row: &mut Row) {
    while !bytes.is_empty() {
        let key = next_key(&mut bytes, keys);
        let length = u32::from_le_bytes(take(&mut bytes)) as usize;
        let (name, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        if let Some(key) = key {
            row.named.insert(String::from_utf8_lossy(name).into_owned(), (Value::Null, key));
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let Some((head, rest)) = bytes.split_first_chunk::<N>() else {
        *bytes = &[];
        return [0; N];
    };
    *bytes = rest;
    *head
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
pub fn read_named(data: &str, named: &mut BTreeMap<String, (Value, Key)>) {
    let Ok(document) = Document::parse(data.as_bytes().to_vec()) else { return };
    for (name, value) in document.root().members() {
        if let Some((known, _)) = named.get_mut(name.as_ref()) {
            *known = json::redact_member(&name, value).map_or(Value::Null, Value::Text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_keys_read_back() {
        let key = |seq| Key { at: 5, rank: 1, fact_at: 5, seq };
        let mut row = Row::new(3);
        row.keys = vec![Some(key(1)), None, Some(key(2))];
        row.named.insert("text".into(), (Value::Null, key(1)));
        let mut back = Row::new(3);
        let packed = pack(&row);
        let mut bytes = packed.as_slice();
        let keys = unpack_fields(&mut bytes, &mut back);
        unpack_named(bytes, &keys, &mut back);
        assert_eq!((back.keys, back.named), (row.keys, row.named));
    }
}
