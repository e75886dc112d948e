//! A fact of the log as a change. The decoder and a follower who reads the file make it in the same way.

use crate::entity::Entity;
use crate::envelope;
use crate::graphql::change::ChangeFilter;
use crate::graphql::node_id::{NodeKey, encode};
use crate::ids::{ReceiverType, Time};
use crate::store::sqlite::read::call::{self, CallKey};
use crate::store::sqlite::read::change::{self, Applied};
use crate::store::sqlite::read::{Conn, PLAIN_LIST, Sql};
use crate::trigger::Ref;
use async_graphql::ID;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Facts that are looked at for a batch, filtered out or not.
const LOOKED_AT: i64 = 1_000;
/// What a change takes in memory beside its texts.
const OVERHEAD: usize = 400;

/// One applied fact, and what it is about.
#[derive(Debug, Default)]
pub struct Decoded {
    pub app: Arc<str>,
    /// Its log position.
    pub seq: i64,
    pub trigger: String,
    pub occurred_at: Time,
    /// Global ids, at most [`PLAIN_LIST`].
    pub nodes: Vec<ID>,
    /// How many there are.
    pub nodes_count: usize,
    /// Where it happened. A follower who filters by no place does not look it up.
    pub(super) places: Places,
    pub(super) json: OnceLock<String>,
}

impl Decoded {
    pub(super) fn of(conn: &Conn, app: &Arc<str>, fact: Applied, refs: &[Ref], places: Places) -> Sql<Self> {
        let (nodes, nodes_count) = nodes(conn, app, refs)?;
        let Applied { seq, trigger, occurred_at, .. } = fact;
        Ok(Self { app: Arc::clone(app), seq, trigger, occurred_at, nodes, nodes_count, places, json: OnceLock::new() })
    }

    /// As `GET /changes` sends it: made once for all who follow.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let nodes: Vec<&str> = self.nodes.iter().map(|id| id.as_str()).collect();
            serde_json::json!({
                "seq": self.seq.to_string(),
                "appId": &*self.app,
                "trigger": self.trigger,
                "occurredAt": self.occurred_at.rfc3339(),
                "nodes": nodes,
                "nodesCount": self.nodes_count,
            })
            .to_string()
        })
    }

    /// About so many bytes of memory, its JSON included.
    pub(super) fn bytes(&self) -> usize {
        let nodes: usize = self.nodes.iter().map(|id| id.len()).sum();
        OVERHEAD + self.trigger.len() + 2 * nodes + self.places.bytes()
    }
}

/// Where a change happened: the groups, the people and the conversations that it speaks of.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub guids: BTreeSet<String>,
    pub uids: BTreeSet<String>,
    /// With their types: ids of different conversations may be spelled alike.
    pub conversations: Vec<(String, ReceiverType)>,
}

impl Places {
    pub fn of(conn: &Conn, app: &str, refs: &[Ref]) -> Sql<Self> {
        let mut places = Self::default();
        for reference in refs {
            let parts = reference.parts();
            match (reference.kind, parts.as_slice()) {
                ("group", _) => drop(places.guids.insert(reference.key.clone())),
                ("user", _) => drop(places.uids.insert(reference.key.clone())),
                ("membership", [guid, uid]) => {
                    places.guids.insert(guid.clone());
                    places.uids.insert(uid.clone());
                }
                ("receipt", [_, uid]) | ("reaction", [_, uid, _]) => drop(places.uids.insert(uid.clone())),
                ("message", _) => {
                    let place = change::place_of(conn, app, &reference.key)?;
                    places.guids.extend(place.guid);
                    places.uids.extend(place.sender_uid);
                    places.conversations.extend(place.conversation.filter(|it| !places.conversations.contains(it)));
                }
                _ => {}
            }
        }
        Ok(places)
    }

    fn bytes(&self) -> usize {
        let texts = self.guids.iter().chain(&self.uids).chain(self.conversations.iter().map(|(id, _)| id));
        texts.map(|text| text.len() + size_of::<String>()).sum()
    }
}

/// What the fact speaks of, told again by what was received.
pub(super) fn refs(body: &str) -> Vec<Ref> {
    envelope::payload(body).map(|payload| payload.refs()).unwrap_or_default()
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

/// The changes of a stretch of the log, and how far they go: what takes long ends early.
pub(super) fn read(
    conn: &Conn,
    app: &Arc<str>,
    range: Range<i64>,
    filter: &ChangeFilter,
    is_enough: impl Fn(i64, usize) -> bool,
) -> Sql<(Vec<Arc<Decoded>>, i64)> {
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
        if !filter.is_about(&fact.trigger) {
            return Ok(true);
        }
        let refs = refs(&fact.body);
        let places = if filter.names_a_place() { Places::of(conn, app, &refs)? } else { Places::default() };
        if filter.is_within(&places) {
            changes.push(Arc::new(Decoded::of(conn, app, fact, &refs, places)?));
        }
        Ok(true)
    })?;
    Ok((changes, seen))
}

impl ChangeFilter {
    /// Whether such a change is wanted.
    pub(super) fn wants(&self, change: &Decoded) -> bool {
        self.is_about(&change.trigger) && self.is_within(&change.places)
    }

    fn is_about(&self, trigger: &str) -> bool {
        self.triggers.as_ref().is_none_or(|triggers| triggers.iter().any(|wanted| wanted == trigger))
    }

    fn names_a_place(&self) -> bool {
        self.guid.is_some() || self.uid.is_some() || self.conversation_id.is_some()
    }

    fn is_within(&self, places: &Places) -> bool {
        let Self { guid, uid, conversation_id, receiver_type, .. } = self;
        let is_there = |wanted: &String| {
            let of_type = |kind| receiver_type.is_none_or(|wanted| kind == ReceiverType::from(wanted));
            places.conversations.iter().any(|(id, kind)| id == wanted && of_type(*kind))
        };
        guid.as_ref().is_none_or(|guid| places.guids.contains(guid))
            && uid.as_ref().is_none_or(|uid| places.uids.contains(uid))
            && conversation_id.as_ref().is_none_or(is_there)
    }
}
