//! Lists of messages.

use super::context::Ask;
use super::error::{Result, bad_input};
use super::filter::{MessageFilter, include};
use super::message::{Message, MessageConnection};
use super::page::{Page, Paging};
use super::scalars::DateTime;
use crate::ids::TokenScope;
use crate::store::sqlite::read::message_list::Messages;
use crate::store::sqlite::read::search::Search;
use async_graphql::Context;
use std::sync::Arc;

impl Message {
    /// A page of messages; an empty one where the filter contradicts the object it is asked of.
    pub fn list(
        ctx: &Context<'_>,
        app: &Arc<str>,
        filter: MessageFilter,
        contradicts: bool,
        paging: &Paging,
    ) -> Result<MessageConnection> {
        let time = |at: Option<DateTime>| at.map(|at| at.0.0);
        if filter.search.is_some() || filter.metadata.is_some() {
            ctx.needs(TokenScope::Content)?;
        }
        let search = filter.search.as_deref().map(Search::parse).transpose();
        let search = search.map_err(|expected| bad_input("filter.search", expected))?;
        if filter.unanswered.is_some() && filter.mentions_uid.is_none() {
            return Err(bad_input("filter.unanswered", "expected mentionsUid beside it"));
        }
        let list = Messages {
            app: app.to_string(),
            conversation: filter.conversation_id,
            sender: filter.sender_uid,
            parent: filter.parent_id,
            mention: filter.mentions_uid,
            tag: filter.tag,
            search,
            unanswered: filter.unanswered,
            unread_by: filter.unread_by,
            unread: ctx.asking().unread,
            categories: filter.categories,
            types: filter.types,
            has_attachments: filter.has_attachments,
            statuses: filter.moderation_statuses.map(|all| all.iter().map(|status| status.to_lowercase()).collect()),
            reviewed: filter.reviewed,
            metadata: filter.metadata.map(|asked| (asked.key, asked.value)),
            low: time(filter.sent_after),
            high: if contradicts { Some(i64::MIN) } else { time(filter.sent_before) },
            deleted: include(filter.include_deleted),
            blocked: include(filter.include_blocked),
            steps: include(filter.include_steps),
            oldest_first: false,
        };
        Page::read(ctx, Arc::clone(app), list, paging).map(MessageConnection)
    }
}
