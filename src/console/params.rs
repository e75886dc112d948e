//! What a page was asked: its query string, and what that means to the variables of a document.

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{BaseType, ExecutableDocument, Type};
use serde_json::{Map, Value};

/// Longest query string that is looked at: ids may be long, and are written three times as long.
const LONGEST: usize = 64 << 10;

/// Names and values of a query string, in its order; those without a value are left out, as a form sends them.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string.
    pub fn parse(query: &str) -> Self {
        let query = query.get(..LONGEST).unwrap_or(query);
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The same parameters with one set, or taken out.
    pub fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut all: Vec<_> = self.0.iter().filter(|(known, _)| known != name).cloned().collect();
        all.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        Self(all)
    }

    /// The address of a path with these parameters.
    pub fn href(&self, path: &str) -> String {
        super::view::href(path, self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The variables that a document declares, as far as they are given.
    pub fn variables(&self, document: &str) -> Map<String, Value> {
        let mut variables = Map::new();
        let Ok(ExecutableDocument { operations, .. }) = parse_query(document) else { return variables };
        for (_, operation) in operations.iter() {
            for definition in &operation.node.variable_definitions {
                let name = definition.node.name.node.as_str();
                let given: Vec<&str> =
                    self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
                if !given.is_empty() {
                    variables.insert(name.to_owned(), read(&definition.node.var_type.node, &given));
                }
            }
        }
        variables
    }
}

fn read(kind: &Type, given: &[&str]) -> Value {
    match &kind.base {
        BaseType::List(inner) => given.iter().map(|value| read(inner, &[value])).collect(),
        BaseType::Named(name) => {
            let text = given.first().copied().unwrap_or_default();
            match name.as_str() {
                "Int" => text.parse::<i64>().map_or_else(|_| text.into(), Into::into),
                "Boolean" => matches!(text, "true" | "on" | "1").into(),
                "DateTime" => instant(text).into(),
                _ => text.into(),
            }
        }
    }
}

/// A form's field of date and time names no zone: the console means UTC, and says so.
fn instant(text: &str) -> String {
    let has_time = text.as_bytes().get(10) == Some(&b'T');
    // `None` where a letter lies across that place: no time, which the API refuses.
    let names_no_zone = |rest: &str| !rest.ends_with('Z') && !rest.contains(['+', '-']);
    match text.len() {
        16 if has_time => format!("{text}:00Z"),
        19.. if has_time && text.get(19..).is_some_and(names_no_zone) => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_query_string_is_the_variables_that_the_document_declares() {
        let document =
            "query($guid: String!, $first: Int, $asOf: DateTime, $deep: Boolean, $states: [State!]) { __typename }";
        let params =
            Params::parse("guid=a%2Fb&first=20&asOf=2026-01-05T09:30&deep=on&states=LEFT&states=BANNED&other=1&empty=");
        assert_eq!(
            Value::Object(params.variables(document)),
            json!({ "guid": "a/b", "first": 20, "asOf": "2026-01-05T09:30:00Z", "deep": true, "states": ["LEFT", "BANNED"] })
        );
    }

    #[test]
    fn what_is_no_time_is_left_to_the_api_to_refuse() {
        for text in ["", "now", "2026-01-05", "ééééééééé", "2026-01-05T09:30:00+01:00", "2026-01-05T09:30:00.5Z"]
        {
            assert_eq!(instant(text), text);
        }
        assert_eq!(instant("2026-01-05T09:30:00.250"), "2026-01-05T09:30:00.250Z");
    }

    #[test]
    fn a_letter_cut_in_two_is_no_time() {
        assert_eq!(instant("2026-01-05T09:30:0é"), "2026-01-05T09:30:0é");
        assert_eq!(instant("2026-01-05T09:30:0é+01:00"), "2026-01-05T09:30:0é+01:00");
        let whole = "2026-01-05T09:30:00.250+01:00";
        for (at, length) in (0..whole.len()).flat_map(|at| (0..3).map(move |length| (at, length))) {
            let text = format!("{}😀{}", &whole[..at], whole.get(at + length..).unwrap_or_default());
            assert!(instant(&text).starts_with(&text), "{text}");
        }
    }
}
