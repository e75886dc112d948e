//! The change feed: every applied fact after a position, in the order of the log. One reader for subscriptions and for
//! `GET /changes`; nothing is kept of a subscriber but where it stands.

use super::context::{Ask, Asking};
use super::enums::ReceiverType;
use super::error::{Code, Result, bad_input};
use super::node::Node;
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime, int};
use crate::entity::Entity;
use crate::envelope;
use crate::ids::{self, Time};
use crate::store::sqlite::read::call::{self, CallKey};
use crate::store::sqlite::read::{Conn, PLAIN_LIST, Sql, change};
use crate::trigger::Ref;
use async_graphql::futures_util::future::try_join_all;
use async_graphql::futures_util::stream::{self, Stream};
use async_graphql::{Context, ID, InputObject, Object, Subscription};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Facts given at a time.
const BATCH: usize = 100;
/// Facts looked at for a batch, filtered out or not.
const LOOKED_AT: i64 = 1_000;

/// Selects changes. A change must match every field that is given.
#[derive(InputObject, Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Only changes by these triggers.
    pub triggers: Option<Vec<String>>,
    /// Only changes about this group, its memberships or its messages.
    pub guid: Option<String>,
    /// Only changes about this person, or about a message that this person sent.
    pub uid: Option<String>,
    /// Only changes about messages of the conversation with this id. Two conversations seldom have the same id; if they
    /// do, changes of both match.
    pub conversation_id: Option<String>,
    /// Only with `conversationId`: whether that conversation is one to one (`USER`) or a group's (`GROUP`).
    pub receiver_type: Option<ReceiverType>,
}

/// Where a subscriber stands. `None` until the first batch.
#[derive(Debug)]
pub struct Position {
    seq: Mutex<Option<i64>>,
    /// Facts given at a time.
    batch: AtomicUsize,
}

impl Default for Position {
    fn default() -> Self {
        Self::at(None)
    }
}

impl Position {
    pub fn at(seq: Option<i64>) -> Self {
        Self { seq: Mutex::new(seq), batch: AtomicUsize::new(BATCH) }
    }

    pub fn get(&self) -> Option<i64> {
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, seq: i64) {
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner) = Some(seq);
    }

    /// Stands where it stood, and takes one fact next: together they were too much for one request.
    pub(super) fn again_alone(&self, before: Option<i64>) {
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner) = before;
        self.batch.store(1, Ordering::Relaxed);
    }

    /// Takes many at a time from now on.
    pub(super) fn together(&self) {
        self.batch.store(BATCH, Ordering::Relaxed);
    }
}

/// One applied fact, and what it is about.
#[derive(Debug, Clone)]
pub struct Change {
    app: Arc<str>,
    pub seq: i64,
    pub trigger: String,
    pub occurred_at: Time,
    /// Global ids, at most [`PLAIN_LIST`].
    pub nodes: Vec<ID>,
    /// How many there are.
    pub nodes_count: usize,
}

/// One applied event.
#[Object]
impl Change {
    /// The log position of the event. To go on after a break, pass the last one you saw as `afterSeq`.
    async fn seq(&self) -> BigInt {
        BigInt(self.seq)
    }

    /// CometChat's name of what happened, such as `message_sent`.
    async fn trigger(&self) -> &str {
        &self.trigger
    }

    /// When the event happened, as far as that is known.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.occurred_at)
    }

    /// The event in the log.
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<super::event::Event>> {
        super::event::Event::find(ctx, &self.app, self.seq).await
    }

    /// The objects that the event is about, as they are now. At most 200.
    async fn nodes(&self, ctx: &Context<'_>) -> Result<Vec<Node>> {
        let nodes = try_join_all(self.nodes.iter().map(|id| Node::find(ctx, id))).await?;
        Ok(nodes.into_iter().flatten().collect())
    }

    /// The number of objects that the event is about.
    async fn nodes_count(&self) -> i32 {
        int(self.nodes_count as i64)
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
            "nodesCount": self.nodes_count,
        })
        .to_string()
    }
}

/// What can be subscribed to.
pub struct Subscription;

