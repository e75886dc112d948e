//! An answer of the API: its rows, its page, and when it was given.

use super::retry::Failed;
use super::{Access, RestError};
use crate::clock;
use crate::ids::Time;
use crate::json::{Document, Json};
use jiff::fmt::rfc2822::DateTimeParser;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Body, Error};

/// The largest answer that is read.
const LARGEST: u64 = 64 << 20;
/// The rows of an answer are at least as new as its `Date`, less the time that the request took, less this margin.
const MARGIN: i64 = 2_000;
/// The same where the answer has no `Date`, and our clock stands in for it.
const WIDE_MARGIN: i64 = 60_000;

/// What came, and when.
#[derive(Debug)]
pub struct Answer {
    document: Document,
    /// What was read is not older than this: the API's own time of the request less a margin, cut to the second.
    pub at: Time,
    /// How long to wait before the next request: the limit is used up.
    pub(super) pause: Option<Duration>,
}

/// What an answer says of its page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Rows of the whole list; 0 or none where it is not told.
    pub total: Option<i64>,
    pub pages: Option<i64>,
    pub per_page: Option<i64>,
}

impl Answer {
    /// The rows of `data`; none where it holds one.
    pub fn rows(&self) -> impl Iterator<Item = Json<'_>> {
        self.document.root().get("data").into_iter().flat_map(Json::elements)
    }

    /// What `data` holds, where that is one row.
    pub fn row(&self) -> Option<Json<'_>> {
        self.document.root().get("data").filter(|data| data.is_object())
    }

    /// How many rows the whole list has, if that is told.
    pub fn total(&self) -> Option<u64> {
        self.page().total.and_then(|total| u64::try_from(total).ok())
    }

    /// Whether the API says that more follow.
    pub fn has_next(&self) -> bool {
        let next = self.document.root().get("meta").and_then(|meta| meta.get("next"));
        next.is_some_and(|next| next.get("id").is_some())
    }

    /// Whether this is the last page of its list: the page is told, or it is not full, and no rows are left of those told.
    pub fn is_last(&self, page: u64) -> bool {
        let (told, page) = (self.page(), page.cast_signed());
        if let Some(pages) = told.pages {
            return page >= pages;
        }
        let (rows, per_page) = (self.rows().count() as i64, told.per_page.unwrap_or(super::PER_PAGE as i64));
        let so_far = (page - 1).saturating_mul(per_page).saturating_add(rows);
        rows < per_page && told.total.is_none_or(|total| total <= so_far)
    }

    pub(super) fn page(&self) -> Page {
        let told = self.document.root().get("meta").and_then(|meta| meta.get("pagination"));
        let number = |name: &str| told?.get(name)?.number()?.parse::<i64>().ok().filter(|number| *number > 0);
        Page { total: number("total"), pages: number("total_pages"), per_page: number("per_page") }
    }
}

/// An id of a row: text, or a number as its digits.
pub(super) fn id(row: Json<'_>, name: &str) -> Option<String> {
    let value = row.get(name)?;
    value.text().map(String::from).or_else(|| value.number().map(str::to_owned)).filter(|id| !id.is_empty())
}

/// Reads what a request came to. `took`: the time from the request to the head of the answer.
pub(super) fn of(access: &Access, took: Duration, called: Result<Response<Body>, Error>) -> Result<Answer, Failed> {
    let unreachable = |error: &Error| {
        let base = access.base().to_owned();
        match access.wrong_region().map(str::to_owned) {
            Some(region) => Failed { passes: false, error: RestError::Region { region, base }, after: None },
            None => Failed {
                passes: !matches!(error, Error::BadUri(_) | Error::HostNotFound | Error::TooManyRedirects),
                error: RestError::Unreachable { base, said: access.without_key(&error.to_string()) },
                after: None,
            },
        }
    };
    let mut response = called.map_err(|error| unreachable(&error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let at = read_at(&headers, took);
    let read = response.body_mut().with_config().limit(LARGEST).read_to_vec();
    let body = read.map_err(|error| unreachable(&error))?;
    if !status.is_success() {
        return Err(refused(access, status, &headers, &body, at));
    }
    let strange = |what: String| Failed { error: RestError::Strange(what), passes: true, after: None };
    let document = Document::parse(body).map_err(|error| strange(format!("no JSON, {error}")))?;
    if document.root().get("data").is_none_or(|data| !data.is_array() && !data.is_object()) {
        return Err(strange("it has no data".into()));
    }
    Ok(Answer { document, at, pause: used_up(&headers) })
}

/// The rows of a slow answer may be as old as its request.
fn read_at(headers: &HeaderMap, took: Duration) -> Time {
    let told = headers.get("date").and_then(|date| date.to_str().ok());
    let told = told.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
    let at = told.map_or_else(|| clock::now().0 - WIDE_MARGIN, |date| date.as_millisecond() - MARGIN);
    // `Date` has whole seconds, and so have the times of events: a second that was begun counts whole.
    let took = i64::try_from(took.as_secs()).unwrap_or(i64::MAX).saturating_add(1).saturating_mul(1_000);
    Time(at.saturating_sub(took)).second()
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// How long until requests are allowed again, if this was the last one.
fn used_up(headers: &HeaderMap) -> Option<Duration> {
    number(headers, "x-rate-limit-remaining").filter(|left| *left <= 0).map(|_| wished(headers))
}

/// How long the API asks to wait; where it does not say, a second.
fn wished(headers: &HeaderMap) -> Duration {
    let reset = || number(headers, "x-rate-limit-reset").map(|at| at - clock::now().0 / 1_000);
    let seconds = number(headers, "retry-after").or_else(reset).unwrap_or(1);
    Duration::from_secs(seconds.clamp(1, 120).unsigned_abs())
}

fn refused(access: &Access, status: StatusCode, headers: &HeaderMap, body: &[u8], at: Time) -> Failed {
    let document = Document::parse(body.to_vec()).ok();
    let error = document.as_ref().and_then(|document| document.root().get("error"));
    let text = |name: &str| error?.get(name)?.text().map(String::from);
    let code = text("code").unwrap_or_default();
    let words = [Some(code.clone()), text("message")].into_iter().flatten().filter(|it| !it.is_empty());
    let said = access.without_key(&words.collect::<Vec<_>>().join(": "));
    let said = if said.is_empty() { format!("status {status}") } else { said };
    let (app_id, base) = (access.app_id.clone(), access.base().to_owned());
    let passes = |error| Failed { error, passes: true, after: None };
    let stays = |error| Failed { error, passes: false, after: None };
    match (status.as_u16(), code.as_str()) {
        (_, "AUTH_ERR_NO_ACCESS") => stays(RestError::Access { said }),
        (_, "AUTH_ERR_EMPTY_APPID" | "AUTH_ERR_INVALID_APPID") => stays(RestError::App { app_id, base, said }),
        (401, _) | (_, "AUTH_ERR_EMPTY_APIKEY" | "AUTH_ERR_APIKEY_NOT_FOUND") => {
            stays(RestError::Key { app_id, base, said })
        }
        (402, _) | (_, "ERR_PLAN_RESTRICTION") => stays(RestError::Plan { said }),
        (403, _) => stays(RestError::Forbidden { said }),
        (_, code) if code.ends_with("_NOT_FOUND") => stays(RestError::NotFound { code: code.to_owned(), said, at }),
        (429, _) => Failed { after: Some(wished(headers)), ..passes(RestError::Busy { said }) },
        (408 | 500.., _) => passes(RestError::Refused { status: status.as_u16(), said }),
        (status, _) => stays(RestError::Refused { status, said }),
    }
}
