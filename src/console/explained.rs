//! Explanations, as pages show them: what a delivery said, what stood there before, and why it won or lost.

use super::frame::Frame;
use super::source;
use super::view::{self, Html};
use crate::explain::{Delivery, Effect, Explanation, late};
use crate::ids::Time;
use serde_json::{Map, Value};

/// A value of a register or column.
pub fn value(frame: &Frame, told: &Value) -> Html {
    match told {
        Value::Null => Html("<span class=\"more\">nothing</span>".to_owned()),
        Value::String(text) if text.ends_with('Z') && Time::parse(text).is_some() => frame.time(text),
        Value::String(text) => view::text(text),
        Value::Object(_) | Value::Array(_) => source::tree(told, false),
        other => view::text(&other.to_string()),
    }
}

/// What a register is called: `data.text` is the text.
pub fn label(frame: &Frame, register: &str) -> Html {
    let known = match register {
        "membership" => "Place in the group",
        "lifecycle" => "Made or deleted",
        "instance" => "Call or meeting",
        "owner_uid as copies say" => "Owner, as copies say",
        "reported_members_count" => "Members, as CometChat counts",
        "receiver_id" => "Receiver",
        "updated_by" => "Changed by",
        "updated_at" => "Changed",
        _ => "",
    };
    if !known.is_empty() {
        return Html(known.to_owned());
    }
    let plain = register.strip_prefix("data.").unwrap_or(register);
    let plain = plain.strip_suffix("_at").or_else(|| plain.strip_suffix("_uid")).unwrap_or(plain);
    // Ids and times behind the first word stay as they are.
    let (word, rest) = plain.split_once(' ').map_or((plain, String::new()), |(word, rest)| (word, format!(" {rest}")));
    frame.prose(&(view::sentence(&word.replace('_', " ")) + &rest))
}

/// What stood there before the delivery was taken. Of a fact of a membership, the place before.
pub fn before(frame: &Frame, effect: &Effect) -> Html {
    said(frame, effect, &effect.before)
}

/// The rule that decided, behind what a fact told.
pub fn why(frame: &Frame, effect: &Effect) -> Html {
    let told = effect.value.get("told").and_then(Value::as_str).filter(|_| is_fact(effect));
    let told = told.map(|told| format!("{}. ", frame.prose(told))).unwrap_or_default();
    Html(format!(
        "{told}{}.",
        frame.prose(&view::sentence(effect.rule.split(": see chatfold explain").next().unwrap_or_default()))
    ))
}

/// The effects of a delivery by how they ended.
#[derive(Default)]
pub struct Sorted<'a> {
    pub changed: Vec<&'a Effect>,
    pub lost: Vec<&'a Effect>,
    /// What stood there already.
    pub same: Vec<&'a Effect>,
}

pub fn sorted(delivery: &Delivery) -> Sorted<'_> {
    let mut sorted = Sorted::default();
    for group in crate::explain::groups(&delivery.effects) {
        for effect in group {
            match (effect.won, effect.same) {
                (_, true) => sorted.same.push(effect),
                (true, false) => sorted.changed.push(effect),
                (false, false) => sorted.lost.push(effect),
            }
        }
    }
    // What people look for stands above the rest.
    let is_rest = |effect: &&Effect| !matches!(effect.register.as_str(), "data.text" | "text" | "name" | "membership");
    sorted.changed.sort_by_key(is_rest);
    sorted
}

impl Sorted<'_> {
    /// Whether nothing stood before any of the changes.
    pub fn are_new(&self) -> bool {
        self.changed.iter().all(|effect| effect.before.is_null())
    }

    /// Whether one rule says of all changes why, and no later delivery needs to be named.
    pub fn have_one_reason(&self) -> bool {
        let [first, others @ ..] = self.changed.as_slice() else { return false };
        let is_plain = |effect: &Effect| !is_fact(effect) && effect.replaced_by.is_none();
        let as_first = |effect: &&Effect| is_plain(effect) && effect.rule == first.rule;
        !others.is_empty() && is_plain(first) && others.iter().all(as_first)
    }
}

/// What the delivery told: facts are told in words.
pub fn told(frame: &Frame, effect: &Effect) -> Html {
    said(frame, effect, effect.value.get("told").filter(|_| is_fact(effect)).unwrap_or(&effect.value))
}

/// A value of a register. Where it is a sentence of ours, its times are in the reader's zone.
fn said(frame: &Frame, effect: &Effect, told: &Value) -> Html {
    match told {
        Value::String(text) if is_fact(effect) || effect.register == "lifecycle" => frame.prose(text),
        other => value(frame, other),
    }
}

/// What the register held once the delivery was taken.
pub fn after(effect: &Effect) -> &Value {
    match (effect.value.get("ledTo"), effect.won) {
        (Some(led_to), _) => led_to,
        (None, true) => &effect.value,
        (None, false) => &effect.before,
    }
}

/// The same for a page.
pub fn became(frame: &Frame, effect: &Effect) -> Html {
    said(frame, effect, after(effect))
}

