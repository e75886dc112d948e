//! Documents that were parsed and checked, kept by their text. What depends on the text alone is checked once; what
//! depends on variables is checked once for each shape of them.

use super::written::write;
use async_graphql::parser::types::{BaseType, ExecutableDocument, Selection, SelectionSet, VariableDefinition};
use async_graphql::{Name, Request, Value};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of texts, and how many documents, that the younger half keeps. A parsed document takes some fifty times its text.
const BYTES: usize = 256 << 10;
const DOCUMENTS: usize = 256;
/// Shapes of variables kept for a document, and bytes of one.
const SHAPES: usize = 8;
const SHAPE_BYTES: usize = 512;

/// A document within the limits of its text.
pub(super) struct Document {
    pub parsed: ExecutableDocument,
    /// No selection set names a field twice: an object can be written before the ones beside it are known.
    pub keys_are_distinct: bool,
    /// Variables that are nothing but texts: which text does not matter to any check.
    texts: HashSet<Name>,
    /// What a request costs, by the shape of its variables; only of those that passed every check.
    costs: Mutex<HashMap<String, usize>>,
}

impl Document {
    pub(super) fn new(parsed: ExecutableDocument) -> Self {
        let sets = parsed.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
        let keys_are_distinct = sets.into_iter().all(|set| are_distinct(&parsed, set));
        let definitions = || parsed.operations.iter().flat_map(|(_, it)| &it.node.variable_definitions);
        let others: HashSet<&Name> =
            definitions().filter(|it| !is_text(&it.node)).map(|it| &it.node.name.node).collect();
        let names = definitions().map(|it| &it.node.name.node);
        let texts = names.filter(|name| !others.contains(name)).cloned().collect();
        Self { keys_are_distinct, texts, costs: Mutex::default(), parsed }
    }

    /// The cost of a request that passed every check before, with variables of the same shape.
    pub(super) fn cost(&self, shape: &str) -> Option<usize> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner).get(shape).copied()
    }

    /// Keeps the cost of a request that passed every check.
    pub(super) fn passed(&self, shape: String, cost: usize) {
        if shape.len() > SHAPE_BYTES {
            return;
        }
        let mut costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        if costs.len() >= SHAPES {
            costs.clear();
        }
        costs.insert(shape, cost);
    }

    /// All of a request that its checks depend on, beside the document: the operation, and the variables without the
    /// words of texts.
    pub(super) fn shape(&self, request: &Request) -> String {
        let mut shape = Vec::new();
        write(&request.operation_name.as_deref().map_or(Value::Null, Value::from), &mut shape);
        for (name, value) in request.variables.iter() {
            write(&Value::from(name.as_str()), &mut shape);
            match value {
                Value::String(_) if self.texts.contains(name) => shape.push(b't'),
                value => write(value, &mut shape),
            }
        }
        String::from_utf8(shape).unwrap_or_default()
    }
}

fn is_text(definition: &VariableDefinition) -> bool {
    matches!(&definition.var_type.node.base, BaseType::Named(name) if name == "String" || name == "ID")
}

/// Whether no field stands twice in the set or in one below, fragments expanded: whatever types they are for.
fn are_distinct(document: &ExecutableDocument, set: &SelectionSet) -> bool {
    let mut keys = HashSet::new();
    expand(document, set, &mut keys)
}

fn expand<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, keys: &mut HashSet<&'a str>) -> bool {
    set.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => {
            keys.insert(field.node.response_key().node.as_str())
                && are_distinct(document, &field.node.selection_set.node)
        }
        Selection::InlineFragment(fragment) => expand(document, &fragment.node.selection_set.node, keys),
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node);
            fragment.is_none_or(|fragment| expand(document, &fragment.node.selection_set.node, keys))
        }
    })
}

/// The documents asked for lately. Two halves: what is asked for moves to the younger one; when that is full, it becomes
/// the older one, and what nobody asked for since is gone.
#[derive(Default)]
pub(super) struct Prepared {
    halves: Mutex<Halves>,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Arc<str>, Arc<Document>>,
    old: HashMap<Arc<str>, Arc<Document>>,
    /// Bytes of the texts of the younger half.
    bytes: usize,
}

