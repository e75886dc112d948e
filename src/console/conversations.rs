//! `/conversations`.

use super::answer::{GroupName, List, Person};
use super::frame::Frame;
use super::page::{Page, Show};
use super::view;
use askama::Template;
use serde::Deserialize;

pub const PAGE: Page = Page::of::<Conversations>("/conversations", include_str!("conversations.graphql"));

#[derive(Template)]
#[template(path = "conversations.html")]
pub struct Conversations {
    frame: Frame,
    conversations: List<Conversation>,
}

#[derive(Deserialize)]
pub struct Answer {
    conversations: List<Conversation>,
}

/// A row of a list of conversations.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    pub conversation_id: String,
    pub r#type: String,
    pub group: Option<GroupName>,
    pub participants: Vec<Person>,
    pub messages_count: i64,
    /// Of the person whose list it is.
    pub unread_count: Option<i64>,
    pub last_message: Option<LastMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastMessage {
    pub r#type: Option<String>,
    pub text: Option<String>,
    pub sent_at: Option<String>,
    pub sender: Option<Person>,
    pub mentions: Vec<Person>,
}

impl Show for Conversations {
    type Answer = Answer;

    fn show(frame: Frame, Answer { conversations }: Answer) -> Option<Self> {
        Some(Self { frame, conversations })
    }
}