/// Facts of a membership or session are counted together: none wins by itself.
fn is_fact(effect: &Effect) -> bool {
    effect.value.get("ledTo").is_some()
}

/// How an effect ended.
pub fn verdict(effect: &Effect) -> Html {
    view::badge(match (effect.won, effect.same) {
        _ if is_fact(effect) && !effect.won => "no change",
        (_, true) => "same",
        (true, false) => "won",
        (false, false) => "lost",
    })
}

/// Effects of one verdict and rule together; those that changed something first.
pub fn groups(delivery: &Delivery) -> Vec<Vec<&Effect>> {
    crate::explain::groups(&delivery.effects)
}

/// When it happened, and how long after it arrived.
pub fn when(frame: &Frame, delivery: &Delivery) -> Html {
    let at = frame.time(&delivery.occurred_at);
    Html(match delivery.occurred_from.as_str() {
        "arrival" => format!("has no time: dated by its arrival, {at}"),
        "feed" => format!("has no time: dated {at} by the deliveries around it"),
        _ => format!("{at}, {}", view::escape(&late(delivery.late_ms))),
    })
}

/// A column of the entity's row.
pub struct Column<'a> {
    pub name: &'a str,
    pub value: &'a Value,
    pub set_by: Option<i64>,
}

/// The columns of the row that are known, and which delivery set each.
pub fn columns(explanation: &Explanation) -> Vec<Column<'_>> {
    let known = explanation.row.iter().flatten().filter(|(_, value)| !value.is_null());
    known.map(|(name, value)| Column { name, value, set_by: set_by(explanation, name) }).collect()
}

/// Whether it is known of any column which delivery set it.
pub fn has_setters(explanation: &Explanation) -> bool {
    columns(explanation).iter().any(|column| column.set_by.is_some())
}

/// The delivery whose value stands in a register.
fn set_by(explanation: &Explanation, register: &str) -> Option<i64> {
    // A column of a message may be a member of its data.
    let is_of = |told: &str| told.strip_prefix("data.").unwrap_or(told) == register;
    let stands = |effect: &Effect| is_of(&effect.register) && effect.won && effect.replaced_by.is_none();
    explanation
        .deliveries
        .iter()
        .rev()
        .find(|delivery| delivery.effects.iter().any(stands))
        .map(|delivery| delivery.seq)
}

/// The columns of the row of which nothing is known.
pub fn unknown(explanation: &Explanation) -> String {
    let row = explanation.row.iter().flatten();
    let unknown: Vec<&str> = row.filter(|(_, value)| value.is_null()).map(|(column, _)| column.as_str()).collect();
    unknown.join(", ")
}

/// A table beside the entity's own.
pub struct Beside<'a> {
    pub name: &'a str,
    pub columns: Vec<&'a str>,
    pub rows: Vec<Vec<&'a Value>>,
    /// Rows there are.
    pub count: usize,
}

/// Rows of one table that are shown.
const ROWS: usize = 200;

/// What the page is about: these columns of the tables beside say the same in each row.
const KEYS: [&str; 3] = ["guid", "uid", "message_id"];

/// The tables beside that have rows, without the columns that tell nothing: the entity's own key, and those that are
/// null in each row.
pub fn tables(explanation: &Explanation) -> Vec<Beside<'_>> {
    let tables = explanation.tables.iter().map(|(name, rows)| {
        let rows: Vec<&Map<String, Value>> =
            rows.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
        let own = |name: &str| explanation.row.as_ref().filter(|_| KEYS.contains(&name)).and_then(|row| row.get(name));
        let tells = |name: &&str| {
            let (own, name) = (own(name), *name);
            rows.iter().any(|row| row.get(name).is_some_and(|value| !value.is_null() && Some(value) != own))
        };
        let columns: Vec<&str> =
            rows.first().iter().flat_map(|row| row.keys()).map(String::as_str).filter(tells).collect();
        let shown = rows.iter().take(ROWS);
        let shown =
            shown.map(|row| columns.iter().map(|name| row.get(*name).unwrap_or(&Value::Null)).collect()).collect();
        Beside { name, count: rows.len(), rows: shown, columns }
    });
    tables.filter(|table| table.count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn effect(value: Value, won: bool, same: bool) -> Effect {
        let (register, before, rule) = ("name".to_owned(), json!("Old"), String::new());
        Effect { register, value, before, won, same, rule, against: None, replaced_by: None }
    }

    #[test]
    fn what_lost_leaves_what_stood() {
        let frame = Frame::default();
        let words =
            |effect: &Effect| [told(&frame, effect), became(&frame, effect), verdict(effect)].map(|html| html.0);
        let [told, became, verdict] = words(&effect(json!("New"), false, false));
        assert!(told.contains("New") && became.contains("Old") && verdict.contains("lost"));
        let [_, became, verdict] = words(&effect(json!("New"), true, false));
        assert!(became.contains("New") && verdict.contains("won"));
        let [told, became, verdict] = words(&effect(json!({ "told": "left", "ledTo": "gone" }), false, false));
        assert!(told.contains("left") && became.contains("gone") && verdict.contains("no change"));
    }
}
