//! `/events`: the log, newest first.

use super::about::{self, Named};
use super::answer::List;
use super::frame::Frame;
use super::page::{Page, Show};
use super::view;
use crate::trigger::TRIGGERS;
use askama::Template;
use serde::Deserialize;

pub const PAGE: Page =
    Page::of::<Events>("/events", concat!(include_str!("events.graphql"), include_str!("called.graphql")));

/// Entities named in a row.
const NAMED: usize = 3;
const FILTERS: [&str; 6] = ["triggers", "outcomes", "receivedAfter", "receivedBefore", "about", "bodyContains"];

#[derive(Template)]
#[template(path = "events.html")]
pub struct Events {
    frame: Frame,
    events: List<Event>,
}

#[derive(Deserialize)]
pub struct Answer {
    events: List<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    seq: String,
    trigger: String,
    received_at: String,
    occurred_at: String,
    occurred_from: String,
    outcome: String,
    deliveries: u64,
    reason: Option<String>,
    entities: Vec<Named>,
}

impl Show for Events {
    type Answer = Answer;

    fn show(frame: Frame, Answer { events }: Answer) -> Option<Self> {
        Some(Self { frame, events })
    }
}

impl Events {
    fn is_filtered(&self) -> bool {
        FILTERS.iter().any(|name| self.frame.params.get(name).is_some())
    }

    /// Every trigger we know, to choose from.
    fn triggers(&self) -> impl Iterator<Item = &'static str> {
        TRIGGERS.iter().map(|(name, _)| *name)
    }
}

impl Event {
    fn named(&self) -> &[Named] {
        &self.entities[..self.entities.len().min(NAMED)]
    }
}
