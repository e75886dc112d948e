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
