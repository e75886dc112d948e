//! Families of triggers: what a trigger is about.

/// The family of a trigger, as metrics name it. `other`: the trigger fills no tables, or is not known.
pub fn of(trigger: &str) -> &'static str {
    match trigger {
        "message_delivery_receipt" | "message_read_receipt" | "message_delivered_to_all" | "message_read_by_all" => {
            "receipt"
        }
        "user_mentioned" | "after_message" => MESSAGE,
        "user_blocked" | "user_unblocked" => "block",
        "user_connection_status_changed" | "user_connection_status_change" | "after_connection_status_changed" => {
            PRESENCE
        }
        "recording_generated" | "transcription_generated" => CALL,
        _ => BY_START.iter().find(|(start, _)| trigger.starts_with(start)).map_or(OTHER, |(_, family)| family),
    }
}

/// Whether events of this trigger are about messages: what was sent, edited, read, reacted to, judged.
pub fn is_about_messages(trigger: &str) -> bool {
    matches!(of(trigger), MESSAGE | "receipt" | "reaction" | "moderation")
        || matches!(trigger, "chatfold.message_snapshot" | "chatfold.reactions_snapshot")
}

/// Who is online, through which connections.
pub const PRESENCE: &str = "presence";
/// Calls and meetings.
pub const CALL: &str = "call";
/// Messages.
pub const MESSAGE: &str = "message";
const OTHER: &str = "other";

/// The first that fits counts.
const BY_START: [(&str, &str); 7] = [
    ("group_member_", "membership"),
    ("group_", "group"),
    ("message_reaction_", "reaction"),
    ("message_", MESSAGE),
    ("call_", CALL),
    ("meeting_", CALL),
    ("moderation_", "moderation"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::OWN;
    use crate::trigger::{Meaning, TRIGGERS};

    #[test]
    fn each_webhook_that_fills_tables_has_a_family_and_no_other_has() {
        for (name, meaning) in TRIGGERS.iter().filter(|(name, _)| !name.starts_with(OWN)) {
            assert_eq!(of(name) != OTHER, matches!(meaning, Meaning::Projected(_)), "{name}");
        }
    }
}
