//! CometChat's REST API, as far as chatfold reads it. Blocking: one request after the other.
//!
//! Each reading of one entity or list is a function of its own, which others may call alone. Rows are handed on as the
//! text that came, so nothing of them is lost on the way into the log.

mod access;
mod answer;
mod error;
mod list;
mod retry;

pub use access::{Access, Key};
pub use answer::Answer;
pub use error::RestError;
pub use list::List;

use crate::json::Json;
use retry::Retry;
use std::cell::Cell;
use std::time::{Duration, Instant};
use ureq::Agent;

/// Rows of a page of users, groups or members: the most that the API gives.
const PER_PAGE: usize = 1_000;
/// Messages of a page. Each may have 64 KiB.
const MESSAGES: usize = 500;
const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(60);

/// Reads one app.
pub struct Client {
    agent: Agent,
    access: Access,
    requests: Cell<u64>,
    retries: Cell<u64>,
}

/// Messages of a page, in ascending order, and whether the API says that more follow.
pub struct Messages {
    pub answer: Answer,
    pub last: Option<String>,
}

impl Client {
    /// A client for one app. Redirects are not followed: the key is for this host alone.
    pub fn new(access: Access) -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("chatfold/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), access, requests: Cell::new(0), retries: Cell::new(0) }
    }

    /// Requests sent so far, and how many of these were sent again.
    pub fn requests(&self) -> (u64, u64) {
        (self.requests.get(), self.retries.get())
    }

    /// One page of the app's people.
    pub fn users(&self, page: u64) -> Result<Answer, RestError> {
        self.page("users", page, &[("withTags", "true")])
    }

    /// One person.
    pub fn user(&self, uid: &str) -> Result<Answer, RestError> {
        self.get(&["users", uid], &[])
    }

    /// One page of the app's groups.
    pub fn groups(&self, page: u64) -> Result<Answer, RestError> {
        self.page("groups", page, &[("withTags", "true")])
    }

    /// One group.
    pub fn group(&self, guid: &str) -> Result<Answer, RestError> {
        self.get(&["groups", guid], &[])
    }

    /// The members of a group. `expected`: how many the API said there are. `take`: what is kept of a row.
    pub fn members<T>(
        &self,
        guid: &str,
        expected: Option<i64>,
        take: impl Fn(Json<'_>) -> T,
    ) -> Result<List<T>, RestError> {
        list::members(self, guid, expected, &take)
    }

    /// Who is banned from a group.
    pub fn banned(&self, guid: &str) -> Result<List<()>, RestError> {
        list::read(self, &["groups", guid, "bannedusers"], &|_| ())
    }

    /// Whom a person blocks.
    pub fn blocked<T>(&self, uid: &str, take: impl Fn(Json<'_>) -> T) -> Result<List<T>, RestError> {
        list::read(self, &["users", uid, "blockedusers"], &take)
    }

    /// Who reacted to a message: the rows as they came.
    pub fn reactions(&self, message_id: &str) -> Result<List<String>, RestError> {
        list::read(self, &["messages", message_id, "reactions"], &|row| row.source().to_owned())
    }

    /// The next messages after an id, of all conversations, of every category, deleted ones too. `since`: only those
    /// sent from that unix second on.
    pub fn messages(&self, after: &str, since: Option<i64>) -> Result<Messages, RestError> {
        self.messages_after(after, MESSAGES, since)
    }

    /// The same, but at most so many.
    pub fn few_messages(&self, after: i64, most: usize) -> Result<Messages, RestError> {
        self.messages_after(&after.to_string(), most.min(MESSAGES), None)
    }

    fn messages_after(&self, after: &str, most: usize, since: Option<i64>) -> Result<Messages, RestError> {
        let (limit, since) = (most.to_string(), since.map(|since| since.to_string()));
        let mut query = vec![("affix", "append"), ("id", after), ("limit", &limit)];
        query.extend([("hideDeleted", "false"), ("withTags", "true")]);
        query.extend(since.as_deref().map(|since| ("fromTimestamp", since)));
        let answer = self.get(&["messages"], &query)?;
        let ids = answer.rows().filter_map(|row| answer::id(row, "id"));
        let last = ids.max_by(|one, other| crate::ids::id_number(one).cmp(&crate::ids::id_number(other)));
        Ok(Messages { last, answer })
    }

    /// One message.
    pub fn message(&self, id: &str) -> Result<Answer, RestError> {
        self.get(&["messages", id], &[])
    }

    /// The id of the newest message; `None` where there is none, or none since a unix second.
    pub fn newest_message(&self, since: Option<i64>) -> Result<Option<String>, RestError> {
        let since = since.map(|since| since.to_string());
        let mut query = vec![("affix", "prepend"), ("limit", "1")];
        query.extend(since.as_deref().map(|since| ("fromTimestamp", since)));
        let answer = self.get(&["messages"], &query)?;
        Ok(answer.rows().next().and_then(|row| answer::id(row, "id")))
    }

    fn page(&self, what: &str, page: u64, more: &[(&str, &str)]) -> Result<Answer, RestError> {
        self.get(&[what], &[&[("perPage", PER_PAGE.to_string().as_str()), ("page", &page.to_string())], more].concat())
    }

    /// Sends a request until it is answered, or waiting does not help.
    fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, RestError> {
        let url = self.access.url(path, query);
        let mut retry = Retry::default();
        loop {
            self.requests.set(self.requests.get() + 1);
            let failed = match self.ask(&url) {
                Ok(answer) => {
                    retry::pause(answer.pause);
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            let Some(wait) = retry.wait(&failed) else { return Err(failed.error) };
            tracing::debug!(error = %failed.error, wait_ms = wait.as_millis(), "asking the API again");
            self.retries.set(self.retries.get() + 1);
            retry::pause(Some(wait));
        }
    }

    fn ask(&self, url: &str) -> Result<Answer, retry::Failed> {
        let request =
            self.agent.get(url).header("apikey", self.access.key.reveal()).header("Accept", "application/json");
        let sent = Instant::now();
        let called = request.call();
        answer::of(&self.access, sent.elapsed(), called)
    }
}

/// An id of a row: text, or a number as its digits.
pub fn id(row: Json<'_>, name: &str) -> Option<String> {
    answer::id(row, name)
}
