//! Triggers: what each says, and what that means for the tables.
//!
//! [`TRIGGERS`] is the one list. To add a trigger over known tables: put a delivery under `fixtures/triggers/`, write
//! its payload and reducer in the family's file, add a line to the list. `schema/triggers.md` and the tests follow.
//!
//! Reducers have no clock, no randomness, no database: they turn one event into [`Changes`] and nothing else.

mod call;
mod decimal;
pub mod family;
pub mod first_text;
mod group;
mod membership;
mod message;
mod message_part;
mod moderation;
mod notes;
mod own;
mod parts;
mod presence;
mod reaction;
mod receipt;
mod retention;
mod user;

pub use notes::{Notes, without_keys};
pub use parts::as_time;

use crate::change::Changes;
use crate::ids::{CallStatus, State, Time};
use crate::json::Json;
use crate::merge::Fact;
use crate::sessions::Kind;
use parts::Object;
use receipt::What;

/// What one delivery says, read and ready to be reduced.
pub trait Payload: Send + std::fmt::Debug {
    /// When it happened, if the payload says so (contract 4.1).
    fn occurred_at(&self) -> Option<Time>;

    /// A fact without a time did not happen before this.
    fn not_before(&self) -> Option<Time> {
        None
    }

    /// Why the content contradicts itself, if it does: then nothing is reduced.
    fn anomaly(&self) -> Option<String> {
        None
    }

    /// The entities it is about, and the registers it sets.
    fn refs(&self) -> Vec<Ref>;

    fn reduce(&self, fact: &Fact, out: &mut Changes);
}

/// An entity or register that an event speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref {
    pub kind: &'static str,
    pub key: String,
    pub role: Role,
}

/// What an event has to do with a [`Ref`]. Between two equal facts without a time, another fact that sets a register
/// of theirs makes them two (contract 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It speaks of the entity.
    About,
    /// It sets the register.
    Sets,
    /// Others that set this register set its own too.
    SetBy,
}

impl Ref {
    fn about(kind: &'static str, key: &str) -> Self {
        Self { kind, key: key.to_owned(), role: Role::About }
    }

    fn sets(kind: &'static str, key: &str) -> Self {
        Self { kind, key: key.to_owned(), role: Role::Sets }
    }

    fn set_by(kind: &'static str, key: &str) -> Self {
        Self { kind, key: key.to_owned(), role: Role::SetBy }
    }

    fn sets_of(kind: &'static str, parts: &[&str]) -> Self {
        Self { kind, key: write_key(parts), role: Role::Sets }
    }

    /// The parts of a key of several.
    pub fn parts(&self) -> Vec<String> {
        self.key.split('/').map(read_part).collect()
    }
}

/// A key of several parts; a part's own `/` cannot pass for the divider.
pub fn write_key(parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| part.replace('%', "%25").replace('/', "%2F")).collect();
    parts.join("/")
}

/// Reads a part of a key that [`write_key`] wrote.
pub fn read_part(part: &str) -> String {
    part.replace("%2F", "/").replace("%25", "%")
}

/// A known trigger's `data` that does not name its entity: the dead letter's reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection(pub String);

fn missing(what: &str) -> Rejection {
    Rejection(format!("{what}: expected an id"))
}

/// What a trigger means to the tables.
pub enum Meaning {
    /// Its deliveries are folded.
    Projected(Read),
    /// Known, kept in the log, not folded; dated by the first of these members of `data` that is told.
    Ignored(&'static [&'static str]),
}

