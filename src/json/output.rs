//! What leaves a document: without its secrets, or as one canonical stream.

use super::{Document, Json, Kind};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Deeper than this the canonical walk gives up; no fact of CometChat's nests so deep.
const DEPTH: usize = 256;

/// Secrets by law 9: `@private` anywhere, and `secret` directly inside `wsChannel`.
fn is_secret(parent: &str, key: &str) -> bool {
    key == "@private" || (key == "secret" && parent == "wsChannel")
}

/// Whether a secret lies anywhere in the value.
pub fn has_secret(json: Json<'_>) -> bool {
    let document = json.document;
    if !document.text.contains("private") && !document.text.contains("secret") && !document.text.contains('\\') {
        return false;
    }
    redact(json).len() != write(json, "", |_, _| false).len()
}

/// The value as compact JSON without secrets; texts with escapes are written anew, half emoji as U+FFFD.
pub fn redact(json: Json<'_>) -> String {
    write(json, "", is_secret)
}

/// The same for a text that may be no JSON at all: then null.
pub fn redact_text(text: &str) -> String {
    Document::parse(text.as_bytes().to_vec()).map_or_else(|_| "null".to_owned(), |document| redact(document.root()))
}

/// The same for a value that stands under `key`; `None` where it is a secret itself.
pub fn redact_member(key: &str, json: Json<'_>) -> Option<String> {
    (!is_secret("", key)).then(|| write(json, key, is_secret))
}

/// Writes without recursion: `closing` holds the containers still open, innermost last.
fn write(json: Json<'_>, under: &str, skip: impl Fn(&str, &str) -> bool) -> String {
    let nodes = &json.document.nodes;
    let end = json.node().next as usize;
    let mut out = String::with_capacity(json.source().len() + 2);
    // (index after the container, its closing character, whether it is an object, the key it stands under)
    let mut closing: Vec<(usize, char, bool, Cow<'_, str>)> = Vec::new();
    let mut key: Cow<'_, str> = Cow::Borrowed(under);
    let mut at = json.at;
    let mut first = true;
    loop {
        while let Some((until, close, ..)) = closing.last() {
            if at < *until {
                break;
            }
            out.push(*close);
            closing.pop();
            first = false;
        }
        if at >= end {
            return out;
        }
        if let Some((_, _, true, parent)) = closing.last() {
            let name = Json { document: json.document, at };
            let decoded = name.text().unwrap_or_default();
            if skip(parent, &decoded) {
                at = nodes[at + 1].next as usize;
                continue;
            }
            if !first {
                out.push(',');
            }
            write_scalar(&mut out, name);
            out.push(':');
            key = decoded;
            at += 1;
        } else if let Some((_, _, _, parent)) = closing.last() {
            // What stands in a list stands under the list's key.
            key = parent.clone();
            if !first {
                out.push(',');
            }
        }
        let value = Json { document: json.document, at };
        match value.node().kind {
            Kind::Object => {
                out.push('{');
                closing.push((value.node().next as usize, '}', true, std::mem::take(&mut key)));
                first = true;
            }
            Kind::Array => {
                out.push('[');
                closing.push((value.node().next as usize, ']', false, std::mem::take(&mut key)));
                first = true;
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

/// A text as JSON.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Feeds the value, in one form for all spellings of the same facts, to `feed`: keys sorted by decoded text, the last
/// of doubled keys, texts decoded, numbers by their source text. Top-level members named in `without` are left out.
/// False where the walk fails: the caller then takes the raw bytes.
pub fn canonical(document: &Document, without: &[&str], feed: &mut impl FnMut(&[u8])) -> bool {
    walk(document.root(), without, DEPTH, feed)
}

fn walk(json: Json<'_>, without: &[&str], depth: usize, feed: &mut impl FnMut(&[u8])) -> bool {
    if depth == 0 {
        return false;
    }
    match json.node().kind {
        Kind::Object => {
            let members: BTreeMap<Cow<'_, str>, Json<'_>> =
                json.members().filter(|(key, _)| !without.contains(&key.as_ref())).collect();
            feed(b"{");
            for (key, value) in members {
                text(&key, feed);
                if !walk(value, &[], depth - 1, feed) {
                    return false;
                }
            }
            feed(b"}");
        }
        Kind::Array => {
            feed(b"[");
            for element in json.elements() {
                if !walk(element, &[], depth - 1, feed) {
                    return false;
                }
            }
            feed(b"]");
        }
        Kind::Text { .. } => {
            let decoded = json.text().unwrap_or_default();
            text(&decoded, feed);
            // Two different halves of an emoji decode alike.
            if decoded.contains('\u{fffd}') {
                text(json.source(), feed);
            }
        }
        _ => {
            feed(json.source().as_bytes());
            feed(b",");
        }
    }
    true
}

/// Length first, so that no text can pass for structure.
fn text(text: &str, feed: &mut impl FnMut(&[u8])) {
    feed(b"\"");
    feed(&(text.len() as u64).to_le_bytes());
    feed(text.as_bytes());
}
