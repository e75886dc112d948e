//! Lists of messages.

use super::context::Ask;
use super::conversation::Conversation;
use super::error::{Result, bad_input};
use super::filter::{MessageFilter, include};
use super::message::{Message, MessageConnection};
use super::page::{Page, Paging, selects};
use super::scalars::DateTime;
use crate::ids::{ConversationKey, TokenScope};
use crate::store::sqlite::read::Wanted;
use crate::store::sqlite::read::message_list::Messages;
use crate::store::sqlite::read::search::Search;
use async_graphql::Context;
use std::sync::Arc;

/// The object whose messages are asked for.
#[derive(Default)]
pub struct Of {
    /// The conversation, where it is one.
    pub conversation: Option<ConversationKey>,
    /// The filter names another: the list is empty.
    pub contradicts: bool,
}

impl Message {
    /// A page of messages.
    pub fn list(
        ctx: &Context<'_>,
        app: &Arc<str>,
        filter: MessageFilter,
        of: Of,
        paging: &Paging,
    ) -> Result<MessageConnection> {
        let time = |at: Option<DateTime>| at.map(|at| at.0.0);
        if filter.search.is_some() || filter.metadata.is_some() {
            ctx.needs(TokenScope::Content)?;
        }
        let search = filter.search.as_deref().map(Search::parse).transpose();
        let search = search.map_err(|expected| bad_input("filter.search", expected))?;
        if filter.unanswered.is_some() && filter.mentions_uid.is_none() {
            return Err(bad_input("filter.unanswered", "expected mentionsUid in the same filter"));
        }
        if filter.receiver_type.is_some() && filter.conversation_id.is_none() {
            return Err(bad_input("filter.receiverType", "expected conversationId in the same filter"));
        }
        let named = filter.conversation_id.map(|id| Conversation::key_named(ctx, app, id, filter.receiver_type));
        let list = Messages {
            app: app.to_string(),
            conversation: of.conversation.or(named.transpose()?),
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
            high: if of.contradicts { Some(i64::MIN) } else { time(filter.sent_before) },
            deleted: include(filter.include_deleted),
            blocked: include(filter.include_blocked),
            steps: include(filter.include_steps),
            oldest_first: false,
        };
        let wanted = Wanted {
            person: selects(ctx, &["sender"]),
            presence: false,
            // What may not be seen is not read.
            rest: selects(ctx, &["text"]) && ctx.needs(TokenScope::Content).is_ok(),
        };
        Page::read_with(ctx, Arc::clone(app), list, paging, wanted).map(MessageConnection)
    }
}
