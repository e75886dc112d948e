//! What is secret in a payload (contract law 9), and values without the secrets.

use super::{Document, Json, Kind, quote};
use std::borrow::Cow;

/// Keys whose values are secret, as [`folded`] writes them. The first letter of each stands in it only once, so that
/// [`stands_in`] passes no letter of a text twice.
const KEYS: [&str; 2] = ["@private", "wschannel"];

/// JSON in a text in JSON in a text: so many texts deep is read. A text that lies deeper and may hold a secret is left
/// out whole. The bound keeps the work linear: the texts of one level are together no longer than the payload.
const LEVELS: u32 = 8;

/// Whether a secret lies anywhere in the value.
pub fn has_secret(json: Json<'_>) -> bool {
    may_hold(&json.document.text) && written(json, LEVELS).1
}

/// The value as compact JSON without secrets; texts with escapes are written anew, half emoji as U+FFFD.
pub fn redact(json: Json<'_>) -> String {
    written(json, LEVELS).0
}

/// The same for a text that may be no JSON at all: then null.
pub fn redact_text(text: &str) -> String {
    Document::parse(text.as_bytes().to_vec()).map_or_else(|_| "null".to_owned(), |document| redact(document.root()))
}

/// The same for a value that stands under `key`; `None` where it is a secret itself.
pub fn redact_member(key: &str, json: Json<'_>) -> Option<String> {
    (!is_secret(key)).then(|| redact(json))
}

/// A body as it is searched: as it came, or without the secrets where it has any.
pub fn shown(body: &str) -> Cow<'_, str> {
    if !may_hold(body) {
        return Cow::Borrowed(body);
    }
    match Document::parse(body.as_bytes().to_vec()) {
        Ok(document) => {
            let (text, has_secret) = written(document.root(), LEVELS);
            if has_secret { Cow::Owned(text) } else { Cow::Borrowed(body) }
        }
        Err(_) => Cow::Borrowed("null"),
    }
}

