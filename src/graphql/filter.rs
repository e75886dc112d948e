//! Filters of lists. A list inside a filter means "one of these"; the fields of a filter are combined with "and".

use super::enums::{
    CallKind, CallStatus, EventOutcome, GroupOrderField, GroupType, MembershipScope, MembershipState, OrderDirection,
    ReceiverType,
};
use super::error::{Result, bad_input};
use super::scalars::{BigInt, DateTime};
use crate::ids;
use async_graphql::InputObject;

/// Selects groups. A group must match every field that is given.
#[derive(InputObject, Default)]
pub struct GroupFilter {
    /// Only groups with one of these guids.
    pub guids: Option<Vec<String>>,
    /// Only groups that this person owns. Give a uid.
    pub owner: Option<String>,
    /// Only groups of one of these types.
    pub types: Option<Vec<GroupType>>,
    /// Only groups that this person is in now. Give a uid.
    pub member_uid: Option<String>,
    /// Only groups whose name contains this text, in upper or lower case. At least three characters.
    pub name_contains: Option<String>,
    /// True: only groups with `drift`. False: only groups without.
    pub drifted: Option<bool>,
    /// Whether to list deleted groups too.
    #[graphql(default_with = "Some(false)")]
    pub include_deleted: Option<bool>,
}

/// The order of a list of groups.
#[derive(InputObject)]
pub struct GroupOrder {
    /// The value that groups are ordered by.
    #[graphql(default_with = "GroupOrderField::Guid")]
    pub field: GroupOrderField,
    /// The direction of the order.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub direction: OrderDirection,
}

/// Selects memberships. A membership must match every field that is given.
#[derive(InputObject, Default)]
pub struct MembershipFilter {
    /// Only memberships in one of these states. Default: only `JOINED`.
    pub states: Option<Vec<MembershipState>>,
    /// Only memberships with one of these scopes.
    pub scopes: Option<Vec<MembershipScope>>,
    /// Only memberships where the name contains this text, in upper or lower case: for the members of a group the
    /// person's name, for the memberships of a user the group's name. The name of now counts, also with `asOf`. At least
    /// three characters.
    pub name_contains: Option<String>,
    /// Only for the memberships of a user: whether to list those in deleted groups too.
    #[graphql(default_with = "Some(false)")]
    pub include_deleted: Option<bool>,
}

/// Selects users. A user must match every field that is given.
#[derive(InputObject, Default)]
pub struct UserFilter {
    /// Only users with one of these uids.
    pub uids: Option<Vec<String>>,
    /// Only users with one of these roles.
    pub roles: Option<Vec<String>>,
    /// True: only users who are online. False: all others. A user is online if the newest status says so and is at most
    /// 24 hours old.
    pub online: Option<bool>,
    /// Only users seen at this time or later.
    pub last_seen_after: Option<DateTime>,
    /// Only users who were online at this time or later: they are online now, or were seen since.
    pub online_after: Option<DateTime>,
    /// Only users whose name contains this text, in upper or lower case. At least three characters.
    pub name_contains: Option<String>,
}

/// Selects conversations. A conversation must match every field that is given.
#[derive(InputObject, Default)]
pub struct ConversationFilter {
    /// Only conversations of this person: one to one, and of groups that the person is in. Give a uid.
    pub uid: Option<String>,
    /// Only conversations of one of these types.
    pub types: Option<Vec<ReceiverType>>,
}

