//! How this file stands.

use super::context::Ask;
use super::error::Code;
use super::scalars::BigInt;
use crate::fold::FOLD_VERSION;
use crate::store::sqlite::read::app::file_bytes;
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
    /// Bytes of the file, without what lies beside it.
    async fn file_bytes(&self, ctx: &Context<'_>) -> Option<Result<BigInt>> {
        Some(of_all_apps(ctx).and_then(|()| Ok(BigInt(ctx.read(file_bytes)?))))
    }

    /// One number for what all tables say: equal wherever the same facts were heard. All rows are read for it: where
    /// that takes longer than a request may, `chatfold inspect` tells it.
    async fn state_hash(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(of_all_apps(ctx).and_then(|()| Ok(ctx.read(state::of_file)?.total.to_string())))
    }
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
