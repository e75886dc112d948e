//! People in the bodies of deliveries, and bodies without a person who is erased.
//!
//! A body keeps its shape: values are replaced, none is added or removed. A pseudonym takes the place of uid and name,
//! and null that of all else that describes the person or that the person wrote. What others wrote and what happened
//! when stays.

mod keys;
mod private;
mod texts;
mod triggers;

pub use private::private;

use crate::json::{Document, Json, quote};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// Containers in containers that are looked into. What lies deeper is no entity of CometChat's.
const DEPTH: usize = 128;
/// JSON in a text in JSON: so many texts deep is looked into.
const LEVELS: usize = 4;

/// The people who are erased.
pub trait Erased {
    /// The pseudonym of the person with this uid.
    fn uid(&self, uid: &str) -> Option<&str>;
    /// The pseudonym of a person who is known to have had this name.
    fn name(&self, name: &str) -> Option<&str>;
    /// Whether this is an address or another value of nobody but such a person.
    fn owns(&self, value: &str) -> bool;
    /// The pseudonym of the person who wrote the message, where the message does not tell who did.
    fn wrote(&self, message_id: &str) -> Option<&str> {
        let _ = message_id;
        None
    }
    /// Whether such a person took part in the call or meeting.
    fn attended(&self, session_id: &str) -> bool {
        let _ = session_id;
        false
    }
    /// A sentence without the names of these people; `None`: it has none of them.
    fn without_names(&self, sentence: &str) -> Option<String> {
        let _ = sentence;
        None
    }
    /// Whether names are also taken out of what others wrote.
    fn in_all_texts(&self) -> bool {
        false
    }
}

/// A body without the people, and what it told of them.
#[derive(Debug)]
pub struct Redacted {
    pub body: String,
    pub names: BTreeSet<String>,
    /// Addresses and other values of theirs.
    pub values: BTreeSet<String>,
}

/// The body without the people who are erased; `None` where it names none of them.
pub fn redact(document: &Document, erased: &dyn Erased) -> Option<Redacted> {
    let mut walk = Walk { erased, edits: Vec::new(), named: false, names: BTreeSet::new(), values: BTreeSet::new() };
    walk.body(document.root());
    let Walk { edits, named, names, values, .. } = walk;
    named.then(|| Redacted { body: spliced(document.text(), edits), names, values })
}

