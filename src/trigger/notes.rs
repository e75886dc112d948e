//! What was not understood of a payload: the log's `reason`.
//!
//! A reason names paths. Names of the schema stand in them as they are, a key of a map in brackets and quotes, for it
//! may be anything that somebody said. Where a reason is shown to who may not see bodies, [`without_keys`] leaves the
//! keys out.

use crate::json;
use std::cell::RefCell;

/// Fields of an unexpected type: not told, but named in the log's `reason`.
#[derive(Debug, Default)]
pub struct Notes(RefCell<Vec<String>>);

impl Notes {
    /// At most this many are named.
    const MOST: usize = 8;

    /// Takes note of a value of another type than this.
    pub fn expected(&self, what: &str, path: &str) {
        let mut notes = self.0.borrow_mut();
        let note = format!("{path}: expected {what}");
        if notes.len() < Self::MOST && !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// The reason to log, if any.
    pub fn reason(self) -> Option<String> {
        let notes = self.0.into_inner();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

/// Characters of a key that are named.
const KEY: usize = 64;

/// The path of a member of a map.
pub(super) fn member(path: &str, key: &str) -> String {
    let named: String = key.chars().take(KEY).collect();
    let named = if named.len() < key.len() { named + "…" } else { named };
    format!("{path}[{}]", json::quote(&named))
}

/// The path of an element of a list.
pub(super) fn element(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

/// A reason without the keys of maps that its paths go through.
pub fn without_keys(reason: &str) -> String {
    let mut out = String::with_capacity(reason.len());
    let mut rest = reason;
    // Within a key a quote is escaped, so that these two letters begin nothing but a key.
    while let Some(at) = rest.find("[\"") {
        out.push_str(&rest[..at]);
        out.push_str("[…");
        let key = &rest[at + 2..];
        let mut escaped = false;
        let end = key.find(|letter| {
            let closes = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            closes
        });
        rest = end.map_or("]", |end| &key[end + 1..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_left_out_and_names_of_the_schema_stay() {
        for key in ["https://a.example/?sig=x", "a\"] said", "\\", "\\\"", "[\"", "\n", "é", &"k".repeat(500)] {
            let path = member("data.attachments", key) + ".name";
            let reason = format!("{path}: expected text; data.muid: expected text; {path}: expected a map");
            let told = "data.attachments[…].name: expected text; data.muid: expected text; data.attachments[…].name: expected a map";
            assert_eq!(without_keys(&reason), told, "{reason}");
        }
        assert_eq!(without_keys("data.x[3]: expected text"), "data.x[3]: expected text");
        assert_eq!(without_keys("data.x[\"said"), "data.x[…]");
    }
}
