//! Entities that are nothing but registers: people, verdicts of moderation, presence and connections.

use crate::change::{Connection, Moderation, Presence, User};
use crate::merge::{Row, Rule, Telling};
use std::fmt::Debug;
use std::marker::PhantomData;

/// What a delivery may tell of an entity: its columns and how each of them is merged.
pub trait Columns: Debug {
    const COLUMNS: &'static [&'static str];
    const RULES: &'static [Rule];
}

macro_rules! told {
    ($($name:ident),+) => {
        $(impl Columns for $name {
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

impl<T: Columns> Registers<T> {
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

/// How long a person who was told online counts as online without being heard of: the offline may be lost. One day.
const UNHEARD_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether a person is in a list of who is online: the last fact told `online`, and the person was last heard of at
/// `last_seen_at`. The view `v_presence` says the same in SQL.
pub fn counts_as_online(online: Option<bool>, last_seen_at: Option<i64>, now: i64) -> bool {
    online == Some(true) && last_seen_at.is_some_and(|seen| seen >= now - UNHEARD_MS)
}

/// Whether a connection that has not ended itself is open. The connection was last told open at `seen_at`, and the
/// person went offline at `offline_at`: that ends the connections from before, and none from after. The view
/// `v_connections` says the same in SQL.
pub fn still_open(seen_at: i64, offline_at: Option<i64>) -> bool {
    seen_at >= offline_at.unwrap_or_default()
}

impl<T> From<Row> for Registers<T> {
    fn from(row: Row) -> Self {
        Self { row, told: PhantomData }
    }
}

impl<T: Columns> Default for Registers<T> {
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

#[cfg(test)]
mod tests {
    use super::super::tests::fact;
    use super::*;
    use crate::ids::TimeSource;
    use crate::merge::{Fact, rank};

    #[test]
    fn a_message_is_hidden_while_the_greatest_verdict_disapproves() {
        let verdict = |status: &str, fact: &Fact, rank: u8| {
            let told = Moderation { status: Some(Some(status.into())), ..Moderation::default() };
            told.telling(fact.stamp(rank))
        };
        let (first, second) = (fact(1, 5, TimeSource::Told), fact(2, 9, TimeSource::Told));
        let mut registers = Registers::<Moderation>::default();
        assert!(!registers.disapproves());
        registers.apply(verdict("disapproved", &second, rank::ENGINE_VERDICT));
        assert!(registers.disapproves());
        registers.apply(verdict("approved", &first, rank::ENGINE_VERDICT));
        assert!(registers.disapproves(), "an older verdict changes nothing");
        registers.apply(verdict("approved", &second, rank::MANUAL_VERDICT));
        assert!(!registers.disapproves(), "a person decides over the engine");
    }

    #[test]
    fn a_connection_is_open_until_the_person_goes_offline_after_it() {
        assert!(still_open(5, None));
        assert!(still_open(5, Some(5)), "told open in the same millisecond");
        assert!(!still_open(5, Some(6)));
        assert!(still_open(7, Some(6)), "opened again since");
    }

    #[test]
    fn a_person_who_was_not_heard_of_for_a_day_does_not_count_as_online() {
        let now = 10 * UNHEARD_MS;
        assert!(counts_as_online(Some(true), Some(now - UNHEARD_MS), now));
        assert!(!counts_as_online(Some(true), Some(now - UNHEARD_MS - 1), now));
        assert!(!counts_as_online(Some(true), None, now));
        assert!(!counts_as_online(Some(false), Some(now), now));
        assert!(!counts_as_online(None, Some(now), now), "heard of, and never told online");
    }

    #[test]
    fn what_a_fact_does_not_tell_stays_as_it_was() {
        let told = |user: User, fact: &Fact| user.telling(fact.stamp(rank::FACT));
        let (first, second) = (fact(1, 5, TimeSource::Told), fact(2, 9, TimeSource::Told));
        let mut registers = Registers::<User>::default();
        let known = User { name: Some(Some("Ann".into())), link: Some(Some("l".into())), ..User::default() };
        registers.apply(told(known, &first));
        registers.apply(told(User { link: Some(None), ..User::default() }, &second));
        let text = |field: &str| registers.row.values[User::place(field)].text();
        assert_eq!((text("name"), text("link")), (Some("Ann"), None));
    }
}
