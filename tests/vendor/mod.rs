//! A stand-in for CometChat's REST API: a real HTTP server over a little app, with what goes wrong on the way.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod app;
pub mod command;

use app::App;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const KEY: &str = "a-key-that-nobody-may-see";

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// With this status, and this code of CometChat's.
    Refused(u16, &'static str),
    /// 429, with a wish to wait for a second.
    Limited,
    /// The connection ends without an answer.
    Dropped,
    /// Half of the answer comes.
    Broken,
    /// After a while.
    Slow(u64),
    /// Without rows.
    Empty,
    /// Without rows, and without a word of what follows.
    Bare,
}

/// Decides about a request, by its number and target; it may change the app before.
type Fates = Box<dyn FnMut(usize, &str, &mut App) -> Fate + Send>;

struct Shared {
    app: Mutex<App>,
    fates: Mutex<Fates>,
    /// Targets, as they came.
    asked: Mutex<Vec<String>>,
    /// Seconds that its clock is ahead.
    ahead: Mutex<i64>,
    /// Most rows of a page, whatever is asked for.
    page: usize,
}

/// The server, which ends with the process.
#[derive(Clone)]
pub struct Vendor {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Vendor {
    /// Answers everything, with pages of at most `page` rows.
    pub fn of(app: App, page: usize) -> Self {
        Self::start(app, page, |_, _, _| Fate::Answered)
    }

    pub fn start(app: App, page: usize, fates: impl FnMut(usize, &str, &mut App) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            app: Mutex::new(app),
            fates: Mutex::new(Box::new(fates)),
            asked: Mutex::default(),
            ahead: Mutex::default(),
            page,
        });
        let vendor = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        vendor
    }

    pub fn url(&self) -> String {
        format!("http://{}/v3", self.address)
    }

    pub fn change(&self, change: impl FnOnce(&mut App)) {
        change(&mut self.shared.app.lock().unwrap());
    }

    pub fn fate(&self, fates: impl FnMut(usize, &str, &mut App) -> Fate + Send + 'static) {
        *self.shared.fates.lock().unwrap() = Box::new(fates);
    }

    /// Sets its clock so many seconds ahead.
    pub fn clock(&self, ahead: i64) {
        *self.shared.ahead.lock().unwrap() = ahead;
    }

    /// The targets of all requests so far; forgets them.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut lines = BufReader::new(stream);
    loop {
        let (mut target, mut key) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("GET ") {
                target = rest.split(' ').next().unwrap().to_owned();
            } else if let Some((_, value)) =
                line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("apikey"))
            {
                key = value.to_owned();
            }
        }
        let mut app = shared.app.lock().unwrap();
        let number = {
            let mut asked = shared.asked.lock().unwrap();
            asked.push(target.clone());
            asked.len()
        };
        let fate = (shared.fates.lock().unwrap())(number, &target, &mut app);
        let answered = if key == KEY {
            answer(&app, &target, shared.page, fate)
        } else {
            refusal(401, "AUTH_ERR_APIKEY_NOT_FOUND")
        };
        drop(app);
        let ((status, body), wait) = match fate {
            Fate::Refused(status, code) => (refusal(status, code), ""),
            Fate::Limited => (refusal(429, "ERR_TOO_MANY_REQUESTS"), "Retry-After: 1\r\nX-Rate-Limit-Remaining: 0\r\n"),
            Fate::Dropped => return,
            Fate::Slow(ms) => {
                std::thread::sleep(Duration::from_millis(ms));
                (answered, "")
            }
            Fate::Answered | Fate::Broken | Fate::Empty | Fate::Bare => (answered, ""),
        };
        let now = Timestamp::now() + SignedDuration::from_secs(*shared.ahead.lock().unwrap());
        let (body, date) = (body.to_string(), DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap());
        let head = format!(
            "HTTP/1.1 {status} x\r\nDate: {date}\r\nContent-Type: application/json\r\n{wait}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let sent = if fate == Fate::Broken { &body[..body.len() / 2] } else { &body };
        let mut out = stream;
        if out.write_all((head + sent).as_bytes()).is_err() || fate == Fate::Broken {
            return;
        }
    }
}

fn refusal(status: u16, code: &str) -> (u16, Value) {
    let message = format!("The key {KEY} does not exist. Please use correct apiKey.");
    (status, json!({ "error": { "code": code, "message": message } }))
}