/// Live updates, over the protocol `graphql-transport-ws`.
#[Subscription]
impl Subscription {
    /// Every applied event after a log position, then every new one, in the order of the log. No change is left out and
    /// none is sent twice, also if the connection breaks and you go on with `afterSeq`.
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "The last log position that you have seen. Without it, only changes from now on.")]
        after_seq: Option<BigInt>,
        #[graphql(desc = "Only changes that match this filter.")] filter: Option<ChangeFilter>,
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
    // Nothing of the app follows an event that is not finished.
    let unfinished = asking.snapshot.read(|conn| change::unfinished(conn, app))?;
    let newest = unfinished.map_or(asking.newest, |seq| asking.newest.min(seq - 1));
    if filter.receiver_type.is_some() && filter.conversation_id.is_none() {
        return Err(bad_input("filter.receiverType", "expected conversationId in the same filter"));
    }
    let after = position.get().or(after_seq).unwrap_or(newest);
    if after < 0 {
        return Err(bad_input("afterSeq", "expected a position of this log, 0 or greater"));
    }
    let given = || asking.snapshot.read(|conn| change::given(conn, asking.caller.apps.as_deref()));
    if after > newest && (after <= asking.newest || given()? >= after) {
        // The newest events were deleted, or are not finished. What comes next has a greater position than they had.
        position.set(after);
        return Ok(Vec::new());
    }
    if after > newest {
        let what = format!("expected a position of this log, but {after} is newer than its newest, {newest}");
        return Err(bad_input("afterSeq", &what));
    }
    // Whoever goes on from before the oldest event there is would miss what is gone without noticing.
    if let Some(begins) = asking.snapshot.read(|conn| change::begins_after(conn, after))? {
        let what = format!("afterSeq: the log begins behind {begins}, what followed {after} is gone: begin anew");
        return Err(Code::BeforeHistory.error(what));
    }
    let batch = position.batch.load(Ordering::Relaxed);
    let is_enough = |looked_at: i64, found: usize| found == batch || (looked_at > 0 && asking.snapshot.is_half_over());
    let (changes, seen) = asking.snapshot.read(|conn| read(conn, app, after..newest, filter, is_enough))?;
    position.set(seen);
    Ok(changes)
}

/// The changes of a stretch of the log, and how far they go: what takes long ends early.
fn read(
    conn: &Conn,
    app: &Arc<str>,
    range: Range<i64>,
    filter: &ChangeFilter,
    is_enough: impl Fn(i64, usize) -> bool,
) -> Sql<(Vec<Change>, i64)> {
    let (mut changes, mut seen, mut looked_at) = (Vec::new(), range.end, 0);
    change::after(conn, app, range, LOOKED_AT, |fact| {
        if is_enough(looked_at, changes.len()) {
            seen = fact.seq - 1;
            return Ok(false);
        }
        looked_at += 1;
        if looked_at == LOOKED_AT {
            seen = fact.seq;
        }
        let wanted = filter.triggers.as_ref().is_none_or(|triggers| triggers.contains(&fact.trigger));
        let Some(refs) = wanted.then(|| refs(&fact.body)) else { return Ok(true) };
        if matches(conn, app, &refs, filter)? {
            let (nodes, nodes_count) = nodes(conn, app, &refs)?;
            let change::Applied { seq, trigger, occurred_at, .. } = fact;
            changes.push(Change { app: Arc::clone(app), seq, trigger, occurred_at, nodes, nodes_count });
        }
        Ok(true)
    })?;
    Ok((changes, seen))
}

/// What the fact speaks of, told again by what was received.
fn refs(body: &str) -> Vec<Ref> {
    envelope::payload(body).map(|payload| payload.refs()).unwrap_or_default()
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
                let place = change::place_of(conn, app, &reference.key)?;
                guids.extend(place.guid);
                uids.extend(place.sender_uid);
                conversations.extend(place.conversation);
            }
            _ => {}
        }
    }
    let has = |wanted: &Option<String>, all: &[String]| wanted.as_ref().is_none_or(|wanted| all.contains(wanted));
    let is_there = |wanted: &String| {
        let of_type = |kind| filter.receiver_type.is_none_or(|wanted| kind == ids::ReceiverType::from(wanted));
        conversations.iter().any(|(id, kind)| id == wanted && of_type(*kind))
    };
    Ok(has(guid, &guids) && has(uid, &uids) && conversation_id.as_ref().is_none_or(is_there))
}

/// The global ids of what is spoken of, the first of them, and how many there are.
fn nodes(conn: &Conn, app: &str, refs: &[Ref]) -> Sql<(Vec<ID>, usize)> {
    let mut ids = Vec::new();
    let mut known: HashSet<(&str, &str)> = HashSet::new();
    for reference in refs {
        let Some(entity) = Entity::of(reference) else { continue };
        if !known.insert((reference.kind, &reference.key)) || ids.len() == PLAIN_LIST {
            continue;
        }
        let node = match NodeKey::of(entity) {
            Some(key) => key,
            None => match call::newest_of(conn, app, &reference.key)? {
                Some(CallKey { session_key, kind, anchor }) => NodeKey::Call(session_key, kind, anchor),
                None => {
                    known.remove(&(reference.kind, reference.key.as_str()));
                    continue;
                }
            },
        };
        ids.push(encode(app, &node));
    }
    Ok((ids, known.len()))
}
