//! A page: asked, answered, shown.

use super::frame::{Frame, Reader};
use super::params::Params;
use super::{export, source, view};
use crate::ids::TokenScope;
use askama::Template;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Items of a page of a list.
const LENGTH: i64 = 50;
/// Items of a list that is taken away.
const TAKEN: i64 = 200;
const HTML: &str = "text/html; charset=utf-8";

/// A path, the document it asks, and how the answer is shown.
pub struct Page {
    pub path: &'static str,
    /// Its variables are the parameters of the query string.
    pub document: &'static str,
    variables: fn(&Params, &mut Map<String, Value>),
    lists: fn(&Value) -> Vec<String>,
    show: fn(Frame, Value) -> Option<Shown>,
}

/// What a page is made of.
pub trait Show: Template + Sized {
    /// `data`, under the names of the schema.
    type Answer: DeserializeOwned;

    /// Variables that the query string says in other words.
    fn variables(_params: &Params, _variables: &mut Map<String, Value>) {}

    /// Lists of `data` that can be taken away beside its connections, by their paths.
    fn lists(_data: &Value) -> Vec<String> {
        Vec::new()
    }

    /// `None` where what the page is about does not exist.
    fn show(frame: Frame, answer: Self::Answer) -> Option<Self>;

    /// The address of another page that is shown instead.
    fn opens(&self) -> Option<String> {
        None
    }
}

/// How a request ends.
pub struct Rendered {
    pub status: u16,
    /// What the body is.
    pub kind: &'static str,
    pub body: String,
    /// Where the reader is sent instead.
    pub location: Option<String>,
    /// The name of the file that the body is.
    pub file: Option<String>,
}

impl Rendered {
    pub fn html(status: u16, body: String) -> Self {
        Self { status, kind: HTML, body, location: None, file: None }
    }
}

/// Parameters that say where one is in a list, and not what is looked for.
const HIDDEN: [&str; 7] = ["appId", "after", "before", "zone", "format", "table", "open"];

/// A page, or the address of the one that is shown instead.
enum Shown {
    Html(String),
    Elsewhere(String),
}

/// Something is wrong, or not there: says what, and what to do.
#[derive(Template)]
#[template(path = "problem.html")]
struct Problem {
    frame: Frame,
    title: String,
    /// What was asked, to be asked again with something changed.
    asked: Vec<(String, String)>,
    /// Which app is meant is to be chosen.
    choose: bool,
    /// Where there is no page: the path.
    path: Option<String>,
}

impl Page {
    /// Declares a page.
    pub const fn of<T: Show>(path: &'static str, document: &'static str) -> Self {
        Self { path, document, variables: T::variables, lists: T::lists, show: show::<T> }
    }

    /// The variables of the document. A list is read from its beginning, or backwards from where one came from.
    pub fn variables(&self, params: &Params) -> Map<String, Value> {
        let mut variables = params.variables(self.document);
        if self.document.contains("$before: String") {
            let end = if variables.contains_key("before") { "last" } else { "first" };
            let is_taken = params.get("format").is_some();
            variables.insert(end.to_owned(), if is_taken { TAKEN } else { LENGTH }.into());
        }
        (self.variables)(params, &mut variables);
        variables
    }

    /// Tells a document that asks for it what the reader may see, so that it asks for nothing else.
    pub fn within(&self, scope: TokenScope, variables: &mut Map<String, Value>) {
        for (name, needed) in [("content", TokenScope::Content), ("admin", TokenScope::Admin)] {
            if self.document.contains(&format!("${name}: Boolean")) {
                variables.insert(name.to_owned(), (scope >= needed).into());
            }
        }
    }

