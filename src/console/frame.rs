//! What is around every page: where one is, what file it is, whose eyes these are.

use super::answer::Person;
use super::params::Params;
use super::view::{self, Html};
use super::zone::Zone;
use crate::clock;
use crate::ids::{Time, TokenScope};
use serde::Deserialize;
use serde_json::Value;

/// Around a page.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    pub path: &'static str,
    pub params: Params,
    /// The app that is looked at; `None`: which one is not said, and there are several or none.
    pub app: Option<String>,
    /// All apps that may be looked at.
    pub apps: Vec<String>,
    pub reader: Reader,
    /// The newest log position that is shown.
    pub seq: Option<String>,
    pub rebuilding: bool,
    /// The lists of the page, by their paths in the answer: each can be taken away.
    pub tables: Vec<String>,
    /// What could not be shown, once each.
    pub notices: Vec<String>,
    /// The document and its variables, opened in GraphiQL.
    pub graphiql: String,
}

/// Who looks at a page.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Has signed in, and may sign out.
    pub signed_in: bool,
    /// What the reader may see: nothing else is linked.
    pub scope: TokenScope,
    /// In which all times are shown, and all times of forms are read.
    pub zone: Zone,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Told {
    seq: Option<String>,
    rebuilding: bool,
}

impl Frame {
    /// Of a page that asked nothing.
    pub fn bare(path: &'static str, params: Params, reader: &Reader) -> Self {
        Self { path, params, reader: reader.clone(), ..Self::default() }
    }

