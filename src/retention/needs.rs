//! Which values of a row would be others without an event.

use crate::merge::{Row, Rule, Telling, When};
use crate::store::StoreError;
use crate::store::sqlite::Connection;
use crate::store::sqlite::retention as store;
use std::collections::{BTreeMap, BTreeSet};

/// Judges events one after the other. `K` tells rows apart.
pub(super) struct Needs<'a, K> {
    log: &'a Connection,
    /// Values without a key, by row and field, that an event which stays tells.
    told: BTreeSet<(K, usize)>,
    /// Whether a feed dated the event at a log position. `None`: there is no such event.
    by_feed: BTreeMap<i64, Option<bool>>,
}

impl<'a, K: Ord> Needs<'a, K> {
    pub fn new(log: &'a Connection) -> Self {
        Self { log, told: BTreeSet::new(), by_feed: BTreeMap::new() }
    }

    /// Whether a row would be another without an event that tells this.
    pub fn has(
        &mut self,
        key: impl Fn() -> K,
        row: &Row,
        rules: &[Rule],
        telling: &Telling,
    ) -> Result<bool, StoreError> {
        let mut decides = !telling.named.is_empty();
        for (field, value) in &telling.fields {
            decides |= match (rules[*field], telling.stamp.when, row.keys[*field]) {
                (Rule::Newest, When::At(_), Some(winner)) => {
                    let key = telling.stamp.key(None);
                    // A fact that a feed dated is not older than what its register knew when it came.
                    key >= winner || (key.at >= winner.at && self.is_by_feed(winner.seq)?)
                }
                (Rule::Newest, ..) => true,
                // One event that tells the value is enough.
                (Rule::Least | Rule::Greatest, ..) => row.values[*field] == *value && self.is_first(key(), *field),
            };
        }
        Ok(decides)
    }

    /// Whether no event that stays was found so far that tells this value.
    pub fn is_first(&mut self, key: K, field: usize) -> bool {
        self.told.insert((key, field))
    }

    fn is_by_feed(&mut self, seq: i64) -> Result<bool, StoreError> {
        if !self.by_feed.contains_key(&seq) {
            self.by_feed.insert(seq, store::is_dated_by_feed(self.log, seq)?);
        }
        Ok(self.by_feed.get(&seq).copied().flatten().unwrap_or(true))
    }
}