fn answer(app: &App, target: &str, page: usize, fate: Fate) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let parts: Vec<String> =
        path.trim_start_matches("/v3/").split('/').map(|part| part.replace("%20", " ").replace("%2F", "/")).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let rows = match parts.as_slice() {
        ["users"] => Some(app.users.values().cloned().collect()),
        ["users", uid] => return one(app.users.get(*uid), "ERR_UID_NOT_FOUND"),
        ["users", uid, "blockedusers"] => app.users.get(*uid).map(|_| app.blocked(uid)),
        ["groups"] => Some(app.groups.keys().filter_map(|guid| app.group(guid)).collect()),
        ["groups", guid] => return one(app.group(guid).as_ref(), "ERR_GUID_NOT_FOUND"),
        ["groups", guid, "members"] => app.groups.get(*guid).map(|_| app.members(guid)),
        ["groups", guid, "bannedusers"] => app.groups.get(*guid).map(|_| app.banned(guid)),
        ["messages"] => return messages(app, &query, page, fate),
        ["messages", id] => {
            let row = id.parse().ok().and_then(|id: i64| app.messages.get(&id)).map(|row| app.message(row));
            return one(row.as_ref(), "ERR_MESSAGE_ID_NOT_FOUND");
        }
        ["messages", id, "reactions"] => {
            id.parse().ok().and_then(|id| app.reactions.get(&id).cloned()).or(Some(Vec::new()))
        }
        _ => None,
    };
    let Some(rows) = rows else { return refusal(404, "ERR_GUID_NOT_FOUND") };
    let number = |name: &str, otherwise: usize| query.get(name).map_or(otherwise, |it| it.parse().unwrap());
    let (per_page, current) = (number("perPage", 100).min(page), number("page", 1));
    let (total, pages) = (rows.len(), rows.len().div_ceil(per_page));
    let mut rows: Vec<Value> = rows.into_iter().skip((current - 1) * per_page).take(per_page).collect();
    if matches!(fate, Fate::Empty | Fate::Bare) {
        rows.clear();
    }
    if query.get("withTags").is_none_or(|with| with != "true") {
        rows.iter_mut().for_each(without_tags);
    }
    let mut pagination = json!({ "total": total, "count": rows.len(), "per_page": per_page, "current_page": current, "total_pages": pages });
    pagination.as_object_mut().unwrap().retain(|name, _| !app.omitted.contains(&name.as_str()));
    let meta = if fate == Fate::Bare { json!({}) } else { json!({ "pagination": pagination }) };
    (200, json!({ "data": rows, "meta": meta }))
}

fn one(row: Option<&Value>, code: &str) -> (u16, Value) {
    let Some(row) = row else { return refusal(404, code) };
    let mut row = row.clone();
    without_tags(&mut row);
    (200, json!({ "data": row }))
}

/// Tags are told only where they are asked for.
fn without_tags(row: &mut Value) {
    row.as_object_mut().unwrap().remove("tags");
}

fn messages(app: &App, query: &BTreeMap<String, String>, page: usize, fate: Fate) -> (u16, Value) {
    let number = |name: &str| query.get(name).and_then(|it| it.parse::<i64>().ok());
    let limit = (number("limit").unwrap_or(10) as usize).min(page);
    let since = number("fromTimestamp").unwrap_or(0);
    let all = || app.messages.iter().filter(|(_, row)| row["sentAt"].as_i64().unwrap_or(0) >= since);
    let shown = |(_, row): (&i64, &Value)| app.message(row);
    let mut rows: Vec<Value> = if query.get("affix").is_some_and(|affix| affix == "append") {
        let after = number("id").unwrap_or(0);
        all().filter(|(id, _)| **id > after).take(limit).map(shown).collect()
    } else {
        all().rev().take(limit).map(shown).collect()
    };
    let next = rows.last().map(|row| json!({ "affix": "append", "id": row["id"], "sentAt": row["sentAt"] }));
    if query.get("withTags").is_none_or(|with| with != "true") {
        rows.iter_mut().for_each(without_tags);
    }
    if matches!(fate, Fate::Empty | Fate::Bare) {
        rows.clear();
    }
    let next = if fate == Fate::Bare { Value::Null } else { json!(next) };
    (200, json!({ "data": rows, "meta": { "current": { "limit": limit, "count": rows.len() }, "next": next } }))
}
