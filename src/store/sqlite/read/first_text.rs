//! What a message said when it was sent. No table holds it once the message was edited: the log does.

use super::{Conn, Lookup, Sql, json, rows};
use crate::json::{Document, Json, without_secrets};
use crate::trigger::as_time;
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
    WHERE e.trigger IN ('message_sent', 'user_mentioned', 'moderation_engine_approved', 'moderation_engine_blocked')
        AND r.seq <= coalesce((
            SELECT seq FROM event_refs WHERE app_id = :app AND kind = 'message' AND key = k.value
            ORDER BY seq LIMIT 1 OFFSET 19), 9223372036854775807)
    ORDER BY r.key, r.seq";

impl Lookup for FirstText {
    type Found = String;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, String)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        let mut found: HashMap<Arc<str>, String> = HashMap::new();
        rows(conn, BODIES, &[(":app", &app), (":keys", &keys)], |row| {
            let key: Arc<str> = row.get("key")?;
            if !found.contains_key(&key)
                && let Some(text) = first_text(row.get("body")?, &key)
            {
                found.insert(key, text);
            }
            Ok(())
        })?;
        Ok(found.into_iter().map(|(key, text)| (Self(key), text)).collect())
    }
}

/// The text, if this body is about that message and tells it as it was before any edit.
fn first_text(body: String, id: &str) -> Option<String> {
    let document = Document::parse(body.into_bytes()).ok()?;
    let message = document.root().get("data")?.get("message")?;
    let told = |name: &str| message.get(name).filter(|value| !value.is_null());
    let word =
        |value: Json<'_>| value.text().map(|text| text.into_owned()).or_else(|| value.number().map(str::to_owned));
    let is_echo = told("category").and_then(word).is_some_and(|category| matches!(&*category, "action" | "call"));
    // 0 is how some clients write "never".
    let is_edited = told("editedAt").and_then(as_time).is_some_and(|at| at.0 > 0);
    if told("id").and_then(word)? != id || is_edited || is_echo {
        return None;
    }
    message.get("data")?.get("text")?.text().map(|text| without_secrets(text).into_owned())
}
