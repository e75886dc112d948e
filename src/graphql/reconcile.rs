//! What the newest reconcile of an app came to.

use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime};
use crate::ids::Time;
use crate::store::sqlite::reconcile::Ended;
use async_graphql::SimpleObject;

/// A reading of CometChat's API where the tables may be wrong: groups with drift first, then what was read longest ago.
#[derive(SimpleObject)]
pub struct Reconcile {
    /// When the reading began.
    began_at: DateTime,
    /// When the reading ended.
    ended_at: DateTime,
    /// The number of requests that were sent.
    requests: BigInt,
    /// How many people, groups, members, bans, blocks and messages were read.
    entities: BigInt,
    /// How many of these were new or others than in the tables.
    changes: BigInt,
    /// How much could not be read, or not whole.
    unreachable: BigInt,
    /// Why the reading ended early. Null: it did not.
    error: Option<String>,
}

impl From<Ended> for Reconcile {
    fn from(it: Ended) -> Self {
        Self {
            began_at: DateTime(Time(it.began_at)),
            ended_at: DateTime(Time(it.ended_at)),
            requests: BigInt(it.requests),
            entities: BigInt(it.entities),
            changes: BigInt(it.changes),
            unreachable: BigInt(it.unreachable),
            error: it.error,
        }
    }
}
