//! `/why`: the deliveries of an entity, what each won or lost and by which rule, and what they came to.

use super::about;
use super::answer::{GroupName, List, Person};
use super::explained;
use super::frame::Frame;
use super::page::{Page, Show};
use super::params::Params;
use super::story::{self, Names};
use super::view::{self, Html};
use crate::entity::Entity;
use crate::explain::{Delivery, Explanation};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

pub const PAGE: Page = Page::of::<Why>("/why", include_str!("why.graphql"));

/// Deliveries shown unless all are asked for.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "why.html")]
pub struct Why {
    frame: Frame,
    explanation: Option<Explanation>,
    story: Vec<Html>,
    /// What may be asked for, where nothing is.
    examples: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    explain: Option<Explanation>,
    #[serde(flatten)]
    names: Names,
    groups: Option<List<GroupName>>,
    users: Option<List<Person>>,
    messages: Option<List<Message>>,
    call_sessions: Option<List<Call>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    message_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    session_id: Option<String>,
}

impl Show for Why {
    type Answer = Answer;

    fn variables(params: &Params, variables: &mut Map<String, Value>) {
        variables.insert("asked".to_owned(), params.get("entity").is_some().into());
        let texts = match params.get("entity").and_then(Entity::named) {
            Some(Entity::Group(guid)) => vec![("ofGroup", "guid", guid)],
            Some(Entity::Membership { guid, uid }) => vec![("ofGroup", "guid", guid), ("ofMember", "uid", uid)],
            Some(Entity::User(uid)) => vec![("ofUser", "uid", uid)],
            Some(Entity::Message(id)) => vec![("ofMessage", "messageId", id)],
            Some(Entity::Call(_)) | None => Vec::new(),
        };
        for (asks, name, id) in texts {
            variables.insert(asks.to_owned(), true.into());
            variables.insert(name.to_owned(), id.into());
        }
    }

    fn lists(data: &Value) -> Vec<String> {
        let explained = &data["explain"];
        let row = explained["row"].is_object().then(|| "explain.row".to_owned());
        let beside = explained["tables"].as_object().into_iter().flatten();
        let beside = beside.filter(|(_, rows)| rows.get(0).is_some()).map(|(name, _)| format!("explain.tables.{name}"));
        let deliveries = explained["deliveries"].get(0).map(|_| "explain.deliveries".to_owned());
        row.into_iter().chain(beside).chain(deliveries).collect()
    }

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        let groups = answer.groups.into_iter().flat_map(|list| list.nodes).map(|it| Entity::Group(it.guid));
        let users = answer.users.into_iter().flat_map(|list| list.nodes).map(|it| Entity::User(it.uid));
        let messages = answer.messages.into_iter().flat_map(|list| list.nodes).map(|it| Entity::Message(it.message_id));
        let calls = answer.call_sessions.into_iter().flat_map(|list| list.nodes);
        let calls = calls.filter_map(|it| it.session_id).map(Entity::Call);
        let examples = groups.chain(users).chain(messages).chain(calls).map(|it| it.to_string()).collect();
        let story = answer.explain.as_ref().map(|it| story::story(&frame, it, &answer.names)).unwrap_or_default();
        Some(Self { frame, explanation: answer.explain, story, examples })
    }
}

impl Why {
    fn asked(&self) -> &str {
        self.frame.param("entity")
    }

    /// The newest deliveries, or all.
    fn shown<'a>(&self, of: &'a Explanation) -> &'a [Delivery] {
        let all = self.frame.params.get("all").is_some();
        let from = if all { 0 } else { of.deliveries.len().saturating_sub(SHOWN) };
        &of.deliveries[from..]
    }

    /// The pages of what a membership joins, else of the entity itself; what has no row has no page.
    fn places(&self, of: &Explanation) -> Vec<(&'static str, String)> {
        let page = |label, entity: Entity| (label, about::place(&self.frame, &entity.to_string()));
        let is_known = of.row.is_some() || !explained::tables(of).is_empty();
        match Entity::named(&of.entity) {
            _ if !is_known => Vec::new(),
            Some(Entity::Membership { guid, uid }) => {
                vec![page("Its group", Entity::Group(guid)), page("Its person", Entity::User(uid))]
            }
            Some(Entity::Call(session)) if session.starts_with("m:") => Vec::new(),
            _ => vec![("Its page", about::place(&self.frame, &of.entity))],
        }
    }
}
