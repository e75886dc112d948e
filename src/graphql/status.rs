//! How this file stands.

use super::context::Ask;
use super::error::Code;
use super::scalars::BigInt;
use crate::fold::FOLD_VERSION;
use crate::store::sqlite::state;
use async_graphql::{ComplexObject, Context, Result, SimpleObject};

/// How this file stands.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Status {
    /// The newest log position this answer shows.
    pub seq: BigInt,
    /// Edition of the fold that made the tables this answer shows.
    pub fold_version: i64,
    /// Whether that is another edition than the server's: the tables are being made anew.
    pub rebuilding: bool,
}

#[ComplexObject]
impl Status {
    /// One number for what all tables say: equal wherever the same facts were heard. All rows are read for it: where
    /// that takes longer than a request may, `chatfold inspect` tells it.
    async fn state_hash(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        if ctx.asking().caller.apps.is_some() {
            return Some(Err(Code::Forbidden.error("this is about all apps, and this token is bound to some")));
        }
        Some(ctx.read(state::of_file).map(|state| state.total.to_string()))
    }
}

impl Status {
    pub fn new(seq: i64, fold_version: i64) -> Self {
        Self { seq: BigInt(seq), fold_version, rebuilding: fold_version != FOLD_VERSION }
    }
}
