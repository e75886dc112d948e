//! How a table is declared: each column once, in the file of its entity. The statements, what is bound and read, and
//! what the state hash takes follow from the declaration.

use crate::change::Dated;
use crate::ids::{ConversationKey, Time, TimeSource};
use crate::panics;
use crate::store::{StoreError, read_json, write_json};
use rusqlite::types::{FromSql, ToSql, ValueRef};
use rusqlite::{CachedStatement, Connection, Row};

/// What the state hash takes of a column.
#[derive(Debug, Clone, Copy)]
pub enum Hashed {
    /// Its value.
    Value,
    /// Of a time whether there is one, and which only if the column `…_from` beside it says that it was told.
    IfTold,
    /// Whether there is one.
    IfAny,
    /// What this expression says.
    As(&'static str),
    /// Nothing: servers that heard the same facts may differ in it, or other columns say it.
    LeftOut,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub hashed: Hashed,
}

/// A table that holds rows of apps. Texts of statements are made once.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// `app_id` leads and is not listed.
    pub columns: Vec<Column>,
    /// Names of the columns that are read, with commas.
    pub read: String,
    select: String,
    select_many: String,
    insert: String,
    upsert: String,
    delete: String,
    clear: String,
}

impl Table {
    /// Rows are loaded `by` some columns, and `and` columns tell apart what is loaded together. `read` columns hold the
    /// row, `derived` ones are only written.
    pub fn new(name: &'static str, by: &[Column], and: &[Column], read: &[Column], derived: &[Column]) -> Self {
        let names = |parts: &[&[Column]]| -> Vec<&str> { parts.iter().copied().flatten().map(|it| it.name).collect() };
        let app_and = |names: Vec<&'static str>| [vec!["app_id"], names].concat();
        let is = |names: &[&str]| {
            let all: Vec<String> = (1..).zip(names).map(|(place, name)| format!("{name} = ?{place}")).collect();
            all.join(" AND ")
        };
        let (group, key) = (app_and(names(&[by])), app_and(names(&[by, and])));
        let (loaded, values) = (names(&[and, read]).join(", "), names(&[read, derived]));
        let all = app_and(names(&[by, and, read, derived]));
        let places = vec!["?"; all.len()].join(", ");
        let insert = format!("INSERT INTO {name} ({}) VALUES ({places})", all.join(", "));
        let updates: Vec<String> = values.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let resolve = if updates.is_empty() { "NOTHING".into() } else { format!("UPDATE SET {}", updates.join(", ")) };
        let (wanted, lead) = group.split_last().unwrap_or((&"app_id", &[]));
        Self {
            name,
            select: format!("SELECT {loaded} FROM {name} WHERE {}", is(&group)),
            select_many: format!(
                "SELECT {wanted}, {loaded} FROM json_each(?{}) AS wanted CROSS JOIN {name} ON {} AND {wanted} = wanted.value",
                group.len(),
                is(lead),
            ),
            upsert: format!("{insert} ON CONFLICT ({}) DO {resolve}", key.join(", ")),
            delete: format!("DELETE FROM {name} WHERE {}", is(&key)),
            clear: format!("DELETE FROM {name} WHERE {}", is(&group)),
            insert,
            read: names(&[read]).join(", "),
            columns: [by, and, read, derived].concat(),
        }
    }

    /// The row of a key.
    pub fn load<R: FromColumns>(&self, conn: &Connection, key: &impl ToColumns) -> Result<Option<R>, StoreError> {
        let mut statement = bound(conn, &self.select, &[key])?;
        let mut rows = statement.raw_query();
        read(|| rows.next()?.map(|row| Reader::of(row).next()).transpose())
    }

    /// The rows that are loaded together, each with what tells it apart.
    pub fn load_all<R: FromColumns>(&self, conn: &Connection, key: &impl ToColumns) -> Result<Vec<R>, StoreError> {
        collect(&mut bound(conn, &self.select, &[key])?)
    }

    /// The rows that there are among many: `ids` are the last part of the key, as a JSON list.
    pub fn load_many<R: FromColumns>(
        &self,
        conn: &Connection,
        lead: &impl ToColumns,
        ids: &[&str],
    ) -> Result<Vec<(String, R)>, StoreError> {
        collect(&mut bound(conn, &self.select_many, &[lead, &write_json(&ids)?])?)
    }

    /// Writes a row, be there one or not.
    pub fn save(&self, conn: &Connection, key: &dyn ToColumns, row: &dyn ToColumns) -> Result<(), StoreError> {
        run(conn, &self.upsert, &[key, row])
    }

    /// Writes a row that there is not.
    pub fn append(&self, conn: &Connection, key: &dyn ToColumns, row: &dyn ToColumns) -> Result<(), StoreError> {
        run(conn, &self.insert, &[key, row])
    }

