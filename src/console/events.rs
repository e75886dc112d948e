//! `/events`: the log, newest first.

use super::about::{self, Named};
use super::answer::{List, Outcomes};
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
    /// What came in the last three days, by outcome and by trigger, most first.
    outcomes: Vec<(&'static str, u64)>,
    triggers: Vec<Trigger>,
}

#[derive(Deserialize)]
pub struct Answer {
    events: List<Event>,
    #[serde(default)]
    facets: Vec<Facets>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facets {
    app_id: String,
    triggers: Option<Vec<Trigger>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    trigger: String,
    deliveries_count: u64,
    outcomes: Outcomes,
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

    fn show(frame: Frame, Answer { events, facets }: Answer) -> Option<Self> {
        let of_app = facets.into_iter().find(|it| Some(&it.app_id) == frame.app.as_ref());
        let mut triggers = of_app.and_then(|it| it.triggers).unwrap_or_default();
        triggers.retain(|it| it.deliveries_count > 0);
        triggers.sort_by_key(|it| std::cmp::Reverse(it.deliveries_count));
        let mut outcomes: Vec<(&'static str, u64)> = Vec::new();
        for (at, (word, _)) in Outcomes::default().words().into_iter().enumerate() {
            let count = triggers.iter().map(|it| it.outcomes.words()[at].1).sum();
            outcomes.push((word, count));
        }
        outcomes.retain(|(_, count)| *count > 0);
        Some(Self { frame, events, outcomes, triggers })
    }
}

impl Events {
    fn is_filtered(&self) -> bool {
        FILTERS.iter().any(|name| self.frame.params.get(name).is_some())
    }

    /// Every trigger we know, to choose from.
    fn known(&self) -> impl Iterator<Item = &'static str> {
        TRIGGERS.iter().map(|(name, _)| *name)
    }
}

impl Event {
    fn named(&self) -> &[Named] {
        &self.entities[..self.entities.len().min(NAMED)]
    }
}
