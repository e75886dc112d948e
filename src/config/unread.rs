//! What counts as unread, as settings: flags and variables that begin with `unread`, and the table `[unread]` of the
//! configuration file.

use super::settings::Choices;
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
    pub(super) fn over(&self, file: &Self, choices: &mut Choices) -> Unread {
        let (replies, custom) = (self.unread_thread_replies, self.unread_custom);
        Unread {
            thread_replies: choices.choose("unread.thread_replies", replies, file.unread_thread_replies, false),
            custom: choices.choose("unread.custom", custom, file.unread_custom, false),
        }
    }
}
