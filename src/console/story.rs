//! What happened to an entity, in sentences: who did what and when, by which delivery, and what changed nothing.

use super::about;
use super::answer::Person;
use super::explained;
use super::frame::Frame;
use super::view::{self, Html};
use crate::entity::Entity;
use crate::explain::{Delivery, Effect, Explanation};
use crate::ids::Time;
use serde::Deserialize;
use serde_json::Value;

/// Late deliveries that are named one by one.
const NAMED: usize = 3;

/// What the people and groups of a story are called.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Names {
    group: Option<Group>,
    user: Option<Person>,
    message: Option<Message>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    name: Option<String>,
    member: Option<Member>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Member {
    user: Option<Person>,
    changed_by: Option<Person>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Message {
    sender: Option<Person>,
    edited_by: Option<Person>,
    deleted_by: Option<Person>,
}

/// The story, sentence by sentence. Empty: no delivery tells of it.
pub fn story(frame: &Frame, of: &Explanation, names: &Names) -> Vec<Html> {
    let mut told = match Entity::named(&of.entity) {
        Some(Entity::Membership { guid, uid }) => membership(frame, of, names, (&guid, &uid)),
        Some(Entity::Message(id)) => message(frame, of, names, &id),
        Some(Entity::Group(guid)) => group(frame, of, names, &guid),
        Some(Entity::User(uid)) => vec![person(of, names, &uid)],
        Some(Entity::Call(_)) | None => Vec::new(),
    };
    told.extend(newest(frame, of));
    told.push(counted(of));
    told.into_iter().map(Html).collect()
}

/// `Anders Lund was banned from Night shift by Mira Halonen on … (#33).`
fn membership(frame: &Frame, of: &Explanation, names: &Names, (guid, uid): (&str, &str)) -> Vec<String> {
    let Some((state, at)) = cell(of, "state").zip(cell(of, "changed_at")) else { return Vec::new() };
    let group = names.group.as_ref();
    let member = group.and_then(|it| it.member.as_ref());
    let who = called(member.and_then(|it| it.user.as_ref()), uid);
    let place = view::called(group.and_then(|it| it.name.as_deref()), guid).to_string();
    let by = cell(of, "changed_by").map(|by| called(member.and_then(|it| it.changed_by.as_ref()), by));
    // Facts are taken in turn: the last one is what stands.
    let turns = || of.deliveries.iter().filter_map(|it| Some((turn(it)?, it)));
    let last = turns().max_by_key(|(turn, _)| *turn);
    let stayed = last.and_then(|(_, it)| before(it)).is_some_and(|before| before.starts_with("joined"));
    let scope = view::escape(cell(of, "scope").unwrap_or("participant"));
    let did = match (state, &by) {
        ("joined", _) if stayed => format!("was made {scope} in {place}"),
        ("joined", Some(_)) => format!("was added to {place} as {scope}"),
        ("joined", None) => format!("joined {place} as {scope}"),
        ("left", _) => format!("left {place}"),
        ("kicked", _) => format!("was kicked from {place}"),
        ("banned", _) => format!("was banned from {place}"),
        ("unbanned", _) => format!("was unbanned in {place}, and is not in it"),
        _ => format!("is not in {place}: its complete list of members does not name this person"),
    };
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let seq = last.map(|(_, it)| format!(", delivery {}", about::at(frame, &it.seq))).unwrap_or_default();
    let mut told = vec![format!("{who} {did}{by} on {}{seq}.", frame.time(at))];
    // What happened before, and came only after the decision.
    let Some((decisive, decision)) = last else { return told };
    let late: Vec<&Delivery> =
        turns().filter(|(turn, it)| *turn < decisive && it.seq > decision.seq).map(|(_, it)| it).collect();
    told.extend(late.iter().take(NAMED).map(|it| {
        let (trigger, at) = (view::name(&it.trigger), frame.time(&it.occurred_at));
        format!("An older {trigger} of {at} arrived later ({}) and lost.", about::at(frame, &it.seq))
    }));
    if late.len() > NAMED {
        told.push(format!("So did {} more.", view::number(late.len() - NAMED)));
    }
    told
}

fn message(frame: &Frame, of: &Explanation, names: &Names, id: &str) -> Vec<String> {
    let known = names.message.as_ref();
    let person = |known: Option<&Person>, column: &str| cell(of, column).map(|uid| called(known, uid));
    let mut told = Vec::new();
    if let Some(at) = cell(of, "sent_at") {
        let sender = person(known.and_then(|it| it.sender.as_ref()), "sender_uid");
        let by = sender.map(|by| format!(" by {by}")).unwrap_or_default();
        told.push(format!("Message {} was sent{by} on {}.", view::name(id), frame.time(at)));
    }
    for (what, column, by, known) in [
        ("edited", "edited_at", "edited_by", known.and_then(|it| it.edited_by.as_ref())),
        ("deleted", "deleted_at", "deleted_by", known.and_then(|it| it.deleted_by.as_ref())),
    ] {
        let Some(at) = cell(of, column) else { continue };
        let by = person(known, by).map(|by| format!(" by {by}")).unwrap_or_default();
        told.push(format!("It was {what}{by} on {}.", frame.time(at)));
    }
    if of.row.as_ref().and_then(|row| row.get("blocked")) == Some(&Value::Bool(true)) {
        told.push("Moderation blocks it.".to_owned());
    }
    told
}

fn group(frame: &Frame, of: &Explanation, names: &Names, guid: &str) -> Vec<String> {
    let name = view::called(names.group.as_ref().and_then(|it| it.name.as_deref()), guid);
    let mut told = Vec::new();
    if let Some(at) = cell(of, "created_at") {
        told.push(format!("{name} was created on {}.", frame.time(at)));
    }
    if let Some(at) = cell(of, "deleted_at") {
        told.push(format!("It was deleted on {}.", frame.time(at)));
    }
    told
}

fn person(of: &Explanation, names: &Names, uid: &str) -> String {
    let count = of.deliveries.len();
    let plural = if count == 1 { "delivery describes" } else { "deliveries describe" };
    format!("{} {plural} {}.", view::number(count), called(names.user.as_ref(), uid))
}

/// What the newest delivery that changed something made of it.
fn newest(frame: &Frame, of: &Explanation) -> Option<String> {
    let (delivery, effect) = of.deliveries.iter().rev().find_map(|delivery| {
        let sorted = explained::sorted(delivery);
        sorted.changed.first().map(|effect| (delivery, *effect))
    })?;
    if turn(delivery).is_some() {
        return None;
    }
    let (label, became) = (explained::label(frame, &effect.register), brief(frame, explained::after(effect)));
    let at = frame.time(&delivery.occurred_at);
    Some(format!("The newest change, of {at}: {label} became {became}, delivery {}.", about::at(frame, &delivery.seq)))
}

/// A value within a sentence.
fn brief(frame: &Frame, value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) if Time::parse(text).is_some() => frame.time(text).to_string(),
        Value::String(text) => view::name(text).to_string(),
        Value::Object(_) | Value::Array(_) => "another one".to_owned(),
        other => view::name(&other.to_string()).to_string(),
    }
}

