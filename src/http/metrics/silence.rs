//! What the file says of each app: when its families of triggers came last, whether one went silent, its dead letters and
//! its groups with drift.

use super::apps::{Apps, MOST};
use super::text::Page;
use crate::clock;
use crate::ids::Time;
use crate::store::StoreError;
use crate::store::sqlite::read::silence::Rhythm;
use crate::store::sqlite::read::traffic::{dead_letters, delivered};
use crate::store::sqlite::read::{Sql, app, drift};
use crate::store::sqlite::{Connection, open_reader};
use crate::trigger::family;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Dead letters are counted up to here.
const DEAD_LETTERS: i64 = 10_000;
/// What was read counts for so many times as long as reading it took: so reading takes a hundredth of one core at most.
const COUNTS_FOR: u32 = 100;

/// A reader of its own: metrics are answered while all readers of the file are busy.
pub(super) struct Silence(Mutex<State>);

struct State {
    conn: Connection,
    apps: Vec<App>,
    /// When to read again.
    stale: Instant,
}

struct App {
    id: String,
    /// Nothing came for longer than usual.
    is_silent: bool,
    families: BTreeMap<&'static str, Family>,
    dead_letters: i64,
    groups_drifted: i64,
}

#[derive(Default)]
struct Family {
    triggers: Vec<String>,
    deliveries: i64,
    last_at: Time,
    is_silent: bool,
}

impl Silence {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self(Mutex::new(State { conn: open_reader(path)?, apps: Vec::new(), stale: Instant::now() })))
    }

    /// Reads the file where it is time for that. What was read before stays if the file cannot be read.
    pub fn write(&self, page: &mut Page, apps: &Apps, only: Option<&[String]>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        if begun >= state.stale {
            match read(&state.conn, apps) {
                Ok(read) => state.apps = read,
                Err(error) => tracing::warn!(%error, "the metrics of apps are those of before"),
            }
            state.stale = Instant::now() + begun.elapsed().max(Duration::from_millis(1)) * COUNTS_FOR;
        }
        let shown: Vec<&App> = state.apps.iter().filter(|app| only.is_none_or(|only| only.contains(&app.id))).collect();
        write(page, &shown, clock::now());
    }
}

fn read(conn: &Connection, apps: &Apps) -> Sql<Vec<App>> {
    apps.name(&app::first(conn, MOST)?);
    let now = clock::now();
    apps.named().into_iter().map(|id| App::read(conn, id, now)).collect()
}

impl App {
    fn read(conn: &Connection, id: String, now: Time) -> Sql<Self> {
        let rhythm = Rhythm::read(conn, &id, now)?;
        let mut families: BTreeMap<&'static str, Family> = BTreeMap::new();
        for it in delivered(conn, &id, rhythm.from)? {
            let family = families.entry(family::of(&it.trigger)).or_default();
            family.deliveries += it.outcomes.all();
            family.last_at = family.last_at.max(it.last_at);
            family.triggers.push(it.trigger);
        }
        for family in families.values_mut() {
            let missed = rhythm.missed(conn, &family.triggers, family.deliveries, family.last_at)?;
            family.is_silent = missed.is_some();
        }
        let is_silent = rhythm.is_silent();
        let dead_letters = dead_letters(conn, &id, DEAD_LETTERS)?;
        let groups_drifted = drift::count(conn, &id)?;
        Ok(Self { id, is_silent, families, dead_letters, groups_drifted })
    }
}

fn write(page: &mut Page, apps: &[&App], now: Time) {
    const SINCE: &str = "chatfold_app_silence_seconds";
    page.head(SINCE, "gauge", "Seconds since the newest delivery of an app, by family of triggers.");
    for app in apps {
        for (family, it) in &app.families {
            page.row(SINCE, &[("app", &app.id), ("family", family)], (now.0 - it.last_at.0).max(0) / 1000);
        }
    }
    const SILENT: &str = "chatfold_app_silent";
    page.head(
        SILENT,
        "gauge",
        "1 if a family of triggers went silent against its own rhythm of two days; family=\"all\": nothing comes at all.",
    );
    for app in apps {
        let families = app.families.iter().map(|(family, it)| (*family, it.is_silent));
        for (family, is_silent) in [("all", app.is_silent)].into_iter().chain(families) {
            page.row(SILENT, &[("app", &app.id), ("family", family)], u8::from(is_silent));
        }
    }
    const DEAD: &str = "chatfold_app_dead_letters";
    page.head(DEAD, "gauge", "Dead letters in the log of an app; 10000: so many or more.");
    for app in apps {
        page.row(DEAD, &[("app", &app.id)], app.dead_letters);
    }
    const DRIFTED: &str = "chatfold_groups_drifted";
    page.head(DRIFTED, "gauge", "Groups of an app whose number of members differs from what CometChat says.");
    for app in apps {
        page.row(DRIFTED, &[("app", &app.id)], app.groups_drifted);
    }
}
