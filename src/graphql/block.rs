//! Who blocks whom.

use super::context::Ask;
use super::enums::TimeSource;
use super::error::Result;
use super::objects as async_graphql;
use super::page::{Page, connection, text};
use super::scalars::DateTime;
use super::user::User;
use crate::store::sqlite::read::block::{self as row, BlockKey};
use async_graphql::{Context, Object};
use std::sync::Arc;

#[derive(Clone)]
pub struct Block {
    app: Arc<str>,
    row: row::Block,
}

connection!(BlockConnection, BlockEdge, Block, "blocks");

/// One person blocks another person now.
#[Object]
impl Block {
    /// The person who blocks.
    async fn blocker(&self, ctx: &Context<'_>) -> Result<User> {
        User::get(ctx, &self.app, self.row.blocker.as_str()).await
    }

    /// The person who is blocked.
    async fn blocked(&self, ctx: &Context<'_>) -> Result<User> {
        User::get(ctx, &self.app, self.row.blocked.as_str()).await
    }

    /// When the block began.
    async fn since(&self) -> DateTime {
        DateTime(self.row.since)
    }

    /// How the time `since` is known.
    async fn since_from(&self) -> TimeSource {
        self.row.since_from.into()
    }
}

impl Block {
    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        let keys = page.keys.iter().map(|key| BlockKey(text(&key[0]).to_owned(), text(&key[1]).to_owned()));
        let rows = ctx.load_all(&page.app, keys.collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }
}