    /// Reads it from an answer.
    pub fn of(path: &'static str, params: Params, reader: &Reader, answer: &Value) -> Self {
        let told: Told = Told::deserialize(&answer["extensions"]["chatfold"]).unwrap_or_default();
        let apps: Vec<String> = answer["data"]["apps"]
            .as_array()
            .map(|apps| apps.iter().filter_map(|app| app["appId"].as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        let app = params.get("appId").or(if let [only] = apps.as_slice() { Some(only) } else { None });
        let app = app.map(str::to_owned);
        let mut notices: Vec<String> = Vec::new();
        for error in answer["errors"].as_array().into_iter().flatten() {
            let message = plain(error["message"].as_str().unwrap_or_default());
            let is_part = error["extensions"]["code"] == "FORBIDDEN" && !answer["data"].is_null();
            let message = if is_part { format!("A part of this page is hidden: {message}") } else { message };
            if !notices.contains(&message) {
                notices.push(message);
            }
        }
        let Told { seq, rebuilding } = told;
        Self {
            path,
            params,
            app,
            apps,
            reader: reader.clone(),
            seq,
            rebuilding,
            tables: Vec::new(),
            notices,
            graphiql: String::new(),
        }
    }

    /// The address of a page about the app looked at.
    pub fn to(&self, path: &str) -> String {
        self.link(path, &[])
    }

    /// The address of a page about something of the app looked at.
    pub fn link(&self, path: &str, about: &[(&str, &str)]) -> String {
        let app = self.app.as_deref().map(|app| ("appId", app));
        view::href(path, app.into_iter().chain(about.iter().copied()))
    }

    /// The address of a conversation of the app looked at: a group's, unless one of the two of a one to one is named.
    /// The id alone might be that of several.
    pub fn conversation(&self, id: &str, person: Option<&Person>) -> String {
        let kind = if person.is_some() { "USER" } else { "GROUP" };
        let uid = person.map(|person| ("uid", person.uid.as_str()));
        let about = [("conversationId", id), ("receiverType", kind)].into_iter().chain(uid);
        self.link("/conversation", &about.collect::<Vec<_>>())
    }

    /// The address of a message's place in its conversation. A message without a time has none.
    pub fn place(&self, conversation: &str, person: Option<&Person>, message: &str, sent_at: Option<&str>) -> String {
        let at = self.conversation(conversation, person);
        let Some(sent_at) = sent_at else { return at };
        let at = at + &view::href("", [("at", sent_at), ("message", message)]).replacen('?', "&", 1);
        // Where the id can stand in an address as it is, the browser goes to the message by itself.
        let is_plain = message.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
        if is_plain { format!("{at}#m{message}") } else { at }
    }

    /// The address of this page, one parameter changed.
    pub fn here(&self, name: &str, value: &str) -> String {
        self.params.with(name, Some(value).filter(|value| !value.is_empty())).href(self.path)
    }

    /// The first page of this list, one filter changed.
    pub fn filtered(&self, name: &str, value: &str) -> String {
        let value = Some(value).filter(|value| !value.is_empty());
        self.params.with(name, value).with("after", None).with("before", None).href(self.path)
    }

    /// The list as a file; the last part of its path is its name.
    pub fn taken(&self, table: &str, format: &str) -> String {
        self.params.with("table", Some(table)).with("format", Some(format)).href(self.path)
    }

    /// The same kind of things in another app.
    pub fn other_app(&self, app: &str) -> String {
        let list = match self.path {
            "/group" => "/groups",
            "/user" => "/users",
            "/conversation" | "/message" => "/conversations",
            "/call" => "/calls",
            "/event" => "/events",
            "" => "/",
            "/why" if !self.may_explain() => "/",
            path => path,
        };
        view::of_app(app, list, &[])
    }

    /// Spans up to now that a field can begin with.
    pub fn presets(&self, name: &str) -> [(&'static str, String); 4] {
        let zone = Some(self.reader.zone.name()).filter(|_| !self.reader.zone.is_utc());
        let to = |text: &str| {
            let params = self.params.with(name, Some(text)).with("zone", zone).with("after", None).with("before", None);
            params.href(self.path)
        };
        [("last hour", to("1h")), ("today", to("today")), ("24 hours", to("24h")), ("7 days", to("7d"))]
    }

    /// The ends of the last seven days, for a field of one instant: the day, its address, whether the page is there.
    pub fn days(&self, name: &str) -> Vec<(String, String, bool)> {
        let zone = &self.reader.zone;
        let named = Some(zone.name()).filter(|_| !zone.is_utc());
        let days = zone.days_before(clock::now(), 7).into_iter().map(|(date, day)| {
            let end = format!("{date}T23:59:59");
            (
                day,
                self.params
                    .with("zone", named)
                    .with("after", None)
                    .with("before", None)
                    .with(name, Some(&end))
                    .href(self.path),
                self.param(name) == end,
            )
        });
        days.collect()
    }

    /// The smallest step of a field of date and time: milliseconds only where the instant asked for has some.
    pub fn step(&self, name: &str) -> &'static str {
        if self.instant(name).is_some_and(|at| at.0 % 1_000 != 0) { "0.001" } else { "1" }
    }

    /// Whether the page is the one at an address of [`Self::presets`].
    pub fn is_chosen(&self, name: &str, href: &str) -> bool {
        self.params.get(name).is_some_and(|text| href.contains(&format!("{name}={text}")))
    }

    /// A value of the query string, to fill a form with.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).unwrap_or_default()
    }

    /// A time, in the reader's zone.
    pub fn time(&self, at: &str) -> Html {
        self.reader.zone.time(at)
    }

    /// A time as plain text, in the reader's zone.
    pub fn words(&self, at: &str) -> String {
        self.reader.zone.words(at)
    }

    /// A sentence of ours, with its times in the reader's zone.
    pub fn prose(&self, text: &str) -> Html {
        let mut html = String::new();
        for (at, word) in text.split(' ').enumerate() {
            let bare = word.trim_end_matches([',', ';', '.', ')', ':']);
            html += if at > 0 { " " } else { "" };
            html += &match bare.ends_with('Z').then(|| Time::parse(bare)).flatten() {
                Some(_) => format!("{}{}", self.time(bare), view::escape(&word[bare.len()..])),
                None => view::escape(word),
            };
        }
        Html(format!("<bdi class=\"said\">{html}</bdi>"))
    }

    /// The instant that a field of a form names.
    pub fn instant(&self, name: &str) -> Option<Time> {
        self.params.instant(name)
    }

    /// What a field of date and time is filled with: the instant asked for, in the reader's zone.
    pub fn field(&self, name: &str) -> String {
        self.instant(name).map_or_else(|| self.param(name).to_owned(), |at| self.reader.zone.field(at))
    }

    /// Where the hour of a field comes twice: the names of both, and whether the second one is meant.
    pub fn twice(&self, name: &str) -> Option<([String; 2], bool)> {
        self.reader.zone.twice(self.instant(name)?)
    }

    /// Whether the reader may see why the tables say what they say.
    pub fn may_explain(&self) -> bool {
        self.reader.scope >= TokenScope::Admin
    }

    /// Whether the navigation marks a place as the one that is looked at.
    pub fn is_at(&self, paths: &[&str]) -> bool {
        paths.contains(&self.path)
    }
}

/// An error of the API without the words that are about the type of a variable.
fn plain(message: &str) -> String {
    let message = message.split(" (occurred while parsing").next().unwrap_or_default();
    let named = message.strip_prefix("Failed to parse \"").and_then(|rest| rest.split_once("\": "));
    named.map_or(message, |(_, rest)| rest).to_owned()
}
