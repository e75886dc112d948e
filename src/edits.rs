//! Which texts of a message are edits (contract 4.4): pure functions, for any order of arrival.
//!
//! The vendor sends the same event when a machine adds something: a link preview, a transcript, a vote. Then the text
//! is the same as before. Every text is kept, because a late text may lie between two equal ones.

use crate::merge::Key;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a text.
pub type Digest = [u8; 32];

/// The vendor's own user, in whose name its machines edit.
const SYSTEM: &str = "app_system";

/// A missing text counts as an empty text.
pub fn digest(text: Option<&str>) -> Digest {
    Sha256::digest(text.unwrap_or("")).into()
}

/// The digest as a register holds it.
pub fn write_digest(digest: &Digest) -> String {
    STANDARD_NO_PAD.encode(digest)
}

/// Reads what [`write_digest`] wrote.
pub fn read_digest(text: &str) -> Option<Digest> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// A text of a message, and the time from which the message had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The greatest key of all facts that tell this text at this time: the last version has the key of the text shown.
    pub key: Key,
    pub digest: Digest,
    pub text: Option<String>,
    /// The person who edited, rather than the vendor's own user. Of several people the least uid, so that the order of
    /// arrival decides nothing.
    pub by: Option<String>,
}

impl Version {
    /// Takes another telling of the same text and time.
    pub fn merge(&mut self, other: Self) {
        self.key = self.key.max(other.key);
        self.text = self.text.take().or(other.text);
        self.by = self.by.take().into_iter().chain(other.by).min_by(|a, b| (a == SYSTEM, a).cmp(&(b == SYSTEM, b)));
    }

    /// Among the versions of a message.
    pub fn place(&self) -> (Key, Digest) {
        (self.key, self.digest)
    }
}

/// Puts the versions in order, and marks the edits: texts that differ from the text before. `before` is the text before
/// all versions, if it is known. If not, the first version is an edit only if a person made it: the vendor's machines
/// mostly leave the text as it was.
pub fn judge(mut before: Option<Digest>, mut versions: Vec<Version>) -> Vec<(Version, bool)> {
    versions.sort_by_key(Version::place);
    let judge = |version: Version| {
        let is_edit = match before.replace(version.digest) {
            Some(before) => version.digest != before,
            None => version.by.as_deref() != Some(SYSTEM) && version.digest != digest(None),
        };
        (version, is_edit)
    };
    versions.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(at: i64, seq: i64, text: &str, by: Option<&str>) -> Version {
        let key = Key { at, rank: 3, fact_at: at, seq };
        Version { key, digest: digest(Some(text)), text: Some(text.into()), by: by.map(str::to_owned) }
    }

    fn edits(before: &str, versions: &[(i64, i64, &str)]) -> Vec<String> {
        let versions = versions.iter().map(|(at, seq, text)| version(*at, *seq, text, None)).collect();
        let judged = judge(Some(digest(Some(before))), versions);
        judged.into_iter().filter(|(_, is_edit)| *is_edit).filter_map(|(version, _)| version.text).collect()
    }

    #[test]
    fn a_text_equal_to_the_one_before_it_in_time_is_no_edit() {
        assert!(edits("a", &[(5, 1, "a"), (9, 2, "a")]).is_empty());
        assert_eq!(edits("a", &[(9, 1, "a"), (5, 2, "b")]), ["b", "a"]);
    }

    #[test]
    fn where_no_text_is_known_before_only_a_person_edits() {
        let edits = |by| judge(None, vec![version(5, 1, "a", by), version(9, 2, "b", Some(SYSTEM))]);
        let judged = |by| edits(by).into_iter().map(|(_, is_edit)| is_edit).collect::<Vec<_>>();
        assert_eq!(judged(Some(SYSTEM)), [false, true]);
        assert_eq!(judged(Some("ann")), [true, true]);
        assert_eq!(judged(None), [true, true]);
        assert_eq!(judge(None, vec![version(5, 1, "", Some("ann"))]).first().map(|it| it.1), Some(false));
    }

    #[test]
    fn versions_of_one_second_go_by_the_log() {
        assert_eq!(edits("a", &[(5, 8, "b"), (5, 7, "c")]), ["c", "b"]);
        assert_eq!(edits("a", &[(5, 8, "b"), (5, 7, "a")]), ["b"]);
    }

    #[test]
    fn the_editor_is_a_person_if_any_whatever_the_order() {
        let by = |tellers: &[Option<&str>]| {
            let mut all = (1..).zip(tellers).map(|(seq, by)| version(5, seq, "a", *by));
            let mut first = all.next().unwrap();
            all.for_each(|other| first.merge(other));
            first.by
        };
        assert_eq!(by(&[None, Some("ann"), Some("bob")]).as_deref(), Some("ann"));
        assert_eq!(by(&[Some("bob"), Some("ann"), None]).as_deref(), Some("ann"));
        assert_eq!(by(&[Some(SYSTEM), None, Some("ann")]).as_deref(), Some("ann"));
        assert_eq!(by(&[Some("ann"), Some(SYSTEM)]).as_deref(), Some("ann"));
        assert_eq!(by(&[Some(SYSTEM), None]).as_deref(), Some(SYSTEM));
    }

    #[test]
    fn digests_read_back() {
        let known = digest(Some("a"));
        assert_eq!(read_digest(&write_digest(&known)), Some(known));
        assert_eq!(digest(None), digest(Some("")));
        assert_eq!(read_digest("?"), None);
    }
}
