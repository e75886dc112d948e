//! `/conversation`: a transcript that reads like a chat. It opens at the newest message, or around an instant: then `at`
//! is that instant, and `side` the half of the transcript, before it or from it on, that is paged through.

use super::answer::{GroupName, List, Person};
use super::frame::Frame;
use super::message::Message;
use super::page::{Page, Show};
use super::params::Params;
use super::view;
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

pub const PAGE: Page = Page::of::<ConversationPage>(
    "/conversation",
    concat!(include_str!("conversation.graphql"), include_str!("message_fields.graphql")),
);

#[derive(Template)]
#[template(path = "conversation.html")]
pub struct ConversationPage {
    frame: Frame,
    conversation: Conversation,
    /// Oldest first: one reads downwards.
    messages: Vec<Message>,
    older: Option<String>,
    newer: Option<String>,
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
    messages: Option<List<Message>>,
    older: Option<List<Message>>,
    newer: Option<List<Message>>,
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

    fn variables(params: &Params, variables: &mut Map<String, Value>) {
        let Some(at) = variables.get("at").cloned() else { return };
        match params.get("side") {
            Some("older") => variables.insert("until".to_owned(), at),
            Some("newer") => variables.insert("from".to_owned(), at),
            _ => variables.insert("isAround".to_owned(), true.into()),
        };
    }

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        let mut conversation = answer.conversation?;
        let to = |side: Option<&str>, name: &str, cursor: &Option<String>| {
            let params = frame.params.with("side", side).with("after", None).with("before", None);
            Some(params.with(name, Some(cursor.as_deref()?)).href(frame.path))
        };
        // From the edge of one half of the transcript the way leads back to the instant between both.
        let around = || Some(frame.params.with("side", None).with("after", None).with("before", None).href(frame.path));
        let (mut messages, older, newer);
        if let Some(list) = conversation.messages.take() {
            let (info, side) = (&list.page_info, frame.params.get("side").filter(|_| frame.params.get("at").is_some()));
            let edge = |of: &str| if side == Some(of) { around() } else { None };
            older = if info.has_next_page { to(side, "after", &info.end_cursor) } else { edge("newer") };
            newer = if info.has_previous_page { to(side, "before", &info.start_cursor) } else { edge("older") };
            messages = list.nodes;
        } else {
            let (old, new) = (conversation.older.take()?, conversation.newer.take()?);
            older = to(Some("older"), "after", &old.page_info.end_cursor).filter(|_| old.page_info.has_next_page);
            newer =
                to(Some("newer"), "before", &new.page_info.start_cursor).filter(|_| new.page_info.has_previous_page);
            messages = new.nodes;
            messages.extend(old.nodes);
        }
        messages.reverse();
        Some(Self { frame, conversation, messages, older, newer })
    }
}

impl ConversationPage {
    /// Where a day of the reader's zone begins among the messages: its date, and how people say it.
    fn day(&self, at: usize) -> Option<(String, String)> {
        let date = |at: usize| self.frame.reader.zone.day(self.messages.get(at)?.sent_at.as_deref()?);
        let here = date(at)?;
        let before = at.checked_sub(1).and_then(date);
        (before.as_ref() != Some(&here)).then_some(here)
    }

    fn read_up_to(&self, id: &str) -> Vec<&ReadMarker> {
        self.conversation.read_markers.iter().filter(|marker| marker.message_id == id).collect()
    }

    /// Where the transcript opens unless asked otherwise.
    fn newest(&self) -> String {
        let others = ["at", "atHour", "zone", "side", "message", "search", "after", "before"];
        others.iter().fold(self.frame.params.clone(), |params, name| params.with(name, None)).href(self.frame.path)
    }
}
