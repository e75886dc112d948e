//! `/`: how intake goes, app by app.

use super::answer::{List, Outcomes};
use super::frame::Frame;
use super::health::Disk;
use super::page::{Page, Show};
use super::view::{self, Html};
use crate::ids::{Time, TokenScope};
use crate::quiet;
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

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
    last_backup: Option<Backup>,
    server: Option<Server>,
    state_hash: Option<String>,
    last_state_hash: Option<StateHash>,
    clock_offsets: Vec<ClockOffset>,
    outages: Vec<Outage>,
}

#[derive(Deserialize)]
pub struct Outage {
    from: String,
    until: String,
}

#[derive(Deserialize)]
pub struct Backup {
    at: String,
    seq: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    log_alarm: Option<String>,
    backup_late: bool,
    disk: Option<Disk>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockOffset {
    app_id: String,
    offset_ms: String,
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
    silences: Vec<Silence>,
    reconcile: Option<Reconcile>,
    drifted: List<Drifted>,
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
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// `None`: nothing comes at all.
    trigger: Option<String>,
    since: String,
    missed_count: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    trigger: String,
    deliveries_count: u64,
    last_at: String,
}

/// The newest reconcile of an app.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconcile {
    ended_at: String,
    changes: String,
    unreachable: String,
    error: Option<String>,
}

#[derive(Deserialize)]
pub struct Drifted {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    received_at: String,
}

/// A shorter time without a server is a restart: CometChat tries again after 10 and 30 s.
const RESTART_MS: i64 = 40_000;