/// Whether a uid is a word that stands for nothing else in a body: no number, and not as short as one.
pub fn is_distinct(uid: &str) -> bool {
    uid.len() >= 3 && !uid.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a name is hardly anything but a name: of two words or more.
fn is_full(name: &str) -> bool {
    name.trim().contains(char::is_whitespace)
}

/// The text with other bytes in some places. A place inside another gives way to it.
fn spliced(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by(|(a, _), (b, _)| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for (place, with) in edits {
        if place.start >= at {
            out += &text[at..place.start];
            out += &with;
            at = place.end;
        }
    }
    out + &text[at..]
}

fn id(value: Json<'_>) -> Option<Cow<'_, str>> {
    value.text().or_else(|| value.number().map(Cow::Borrowed))
}

fn has(json: Json<'_>, keys: &[&str]) -> bool {
    keys.iter().any(|key| json.get(key).is_some_and(|value| !value.is_null()))
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    key: &'a str,
    /// The key of the container around it.
    above: &'a str,
    /// The object around it describes another person, or a group.
    of_others: bool,
    /// It belongs to a message that CometChat itself words.
    worded: bool,
    /// Who did what a message tells, where the message inside does not tell who wrote it.
    author: Option<&'a str>,
    depth: usize,
    levels: usize,
}

impl<'a> Place<'a> {
    fn outermost(key: &'a str) -> Self {
        Self { key, above: "", of_others: false, worded: false, author: None, depth: DEPTH, levels: LEVELS }
    }

    fn inside(self, key: &'a str) -> Self {
        let depth = self.depth.saturating_sub(1);
        Self { key, above: self.key, of_others: false, worded: false, author: None, depth, ..self }
    }
}

struct Walk<'a> {
    erased: &'a dyn Erased,
    /// Bytes of the text, and what takes their place.
    edits: Vec<(Range<usize>, String)>,
    /// Whether the body names one of the people.
    named: bool,
    names: BTreeSet<String>,
    values: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn replace(&mut self, value: Json<'_>, with: String) {
        self.named = true;
        self.edits.push((value.span(), with));
    }

    fn clear(&mut self, value: Json<'_>) {
        if !value.is_null() {
            self.edits.push((value.span(), "null".to_owned()));
        }
    }

    /// Clears the members of an object but for these.
    fn clear_but(&mut self, json: Json<'_>, kept: &[&str]) {
        for (key, value) in json.members() {
            if !kept.contains(&key.as_ref()) {
                self.clear(value);
            }
        }
    }

    fn body(&mut self, root: Json<'_>) {
        for (key, value) in root.members() {
            if !keys::WORDS.contains(&key.as_ref()) {
                self.value(value, root, Place::outermost(&key));
            }
        }
        let trigger = root.get("trigger").and_then(Json::text).unwrap_or_default();
        let Some(data) = root.get("data") else { return };
        self.of_trigger(&trigger, data);
    }

    fn value(&mut self, value: Json<'_>, around: Json<'_>, place: Place<'_>) {
        if place.depth == 0 {
            self.clear(value);
        } else if value.is_object() {
            self.object(value, place);
        } else if value.is_array() {
            let place = Place { depth: place.depth - 1, ..place };
            value.elements().for_each(|element| self.value(element, around, place));
        } else if let Some(text) = value.text() {
            self.text(value, &text, around, place);
        } else if let Some(number) = value.number()
            && keys::UIDS.contains(&place.key)
            && let Some(pseudonym) = self.erased.uid(number)
        {
            self.replace(value, quote(pseudonym));
        }
    }

    fn object(&mut self, json: Json<'_>, place: Place<'_>) {
        let uid = json.get("uid").and_then(id).filter(|_| !has(json, keys::OF_FACTS));
        if let Some(pseudonym) = uid.as_ref().and_then(|uid| self.erased.uid(uid)) {
            return self.person(json, pseudonym);
        }
        if let Some(pseudonym) = self.author(json, place) {
            return self.content(json, pseudonym, place);
        }
        let category = json.get("category").and_then(Json::text);
        let worded = category.map_or(place.worded, |it| matches!(it.as_ref(), "action" | "call"));
        let of_others = uid.is_some() || has(json, &["guid"]);
        for (key, value) in json.pairs() {
            let name = key.text().unwrap_or_default();
            if let Some(pseudonym) = self.key(&name, value, place) {
                self.replace(key, quote(pseudonym));
                if value.is_object() {
                    self.person(value, pseudonym);
                    continue;
                }
            }
            if keys::is_channel(&name) {
                self.clear(value);
            } else {
                // What is said about somebody's message is CometChat's, the message in it is not.
                let worded = worded && name != "entities";
                self.value(value, json, Place { of_others, worded, ..place.inside(&name) });
            }
        }
    }

    /// The pseudonym for a key of a map by uid.
    fn key(&self, key: &str, value: Json<'_>, place: Place<'_>) -> Option<&'a str> {
        let pseudonym = self.erased.uid(key)?;
        let by_uid = keys::BY_UID.contains(&place.key) || place.above == "reactions";
        let itself = || value.get("uid").and_then(id).is_some_and(|uid| uid == key);
        (by_uid || itself() || (is_distinct(key) && !keys::FIELDS.contains(&key))).then_some(pseudonym)
    }

    /// An object that describes the person.
    fn person(&mut self, json: Json<'_>, pseudonym: &str) {
        for (key, value) in json.members() {
            match key.as_ref() {
                "uid" => self.replace(value, quote(pseudonym)),
                "name" => {
                    self.names.extend(value.text().map(Cow::into_owned).filter(|name| !name.is_empty()));
                    self.replace(value, quote(pseudonym));
                }
                key if keys::OF_PERSON.contains(&key) => {}
                _ => {
                    self.learn(value, DEPTH);
                    self.clear(value);
                }
            }
        }
    }

    /// Remembers the texts in a value of the person's.
    fn learn(&mut self, value: Json<'_>, depth: usize) {
        if let Some(text) = value.text() {
            self.values.extend(keys::is_own(&text).then(|| text.into_owned()));
        } else if depth > 0 {
            value.members().for_each(|(_, member)| self.learn(member, depth - 1));
            value.elements().for_each(|element| self.learn(element, depth - 1));
        }
    }

    /// The pseudonym of who wrote this, where this is a message of one who is erased.
    fn author(&self, json: Json<'_>, place: Place<'_>) -> Option<&'a str> {
        let is_receipt = has(json, &["messageSender", "receiptType"]);
        if is_receipt || !has(json, keys::OF_MESSAGES) || has(json, &["guid"]) {
            return None;
        }
        let sender = json.get("sender").and_then(id);
        let acted = || place.author.filter(|_| sender.is_none() && place.key == "entity" && has(json, &["id"]));
        let stands = keys::MESSAGES.contains(&place.key);
        let wrote = || json.get("id").filter(|_| stands).and_then(id).and_then(|id| self.erased.wrote(&id));
        let told = sender.as_deref().or_else(acted).and_then(|uid| self.erased.uid(uid));
        told.or_else(wrote)
    }

    /// A message of the person: who, whom, what kind and when stay.
    fn content(&mut self, json: Json<'_>, pseudonym: &str, place: Place<'_>) {
        self.named = true;
        let author = json.get("sender").and_then(id);
        for (key, value) in json.members() {
            let inside = place.inside(&key);
            match key.as_ref() {
                "sender" => self.replace(value, quote(pseudonym)),
                "data" if value.is_object() => self.data(value, author.as_deref(), pseudonym, inside),
                "quotedMessage" | "mentions" => self.value(value, json, inside),
                key if keys::OF_MESSAGE.contains(&key) => self.value(value, json, inside),
                _ => self.clear(value),
            }
        }
    }

    fn data(&mut self, data: Json<'_>, author: Option<&str>, pseudonym: &str, place: Place<'_>) {
        for (key, value) in data.members() {
            match key.as_ref() {
                "entities" => {
                    for (key, member) in value.members().flat_map(|(_, role)| role.members()) {
                        let is_author = || member.get("uid").and_then(id).is_some_and(|uid| Some(&*uid) == author);
                        match key.as_ref() {
                            "entity" if is_author() => self.person(member, pseudonym),
                            _ => self.value(member, value, Place { author, ..place.inside(&key) }),
                        }
                    }
                }
                "mentions" | "quotedMessage" => self.value(value, data, place.inside(&key)),
                "moderation" if value.is_object() => {
                    self.clear_but(value, &["status", "rule"]);
                    value.get("rule").into_iter().for_each(|rule| self.clear_but(rule, &["id"]));
                }
                // What decides whether others have not read it.
                "metadata" if value.get("incrementUnreadCount").and_then(Json::bool) == Some(true) => {
                    self.edits.push((value.span(), "{\"incrementUnreadCount\":true}".to_owned()));
                }
                key if keys::OF_DATA.contains(&key) => {}
                _ => self.clear(value),
            }
        }
    }

    fn text(&mut self, value: Json<'_>, text: &str, around: Json<'_>, place: Place<'_>) {
        let erased = self.erased;
        let for_group = || around.get("receiverType").and_then(Json::text).is_some_and(|it| it == "group");
        if place.key == "conversationId" {
            let other =
                texts::conversation(text, |uid| erased.uid(uid)).filter(|_| !for_group() && !has(around, &["guid"]));
            return other.into_iter().for_each(|other| self.replace(value, quote(&other)));
        }
        if keys::UIDS.contains(&place.key) {
            let of_group = matches!(place.key, "receiver" | "receiptReceiver") && for_group();
            let by_name = || erased.name(text).filter(|_| is_full(text));
            if let Some(pseudonym) = erased.uid(text).or_else(by_name).filter(|_| !of_group) {
                self.replace(value, quote(pseudonym));
            }
            return;
        }
        if keys::WORDS.contains(&place.key) {
            return;
        }
        if !place.of_others {
            let by_name = || erased.name(text).filter(|_| is_full(text) || place.key.to_lowercase().ends_with("name"));
            let by_uid = || erased.uid(text).filter(|_| is_distinct(text));
            if let Some(pseudonym) = by_uid().or_else(by_name) {
                return self.replace(value, quote(pseudonym));
            }
            if erased.owns(text) {
                return self.replace(value, "null".to_owned());
            }
        }
        if let Some(inner) = self.json_in(text, place) {
            return self.replace(value, quote(&inner));
        }
        if let Some(other) = texts::conversation(text, |uid| erased.uid(uid)) {
            return self.replace(value, quote(&other));
        }
        let mut other = texts::mentions(text, |uid| erased.uid(uid));
        if place.worded || (erased.in_all_texts() && !place.of_others) {
            let so_far = other.as_deref().unwrap_or(text);
            other = erased.without_names(so_far).or(other);
        }
        other.into_iter().for_each(|other| self.replace(value, quote(&other)));
    }

    /// A text that is JSON, without the people.
    fn json_in(&mut self, text: &str, place: Place<'_>) -> Option<String> {
        let inner = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
        if !inner.starts_with(['{', '[', '"']) || place.levels == 0 {
            return None;
        }
        let document = Document::parse(inner.as_bytes().to_vec()).ok()?;
        let erased = self.erased;
        let mut walk =
            Walk { erased, edits: Vec::new(), named: false, names: BTreeSet::new(), values: BTreeSet::new() };
        let root = document.root();
        walk.value(root, root, Place { levels: place.levels - 1, depth: DEPTH, ..place });
        self.names.append(&mut walk.names);
        self.values.append(&mut walk.values);
        walk.named.then(|| spliced(document.text(), walk.edits))
    }
}

#[cfg(test)]
mod tests;
