//! `/`: how intake goes, app by app.

use super::answer::List;
use super::frame::Frame;
use super::page::{Page, Show};
use super::view;
use crate::ids::TokenScope;
use askama::Template;
use serde::Deserialize;

pub const PAGE: Page = Page::of::<Overview>("/", include_str!("overview.graphql"));

#[derive(Template)]
#[template(path = "overview.html")]
pub struct Overview {
    frame: Frame,
    status: Status,
    apps: Vec<App>,
}

#[derive(Deserialize)]
pub struct Answer {
    status: Status,
    apps: Vec<App>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    fold_version: i64,
    file_bytes: Option<String>,
    state_hash: Option<String>,
    last_state_hash: Option<StateHash>,
}

#[derive(Deserialize)]
pub struct StateHash {
    hash: String,
    seq: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    app_id: String,
    region: Option<String>,
    first_seen_at: String,
    last_event_at: String,
    events_count: String,
    minutes: Vec<Step>,
    hours: Vec<Step>,
    triggers: Vec<Trigger>,
    rejected: List<Received>,
    anomalies: List<Received>,
    ignored: List<Received>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    at: String,
    deliveries_count: u64,
    outcomes: Option<Outcomes>,
}

#[derive(Deserialize)]
pub struct Outcomes {
    applied: u64,
    duplicate: u64,
    ignored: u64,
    anomaly: u64,
    rejected: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    trigger: String,
    deliveries_count: u64,
    last_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    received_at: String,
}

/// A bar of a chart, in per cent of its width and height.
struct Bar {
    left: f64,
    width: f64,
    top: f64,
    height: f64,
    title: String,
}

impl Show for Overview {
    type Answer = Answer;

    fn show(mut frame: Frame, answer: Answer) -> Option<Self> {
        // That a token is bound to apps is no news here.
        if answer.status.file_bytes.is_none() {
            frame.notices.retain(|notice| !notice.contains("about all apps"));
        }
        let asked = frame.params.get("appId").map(str::to_owned);
        let mut apps = answer.apps;
        if let Some(asked) = asked {
            apps.retain(|app| app.app_id == asked);
            apps.first()?;
        }
        Some(Self { status: answer.status, apps, frame })
    }
}

impl Overview {
    /// Whether the reader may see one number for what all tables say: it is about all apps, and about what was said.
    fn may_hash(&self) -> bool {
        self.status.file_bytes.is_some() && self.frame.reader.scope >= TokenScope::Content
    }

    fn bars(&self, steps: &[Step]) -> Vec<Bar> {
        let most = Self::most(steps).max(1) as f64;
        let width = 100.0 / steps.len().max(1) as f64;
        let bar = |(at, step): (usize, &Step)| {
            let height = step.deliveries_count as f64 / most * 100.0;
            let outcomes = step.outcomes.as_ref().map(Outcomes::words).unwrap_or_default();
            Bar {
                left: at as f64 * width,
                width: width * 0.8,
                top: 100.0 - height,
                height,
                title: format!("{}: {}{outcomes}", self.frame.words(&step.at), view::number(step.deliveries_count)),
            }
        };
        steps.iter().enumerate().map(bar).collect()
    }

    fn most(steps: &[Step]) -> u64 {
        steps.iter().map(|step| step.deliveries_count).max().unwrap_or_default()
    }

    fn all(steps: &[Step]) -> String {
        view::number(steps.iter().map(|step| step.deliveries_count).sum::<u64>())
    }
}

impl App {
    fn charts(&self) -> [(&'static str, &[Step]); 2] {
        [("Deliveries a minute, last hour", &self.minutes), ("Deliveries an hour, last two days", &self.hours)]
    }
}

impl Outcomes {
    /// What is not applied.
    fn words(&self) -> String {
        let counts = [
            (self.duplicate, "duplicate"),
            (self.ignored, "ignored"),
            (self.anomaly, "anomaly"),
            (self.rejected, "rejected"),
        ];
        let told = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        let told: Vec<String> = std::iter::once(format!("{} applied", self.applied)).chain(told).collect();
        format!(" ({})", told.join(", "))
    }
}
