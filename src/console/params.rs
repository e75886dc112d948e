//! What a page was asked: its query string, and what that means to the variables of a document.

use super::zone::Zone;
use crate::clock;
use crate::ids::Time;
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

    /// Names and values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same parameters with one set, or taken out.
    pub fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut all: Vec<_> = self.0.iter().filter(|(known, _)| known != name).cloned().collect();
        all.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        Self(all)
    }

    /// The address of a path with these parameters.
    pub fn href(&self, path: &str) -> String {
        super::view::href(path, self.pairs())
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
                    variables.insert(name.to_owned(), self.read(name, &definition.node.var_type.node, &given));
                }
            }
        }
        variables
    }

    /// The variables that a document needs and that are not given, each with an empty value.
    pub fn missing(&self, document: &str) -> Vec<(String, String)> {
        let Ok(ExecutableDocument { operations, .. }) = parse_query(document) else { return Vec::new() };
        let defined = operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
        let needed = defined.filter(|it| !it.node.var_type.node.nullable && it.node.default_value.is_none());
        let names = needed.map(|it| it.node.name.node.to_string());
        names.filter(|name| self.get(name).is_none()).map(|name| (name, String::new())).collect()
    }

    /// The instant that a parameter names: by itself, or as a field of date and time of a form.
    pub fn instant(&self, name: &str) -> Option<Time> {
        Time::parse(&self.exact(name, self.get(name)?))
    }

    fn read(&self, name: &str, kind: &Type, given: &[&str]) -> Value {
        match &kind.base {
            BaseType::List(inner) => given.iter().map(|value| self.read(name, inner, &[value])).collect(),
            BaseType::Named(kind) => {
                let text = given.first().copied().unwrap_or_default();
                match kind.as_str() {
                    "Int" => text.parse::<i64>().map_or_else(|_| text.into(), Into::into),
                    "Boolean" => matches!(text, "true" | "on" | "1").into(),
                    "DateTime" => self.exact(name, text).into(),
                    _ => text.into(),
                }
            }
        }
    }

    /// A form's field of date and time names no zone: the form names it beside, and means UTC if it does not. What is no
    /// time stays as it is, for the API to refuse.
    fn exact(&self, name: &str, text: &str) -> String {
        let zone = self.get("zone").and_then(Zone::named).unwrap_or_default();
        if let Some(at) = back(text, &zone) {
            return at.rfc3339();
        }
        let names_a_zone = text.get(10..).is_none_or(|rest| rest.contains(['Z', 'z', '+', '-', '[']));
        if names_a_zone && text.len() != 10 {
            return text.to_owned();
        }
        let later = self.get(&format!("{name}Hour")) == Some("second");
        zone.instant(text, later).map_or_else(|| text.to_owned(), Time::rfc3339)
    }
}

/// An instant that is told from now on backwards: `1h`, `7d`, `today`, which begins at midnight.
fn back(text: &str, zone: &Zone) -> Option<Time> {
    let now = clock::now();
    if text == "today" {
        let (date, _) = zone.day(&now.rfc3339())?;
        return zone.instant(&date, false);
    }
    let hours = |unit: char| text.strip_suffix(unit)?.parse::<u16>().ok().map(i64::from);
    let hours = hours('h').or_else(|| hours('d').map(|days| days * 24))?;
    Some(Time(now.0 - hours * 3_600_000).second())
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

    fn instant(text: &str) -> String {
        Params::default().exact("asOf", text)
    }

    #[test]
    fn a_field_is_read_in_the_zone_that_its_form_names() {
        let at = |query: &str| Params::parse(query).instant("asOf").map(Time::rfc3339).unwrap_or_default();
        assert_eq!(at("asOf=2026-01-09T11:30"), "2026-01-09T11:30:00Z");
        assert_eq!(at("asOf=2026-01-09T11:30&zone=America/New_York"), "2026-01-09T16:30:00Z");
        assert_eq!(at("asOf=2026-01-09T11:30Z&zone=America/New_York"), "2026-01-09T11:30:00Z", "it names its own");
        assert_eq!(at("asOf=2026-11-01T01:30&zone=America/New_York"), "2026-11-01T05:30:00Z");
        assert_eq!(at("asOf=2026-11-01T01:30&asOfHour=second&zone=America/New_York"), "2026-11-01T06:30:00Z");
        assert_eq!(at("asOf=2026-01-09&zone=America/New_York"), "2026-01-09T05:00:00Z", "a day begins at midnight");
    }

    #[test]
    fn an_instant_is_told_from_now_backwards() {
        let at = |query: &str| Params::parse(query).instant("asOf").unwrap();
        let ago = |query: &str| (clock::now().0 - at(query).0) / 3_600_000;
        assert_eq!([ago("asOf=1h"), ago("asOf=24h"), ago("asOf=7d")], [1, 24, 168]);
        assert!(ago("asOf=today") < 24 && at("asOf=today").rfc3339().ends_with("T00:00:00Z"));
        assert_eq!(instant("-1h"), "-1h");
    }

    #[test]
    fn what_is_no_time_is_left_to_the_api_to_refuse() {
        for text in ["", "now", "2026-01", "ééééé", "ééééééééé", "2026-01-05T09:30:00+01:00", "2026-01-05T09:30:00.5Z"]
        {
            assert_eq!(instant(text), text);
        }
        assert_eq!(instant("2026-01-05T09:30:00.250"), "2026-01-05T09:30:00.25Z");
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
