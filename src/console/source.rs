//! JSON as it can be looked at and taken away: text that says what it holds, and nothing that pretends to be something
//! else.

use super::view::{self, Html};
use serde_json::Value;
use std::fmt::Write;

/// JSON for people.
pub fn pretty(value: &Value) -> String {
    visible(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Containers inside of each other that can be folded; what lies deeper is text.
const DEPTH: usize = 24;
/// Containers inside of each other that are open at first.
const OPEN: usize = 3;

/// JSON as a tree to fold and unfold, without script.
pub fn tree(value: &Value, is_open: bool) -> Html {
    let mut html = String::new();
    branch(None, value, if is_open { 0 } else { OPEN }, &mut html);
    Html(html)
}

fn branch(key: Option<&str>, value: &Value, depth: usize, html: &mut String) {
    let key = key.map(|key| format!("<b>{}</b> ", view::escape(&visible(key)))).unwrap_or_default();
    let marks = if value.is_array() { "[ ]" } else { "{ }" };
    let members: Vec<(Option<&str>, &Value)> = match value {
        _ if depth > DEPTH => Vec::new(),
        Value::Object(members) => members.iter().map(|(key, value)| (Some(key.as_str()), value)).collect(),
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        _ => Vec::new(),
    };
    if members.is_empty() {
        let shown = view::escape(&visible(&value.to_string()));
        *html += &format!("<div>{key}<bdi>{shown}</bdi></div>");
        return;
    }
    let open = if depth < OPEN { " open" } else { "" };
    let count = members.len();
    *html += &format!("<details{open}><summary>{key}{marks} <small>{count}</small></summary><div class=\"in\">");
    for (key, value) in members {
        branch(key, value, depth + 1, html);
    }
    *html += "</div></details>";
}

/// The command that delivers a body once more.
pub fn curl(body: &Value) -> String {
    let body = visible(&body.to_string()).replace('\'', r"'\''");
    format!("curl http://127.0.0.1:8080/webhooks/cometchat -H 'Content-Type: application/json' --data-binary '{body}'")
}

/// The same JSON, with what cannot be seen or turns the direction of text in JSON's own notation. Outside of strings
/// JSON has no such character but the line break.
fn visible(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for char in json.chars() {
        let turns = matches!(char,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if turns || (char.is_control() && char != '\n') {
            // Into a String nothing fails.
            let _ = write!(shown, "\\u{:04x}", char as u32);
        } else {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_stays_the_same_and_shows_what_is_in_it() {
        let value = json!({ "a\u{202e}": "\u{7f}\u{9b}\u{200f}\n'$(x)`é שלום" });
        let shown = pretty(&value);
        assert_eq!(serde_json::from_str::<Value>(&shown).ok(), Some(value));
        assert!(!shown.contains(['\u{202e}', '\u{7f}', '\u{9b}', '\u{200f}']) && shown.contains("שלום"), "{shown}");
    }

    #[test]
    fn a_tree_shows_every_member_and_ends_where_it_is_deep() {
        let value = json!({ "a<b>": [1, "x\u{202e}"], "none": {} });
        let html = tree(&value, true).0;
        assert!(html.contains("<b>a&lt;b&gt;</b> [ ] <small>2</small>") && html.contains("<bdi>{}</bdi>"), "{html}");
        assert!(html.contains("x\\u202e") && html.matches("<details open").count() == 2, "{html}");
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let html = tree(&deep, true).0;
        assert_eq!(html.matches("<details").count(), DEPTH + 1);
        assert_eq!(html.matches("<details").count(), html.matches("</details>").count());
    }

    #[test]
    fn nothing_leaves_the_quotes_of_the_shell() {
        let value = json!({ "text": "it's '; rm -rf / #", "more": "$(x) `y` \\" });
        let command = curl(&value);
        let (_, quoted) = command.split_once("--data-binary '").unwrap();
        let inside = quoted.strip_suffix('\'').unwrap().replace(r"'\''", "\u{0}");
        assert!(!inside.contains('\''), "{command}");
        assert_eq!(serde_json::from_str::<Value>(&inside.replace('\u{0}', "'")).ok(), Some(value));
    }
}
