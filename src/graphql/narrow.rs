//! Which list of a request to narrow, where the request costs too much.

use super::page::{DEFAULT, LONGEST};
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Request, Value};
use std::convert::Infallible;
use std::fmt::{Display, Formatter};

/// A list whose pages cost the most.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Narrow {
    list: String,
    /// `first` or `last`, where the request passes one.
    told: Option<&'static str>,
    size: usize,
}

impl Display for Narrow {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { list, told, size } = self;
        match told {
            Some(argument) => write!(out, "pass a smaller `{argument}:` to `{list}`"),
            None => write!(out, "pass `first:` to `{list}`, which gives up to {size} items without it"),
        }
    }
}

/// The list to narrow; `None` where the request has no list with pages.
pub(super) fn of(document: &ExecutableDocument, request: &Request) -> Option<Narrow> {
    let named = request.operation_name.as_deref();
    let is_run = |name: Option<&Name>| named.is_none() || named == name.map(Name::as_str);
    let (_, operation) = document.operations.iter().find(|(name, _)| is_run(*name))?;
    let mut search = Search { document, request, operation: &operation.node, path: Vec::new(), heaviest: None };
    search.fields(&operation.node.selection_set.node);
    search.heaviest.map(|(_, narrow)| narrow)
}

struct Search<'a> {
    document: &'a ExecutableDocument,
    request: &'a Request,
    operation: &'a OperationDefinition,
    /// The lists around, the outermost first.
    path: Vec<(&'a Field, usize)>,
    /// With how many fields all its pages together give.
    heaviest: Option<(usize, Narrow)>,
}

impl<'a> Search<'a> {
    /// Looks through a set; how many fields it has outside of lists.
    fn fields(&mut self, set: &'a SelectionSet) -> usize {
        let mut count = 0;
        for selection in &set.items {
            count += match &selection.node {
                Selection::Field(field) if self.is_list(&field.node.selection_set.node) => {
                    self.list(&field.node);
                    1
                }
                Selection::Field(field) => 1 + self.fields(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => self.fields(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                    fragment.map_or(0, |fragment| self.fields(&fragment.node.selection_set.node))
                }
            };
        }
        count
    }

    fn list(&mut self, field: &'a Field) {
        let size = self.size(field).map_or(DEFAULT, |(_, size)| size).min(LONGEST.get());
        self.path.push((field, size));
        let inside = self.fields(&field.selection_set.node);
        let weight = self.path.iter().fold(inside, |weight, (_, size)| weight.saturating_mul(*size));
        if self.heaviest.as_ref().is_none_or(|(heaviest, _)| weight > *heaviest) {
            // Of equal ones the last, which is the innermost.
            let longest = self.path.iter().max_by_key(|(_, size)| *size);
            self.heaviest = longest.map(|&(field, size)| {
                let told = self.size(field).map(|(argument, _)| argument);
                (weight, Narrow { list: field.name.node.to_string(), told, size })
            });
        }
        self.path.pop();
    }

    /// The size of a page that an argument tells.
    fn size(&self, field: &Field) -> Option<(&'static str, usize)> {
        ["first", "last"].into_iter().find_map(|argument| {
            let given = &field.get_argument(argument)?.node;
            let value = given.clone().into_const_with(|name| Ok::<_, Infallible>(self.variable(&name))).ok()?;
            let Value::Number(size) = value else { return None };
            Some((argument, usize::try_from(size.as_u64()?).ok()?))
        })
    }

    fn variable(&self, name: &Name) -> Value {
        let told = self.request.variables.get(name).cloned();
        let definition = || self.operation.variable_definitions.iter().find(|it| it.node.name.node == *name);
        told.or_else(|| Some(definition()?.node.default_value()?.clone())).unwrap_or_default()
    }

    /// Whether a set is that of a list with pages.
    fn is_list(&self, set: &SelectionSet) -> bool {
        set.items.iter().any(|selection| match &selection.node {
            Selection::Field(field) => matches!(field.node.name.node.as_str(), "nodes" | "edges"),
            Selection::InlineFragment(fragment) => self.is_list(&fragment.node.selection_set.node),
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                fragment.is_some_and(|fragment| self.is_list(&fragment.node.selection_set.node))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::Variables;
    use async_graphql::parser::parse_query;
    use serde_json::json;

    #[test]
    fn the_list_that_weighs_most_is_named_and_of_equal_ones_the_innermost() {
        let told = |query: &str, variables: serde_json::Value| {
            let request = Request::new(query).variables(Variables::from_json(variables));
            of(&parse_query(query).unwrap(), &request).map(|narrow| narrow.to_string()).unwrap_or_default()
        };
        for (query, variables, names) in [
            (
                "{groups{nodes{members{nodes{user{name}}}}}}",
                json!({}),
                "pass `first:` to `members`, which gives up to 50",
            ),
            (
                "{groups(first:200){nodes{members(first:50){nodes{uid}}}}}",
                json!({}),
                "pass a smaller `first:` to `groups`",
            ),
            (
                "{groups{nodes{m:members(last:150){edges{node{uid}}}}}}",
                json!({}),
                "pass a smaller `last:` to `members`",
            ),
            (
                "query($n:Int){users(first:$n){nodes{uid}} calls{nodes{a b}}}",
                json!({"n": 200}),
                "smaller `first:` to `users`",
            ),
            ("query($n:Int){users(first:$n){nodes{uid}} calls{nodes{a b}}}", json!({}), "`first:` to `calls`"),
            (
                "query($n:Int=199){users(first:$n){nodes{uid}} calls{nodes{a b}}}",
                json!({}),
                "smaller `first:` to `users`",
            ),
            ("{groups{...G}} fragment G on GroupConnection{nodes{guid}}", json!({}), "`first:` to `groups`"),
            ("{a:apps{activity{days{messages}}}}", json!({}), ""),
        ] {
            assert!(told(query, variables.clone()).contains(names), "{query}: {}", told(query, variables));
        }
    }

    #[test]
    fn the_operation_that_is_run_is_the_one_that_is_weighed() {
        let query = "query A{users{nodes{uid}}} query B{calls{nodes{a b c}}}";
        let mut request = Request::new(query);
        request.operation_name = Some("A".to_owned());
        assert_eq!(of(&parse_query(query).unwrap(), &request).unwrap().list, "users");
    }
}