/// What somebody should look at.
struct Need<'a> {
    /// `None`: it is about the server.
    app: Option<&'a str>,
    class: &'static str,
    href: String,
    title: String,
    text: Html,
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

    fn lists(data: &Value) -> Vec<String> {
        data["apps"].get(0).map(|_| "apps".to_owned()).into_iter().collect()
    }

    fn show(mut frame: Frame, answer: Answer) -> Option<Self> {
        // That a token is bound to apps is no news here.
        if answer.status.file_bytes.is_none() {
            frame.notices.retain(|notice| !notice.contains("covers all apps"));
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

    /// What somebody should look at, what is worst first.
    fn needs(&self) -> Vec<Need<'_>> {
        let disk = self.status.server.as_ref().and_then(|server| server.disk.as_ref());
        let mut needs: Vec<Need<'_>> = disk.and_then(|disk| self.need_of(disk)).into_iter().collect();
        if self.status.server.as_ref().is_some_and(|server| server.log_alarm.is_some()) {
            needs.push(Need {
                app: None,
                class: "is-bad",
                href: self.frame.to("/health"),
                title: "Nodes differ".to_owned(),
                text: Html("The tables of nodes say something else at one log position.".to_owned()),
            });
        }
        needs.extend(self.need_of_backup());
        for app in &self.apps {
            for Silence { trigger, since, missed_count } in &app.silences {
                let at = self.frame.time(since);
                needs.push(match trigger {
                    None => {
                        let text =
                            format!("Nothing has come since the event that came {at}. That is unusual for this app.");
                        app.need("is-bad", ("/events", "outcomes", ""), "No delivery", text)
                    }
                    Some(trigger) => {
                        let missed = view::number(missed_count.unwrap_or_default());
                        let text =
                            format!("went silent. The last one came {at}; about {missed} more would have come since.");
                        app.need("is-bad", ("/events", "triggers", trigger), trigger, text)
                    }
                });
            }
            if !app.drifted.nodes.is_empty() {
                let text = format!(
                    "CometChat says another number of members: events are missing. {}",
                    app.reconciled(&self.frame)
                );
                let title = format!("Groups with drift: {}", app.drifted.total());
                needs.push(app.need("is-bad", ("/groups", "drifted", "true"), &title, text));
            }
            if let Some(error) = app.reconcile.as_ref().and_then(|it| it.error.as_deref()) {
                let text = format!("{} {}", app.reconciled(&self.frame), view::name(error));
                needs.push(app.need("is-warn", ("/groups", "drifted", "true"), "Not reconciled", text));
            }
            for (list, outcome, what, text) in [
                (&app.rejected, "REJECTED", ["dead letter", "dead letters"], "deliveries that could not be read"),
                (&app.anomalies, "ANOMALY", ["anomaly", "anomalies"], "deliveries that contradict themselves"),
            ] {
                let Some(newest) = list.nodes.first() else { continue };
                let total = list.total();
                let title = format!("{total} {}", if total == "1" { what[0] } else { what[1] });
                let text = format!("{text}. The newest came {}.", self.frame.time(&newest.received_at));
                needs.push(app.need("is-warn", ("/events", "outcomes", outcome), &title, text));
            }
        }
        for outage in self.outages() {
            let Some(app) = self.apps.first() else { break };
            let text = format!(
                "ran from {} to {}. What happened then may be missing.",
                self.frame.time(&outage.from),
                self.frame.time(&outage.until)
            );
            let need = app.need("is-warn", ("/groups", "drifted", "true"), "No server", text);
            needs.push(Need { app: None, ..need });
        }
        for it in &self.status.clock_offsets {
            let Some(app) = self.apps.iter().find(|app| app.app_id == it.app_id) else { continue };
            let ms: i64 = it.offset_ms.parse().unwrap_or_default();
            let side = if ms < 0 { "behind" } else { "ahead of" };
            let text =
                format!("The clock of this server is {} {side} that of CometChat.", view::seconds(ms.abs() / 1000));
            needs.push(app.need("is-warn", ("/events", "outcomes", ""), "Wrong clock", text));
        }
        needs
    }

    fn need_of(&self, disk: &Disk) -> Option<Need<'_>> {
        let free = disk.free();
        disk.nearly_full.then(|| Need {
            app: None,
            class: "is-bad",
            href: self.frame.to("/health"),
            title: "Disk nearly full".to_owned(),
            text: Html(format!("Free are {free}. On a full disk deliveries are answered 503.")),
        })
    }

    fn need_of_backup(&self) -> Option<Need<'_>> {
        let is_late = self.status.server.as_ref().is_some_and(|server| server.backup_late);
        let newest = self.status.last_backup.as_ref();
        let newest =
            newest.map_or("There is none.".to_owned(), |it| format!("The newest is of {}.", self.frame.time(&it.at)));
        is_late.then(|| Need {
            app: None,
            class: "is-bad",
            href: self.frame.to("/health"),
            title: "Backup late".to_owned(),
            text: Html(format!("{newest} The log of the server says why no other was made.")),
        })
    }

    /// Times without a server in the two days that the page shows: the newest three, so that restarts fill no page.
    fn outages(&self) -> impl Iterator<Item = &Outage> {
        let begin = self.apps.first().and_then(|app| Time::parse(&app.hours.first()?.at));
        let length = |outage: &Outage| Some(Time::parse(&outage.until)?.0 - Time::parse(&outage.from)?.0);
        let shown = move |outage: &&Outage| {
            Time::parse(&outage.until) >= begin && length(outage).is_some_and(|ms| ms >= RESTART_MS)
        };
        self.status.outages.iter().filter(shown).take(3)
    }

    /// When the first step of a chart begins.
    fn start(&self, steps: &[Step]) -> Html {
        steps.first().map_or_else(|| Html(String::new()), |step| self.frame.time(&step.at))
    }

    fn bars(&self, steps: &[Step]) -> Vec<Bar> {
        let most = Self::most(steps).max(1) as f64;
        let width = 100.0 / steps.len().max(1) as f64;
        let bar = |(at, step): (usize, &Step)| {
            let height = step.deliveries_count as f64 / most * 100.0;
            let outcomes = step.outcomes.as_ref().map(ended).unwrap_or_default();
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
    fn need(
        &self,
        class: &'static str,
        (path, name, value): (&str, &str, &str),
        title: &str,
        text: String,
    ) -> Need<'_> {
        let about: &[(&str, &str)] = if value.is_empty() { &[] } else { &[(name, value)] };
        let href = view::of_app(&self.app_id, path, about);
        Need { app: Some(&self.app_id), class, href, title: title.to_owned(), text: Html(text) }
    }

    /// When the app was last read from CometChat's API, and what came of it.
    fn reconciled(&self, frame: &Frame) -> Html {
        let Some(it) = &self.reconcile else {
            return Html("<code>chatfold reconcile</code> reads the groups from CometChat.".to_owned());
        };
        let at = frame.time(&it.ended_at);
        Html(match (&it.error, it.unreachable.as_str()) {
            (Some(_), _) => format!("The newest reconcile failed {at}."),
            (None, "0") => format!("The newest reconcile ended {at}: {} changes.", view::number(it.changes.as_str())),
            (None, left) => format!(
                "The newest reconcile ended {at}: {} changes, {} could not be read.",
                view::number(it.changes.as_str()),
                view::number(left)
            ),
        })
    }

    fn unheard(&self) -> Vec<&'static str> {
        quiet::unheard(|name| self.triggers.iter().any(|it| it.trigger == name)).collect()
    }

    fn charts(&self) -> [(&'static str, &[Step]); 2] {
        [("Deliveries by minute, last hour:", &self.minutes), ("Deliveries by hour, last two days:", &self.hours)]
    }
}

/// What became of deliveries, in brackets.
fn ended(outcomes: &Outcomes) -> String {
    let told = outcomes.words().into_iter().filter(|(count_of, count)| *count > 0 || *count_of == "applied");
    let told: Vec<String> = told.map(|(word, count)| format!("{count} {word}")).collect();
    format!(" ({})", told.join(", "))
}
