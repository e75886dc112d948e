//! The server behind the answers: how it is, its settings, who may read, and what it refused.

use super::context::Ask;
use super::enums::{SettingOrigin, TokenScope, TokenState};
use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime, int};
use crate::clock;
use crate::ids::Time;
use crate::store::sqlite::read::server as row;
use async_graphql::{ComplexObject, Context, SimpleObject};

/// Tells what only the process around the API knows.
pub trait Host: Send + Sync {
    /// How the server is at this moment.
    fn server(&self) -> Server;

    /// The settings in force.
    fn settings(&self) -> Vec<Setting>;

    /// When the node last had folded all of the log that several nodes share; `None`: it shares none.
    fn log_read_at(&self) -> Option<Option<Time>> {
        None
    }
}

/// The server that answers, as it is at this moment.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Server {
    /// The version of chatfold.
    pub version: String,
    /// When the server started.
    pub started_at: DateTime,
    /// Why a delivery would be refused now. Null if the server would take it.
    pub not_ready: Option<String>,
    /// What is wrong with the log that several nodes share: tables of nodes that say something else at one log position.
    /// Null if all say the same, or if the server shares no log.
    pub log_alarm: Option<String>,
    /// The edition of the rules that this server folds with. `Status.foldVersion` is the edition that made the tables.
    pub fold_version: i64,
    /// Whether the tables are being made anew, for whatever reason.
    pub rebuilding: bool,
    /// The size of the WAL in bytes. Null if the server only reads the file.
    pub wal_bytes: Option<BigInt>,
    /// Whether the newest backup is more than twice as old as the setting `backup.every` allows. False if the server
    /// makes no backups itself.
    pub backup_late: bool,
    /// The disk of the file. Null if the system does not tell.
    pub disk: Option<Disk>,
}

#[ComplexObject]
impl Server {
    /// The number of requests that can read the file at once.
    async fn readers(&self, ctx: &Context<'_>) -> i32 {
        int(ctx.asking().turns.readers() as i64)
    }

    /// The number of requests that read now. This request is one of them.
    async fn readers_busy(&self, ctx: &Context<'_>) -> i32 {
        int(ctx.asking().turns.load().0 as i64)
    }

    /// The number of requests that wait for a reader.
    async fn requests_waiting(&self, ctx: &Context<'_>) -> i32 {
        int(ctx.asking().turns.load().1 as i64)
    }
}

/// The disk that holds the file.
#[derive(SimpleObject)]
pub struct Disk {
    /// The size of the disk in bytes.
    pub bytes: BigInt,
    /// How many bytes the server may still write.
    pub free_bytes: BigInt,
    /// Whether less than 1 GiB or less than 10 % is free.
    pub nearly_full: bool,
}

/// A setting of the server.
#[derive(SimpleObject)]
pub struct Setting {
    /// The key in the configuration file, such as `body_limit` or `graphql.depth`.
    pub key: String,
    /// The value in force. Null if it is not set and has no default. A secret is shown as `[secret]`.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: SettingOrigin,
}

/// An access token. The token itself is kept nowhere.
#[derive(SimpleObject)]
pub struct Token {
    /// The number of the token.
    token_id: BigInt,
    /// The name of the token.
    name: String,
    /// Whether the token opens anything now.
    state: TokenState,
    /// What the token shows.
    scope: TokenScope,
    /// The apps that the token may read. Null: all apps.
    apps: Option<Vec<String>>,
    /// When the token was made.
    created_at: DateTime,
    /// When the token ends by itself. Null: never.
    expires_at: Option<DateTime>,
    /// When the token was last used, to the minute. Null: never.
    last_used_at: Option<DateTime>,
    /// When the token was revoked.
    revoked_at: Option<DateTime>,
}

/// A body that was answered 400, because it is no delivery. It is not in the log and changes no table. `chatfold events
/// --refused --bytes` prints what came.
#[derive(SimpleObject)]
pub struct Refused {
    /// When the body arrived.
    received_at: DateTime,
    /// What is wrong with the body.
    problem: String,
    /// How many bytes of the body are kept, at most 65536.
    kept_bytes: i32,
}

impl From<row::Token> for Token {
    fn from(it: row::Token) -> Self {
        let state = match it.revoked_at {
            Some(_) => TokenState::Revoked,
            None if it.is_valid(clock::now()) => TokenState::Valid,
            None => TokenState::Expired,
        };
        Self {
            token_id: BigInt(it.id),
            name: it.name,
            state,
            scope: it.scope.into(),
            apps: it.apps,
            created_at: DateTime(it.created_at),
            expires_at: it.expires_at.map(DateTime),
            last_used_at: it.last_used_at.map(DateTime),
            revoked_at: it.revoked_at.map(DateTime),
        }
    }
}

impl From<row::Refused> for Refused {
    fn from(it: row::Refused) -> Self {
        Self { received_at: DateTime(it.received_at), problem: it.problem, kept_bytes: int(it.bytes) }
    }
}
