//! The change feed: every applied fact after a position, in the order of the log. One reader for subscriptions and for
//! `GET /changes`; nothing is kept of a subscriber but where it stands.

use super::context::{Ask, Asking};
use super::error::{Code, Result, bad_input};
use super::node::Node;
use super::node_id::{NodeKey, encode};
use super::scalars::{BigInt, DateTime};
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::store::sqlite::read::{Conn, Sql, change};
use crate::trigger::Ref;
use async_graphql::futures_util::stream::{self, Stream};
use async_graphql::{Context, ID, InputObject, Object, Subscription};
use std::sync::{Arc, Mutex, PoisonError};

/// Facts given at a time.
const BATCH: usize = 100;
/// Facts looked at for a batch, filtered out or not.
const LOOKED_AT: i64 = 1_000;

/// Which changes.
#[derive(InputObject, Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Only of these triggers.
    pub triggers: Option<Vec<String>>,
    /// Only what speaks of this group, its memberships or its messages.
    pub guid: Option<String>,
    /// Only what speaks of this person, or of a message they sent.
    pub uid: Option<String>,
    /// Only what speaks of messages of this conversation.
    pub conversation_id: Option<String>,
}

/// Where a subscriber stands. `None` until the first batch.
#[derive(Debug, Default)]
pub struct Position(Mutex<Option<i64>>);

impl Position {
    pub fn at(seq: Option<i64>) -> Self {
        Self(Mutex::new(seq))
    }

    pub fn get(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, seq: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seq);
    }
}

/// One applied fact, and what it is about.
#[derive(Debug, Clone)]
pub struct Change {
    app: Arc<str>,
    pub seq: i64,
    pub trigger: String,
    pub occurred_at: Time,
    /// Global ids.
    pub nodes: Vec<ID>,
}

/// One applied fact.
#[Object]
impl Change {
    /// Its log position: pass the last one seen as `afterSeq` to go on from there.
    async fn seq(&self) -> BigInt {
        BigInt(self.seq)
    }

    /// What happened, in CometChat's word.
    async fn trigger(&self) -> &str {
        &self.trigger
    }

    /// When it happened, as far as can be known.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.occurred_at)
    }

    /// The event in the log.
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<super::event::Event>> {
        super::event::Event::find(ctx, &self.app, self.seq).await
    }

    /// What it is about, as it is now.
    async fn nodes(&self, ctx: &Context<'_>) -> Result<Vec<Node>> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for id in &self.nodes {
            nodes.extend(Node::find(ctx, id).await?);
        }
        Ok(nodes)
    }
}

impl Change {
    /// As `GET /changes` sends it.
    pub fn to_json(&self, app: &str) -> String {
        let nodes: Vec<&str> = self.nodes.iter().map(|id| id.as_str()).collect();
        serde_json::json!({
            "seq": self.seq.to_string(),
            "appId": app,
            "trigger": self.trigger,
            "occurredAt": self.occurred_at.rfc3339(),
            "nodes": nodes,
        })
        .to_string()
    }
}

/// What can be subscribed to.
pub struct Subscription;

/// Live updates, over the protocol `graphql-transport-ws`.
#[Subscription]
impl Subscription {
    /// Every applied fact after a position, then those that come: no gap, no repeat, in the order of the log, whatever
    /// happens to the connection in between.
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "The last log position already seen; unless told, only what comes from now on.")]
        after_seq: Option<BigInt>,
        #[graphql(desc = "Only such changes.")] filter: Option<ChangeFilter>,
    ) -> Result<impl Stream<Item = Change> + use<>> {
        let app = ctx.app(app_id)?;
        let position = ctx.data_opt::<Arc<Position>>().ok_or_else(|| bad_input("changes", "a websocket is needed"))?;
        let changes = next(ctx.asking(), &app, position, after_seq.map(|seq| seq.0), &filter.unwrap_or_default())?;
        Ok(stream::iter(changes))
    }
}

