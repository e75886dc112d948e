//! How a person stood with a group over time.

use super::context::Ask;
use super::enums::{MembershipScope, MembershipState};
use super::error::Result;
use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime};
use super::user::User;
use crate::standing::Period;
use crate::store::sqlite::read::membership_period as row;
use async_graphql::{Context, Object};
use std::sync::Arc;

pub struct MembershipPeriod {
    app: Arc<str>,
    row: Period,
}

/// A time in which a membership did not change. For every `asOf` in this time, the answer is the same.
#[Object]
impl MembershipPeriod {
    /// The state of the membership in this time.
    async fn state(&self) -> MembershipState {
        self.row.state.into()
    }

    /// What the person could do in the group in this time. Null unless the state is `JOINED`.
    async fn scope(&self) -> Option<MembershipScope> {
        self.row.scope.map(Into::into)
    }

    /// When the period began. Null if the time of its first fact is not known.
    async fn from(&self) -> Option<DateTime> {
        self.row.from.map(DateTime)
    }

    /// When the period ended. Null if it has not ended.
    async fn until(&self) -> Option<DateTime> {
        self.row.until.map(DateTime)
    }

    /// The person who began the period.
    async fn by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.by.as_deref()).await
    }

    /// The log position of the event that began the period. Null if a complete member list began it.
    async fn seq(&self) -> Option<BigInt> {
        self.row.seq.map(BigInt)
    }
}

impl MembershipPeriod {
    /// The periods of a membership, oldest first.
    pub async fn of(ctx: &Context<'_>, app: &Arc<str>, guid: &str, uid: &str) -> Result<Option<Vec<Self>>> {
        let found = ctx.load(app, row::PeriodsOf { guid: guid.to_owned(), uid: uid.to_owned() }).await?;
        Ok(found.map(|rows| rows.into_iter().map(|row| Self { app: Arc::clone(app), row }).collect()))
    }
}
