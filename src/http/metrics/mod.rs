//! `GET /metrics`: Prometheus text over a handful of atomics, and over what the file says of each app. The counters are a
//! value, so parallel tests share nothing.

mod apps;
mod silence;
mod text;

pub(super) use apps::trigger_label;

use super::auth::{Credentials, UNKNOWN};
use super::tokens::Access;
use super::{Shared, access, body, problem};
use crate::clock;
use crate::cluster::{Intake, LogStatus};
use crate::disk::Disk;
use crate::ids::Time;
use crate::meter::{Histogram, SECONDS};
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use apps::Apps;
use silence::Silence;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
pub(super) use text::Page;

const OUTCOMES: [&str; 7] = ["applied", "duplicate", "ignored", "anomaly", "rejected", "accepted", "queued"];
/// Outcomes that only a node of a shared log tells: the last ones.
const OF_NODES: usize = 2;
const STATUSES: [u16; 9] = [200, 400, 401, 403, 405, 408, 413, 415, 503];

/// The counters since the start.
pub(super) struct Metrics {
    since: Time,
    outcomes: [AtomicU64; OUTCOMES.len()],
    statuses: [AtomicU64; STATUSES.len()],
    /// Bodies that were not a delivery.
    pub refused: AtomicU64,
    /// Deliveries that were not written.
    pub not_written: AtomicU64,
    /// Deliveries whose commit did not end in time.
    pub unknown: AtomicU64,
    /// Seconds from the last byte of a delivery to its answer.
    pub deliveries: Histogram,
    pub graphql_requests: AtomicU64,
    /// By credential. The names come from the configuration, so they are few.
    credentials: Mutex<BTreeMap<String, PerCredential>>,
    apps: Apps,
    silence: Silence,
}

#[derive(Default)]
struct PerCredential {
    accepted: u64,
    failed: u64,
    last_used: Time,
}

impl Metrics {
    /// All counters at 0, with those credentials.
    pub fn open(path: &Path, credentials: &Credentials) -> Result<Self, StoreError> {
        let metrics = Self {
            since: clock::now(),
            outcomes: Default::default(),
            statuses: Default::default(),
            refused: AtomicU64::default(),
            not_written: AtomicU64::default(),
            unknown: AtomicU64::default(),
            deliveries: Histogram::new(SECONDS),
            graphql_requests: AtomicU64::default(),
            credentials: Mutex::default(),
            apps: Apps::default(),
            silence: Silence::open(path)?,
        };
        metrics.expect(credentials);
        Ok(metrics)
    }

    /// From now on these credentials are shown, used or not.
    pub fn expect(&self, credentials: &Credentials) {
        let mut all = self.credentials();
        for name in credentials.names() {
            all.entry(name.to_owned()).or_default();
        }
    }

    /// A webhook request was answered.
    pub fn answered(&self, status: StatusCode) {
        bump(&STATUSES, &self.statuses, &status.as_u16());
    }

    /// A delivery was taken.
    pub fn delivered(&self, app: &str, trigger: &'static str, outcome: &'static str) {
        bump(&OUTCOMES, &self.outcomes, &outcome);
        self.apps.delivered(app, trigger, outcome);
    }

    /// A delivery came with this credential.
    pub fn authenticated(&self, name: &str, at: Time) {
        let mut all = self.credentials();
        let entry = all.entry(name.to_owned()).or_default();
        entry.accepted += 1;
        entry.last_used = at;
    }

    /// A request with the username of this credential failed.
    pub fn auth_failed(&self, name: &str) {
        self.credentials().entry(name.to_owned()).or_default().failed += 1;
    }

