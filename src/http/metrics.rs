//! `GET /metrics`: Prometheus text over a handful of atomics. A registry is a value, so parallel tests share nothing.

use super::auth::UNKNOWN;
use super::{Shared, access, body, problem};
use crate::ids::Time;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const OUTCOMES: [&str; 5] = ["applied", "duplicate", "ignored", "anomaly", "rejected"];
const STATUSES: [u16; 9] = [200, 400, 401, 403, 405, 408, 413, 415, 503];

/// The counters since the start.
#[derive(Default)]
pub(super) struct Metrics {
    outcomes: [AtomicU64; OUTCOMES.len()],
    statuses: [AtomicU64; STATUSES.len()],
    /// Bodies that were not a delivery.
    pub refused: AtomicU64,
    /// Deliveries that were not written.
    pub not_written: AtomicU64,
    /// Deliveries whose commit did not end in time.
    pub unknown: AtomicU64,
    pub graphql_requests: AtomicU64,
    /// By credential. The names come from the configuration, so they are few.
    credentials: Mutex<BTreeMap<String, PerCredential>>,
}

#[derive(Default)]
struct PerCredential {
    accepted: u64,
    failed: u64,
    last_used: Time,
}

impl Metrics {
    /// A webhook request was answered.
    pub fn answered(&self, status: StatusCode) {
        bump(&STATUSES, &self.statuses, &status.as_u16());
    }

    /// A delivery was taken.
    pub fn delivered(&self, outcome: &str) {
        bump(&OUTCOMES, &self.outcomes, &outcome);
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

/// The page.
pub(super) async fn get(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    let response = match access::of_reader(&request, &shared) {
        Ok(access) if !access.is_of_all_apps() => {
            problem::of(StatusCode::FORBIDDEN, "this page covers all apps, but this token may read only some of them")
        }
        Ok(_) => HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
            .body(page(&shared)),
        Err(refusal) => refusal,
    };
    body::closing(response, payload)
}

fn page(shared: &Shared) -> String {
    let it = &shared.metrics;
    let mut page = Page(String::new());
    page.head("chatfold_deliveries_total", "counter", "Deliveries answered 200, by outcome.");
    for (outcome, n) in OUTCOMES.iter().zip(&it.outcomes) {
        page.row("chatfold_deliveries_total", &[("outcome", outcome)], n.load(Ordering::Relaxed));
    }
    page.head("chatfold_webhook_responses_total", "counter", "Answers of the webhook route, by status.");
    for (status, n) in STATUSES.iter().zip(&it.statuses) {
        page.row("chatfold_webhook_responses_total", &[("status", &status.to_string())], n.load(Ordering::Relaxed));
    }
    page.one(
        "chatfold_refused_total",
        "counter",
        "Bodies that were not a delivery.",
        it.refused.load(Ordering::Relaxed),
    );
    page.head("chatfold_unavailable_total", "counter", "Deliveries answered 503, by outcome.");
    page.row("chatfold_unavailable_total", &[("outcome", "not_written")], it.not_written.load(Ordering::Relaxed));
    page.row("chatfold_unavailable_total", &[("outcome", "unknown")], it.unknown.load(Ordering::Relaxed));
    let credentials = it.credentials();
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
    drop(credentials);
    page.one(
        "chatfold_graphql_requests_total",
        "counter",
        "GraphQL requests.",
        it.graphql_requests.load(Ordering::Relaxed),
    );
    let (reading, waiting) = shared.api.load();
    page.one("chatfold_readers_busy", "gauge", "Requests that read now, batches of subscriptions included.", reading);
    page.one("chatfold_requests_waiting", "gauge", "Requests that wait for a reader.", waiting);
    page.one("chatfold_log_position", "gauge", "Newest committed log position.", *shared.seq.borrow());
    page.one(
        "chatfold_wal_bytes",
        "gauge",
        "Bytes of the WAL; it grows while somebody reads an old state of the file.",
        shared.writer.as_ref().map_or(0, crate::writer::Writer::wal_bytes),
    );
    page.one(
        "chatfold_intake_bytes",
        "gauge",
        "Bytes of bodies being received or waiting for their commit.",
        shared.budget.used(),
    );
    page.one(
        "chatfold_ready",
        "gauge",
        "1 when a delivery would be accepted now.",
        u8::from(shared.not_ready().is_none()),
    );
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn row(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", quoted(text))).collect();
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{}}} {value}", labels.join(",")),
        };
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.row(name, &[], value);
    }
}
