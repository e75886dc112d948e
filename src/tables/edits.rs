//! The texts that a message had after it was sent: edits, and what was told as an edit and left the text as it was (see
//! [`crate::edits`]).

use crate::edits::{Digest, Version, judge};

/// In order; of each text whether it is an edit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(pub Vec<(Version, bool)>);

impl Edits {
    /// Takes a text told as an edit. `first_text` is the text before all edits.
    pub fn apply(&mut self, told: Version, first_text: Digest) {
        let mut versions = self.versions();
        let same = |version: &&mut Version| version.key.at == told.key.at && version.digest == told.digest;
        match versions.iter_mut().find(same) {
            Some(version) => version.merge(told),
            None => versions.push(told),
        }
        self.0 = judge(first_text, versions);
    }

    /// Another text is known to be the one first sent.
    pub fn judge_again(&mut self, first_text: Digest) {
        self.0 = judge(first_text, self.versions());
    }

    /// The message is deleted: its texts are gone.
    pub fn blank(&mut self) {
        self.0.iter_mut().for_each(|(version, _)| version.text = None);
    }

    /// The last edit.
    pub fn last(&self) -> Option<&Version> {
        self.0.iter().rev().find(|(_, is_edit)| *is_edit).map(|(version, _)| version)
    }

    fn versions(&mut self) -> Vec<Version> {
        std::mem::take(&mut self.0).into_iter().map(|(version, _)| version).collect()
    }
}
