//! A message: what events told of it, whether it is deleted or blocked, and what lists, counts and searches see of it.

use super::conversation::Listing;
use crate::change::{self, Conversation};
use crate::chat::Known;
use crate::edits::{Digest, Version, read_digest};
use crate::ids::ReceiverType;
use crate::json::{Document, Json};
use crate::merge::{Row, Telling, Value};

const SENDER_UID: usize = change::Message::place("sender_uid");
const RECEIVER_TYPE: usize = change::Message::place("receiver_type");
const RECEIVER_ID: usize = change::Message::place("receiver_id");
const CATEGORY: usize = change::Message::place("category");
const TYPE: usize = change::Message::place("type");
const TAGS: usize = change::Message::place("tags");
const PARENT_ID: usize = change::Message::place("parent_id");
const SENT_AT: usize = change::Message::place("sent_at");
const MENTIONS: usize = change::Message::place("mentions");
const FIRST_TEXT: usize = change::Message::place("first_text");

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub row: Row,
    pub deleted: bool,
    /// Disapproved by moderation.
    pub blocked: bool,
    /// Of the last edit.
    pub edited_at: Option<i64>,
    pub edited_by: Option<String>,
    pub shown: Shown,
}

/// What lists, counts and searches see. It follows from the merged message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    pub listing: Listing,
    pub is_chat: bool,
    /// The message is a step of an AI agent: a call of a tool or its result.
    pub is_step: bool,
    /// Why unread counts leave the message out: see [`Known::uncounted`].
    pub uncounted: i64,
    /// The text of the message, if it has one.
    pub text: Option<String>,
    /// Whether the full-text index has the message. Steps are in the index for searches that include steps.
    pub searched: bool,
    /// The files, as a JSON list.
    pub attachments: Option<String>,
    pub tags: Vec<String>,
    /// Uids of the people mentioned.
    pub mentions: Vec<String>,
}

impl Default for Message {
    fn default() -> Self {
        let row = Row::new(change::Message::COLUMNS.len());
        Self { row, deleted: false, blocked: false, edited_at: None, edited_by: None, shown: Shown::default() }
    }
}

/// What a change of a message means for its edits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// The message is deleted from now on.
    pub deleted: bool,
    /// Another text is known to be the first one from now on.
    pub first_text: Option<Digest>,
}

impl Message {
    /// Merges what a fact tells. A deleted message stays deleted, without its text. Only the log keeps the text.
    pub fn apply(&mut self, telling: Telling, deleted: bool) -> Effects {
        let (was_deleted, first_text) = (self.deleted, self.first_text());
        self.row.merge(change::Message::RULES, telling);
        self.deleted |= deleted;
        if self.deleted {
            self.row.named.clear();
        }
        self.show();
        Effects {
            deleted: self.deleted && !was_deleted,
            first_text: self.first_text().filter(|now| Some(*now) != first_text),
        }
    }

    /// Moderation disapproves of the message, or no longer does.
    pub fn block(&mut self, blocked: bool) {
        self.blocked = blocked;
        self.show();
    }

    /// Derives what is shown. Every change ends with this step, so a failure belongs to the event that caused it.
    pub fn show(&mut self) {
        let (known, sent_at) = (self.known(), self.row.values[SENT_AT].int());
        let (is_chat, is_step) = (known.is_chat(), known.is_step());
        self.shown = Shown {
            listing: Listing {
                conversation: self.conversation().map(|it| it.key()),
                listed: is_chat && !self.deleted && !self.blocked && sent_at.is_some(),
                may_be_last: known.may_be_last(),
                sent_at,
            },
            is_chat,
            is_step,
            uncounted: known.uncounted(),
            text: self.text(),
            searched: is_searched(is_chat, is_step, self.deleted, sent_at.is_some()),
            attachments: attachments(self.member("attachments"), self.member("url")),
            tags: texts(&self.row.values[TAGS]),
            mentions: texts(&self.row.values[MENTIONS]),
        };
    }

    /// The text of the message in the full-text index, if it is there.
    pub fn searched(&self) -> Option<&str> {
        self.shown.text.as_deref().filter(|_| self.shown.searched)
    }

    /// Another edit is the last one.
    pub fn edit(&mut self, last: Option<&Version>) {
        self.edited_at = last.map(|version| version.key.at);
        self.edited_by = last.and_then(|version| version.by.clone());
    }

    /// A member of `data`, as JSON.
    fn member(&self, name: &str) -> Option<&str> {
        self.row.named.get(name).and_then(|(value, _)| value.text())
    }

    /// The parties of the conversation, once sender and receiver are known, also from several facts.
    pub fn conversation(&self) -> Option<Conversation> {
        let text = |place: usize| self.row.values[place].text().map(str::to_owned);
        let receiver_type = ReceiverType::from_word(&text(RECEIVER_TYPE)?)?;
        Some(Conversation { sender: text(SENDER_UID)?, receiver_type, receiver: text(RECEIVER_ID)? })
    }

    /// What decides which lists and counts hold the message.
    fn known(&self) -> Known<'_> {
        Known {
            category: self.row.values[CATEGORY].text(),
            kind: self.row.values[TYPE].text(),
            is_reply: self.row.values[PARENT_ID].text().is_some(),
            metadata: self.member("metadata"),
            update_conversation: self.member("updateConversation"),
        }
    }

    fn text(&self) -> Option<String> {
        Document::parse(self.member("text")?.as_bytes().to_vec()).ok()?.root().text().map(String::from)
    }

    /// The metadata as shown. An empty list stands for an empty object.
    pub fn metadata(&self) -> Option<&str> {
        self.member("metadata").map(|text| if text == "[]" { "{}" } else { text })
    }

    /// The text before all edits.
    pub fn first_text(&self) -> Option<Digest> {
        self.row.values[FIRST_TEXT].text().and_then(read_digest)
    }
}

/// Whether the full-text index has the text of a message: of chat and of agents' steps, not deleted, with a known time.
/// Messages that moderation blocked are in the index too, for searches that include them.
pub fn is_searched(is_chat: bool, is_step: bool, deleted: bool, has_time: bool) -> bool {
    (is_chat || is_step) && !deleted && has_time
}

/// The listed attachments, else the one that `url` names.
fn attachments(listed: Option<&str>, url: Option<&str>) -> Option<String> {
    let is_list = |text: &&str| {
        let document = Document::parse(text.as_bytes().to_vec());
        document.is_ok_and(|document| document.root().elements().any(Json::is_object))
    };
    listed
        .filter(is_list)
        .map(str::to_owned)
        .or_else(|| url.filter(|url| url.starts_with('"') && *url != "\"\"").map(|url| format!("[{{\"url\":{url}}}]")))
}

/// The texts of a JSON list.
fn texts(list: &Value) -> Vec<String> {
    let document = list.text().and_then(|text| Document::parse(text.as_bytes().to_vec()).ok());
    document
        .map(|document| document.root().elements().filter_map(Json::text).map(String::from).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_listed_or_named_by_its_url() {
        assert_eq!(attachments(Some("[{\"name\":\"a\"}]"), Some("\"u\"")).as_deref(), Some("[{\"name\":\"a\"}]"));
        assert_eq!(attachments(Some("[]"), Some("\"u\"")).as_deref(), Some("[{\"url\":\"u\"}]"));
        assert_eq!(attachments(None, None), None);
    }
}
