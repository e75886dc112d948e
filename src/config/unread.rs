//! What counts as unread, as settings: flags and variables that begin with `unread`, and the table `[unread]` of the
//! configuration file.

use crate::chat::Unread;
use clap::Args;
use serde::Deserialize;

/// What counts as unread. Each setting may be left out.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "Unread")]
#[serde(deny_unknown_fields)]
pub struct UnreadFlags {
    /// Whether replies in threads count as unread [default: false]
    #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", env = "CHATFOLD_UNREAD_THREAD_REPLIES")]
    #[serde(rename = "thread_replies")]
    pub unread_thread_replies: Option<bool>,
    /// Whether all custom messages count as unread. If false, only those with `incrementUnreadCount` true in their metadata
    /// count [default: false]
    #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", env = "CHATFOLD_UNREAD_CUSTOM")]
    #[serde(rename = "custom")]
    pub unread_custom: Option<bool>,
}

impl UnreadFlags {
    /// Takes each setting from here, or else from the file.
    pub(super) fn over(&self, file: &Self) -> Unread {
        Unread {
            thread_replies: self.unread_thread_replies.or(file.unread_thread_replies).unwrap_or(false),
            custom: self.unread_custom.or(file.unread_custom).unwrap_or(false),
        }
    }
}
