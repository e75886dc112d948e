//! Stored JSON as GraphQL values, without the secrets that must not leave (contract law 9).

use super::scalars;
use crate::json::{self, Document, Json};
use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Number, Value};

/// Deeper values are not answered: an answer's reader would not survive them.
const DEPTH: usize = 128;

/// A stored text as a value, keys in their order. Fails, saying why, where GraphQL cannot hold it.
pub fn value(text: &str) -> Result<Value, String> {
    let parse = |text: String| Document::parse(text.into_bytes()).map_err(|error| error.to_string());
    let document = parse(json::redact(parse(text.to_owned())?.root()))?;
    read(document.root(), DEPTH)
}

/// A stored value that is ours; null where GraphQL cannot hold it.
pub fn stored(text: Option<&str>) -> Option<scalars::Json> {
    match value(text?) {
        Ok(Value::Null) | Err(_) => None,
        Ok(value) => Some(scalars::Json(value)),
    }
}

fn read(json: Json<'_>, depth: usize) -> Result<Value, String> {
    if depth == 0 {
        return Err(format!("nested deeper than {DEPTH} levels"));
    }
    if json.is_object() {
        let mut members = IndexMap::new();
        for (key, value) in json.members() {
            members.insert(Name::new(key), read(value, depth - 1)?);
        }
        return Ok(Value::Object(members));
    }
    if json.is_array() {
        return json.elements().map(|element| read(element, depth - 1)).collect::<Result<_, _>>().map(Value::List);
    }
    if let Some(text) = json.text() {
        return Ok(Value::String(text.into_owned()));
    }
    match json.number() {
        Some(number) => read_number(number),
        None => Ok(json.bool().map_or(Value::Null, Value::Boolean)),
    }
}

/// Whole numbers beyond 64 bits are answered as text: rounded, an order number would be another one.
fn read_number(source: &str) -> Result<Value, String> {
    if let Ok(int) = source.parse::<i64>() {
        return Ok(Value::from(int));
    }
    if let Ok(int) = source.parse::<u64>() {
        return Ok(Value::from(int));
    }
    if source.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Ok(Value::from(source));
    }
    let float = source.parse().ok().and_then(Number::from_f64);
    float.map(Value::Number).ok_or_else(|| format!("the number {} is out of range", &source[..source.len().min(40)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_delivery_may_hold_is_answered_or_says_why_not() {
        let text = |source: &str| value(source).map(|value| value.to_string());
        assert_eq!(text(r#"{"b":1,"a":[1.5,"\ud83d"],"@private":2}"#).unwrap(), "{b: 1, a: [1.5, \"\u{fffd}\"]}");
        assert_eq!(text("12345678901234567890123").unwrap(), "\"12345678901234567890123\"");
        assert!(text("1e999").unwrap_err().contains("out of range"));
        assert!(text(&format!("{}{}", "[".repeat(200), "]".repeat(200))).unwrap_err().contains("nested"));
    }
}
