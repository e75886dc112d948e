//! JSON as deliveries may hold it: every text the grammar allows, in one flat tape.
//!
//! Parsers that build values refuse legal deliveries (half an emoji as a lone surrogate, `1e999`, deep nesting) and
//! take a hundred times the body in memory. This one walks the text once, without recursion, and keeps 16 bytes a
//! value; the fingerprint and the fold read the same tape, so they see the same one of two equal keys: the last.

mod output;
mod parse;
mod secret;

pub use output::{canonical, quote};
pub use secret::{has_secret, holds_secret, is_secret, redact, redact_member, redact_text, shown, without_secrets};
use std::borrow::Cow;
use std::ops::Range;

/// A parsed text.
#[derive(Debug)]
pub struct Document {
    text: String,
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    True,
    False,
    Number,
    /// `escaped`: a backslash lies in it.
    Text {
        escaped: bool,
    },
    Array,
    Object,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// Bytes of the value; of a text without its quotes.
    start: u32,
    end: u32,
    /// Index of the node after this value and all it holds.
    next: u32,
}

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: expected {expected} at byte {at}")]
pub struct SyntaxError {
    pub expected: &'static str,
    pub at: usize,
}

impl Document {
    /// Checks the grammar (RFC 8259) and keeps the text. Bytes that are no UTF-8, or over 1 GiB, are refused.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, SyntaxError> {
        if bytes.len() > 1 << 30 {
            return Err(SyntaxError { expected: "at most 1 GiB", at: 1 << 30 });
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| SyntaxError { expected: "UTF-8", at: error.utf8_error().valid_up_to() })?;
        let nodes = parse::tape(text.as_bytes())?;
        Ok(Self { text, nodes })
    }

    /// The outermost value.
    pub fn root(&self) -> Json<'_> {
        Json { document: self, at: 0 }
    }

    /// Gives the text back.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The exact text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One value of a document.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a> {
    document: &'a Document,
    at: usize,
}

impl<'a> Json<'a> {
    fn node(self) -> Node {
        self.document.nodes[self.at]
    }

    /// The source text of the value; of a text without its quotes.
    pub fn source(self) -> &'a str {
        let node = self.node();
        &self.document.text[node.start as usize..node.end as usize]
    }

    pub fn is_null(self) -> bool {
        self.node().kind == Kind::Null
    }

    pub fn is_object(self) -> bool {
        self.node().kind == Kind::Object
    }

    pub fn is_array(self) -> bool {
        self.node().kind == Kind::Array
    }

    /// An array or object without anything in it.
    pub fn is_empty(self) -> bool {
        matches!(self.node().kind, Kind::Array | Kind::Object) && self.node().next as usize == self.at + 1
    }

    pub fn bool(self) -> Option<bool> {
        match self.node().kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// The decoded text; U+FFFD for a lone surrogate.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.node().kind {
            Kind::Text { escaped: false } => Some(Cow::Borrowed(self.source())),
            Kind::Text { escaped: true } => Some(Cow::Owned(parse::unescape(self.source()))),
            _ => None,
        }
    }

    /// The source text of a number.
    pub fn number(self) -> Option<&'a str> {
        (self.node().kind == Kind::Number).then(|| self.source())
    }

    /// The member of that name: the last of several. `None` for anything but an object.
    pub fn get(self, name: &str) -> Option<Self> {
        let node = self.node();
        let end = if node.kind == Kind::Object { node.next as usize } else { 0 };
        let (mut at, mut found) = (self.at + 1, None);
        while at < end {
            let key = Json { document: self.document, at };
            let value = Json { document: self.document, at: at + 1 };
            // Hardly a key is escaped: most comparisons need no decoding.
            let same = match key.node().kind {
                Kind::Text { escaped: false } => key.source() == name,
                _ => key.text().is_some_and(|key| key == name),
            };
            if same {
                found = Some(value);
            }
            at = value.node().next as usize;
        }
        found
    }

    /// Members in source order, equal keys and all; none for anything but an object.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let node = self.node();
        let end = if node.kind == Kind::Object { node.next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let key = Json { document: self.document, at }.text()?;
            let value = Json { document: self.document, at: at + 1 };
            at = value.node().next as usize;
            Some((key, value))
        })
    }

    /// The same with the keys as they stand in the text.
    pub fn pairs(self) -> impl Iterator<Item = (Self, Self)> {
        let node = self.node();
        let end = if node.kind == Kind::Object { node.next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let key = (at < end).then_some(Json { document: self.document, at })?;
            let value = Json { document: self.document, at: at + 1 };
            at = value.node().next as usize;
            Some((key, value))
        })
    }

    /// The bytes of the value in the text; of a text with its quotes.
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        let quotes = usize::from(matches!(node.kind, Kind::Text { .. }));
        node.start as usize - quotes..node.end as usize + quotes
    }

    /// Elements in order; none for anything but an array.
    pub fn elements(self) -> impl Iterator<Item = Self> {
        let node = self.node();
        let end = if node.kind == Kind::Array { node.next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let value = Json { document: self.document, at };
            at = value.node().next as usize;
            Some(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, SyntaxError> {
        Document::parse(text.as_bytes().to_vec())
    }

    #[test]
    fn what_the_grammar_allows_is_parsed() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        for text in [
            r#"{"a":"\ud83d"}"#,
            "1e999",
            "-0.5E+7",
            "[]",
            " {} ",
            "\"\\u0000\"",
            "123456789012345678901234567890",
            &deep,
        ] {
            assert!(parse(text).is_ok(), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "nul",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "{a:1}",
            "1 2",
            "+1",
            "\u{feff}{}",
            "]",
            "{\"a\"}",
            "-",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(Document::parse(vec![b'"', 0xff, b'"']).is_err());
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let document = parse(r#"{"a":1,"\u0061":2}"#).unwrap();
        assert_eq!(document.root().get("a").and_then(Json::number), Some("2"));
    }

    #[test]
    fn half_an_emoji_becomes_the_replacement_character() {
        let document = parse(r#"["\ud83d","\ud83d\ude00","\ud83dx","\ude00"]"#).unwrap();
        let texts: Vec<_> = document.root().elements().filter_map(Json::text).collect();
        assert_eq!(texts, ["\u{fffd}", "😀", "\u{fffd}x", "\u{fffd}"]);
    }
}
