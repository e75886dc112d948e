//! `receipts` and `read_markers`.

use super::App;
use super::table::table;
use crate::ids::ConversationKey;
use crate::tables::receipt::{ReadMarker, Receipt};

/// App, conversation, uid, and whether the ids of the messages are numbers.
pub type MarkerKey = (App, ConversationKey, String, bool);

table! {
    "receipts": Receipt by (message_id, uid)
    fields {
        delivered => (delivered_at: IfTold, delivered_at_from: LeftOut),
        read => (read_at: IfTold, read_at_from: LeftOut),
    }
}

table! {
    "read_markers": ReadMarker by (conversation_id, low_length, uid, numeric)
    fields { message_no, message_id, at }
}
