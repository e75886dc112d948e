//! The entities that an event is about, and why the tables hold their values.

use super::context::Ask;
use super::error::{Code, Result, bad_input};
use super::event::{Event, EventConnection};
use super::json::value;
use super::node::Node;
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::page::Paging;
use super::scalars::{BigInt, Json};
use crate::entity::Entity as Subject;
use crate::explain::{ExplainError, Explanation, Reach, explain, explain_named};
use crate::ids::TokenScope;
use crate::store::sqlite::read::PLAIN_LIST;
use crate::store::sqlite::read::call::NewestOf;
use crate::store::sqlite::read::explain::count_about;
use async_graphql::{Context, Object};
use std::sync::Arc;

/// Most events that are read to explain an entity here.
const EXPLAINED: usize = 1_000;
/// Most events that are read to explain an entity with the whole story.
const TOLD: usize = 2_000;
/// The cost of an explanation.
const EXPLANATION: usize = 500;

pub struct Entity {
    app: Arc<str>,
    subject: Subject,
}

/// An object that an event is about: a group, membership, message, person or call.
#[Object]
impl Entity {
    /// The name of the entity: `group:GUID`, `membership:GUID/UID`, `message:ID`, `user:UID` or `call:SESSION`. Pass it
    /// to `explain`, or to `about` in a filter of events.
    async fn name(&self) -> String {
        self.subject.to_string()
    }

    /// The object as it is now.
    async fn node(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        let key = match NodeKey::of(self.subject.clone()) {
            Some(key) => key,
            None => match ctx.load(&self.app, NewestOf(self.subject.session_key())).await? {
                Some(key) => NodeKey::Call(key.session_key, key.kind, key.anchor),
                None => return Ok(None),
            },
        };
        Node::find(ctx, &encode(&self.app, &key)).await
    }

    /// The events about this entity, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<EventConnection> {
        Event::about(ctx, &self.app, &self.subject, &Paging { first, after, last, before })
    }

    /// Why the tables hold these values, in the form of `explain`, but computed from the events about this entity only.
    /// If these events do not give the row in the tables, `agrees` is false: then `explain` reads the whole log. Null
    /// with the error `TOO_COMPLEX` if more than 1,000 events are about the entity. Needs a token of the scope `admin`.
    #[graphql(complexity = "crate::graphql::entity::EXPLANATION")]
    async fn explanation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "List only the delivery with this log position.")] seq: Option<BigInt>,
    ) -> Option<Result<Json>> {
        self.explained(ctx, seq).transpose()
    }
}

impl Entity {
    /// The cost of a list of entities. It is multiplied by the page size only if the selection includes an explanation.
    pub fn cost(first: Option<i32>, child: usize) -> usize {
        let size = first.map_or(PLAIN_LIST, |first| usize::try_from(first).unwrap_or_default().min(PLAIN_LIST));
        if child < EXPLANATION { 1 + child } else { 1 + size * child }
    }

    fn explained(&self, ctx: &Context<'_>, seq: Option<BigInt>) -> Result<Option<Json>> {
        ctx.needs(TokenScope::Admin)?;
        let few = ctx.read(|conn| Ok(count_about(conn, &self.app, &self.subject, EXPLAINED)? <= EXPLAINED))?;
        if !few {
            return Err(Code::TooComplex.error(format!(
                "{}: more than 1,000 events are about this object. `explain` reads up to 2,000 events",
                self.subject
            )));
        }
        let mut found = ctx.read(|conn| Ok(explain(conn, &self.app, &self.subject, Reach::Own, Some(EXPLAINED))?))?;
        if let (Some(found), Some(seq)) = (&mut found, seq) {
            found.deliveries.retain(|delivery| delivery.seq == seq.0);
        }
        shown(found)
    }

    pub fn new(app: &Arc<str>, subject: Subject) -> Self {
        Self { app: Arc::clone(app), subject }
    }
}

/// The kinds and keys of the log for a text. An id without a kind may be of any kind.
pub fn refs(text: &str) -> Vec<(&'static str, String)> {
    match Subject::named(text) {
        Some(subject) => vec![subject.reference()],
        None => {
            let id = text.to_owned();
            let any = [
                Subject::Group(id.clone()),
                Subject::User(id.clone()),
                Subject::Message(id.clone()),
                Subject::Call(id),
            ];
            any.iter().map(Subject::reference).collect()
        }
    }
}

/// Why the tables hold these values for an entity, as `chatfold explain --json` prints it. The log position is left
/// out, because every answer has it.
pub fn explained(ctx: &Context<'_>, app: &str, name: &str) -> Result<Option<Json>> {
    ctx.needs(TokenScope::Admin)?;
    let found = ctx.read(|conn| match explain_named(conn, app, name, Reach::Needed, Some(TOLD)) {
        Err(ExplainError::Store(error)) => Err(error.into()),
        answered => Ok(answered),
    })?;
    let found = found.map_err(|error| match error {
        ExplainError::TooMany(_) => Code::TooComplex.error(format!(
            "entity: more than {TOLD} events are about this object. Run `chatfold explain`, which has no limit"
        )),
        error => bad_input("entity", &error.to_string()),
    })?;
    shown(found)
}

fn shown(found: Option<Explanation>) -> Result<Option<Json>> {
    let Some(mut found) = found.and_then(|found| serde_json::to_value(found).ok()) else { return Ok(None) };
    if let Some(members) = found.as_object_mut() {
        members.shift_remove("seq");
    }
    value(&found.to_string())
        .map(|value| Some(Json(value)))
        .map_err(|why| bad_input("entity", &format!("the explanation cannot be shown: {why}")))
}
