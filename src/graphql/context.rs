//! What every resolver can reach: the snapshot, the caller, the loaders.

use super::error::{Code, Result, describe};
use super::limits::Limits;
use super::loaders::Loaders;
use super::server::Host;
use super::turns::{Asker, Turns};
use crate::chat::Unread;
use crate::ids::TokenScope;
use crate::store::sqlite::read::{Conn, Lookup, ReadError, Snapshot, Sql, app};
use async_graphql::{Context, ServerError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// On whose behalf a request runs.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The apps that may be read; `None`: all.
    pub apps: Option<Vec<String>>,
    /// The app meant where none is named.
    pub default_app: Option<String>,
    /// What is shown of them.
    pub scope: TokenScope,
    /// Whose turn at the readers it takes.
    pub asker: Asker,
}

impl Caller {
    /// Whether the app may be read.
    pub fn may_read(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|allowed| allowed == app))
    }
}

/// A state hash that was computed, and the log position it is of.
pub(super) type Computed = Arc<Mutex<Option<(i64, String)>>>;

/// One request.
pub struct Asking {
    pub(super) snapshot: Snapshot,
    /// The newest log position of what the caller may read. That of the whole log would tell who may read some apps how
    /// much the others send.
    pub(super) newest: i64,
    pub(super) loaders: Loaders,
    pub(super) caller: Caller,
    /// Longest page.
    pub(super) page: usize,
    /// Longest answer, in bytes.
    pub(super) answer_bytes: usize,
    /// Bytes of the values told so far.
    told: AtomicUsize,
    /// Why it ends before its end, with no data at all.
    ended: OnceLock<(Code, String)>,
    /// Whether its document names no field twice in a selection set.
    pub(super) keys_are_distinct: bool,
    /// The state hash that was computed last, by any request of this process.
    pub(super) computed: Computed,
    /// The server around it, if there is one.
    pub(super) host: Option<Arc<dyn Host>>,
    pub(super) turns: Turns,
    /// What counts as unread.
    pub(super) unread: Unread,
    /// Keys of private data that are shown.
    pub(super) show_private: Arc<[String]>,
    /// The app meant where no field names one; looked up once.
    unnamed: OnceLock<Option<Arc<str>>>,
}

impl Asking {
    pub(super) fn new(snapshot: Snapshot, newest: i64, caller: Caller, computed: Computed, turns: Turns) -> Self {
        let Limits { page, answer_bytes, .. } = Limits::default();
        Self {
            snapshot,
            newest,
            loaders: Loaders::default(),
            caller,
            page,
            answer_bytes,
            told: AtomicUsize::new(0),
            ended: OnceLock::new(),
            keys_are_distinct: false,
            computed,
            host: None,
            turns,
            unread: Unread::default(),
            show_private: Arc::from([]),
            unnamed: OnceLock::new(),
        }
    }

    /// Why the request ends before its end.
    pub(super) fn ended(&self) -> Option<ServerError> {
        self.ended.get().map(|(code, message)| code.server_error(message.as_str()))
    }

    /// Fails once the time is up: resolvers that read nothing take time too.
    pub(super) fn go_on(&self) -> std::result::Result<(), ServerError> {
        if self.ended.get().is_none() && self.snapshot.is_late() {
            let (code, message) = describe(ReadError::Timeout);
            let _ = self.ended.set((code, message.to_owned()));
        }
        self.ended().map_or(Ok(()), Err)
    }

    /// Counts bytes of the answer as its values are made: a list of large ones is not made whole to be refused then.
    pub(super) fn tell(&self, bytes: usize) -> std::result::Result<(), ServerError> {
        let most = self.answer_bytes;
        if self.told.fetch_add(bytes, Ordering::Relaxed) + bytes > most {
            let _ = self.ended.set((Code::TooComplex, format!("the answer has more than {most} bytes: ask for less")));
        }
        self.go_on()
    }

