//! `/search`: whatever a text may name. Ids first, then names, then words of messages.

use super::about;
use super::answer::{List, Person};
use super::frame::Frame;
use super::page::{Page, Show};
use super::params::Params;
use super::view;
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

pub const PAGE: Page = Page::of::<Search>("/search", include_str!("search.graphql"));

/// Words that are looked for.
const WORDS: usize = 16;
/// Their letters and digits.
const LETTERS: usize = 200;
/// Letters of a part of a name.
const NAME: usize = 3;

#[derive(Template)]
#[template(path = "search.html")]
pub struct Search {
    frame: Frame,
    found: Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    group: Option<Group>,
    user: Option<Person>,
    message: Option<Message>,
    call_session: Option<Call>,
    event: Option<Event>,
    groups: Option<List<Group>>,
    users: Option<List<Person>>,
    messages: Option<List<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    guid: String,
    name: Option<String>,
    deleted_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    message_id: String,
    sent_at: Option<String>,
    deleted_at: Option<String>,
    text: Option<String>,
    sender: Option<Person>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    session_id: Option<String>,
    kind: String,
    status: Option<String>,
    started_at: Option<String>,
    initiated_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    seq: String,
    trigger: String,
    received_at: String,
    outcome: String,
}

impl Show for Search {
    type Answer = Answer;

    fn variables(params: &Params, variables: &mut Map<String, Value>) {
        let text = params.get("q").unwrap_or_default().trim();
        let seq = text.strip_prefix('#').unwrap_or(text).parse::<i64>();
        let words = words(text);
        let is_name = text.chars().count() >= NAME;
        let told: [(&str, Value); 6] = [
            ("asked", (!text.is_empty()).into()),
            ("isSeq", seq.is_ok().into()),
            ("isName", is_name.into()),
            ("isText", (!words.is_empty()).into()),
            ("words", words.into()),
            ("q", text.into()),
        ];
        variables.extend(told.map(|(name, value)| (name.to_owned(), value)));
        if let Ok(seq) = seq {
            variables.insert("seq".to_owned(), seq.to_string().into());
        }
    }

    fn show(frame: Frame, found: Answer) -> Option<Self> {
        Some(Self { frame, found })
    }
}

/// The words of a text as a search takes them: each in quotes, so that no mark among them means anything.
fn words(text: &str) -> String {
    let mut letters = 0;
    let mut words = String::new();
    for word in text.split(|it: char| !it.is_alphanumeric()).filter(|word| !word.is_empty()).take(WORDS) {
        let word: String = word.chars().take(LETTERS - letters).collect();
        letters += word.chars().count();
        if !word.is_empty() {
            words.push_str(if words.is_empty() { "\"" } else { " \"" });
            words.push_str(&word);
            words.push('"');
        }
    }
    words
}

impl Search {
    fn asked(&self) -> &str {
        self.frame.param("q").trim()
    }

    fn has_ids(&self) -> bool {
        let it = &self.found;
        it.group.is_some()
            || it.user.is_some()
            || it.message.is_some()
            || it.call_session.is_some()
            || it.event.is_some()
    }

    /// Named so, and not by the id alone.
    fn groups(&self) -> impl Iterator<Item = &Group> {
        let exact = self.found.group.as_ref().map(|it| &it.guid);
        self.found.groups.iter().flat_map(|list| &list.nodes).filter(move |it| Some(&it.guid) != exact)
    }

    fn users(&self) -> impl Iterator<Item = &Person> {
        let exact = self.found.user.as_ref().map(|it| &it.uid);
        self.found.users.iter().flat_map(|list| &list.nodes).filter(move |it| Some(&it.uid) != exact)
    }

    fn messages(&self) -> impl Iterator<Item = &Message> {
        let exact = self.found.message.as_ref().map(|it| &it.message_id);
        self.found.messages.iter().flat_map(|list| &list.nodes).filter(move |it| Some(&it.message_id) != exact)
    }

    fn is_empty(&self) -> bool {
        !self.has_ids()
            && self.groups().next().is_none()
            && self.users().next().is_none()
            && self.messages().next().is_none()
    }
}

impl Call {
    fn began(&self) -> Option<&String> {
        self.started_at.as_ref().or(self.initiated_at.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_mark_means_anything() {
        for (text, found) in [
            ("two words", "\"two\" \"words\""),
            ("\"open OR * (x:y)", "\"open\" \"OR\" \"x\" \"y\""),
            (":-) …", ""),
            ("日本 é", "\"日本\" \"é\""),
        ] {
            assert_eq!(words(text), found);
        }
        assert!(words(&"x".repeat(9_000)).len() < 256 && words(&"ab ".repeat(3_000)).split(' ').count() == WORDS);
    }

    #[test]
    fn a_number_is_a_log_position_too() {
        let variables = |query: &str| Value::Object(PAGE.variables(&Params::parse(query)));
        let told = variables("q=%2317");
        assert_eq!((&told["seq"], &told["isSeq"], &told["q"]), (&json!("17"), &json!(true), &json!("#17")));
        assert_eq!(variables("q=+ann+")["isSeq"], json!(false));
        assert_eq!(variables("")["asked"], json!(false));
    }
}
