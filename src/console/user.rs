//! `/user`: a person, as events describe them, with groups, conversations, blocks and what they said last.

use super::answer::{GroupName, List, Person};
use super::conversations::Conversation;
use super::frame::Frame;
use super::page::{Page, Show};
use super::{source, users, view};
use crate::entity::Entity;
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

pub const PAGE: Page = Page::of::<UserPage>("/user", include_str!("user.graphql"));

#[derive(Template)]
#[template(path = "user.html")]
pub struct UserPage {
    frame: Frame,
    user: User,
}

#[derive(Deserialize)]
pub struct Answer {
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    uid: String,
    name: Option<String>,
    avatar: Option<String>,
    link: Option<String>,
    role: Option<String>,
    status_message: Option<String>,
    tags: Vec<String>,
    metadata: Option<Value>,
    last_active_at: Option<String>,
    presence: Option<Presence>,
    memberships: List<Membership>,
    conversations: List<Conversation>,
    blocks: List<Block>,
    blocked_by: List<Block>,
    messages: List<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    #[serde(flatten)]
    state: users::Presence,
    changed_at: Option<String>,
    changed_at_from: Option<String>,
    last_seen_at_from: Option<String>,
    connections: Vec<Connection>,
    connections_count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    platform: Option<String>,
    connected_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    guid: String,
    state: String,
    scope: Option<String>,
    is_owner: bool,
    joined_at: Option<String>,
    changed_at: String,
    changed_at_from: String,
    group: GroupName,
    changed_by: Option<Person>,
}

#[derive(Deserialize)]
pub struct Block {
    #[serde(alias = "blocked", alias = "blocker")]
    other: Person,
    since: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    message_id: String,
    r#type: Option<String>,
    text: Option<String>,
    mentions: Vec<Person>,
    sent_at: Option<String>,
    conversation: Option<Place>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    conversation_id: String,
    group: Option<GroupName>,
    participants: Vec<Person>,
}

impl Show for UserPage {
    type Answer = Answer;

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        Some(Self { frame, user: answer.user? })
    }
}

impl UserPage {
    fn entity(&self) -> String {
        Entity::User(self.user.uid.clone()).to_string()
    }

    fn membership(&self, guid: &str) -> String {
        Entity::Membership { guid: guid.to_owned(), uid: self.user.uid.clone() }.to_string()
    }
}
