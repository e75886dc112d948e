//! What hangs on a message.

use super::context::Ask;
use super::enums::TimeSource;
use super::error::Result;
use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime, int};
use super::user::User;
use crate::store::sqlite::read::message_parts::{self as row, ReactorsOf};
use async_graphql::{ComplexObject, Context, Object, SimpleObject};
use std::sync::Arc;

pub struct Attachment {
    name: Option<String>,
    extension: Option<String>,
    mime_type: Option<String>,
    size: Option<i64>,
    url: Option<String>,
}

/// A file sent with a message.
#[Object]
impl Attachment {
    /// Its name.
    async fn name(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.name.as_deref())
    }

    /// The extension of its name.
    async fn extension(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.extension.as_deref())
    }

    /// What it is, such as `image/png`.
    async fn mime_type(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.mime_type.as_deref())
    }

    /// Its size in bytes.
    async fn size(&self, ctx: &Context<'_>) -> Option<Result<BigInt>> {
        ctx.said(|| self.size.map(BigInt))
    }

    /// Where it is.
    async fn url(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.url.as_deref())
    }
}

/// Reads a stored list of attachments.
pub fn attachments(stored: Option<&str>) -> Vec<Attachment> {
    let Some(serde_json::Value::Array(items)) = stored.and_then(|text| serde_json::from_str(text).ok()) else {
        return Vec::new();
    };
    let read = |item: &serde_json::Value| {
        let text = |names: [&str; 2]| {
            names.iter().find_map(|name| item.get(name)).and_then(|value| value.as_str()).map(str::to_owned)
        };
        let size = item.get("size").and_then(|size| size.as_i64().or_else(|| size.as_str()?.parse().ok()));
        Attachment {
            name: text(["name", "name"]),
            extension: text(["extension", "extension"]),
            mime_type: text(["mimeType", "mime_type"]),
            size,
            url: text(["url", "url"]),
        }
    };
    items.iter().filter(|item| item.is_object()).map(read).collect()
}

pub struct MessageEdit {
    app: Arc<str>,
    row: row::Edit,
}

/// What a message said after an edit.
#[Object]
impl MessageEdit {
    /// The text; null once the message is deleted.
    async fn text(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.row.text.as_deref())
    }

    /// When it was edited.
    async fn edited_at(&self) -> DateTime {
        DateTime(self.row.edited_at)
    }

    /// Who edited it.
    async fn edited_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.edited_by.as_deref()).await
    }
}

impl MessageEdit {
    /// From its row.
    pub fn new(app: &Arc<str>, row: row::Edit) -> Self {
        Self { app: Arc::clone(app), row }
    }
}

pub struct ReactionGroup {
    app: Arc<str>,
    message_id: Arc<str>,
    row: row::ReactionGroup,
}

/// One reaction to a message, and whom it is from.
#[Object]
impl ReactionGroup {
    /// The reaction, such as an emoji: as first told, with or without the variation selector U+FE0F.
    async fn reaction(&self) -> &str {
        &self.row.reaction
    }

    /// How many people it is from.
    async fn count(&self) -> i32 {
        int(self.row.count)
    }

    /// Who reacted so, by uid; at most 200.
    async fn users(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let key = ReactorsOf { message_id: self.message_id.to_string(), emoji: self.row.emoji.clone() };
        let uids = ctx.load(&self.app, key).await?.unwrap_or_default();
        User::all(ctx, &self.app, uids).await
    }
}

impl ReactionGroup {
    /// From its row.
    pub fn new(app: &Arc<str>, message_id: Arc<str>, row: row::ReactionGroup) -> Self {
        Self { app: Arc::clone(app), message_id, row }
    }
}

pub struct Receipt {
    app: Arc<str>,
    row: row::Receipt,
}

/// What was told of one reader of a message.
#[Object]
impl Receipt {
    /// The reader.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        User::get(ctx, &self.app, self.row.uid.as_str()).await
    }

    /// When the reader got it: the earliest time told, else when the receipt arrived.
    async fn delivered_at(&self) -> Option<DateTime> {
        self.row.delivered_at.map(DateTime)
    }

    /// How that time is known.
    async fn delivered_at_from(&self) -> Option<TimeSource> {
        self.row.delivered_at_from.map(Into::into)
    }

    /// When the reader read it: the earliest time told, else when the receipt arrived.
    async fn read_at(&self) -> Option<DateTime> {
        self.row.read_at.map(DateTime)
    }

    /// How that time is known.
    async fn read_at_from(&self) -> Option<TimeSource> {
        self.row.read_at_from.map(Into::into)
    }
}

impl Receipt {
    /// From its row.
    pub fn new(app: &Arc<str>, row: row::Receipt) -> Self {
        Self { app: Arc::clone(app), row }
    }
}

/// The newest verdict about a message.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Moderation {
    /// The verdict in CometChat's word; `disapproved` hides the message.
    status: Option<String>,
    /// Whether a person gave it.
    reviewed: bool,
    /// Id of the rule that caught the message.
    rule: Option<String>,
    /// When moderation failed, if it did: the newest time told, else when that was heard of.
    failed_at: Option<DateTime>,
    /// How that time is known.
    failed_at_from: Option<TimeSource>,
    #[graphql(skip)]
    failure: Option<String>,
}

#[ComplexObject]
impl Moderation {
    /// Why it failed.
    async fn failure(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.failure.as_deref())
    }
}

impl Moderation {
    /// From its row.
    pub fn new(row: row::Moderation) -> Self {
        Self {
            status: row.status,
            reviewed: row.reviewed,
            rule: row.rule,
            failed_at: row.failed_at.map(DateTime),
            failed_at_from: row.failed_at_from.map(Into::into),
            failure: row.failure,
        }
    }
}
