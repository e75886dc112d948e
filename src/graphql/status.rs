//! The state of the file.

use super::context::Ask;
use super::error::{Code, bad_input};
use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime};
use super::server::{Refused, Server, Setting, Token};
use crate::fold::FOLD_VERSION;
use crate::ids::TokenScope;
use crate::store::sqlite::read::PLAIN_LIST;
use crate::store::sqlite::read::app::{clock_offsets, file_bytes, horizons};
use crate::store::sqlite::read::gaps::outages;
use crate::store::sqlite::read::server as row;
use crate::store::sqlite::{last_backup, state};
use async_graphql::{ComplexObject, Context, Result, SimpleObject};
use std::sync::PoisonError;

/// The state of this file.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Status {
    /// The newest log position that this answer shows, of the apps that the token may read.
    pub seq: BigInt,
    /// The edition of the rules that made the tables.
    pub fold_version: i64,
    /// Whether the tables were made by another edition of the rules than the server has. True while the server makes
    /// the tables anew.
    pub rebuilding: bool,
}

/// A state hash that the server computed earlier.
#[derive(SimpleObject)]
pub struct StateHash {
    /// One number for all rows of the tables.
    hash: String,
    /// The log position that the hash belongs to.
    seq: BigInt,
}

/// The difference between the server's clock and CometChat's, as the deliveries of one app show it.
#[derive(SimpleObject)]
pub struct ClockOffset {
    /// CometChat's id of the app.
    app_id: String,
    /// How many milliseconds the server's clock is ahead of CometChat's. Below zero: it is behind.
    offset_ms: BigInt,
}

/// Up to when events of one family of one app were cut from the log. Older events of the family stay only where a table
/// still needs them, and one that arrives now is `ignored`.
#[derive(SimpleObject)]
pub struct Horizon {
    /// CometChat's id of the app.
    app_id: String,
    /// One of `presence` (who is online, through which connections), `ignored` (events that fill no tables), `message`
    /// (messages with all that hangs on them; only messages sent since the horizon are there) and `call` (calls and
    /// meetings; only those of session ids heard of since the horizon are there).
    family: String,
    /// The horizon.
    before: DateTime,
}

/// A time in which no server took deliveries. CometChat tries a delivery again for at most 40 seconds, so deliveries of
/// this time may be lost.
#[derive(SimpleObject)]
pub struct Outage {
    /// When the server before was last known to run.
    from: DateTime,
    /// When the next server started.
    until: DateTime,
}

/// A backup of the file.
#[derive(SimpleObject)]
pub struct Backup {
    /// When the backup was made.
    at: DateTime,
    /// The newest log position in the backup.
    seq: BigInt,
}

#[ComplexObject]
impl Status {
    /// Times in which no server took deliveries, newest first. At most 200.
    async fn outages(&self, ctx: &Context<'_>) -> Result<Vec<Outage>> {
        let all = ctx.read(|conn| outages(conn, PLAIN_LIST))?;
        Ok(all.into_iter().map(|it| Outage { from: DateTime(it.from), until: DateTime(it.until) }).collect())
    }

    /// Apps whose deliveries show that the server's clock is wrong, by id. At most 200. For these apps, an event
    /// without a time gets its time from CometChat's clock.
    async fn clock_offsets(&self, ctx: &Context<'_>) -> Result<Vec<ClockOffset>> {
        let only = ctx.asking().caller.apps.as_deref();
        let offsets = ctx.read(|conn| clock_offsets(conn, only))?;
        let offset = |(app_id, ms)| ClockOffset { app_id, offset_ms: BigInt(ms) };
        Ok(offsets.into_iter().map(offset).collect())
    }

    /// Up to when old events were cut from the log, by app and family. At most 200.
    async fn horizons(&self, ctx: &Context<'_>) -> Result<Vec<Horizon>> {
        let only = ctx.asking().caller.apps.as_deref();
        let reached = ctx.read(|conn| horizons(conn, only))?;
        let horizon = |(app_id, family, before)| Horizon { app_id, family, before: DateTime(before) };
        Ok(reached.into_iter().map(horizon).collect())
    }

    /// The size of the database file in bytes, without the files beside it.
    async fn file_bytes(&self, ctx: &Context<'_>) -> Option<Result<BigInt>> {
        Some(of_all_apps(ctx).and_then(|()| Ok(BigInt(ctx.read(file_bytes)?))))
    }

