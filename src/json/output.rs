//! What leaves a document: a text, quoted, and the canonical stream that is hashed.

use super::{Document, Json, Kind};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Deeper than this the canonical walk gives up; no fact of CometChat's nests so deep.
const DEPTH: usize = 256;

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