/// A text as it is shown: as it came, or as JSON without secrets where it is JSON that holds some.
pub fn without_secrets(text: Cow<'_, str>) -> Cow<'_, str> {
    cut(&text, LEVELS).map_or(text, Cow::Owned)
}

/// Whether a text is JSON that holds a secret.
pub fn holds_secret(text: &str) -> bool {
    cut(text, LEVELS).is_some()
}

/// Whether what stands under this key is secret. A key with dots, as of a flattened map, counts by each of its parts;
/// a key that is JSON itself, by what it holds.
pub fn is_secret(key: &str) -> bool {
    is_secret_at(key, LEVELS)
}

fn is_secret_at(key: &str, levels: u32) -> bool {
    let named = || key.split('.').any(|part| KEYS.contains(&folded(part).as_str()));
    (KEYS.iter().any(|name| stands_in(name, key)) && named()) || cut(key, levels).is_some()
}

fn is_divider(letter: char) -> bool {
    matches!(letter, '_' | '-') || letter.is_whitespace()
}

/// A key as keys are compared: in lower case, without dividers.
fn folded(key: &str) -> String {
    key.chars().filter(|letter| !is_divider(*letter)).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whether a name stands anywhere in a text, folded. Looks closer only where its first letter stands.
fn stands_in(name: &str, text: &str) -> bool {
    let begins = |text: &str| {
        let mut letters = text.chars().filter(|letter| !is_divider(*letter)).map(|letter| letter.to_ascii_lowercase());
        name.chars().all(|letter| letters.next() == Some(letter))
    };
    let first = name.chars().next().unwrap_or_default();
    let stands = |first: char| text.match_indices(first).any(|(at, _)| begins(&text[at..]));
    stands(first) || (first.is_ascii_lowercase() && stands(first.to_ascii_uppercase()))
}

/// Whether a secret can lie in the source of some JSON: a key stands in it, or an escape that may hide one. The other
/// escapes (of quotes, slashes and the backspace) stand for no letter of a key and for no divider.
fn may_hold(source: &str) -> bool {
    let hides = |at: usize| matches!(source.as_bytes().get(at + 1), Some(b'u' | b'n' | b'r' | b't' | b'f'));
    KEYS.iter().any(|name| stands_in(name, source)) || source.match_indices('\\').any(|(at, _)| hides(at))
}

/// The rest of a text that is an object or array, or such a text written as JSON once more, and holds a secret.
fn cut(text: &str, levels: u32) -> Option<String> {
    let inner = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
    if !inner.starts_with(['{', '[', '"']) || !may_hold(inner) {
        return None;
    }
    let document = Document::parse(inner.as_bytes().to_vec()).ok()?;
    let Some(levels) = levels.checked_sub(1) else { return Some(String::new()) };
    let (rest, has_secret) = written(document.root(), levels);
    has_secret.then_some(rest)
}

/// The value without secrets, and whether it had any. Calls itself for texts in texts alone: `open` holds the containers
/// not yet closed, innermost last.
fn written(json: Json<'_>, levels: u32) -> (String, bool) {
    let nodes = &json.document.nodes;
    let end = json.node().next as usize;
    let mut out = String::with_capacity(json.source().len() + 2);
    let mut has_secret = false;
    // (index after the container, its closing character, whether it is an object)
    let mut open: Vec<(usize, char, bool)> = Vec::new();
    let mut at = json.at;
    let mut first = true;
    loop {
        while let Some((until, close, _)) = open.last() {
            if at < *until {
                break;
            }
            out.push(*close);
            open.pop();
            first = false;
        }
        if at >= end {
            return (out, has_secret);
        }
        let within = open.last().map(|(.., is_object)| *is_object);
        if within == Some(true) {
            let key = Json { document: json.document, at };
            if is_secret_at(&key.text().unwrap_or_default(), levels) {
                has_secret = true;
                at = nodes[at + 1].next as usize;
                continue;
            }
        }
        if within.is_some() && !first {
            out.push(',');
        }
        if within == Some(true) {
            write_scalar(&mut out, Json { document: json.document, at });
            out.push(':');
            at += 1;
        }
        let value = Json { document: json.document, at };
        let next = value.node().next as usize;
        match value.node().kind {
            kind @ (Kind::Object | Kind::Array) => {
                let is_object = kind == Kind::Object;
                out.push(if is_object { '{' } else { '[' });
                open.push((next, if is_object { '}' } else { ']' }, is_object));
                first = true;
            }
            // Only with escapes can a text hold a key in quotes.
            Kind::Text { escaped: true } => {
                let text = value.text().unwrap_or_default();
                let rest = cut(&text, levels);
                has_secret |= rest.is_some();
                out.push_str(&quote(rest.as_deref().unwrap_or(&text)));
                first = false;
            }
            _ => {
                write_scalar(&mut out, value);
                first = false;
            }
        }
        at += 1;
    }
}

fn write_scalar(out: &mut String, value: Json<'_>) {
    match value.node().kind {
        Kind::Text { escaped: false } => {
            out.push('"');
            out.push_str(value.source());
            out.push('"');
        }
        Kind::Text { escaped: true } => out.push_str(&quote(&value.text().unwrap_or_default())),
        _ => out.push_str(value.source()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_of(text: &str) -> String {
        redact(Document::parse(text.into()).unwrap().root())
    }

    #[test]
    fn secrets_are_cut_at_any_depth_and_the_rest_is_kept() {
        let text = r#"{"a":[{"wsChannel":{"identity":"i","secret":"s"},"b":1}],"metadata":{"@private":{"x":1},"y":2},"secret":"kept"}"#;
        assert_eq!(shown_of(text), r#"{"a":[{"b":1}],"metadata":{"y":2},"secret":"kept"}"#);
        assert!(has_secret(Document::parse(text.into()).unwrap().root()));
        assert!(!has_secret(Document::parse(r#"{"secret":1}"#.into()).unwrap().root()));
    }

    #[test]
    fn a_key_is_a_secret_however_it_is_spelled() {
        for key in ["@private", "@PRIVATE", "@-pri vate_", "wsChannel", "WS_CHANNEL", "ws-channel", "a.@private.b"] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["private", "@privates", "my@private", "wsChannelId", "ws", "", ".", "@", "@@private"] {
            assert!(!is_secret(key), "{key}");
        }
        // What `may_hold` sees is more than what is a secret.
        assert!(stands_in("@private", "@@pri@private") && stands_in("wschannel", "wws_Channel"));
    }

    #[test]
    fn a_text_that_is_json_stays_a_text() {
        let inner = r#"{"wsChannel":1,"b":"ü"}"#;
        for (text, expected) in [
            (inner.to_owned(), r#"{"b":"ü"}"#.to_owned()),
            (format!("\u{feff} {inner}\n"), r#"{"b":"ü"}"#.to_owned()),
            (format!("[{}]", quote(inner)), r#"["{\"b\":\"ü\"}"]"#.to_owned()),
            (quote(inner), quote(r#"{"b":"ü"}"#)),
            (inner.replace("ws", r"\u0077s"), r#"{"b":"ü"}"#.to_owned()),
            (inner.replace("ws", r"ws\n"), r#"{"b":"ü"}"#.to_owned()),
        ] {
            assert_eq!(without_secrets(Cow::Borrowed(&text)), expected, "{text}");
            assert_eq!(shown_of(&quote(&text)), quote(&expected), "{text}");
        }
        for text in ["{@private}", "about @private", "{\"a\": \"\\n\"}", "\"", "[", "{\"a\":1}"] {
            assert_eq!(without_secrets(Cow::Borrowed(text)), text);
        }
    }

    #[test]
    fn no_depth_hides_a_secret_and_none_costs_the_stack() {
        let secret = r#"{"@private":"hidden","b":1}"#;
        // With each quote and backslash as `\u…` a level more costs a few bytes only: hundreds of levels fit into a body.
        let escaped = |text: &str| text.replace('\\', r"\u005c").replace('"', r"\u0022");
        let mut text = secret.to_owned();
        for level in 1..100 {
            text = format!("[\"{}\"]", escaped(&text));
            if level > LEVELS + 2 && level < 99 {
                continue;
            }
            let shown = shown_of(&text);
            assert!(!shown.contains("hidden") && !shown.contains("private"), "{level}");
            assert_eq!(shown.contains('b'), level <= LEVELS, "{level}: {shown}");
            assert!(has_secret(Document::parse(text.clone().into()).unwrap().root()), "{level}");
        }
        let deep = format!("{}{secret}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(!shown_of(&quote(&deep)).contains("hidden"));
    }

    #[test]
    fn a_body_without_secrets_is_searched_as_it_came() {
        for body in ["{ \"a\": 1 }", "{\"a\": \"\\u00e9\\n\"}", "no JSON"] {
            assert_eq!(shown(body), body);
        }
        assert_eq!(shown(r#"{ "a": "é", "@private": 1 }"#), r#"{"a":"é"}"#);
        assert_eq!(shown("@private, and no JSON"), "null");
    }
}
