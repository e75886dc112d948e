//! Stored JSON as GraphQL values.

use async_graphql::Value;

/// A stored text as a value, keys in their order.
pub fn value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not representable: {error}"))
}

/// A stored value that is ours, so always readable; null where it is not.
pub fn stored(text: Option<&str>) -> Option<super::scalars::Json> {
    match value(text?) {
        Ok(Value::Null) | Err(_) => None,
        Ok(value) => Some(super::scalars::Json(without_secrets(value))),
    }
}

/// Takes out what must not leave (contract law 9): the secret of any `wsChannel`, and any `@private`, at any depth.
pub fn without_secrets(value: Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.into_iter().map(without_secrets).collect()),
        Value::Object(mut fields) => {
            fields.shift_remove("@private");
            if let Some(Value::Object(channel)) = fields.get_mut("wsChannel") {
                channel.shift_remove("secret");
            }
            Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, without_secrets(value)))
                    .collect(),
            )
        }
        other => other,
    }
}