type Read = fn(&Object<'_>) -> Result<Box<dyn Payload>, Rejection>;

use Meaning::{Ignored, Projected};

/// Every trigger known.
pub const TRIGGERS: &[(&str, Meaning)] = &[
    // Groups.
    ("group_created", Projected(group::created)),
    ("group_updated", Projected(group::updated)),
    ("group_deleted", Projected(group::deleted)),
    ("group_owner_transferred", Projected(group::owner_transferred)),
    // Memberships.
    ("group_member_added", Projected(|data| membership::read(data, Some(State::Joined)))),
    ("group_member_joined", Projected(|data| membership::read(data, Some(State::Joined)))),
    ("group_member_left", Projected(|data| membership::read(data, Some(State::Left)))),
    ("group_member_kicked", Projected(|data| membership::read(data, Some(State::Kicked)))),
    ("group_member_removed", Projected(|data| membership::read(data, Some(State::Kicked)))),
    ("group_member_banned", Projected(|data| membership::read(data, Some(State::Banned)))),
    ("group_member_unbanned", Projected(|data| membership::read(data, Some(State::Unbanned)))),
    ("group_member_scope_changed", Projected(|data| membership::read(data, None))),
    // Messages.
    ("message_sent", Projected(message::sent)),
    ("message_edited", Projected(message::edited)),
    ("message_deleted", Projected(message::deleted)),
    ("user_mentioned", Projected(message::mentioned)),
    ("message_pinned", Projected(message::pinned)),
    ("message_unpinned", Projected(message::unpinned)),
    ("message_reaction_added", Projected(|data| reaction::read(data, true))),
    ("message_reaction_removed", Projected(|data| reaction::read(data, false))),
    ("message_delivery_receipt", Projected(|data| receipt::read(data, What::Delivered))),
    ("message_read_receipt", Projected(|data| receipt::read(data, What::Read))),
    ("message_delivered_to_all", Projected(|data| receipt::read(data, What::DeliveredToAll))),
    ("message_read_by_all", Projected(|data| receipt::read(data, What::ReadByAll))),
    // Users.
    ("user_blocked", Projected(|data| user::read(data, true))),
    ("user_unblocked", Projected(|data| user::read(data, false))),
    ("user_connection_status_changed", Projected(presence::changed)),
    // Calls and meetings.
    ("call_initiated", Projected(|data| call::signalled(data, CallStatus::Initiated))),
    ("call_busy", Projected(|data| call::signalled(data, CallStatus::Busy))),
    ("call_cancelled", Projected(|data| call::signalled(data, CallStatus::Cancelled))),
    ("call_rejected", Projected(|data| call::signalled(data, CallStatus::Rejected))),
    ("call_unanswered", Projected(|data| call::signalled(data, CallStatus::Unanswered))),
    ("call_started", Projected(|data| call::started(data, Kind::Call))),
    ("call_participant_joined", Projected(|data| call::attended(data, Kind::Call, false))),
    ("call_participant_left", Projected(|data| call::attended(data, Kind::Call, true))),
    ("call_ended", Projected(|data| call::ended(data, Kind::Call))),
    ("meeting_started", Projected(|data| call::started(data, Kind::Meeting))),
    ("meeting_participant_joined", Projected(|data| call::attended(data, Kind::Meeting, false))),
    ("meeting_participant_left", Projected(|data| call::attended(data, Kind::Meeting, true))),
    ("meeting_ended", Projected(|data| call::ended(data, Kind::Meeting))),
    ("recording_generated", Projected(call::recording)),
    ("transcription_generated", Projected(call::transcript)),
    // Moderation.
    ("moderation_engine_approved", Projected(moderation::engine_approved)),
    ("moderation_engine_blocked", Projected(moderation::engine_blocked)),
    ("moderation_manual_approved", Projected(moderation::manual_approved)),
    ("moderation_engine_failed", Projected(moderation::engine_failed)),
    // Read from the vendor's API.
    ("chatfold.user_snapshot", Projected(own::user)),
    ("chatfold.group_snapshot", Projected(own::group)),
    ("chatfold.group_roster", Projected(own::roster)),
    ("chatfold.banned_roster", Projected(own::banned)),
    ("chatfold.blocked_roster", Projected(own::blocked)),
    ("chatfold.message_snapshot", Projected(own::message_snapshot)),
    ("chatfold.reactions_snapshot", Projected(own::reactions)),
    // Told of the log itself.
    ("chatfold.retention", Projected(retention::cut)),
    ("chatfold.kept", Projected(retention::kept)),
    // The older system. `before_message` asks whether a message may be sent: it is no message yet.
    ("after_message", Projected(message::sent)),
    ("after_connection_status_changed", Projected(presence::changed_legacy)),
    ("user_connection_status_change", Projected(presence::changed_legacy)),
    ("before_message", Ignored(&[])),
    // Campaigns and notifications: another product behind the same envelope.
    ("after_campaign_completed", Ignored(&["completedAt"])),
    ("after_campaign_failed", Ignored(&["completedAt"])),
    ("after_notification_created", Ignored(&["createdAt"])),
    ("after_feed_item_sent", Ignored(&["sentAt"])),
    ("after_feed_item_delivered", Ignored(&["deliveredAt"])),
    ("after_feed_item_read", Ignored(&["readAt"])),
    ("after_feed_item_interacted", Ignored(&["interactedAt", "engagedAt"])),
    ("after_push_notification_sent", Ignored(&["sentAt"])),
    ("after_push_notification_delivered", Ignored(&["deliveredAt"])),
    ("after_push_notification_clicked", Ignored(&["clickedAt"])),
    // Callbacks of custom notification providers: one a recipient, and no change of state.
    ("push-notification-payload-generated", Ignored(&[])),
    ("email-notification-payload-generated", Ignored(&[])),
    ("sms-notification-payload-generated", Ignored(&[])),
    // Seen as check-boxes of the dashboard only.
    ("conversation_pinned", Ignored(&[])),
    ("conversation_unpinned", Ignored(&[])),
];

/// What reading `data` came to.
#[derive(Debug)]
pub enum Reading {
    Payload(Box<dyn Payload>),
    /// Not folded; when it happened, if it tells.
    Ignored(Option<Time>),
    Rejected(Rejection),
}

/// Reads the `data` of a delivery.
pub fn read(trigger: &str, data: Option<Json<'_>>, notes: &Notes) -> Reading {
    let read = match TRIGGERS.iter().find(|(name, _)| *name == trigger) {
        Some((_, Projected(read))) => read,
        Some((_, Ignored(times))) => {
            let told = |key: &&str| data.and_then(|data| as_time(data.get(key)?)).filter(|at| at.0 > 0);
            return Reading::Ignored(times.iter().find_map(told));
        }
        None => return Reading::Ignored(None),
    };
    let Some(data) = data.filter(|data| data.is_object()) else {
        return Reading::Rejected(Rejection("data: expected an object".into()));
    };
    match read(&Object::new(data, "data".into(), notes)) {
        Ok(payload) => Reading::Payload(payload),
        Err(rejection) => Reading::Rejected(rejection),
    }
}
