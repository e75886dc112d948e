//! `/search`: whatever a text may name. Ids first, then names, then words of messages.

use super::about;
use super::answer::{GroupName, List, Person};
use super::frame::Frame;
use super::page::{Page, Show};
use super::params::Params;
use super::{said, view};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

pub const PAGE: Page = Page::of::<Search>("/search", include_str!("search.graphql"));

/// Words that are looked for.
const WORDS: usize = 16;
/// Their letters and digits.
const LETTERS: usize = 200;
/// What narrows the messages, or pages through them.
const NARROWED: [&str; 6] = ["conversationId", "sender", "sentAfter", "sentBefore", "after", "before"];
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
    earlier: Option<List<Told>>,
}

/// A delivery whose body has the text that was asked for.
#[derive(Deserialize)]
pub struct Told {
    seq: String,
    entities: Vec<About>,
}

#[derive(Deserialize)]
struct About {
    node: Option<Value>,
}

/// A message that says something else now.
pub struct Earlier<'a> {
    seq: &'a str,
    message: Message,
    /// The text that was found; `None` where nothing but the log holds it.
    text: Option<String>,
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
    edited_at: Option<String>,
    deleted_at: Option<String>,
    text: Option<String>,
    sender: Option<Person>,
    mentions: Vec<Person>,
    conversation: Option<Conversation>,
    original_text: Option<String>,
    #[serde(default)]
    edits: Vec<Edit>,
}

#[derive(Deserialize)]
pub struct Edit {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    conversation_id: String,
    group: Option<GroupName>,
    participants: Vec<Person>,
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
        let is_narrowed = NARROWED.iter().any(|name| params.get(name).is_some());
        let told: [(&str, Value); 6] = [
            // What goes by an id or a name stands before the first messages.
            ("isStart", (!text.is_empty() && !is_narrowed).into()),
            ("isSeq", seq.is_ok().into()),
            ("isName", is_name.into()),
            ("isText", (!words.is_empty() || (is_narrowed && text.is_empty())).into()),
            ("isEarlier", (params.get("earlier").is_some() && !text.is_empty()).into()),
            ("q", text.into()),
        ];
        variables.extend(told.map(|(name, value)| (name.to_owned(), value)));
        if !words.is_empty() {
            variables.insert("words".to_owned(), words.into());
        }
        if let Ok(seq) = seq {
            variables.insert("seq".to_owned(), seq.to_string().into());
        }
    }

    fn show(frame: Frame, found: Answer) -> Option<Self> {
        Some(Self { frame, found })
    }

    /// An exact id, asked for from the head of a page, is opened at once.
    fn opens(&self) -> Option<String> {
        self.frame.params.get("open")?;
        let (it, frame) = (&self.found, &self.frame);
        let call = it.call_session.as_ref().and_then(|it| it.session_id.as_deref());
        let ids = [
            it.event.as_ref().map(|it| frame.link("/event", &[("seq", &it.seq)])),
            it.group.as_ref().map(|it| frame.link("/group", &[("guid", &it.guid)])),
            it.user.as_ref().map(|it| frame.link("/user", &[("uid", &it.uid)])),
            it.message.as_ref().map(|it| frame.link("/message", &[("messageId", &it.message_id)])),
            call.map(|id| frame.link("/call", &[("sessionId", id)])),
        ];
        let mut known = ids.into_iter().flatten();
        known.next().filter(|_| known.next().is_none())
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
    /// Whether the form narrows the messages by more than words.
    fn is_narrowed(&self) -> bool {
        ["conversationId", "sender", "sentAfter", "sentBefore"].iter().any(|name| self.frame.params.get(name).is_some())
    }

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

    fn is_asked(&self) -> bool {
        !self.asked().is_empty() || NARROWED.iter().any(|name| self.frame.params.get(name).is_some())
    }

    /// Messages that said it once and say something else now, each once.
    fn earlier(&self) -> Vec<Earlier<'_>> {
        let asked = self.asked();
        let mut found: Vec<Earlier<'_>> = Vec::new();
        for told in self.found.earlier.iter().flat_map(|list| &list.nodes) {
            let node = told.entities.first().and_then(|it| it.node.clone());
            let message: Option<Message> = node.and_then(|node| serde_json::from_value(node).ok());
            let Some(message) = message else { continue };
            let says = |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains(asked));
            let edited = message.edits.iter().map(|edit| &edit.text).rfind(|text| says(text));
            let text = edited.or(Some(&message.original_text).filter(|text| says(text))).cloned().flatten();
            let is_past = !says(&message.text) && (text.is_some() || message.deleted_at.is_some());
            if is_past && !found.iter().any(|it| it.message.message_id == message.message_id) {
                found.push(Earlier { seq: &told.seq, message, text });
            }
        }
        found
    }

    fn is_empty(&self) -> bool {
        !self.has_ids()
            && self.groups().next().is_none()
            && self.users().next().is_none()
            && self.messages().next().is_none()
            && self.earlier().is_empty()
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
        assert_eq!(variables("")["isStart"], json!(false));
    }
}
