//! `/calls`: calls and meetings, newest first.

use super::answer::{GroupName, List, Person};
use super::frame::Frame;
use super::page::{Page, Show};
use super::view;
use askama::Template;
use serde::Deserialize;

pub const PAGE: Page = Page::of::<Calls>("/calls", include_str!("calls.graphql"));

const FILTERS: [&str; 7] = ["kinds", "statuses", "uid", "guid", "startedAfter", "startedBefore", "active"];

#[derive(Template)]
#[template(path = "calls.html")]
pub struct Calls {
    frame: Frame,
    calls: List<Call>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    call_sessions: List<Call>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    id: String,
    session_id: Option<String>,
    kind: String,
    r#type: Option<String>,
    status: Option<String>,
    initiated_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    duration_seconds: Option<i64>,
    participants_count: u64,
    initiator: Option<Person>,
    receiver_user: Option<Person>,
    receiver_group: Option<GroupName>,
}

impl Show for Calls {
    type Answer = Answer;

    fn show(frame: Frame, Answer { call_sessions: calls }: Answer) -> Option<Self> {
        Some(Self { frame, calls })
    }
}

impl Calls {
    fn is_filtered(&self) -> bool {
        FILTERS.iter().any(|name| self.frame.params.get(name).is_some())
    }
}

impl Call {
    /// When it began, as the list is ordered.
    fn began(&self) -> Option<&String> {
        self.started_at.as_ref().or(self.initiated_at.as_ref())
    }

    fn called(&self) -> &str {
        self.session_id.as_deref().unwrap_or("without a session id")
    }
}
