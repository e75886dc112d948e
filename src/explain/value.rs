//! Values as people and scripts read them: times as RFC 3339, flags as true and false, JSON as JSON.

use crate::ids::Time;
use crate::merge::Value;
use serde_json::Value as Json;

const FLAGS: &[&str] = &[
    "deleted",
    "blocked",
    "chat",
    "listed",
    "step",
    "may_be_last",
    "current",
    "present",
    "open",
    "online",
    "reviewed",
    "created",
    "audio_only",
];

/// What a value of this column says.
pub(super) fn told(column: &str, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(int) => read(column, Json::from(*int)),
        Value::Text(text) => read(column, Json::from(text.as_str())),
    }
}

/// The same for a value as the file holds it.
pub(super) fn read(column: &str, value: Json) -> Json {
    let name = column.rsplit(' ').next().unwrap_or(column);
    if let Some(int) = value.as_i64() {
        let is_time = name.ends_with("_at") || name.ends_with("since") || matches!(name, "at" | "anchor");
        return match name {
            _ if is_time => Time(int).to_string().into(),
            _ if FLAGS.contains(&name) => (int != 0).into(),
            _ => value,
        };
    }
    let holds_json = name.starts_with("data") || matches!(name, "metadata" | "tags" | "mentions" | "attachments");
    // Beyond what a parser takes (depth, lone surrogates) it stays the text it is.
    let parsed = || value.as_str().filter(|_| holds_json).and_then(|text| serde_json::from_str(text).ok());
    parsed().unwrap_or(value)
}
