//! The lists of a page to take away: as JSON, as the API answers it, and as CSV, a row for each item.

use crate::csv;
use serde_json::{Map, Value};

/// Lists inside of lists are left to the list itself.
const DEPTH: usize = 4;

/// The lists of an answer, by their paths: `group.members`.
pub fn tables(data: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(data, &mut Vec::new(), &mut found);
    found
}

fn walk<'a>(value: &'a Value, path: &mut Vec<&'a str>, found: &mut Vec<String>) {
    let Value::Object(members) = value else { return };
    if let Some(nodes) = members.get("nodes").and_then(Value::as_array) {
        // A list that says neither where it goes on nor how long it is, is one item that the page needs.
        let is_table = members.contains_key("pageInfo") || members.contains_key("totalCount");
        if is_table && nodes.iter().any(Value::is_object) {
            found.push(path.join("."));
        }
        return;
    }
    if path.len() == DEPTH {
        return;
    }
    for (name, member) in members {
        path.push(name);
        walk(member, path, found);
        path.pop();
    }
}

/// The items of the list at a path: of a connection, of a plain list, or the one row that stands there by itself.
pub fn nodes<'a>(data: &'a Value, path: &str) -> Option<&'a [Value]> {
    let list = path.split('.').try_fold(data, |value, name| value.get(name))?;
    match list {
        Value::Array(items) => Some(items),
        Value::Object(members) => match members.get("nodes") {
            Some(nodes) => nodes.as_array().map(Vec::as_slice),
            None => Some(std::slice::from_ref(list)),
        },
        _ => None,
    }
}

/// Items as CSV (RFC 4180). A member of a member is a column of its own, named `sender.name`; a list is JSON.
pub fn csv(nodes: &[Value]) -> String {
    let rows: Vec<Map<String, Value>> = nodes.iter().map(flat).collect();
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut text = csv::line(columns.iter().copied());
    for row in &rows {
        let value = |name: &&str| match row.get(*name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let cells: Vec<String> = columns.iter().map(value).collect();
        text += &csv::line(cells.iter().map(String::as_str));
    }
    text
}

fn flat(value: &Value) -> Map<String, Value> {
    let mut row = Map::new();
    for (name, member) in value.as_object().into_iter().flatten() {
        if member.is_object() {
            row.extend(flat(member).into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
        } else {
            row.insert(name.clone(), member.clone());
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_found_by_its_path_and_written_row_by_row() {
        let data = json!({ "apps": [], "group": { "guid": "g", "members": { "nodes": [
            { "uid": "ann", "user": { "name": "Ann, \"A\"" }, "tags": ["x"] },
            { "uid": "bob", "user": null, "since": 5 },
        ], "pageInfo": {} }, "newest": { "nodes": [{ "at": 1 }] } } });
        assert_eq!(tables(&data), ["group.members"]);
        let csv = csv(nodes(&data, "group.members").unwrap());
        let rows: Vec<&str> = csv.split("\r\n").collect();
        assert_eq!(rows[0], "uid,user.name,tags,user,since");
        assert_eq!(rows[1], "ann,\"Ann, \"\"A\"\"\",\"[\"\"x\"\"]\",,");
        assert_eq!(rows[2], "bob,,,,5");
        assert!(nodes(&data, "group.nothing").is_none() && nodes(&data, "group.guid").is_none());
    }

    #[test]
    fn plain_lists_and_single_rows_are_taken_too() {
        let data =
            json!({ "explain": { "row": { "name": "Ann" }, "tables": { "edits": [{ "at": 1 }, { "at": 2 }] } } });
        assert_eq!(csv(nodes(&data, "explain.row").unwrap()), "name\r\nAnn\r\n");
        assert_eq!(csv(nodes(&data, "explain.tables.edits").unwrap()), "at\r\n1\r\n2\r\n");
    }
}