    /// Shows an answer of the API.
    pub fn render(&self, params: Params, reader: &Reader, mut answer: Value) -> Rendered {
        let mut frame = Frame::of(self.path, params, reader, &answer);
        let variables = Value::Object(self.variables(&frame.params)).to_string();
        frame.graphiql = view::href("/graphql", [("query", self.document), ("variables", &variables)]);
        if must_choose(&answer) {
            frame.notices.clear();
            let title = if frame.apps.is_empty() { "No delivery yet" } else { "Which app?" };
            return problem(frame, 200, title, true);
        }
        let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned();
        let data = answer["data"].take();
        let missing = frame.params.missing(self.document);
        if data.is_null() && !missing.is_empty() {
            frame.notices.clear();
            let title = format!("Which {}?", self.subject());
            return Problem { asked: missing, ..Problem::of(frame, &title, false) }.answer(400);
        }
        let failed = match code.as_str() {
            "TIMEOUT" | "BUSY" => Some((503, "The server is busy")),
            "FORBIDDEN" if data.is_null() => Some((403, "This token may not read this")),
            _ if data.is_null() => Some((400, "This request is not valid")),
            _ => None,
        };
        if let Some((status, title)) = failed {
            // Links of a page must not lead to an app that the token may not read.
            frame.app = frame.app.filter(|_| status != 403);
            return problem(frame, status, title, false);
        }
        if let Some(app) = frame.app.clone().filter(|app| !frame.apps.is_empty() && !frame.apps.contains(app)) {
            frame.app = None;
            frame.notices.clear();
            let (status, title) = match code.as_str() {
                "FORBIDDEN" => (403, format!("This token may not read the app {app}")),
                _ => (404, format!("No delivery of an app {app} has come")),
            };
            return problem(frame, status, &title, true);
        }
        if let Some(format) = frame.params.get("format") {
            return taken(&frame, format, &data);
        }
        frame.tables = [export::tables(&data), (self.lists)(&data)].concat();
        match (self.show)(frame.clone(), data) {
            Some(Shown::Html(html)) => Rendered::html(200, html),
            Some(Shown::Elsewhere(href)) => Rendered { location: Some(href), ..Rendered::html(303, String::new()) },
            None if code == "BAD_INPUT" => problem(frame, 400, "This request is not valid", false),
            None if code == "FORBIDDEN" => problem(frame, 403, "This token may not read this", false),
            None => problem(frame, 404, &format!("No such {}", self.subject()), false),
        }
    }

    /// What the page is about.
    fn subject(&self) -> &'static str {
        match self.path {
            "/event" => "delivery",
            "/" => "app",
            path => &path[1..],
        }
    }
}

fn show<T: Show>(frame: Frame, data: Value) -> Option<Shown> {
    let answer = serde_json::from_value(data)
        .inspect_err(|error| tracing::error!(%error, path = frame.path, "a page does not fit its document"))
        .ok()?;
    let page = T::show(frame, answer)?;
    if let Some(href) = page.opens() {
        return Some(Shown::Elsewhere(href));
    }
    let html = page.render().inspect_err(|error| tracing::error!(%error, "a page was not written")).ok()?;
    Some(Shown::Html(html))
}

/// A list as a file.
fn taken(frame: &Frame, format: &str, data: &Value) -> Rendered {
    let Some(nodes) = export::nodes(data, frame.param("table")) else {
        return problem(frame.clone(), 404, "There is no such table", false);
    };
    let (kind, body) = match format {
        "csv" => ("text/csv; charset=utf-8", export::csv(nodes)),
        _ => ("application/json", source::pretty(&Value::Array(nodes.to_vec()))),
    };
    // A name of the schema, and nothing that would end the name in a header.
    let table: String =
        frame.param("table").chars().filter(|it| it.is_ascii_alphanumeric() || "._".contains(*it)).collect();
    let file = Some(format!("{table}.{}", if kind == "application/json" { "json" } else { "csv" }));
    Rendered { kind, file, ..Rendered::html(200, body) }
}

impl Problem {
    fn of(frame: Frame, title: &str, choose: bool) -> Self {
        let asked = frame.params.pairs().filter(|(name, _)| !HIDDEN.contains(name));
        let asked = asked.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { frame, title: title.to_owned(), asked, choose, path: None }
    }

    /// What the last part of the path names may be a thing.
    fn named(&self) -> Option<String> {
        let last = self.path.as_deref()?.rsplit('/').next()?;
        let (name, _) = form_urlencoded::parse(last.as_bytes()).next()?;
        Some(name.into_owned())
    }

    fn answer(self, status: u16) -> Rendered {
        Rendered::html(status, self.render().unwrap_or_default())
    }
}

fn problem(frame: Frame, status: u16, title: &str, choose: bool) -> Rendered {
    Problem::of(frame, title, choose).answer(status)
}

/// The apps to choose from, for an answer that leaves the choice.
pub const APPS: &str = "{ apps { appId } }";

/// Whether an answer asks which app is meant: then `data` is to be that of [`APPS`].
pub fn must_choose(answer: &Value) -> bool {
    answer["errors"][0]["extensions"]["code"] == "APP_ID_REQUIRED"
}

/// A page that says that there is none at a path.
pub fn nowhere(path: &str, params: Params, reader: &Reader) -> Rendered {
    let app = params.get("appId").map(str::to_owned);
    let frame = Frame { app, ..Frame::bare("", params, reader) };
    let path = Some(path.to_owned());
    Problem { path, asked: Vec::new(), ..Problem::of(frame, "There is no such page", false) }.answer(404)
}
