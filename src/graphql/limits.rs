//! What a request may cost. Counted before it runs: the document is small, what it expands to need not be.

use super::error::Code;
use super::page::MOST;
use crate::chat::Unread;
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{Name, Positioned, ServerError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The limits of a request, what it counts as unread, and what it shows of private data. All are settings.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the document.
    pub document_bytes: usize,
    /// Tokens of the document.
    pub tokens: usize,
    /// Selections with every fragment expanded.
    pub selections: u64,
    /// Nesting of fields.
    pub depth: u64,
    /// Cost, page sizes counted.
    pub complexity: usize,
    /// Aliases in the document.
    pub aliases: u64,
    /// Root fields.
    pub root_fields: u64,
    /// Directives on one field.
    pub directives: usize,
    /// Time of the whole request.
    pub timeout: Duration,
    /// Read connections, which is how many requests run at once.
    pub pool: u32,
    /// Bytes of pages that each of them keeps in memory.
    pub page_cache: usize,
    /// Rows that are read, those that do not fit a filter too.
    pub rows: u64,
    /// Bytes of texts that these rows bring into memory.
    pub bytes: u64,
    /// Bytes of the answer.
    pub answer_bytes: usize,
    /// Items of one page.
    pub page: usize,
    /// Whether the schema may be asked for.
    pub introspection: bool,
    /// Longest wait for a log position asked for.
    pub wait: Duration,
    /// Subscribers at once, by websocket or by events.
    pub subscribers: usize,
    /// Of them, those of one token.
    pub subscribers_per_token: usize,
    /// Operations at once on one websocket.
    pub operations: usize,
    /// What `unreadCount` and `unreadBy` count.
    pub unread: Unread,
    /// Keys of private data that `User.private` shows.
    pub show_private: Arc<[String]>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 16 << 10,
            tokens: 4_000,
            selections: 2_000,
            depth: 12,
            complexity: 10_000,
            aliases: 30,
            root_fields: 20,
            directives: 5,
            timeout: Duration::from_secs(2),
            pool: 8,
            page_cache: 16 << 20,
            rows: 300_000,
            bytes: 32 << 20,
            answer_bytes: 4 << 20,
            page: MOST,
            introspection: true,
            wait: Duration::from_secs(1),
            subscribers: 1_000,
            subscribers_per_token: 100,
            operations: 20,
            unread: Unread::default(),
            show_private: Arc::from([]),
        }
    }
}

/// Introspection nests deeper than data, and is no deeper than this.
pub(super) const INTROSPECTION_DEPTH: u64 = 15;
/// Brackets within brackets, those of values among them: the parser goes down a level of the stack for each.
const NESTING: usize = 64;

impl Limits {
    /// Before the document is parsed.
    pub(super) fn check_text(&self, document: &str) -> Result<(), ServerError> {
        if document.len() > self.document_bytes {
            return Err(too_much("the document has", document.len() as u64, self.document_bytes as u64, "bytes"));
        }
        let (tokens, nesting) = tokens(document);
        if tokens > self.tokens {
            return Err(too_much("the document has", tokens as u64, self.tokens as u64, "tokens"));
        }
        if nesting > NESTING {
            return Err(too_much("the document has", nesting as u64, NESTING as u64, "brackets within brackets"));
        }
        Ok(())
    }

    /// Before the document is executed. Fragments count whether used or not.
    pub(super) fn check(&self, document: &ExecutableDocument) -> Result<(), ServerError> {
        let mut measure = Measure { document, fragments: HashMap::new(), aliases: 0, directives: 0 };
        let mut all = Size::default();
        for (_, operation) in document.operations.iter() {
            let size = measure.set(&operation.node.selection_set);
            // The library would follow the first and drop the others.
            if operation.node.ty == OperationType::Subscription && size.roots > 1 {
                return Err(Code::BadInput.server_error("a subscription has one root field: open one for each"));
            }
            all = all.beside(size);
        }
        for name in document.fragments.keys() {
            let size = measure.fragment(name);
            all.selections = all.selections.saturating_add(size.selections);
        }
        let counts = [
            (all.selections, self.selections, "selections, fragments expanded"),
            (measure.aliases, self.aliases, "aliases"),
            (all.roots, self.root_fields, "root fields"),
            (all.depth, self.depth, "levels of fields"),
            (all.introspection, INTROSPECTION_DEPTH, "levels of introspection"),
            (measure.directives, self.directives as u64, "directives on one field"),
        ];
        // `__typename` alone is one level.
        if !self.introspection && all.introspection > 1 {
            return Err(
                Code::Forbidden.server_error("the schema may not be asked for here: `chatfold schema` prints it")
            );
        }
        match counts.into_iter().find(|(count, most, _)| count > most) {
            Some((count, most, what)) => Err(too_much("the query has", count, most, what)),
            None => Ok(()),
        }
    }
}

fn too_much(who: &str, count: u64, most: u64, what: &str) -> ServerError {
    let count = if count == u64::MAX { "too many".to_owned() } else { count.to_string() };
    Code::TooComplex.server_error(format!("{who} {count} {what}: at most {most} are answered"))
}

