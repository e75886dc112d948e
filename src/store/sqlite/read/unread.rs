//! What a person has not read in a conversation.

use super::{Conn, Lookup, Sql, rows};
use crate::chat::Unread;
use crate::ids::ConversationKey;
use std::collections::HashSet;

/// Whether a person may be in a group. The group is read only where the person has no membership: the column stands
/// behind others that may be large.
macro_rules! may_be_in {
    ($guid:literal, $uid:literal) => {
        concat!(
            "coalesce(
                 (SELECT may_be_in(x.current, 1) FROM memberships x WHERE x.app_id = :app AND x.guid = ",
            $guid,
            " AND x.uid = ",
            $uid,
            "),
                 may_be_in(NULL,
                     (SELECT g.members_known_since IS NOT NULL FROM groups g WHERE g.app_id = :app AND g.guid = ",
            $guid,
            ")))"
        )
    };
}
pub(super) use may_be_in;

/// What a person has not read in a conversation; counted up to one more than is shown. No answer where the person is
/// known not to be in the group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnreadOf {
    pub conversation: ConversationKey,
    pub uid: String,
    /// Of a group's conversation.
    pub guid: Option<String>,
    /// What counts.
    pub unread: Unread,
}

/// Where counting unread messages stops.
pub const UNREAD_MOST: i64 = 1_000;

/// Writes the count of what stands behind the marker of one kind of id. The index begins with all that is compared, so
/// that no message is looked at but those that count and the person's own.
macro_rules! unread {
    ($behind:literal) => {
        concat!(
            "(SELECT count(*) FROM (
                SELECT 1 FROM messages m
                WHERE m.app_id = :app AND m.conversation_id = a.conversation_id AND m.low_length = a.low_length
                  AND m.listed
                  AND m.uncounted IN (SELECT value FROM json_each(:counted))
                  AND ",
            $behind,
            " AND m.sender_uid IS NOT a.uid
                LIMIT 1001))"
        )
    };
}

/// A marker counts for ids of its own kind only: numbers, or texts, which all share the greatest number.
const UNREAD: &str = concat!(
    "WITH asked AS MATERIALIZED (
        SELECT key AS place, json_extract(value, '$[0]') AS conversation_id, json_extract(value, '$[1]') AS low_length,
            json_extract(value, '$[2]') AS uid, json_extract(value, '$[3]') AS guid
        FROM json_each(:keys))
    SELECT a.place, ",
    unread!(
        "m.message_no > coalesce((
             SELECT r.message_no FROM read_markers r
             WHERE r.app_id = :app AND r.conversation_id = a.conversation_id AND r.low_length = a.low_length
                 AND r.uid = a.uid AND r.numeric = 1), -1)
         AND m.message_no < 9223372036854775807"
    ),
    " + ",
    unread!(
        "m.message_no = 9223372036854775807 AND m.message_id > coalesce((
             SELECT r.message_id FROM read_markers r
             WHERE r.app_id = :app AND r.conversation_id = a.conversation_id AND r.low_length = a.low_length
                 AND r.uid = a.uid AND r.numeric = 0), '')"
    ),
    " AS n FROM asked a WHERE a.guid IS NULL OR ",
    may_be_in!("a.guid", "a.uid")
);

impl Lookup for UnreadOf {
    type Found = i64;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
        let kinds: HashSet<Unread> = keys.iter().map(|key| key.unread).collect();
        let mut all = Vec::with_capacity(keys.len());
        for unread in kinds {
            let of: Vec<&Self> = keys.iter().filter(|key| key.unread == unread).collect();
            let asked = of.iter().map(|key| {
                let ConversationKey { id, low_length } = &key.conversation;
                serde_json::json!([id, low_length, key.uid, key.guid])
            });
            let (asked, counted) = (asked.collect::<serde_json::Value>().to_string(), unread.counted());
            all.extend(rows(conn, UNREAD, &[(":app", &app), (":keys", &asked), (":counted", &counted)], |row| {
                Ok((of[row.get::<_, u32>("place")? as usize].clone(), row.get("n")?))
            })?);
        }
        Ok(all)
    }
}
