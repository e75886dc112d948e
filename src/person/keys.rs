//! Keys of deliveries, by what stands under them.

/// A uid stands here. Under `receiver` it may be a guid: `receiverType` tells.
pub(super) const UIDS: &[&str] = &[
    "uid",
    "uids",
    "sender",
    "receiver",
    "owner",
    "oldOwner",
    "newOwner",
    "updatedBy",
    "createdBy",
    "editedBy",
    "deletedBy",
    "pinnedBy",
    "blockedBy",
    "reactedBy",
    "messageSender",
    "receiptSender",
    "receiptReceiver",
    "initiator",
    "user",
    "by",
    "userId",
    "user_id",
];

/// Words of CometChat's, and ids of what is no person: never a uid.
pub(super) const WORDS: &[&str] = &[
    "trigger",
    "appId",
    "region",
    "webhook",
    "chatAPIVersion",
    "type",
    "category",
    "receiverType",
    "entityType",
    "status",
    "role",
    "scope",
    "oldScope",
    "newScope",
    "action",
    "platform",
    "guid",
    "id",
    "messageId",
    "parentId",
    "quotedMessageId",
    "sessionId",
    "sessionid",
    "session_id",
    "tid",
    "receiptType",
    "reaction",
    "mode",
];

/// Maps by uid.
pub(super) const BY_UID: &[&str] = &["members", "users", "mentions", "voters", "banned", "blocked", "gone"];

/// Field names of CometChat's: such a key is a uid only in a map by uid.
pub(super) const FIELDS: &[&str] = &[
    "data",
    "message",
    "messages",
    "group",
    "user",
    "users",
    "member",
    "members",
    "entity",
    "entities",
    "sender",
    "receiver",
    "owner",
    "reaction",
    "reactions",
    "reactedBy",
    "body",
    "call",
    "occupant",
    "all_occupants",
    "currentConnection",
    "connections",
    "event",
    "event_for",
    "metadata",
    "moderation",
    "rule",
    "condition",
    "mentions",
    "quotedMessage",
    "customData",
    "interactiveData",
    "attachments",
    "extensions",
    "polls",
    "results",
    "options",
    "voters",
    "content",
    "resource",
    "failures",
    "context",
    "request",
    "origin",
    "notificationDetails",
    "senderDetails",
    "text",
    "name",
    "type",
    "status",
    "title",
    "url",
    "uid",
    "guid",
    "for",
];

/// An object with a uid and one of these tells what the person did, and does not describe the person.
pub(super) const OF_FACTS: &[&str] = &["messageId", "reaction", "blocked"];

/// What stays of an object that describes a person: facts of a membership, a stay or a status, no description.
pub(super) const OF_PERSON: &[&str] = &[
    "blockedAt",
    "scope",
    "oldScope",
    "joinedAt",
    "hasJoined",
    "joined_at",
    "left_at",
    "audio_call",
    "status",
    "status_updated",
    "status_updated_at",
    "updatedAt",
];

/// An object with one of these may be a message.
pub(super) const OF_MESSAGES: &[&str] =
    &["category", "data", "text", "title", "body", "customData", "conversationId", "editedAt", "deletedAt"];

/// A message stands here, though it may not tell who sent it.
pub(super) const MESSAGES: &[&str] = &["message", "messages", "resource", "entity", "quotedMessage", "call"];

/// What stays of a message beside its `data`.
pub(super) const OF_MESSAGE: &[&str] = &[
    "id",
    "receiver",
    "receiverType",
    "category",
    "type",
    "conversationId",
    "sentAt",
    "updatedAt",
    "editedAt",
    "editedBy",
    "deletedAt",
    "deletedBy",
    "deliveredAt",
    "readAt",
    "parentId",
    "quotedMessageId",
    "pinnedAt",
    "pinnedBy",
    "action",
    "status",
    "sessionid",
    "sessionId",
    "session_id",
    "initiatedAt",
    "startedAt",
    "endedAt",
    "joinedAt",
];

/// What stays of the `data` of a message as it is.
pub(super) const OF_DATA: &[&str] =
    &["action", "quotedMessageId", "updateConversation", "sessionid", "sessionId", "session_id"];

pub(super) const SESSIONS: &[&str] = &["sessionId", "sessionid", "session_id"];

/// What stays of a recording or transcript.
pub(super) const OF_FILE: &[&str] = &[
    "sessionId",
    "sessionid",
    "session_id",
    "tid",
    "recordingDate",
    "transcriptDate",
    "startTime",
    "endTime",
    "duration",
];

/// What a notification says.
pub(super) const NOTIFIED: &[&str] = &[
    "title",
    "body",
    "subject",
    "emailContent",
    "smsContent",
    "text",
    "alternativeText",
    "message",
    "content",
    "alert",
];

/// Whether a value of a person is one that hardly anybody else has: an address or a number to call.
pub(super) fn is_own(value: &str) -> bool {
    let is_word = !value.contains(char::is_whitespace);
    value.len() >= 8 && is_word && (value.contains("://") || value.contains('@') || value.starts_with('+'))
}

/// Whether this is the key of a call's private channel, which names the parties.
pub(super) fn is_channel(key: &str) -> bool {
    let letters = key.chars().filter(|letter| !matches!(letter, '_' | '-' | ' '));
    letters.map(|letter| letter.to_ascii_lowercase()).eq("wschannel".chars())
}