    /// The app a root field is about: named, or the only one it can mean.
    pub(super) fn app(&self, named: Option<String>) -> Result<Arc<str>> {
        if let Some(app) = named {
            return if self.caller.may_read(&app) {
                Ok(app.into())
            } else {
                Err(Code::Forbidden.error(
                    "appId: this token may not read this app. `{ apps { appId } }` lists the apps that it may read",
                ))
            };
        }
        if let Some(unnamed) = self.unnamed.get() {
            return unnamed.clone().ok_or_else(app_required);
        }
        let caller = &self.caller;
        let only = match caller.apps.as_deref() {
            Some([only]) => Some(only.clone()),
            _ => caller.default_app.clone().filter(|app| caller.may_read(app)),
        };
        let app = match only {
            Some(app) => Some(app),
            None => self.snapshot.read(|conn| app::only(conn, caller.apps.as_deref()))?,
        };
        self.unnamed.get_or_init(|| app.map(Into::into)).clone().ok_or_else(app_required)
    }
}

/// The context, for resolvers.
pub trait Ask {
    /// The request.
    fn asking(&self) -> &Asking;
    /// Reads from the snapshot.
    fn read<T>(&self, ask: impl FnOnce(&Conn) -> Sql<T>) -> Result<T>;
    /// The app a root field is about: named, or the only one it can mean.
    fn app(&self, named: Option<String>) -> Result<Arc<str>>;
    /// Refuses whoever may not see as much. What was said needs [`TokenScope::Content`].
    fn needs(&self, scope: TokenScope) -> Result<()>;
    /// What was said, for whoever may see it: for nullable fields.
    fn said<T>(&self, value: impl FnOnce() -> Option<T>) -> Option<Result<T>>;
    /// Looks up what was said, for whoever may see it: nothing is read for others.
    fn load_said<K: Lookup>(&self, app: &Arc<str>, key: K) -> impl Future<Output = Result<Option<K::Found>>> + Send;
    /// Looks up one key.
    fn load<K: Lookup>(&self, app: &Arc<str>, key: K) -> impl Future<Output = Result<Option<K::Found>>> + Send;
    /// Looks up some keys; answers in their order.
    fn load_all<K: Lookup>(
        &self,
        app: &Arc<str>,
        keys: Vec<K>,
    ) -> impl Future<Output = Result<Vec<Option<K::Found>>>> + Send;
}

impl Ask for Context<'_> {
    fn asking(&self) -> &Asking {
        self.data_unchecked::<Arc<Asking>>()
    }

    fn read<T>(&self, ask: impl FnOnce(&Conn) -> Sql<T>) -> Result<T> {
        Ok(self.asking().snapshot.read(ask)?)
    }

    fn app(&self, named: Option<String>) -> Result<Arc<str>> {
        self.asking().app(named)
    }

    fn needs(&self, scope: TokenScope) -> Result<()> {
        if self.asking().caller.scope >= scope {
            return Ok(());
        }
        Err(Code::Forbidden.error(format!("this needs a token of the scope {}", scope.as_str())))
    }

    fn said<T>(&self, value: impl FnOnce() -> Option<T>) -> Option<Result<T>> {
        match self.needs(TokenScope::Content) {
            Ok(()) => value().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    async fn load_said<K: Lookup>(&self, app: &Arc<str>, key: K) -> Result<Option<K::Found>> {
        self.needs(TokenScope::Content)?;
        self.load(app, key).await
    }

    async fn load<K: Lookup>(&self, app: &Arc<str>, key: K) -> Result<Option<K::Found>> {
        Ok(self.asking().loaders.load(app, key).await?)
    }

    async fn load_all<K: Lookup>(&self, app: &Arc<str>, keys: Vec<K>) -> Result<Vec<Option<K::Found>>> {
        Ok(self.asking().loaders.load_all(app, keys).await?)
    }
}

fn app_required() -> async_graphql::Error {
    Code::AppIdRequired
        .error("appId: expected the id of an app. It may be left out only if exactly one app is possible; `{ apps { appId } }` lists the apps")
}