/// How many punctuators, names, numbers and strings there are, and how deep brackets nest.
fn tokens(document: &str) -> (usize, usize) {
    let (mut count, mut open, mut deepest) = (0, 0usize, 0);
    let mut rest = document.as_bytes();
    while let Some(&first) = rest.first() {
        let length = match first {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = &rest[1..];
                continue;
            }
            b'#' => {
                rest = &rest[rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())..];
                continue;
            }
            b'"' => string(rest),
            byte if byte == b'_' || byte.is_ascii_alphanumeric() => {
                rest.iter().position(|byte| *byte != b'_' && !byte.is_ascii_alphanumeric()).unwrap_or(rest.len())
            }
            b'{' | b'[' | b'(' => {
                open += 1;
                deepest = deepest.max(open);
                1
            }
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                1
            }
            _ => 1,
        };
        count += 1;
        rest = &rest[length.min(rest.len())..];
    }
    (count, deepest)
}

/// Length of the string at the start; an unclosed one takes the rest.
fn string(text: &[u8]) -> usize {
    // In a block string a backslash means something before three quotes only.
    let block = text.starts_with(b"\"\"\"");
    let (quote, escaped, escape): (&[u8], &[u8], _) =
        if block { (b"\"\"\"", b"\\\"\"\"", 4) } else { (b"\"", b"\\", 2) };
    let mut at = quote.len();
    while at < text.len() {
        if text[at..].starts_with(escaped) {
            at += escape;
        } else if text[at..].starts_with(quote) {
            return at + quote.len();
        } else {
            at += 1;
        }
    }
    text.len()
}

/// What a selection set expands to.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    selections: u64,
    depth: u64,
    introspection: u64,
    roots: u64,
}

impl Size {
    /// More than anything allowed: a cycle.
    const ENDLESS: Self = Self { selections: u64::MAX, depth: u64::MAX, introspection: u64::MAX, roots: u64::MAX };

    fn beside(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            depth: self.depth.max(other.depth),
            introspection: self.introspection.max(other.introspection),
            roots: self.roots.saturating_add(other.roots),
        }
    }
}

/// Each fragment is measured once, so the time is linear in the document.
struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// `None` while it is being measured: meeting it again is a cycle.
    fragments: HashMap<&'a Name, Option<Size>>,
    aliases: u64,
    directives: u64,
}

impl<'a> Measure<'a> {
    fn set(&mut self, set: &'a Positioned<SelectionSet>) -> Size {
        let mut all = Size::default();
        for selection in &set.node.items {
            let size = match &selection.node {
                Selection::Field(field) => {
                    self.aliases += u64::from(field.node.alias.is_some());
                    self.directives = self.directives.max(field.node.directives.len() as u64);
                    let inner = self.set(&field.node.selection_set);
                    let depth = inner.depth.max(inner.introspection).saturating_add(1);
                    let own = field.node.name.node.starts_with("__");
                    Size {
                        selections: inner.selections.saturating_add(1),
                        depth: if own { 0 } else { depth },
                        introspection: if own { depth } else { 0 },
                        roots: 1,
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let inner = self.set(&fragment.node.selection_set);
                    Size { selections: inner.selections.saturating_add(1), ..inner }
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            };
            all = all.beside(size);
        }
        all
    }

    fn fragment(&mut self, name: &Name) -> Size {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Size::default();
        };
        match self.fragments.get(name) {
            Some(Some(size)) => return *size,
            Some(None) => return Size::ENDLESS,
            None => {}
        }
        self.fragments.insert(name, None);
        let size = self.set(&fragment.node.selection_set);
        self.fragments.insert(name, Some(size));
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::{corpus, fuzz, within};
    use async_graphql::parser::parse_query;

    /// Fields that a set expands to, counted one by one and no further than it matters.
    fn fields(document: &ExecutableDocument, set: &SelectionSet, depth: u32, left: &mut u64) {
        for selection in &set.items {
            if *left == 0 || depth == 0 {
                *left = 0;
                return;
            }
            let inner = match &selection.node {
                Selection::Field(field) => {
                    *left -= 1;
                    Some(&field.node.selection_set)
                }
                Selection::InlineFragment(fragment) => Some(&fragment.node.selection_set),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    document.fragments.get(name).map(|fragment| &fragment.node.selection_set)
                }
            };
            inner.into_iter().for_each(|inner| fields(document, &inner.node, depth - 1, left));
        }
    }

    #[test]
    fn brackets_nest_as_the_parser_sees_them() {
        for (document, nesting) in [
            ("{a(b: [[{c: \"[[[\"}]]) # {{{\n}", 5),
            (r#"{a(b: """\""" {{{ """) c(d: [1])}"#, 3),
            (r#"{a(b: "\" {{{ ") c(d: [1])}"#, 3),
            ("}}}{{", 2),
        ] {
            assert_eq!(tokens(document).1, nesting, "{document}");
        }
    }

    #[test]
    fn whatever_is_asked_the_check_is_quick_and_nothing_large_passes() {
        let limits = Limits::default();
        let seeds = corpus(&["corpus/graphql"]);
        fuzz("GraphQL check", &seeds, 8, |documents| {
            for document in documents {
                let text = String::from_utf8_lossy(document);
                let passed = within(Duration::from_secs(2), "a check", || {
                    limits.check_text(&text).ok()?;
                    let document = parse_query(&*text).ok()?;
                    limits.check(&document).is_ok().then_some(document)
                });
                let Some(document) = passed else { continue };
                let mut left = limits.selections + 1;
                for (_, operation) in document.operations.iter() {
                    fields(&document, &operation.node.selection_set.node, 1_000, &mut left);
                }
                assert!(left > 0, "more than {} fields pass: {text}", limits.selections);
            }
        });
    }
}
