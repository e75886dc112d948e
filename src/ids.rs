//! The words every layer shares: times, log positions, outcomes, and how ids compare.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// Unix milliseconds, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Time(pub i64);

impl Time {
    /// The last millisecond that can be written in every zone: the end of 29 December 9999.
    pub const MAX: Self = Self(253_402_127_999_999);

    /// Cut to the second.
    pub fn second(self) -> Self {
        Self(self.0.div_euclid(1000) * 1000)
    }

    /// `2026-01-05T09:30:00Z`; with milliseconds only where there are some.
    pub fn rfc3339(self) -> String {
        self.timestamp().to_string()
    }

    /// Within what can be written.
    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0.clamp(0, Self::MAX.0)).unwrap_or_default()
    }

    /// Reads RFC 3339 with an offset or `Z`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Some(Self(time.as_millisecond())),
            // What people write for "for ever" lies just beyond what can be written in every zone.
            Err(_) if text.starts_with("9999-12-3") => {
                let civil = text.trim_end_matches(['Z', 'z']);
                (civil != text && civil.parse::<jiff::civil::DateTime>().is_ok()).then_some(Self::MAX)
            }
            Err(_) => None,
        }
    }
}

/// For people: `2026-01-05T09:30:00.000Z`, always with milliseconds, so that columns are aligned.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

/// How the time of a fact is known (contract 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeSource {
    /// The payload says it.
    Told,
    /// It happened when it arrived: the feed was live.
    Arrival,
    /// Dated by the clock of a feed that replays old deliveries.
    Feed,
}

/// What became of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Folded into the tables.
    Applied,
    /// Of a trigger that is not projected, or not known.
    Ignored,
    /// It contradicts itself; no table but the log changed.
    Anomaly,
    /// It does not name its entity: a dead letter.
    Rejected,
}

/// What became of an event, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Why it was not applied, or which fields were not understood.
    pub reason: Option<String>,
}

/// Declares how a closed set of words is written in the file.
macro_rules! words {
    ($type:ty { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the word; `None` for any other.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(TimeSource { Told = "told", Arrival = "arrival", Feed = "feed" });
words!(Outcome { Applied = "applied", Ignored = "ignored", Anomaly = "anomaly", Rejected = "rejected" });

/// What a token shows of the apps it may read; each shows what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TokenScope {
    /// Who, when, where and how many, but not what was said.
    Metadata,
    /// What was said too.
    Content,
    /// The bodies of events too. Readers on this machine have this scope while nobody needs a token.
    #[default]
    Admin,
}
words!(TokenScope { Metadata = "metadata", Content = "content", Admin = "admin" });

/// A person's state in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Joined,
    Left,
    Kicked,
    Banned,
    Unbanned,
    /// A complete member list did not name the person.
    Absent,
}
words!(State { Joined = "joined", Left = "left", Kicked = "kicked", Banned = "banned", Unbanned = "unbanned", Absent = "absent" });

/// What a member may do in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Admin,
    Moderator,
    Participant,
}
words!(Scope { Admin = "admin", Moderator = "moderator", Participant = "participant" });

/// What a message's or call's `receiver` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiverType {
    User,
    Group,
}
words!(ReceiverType { User = "user", Group = "group" });

/// Rings (`call`), or a session joined directly (`meeting`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    Call,
    Meeting,
}
words!(CallKind { Call = "call", Meeting = "meeting" });

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallStatus {
    Initiated,
    Ongoing,
    Ended,
    Cancelled,
    Rejected,
    Unanswered,
    Busy,
}
words!(CallStatus {
    Initiated = "initiated", Ongoing = "ongoing", Ended = "ended", Cancelled = "cancelled",
    Rejected = "rejected", Unanswered = "unanswered", Busy = "busy",
});

/// The id as a number where it is one (`0`, or digits without a leading zero, within 64 bits).
pub fn id_number(id: &str) -> Option<i64> {
    let plain = id == "0" || (!id.starts_with('0') && !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
    if plain { id.parse().ok() } else { None }
}

/// The order column of an id: its number, else the greatest, so that texts follow all numbers.
pub fn id_order(id: &str) -> i64 {
    id_number(id).unwrap_or(i64::MAX)
}

/// Numbers as numbers, then texts as texts (law 7).
pub fn compare_ids(a: &str, b: &str) -> Ordering {
    id_order(a).cmp(&id_order(b)).then_with(|| a.cmp(b))
}

/// Which conversation. Its id alone does not say: that of `group_7` with `zoe` is spelled like that of the group
/// `7_user_zoe`, and that of `a` with `b_user_c` like that of `a_user_b` with `c`. Nothing reads an id apart (law 6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationKey {
    /// As CometChat spells it.
    pub id: String,
    /// How many bytes of the id are the lower uid of a one to one; 0: it is a group's, for no uid is empty.
    pub low_length: i64,
}

impl ConversationKey {
    /// The conversation with a receiver, whatever id the payload gives it: that is wrong at times.
    pub fn between(sender: &str, receiver_type: ReceiverType, receiver: &str) -> Self {
        let (low, high) = if sender <= receiver { (sender, receiver) } else { (receiver, sender) };
        match receiver_type {
            ReceiverType::Group => Self::of_group(receiver),
            ReceiverType::User => Self { id: format!("{low}_user_{high}"), low_length: low.len() as i64 },
        }
    }

    /// The conversation of a group.
    pub fn of_group(guid: &str) -> Self {
        Self { id: format!("group_{guid}"), low_length: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_compare_as_numbers_and_texts_follow() {
        assert_eq!(compare_ids("999", "1002"), Ordering::Less);
        assert_eq!(compare_ids("1002", "abc"), Ordering::Less);
        assert_eq!(compare_ids("007", "9"), Ordering::Greater, "a leading zero makes it text");
        assert_eq!(id_number("9223372036854775808"), None, "beyond 64 bits");
    }

    #[test]
    fn times_read_back_what_they_write() {
        for ms in [0, 1, 1_767_600_000_000, 1_767_600_000_123, Time::MAX.0] {
            assert_eq!(Time::parse(&Time(ms).rfc3339()), Some(Time(ms)));
        }
        assert_eq!(Time(1_767_600_000_000).rfc3339(), "2026-01-05T08:00:00Z");
        assert_eq!(Time::parse("9999-12-31T23:59:59Z"), Some(Time::MAX));
        assert_eq!(Time::parse("9999-12-31"), None);
    }

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (day, written) in
            [("2000-02-29", 951_782_400), ("2100-02-28", 4_107_456_000), ("2100-03-01", 4_107_542_400)]
        {
            assert_eq!(Time(written * 1000).rfc3339(), format!("{day}T00:00:00Z"));
        }
    }

    #[test]
    fn a_conversation_is_the_same_from_both_sides() {
        let key = ConversationKey::between("b_user_c", ReceiverType::User, "a");
        assert_eq!(key, ConversationKey::between("a", ReceiverType::User, "b_user_c"));
        assert_eq!(ConversationKey::between("a", ReceiverType::Group, "g"), ConversationKey::of_group("g"));
        assert_eq!(ConversationKey::of_group("g").id, "group_g");
    }

    #[test]
    fn two_conversations_never_share_a_key() {
        let pair = |a, b| ConversationKey::between(a, ReceiverType::User, b);
        for (one, other) in [
            (pair("group_7", "zoe"), ConversationKey::of_group("7_user_zoe")),
            (pair("a", "b_user_c"), pair("a_user_b", "c")),
            (pair("a", "user_b"), pair("a_user", "b")),
        ] {
            assert_eq!(one.id, other.id);
            assert_ne!(one, other);
        }
    }
}