/// How many deliveries decided something, and how many did not.
fn counted(of: &Explanation) -> String {
    let (mut changed, mut lost, mut same) = (0, 0, 0);
    for delivery in &of.deliveries {
        let sorted = explained::sorted(delivery);
        if !sorted.changed.is_empty() {
            changed += 1;
        } else if !sorted.lost.is_empty() {
            lost += 1;
        } else {
            same += 1;
        }
    }
    let mut parts = vec![format!("{} changed something", view::number(changed))];
    if lost > 0 {
        parts.push(format!("{} told values that lost", view::number(lost)));
    }
    if same > 0 {
        parts.push(format!("{} changed nothing", view::number(same)));
    }
    let all = of.deliveries.len();
    let deliveries = if all == 1 { "delivery" } else { "deliveries" };
    format!("Of {} {deliveries}, {}.", view::number(all), parts.join(", "))
}

/// A text of the entity's row.
fn cell<'a>(of: &'a Explanation, column: &str) -> Option<&'a str> {
    of.row.as_ref()?.get(column)?.as_str()
}

fn called(person: Option<&Person>, uid: &str) -> String {
    let name = person.filter(|it| it.uid == uid).and_then(|it| it.name.as_deref());
    view::called(name, uid).to_string()
}

/// Which turn a fact of a membership was given.
fn turn(delivery: &Delivery) -> Option<i64> {
    delivery.effects.iter().filter_map(|effect| effect.value.get("turn")?.as_i64()).max()
}

fn before(delivery: &Delivery) -> Option<&str> {
    let effect: &Effect = delivery.effects.iter().find(|effect| effect.value.get("turn").is_some())?;
    effect.before.as_str()
}