    fn credentials(&self) -> MutexGuard<'_, BTreeMap<String, PerCredential>> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bump<K: PartialEq>(keys: &[K], counters: &[AtomicU64], key: &K) {
    if let Some(index) = keys.iter().position(|it| it == key) {
        counters[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// The page. A token that is bound to apps sees the metrics of its apps, and no others.
pub(super) async fn get(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    let response = match access::of_reader(&request, &shared) {
        Ok(access) => {
            let asked = shared.clone();
            // It reads the file.
            match web::block(move || page(&asked, &access)).await {
                Ok(page) => HttpResponse::Ok()
                    .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
                    .body(page),
                Err(_) => problem::unavailable("the metrics could not be read: the server is stopping"),
            }
        }
        Err(refusal) => refusal,
    };
    body::closing(response, payload)
}

fn page(shared: &Shared, access: &Access) -> String {
    let only = access.apps();
    let mut page = Page::default();
    if only.is_none() {
        let log = shared.intake.as_ref().and_then(Intake::log);
        shared.metrics.write_intake(&mut page, log.is_some());
        write_state(shared, &mut page);
        if let Some(log) = log {
            write_log(&log, &mut page);
        }
    }
    // First: what the file says names the apps.
    let mut of_file = Page::default();
    shared.metrics.silence.write(&mut of_file, &shared.metrics.apps, only);
    shared.metrics.apps.write(&mut page, only);
    shared.reconciles.write(&mut page, only);
    page.0 + &of_file.0
}

impl Metrics {
    /// What was posted.
    fn write_intake(&self, page: &mut Page, is_node: bool) {
        page.head("chatfold_deliveries_total", "counter", "Deliveries answered 200, by outcome.");
        let told = OUTCOMES.len() - if is_node { 0 } else { OF_NODES };
        for (outcome, n) in OUTCOMES.iter().zip(&self.outcomes).take(told) {
            page.row("chatfold_deliveries_total", &[("outcome", outcome)], n.load(Ordering::Relaxed));
        }
        page.histogram(
            "chatfold_delivery_seconds",
            "Seconds from the last byte of a delivery to its answer, 200 or 503.",
            &self.deliveries,
        );
        page.head("chatfold_webhook_responses_total", "counter", "Answers of the webhook route, by status.");
        for (status, n) in STATUSES.iter().zip(&self.statuses) {
            page.row("chatfold_webhook_responses_total", &[("status", &status.to_string())], n.load(Ordering::Relaxed));
        }
        page.counter(
            "chatfold_refused_total",
            "Bodies that were not a delivery.",
            self.refused.load(Ordering::Relaxed),
        );
        page.head("chatfold_unavailable_total", "counter", "Deliveries answered 503, by outcome.");
        page.row("chatfold_unavailable_total", &[("outcome", "not_written")], self.not_written.load(Ordering::Relaxed));
        page.row("chatfold_unavailable_total", &[("outcome", "unknown")], self.unknown.load(Ordering::Relaxed));
        let credentials = self.credentials();
        let known = || credentials.iter().filter(|(name, _)| *name != UNKNOWN);
        page.head(
            "chatfold_webhook_auth_failures_total",
            "counter",
            "Failed logins of the webhook route, by the credential with that username.",
        );
        for (name, per) in credentials.iter() {
            page.row("chatfold_webhook_auth_failures_total", &[("credential", name)], per.failed);
        }
        page.head("chatfold_webhook_credential_deliveries_total", "counter", "Deliveries accepted, by credential.");
        for (name, per) in known() {
            page.row("chatfold_webhook_credential_deliveries_total", &[("credential", name)], per.accepted);
        }
        page.head(
            "chatfold_webhook_credential_last_used_seconds",
            "gauge",
            "Unix time of the last use of a credential; 0 if not used since the start.",
        );
        for (name, per) in known() {
            page.row("chatfold_webhook_credential_last_used_seconds", &[("credential", name)], per.last_used.0 / 1000);
        }
    }
}

/// How the server is now, and what it measured of its own work.
fn write_state(shared: &Shared, page: &mut Page) {
    page.head("chatfold_build_info", "gauge", "1; the label names the version of chatfold.");
    page.row("chatfold_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("chatfold_start_time_seconds", "Unix time of the start.", shared.metrics.since.0 / 1000);
    if let Some(ends) = shared.tls.as_ref().and_then(|tls| tls.ends()) {
        let help = "Unix time of the end of the certificate that the server sends.";
        page.gauge("chatfold_certificate_expires_seconds", help, ends.0 / 1000);
    }
    page.gauge("chatfold_ready", "1 when a delivery would be accepted now.", u8::from(shared.not_ready().is_none()));
    page.gauge("chatfold_log_position", "Newest committed log position.", *shared.seq.borrow());
    page.gauge(
        "chatfold_intake_bytes",
        "Bytes of bodies being received or waiting for their commit.",
        shared.budget.used(),
    );
    if let Some(writer) = &shared.writer {
        let meters = writer.meters();
        page.gauge("chatfold_queue_deliveries", "Deliveries that wait for their batch.", writer.waiting());
        page.histogram(
            "chatfold_batch_deliveries",
            "Deliveries of a batch, which share one commit.",
            &meters.deliveries,
        );
        page.histogram("chatfold_commit_seconds", "Seconds of a commit, its fsync among them.", &meters.commits);
    }
    page.gauge(
        "chatfold_wal_bytes",
        "Bytes of the WAL; it grows while somebody reads an old state of the file.",
        shared.writer.as_ref().map_or(0, crate::writer::Writer::wal_bytes),
    );
    let file = &shared.config.db;
    page.gauge(
        "chatfold_file_bytes",
        "Bytes of the database file.",
        std::fs::metadata(file).map_or(0, |meta| meta.len()),
    );
    if let Some(disk) = Disk::of(file) {
        page.gauge("chatfold_disk_free_bytes", "Bytes that are free on the disk of the file.", disk.free_bytes);
        page.gauge("chatfold_disk_bytes", "Size of the disk of the file in bytes.", disk.bytes);
    }
    if let Some(newest) = shared.backups.newest() {
        let age = clock::now().0.saturating_sub(newest.at.0).max(0) / 1000;
        page.gauge("chatfold_backup_age_seconds", "Age of the newest backup; missing if there is none.", age);
    }
    if let Some(backup) = shared.config.backup.as_ref().filter(|_| shared.writer.is_some()) {
        let help = "Time between two backups of the server's own; missing if it makes none.";
        page.gauge("chatfold_backup_every_seconds", help, backup.every.as_secs());
    }
    write_rebuild(shared, page);
    page.counter(
        "chatfold_graphql_requests_total",
        "GraphQL requests over HTTP, pages of the console among them.",
        shared.metrics.graphql_requests.load(Ordering::Relaxed),
    );
    let meters = shared.api.meters();
    page.histogram(
        "chatfold_graphql_seconds",
        "Seconds from a GraphQL request to its answer, the wait for a reader among them.",
        &meters.times,
    );
    page.histogram("chatfold_graphql_cost", "Costs of GraphQL requests.", &meters.costs);
    page.head(
        "chatfold_graphql_refused_total",
        "counter",
        "GraphQL requests that got no data, by the code of the error.",
    );
    for (code, n) in meters.refusals() {
        page.row("chatfold_graphql_refused_total", &[("code", code)], n);
    }
    let (reading, waiting) = shared.api.load();
    page.gauge("chatfold_readers_busy", "Requests that read now, batches of subscriptions included.", reading);
    page.gauge("chatfold_requests_waiting", "Requests that wait for a reader.", waiting);
    page.gauge(
        "chatfold_subscribers",
        "Subscribers: websockets, their further subscriptions, event streams.",
        shared.seats.count(),
    );
}

/// What a node knows of the shared log.
fn write_log(log: &LogStatus, page: &mut Page) {
    let is_up = u8::from(log.trouble.is_none());
    page.gauge("chatfold_shared_log_up", "1 when deliveries go into the shared log.", is_up);
    page.gauge(
        "chatfold_shared_log_read_seconds",
        "Unix time when this node last had folded all of the shared log; 0 if not since the start.",
        log.read_at.unwrap_or_default().0 / 1000,
    );
    let help = "Standbys of the shared log: in sync, and how many a commit waits for.";
    page.head("chatfold_shared_log_standbys", "gauge", help);
    page.row("chatfold_shared_log_standbys", &[("state", "in_sync")], log.standbys.0);
    page.row("chatfold_shared_log_standbys", &[("state", "wanted")], log.standbys.1);
    let help = "Nodes of this edition whose state hashes were compared, and those that differ from most.";
    page.head("chatfold_shared_log_nodes", "gauge", help);
    page.row("chatfold_shared_log_nodes", &[("state", "compared")], log.compared.0);
    page.row("chatfold_shared_log_nodes", &[("state", "differing")], log.compared.1);
    page.gauge(
        "chatfold_shared_log_compared_position",
        "Log position at which state hashes were compared last; 0 if not since the start.",
        log.compared_at,
    );
    page.gauge("chatfold_outbox_deliveries", "Deliveries in the outbox.", log.queued.0);
    page.gauge("chatfold_outbox_bytes", "Bytes of bodies in the outbox.", log.queued.1);
}

fn write_rebuild(shared: &Shared, page: &mut Page) {
    let progress = *shared.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
    page.gauge("chatfold_rebuild_running", "1 while the tables are made anew.", u8::from(progress.is_some()));
    let Some(progress) = progress else { return };
    let share = if progress.total == 0 { 0.0 } else { progress.done as f64 / progress.total as f64 };
    page.head("chatfold_rebuild_progress", "gauge", "Share of a rebuild's phase that is done, from 0 to 1.");
    let phase = serde_json::to_value(progress.phase).unwrap_or_default();
    page.row("chatfold_rebuild_progress", &[("phase", phase.as_str().unwrap_or_default())], share);
}