    /// Removes one row.
    pub fn delete(&self, conn: &Connection, key: &dyn ToColumns) -> Result<(), StoreError> {
        run(conn, &self.delete, &[key])
    }

    /// Removes the rows that are loaded together.
    pub fn clear(&self, conn: &Connection, key: &dyn ToColumns) -> Result<(), StoreError> {
        run(conn, &self.clear, &[key])
    }
}

/// Prepares a statement, and binds what it is given.
pub fn bound<'c>(conn: &'c Connection, sql: &str, given: &[&dyn ToColumns]) -> Result<CachedStatement<'c>, StoreError> {
    let mut binder = Binder { statement: conn.prepare_cached(sql)?, last: 0 };
    given.iter().try_for_each(|it| it.put(&mut binder))?;
    debug_assert_eq!(binder.last, binder.statement.parameter_count(), "{sql}");
    Ok(binder.statement)
}

fn run(conn: &Connection, sql: &str, given: &[&dyn ToColumns]) -> Result<(), StoreError> {
    bound(conn, sql, given)?.raw_execute()?;
    Ok(())
}

/// All rows of a bound statement.
pub fn collect<R: FromColumns, C: FromIterator<R>>(statement: &mut CachedStatement<'_>) -> Result<C, StoreError> {
    let mut rows = statement.raw_query();
    let next = || match rows.next() {
        Ok(row) => row.map(|row| Reader::of(row).next()),
        Err(error) => Some(Err(error.into())),
    };
    read(|| std::iter::from_fn(next).collect())
}

/// Reads rows. A panic here is no fault of the event that is folded: it is an error, as damaged data are.
pub fn read<T>(rows: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    panics::caught(rows).unwrap_or_else(|panicked| Err(StoreError::Unusable(format!("cannot read a row: {panicked}"))))
}

/// A row that has a table of its own.
pub trait Stored: ToColumns {
    fn table() -> &'static Table;
}

/// The row of a key.
pub fn load<R: Stored + FromColumns>(conn: &Connection, key: &impl ToColumns) -> Result<Option<R>, StoreError> {
    R::table().load(conn, key)
}

/// Writes a row, be there one or not.
pub fn save<R: Stored>(conn: &Connection, key: &impl ToColumns, row: &R) -> Result<(), StoreError> {
    R::table().save(conn, key, row)
}

/// Removes the row of a key.
pub fn remove<R: Stored>(conn: &Connection, key: &impl ToColumns) -> Result<(), StoreError> {
    R::table().delete(conn, key)
}

/// What fills one column or several.
pub trait ToColumns {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError>;
}

/// What is read from one column or several.
pub trait FromColumns: Sized {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError>;
}

/// Binds values in the order of the columns.
pub struct Binder<'c> {
    statement: CachedStatement<'c>,
    last: usize,
}

impl Binder<'_> {
    pub fn bind(&mut self, value: &dyn ToSql) -> Result<(), StoreError> {
        self.last += 1;
        Ok(self.statement.raw_bind_parameter(self.last, value)?)
    }
}

/// Reads values in the order of the columns.
pub struct Reader<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Reader<'r> {
    pub fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    pub fn next<T: FromColumns>(&mut self) -> Result<T, StoreError> {
        T::take(self)
    }

    pub fn cell(&mut self) -> Result<ValueRef<'r>, StoreError> {
        self.next += 1;
        Ok(self.row.get_ref(self.next - 1)?)
    }

    pub fn value<T: FromSql>(&mut self) -> Result<T, StoreError> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }

    /// What a column holds as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self, column: &'static str) -> Result<T, StoreError> {
        read_json(column, self.cell()?.as_str().map_err(rusqlite::Error::from)?)
    }
}

/// A value that a column holds as JSON.
pub struct Json<'a, T>(pub &'a T);

impl<T: serde::Serialize> ToColumns for Json<'_, T> {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        to.bind(&write_json(self.0)?)
    }
}

impl<T: ToColumns> ToColumns for &T {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        (**self).put(to)
    }
}

/// No column at all.
impl ToColumns for () {
    fn put(&self, _: &mut Binder<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

macro_rules! several_columns {
    ($($part:ident)+) => {
        #[expect(non_snake_case, reason = "names of types serve as names of their values")]
        impl<$($part: ToColumns),+> ToColumns for ($($part,)+) {
            fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
                let ($($part,)+) = self;
                $($part.put(to)?;)+
                Ok(())
            }
        }

        impl<$($part: FromColumns),+> FromColumns for ($($part,)+) {
            fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
                Ok(($($part::take(from)?,)+))
            }
        }
    };
}

several_columns!(A B);
several_columns!(A B C);
several_columns!(A B C D);

