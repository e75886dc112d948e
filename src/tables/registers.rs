//! Entities that are nothing but registers: people, verdicts of moderation, presence and connections.

use crate::change::{Connection, Moderation, Presence, User};
use crate::merge::{Row, Rule, Telling};
use std::fmt::Debug;
use std::marker::PhantomData;

/// What a delivery may tell of an entity: its columns and how each of them is merged.
pub trait Told: Debug {
    const COLUMNS: &'static [&'static str];
    const RULES: &'static [Rule];
}

macro_rules! told {
    ($($name:ident),+) => {
        $(impl Told for $name {
            const COLUMNS: &'static [&'static str] = $name::COLUMNS;
            const RULES: &'static [Rule] = $name::RULES;
        })+
    };
}

told!(User, Moderation, Presence, Connection);

/// An entity as merged so far.
#[derive(Debug)]
pub struct Registers<T> {
    pub row: Row,
    told: PhantomData<T>,
}

impl<T: Told> Registers<T> {
    /// Merges what a fact tells.
    pub fn apply(&mut self, telling: Telling) {
        self.row.merge(T::RULES, telling);
    }
}

const STATUS: usize = Moderation::place("status");

impl Registers<Moderation> {
    /// Whether the message is disapproved, and so hidden.
    pub fn disapproves(&self) -> bool {
        self.row.values[STATUS].text() == Some("disapproved")
    }
}

impl<T> From<Row> for Registers<T> {
    fn from(row: Row) -> Self {
        Self { row, told: PhantomData }
    }
}

impl<T: Told> Default for Registers<T> {
    fn default() -> Self {
        Row::new(T::COLUMNS.len()).into()
    }
}

impl<T> Clone for Registers<T> {
    fn clone(&self) -> Self {
        self.row.clone().into()
    }
}

impl<T> PartialEq for Registers<T> {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}
