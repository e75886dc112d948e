//! Closed sets of words.

use crate::ids;
use async_graphql::Enum;
use serde::Deserialize;

/// What kind of group it is.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum GroupType {
    /// Anybody may join.
    Public,
    /// Members are added, nobody joins on their own.
    Private,
    /// Whoever knows the password may join.
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
    /// May do everything in the group.
    Admin,
    /// May moderate members and messages.
    Moderator,
    /// May take part.
    Participant,
}

/// Where a person stands with a group. Ends are states: the row stays.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::State")]
pub enum MembershipState {
    /// A member.
    Joined,
    /// Left on their own.
    Left,
    /// Removed by somebody; may join again.
    Kicked,
    /// Removed by somebody; may not join again.
    Banned,
    /// No longer banned, and not joined since.
    Unbanned,
    /// A complete member list did not name the person.
    Absent,
}

/// How the time of a fact is known.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::TimeSource")]
pub enum TimeSource {
    /// The payload says it.
    Told,
    /// It is when the fact arrived, for deliveries were live.
    Arrival,
    /// It is dated by the clock of a replay of old deliveries.
    Feed,
}

/// What a conversation or a receiver is.
#[derive(Debug, Enum, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
#[graphql(remote = "ids::ReceiverType")]
pub enum ReceiverType {
    /// A person: one to one.
    User,
    /// A group.
    Group,
}

/// Whether it rings.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::CallKind")]
pub enum CallKind {
    /// It rings.
    Call,
    /// A session joined directly.
    Meeting,
}

/// Where a call stands.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::CallStatus")]
pub enum CallStatus {
    /// It rings.
    Initiated,
    /// People talk.
    Ongoing,
    /// It is over.
    Ended,
    /// The initiator gave up.
    Cancelled,
    /// The receiver refused.
    Rejected,
    /// Nobody answered.
    Unanswered,
    /// The receiver was in another call.
    Busy,
}

/// What became of an event.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ids::Outcome")]
pub enum EventOutcome {
    /// Folded into the tables.
    Applied,
    /// Of a trigger that is not projected, or not known.
    Ignored,
    /// It contradicts itself: no table but the log changed.
    Anomaly,
    /// It does not name its entity: a dead letter.
    Rejected,
}

/// What a list of groups is ordered by.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum GroupOrderField {
    /// By guid.
    Guid,
    /// By name; groups without one come last.
    Name,
    /// By creation; groups whose creation is not known come last.
    CreatedAt,
}

/// Which end of an order comes first.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum OrderDirection {
    /// Smallest first.
    Asc,
    /// Greatest first; the exact reverse of `ASC`.
    Desc,
}

/// What a span of time is told by.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::days::Step")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// By the calendar.
    Month,
}
