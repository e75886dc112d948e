//! The text of a message as it was sent, read from the body of a delivery.

use super::as_time;
use crate::json::{Document, Json, without_secrets};

/// Triggers whose deliveries show a message as it was sent.
pub const TRIGGERS: [&str; 4] =
    ["message_sent", "user_mentioned", "moderation_engine_approved", "moderation_engine_blocked"];

/// The text, if this body is about that message and tells it as it was before any edit.
pub fn of(body: String, id: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn text(message: &Value) -> Option<String> {
        of(json!({ "data": { "message": message } }).to_string(), "7")
    }

    #[test]
    fn the_text_of_an_edit_an_echo_or_another_message_is_not_the_first() {
        let sent = json!({ "id": 7, "category": "message", "data": { "text": "hi" } });
        assert_eq!(text(&sent).as_deref(), Some("hi"));
        for (field, value) in [("editedAt", json!(5)), ("category", json!("action")), ("id", json!("8"))] {
            let mut other = sent.clone();
            other[field] = value;
            assert_eq!(text(&other), None, "{field}");
        }
        let mut never_edited = sent;
        never_edited["editedAt"] = json!(0);
        assert_eq!(text(&never_edited).as_deref(), Some("hi"));
    }
}
