//! `/message`: one message with all that was told of it; and how messages are shown everywhere.

use super::answer::{GroupName, List, PageInfo, Person};
use super::frame::Frame;
use super::page::{Page, Show};
use super::source;
use super::view::{self, Html};
use crate::entity::Entity;
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

pub const PAGE: Page = Page::of::<MessagePage>(
    "/message",
    concat!(include_str!("message.graphql"), include_str!("message_fields.graphql")),
);

#[derive(Template)]
#[template(path = "message.html")]
pub struct MessagePage {
    frame: Frame,
    about: About,
    message: Message,
    replies: Vec<Message>,
    page: PageInfo,
}

#[derive(Deserialize)]
pub struct Answer {
    message: Option<Whole>,
}

#[derive(Deserialize)]
struct Whole {
    #[serde(flatten)]
    about: About,
    #[serde(flatten)]
    message: Message,
    replies: List<Message>,
}

/// What only its own page shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    conversation: Option<Conversation>,
    data: Option<Value>,
    metadata: Option<Value>,
    tags: Vec<String>,
    muid: Option<String>,
    thread_participants: Vec<Person>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conversation {
    conversation_id: String,
    group: Option<GroupName>,
    participants: Vec<Person>,
}

/// A message in a transcript.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub message_id: String,
    pub category: Option<String>,
    pub r#type: Option<String>,
    pub text: Option<String>,
    pub sent_at: Option<String>,
    pub edited_at: Option<String>,
    pub deleted_at: Option<String>,
    pub deleted_at_from: Option<String>,
    pub pinned_at: Option<String>,
    pub original_text: Option<String>,
    pub sender: Option<Person>,
    pub edited_by: Option<Person>,
    pub deleted_by: Option<Person>,
    pub quoted: Option<Quote>,
    pub parent: Option<Quote>,
    pub replies_count: i64,
    pub mentions: Vec<Person>,
    pub attachments: Vec<Attachment>,
    pub reactions: Vec<Reaction>,
    pub receipts: Vec<Receipt>,
    pub receipts_count: i64,
    pub delivered_to_all_at: Option<String>,
    pub read_by_all_at: Option<String>,
    pub moderation: Option<Moderation>,
    pub edits: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    pub message_id: String,
    pub text: Option<String>,
    pub sender: Option<Person>,
    pub mentions: Vec<Person>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    pub name: Option<String>,
    pub mime_type: Option<String>,
    pub size: Option<String>,
    pub url: Option<String>,
}

#[derive(Deserialize)]
pub struct Reaction {
    pub reaction: String,
    pub count: i64,
    pub users: Vec<Person>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub user: Person,
    pub delivered_at: Option<String>,
    pub delivered_at_from: Option<String>,
    pub read_at: Option<String>,
    pub read_at_from: Option<String>,
}

#[derive(Deserialize)]
pub struct Moderation {
    pub status: Option<String>,
    pub reviewed: bool,
    pub rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edit {
    pub text: Option<String>,
    pub edited_at: String,
    pub edited_by: Option<Person>,
}

impl Attachment {
    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self.mime_type.as_deref().and_then(|kind| kind.split('/').next()) {
            Some("image") => "Image",
            Some("video") => "Video",
            Some("audio") => "Audio",
            _ => "File",
        }
    }
}

impl Message {
    /// Hidden by moderation.
    pub fn is_blocked(&self) -> bool {
        self.moderation.as_ref().is_some_and(|it| it.status.as_deref() == Some("disapproved"))
    }

    /// Each edit with what it changed, oldest first.
    pub fn versions(&self) -> Vec<(&Edit, Html)> {
        let mut before = self.original_text.as_deref();
        let mut versions = Vec::with_capacity(self.edits.len());
        for edit in &self.edits {
            let text = edit.text.as_deref();
            versions.push((edit, view::diff(before, text.unwrap_or_default())));
            before = text.or(before);
        }
        versions
    }
}

impl Show for MessagePage {
    type Answer = Answer;

    fn lists(data: &Value) -> Vec<String> {
        data["message"]["receipts"].get(0).map(|_| "message.receipts".to_owned()).into_iter().collect()
    }

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        let Whole { about, message, replies } = answer.message?;
        Some(Self { frame, about, message, replies: replies.nodes, page: replies.page_info })
    }
}

impl MessagePage {
    fn entity(&self) -> String {
        Entity::Message(self.message.message_id.clone()).to_string()
    }
}
