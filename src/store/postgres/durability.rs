//! What PostgreSQL promises of a commit: on its own disk, or on the disks of standbys too.

/// What the server says of its commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// Whether a commit waits for disks: `synchronous_commit` is `on` or `remote_apply`.
    pub waits: bool,
    /// Standbys that a commit waits for.
    pub wanted: i64,
    /// Standbys that are in sync.
    pub in_sync: i64,
    /// Whether the user may see the state of the standbys.
    pub is_visible: bool,
}

impl Durability {
    pub(super) fn of(commit: &str, names: &str, in_sync: i64, hidden: i64) -> Self {
        let waits = matches!(commit, "on" | "remote_apply");
        Self { waits, wanted: wanted(names), in_sync, is_visible: hidden == 0 }
    }

    /// Whether the server is set up to wait for standbys.
    pub fn asks_for_quorum(&self) -> bool {
        self.waits && self.wanted > 0
    }

    /// Why a commit would not be on several disks now.
    pub fn lacks(&self) -> Option<&'static str> {
        if !self.waits {
            Some("synchronous_commit is neither on nor remote_apply")
        } else if self.wanted == 0 {
            Some("synchronous_standby_names is empty")
        } else if self.in_sync >= self.wanted {
            None
        } else if self.is_visible {
            Some("too few standbys are in sync")
        } else {
            Some("the user may not see whether standbys are in sync: GRANT pg_monitor TO the user")
        }
    }
}

/// How many standbys `synchronous_standby_names` waits for: `ANY 2 (a, b, c)`, `FIRST 1 (a)`, `2 (a, b)`, `a, b`.
fn wanted(names: &str) -> i64 {
    let names = names.trim();
    let Some((before, _)) = names.split_once('(') else { return i64::from(!names.is_empty()) };
    before.split_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_standbys_is_read_from_every_spelling() {
        for (names, expected) in [
            ("", 0),
            (" ", 0),
            ("s1", 1),
            ("*", 1),
            ("a, b", 1),
            ("ANY 2 (a, b, c)", 2),
            ("first 1(a)", 1),
            ("3 (a, b, c)", 3),
        ] {
            assert_eq!(wanted(names), expected, "{names}");
        }
    }

    #[test]
    fn a_quorum_needs_the_setting_and_the_standbys() {
        let lacks = |commit, names, in_sync, hidden| Durability::of(commit, names, in_sync, hidden).lacks();
        assert_eq!(lacks("on", "ANY 1 (a, b)", 1, 0), None);
        assert_eq!(lacks("remote_apply", "ANY 1 (a, b)", 2, 0), None);
        for weak in ["off", "local", "remote_write"] {
            assert!(lacks(weak, "ANY 1 (a, b)", 2, 0).unwrap().contains("synchronous_commit"), "{weak}");
        }
        assert!(lacks("on", "", 2, 0).unwrap().contains("synchronous_standby_names"));
        assert!(lacks("on", "ANY 2 (a, b)", 1, 0).unwrap().contains("too few"));
        assert!(lacks("on", "ANY 1 (a, b)", 0, 2).unwrap().contains("pg_monitor"));
    }
}
