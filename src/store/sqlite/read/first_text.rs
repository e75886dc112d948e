//! What a message said when it was sent. No table holds it once the message was edited: the log does.

use super::{Conn, Lookup, Sql, json, rows};
use crate::trigger::first_text;
use std::collections::HashMap;
use std::sync::Arc;

/// The text first sent of a message that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FirstText(pub Arc<str>);

/// The first events that speak of each message, and hold it: of these few, its own delivery is one.
const BODIES: &str = "
    SELECT k.value AS key, e.body
    FROM json_each(:keys) k
    CROSS JOIN messages m ON m.app_id = :app AND m.message_id = k.value AND NOT m.deleted
    CROSS JOIN event_refs r ON r.app_id = :app AND r.kind = 'message' AND r.key = k.value
    CROSS JOIN events e ON e.seq = r.seq
    WHERE e.trigger IN (SELECT value FROM json_each(:triggers))
        AND r.seq <= coalesce((
            SELECT seq FROM event_refs WHERE app_id = :app AND kind = 'message' AND key = k.value
            ORDER BY seq LIMIT 1 OFFSET 19), 9223372036854775807)
    ORDER BY r.key, r.seq";

impl Lookup for FirstText {
    type Found = String;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, String)>> {
        let (keys, triggers) = (json(keys.iter().map(|key| &key.0)), json(first_text::TRIGGERS));
        let mut found: HashMap<Arc<str>, String> = HashMap::new();
        rows(conn, BODIES, &[(":app", &app), (":keys", &keys), (":triggers", &triggers)], |row| {
            let key: Arc<str> = row.get("key")?;
            if !found.contains_key(&key)
                && let Some(text) = first_text::of(row.get("body")?, &key)
            {
                found.insert(key, text);
            }
            Ok(())
        })?;
        Ok(found.into_iter().map(|(key, text)| (Self(key), text)).collect())
    }
}
