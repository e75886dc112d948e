//! The valid tokens and what each opens, as the file says at this moment.
//!
//! Lookups are in memory. Before each lookup, SQLite is asked whether the file has changed, which takes microseconds.
//! Only then the tokens are read again. So a token that another process made or revoked counts at once.

use super::sessions::Session;
use crate::clock;
use crate::graphql::{Asker, Caller};
use crate::ids::{Time, TokenScope};
use crate::store::StoreError;
use crate::store::sqlite::tokens::{self, Token};
use crate::store::sqlite::{Connection, open_reader};
use crate::token;
use crate::writer::Writer;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// `last_used_at` is no older than this.
const COARSE_MS: i64 = 60_000;
/// The pause between two checks whether a token is still valid.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// The tokens of the file. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tokens {
    known: Arc<Mutex<Known>>,
    /// Writes the time of the last use. `None` under `chatfold open`: its reader has the file and could read it without
    /// us.
    writer: Option<Writer>,
    /// Webhook credentials are configured, so a token is needed even if the file has none.
    behind_credentials: Arc<AtomicBool>,
}

struct Known {
    conn: Connection,
    /// The version of the file when the tokens were read.
    version: Option<i64>,
    all: Arc<Vec<Token>>,
}

/// What one reader may see, for as long as it is valid.
#[derive(Clone)]
pub(super) struct Access {
    tokens: Tokens,
    /// The token presented; `None`: no token was needed, and the reader is on this machine.
    token: Option<i64>,
    /// The session of the console that the token began.
    session: Option<Arc<Session>>,
    /// Where the reader is.
    address: IpAddr,
    scope: TokenScope,
    apps: Option<Vec<String>>,
}

impl Tokens {
    pub fn open(path: &Path, writer: Writer) -> Result<Self, StoreError> {
        let known = Known { conn: open_reader(path)?, version: None, all: Arc::default() };
        Ok(Self { known: Arc::new(Mutex::new(known)), writer: Some(writer), behind_credentials: Arc::default() })
    }

    /// For `chatfold open`: no token is needed, because everybody who reaches the server has the file.
    pub fn unasked(path: &Path) -> Result<Self, StoreError> {
        let known = Known { conn: open_reader(path)?, version: None, all: Arc::default() };
        Ok(Self { known: Arc::new(Mutex::new(known)), writer: None, behind_credentials: Arc::default() })
    }

    /// Sets whether webhook credentials are configured.
    pub fn stand_behind_credentials(&self, configured: bool) {
        self.behind_credentials.store(configured, Ordering::Release);
    }

    /// Whether a token is needed: the file has one or cannot be read, or webhook credentials are configured.
    pub fn are_needed(&self) -> bool {
        self.behind_credentials.load(Ordering::Acquire) || !self.are_none()
    }

    /// Whether the file has no token.
    pub fn are_none(&self) -> bool {
        self.now().is_some_and(|all| all.is_empty())
    }

    /// What this token opens. `None` if it is not a valid token of this file.
    pub fn check(&self, presented: &str, address: IpAddr) -> Option<Access> {
        let all = self.now()?;
        let hash = token::hash(presented);
        // Every hash is compared, so that the time does not tell which came close.
        let mut hit = u32::MAX;
        for (index, token) in (0u32..).zip(all.iter()) {
            hit.conditional_assign(&index, token.hash.ct_eq(&hash));
        }
        let now = clock::now();
        let token = all.get(hit as usize).filter(|token| token.is_valid(now))?;
        Some(self.access(token, None, address, now))
    }

    /// What a session opens: the same as the token that began it.
    pub fn of_session(&self, session: Arc<Session>, address: IpAddr) -> Option<Access> {
        let all = self.now()?;
        let now = clock::now();
        let token = all.iter().find(|token| token.id == session.token && token.is_valid(now))?;
        Some(self.access(token, Some(session), address, now))
    }

    fn access(&self, token: &Token, session: Option<Arc<Session>>, address: IpAddr, now: Time) -> Access {
        self.used(token, now);
        let (scope, apps) = (token.scope, token.apps.clone());
        Access { tokens: self.clone(), token: Some(token.id), session, address, scope, apps }
    }

    /// What readers on this machine may see while nobody needs a token.
    pub fn local(&self, address: IpAddr) -> Access {
        Access { tokens: self.clone(), token: None, session: None, address, scope: TokenScope::Admin, apps: None }
    }

    /// The present tokens. `None` if they cannot be read: then nobody reads anything.
    fn now(&self) -> Option<Arc<Vec<Token>>> {
        if self.writer.is_none() {
            return Some(Arc::default());
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.refresh().inspect_err(|error| tracing::error!(%error, "the tokens cannot be read")).ok()
    }

    /// Notes the use on the writer's thread, at most once a minute.
    fn used(&self, token: &Token, now: Time) {
        if token.last_used_at.is_some_and(|at| now.0 - at.0 < COARSE_MS) {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(noted) = Arc::make_mut(&mut known.all).iter_mut().find(|it| it.id == token.id) {
            noted.last_used_at = Some(now);
        }
        let (Some(writer), id) = (self.writer.clone(), token.id) else { return };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = writer.run(move |conn| tokens::used(conn, id, now)) {
                tracing::debug!(%error, "the use of a token was not noted");
            }
        });
    }
}

impl Known {
    fn refresh(&mut self) -> Result<Arc<Vec<Token>>, StoreError> {
        let version = tokens::version(&self.conn)?;
        if self.version != Some(version) {
            self.all = Arc::new(tokens::all(&self.conn)?);
            self.version = Some(version);
        }
        Ok(Arc::clone(&self.all))
    }
}

impl Access {
    /// Whether the access is still valid: its session and its token have not ended. Without a token: no token is needed
    /// yet.
    pub fn is_still_valid(&self) -> bool {
        let now = clock::now();
        let Some(id) = self.token else { return !self.tokens.are_needed() };
        let token_holds = |all: Arc<Vec<Token>>| all.iter().any(|token| token.id == id && token.is_valid(now));
        self.session.as_ref().is_none_or(|session| session.is_open(now)) && self.tokens.now().is_some_and(token_holds)
    }

    /// Returns when the access is no longer valid.
    pub async fn ended(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if !self.is_still_valid() {
                return;
            }
        }
    }

    /// The id of the token. `None` if no token was needed.
    pub fn token(&self) -> Option<i64> {
        self.token
    }

    /// Whether its reader has signed in to the console.
    pub fn is_signed_in(&self) -> bool {
        self.session.is_some()
    }

    /// Whether the access covers all apps.
    pub fn is_of_all_apps(&self) -> bool {
        self.apps.is_none()
    }

    /// The apps that the access covers. `None`: all.
    pub fn apps(&self) -> Option<&[String]> {
        self.apps.as_deref()
    }

    /// Who asks.
    pub fn asker(&self) -> Asker {
        Asker { token: self.token, address: Some(self.address) }
    }

    /// What the access shows.
    pub fn scope(&self) -> TokenScope {
        self.scope
    }

    /// On whose behalf a request runs.
    pub fn caller(&self, default_app: Option<String>) -> Caller {
        Caller { apps: self.apps.clone(), default_app, scope: self.scope, asker: self.asker() }
    }
}
