//! What lists can be narrowed by. Lists in a filter are alternatives, its fields are combined.

use super::enums::{
    CallKind, CallStatus, EventOutcome, GroupOrderField, GroupType, MembershipScope, MembershipState, OrderDirection,
    ReceiverType,
};
use super::error::{Result, bad_input};
use super::scalars::{BigInt, DateTime};
use crate::ids;
use async_graphql::InputObject;

/// Which groups.
#[derive(InputObject, Default)]
pub struct GroupFilter {
    /// These.
    pub guids: Option<Vec<String>>,
    /// Those this person owns.
    pub owner: Option<String>,
    /// Those of these types.
    pub types: Option<Vec<GroupType>>,
    /// Those this person is in now.
    pub member_uid: Option<String>,
    /// Those whose name contains this, in any letter case; at least three characters.
    pub name_contains: Option<String>,
    /// Deleted ones too.
    #[graphql(default_with = "Some(false)")]
    pub include_deleted: Option<bool>,
}

/// In which order groups are listed.
#[derive(InputObject)]
pub struct GroupOrder {
    /// By what.
    #[graphql(default_with = "GroupOrderField::Guid")]
    pub field: GroupOrderField,
    /// Which end first.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub direction: OrderDirection,
}

/// Which memberships.
#[derive(InputObject, Default)]
pub struct MembershipFilter {
    /// Those in these states; unless told, only those joined.
    pub states: Option<Vec<MembershipState>>,
    /// Those of these scopes.
    pub scopes: Option<Vec<MembershipScope>>,
    /// Of a person: those in deleted groups too.
    #[graphql(default_with = "Some(false)")]
    pub include_deleted: Option<bool>,
}

/// Which users.
#[derive(InputObject, Default)]
pub struct UserFilter {
    /// These.
    pub uids: Option<Vec<String>>,
    /// Those of these roles.
    pub roles: Option<Vec<String>>,
    /// Those who are online, or all others. Online is who was last told to be, and was heard of in the last 24 hours.
    pub online: Option<bool>,
    /// Those seen at that time or later.
    pub last_seen_after: Option<DateTime>,
    /// Those who were online at that time or later: online now, as `online` has it, or heard of since.
    pub online_after: Option<DateTime>,
    /// Those whose name contains this, in any letter case; at least three characters.
    pub name_contains: Option<String>,
}

/// Which conversations.
#[derive(InputObject, Default)]
pub struct ConversationFilter {
    /// Those of this person: one to one, and of the groups the person is in.
    pub uid: Option<String>,
    /// Those of these types.
    pub types: Option<Vec<ReceiverType>>,
}

/// Which messages.
#[derive(InputObject, Default)]
pub struct MessageFilter {
    /// Only messages of the conversation with this id. If several conversations have this id, an error names them: then
    /// give `receiverType` too, or ask for `messages` of the `conversation`.
    pub conversation_id: Option<String>,
    /// With `conversationId`: whether the conversation is one to one or a group's.
    pub receiver_type: Option<ReceiverType>,
    /// Those sent by this person.
    pub sender_uid: Option<String>,
    /// Replies to this message.
    pub parent_id: Option<String>,
    /// Those that mention this person.
    pub mentions_uid: Option<String>,
    /// With `mentionsUid`: those after which that person has said nothing in the conversation, or in the thread for a
    /// reply; false: those that person has answered.
    pub unanswered: Option<bool>,
    /// Those by others that this person has not read, in the conversation asked for, else in those the person is in: what
    /// `unreadCount` counts, and nothing where that is null.
    pub unread_by: Option<String>,
    /// Those of these categories, such as `message` or `custom`.
    pub categories: Option<Vec<String>>,
    /// Those of these types, such as `text` or `image`.
    pub types: Option<Vec<String>>,
    /// Those with this tag.
    pub tag: Option<String>,
    /// Those whose text has all of these words, `"phrases"` and `beginnings*`, in any letter case and with or without
    /// accents; newest first by message id. Only ids that are numbers are found, and nothing that is deleted. At most
    /// 256 characters and 16 words or phrases; before `*` at least two letters or digits.
    pub search: Option<String>,
    /// Those with attachments, or those without.
    pub has_attachments: Option<bool>,
    /// Those moderation gave one of these statuses; `disapproved` ones are shown with `includeBlocked` only.
    pub moderation_statuses: Option<Vec<String>>,
    /// Those whose verdict a person gave, or all others. With the status `approved`: what was blocked and let through
    /// after all.
    pub reviewed: Option<bool>,
    /// Those whose custom data have this.
    pub metadata: Option<MetadataFilter>,
    /// Those sent at that time or later.
    pub sent_after: Option<DateTime>,
    /// Those sent before that time.
    pub sent_before: Option<DateTime>,
    /// Deleted ones too, without their content.
    #[graphql(default_with = "Some(false)")]
    pub include_deleted: Option<bool>,
    /// Those blocked by moderation too.
    #[graphql(default_with = "Some(false)")]
    pub include_blocked: Option<bool>,
    /// An agent's steps too: the tools that were called, and what came back.
    #[graphql(default_with = "Some(false)")]
    pub include_steps: Option<bool>,
}

/// What custom data have at their top level.
#[derive(InputObject)]
pub struct MetadataFilter {
    /// This key.
    pub key: String,
    /// With this value: a text, the digits of a whole number, `true` or `false`; any, unless told.
    pub value: Option<String>,
}

/// Which calls and meetings.
#[derive(InputObject, Default)]
pub struct CallSessionFilter {
    /// Those of these kinds.
    pub kinds: Option<Vec<CallKind>>,
    /// Those in one of these states.
    pub statuses: Option<Vec<CallStatus>>,
    /// Those this person started, was called in, or took part in.
    pub uid: Option<String>,
    /// Those of this group.
    pub guid: Option<String>,
    /// The one this message announced.
    pub call_message_id: Option<String>,
    /// Those started, else initiated, at that time or later.
    pub started_after: Option<DateTime>,
    /// Those started, else initiated, before that time.
    pub started_before: Option<DateTime>,
    /// Those that go on and had news in the last 24 hours, or all others.
    pub active: Option<bool>,
}

/// Which events.
#[derive(InputObject, Default)]
pub struct EventFilter {
    /// Those of these triggers.
    pub triggers: Option<Vec<String>>,
    /// Those with one of these outcomes.
    pub outcomes: Option<Vec<EventOutcome>>,
    /// Those received at that time or later.
    pub received_after: Option<DateTime>,
    /// Those received before that time.
    pub received_before: Option<DateTime>,
    /// Those behind this log position.
    pub after_seq: Option<BigInt>,
    /// Those before this log position.
    pub before_seq: Option<BigInt>,
    /// Those about this entity, such as `group:GUID`, `membership:GUID/UID`, `message:ID`, `user:UID`, `call:SESSION`;
    /// an id alone is any of these.
    pub about: Option<String>,
    /// Those whose body, secrets left out, has this text, in the letter case in which it came. Asks for a token of the
    /// scope admin.
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