/// The next changes after the position, which moves on to what was looked at.
pub fn next(
    asking: &Asking,
    app: &Arc<str>,
    position: &Position,
    after_seq: Option<i64>,
    filter: &ChangeFilter,
) -> Result<Vec<Change>> {
    let newest = asking.newest;
    let after = position.get().or(after_seq).unwrap_or(newest);
    if after < 0 {
        return Err(bad_input("afterSeq", "expected a position of this log, 0 or greater"));
    }
    if after > newest {
        let what = format!("expected a position of this log, but {after} is newer than its newest, {newest}");
        return Err(bad_input("afterSeq", &what));
    }
    // Whoever goes on from before the oldest event there is would miss what is gone without noticing.
    let first = asking.snapshot.read(change::first)?;
    if let Some(begins) = first.map(|first| first - 1).filter(|begins| after < *begins) {
        let what = format!("afterSeq: the log begins behind {begins}, what followed {after} is gone: begin anew");
        return Err(Code::BeforeHistory.error(what));
    }
    let (changes, seen) = asking.snapshot.read(|conn| read(conn, app, after, newest, filter))?;
    position.set(seen);
    Ok(changes)
}

fn read(conn: &Conn, app: &Arc<str>, after: i64, newest: i64, filter: &ChangeFilter) -> Sql<(Vec<Change>, i64)> {
    let applied = change::after(conn, app, after, LOOKED_AT)?;
    // Fewer than asked for: all there are.
    let mut seen = if (applied.len() as i64) < LOOKED_AT { newest } else { applied.last().map_or(newest, |it| it.seq) };
    let mut changes = Vec::new();
    for fact in applied {
        if changes.len() == BATCH {
            seen = fact.seq - 1;
            break;
        }
        let wanted = filter.triggers.as_ref().is_none_or(|triggers| triggers.contains(&fact.trigger));
        let Some(refs) = wanted.then(|| refs(&fact.body)) else { continue };
        if matches(conn, app, &refs, filter)? {
            let nodes = nodes(conn, app, &refs)?;
            let change::Applied { seq, trigger, occurred_at, .. } = fact;
            changes.push(Change { app: Arc::clone(app), seq, trigger, occurred_at, nodes });
        }
    }
    Ok((changes, seen))
}

/// What the fact speaks of, told again by what was received.
fn refs(body: &str) -> Vec<Ref> {
    let envelope = Envelope::parse(body.as_bytes()).ok();
    envelope.and_then(|envelope| envelope.payload).map(|payload| payload.refs()).unwrap_or_default()
}

fn matches(conn: &Conn, app: &str, refs: &[Ref], filter: &ChangeFilter) -> Sql<bool> {
    let ChangeFilter { guid, uid, conversation_id, .. } = filter;
    if guid.is_none() && uid.is_none() && conversation_id.is_none() {
        return Ok(true);
    }
    let (mut guids, mut uids, mut conversations) = (Vec::new(), Vec::new(), Vec::new());
    for reference in refs {
        let parts = reference.parts();
        match (reference.kind, parts.as_slice()) {
            ("group", _) => guids.push(reference.key.clone()),
            ("user", _) => uids.push(reference.key.clone()),
            ("membership", [guid, uid]) => {
                guids.push(guid.clone());
                uids.push(uid.clone());
            }
            ("receipt", [_, uid]) | ("reaction", [_, uid, _]) => uids.push(uid.clone()),
            ("message", _) => {
                let (conversation, sender) = change::message(conn, app, &reference.key)?;
                guids.extend(conversation.iter().filter_map(|id| id.strip_prefix("group_")).map(str::to_owned));
                uids.extend(sender);
                conversations.extend(conversation);
            }
            _ => {}
        }
    }
    let has = |wanted: &Option<String>, all: &[String]| wanted.as_ref().is_none_or(|wanted| all.contains(wanted));
    Ok(has(guid, &guids) && has(uid, &uids) && has(conversation_id, &conversations))
}

fn nodes(conn: &Conn, app: &str, refs: &[Ref]) -> Sql<Vec<ID>> {
    let mut ids: Vec<ID> = Vec::new();
    for reference in refs {
        let key = reference.key.clone();
        let node = match (reference.kind, reference.parts().as_slice()) {
            ("group", _) => NodeKey::Group(key),
            ("user", _) => NodeKey::User(key),
            ("message", _) => NodeKey::Message(key),
            ("membership", [guid, uid]) => NodeKey::Membership(guid.clone(), uid.clone()),
            ("call", _) => match change::newest_call(conn, app, &key)? {
                Some((kind, anchor)) => NodeKey::Call(key, kind, anchor),
                None => continue,
            },
            _ => continue,
        };
        let id = encode(app, &node);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}
