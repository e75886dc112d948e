//! A view as a Parquet file: a typed column for each column of the view, in groups of rows that fit into memory.

use super::text;
use crate::ids::Time;
use crate::store::sqlite::Connection;
use crate::store::sqlite::export::{self, Column, Kind};
use anyhow::{Context, bail};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde_json::Value;
use std::io::Write;
use std::mem::size_of;
use std::sync::Arc;

/// Values wait in memory up to so many bytes. Then they are written as one row group.
const GROUP: usize = 32 << 20;

/// Writes the rows of a view, of one app or of all. How many there were.
pub fn write(conn: &Connection, view: &str, app_id: Option<&str>, out: impl Write + Send) -> anyhow::Result<u64> {
    let mut table = Table::new(out, view, export::columns(conn, view)?, GROUP)?;
    let rows = export::view(conn, view, app_id, &mut |_, values| table.push(values))?;
    table.finish()?;
    Ok(rows)
}

struct Table<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Waiting>,
    /// Bytes of the values that wait.
    bytes: usize,
    group: usize,
}

/// A column, and its values that wait to be written.
struct Waiting {
    column: Column,
    values: Values,
    /// 1 for a value, 0 for a null.
    levels: Vec<i16>,
}

enum Values {
    Texts(Vec<ByteArray>),
    /// Integers, and times as milliseconds since 1970.
    Integers(Vec<i64>),
    Reals(Vec<f64>),
    Booleans(Vec<bool>),
}

impl<W: Write + Send> Table<W> {
    fn new(out: W, view: &str, columns: Vec<Column>, group: usize) -> anyhow::Result<Self> {
        let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder(view).with_fields(fields).build()?;
        // Statistics of pages would stay in memory until the end of the file.
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true);
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?;
        let columns = columns.into_iter().map(Waiting::new).collect();
        Ok(Self { file, columns, bytes: 0, group })
    }

    fn push(&mut self, values: Vec<Value>) -> anyhow::Result<()> {
        for (waiting, value) in self.columns.iter_mut().zip(values) {
            let Some(bytes) = waiting.push(value) else {
                bail!("the column {} holds a value that is no {:?}", waiting.column.name, waiting.column.kind);
            };
            self.bytes += bytes;
        }
        if self.bytes >= self.group { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        let mut group = self.file.next_row_group()?;
        for waiting in &mut self.columns {
            let mut column = group.next_column()?.context("a column has no place in the file")?;
            waiting.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        self.bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if self.bytes > 0 {
            self.write_group()?;
        }
        self.file.finish()?;
        Ok(())
    }
}

impl Waiting {
    fn new(column: Column) -> Self {
        let values = match column.kind {
            Kind::Text => Values::Texts(Vec::new()),
            Kind::Integer | Kind::Time => Values::Integers(Vec::new()),
            Kind::Real => Values::Reals(Vec::new()),
            Kind::Boolean => Values::Booleans(Vec::new()),
        };
        Self { column, values, levels: Vec::new() }
    }

    /// Keeps a value. How many bytes of memory it takes; `None`: the value does not fit the column.
    fn push(&mut self, value: Value) -> Option<usize> {
        self.levels.push(i16::from(!value.is_null()));
        if value.is_null() {
            return Some(size_of::<i16>());
        }
        let is_time = self.column.kind == Kind::Time;
        let bytes = match &mut self.values {
            Values::Texts(texts) => {
                let text = text(value);
                let bytes = size_of::<ByteArray>() + text.len();
                texts.push(text.into_bytes().into());
                bytes
            }
            Values::Integers(times) if is_time => {
                times.push(Time::parse(value.as_str()?)?.0);
                size_of::<i64>()
            }
            Values::Integers(integers) => {
                integers.push(value.as_i64()?);
                size_of::<i64>()
            }
            Values::Reals(reals) => {
                reals.push(value.as_f64()?);
                size_of::<f64>()
            }
            Values::Booleans(booleans) => {
                booleans.push(value.as_i64()? != 0);
                size_of::<bool>()
            }
        };
        Some(bytes + size_of::<i16>())
    }

    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = Some(self.levels.as_slice());
        match &mut self.values {
            Values::Texts(texts) => {
                column.typed::<ByteArrayType>().write_batch(texts, levels, None)?;
                texts.clear();
            }
            Values::Integers(integers) => {
                column.typed::<Int64Type>().write_batch(integers, levels, None)?;
                integers.clear();
            }
            Values::Reals(reals) => {
                column.typed::<DoubleType>().write_batch(reals, levels, None)?;
                reals.clear();
            }
            Values::Booleans(booleans) => {
                column.typed::<BoolType>().write_batch(booleans, levels, None)?;
                booleans.clear();
            }
        }
        self.levels.clear();
        Ok(())
    }
}

fn field(column: &Column) -> Result<Type, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Integer => (Physical::INT64, None),
        Kind::Real => (Physical::DOUBLE, None),
        Kind::Boolean => (Physical::BOOLEAN, None),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
    };
    let builder = Type::primitive_type_builder(&column.name, physical);
    builder.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use serde_json::json;
    use std::fs::File;

    fn table(out: File) -> Table<File> {
        let column = |name: &str, kind| Column { name: name.into(), kind };
        let columns = vec![column("text", Kind::Text), column("at", Kind::Time)];
        Table::new(out, "v_made_up", columns, 10_000).unwrap()
    }

    #[test]
    fn few_bytes_wait_in_memory_however_many_rows_there_are() {
        let (out, rows) = (tempfile::tempfile().unwrap(), 5_000);
        let mut table = table(out.try_clone().unwrap());
        for _ in 0..rows {
            table.push(vec![json!("x".repeat(100)), Value::Null]).unwrap();
            assert!(table.bytes < table.group);
            assert!(table.columns.iter().all(|it| it.levels.len() <= 100), "values and nulls are written together");
        }
        table.finish().unwrap();
        let file = SerializedFileReader::new(out).unwrap();
        let groups = file.metadata().row_groups();
        assert!(groups.len() > 50, "{} groups", groups.len());
        assert_eq!(groups.iter().map(|group| group.num_rows()).sum::<i64>(), rows);
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_is_an_error_without_the_value() {
        let mut table = table(tempfile::tempfile().unwrap());
        let error = table.push(vec![json!("x"), json!("kanarie")]).unwrap_err();
        assert_eq!(error.to_string(), "the column at holds a value that is no Time");
    }
}