/// Declares a struct whose fields fill columns one after the other.
macro_rules! in_columns {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::store::sqlite::table::ToColumns for $type {
            fn put(&self, to: &mut $crate::store::sqlite::table::Binder<'_>) -> Result<(), $crate::store::StoreError> {
                $($crate::store::sqlite::table::ToColumns::put(&self.$field, to)?;)+
                Ok(())
            }
        }

        impl $crate::store::sqlite::table::FromColumns for $type {
            fn take(from: &mut $crate::store::sqlite::table::Reader<'_>) -> Result<Self, $crate::store::StoreError> {
                Ok(Self { $($field: from.next()?),+ })
            }
        }
    };
}

in_columns!(ConversationKey { id, low_length });

/// The time and its source.
impl ToColumns for Option<Dated> {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        self.map(|it| (it.at, it.from)).unzip().put(to)
    }
}

impl FromColumns for Option<Dated> {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        let (at, source): (Option<Time>, Option<TimeSource>) = from.next()?;
        Ok(at.zip(source).map(|(at, from)| Dated { from, at }))
    }
}

/// Columns by their names, each with what the state hash takes of it where that is not the value.
macro_rules! columns {
    ($($name:ident $(: $hashed:ident)?),* $(,)?) => {
        [$($crate::store::sqlite::table::columns!(@ $name $($hashed)?)),*]
    };
    (@ $name:ident) => { $crate::store::sqlite::table::columns!(@ $name Value) };
    (@ $name:ident $hashed:ident) => {
        $crate::store::sqlite::table::Column {
            name: stringify!($name),
            hashed: $crate::store::sqlite::table::Hashed::$hashed,
        }
    };
}

/// Declares the table of a row.
///
/// A line is a field of the row or a name with the `= value` that is stored. It has one column of its name, or the
/// `=> (columns)` that are listed, or those that an expression `=> [gives]`. `fields` make up the row and are read back.
/// `columns` are read by the row's own `FromColumns`. `derived` ones are only written.
macro_rules! table {
    (
        $table:literal: $row:ident by ($($by:tt)*) $(and ($($and:tt)*))?
        fields { $($field:ident $(: $hashed:ident)? $(=> $columns:tt)?),+ $(,)? }
        $($derived:tt)*
    ) => {
        $crate::store::sqlite::table::table! {
            $table: $row by ($($by)*) $(and ($($and)*))?
            columns |it| { $($field $(: $hashed)? $(=> $columns)?),+ }
            $($derived)*
        }

        impl $crate::store::sqlite::table::FromColumns for $row {
            fn take(from: &mut $crate::store::sqlite::table::Reader<'_>) -> Result<Self, $crate::store::StoreError> {
                Ok(Self { $($field: from.next()?),+ })
            }
        }
    };
    (
        $table:literal: $row:ident $(<$life:lifetime>)? by ($($by:tt)*) $(and ($($and:tt)*))?
        $(columns |$it:ident| { $($field:ident $(: $hashed:ident)? $(=> $columns:tt)? $(= $value:expr)?),+ $(,)? })?
        $(derived |$me:ident| { $($own:ident $(: $own_hashed:ident)? $(=> $own_columns:tt)? $(= $own_value:expr)?),+ $(,)? })?
    ) => {
        impl $crate::store::sqlite::table::Stored for $row $(<$life>)? {
            fn table() -> &'static $crate::store::sqlite::table::Table {
                use $crate::store::sqlite::table::{Column, Table, columns, table};
                static TABLE: std::sync::LazyLock<Table> = std::sync::LazyLock::new(|| {
                    let read: Vec<Vec<Column>> = vec![$($(table!(@ $field $(: $hashed)? $(=> $columns)?)),+)?];
                    let derived: Vec<Vec<Column>> = vec![$($(table!(@ $own $(: $own_hashed)? $(=> $own_columns)?)),+)?];
                    Table::new($table, &columns![$($by)*], &columns![$($($and)*)?], &read.concat(), &derived.concat())
                });
                &TABLE
            }
        }

        impl $crate::store::sqlite::table::ToColumns for $row $(<$life>)? {
            fn put(&self, to: &mut $crate::store::sqlite::table::Binder<'_>) -> Result<(), $crate::store::StoreError> {
                use $crate::store::sqlite::table::{ToColumns, table};
                $(let $it = self; $(ToColumns::put(&table!(@value $it $field $($value)?), to)?;)+)?
                $(let $me = self; $(ToColumns::put(&table!(@value $me $own $($own_value)?), to)?;)+)?
                Ok(())
            }
        }
    };
    (@ $field:ident) => { columns![$field].to_vec() };
    (@ $field:ident: $hashed:ident) => { columns![$field: $hashed].to_vec() };
    (@ $field:ident => ($($columns:tt)+)) => { columns![$($columns)+].to_vec() };
    (@ $field:ident => [$columns:expr]) => { $columns };
    (@value $it:ident $field:ident) => { $it.$field };
    (@value $it:ident $field:ident $value:expr) => { $value };
}

pub(super) use {columns, in_columns, table};

#[cfg(test)]
mod tests;