impl Prepared {
    pub(super) fn find(&self, text: &str) -> Option<Arc<Document>> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = halves.young.get(text) {
            return Some(Arc::clone(known));
        }
        let (text, known) = halves.old.remove_entry(text)?;
        halves.keep(text, Arc::clone(&known));
        Some(known)
    }

    pub(super) fn keep(&self, text: &str, document: Arc<Document>) {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner).keep(text.into(), document);
    }
}

impl Halves {
    fn keep(&mut self, text: Arc<str>, document: Arc<Document>) {
        if self.bytes + text.len() > BYTES || self.young.len() >= DOCUMENTS {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        let length = text.len();
        if self.young.insert(text, document).is_none() {
            self.bytes += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::Variables;
    use async_graphql::parser::parse_query;
    use serde_json::json;

    fn document(text: &str) -> Document {
        Document::new(parse_query(text).unwrap())
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_asked_for_stays() {
        let prepared = Prepared::default();
        let text = |n: usize| format!("{{a{n}}}");
        let keep = |n| prepared.keep(&text(n), Arc::new(document(&text(n))));
        keep(0);
        for n in 1..5 * DOCUMENTS {
            keep(n);
            assert!(prepared.find(&text(0)).is_some(), "after {n}");
        }
        assert!(prepared.find(&text(1)).is_none());
        for n in 0..20 {
            prepared.keep(&format!("{n}{}", " ".repeat(BYTES / 4)), Arc::new(document("{a}")));
        }
        let halves = prepared.halves.lock().unwrap();
        assert!(halves.young.len() <= 4 && halves.old.len() <= 4 && halves.bytes <= BYTES);
    }

    #[test]
    fn a_shape_leaves_out_the_words_of_texts_and_nothing_else() {
        let document = document("query($a: ID!, $b: String, $c: [ID!], $d: Int, $e: Order, $f: DateTime) {x}");
        let shape = |variables: serde_json::Value, operation: Option<&str>| {
            let mut request = Request::new("").variables(Variables::from_json(variables));
            request.operation_name = operation.map(str::to_owned);
            document.shape(&request)
        };
        let of = |variables| shape(variables, None);
        assert_eq!(of(json!({"a": "1", "b": "x"})), of(json!({"a": "22", "b": "t"})));
        for (one, other) in [
            (json!({"a": "1"}), json!({"a": 1})),
            (json!({"a": "1"}), json!({"b": "1"})),
            (json!({"a": null}), json!({})),
            (json!({"c": ["1"]}), json!({"c": ["1", "2"]})),
            (json!({"d": 1}), json!({"d": 2})),
            (json!({"e": "UP"}), json!({"e": "DOWN"})),
            (json!({"f": "2026-01-05T09:30:00Z"}), json!({"f": "never"})),
            (json!({"a": "1", "other": "1"}), json!({"a": "1", "other": "2"})),
            (json!({"a\"t\"b": "1"}), json!({"a": "1", "b": "1"})),
        ] {
            assert_ne!(of(one.clone()), of(other.clone()), "{one} {other}");
        }
        assert_ne!(shape(json!({}), Some("A")), shape(json!({}), None));
        assert_ne!(shape(json!({}), Some("A")), shape(json!({}), Some("B")));
    }

    #[test]
    fn a_field_that_is_selected_twice_is_seen_wherever_it_stands() {
        for (text, distinct) in [
            ("{a b{a b}}", true),
            ("{a a:b}", false),
            ("{a{b} c{d ...{d}}}", false),
            ("{a{b} ...F} fragment F on Query {a{c}}", false),
            ("{a{b} ...F} fragment F on Query {c{b}}", true),
            ("query A {a} query B {b{a a}}", false),
        ] {
            assert_eq!(document(text).keys_are_distinct, distinct, "{text}");
        }
    }
}
