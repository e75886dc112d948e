//! JSON as it can be looked at and taken away: text that says what it holds, and nothing that pretends to be something
//! else.

use serde_json::Value;
use std::fmt::Write;

/// JSON for people.
pub fn pretty(value: &Value) -> String {
    visible(&serde_json::to_string_pretty(value).unwrap_or_default())
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
    fn nothing_leaves_the_quotes_of_the_shell() {
        let value = json!({ "text": "it's '; rm -rf / #", "more": "$(x) `y` \\" });
        let command = curl(&value);
        let (_, quoted) = command.split_once("--data-binary '").unwrap();
        let inside = quoted.strip_suffix('\'').unwrap().replace(r"'\''", "\u{0}");
        assert!(!inside.contains('\''), "{command}");
        assert_eq!(serde_json::from_str::<Value>(&inside.replace('\u{0}', "'")).ok(), Some(value));
    }
}
