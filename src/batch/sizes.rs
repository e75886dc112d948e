//! About how many bytes keys and rows take in memory. The limit of the cache uses these numbers.

use super::rows::Bytes;
use crate::feed::Kept;
use crate::ids::ConversationKey;
use crate::merge::{Row, Value};
use crate::store::sqlite::App;
use crate::tables;
use crate::tables::block::Block;
use crate::tables::call::Session;
use crate::tables::conversation::{Conversation, Parties};
use crate::tables::edits::Edits;
use crate::tables::group::{Group, Rosters};
use crate::tables::horizon::Horizon;
use crate::tables::membership::{Facts, Membership};
use crate::tables::message::Message;
use crate::tables::reaction::{Reaction, Spelling};
use crate::tables::receipt::{ReadMarker, Receipt};
use crate::tables::registers::Registers;

/// An allocation, and what a map keeps of an entry.
const ENTRY: usize = 64;
/// Most bytes that one byte of a text takes in JSON: a control character is written with six.
const JSON: usize = 6;

impl Bytes for Row {
    fn bytes(&self) -> usize {
        let text = |value: &Value| value.text().map_or(0, str::len);
        let fields: usize = self.values.iter().map(text).sum();
        let named: usize = self.named.iter().map(|(name, (value, _))| ENTRY * 2 + name.len() + text(value)).sum();
        self.values.len() * (size_of::<Value>() + 40) + fields + named
    }
}

impl<T> Bytes for Registers<T> {
    fn bytes(&self) -> usize {
        self.row.bytes()
    }
}

impl Bytes for Message {
    fn bytes(&self) -> usize {
        let shown = &self.shown;
        let texts = shown.text.iter().chain(&shown.attachments).chain(&shown.tags).chain(&shown.mentions);
        let texts: usize = texts.map(|text| size_of::<String>() + text.len()).sum();
        size_of::<Self>() + self.row.bytes() + texts + self.metadata().map_or(0, str::len)
    }
}

impl Bytes for Group {
    fn bytes(&self) -> usize {
        let lifecycle = self.lifecycle.created.len() + self.lifecycle.deleted.len();
        let unlisted = self.tally.unlisted.iter().flat_map(|it| it.joins.keys()).map(|uid| ENTRY + JSON * uid.len());
        size_of::<Self>() + self.row.bytes() + lifecycle * ENTRY + unlisted.sum::<usize>()
    }
}

impl Bytes for Edits {
    fn bytes(&self) -> usize {
        self.0.iter().map(|(version, _)| 2 * ENTRY + version.text.as_ref().map_or(0, String::len)).sum()
    }

    fn in_one_row(&self) -> usize {
        0
    }
}

impl Bytes for Membership {
    fn bytes(&self) -> usize {
        size_of::<Self>() + ENTRY
    }
}

impl Bytes for Facts {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.0.len() * (size_of::<tables::membership::FactRow>() + 2 * ENTRY)
    }

    fn in_one_row(&self) -> usize {
        0
    }
}

impl Bytes for Session {
    fn bytes(&self) -> usize {
        size_of::<Self>() + Session::bytes(self)
    }

    fn in_one_row(&self) -> usize {
        0
    }
}

impl Bytes for Reaction {
    fn bytes(&self) -> usize {
        self.spellings.iter().map(spelling).sum()
    }

    fn in_one_row(&self) -> usize {
        self.spellings.iter().map(spelling).max().unwrap_or(0)
    }
}

fn spelling((reaction, Spelling { facts, .. }): (&String, &Spelling)) -> usize {
    4 * ENTRY + reaction.len() + JSON * facts.bytes()
}

impl Bytes for Rosters {
    fn bytes(&self) -> usize {
        self.0.len() * size_of::<tables::group::Roster>()
    }

    fn in_one_row(&self) -> usize {
        0
    }
}

impl Bytes for Block {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.blocked.len() * ENTRY
    }
}

impl Bytes for Kept {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.feed.lags.len() * 8
    }
}

macro_rules! small {
    ($($row:ty),+) => {
        $(impl Bytes for $row {
            fn bytes(&self) -> usize {
                size_of::<Self>() + ENTRY
            }
        })+
    };
}

small!(tables::app::App, Receipt, i64);

impl Bytes for Horizon {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Bytes for ReadMarker {
    fn bytes(&self) -> usize {
        size_of::<Self>() + ENTRY + self.message_id.len()
    }
}

impl Bytes for Conversation {
    fn bytes(&self) -> usize {
        let parties = match &self.parties {
            Some(Parties::Group { guid }) => guid.len(),
            Some(Parties::Pair { low, high }) => low.len() + high.len(),
            None => 0,
        };
        size_of::<Self>() + 4 * ENTRY + parties + self.last.as_ref().map_or(0, |last| last.message_id.len())
    }
}

impl Bytes for App {
    fn bytes(&self) -> usize {
        ENTRY
    }
}

impl Bytes for (App, String) {
    fn bytes(&self) -> usize {
        2 * ENTRY + self.1.len()
    }
}

impl Bytes for (App, String, String) {
    fn bytes(&self) -> usize {
        2 * ENTRY + self.1.len() + self.2.len()
    }
}

impl Bytes for (App, String, String, String) {
    fn bytes(&self) -> usize {
        2 * ENTRY + self.1.len() + self.2.len() + self.3.len()
    }
}

impl Bytes for (App, ConversationKey) {
    fn bytes(&self) -> usize {
        2 * ENTRY + self.1.id.len()
    }
}

impl Bytes for (App, ConversationKey, String, bool) {
    fn bytes(&self) -> usize {
        2 * ENTRY + self.1.id.len() + self.2.len()
    }
}

impl Bytes for (App, String, String, i64) {
    fn bytes(&self) -> usize {
        2 * ENTRY + self.1.len() + self.2.len()
    }
}