    /// The newest backup that one of chatfold's ways made of the file. Null if there is none. Needs a token for all apps.
    async fn last_backup(&self, ctx: &Context<'_>) -> Option<Result<Backup>> {
        let newest = of_all_apps(ctx).and_then(|()| ctx.read(last_backup)).transpose()?;
        Some(newest.map(|it| Backup { at: DateTime(it.at), seq: BigInt(it.seq) }))
    }

    /// The edition of the schema of the file. In SQLite `PRAGMA user_version` gives it too.
    async fn file_edition(&self, ctx: &Context<'_>) -> Result<i64> {
        ctx.read(row::edition)
    }

    /// The server that answers. Needs a token for all apps.
    async fn server(&self, ctx: &Context<'_>) -> Option<Result<Server>> {
        match of_all_apps(ctx) {
            Ok(()) => ctx.asking().host.as_ref().map(|host| Ok(host.server())),
            Err(error) => Some(Err(error)),
        }
    }

    /// The settings of the server, and where each comes from. Needs a token for all apps of the scope `admin`.
    #[graphql(complexity = "50 + child_complexity")]
    async fn settings(&self, ctx: &Context<'_>) -> Option<Result<Vec<Setting>>> {
        match may_administer(ctx) {
            Ok(()) => ctx.asking().host.as_ref().map(|host| Ok(host.settings())),
            Err(error) => Some(Err(error)),
        }
    }

    /// The tokens that may read, newest first, revoked ones too. At most 200. Needs a token for all apps of the scope
    /// `admin`.
    #[graphql(complexity = "50 + child_complexity")]
    async fn tokens(&self, ctx: &Context<'_>) -> Option<Result<Vec<Token>>> {
        let tokens = || Ok(ctx.read(row::tokens)?.into_iter().map(Token::from).collect());
        Some(may_administer(ctx).and_then(|()| tokens()))
    }

    /// The newest bodies that were answered 400, newest first. The server keeps 1000 of them. Needs a token for all apps
    /// of the scope `admin`.
    #[graphql(complexity = "crate::graphql::page::cost(first, None, child_complexity)")]
    async fn refused(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of bodies. Default 50, at most 200.")] first: Option<i32>,
    ) -> Option<Result<Vec<Refused>>> {
        let first = first.unwrap_or(50);
        let refused =
            || Ok(ctx.read(|conn| row::refused(conn, first.into()))?.into_iter().map(Refused::from).collect());
        Some(may_administer(ctx).and_then(|()| match first {
            0..=200 => refused(),
            _ => Err(bad_input("first", "expected a number from 0 to 200")),
        }))
    }

    /// One number for all rows of the tables. Two files that heard the same facts give the same number. The server
    /// reads all rows for it. If that takes too long for a query, use `chatfold inspect`. Needs a token of the scope
    /// `content`, because the number can confirm a guess at the text of messages.
    async fn state_hash(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(may_hash(ctx).and_then(|()| {
            let hash = ctx.read(state::of_file)?.total.to_string();
            let asking = ctx.asking();
            let mut last = asking.computed.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((asking.snapshot.seq(), hash.clone()));
            Ok(hash)
        }))
    }

    /// The state hash that this server computed last, for any request. Null if it has computed none since it started.
    /// Needs a token of the scope `content`.
    async fn last_state_hash(&self, ctx: &Context<'_>) -> Option<Result<StateHash>> {
        if let Err(error) = may_hash(ctx) {
            return Some(Err(error));
        }
        let last = ctx.asking().computed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.map(|(seq, hash)| Ok(StateHash { hash, seq: BigInt(seq) }))
    }
}

fn may_hash(ctx: &Context<'_>) -> Result<()> {
    of_all_apps(ctx)?;
    ctx.needs(TokenScope::Content)
}

fn may_administer(ctx: &Context<'_>) -> Result<()> {
    of_all_apps(ctx)?;
    ctx.needs(TokenScope::Admin)
}

fn of_all_apps(ctx: &Context<'_>) -> Result<()> {
    match ctx.asking().caller.apps {
        Some(_) => Err(Code::Forbidden.error(
            "this covers all apps, but this token may read only some of them. Use a token without a limit to apps",
        )),
        None => Ok(()),
    }
}

impl Status {
    pub fn new(seq: i64, fold_version: i64) -> Self {
        Self { seq: BigInt(seq), fold_version, rebuilding: fold_version != FOLD_VERSION }
    }
}
