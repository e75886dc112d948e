//! Values as JSON text. An object that is resolved is written at once, and stands as the bytes of its text
//! ([`Value::Binary`], which no scalar of the schema makes) in what is above it.

use async_graphql::Value;

/// Bytes of a value in the answer, or a few less.
pub(super) fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Binary(written) => written.len(),
        Value::List(items) => items.iter().map(|item| length(item) + 1).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + 4 + length(value)).sum(),
        _ => 1,
    }
}

/// Writes the members of an object, whose names need no escapes.
pub(super) fn write_object<'a>(members: impl Iterator<Item = (&'a str, &'a Value)> + Clone) -> Value {
    let bytes: usize = members.clone().map(|(name, value)| name.len() + 4 + length(value)).sum();
    let mut out = Vec::with_capacity(2 + bytes);
    out.push(b'{');
    for (name, value) in members {
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write(value, &mut out);
    }
    out.push(b'}');
    Value::Binary(out.into())
}

/// Writes a value.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_json(number, out),
        Value::String(text) => write_text(text, out),
        Value::Enum(name) => write_text(name, out),
        Value::Binary(written) => out.extend_from_slice(written),
        Value::List(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (place, (name, value)) in members.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes a text; few have anything to escape.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        return write_json(text, out);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes what serde knows. Writing into memory does not fail.
fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::{Name, Number, value};

    #[test]
    fn a_value_is_written_as_serde_writes_it() {
        let texts: Vec<Value> = (0..=300).filter_map(char::from_u32).map(|it| Value::from(format!("a{it}b"))).collect();
        let values = [
            Value::List(texts),
            value!({"a": [1, -2.5, null, true, false, {}, []], "b": {"\"": "\\", "c": "\u{2028}🎉"}}),
            Value::Enum(Name::new("WORD")),
            Value::Number(Number::from(u64::MAX)),
        ];
        for value in values {
            let mut out = Vec::new();
            write(&value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
        }
    }

    #[test]
    fn an_object_that_is_written_at_once_stands_in_what_is_above_it() {
        let inner = write_object([("x", &Value::from("\n")), ("y", &Value::Null)].into_iter());
        let outer = Value::List(vec![write_object([("inner", &inner)].into_iter()), write_object([].into_iter())]);
        let mut out = Vec::new();
        write(&outer, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"[{"inner":{"x":"\n","y":null}},{}]"#);
    }
}
