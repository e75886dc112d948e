//! Entities as the log names them, and why the tables say of them what they say.

use super::context::Ask;
use super::error::{Result, bad_input};
use super::event::{Event, EventConnection};
use super::json::value;
use super::node::Node;
use super::node_id::{NodeKey, encode};
use super::page::Paging;
use super::scalars::Json;
use crate::envelope::Envelope;
use crate::explain::{Entity as Subject, EntityError};
use crate::ids::TokenScope;
use crate::store::sqlite::read::change::newest_call;
use crate::store::sqlite::read::explanation::explanation;
use async_graphql::{Context, Object};
use std::sync::Arc;

pub struct Entity {
    app: Arc<str>,
    subject: Subject,
}

/// A group, membership, message, person or call that an event is about.
#[Object]
impl Entity {
    /// What it goes by: `group:GUID`, `membership:GUID/UID`, `message:ID`, `user:UID` or `call:SESSION`. `explain`
    /// and the filter of events take it.
    async fn name(&self) -> String {
        self.subject.to_string()
    }

    /// What it is now.
    async fn node(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        let key = match &self.subject {
            Subject::Group(guid) => NodeKey::Group(guid.clone()),
            Subject::Membership { guid, uid } => NodeKey::Membership(guid.clone(), uid.clone()),
            Subject::Message(id) => NodeKey::Message(id.clone()),
            Subject::User(uid) => NodeKey::User(uid.clone()),
            Subject::Call(_) => {
                let key = self.subject.session_key();
                match ctx.read(|conn| newest_call(conn, &self.app, &key))? {
                    Some((kind, anchor)) => NodeKey::Call(key, kind, anchor),
                    None => return Ok(None),
                }
            }
        };
        Node::find(ctx, &encode(&self.app, &key)).await
    }

    /// The events about it, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<EventConnection> {
        Event::about(ctx, &self.app, &self.subject, &Paging { first, after, last, before })
    }
}

impl Entity {
    /// Those that what was received names; at most 200.
    pub fn named_by(app: &Arc<str>, body: &str) -> Vec<Self> {
        let envelope = Envelope::parse(body.as_bytes()).ok();
        let refs = envelope.and_then(|it| it.payload).map(|payload| payload.refs()).unwrap_or_default();
        let mut named: Vec<Subject> = Vec::new();
        for reference in refs {
            let key = reference.key.clone();
            let subject = match (reference.kind, reference.parts().as_slice()) {
                ("group", _) => Subject::Group(key),
                ("user", _) => Subject::User(key),
                ("message", _) => Subject::Message(key),
                ("membership", [guid, uid]) => Subject::Membership { guid: guid.clone(), uid: uid.clone() },
                ("call", _) => Subject::Call(key.strip_prefix("s:").unwrap_or(&key).to_owned()),
                _ => continue,
            };
            if !named.contains(&subject) {
                named.push(subject);
            }
        }
        named.truncate(crate::store::sqlite::read::PLAIN_LIST);
        named.into_iter().map(|subject| Self { app: Arc::clone(app), subject }).collect()
    }
}

/// Kinds and keys under which the log knows what a text names; an id alone is anything.
pub fn refs(text: &str) -> Vec<(&'static str, String)> {
    let plain = |guid: &str, uid: &str| Ok::<bool, EntityError>(!guid.is_empty() && !uid.contains('/'));
    match Subject::parse(text, plain) {
        Ok(subject) => subject.refs(),
        Err(_) => {
            let id = text.to_owned();
            let any = [
                Subject::Group(id.clone()),
                Subject::User(id.clone()),
                Subject::Message(id.clone()),
                Subject::Call(id),
            ];
            any.iter().flat_map(Subject::refs).collect()
        }
    }
}

/// Why the tables say what they say about an entity, as `chatfold explain --json` prints it; the log position is told
/// with every answer.
pub fn explained(ctx: &Context<'_>, app: &str, name: &str) -> Result<Option<Json>> {
    ctx.needs(TokenScope::Admin)?;
    let found = ctx.read(|conn| explanation(conn, app, name))?;
    let found = found.map_err(|error| bad_input("entity", &error.to_string()))?;
    let Some(mut found) = found.and_then(|found| serde_json::to_value(found).ok()) else { return Ok(None) };
    if let Some(members) = found.as_object_mut() {
        members.shift_remove("seq");
    }
    value(&found.to_string())
        .map(|value| Some(Json(value)))
        .map_err(|why| bad_input("entity", &format!("cannot be shown: {why}")))
}
