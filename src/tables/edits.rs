//! The texts that a message had after it was sent: edits, and texts of edit events that did not change the text (see
//! [`crate::edits`]).

use super::message::{Effects, Message};
use crate::edits::{Version, judge};

/// In order. The flag says whether the text is an edit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(pub Vec<(Version, bool)>);

impl Edits {
    /// Takes a text told as an edit of the message. No text of a deleted message is kept.
    pub fn apply(&mut self, mut told: Version, message: &Message) {
        told.text = told.text.filter(|_| !message.deleted);
        let mut versions = self.versions();
        let same = |version: &&mut Version| version.key.at == told.key.at && version.digest == told.digest;
        match versions.iter_mut().find(same) {
            Some(version) => version.merge(told),
            None => versions.push(told),
        }
        self.0 = judge(message.first_text(), versions);
    }

    /// Follows a change of the message. A deletion removes the texts. Another first text may make other texts edits.
    pub fn follow(&mut self, effects: Effects) {
        if effects.deleted {
            self.0.iter_mut().for_each(|(version, _)| version.text = None);
        }
        if let Some(first_text) = effects.first_text {
            self.0 = judge(Some(first_text), self.versions());
        }
    }

    /// The last edit.
    pub fn last(&self) -> Option<&Version> {
        self.0.iter().rev().find(|(_, is_edit)| *is_edit).map(|(version, _)| version)
    }

    fn versions(&mut self) -> Vec<Version> {
        std::mem::take(&mut self.0).into_iter().map(|(version, _)| version).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change;
    use crate::edits::{digest, write_digest};
    use crate::merge::{Key, Stamp, When, rank};

    fn version(at: i64, text: &str) -> Version {
        let key = Key { at, rank: rank::EDITED, fact_at: at, seq: at };
        Version { key, digest: digest(Some(text)), text: Some(text.into()), by: Some("ann".into()) }
    }

    fn message(first_text: &str) -> Message {
        let mut message = Message::default();
        tell(&mut message, first_text, false);
        message
    }

    fn tell(message: &mut Message, first_text: &str, deleted: bool) -> Effects {
        let told = change::Message {
            first_text: Some(Some(write_digest(&digest(Some(first_text))))),
            ..change::Message::default()
        };
        let stamp =
            Stamp { when: When::At(crate::ids::Time(1)), rank: rank::FACT, fact_at: crate::ids::Time(1), seq: 1 };
        message.apply(told.telling(stamp), deleted)
    }

    fn texts(edits: &Edits) -> Vec<(Option<&str>, bool)> {
        edits.0.iter().map(|(version, is_edit)| (version.text.as_deref(), *is_edit)).collect()
    }

    #[test]
    fn a_text_told_twice_for_one_time_is_kept_once() {
        let (message, mut edits) = (message("a"), Edits::default());
        for version in [version(9, "b"), version(5, "a"), version(9, "b")] {
            edits.apply(version, &message);
        }
        assert_eq!(texts(&edits), [(Some("a"), false), (Some("b"), true)]);
        assert_eq!(edits.last().and_then(|last| last.text.as_deref()), Some("b"));
    }

    #[test]
    fn a_deletion_takes_the_texts_whether_they_come_before_it_or_after() {
        let (mut message, mut edits) = (message("a"), Edits::default());
        edits.apply(version(5, "b"), &message);
        edits.follow(tell(&mut message, "a", true));
        edits.apply(version(9, "c"), &message);
        assert_eq!(texts(&edits), [(None, true), (None, true)]);
    }

    #[test]
    fn a_first_text_that_arrives_late_makes_the_same_text_no_edit() {
        let (mut message, mut edits) = (Message::default(), Edits::default());
        edits.apply(version(5, "a"), &message);
        assert_eq!(texts(&edits), [(Some("a"), true)]);
        edits.follow(tell(&mut message, "a", false));
        assert_eq!(texts(&edits), [(Some("a"), false)]);
    }
}
