//! `/conversation`: a transcript that reads like a chat.

use super::answer::{GroupName, List, Person};
use super::frame::Frame;
use super::message::Message;
use super::page::{Page, Show};
use super::view;
use askama::Template;
use serde::Deserialize;

pub const PAGE: Page = Page::of::<ConversationPage>(
    "/conversation",
    concat!(include_str!("conversation.graphql"), include_str!("message_fields.graphql")),
);

#[derive(Template)]
#[template(path = "conversation.html")]
pub struct ConversationPage {
    frame: Frame,
    conversation: Conversation,
}

#[derive(Deserialize)]
pub struct Answer {
    conversation: Option<Conversation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    conversation_id: String,
    messages_count: i64,
    group: Option<GroupName>,
    participants: Vec<Person>,
    read_markers: Vec<ReadMarker>,
    messages: List<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadMarker {
    user: Person,
    message_id: String,
    at: Option<String>,
}

impl Show for ConversationPage {
    type Answer = Answer;

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        let mut conversation = answer.conversation?;
        // One reads downwards.
        conversation.messages.nodes.reverse();
        Some(Self { frame, conversation })
    }
}

impl ConversationPage {
    /// Where a day of the reader's zone begins among the messages.
    fn day(&self, at: usize) -> Option<String> {
        let date =
            |at: usize| self.frame.reader.zone.day(self.conversation.messages.nodes.get(at)?.sent_at.as_deref()?);
        let here = date(at)?;
        let before = at.checked_sub(1).and_then(date);
        (before.as_ref() != Some(&here)).then_some(here)
    }

    fn read_up_to(&self, id: &str) -> impl Iterator<Item = &ReadMarker> {
        self.conversation.read_markers.iter().filter(move |marker| marker.message_id == id)
    }
}
