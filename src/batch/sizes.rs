//! What keys and rows take in memory, about: the cache is bounded by it.

use super::rows::Bytes;
use crate::blocks::Facts as Block;
use crate::feed::Kept;
use crate::ids::ConversationKey;
use crate::merge::{Row, Value};
use crate::store::sqlite::App;
use crate::tables;
use crate::tables::call::Session;
use crate::tables::conversation::Conversation;
use crate::tables::edits::Edits;
use crate::tables::group::{Group, Rosters};
use crate::tables::membership::Membership;
use crate::tables::message::Message;
use crate::tables::reaction::Reaction;
use crate::tables::receipt::{ReadMarker, Receipt};
use crate::tables::registers::Registers;

/// An allocation, and what a map keeps of an entry.
const ENTRY: usize = 64;

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
        size_of::<Self>() + self.row.bytes()
    }
}

impl Bytes for Group {
    fn bytes(&self) -> usize {
        let lifecycle = self.lifecycle.created.len() + self.lifecycle.deleted.len();
        size_of::<Self>() + self.row.bytes() + lifecycle * ENTRY
    }
}

impl Bytes for Edits {
    fn bytes(&self) -> usize {
        self.0.iter().map(|(version, _)| 2 * ENTRY + version.text.as_ref().map_or(0, String::len)).sum()
    }
}

impl Bytes for Membership {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.told.len() * (size_of::<tables::membership::Told>() + 2 * ENTRY)
    }
}

impl Bytes for Session {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.facts.len() * 8 * ENTRY + self.instances.len() * 16 * ENTRY
    }
}

impl Bytes for Reaction {
    fn bytes(&self) -> usize {
        self.spellings.len() * 4 * ENTRY
    }
}

impl Bytes for Rosters {
    fn bytes(&self) -> usize {
        self.0.len() * size_of::<tables::group::Roster>()
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

small!(tables::app::App, Conversation, Receipt, ReadMarker, i64);

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
