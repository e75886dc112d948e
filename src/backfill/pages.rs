//! How far a list of pages is read, and whether a row of it may be missing.
//!
//! Pages are cut by number. When a row of an earlier page goes meanwhile, a row of a later page moves into a page that was
//! read already, and is missed.

use crate::rest::{self, Answer};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// How far a list is read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Pages {
    /// The page that was read last.
    page: u64,
    /// Rows that came so far.
    rows: u64,
    /// Rows of the whole list, as the newest page says; 0: it does not.
    total: u64,
    /// Whether the list is read for the second time.
    pub again: bool,
    /// Why a row may be missing.
    pub missing: Option<String>,
    /// The ids of the page before. A row that was put in moves others to the next page, where they come again.
    #[serde(skip)]
    before: HashSet<String>,
}

impl Pages {
    /// To read a list once more from its beginning.
    pub fn again() -> Self {
        Self { again: true, ..Self::default() }
    }

    /// The number of the next page.
    pub fn next(&self) -> u64 {
        self.page + 1
    }

    /// Counts the next page, whose rows are told apart by `id`. True: the list ends here.
    pub fn take(&mut self, answer: &Answer, id: &str) -> bool {
        self.page += 1;
        let is_last = answer.is_last(self.page);
        let ids: HashSet<String> = answer.rows().filter_map(|row| rest::id(row, id)).collect();
        self.rows += ids.difference(&self.before).count() as u64;
        if ids.is_empty() && !is_last {
            self.misses(format!("page {} is empty, though more pages follow", self.page));
        }
        if let Some(total) = answer.total() {
            if total < self.total {
                self.misses(format!("it had {} rows, and {total} while it was read", self.total));
            }
            self.total = total;
        }
        // Nothing says how many empty pages there are.
        let ends = is_last || self.page > 1 && ids.is_empty() && self.before.is_empty();
        if ends && self.rows < self.total {
            self.misses(format!("it has {} rows, as it says, and {} came", self.total, self.rows));
        }
        self.before = ids;
        ends
    }

    fn misses(&mut self, why: String) {
        self.missing.get_or_insert(why);
    }
}
