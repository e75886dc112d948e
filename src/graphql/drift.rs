//! How chatfold's number of members differs from CometChat's.

use super::objects as async_graphql;
use super::scalars::{DateTime, int};
use crate::drift;
use crate::ids::Time;
use async_graphql::SimpleObject;

/// A difference between two numbers of members: events about this group are missing. The members listed are those that
/// the events give.
#[derive(SimpleObject)]
pub struct Drift {
    /// The number of members that CometChat sent. If a late event names people that a newer member list leaves out: the
    /// members counted, and these people.
    expected: i32,
    /// The number of members counted from the events, at the time that CometChat's number belongs to.
    counted: i32,
    /// The time from which the two numbers have differed.
    since: DateTime,
}

impl From<drift::Drift> for Drift {
    fn from(it: drift::Drift) -> Self {
        Self { expected: int(it.expected), counted: int(it.counted), since: DateTime(Time(it.since)) }
    }
}
