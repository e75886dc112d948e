//! Closed sets of words.

use crate::ids;
use async_graphql::Enum;
use serde::Deserialize;

/// How people get into a group.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum GroupType {
    /// Everybody may join.
    Public,
    /// Members are added. Nobody can join without being added.
    Private,
    /// Everybody who knows the password may join.
    Password,
}

impl GroupType {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Password => "password",
        }
    }

    /// Reads the word; any other is null.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Public, Self::Private, Self::Password].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What a member may do in the group.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::Scope")]
pub enum MembershipScope {
    /// The member may do everything in the group.
    Admin,
    /// The member may moderate members and messages.
    Moderator,
    /// The member may take part in the conversation.
    Participant,
}

/// Whether a person is a member of a group, or how the membership ended. Ended memberships stay in the tables.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::State")]
pub enum MembershipState {
    /// The person is a member.
    Joined,
    /// The person left.
    Left,
    /// Somebody removed the person. The person may join again.
    Kicked,
    /// Somebody removed the person. The person may not join again.
    Banned,
    /// The person is no longer banned, and has not joined since.
    Unbanned,
    /// A complete member list did not name the person.
    Absent,
}

/// How the time of a fact is known.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::TimeSource")]
pub enum TimeSource {
    /// The delivery has the time.
    Told,
    /// The time is when the delivery arrived, because deliveries were live.
    Arrival,
    /// The time comes from the deliveries around this one, because old deliveries were read.
    Feed,
}

/// Whether a message or conversation is for one person or for a group.
#[derive(Debug, Enum, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
#[graphql(remote = "ids::ReceiverType")]
pub enum ReceiverType {
    /// One person: the conversation is one to one.
    User,
    /// A group.
    Group,
}

/// Whether a session is a call or a meeting.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::CallKind")]
pub enum CallKind {
    /// A call: it rings.
    Call,
    /// A meeting: people join the session directly.
    Meeting,
}

/// The state of a call.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::CallStatus")]
pub enum CallStatus {
    /// The call rings.
    Initiated,
    /// People talk.
    Ongoing,
    /// The call is over.
    Ended,
    /// The person who called gave up.
    Cancelled,
    /// The person who was called refused.
    Rejected,
    /// Nobody answered.
    Unanswered,
    /// The person who was called was in another call.
    Busy,
}

/// What the server did with an event.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::Outcome")]
pub enum EventOutcome {
    /// The event changed the tables.
    Applied,
    /// The trigger is unknown, or has no tables. The event is only in the log.
    Ignored,
    /// The event contradicts itself. The event is only in the log.
    Anomaly,
    /// The event does not name the object it is about. The event is only in the log, as a dead letter.
    Rejected,
}

/// What a list of groups is ordered by.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum GroupOrderField {
    /// By guid.
    Guid,
    /// By name. Groups without a name come last.
    Name,
    /// By the time of creation. Groups without a known time of creation come last.
    CreatedAt,
}

/// The direction of an order.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum OrderDirection {
    /// Smallest first.
    Asc,
    /// Greatest first: the exact reverse of `ASC`.
    Desc,
}

/// The length of a period.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::days::Step")]
pub enum Period {
    /// One day, from midnight to midnight.
    Day,
    /// One week, from Monday to Sunday.
    Week,
    /// One month of the calendar.
    Month,
}

/// Where the value of a setting comes from. A flag wins over the environment, the environment over the configuration
/// file, and the file over the default.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum SettingOrigin {
    /// A flag of the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File,
    /// The default.
    Default,
}

/// What a token shows.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::TokenScope")]
pub enum TokenScope {
    /// Who, when and how many, but no texts.
    Metadata,
    /// The texts too.
    Content,
    /// The bodies of events, and the settings of the server too.
    Admin,
}

/// Whether a token opens anything.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It opens what its scope shows.
    Valid,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}