/// Selects messages. A message must match every field that is given.
#[derive(InputObject, Default)]
pub struct MessageFilter {
    /// Only messages of the conversation with this id. If several conversations have this id, an error names them. Then
    /// give `receiverType` too, or ask for `messages` of the `conversation`.
    pub conversation_id: Option<String>,
    /// Only with `conversationId`: whether that conversation is one to one (`USER`) or a group's (`GROUP`).
    pub receiver_type: Option<ReceiverType>,
    /// Only messages that this person sent.
    pub sender_uid: Option<String>,
    /// Only replies to this message.
    pub parent_id: Option<String>,
    /// Only messages that mention this person.
    pub mentions_uid: Option<String>,
    /// Only with `mentionsUid`. True: only messages after which this person has sent nothing in the same conversation,
    /// or, for a reply, in the same thread. False: only messages that this person has answered.
    pub unanswered: Option<bool>,
    /// Only messages from others that this person has not read: the messages that `unreadCount` counts. Without
    /// `conversationId`, in all conversations that the person is in. The list is empty where `unreadCount` is null.
    pub unread_by: Option<String>,
    /// Only messages of one of these categories, such as `message` or `custom`.
    pub categories: Option<Vec<String>>,
    /// Only messages of one of these types, such as `text` or `image`.
    pub types: Option<Vec<String>>,
    /// Only messages with this tag.
    pub tag: Option<String>,
    /// Only messages whose text contains all of these words. Also `"a phrase"`, and `begin*` for words that begin with
    /// these letters. Upper and lower case and accents do not matter. Newest first, by message id. Messages whose id is
    /// not a number, and deleted messages, are not found. At most 256 characters and 16 words or phrases, and at least
    /// two letters or digits before `*`.
    pub search: Option<String>,
    /// True: only messages with attachments. False: only messages without attachments.
    pub has_attachments: Option<bool>,
    /// Only messages with one of these moderation statuses. To see `disapproved` messages, set `includeBlocked` too.
    pub moderation_statuses: Option<Vec<String>>,
    /// True: only messages whose newest verdict a person gave. False: all others. With the status `approved`: messages
    /// that were blocked and then let through.
    pub reviewed: Option<bool>,
    /// Only messages whose metadata has this key.
    pub metadata: Option<MetadataFilter>,
    /// Only messages sent at this time or later.
    pub sent_after: Option<DateTime>,
    /// Only messages sent before this time.
    pub sent_before: Option<DateTime>,
    /// Whether to list deleted messages too, without their content.
    #[graphql(default_with = "Some(false)")]
    pub include_deleted: Option<bool>,
    /// Whether to list messages that moderation blocked too.
    #[graphql(default_with = "Some(false)")]
    pub include_blocked: Option<bool>,
    /// Whether to list the steps of AI agents too: calls of tools, and their results.
    #[graphql(default_with = "Some(false)")]
    pub include_steps: Option<bool>,
}

/// Selects objects by a key at the top level of their metadata.
#[derive(InputObject)]
pub struct MetadataFilter {
    /// The key.
    pub key: String,
    /// The value under that key: a text, the digits of a whole number, `true` or `false`. Without it, any value
    /// matches.
    pub value: Option<String>,
}

/// Selects calls and meetings. A call must match every field that is given.
#[derive(InputObject, Default)]
pub struct CallSessionFilter {
    /// Only calls, or only meetings.
    pub kinds: Option<Vec<CallKind>>,
    /// Only calls in one of these states.
    pub statuses: Option<Vec<CallStatus>>,
    /// Only calls that this person started, was called in, or took part in. Give a uid.
    pub uid: Option<String>,
    /// Only calls of this group.
    pub guid: Option<String>,
    /// Only the call that this message announced.
    pub call_message_id: Option<String>,
    /// Only calls that started at this time or later. If the start is not known, the time the call began to ring
    /// counts.
    pub started_after: Option<DateTime>,
    /// Only calls that started before this time. If the start is not known, the time the call began to ring counts.
    pub started_before: Option<DateTime>,
    /// True: only calls that ring or go on, and that had an event in the last 24 hours. False: all others.
    pub active: Option<bool>,
}

/// Selects events. An event must match every field that is given.
#[derive(InputObject, Default)]
pub struct EventFilter {
    /// Only events of one of these triggers.
    pub triggers: Option<Vec<String>>,
    /// Only events with one of these outcomes.
    pub outcomes: Option<Vec<EventOutcome>>,
    /// Only events received at this time or later.
    pub received_after: Option<DateTime>,
    /// Only events received before this time.
    pub received_before: Option<DateTime>,
    /// Only events after this log position.
    pub after_seq: Option<BigInt>,
    /// Only events before this log position.
    pub before_seq: Option<BigInt>,
    /// Only events about this object: `group:GUID`, `membership:GUID/UID`, `message:ID`, `user:UID` or `call:SESSION`.
    /// An id without a kind matches groups, users, messages and calls with that id.
    pub about: Option<String>,
    /// Only events whose body contains this text, in the same upper and lower case. Secrets in bodies are not searched.
    /// Needs a token of the scope `admin`.
    pub body_contains: Option<String>,
}

/// Whether to include what is left out unless asked for; null is as good as false.
pub fn include(asked: Option<bool>) -> bool {
    asked == Some(true)
}

/// The states asked for, as words.
pub fn states(asked: Option<Vec<MembershipState>>) -> Vec<&'static str> {
    asked.map_or_else(
        || vec![ids::State::Joined.as_str()],
        |states| states.into_iter().map(|state| ids::State::from(state).as_str()).collect(),
    )
}

/// The scopes asked for, as words.
pub fn scopes(asked: Option<Vec<MembershipScope>>) -> Option<Vec<&'static str>> {
    asked.map(|scopes| scopes.into_iter().map(|scope| ids::Scope::from(scope).as_str()).collect())
}

/// A part of a name is long enough to be looked for.
pub fn name_part(asked: Option<String>) -> Result<Option<String>> {
    match asked {
        Some(part) if part.chars().count() < 3 => {
            Err(bad_input("filter.nameContains", "expected at least three characters"))
        }
        part => Ok(part),
    }
}
