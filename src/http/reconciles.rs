//! Reconciles on a schedule: of each app that has an API key.

use super::metrics::Page;
use crate::backfill::hand::Hand;
use crate::backup::Stop;
use crate::clock;
use crate::cluster::Intake;
use crate::config::ApiSettings;
use crate::ids::Time;
use crate::reconcile::{self, Plan, Report};
use crate::rest::Client;
use crate::store::sqlite::{self, Connection, reconcile as store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A run that failed is tried again after so long, or when the next is due.
const AGAIN: Duration = Duration::from_secs(300);

/// What the schedule did since the start. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Reconciles {
    counts: Arc<Mutex<BTreeMap<String, Counts>>>,
    stop: Stop,
}

/// Of one app.
#[derive(Default)]
struct Counts {
    done: u64,
    failed: u64,
    requests: u64,
    changes: u64,
    /// Groups that the newest run did not reach.
    groups_left: u64,
}

impl Reconciles {
    /// Reads the apps on a thread of its own, until the server stops.
    pub(super) fn schedule(&self, db: PathBuf, api: ApiSettings, intake: Intake) -> std::io::Result<()> {
        for app in api.apps() {
            self.counts().entry(app.to_owned()).or_default();
        }
        let own = self.clone();
        let work = move || {
            let apps = api.apps().collect::<Vec<_>>().join(", ");
            tracing::info!("CometChat's API is read every {} s for {apps}", api.every.as_secs());
            if let Err(error) = own.run(&db, &api, intake) {
                tracing::error!(%error, "no reconcile any more until the server starts again");
            }
        };
        std::thread::Builder::new().name("reconciles".into()).spawn(work).map(drop)
    }

    fn run(&self, db: &std::path::Path, api: &ApiSettings, intake: Intake) -> anyhow::Result<()> {
        let conn = sqlite::open_again(db)?;
        let mut hand = Hand::within(intake)?;
        loop {
            let mut wait = api.every;
            for app in api.apps() {
                let mut due = until_due(&conn, app, api.every)?;
                if due.is_zero() {
                    let has_failed = !self.reconcile(&conn, &mut hand, api, app);
                    // A run that could not begin left nothing in the file.
                    due = if has_failed { api.every.min(AGAIN) } else { until_due(&conn, app, api.every)? };
                }
                wait = wait.min(due);
            }
            if self.stop.wait(wait) {
                return Ok(());
            }
        }
    }

    /// Reads an app. False: the run failed.
    fn reconcile(&self, conn: &Connection, hand: &mut Hand, api: &ApiSettings, app: &str) -> bool {
        let mut read = || -> anyhow::Result<Report> {
            let (access, region) = api.access(app, None, store::region(conn, app)?.as_deref())?;
            let plan = Plan { app_id: app.to_owned(), region, requests: api.requests };
            Ok(reconcile::run(&Client::new(access), conn, hand, &plan, &|| self.stop.is_asked())?)
        };
        let read = read();
        let mut counts = self.counts();
        let counts = counts.entry(app.to_owned()).or_default();
        match read {
            Ok(report) => {
                let (read, changes, unreachable) = report.sums();
                counts.done += 1;
                counts.requests += report.requests;
                counts.changes += changes;
                counts.groups_left = report.groups_left;
                let (requests, groups_left) = (report.requests, report.groups_left);
                tracing::info!(
                    app,
                    requests,
                    read,
                    changes,
                    unreachable,
                    groups_left,
                    "reconciled with CometChat's API"
                );
                true
            }
            Err(error) => {
                counts.failed += 1;
                tracing::warn!(app, "not reconciled with CometChat's API: {error:#}");
                false
            }
        }
    }

    /// Soon ends what is being read.
    pub(super) fn stop(&self) {
        self.stop.ask();
    }

    /// Only of these apps, where `only` names some.
    pub(super) fn write(&self, page: &mut Page, only: Option<&[String]>) {
        let counts = self.counts();
        let shown: Vec<_> = counts.iter().filter(|(app, _)| only.is_none_or(|only| only.contains(app))).collect();
        if shown.is_empty() {
            return;
        }
        const RUNS: &str = "chatfold_reconciles_total";
        page.head(RUNS, "counter", "Reconciles of an app with CometChat's API on the schedule, by how they ended.");
        for (app, it) in &shown {
            page.row(RUNS, &[("app", app), ("result", "done")], it.done);
            page.row(RUNS, &[("app", app), ("result", "failed")], it.failed);
        }
        let mut each = |name: &str, kind: &str, help: &str, value: fn(&Counts) -> u64| {
            page.head(name, kind, help);
            for (app, it) in &shown {
                page.row(name, &[("app", app)], value(it));
            }
        };
        const REQUESTS: &str = "chatfold_reconcile_requests_total";
        each(REQUESTS, "counter", "Requests of reconciles that were done.", |it| it.requests);
        const CHANGES: &str = "chatfold_reconcile_changes_total";
        each(CHANGES, "counter", "What reconciles found new or changed.", |it| it.changes);
        const LEFT: &str = "chatfold_reconcile_groups_left";
        each(LEFT, "gauge", "Groups that the newest reconcile had no requests left for.", |it| it.groups_left);
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time until an app is due: so long after its newest run, also if a command or an earlier server ran it.
fn until_due(conn: &Connection, app: &str, every: Duration) -> anyhow::Result<Duration> {
    let Some(ended) = store::ended(conn, app)? else { return Ok(Duration::ZERO) };
    let after = if ended.error.is_some() { every.min(AGAIN) } else { every };
    let Time(now) = clock::now();
    let since = Duration::from_millis(now.saturating_sub(ended.ended_at).max(0).cast_unsigned());
    Ok(after.saturating_sub(since))
}
