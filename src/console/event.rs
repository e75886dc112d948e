//! `/event`: what was received, what it changed, and what else is about the same.

use super::about::{self, Named};
use super::answer::List;
use super::explained;
use super::frame::Frame;
use super::page::{Page, Show};
use super::source;
use super::view::{self, Html};
use crate::entity::Entity;
use crate::explain::{Delivery, Explanation};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

pub const PAGE: Page =
    Page::of::<EventPage>("/event", concat!(include_str!("event.graphql"), include_str!("called.graphql")));

/// Bytes of a body that are shown before it is cut.
const SHOWN: usize = 64 << 10;
/// Bytes of a body that is shown as a tree.
const TREE: usize = 16 << 10;

#[derive(Template)]
#[template(path = "event.html")]
pub struct EventPage {
    frame: Frame,
    event: Event,
    /// As a tree to fold, where it is short enough.
    tree: Option<Html>,
    /// Pretty-printed; cut where it is long and not asked for whole.
    body: Option<String>,
    /// Its length, where it is cut.
    cut: Option<usize>,
    /// What delivers the same once more.
    curl: Option<String>,
    previous: Option<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
pub struct Answer {
    event: Option<Event>,
    previous: List<Seq>,
    next: List<Seq>,
}

#[derive(Deserialize)]
pub struct Seq {
    seq: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    seq: String,
    trigger: String,
    region: Option<String>,
    webhook_id: Option<String>,
    received_at: String,
    occurred_at: String,
    occurred_from: String,
    deliveries: u64,
    outcome: String,
    reason: Option<String>,
    body: Option<Value>,
    body_error: Option<String>,
    entities: Vec<Named>,
    changed: Vec<Changed>,
}

/// An entity, and what the event did to it.
#[derive(Deserialize)]
pub struct Changed {
    #[serde(flatten)]
    named: Named,
    explanation: Option<Explanation>,
    events: List<Other>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    seq: String,
    trigger: String,
    received_at: String,
    outcome: String,
}

impl Show for EventPage {
    type Answer = Answer;

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        let mut event = answer.event?;
        // A group is told by every event of its members: what happened to them says more.
        event
            .changed
            .sort_by_key(|it| matches!(Entity::named(&it.named.name), Some(Entity::Group(_) | Entity::User(_))));
        leave_out_told_twice(&mut event.changed);
        let mut body = event.body.as_ref().map(source::pretty);
        let is_cut = frame.params.get("whole").is_none() && body.as_ref().is_some_and(|body| body.len() > SHOWN);
        let cut = body.as_mut().filter(|_| is_cut).map(|body| {
            let length = body.len();
            body.truncate(body.floor_char_boundary(SHOWN));
            length
        });
        let tree = event.body.as_ref().filter(|_| body.as_ref().is_some_and(|body| body.len() <= TREE));
        let tree = tree.map(|body| source::tree(body, true));
        let curl = event.body.as_ref().filter(|_| !is_cut).map(source::curl);
        let first = |list: List<Seq>| list.nodes.into_iter().next().map(|it| it.seq);
        let (previous, next) = (first(answer.previous), first(answer.next));
        Some(Self { frame, event, tree, body, cut, curl, previous, next })
    }
}

impl EventPage {
    /// Entities that are named only.
    fn others(&self) -> &[Named] {
        &self.event.entities[self.event.changed.len().min(self.event.entities.len())..]
    }

    /// The other events about the same.
    fn beside<'a>(&'a self, changed: &'a Changed) -> impl Iterator<Item = &'a Other> {
        changed.events.nodes.iter().filter(|it| it.seq != self.event.seq)
    }
}

/// A group also keeps what happened to its members. Where the member stands beside the group, the member says it.
fn leave_out_told_twice(changed: &mut [Changed]) {
    let entities: Vec<Option<Entity>> = changed.iter().map(|it| Entity::named(&it.named.name)).collect();
    for (it, entity) in changed.iter_mut().zip(&entities) {
        let Some(Entity::Group(group)) = entity else { continue };
        let stands_beside = |register: &str| {
            register.strip_prefix("membership of ").is_some_and(|member| {
                let is_it = |other: &Option<Entity>| matches!(other, Some(Entity::Membership { guid, uid }) if guid == group && uid == member);
                entities.iter().any(is_it)
            })
        };
        let delivery = it.explanation.as_mut().and_then(|it| it.deliveries.first_mut());
        delivery.into_iter().for_each(|delivery| delivery.effects.retain(|effect| !stands_beside(&effect.register)));
    }
}

impl Changed {
    fn delivery(&self) -> Option<&Delivery> {
        self.explanation.as_ref()?.deliveries.first()
    }
}
