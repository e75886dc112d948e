//! `/users`.

use super::answer::List;
use super::frame::Frame;
use super::page::{Page, Show};
use super::view;
use askama::Template;
use serde::Deserialize;

pub const PAGE: Page = Page::of::<Users>("/users", include_str!("users.graphql"));

#[derive(Template)]
#[template(path = "users.html")]
pub struct Users {
    frame: Frame,
    users: List<User>,
}

#[derive(Deserialize)]
pub struct Answer {
    users: List<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    uid: String,
    name: Option<String>,
    role: Option<String>,
    status_message: Option<String>,
    last_active_at: Option<String>,
    presence: Option<Presence>,
}

/// Whether a person is online.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    online: bool,
    pub last_seen_at: Option<String>,
}

impl Presence {
    pub fn word(&self) -> &'static str {
        if self.online { "online" } else { "offline" }
    }
}

impl Show for Users {
    type Answer = Answer;

    fn show(frame: Frame, Answer { users }: Answer) -> Option<Self> {
        Some(Self { frame, users })
    }
}
