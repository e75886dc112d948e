//! `/health`: how the server is, who may read, what it refused, and its settings.

use super::frame::Frame;
use super::page::{Page, Show};
use super::view;
use crate::clock;
use crate::ids::Time;
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

pub const PAGE: Page = Page::of::<Health>("/health", include_str!("health.graphql"));

#[derive(Template)]
#[template(path = "health.html")]
pub struct Health {
    frame: Frame,
    status: Status,
}

#[derive(Deserialize)]
pub struct Answer {
    status: Status,
}

/// Null is what the token does not show.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    fold_version: i64,
    file_edition: i64,
    file_bytes: Option<String>,
    horizons: Vec<Horizon>,
    server: Option<Server>,
    tokens: Option<Vec<Token>>,
    refused: Option<Vec<Refused>>,
    settings: Option<Vec<Setting>>,
}

/// Up to when events of a family were cut from the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Horizon {
    app_id: String,
    family: String,
    before: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    version: String,
    started_at: String,
    not_ready: Option<String>,
    log_alarm: Option<String>,
    fold_version: i64,
    rebuilding: bool,
    wal_bytes: Option<String>,
    readers: i64,
    readers_busy: i64,
    requests_waiting: i64,
    disk: Option<Disk>,
}

/// The disk of the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    bytes: String,
    free_bytes: String,
    pub nearly_full: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    token_id: String,
    name: String,
    state: String,
    scope: String,
    apps: Option<Vec<String>>,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    received_at: String,
    problem: String,
    kept_bytes: i64,
}

#[derive(Deserialize)]
pub struct Setting {
    key: String,
    value: Option<String>,
    origin: String,
}

impl Show for Health {
    type Answer = Answer;

    fn lists(data: &Value) -> Vec<String> {
        let has_rows = |name: &&str| data["status"][name].get(0).is_some();
        ["tokens", "refused", "settings"].into_iter().filter(has_rows).map(|name| format!("status.{name}")).collect()
    }

    fn show(frame: Frame, Answer { status }: Answer) -> Option<Self> {
        Some(Self { frame, status })
    }
}

impl Health {
    /// The settings that were chosen, or those that have their defaults.
    fn settings(&self, chosen: bool) -> Vec<&Setting> {
        self.status.settings.iter().flatten().filter(|it| (it.origin != "DEFAULT") == chosen).collect()
    }
}

impl Server {
    fn uptime(&self) -> String {
        let since = Time::parse(&self.started_at).map_or(0, |at| clock::now().0 - at.0);
        view::seconds(since.max(0) / 1000)
    }
}

impl Disk {
    /// `47.0 GB of 252.0 GB (18 %)`.
    pub fn free(&self) -> String {
        let count = |text: &str| text.parse::<u128>().unwrap_or_default();
        let per_cent = count(&self.free_bytes) * 100 / count(&self.bytes).max(1);
        format!("{} of {} ({per_cent} %)", view::bytes(&self.free_bytes), view::bytes(&self.bytes))
    }
}

impl Token {
    /// The apps that it may read.
    fn reads(&self) -> String {
        self.apps.as_ref().map_or_else(|| "all".to_owned(), |apps| apps.join(", "))
    }
}
