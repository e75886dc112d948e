//! How this file stands.

use super::context::Ask;
use super::error::Code;
use super::objects as async_graphql;
use super::scalars::BigInt;
use crate::fold::FOLD_VERSION;
use crate::ids::TokenScope;
use crate::store::sqlite::read::app::{clock_offsets, file_bytes};
use crate::store::sqlite::state;
use async_graphql::{ComplexObject, Context, Result, SimpleObject};
use std::sync::PoisonError;

/// How this file stands.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Status {
    /// The newest log position this answer shows, of those apps that the token may read.
    pub seq: BigInt,
    /// Edition of the fold that made the tables this answer shows.
    pub fold_version: i64,
    /// Whether that is another edition than the server's: the tables are being made anew.
    pub rebuilding: bool,
}

/// A state hash that was computed.
#[derive(SimpleObject)]
pub struct StateHash {
    /// One number for what all tables said.
    hash: String,
    /// The log position it is of.
    seq: BigInt,
}

/// An app whose deliveries show that the server's clock and CometChat's differ.
#[derive(SimpleObject)]
pub struct ClockOffset {
    /// CometChat's id of the app.
    app_id: String,
    /// How many milliseconds the server's clock is ahead of CometChat's; below zero: behind.
    offset_ms: BigInt,
}

#[ComplexObject]
impl Status {
    /// Apps whose deliveries show that the server's clock is wrong, at most 200, by id: what happens to their facts
    /// without a time is dated by CometChat's clock.
    async fn clock_offsets(&self, ctx: &Context<'_>) -> Result<Vec<ClockOffset>> {
        let only = ctx.asking().caller.apps.as_deref();
        let offsets = ctx.read(|conn| clock_offsets(conn, only))?;
        let offset = |(app_id, ms)| ClockOffset { app_id, offset_ms: BigInt(ms) };
        Ok(offsets.into_iter().map(offset).collect())
    }

    /// Bytes of the file, without what lies beside it.
    async fn file_bytes(&self, ctx: &Context<'_>) -> Option<Result<BigInt>> {
        Some(of_all_apps(ctx).and_then(|()| Ok(BigInt(ctx.read(file_bytes)?))))
    }

    /// One number for what all tables say: equal wherever the same facts were heard. All rows are read for it: where
    /// that takes longer than a request may, `chatfold inspect` tells it. Asks for a token of the scope content, for the
    /// number confirms a guess at what was said.
    async fn state_hash(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(may_hash(ctx).and_then(|()| {
            let hash = ctx.read(state::of_file)?.total.to_string();
            let asking = ctx.asking();
            let mut last = asking.computed.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((asking.snapshot.seq(), hash.clone()));
            Ok(hash)
        }))
    }

    /// The hash of all tables that this server computed last, for whoever asked; null where nobody did since it started.
    /// Asks for a token of the scope content.
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

fn of_all_apps(ctx: &Context<'_>) -> Result<()> {
    match ctx.asking().caller.apps {
        Some(_) => Err(Code::Forbidden.error("this is about all apps, and this token is bound to some")),
        None => Ok(()),
    }
}

impl Status {
    pub fn new(seq: i64, fold_version: i64) -> Self {
        Self { seq: BigInt(seq), fold_version, rebuilding: fold_version != FOLD_VERSION }
    }
}
