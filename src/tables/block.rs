//! Who blocks whom: one register for each pair. It also keeps the blocks since the newest unblock (contract 4.2).

use crate::change;
use crate::ids::{Time, TimeSource};
use crate::merge::{Fact, Key, rank};
use serde::{Deserialize, Serialize};

/// A fact's order key, and what people see of its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dated {
    pub at: i64,
    pub seq: i64,
    pub occurred_at: i64,
    pub from: TimeSource,
}

/// The facts that decide about one pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub unblocked: Option<Dated>,
    /// Blocks newer than the newest unblock. The earliest of them is `since`.
    pub blocked: Vec<Dated>,
}

impl Block {
    /// Whether the person is blocked.
    pub fn is_current(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// When the earliest block since the newest unblock began.
    pub fn since(&self) -> Option<change::Dated> {
        self.blocked.first().map(|first| change::Dated { from: first.from, at: Time(first.occurred_at) })
    }

    /// Takes one more fact, and gives its place among the facts. `since`: the fact also tells when the block began.
    pub fn apply(&mut self, fact: &Fact, blocks: bool, since: Option<Time>) -> Dated {
        let told = |at: Time| Dated { at: at.0, seq: fact.seq, occurred_at: at.0, from: TimeSource::Told };
        if let Some(began) = since.filter(|_| blocks).map(told)
            && !self.blocked.contains(&began)
        {
            self.blocked.push(began);
        }
        let known = self.blocked.iter().chain(&self.unblocked).map(|dated| dated.at).max();
        let Key { at, seq, .. } = fact.stamp(rank::FACT).key(known);
        let dated = Dated { at, seq, occurred_at: fact.occurred_at.0, from: fact.occurred_from };
        if blocks {
            // A fact that was saved in part of a large event is taken once more.
            if !self.blocked.contains(&dated) {
                self.blocked.push(dated.clone());
            }
        } else {
            self.unblocked = self.unblocked.take().max(Some(dated.clone()));
        }
        let ended = &self.unblocked;
        self.blocked.retain(|block| Some(block) > ended.as_ref());
        self.blocked.sort();
        dated
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fact;
    use super::*;

    fn is_current_since(facts: &[(i64, i64, bool)]) -> Option<i64> {
        let mut block = Block::default();
        for (seq, at, blocks) in facts {
            block.apply(&fact(*seq, *at, TimeSource::Told), *blocks, None);
        }
        assert_eq!(block.is_current(), block.since().is_some());
        block.since().map(|since| since.at.0)
    }

    #[test]
    fn the_earliest_block_since_the_newest_unblock_counts_in_any_order() {
        let facts = [(1, 10, true), (2, 20, false), (3, 30, true), (4, 40, true)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            assert_eq!(is_current_since(&order.map(|place| facts[place])), Some(30), "{order:?}");
        }
        assert_eq!(is_current_since(&facts[..2]), None);
    }

    #[test]
    fn facts_that_name_an_unknown_source_of_time_are_an_error() {
        let facts = |from: &str| {
            let facts =
                format!(r#"{{"unblocked":null,"blocked":[{{"at":1,"seq":1,"occurred_at":1,"from":"{from}"}}]}}"#);
            serde_json::from_str::<Block>(&facts)
        };
        assert_eq!(facts("arrival").unwrap().blocked[0].from, TimeSource::Arrival);
        assert!(facts("hearsay").is_err());
    }
}
