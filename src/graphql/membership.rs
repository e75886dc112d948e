//! Memberships and their history.

use super::context::Ask;
use super::enums::{MembershipScope, MembershipState, TimeSource};
use super::error::Result;
use super::group::Group;
use super::membership_period::MembershipPeriod;
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::page::{Page, connection, selects, text};
use super::scalars::{BigInt, DateTime};
use super::user::User;
use crate::store::sqlite::read::membership::{self as row, Members, MembershipKey};
use crate::store::sqlite::read::membership_change::{self as change, ChangeKey};
use crate::store::sqlite::read::{ReadError, Wanted};
use async_graphql::{Context, ID, Object};
use std::any::Any;
use std::sync::Arc;

#[derive(Clone)]
pub struct Membership {
    app: Arc<str>,
    row: row::Membership,
}

connection!(MembershipConnection, MembershipEdge, Membership, "memberships");

/// A person's membership in a group. Ended memberships are kept.
#[Object]
impl Membership {
    /// The global id. Pass it to `node`, which gives the membership as it is now, also if this object shows another
    /// time.
    pub async fn id(&self) -> ID {
        encode(&self.app, &NodeKey::Membership(self.row.guid.to_string(), self.row.uid.to_string()))
    }

    /// The group.
    async fn group(&self, ctx: &Context<'_>) -> Result<Group> {
        Group::get(ctx, &self.app, &self.row.guid).await
    }

    /// The person.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        match &self.row.person {
            Some(person) => Ok(User::of(&self.app, Arc::clone(&person.row), person.presence)),
            None => User::get(ctx, &self.app, Arc::clone(&self.row.uid)).await,
        }
    }

    /// CometChat's id of the group.
    async fn guid(&self) -> &str {
        &self.row.guid
    }

    /// CometChat's id of the person.
    async fn uid(&self) -> &str {
        &self.row.uid
    }

    /// The state of the membership.
    async fn state(&self) -> MembershipState {
        self.row.state.into()
    }

    /// What the person may do in the group. Null unless the state is `JOINED`.
    async fn scope(&self) -> Option<MembershipScope> {
        self.row.scope.filter(|_| self.row.state == crate::ids::State::Joined).map(Into::into)
    }

    /// Whether the person owns the group now.
    async fn is_owner(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(Group::get(ctx, &self.app, &self.row.guid).await?.is_owner(&self.row.uid))
    }

    /// When the person joined. Null if that is not known.
    async fn joined_at(&self, ctx: &Context<'_>) -> Option<Result<DateTime>> {
        self.rest(ctx).await.map(|rest| rest.joined_at.map(DateTime)).transpose()
    }

    /// When the state or the scope last changed.
    async fn changed_at(&self, ctx: &Context<'_>) -> Result<DateTime> {
        Ok(DateTime(self.rest(ctx).await?.changed_at))
    }

    /// How the time `changedAt` is known.
    async fn changed_at_from(&self, ctx: &Context<'_>) -> Result<TimeSource> {
        Ok(self.rest(ctx).await?.changed_at_from.into())
    }

    /// The person who made this change.
    async fn changed_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        match self.rest(ctx).await {
            Ok(rest) => User::maybe(ctx, &self.app, rest.changed_by).await,
            Err(error) => Some(Err(error)),
        }
    }

    /// The history of the membership, oldest first: the newest 200 periods. The list is the same for every `asOf`. An
    /// error if the membership has too many facts for one page.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn periods(&self, ctx: &Context<'_>) -> Option<Result<Vec<MembershipPeriod>>> {
        MembershipPeriod::of(ctx, &self.app, &self.row.guid, &self.row.uid).await.transpose()
    }
}

impl Membership {
    /// What the list that it is from has not read.
    async fn rest(&self, ctx: &Context<'_>) -> Result<row::Rest> {
        if let Some(rest) = &self.row.rest {
            return Ok(rest.clone());
        }
        let key = MembershipKey { guid: Arc::clone(&self.row.guid), uid: Arc::clone(&self.row.uid), at: None };
        ctx.load(&self.app, key).await?.and_then(|row| row.rest).ok_or_else(|| ReadError::Failed.into())
    }

    /// The membership, if it was heard of.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, key: MembershipKey) -> Result<Option<Self>> {
        let row = ctx.load(app, key).await?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// What a list of memberships can read with its keys, as far as it is selected.
    pub fn wanted(ctx: &Context<'_>) -> Wanted {
        let rest = ["joinedAt", "changedAt", "changedAtFrom", "changedBy"];
        Wanted {
            person: selects(ctx, &["user"]),
            presence: selects(ctx, &["user", "presence"]),
            rest: rest.iter().any(|field| selects(ctx, &[field])),
        }
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        if let Some(rows) = page.rows::<row::Membership>() {
            return Ok(rows.into_iter().map(|row| Self { app: Arc::clone(&page.app), row }).collect());
        }
        let list: &dyn Any = page.list.as_any();
        let keys = page.keys.iter().map(|key| {
            let part: Arc<str> = text(&key[0]).into();
            match (list.downcast_ref::<Members>(), list.downcast_ref::<row::Memberships>()) {
                (Some(members), _) => MembershipKey { guid: members.guid.as_str().into(), uid: part, at: members.at },
                (None, of_user) => {
                    let uid = of_user.map_or("", |list| &list.uid).into();
                    MembershipKey { guid: part, uid, at: None }
                }
            }
        });
        let rows = ctx.load_all(&page.app, keys.collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }
}

#[derive(Clone)]
pub struct MembershipChange {
    app: Arc<str>,
    row: change::MembershipChange,
}

connection!(MembershipChangeConnection, MembershipChangeEdge, MembershipChange, "changes of memberships");

/// A fact about one person's membership in a group.
#[Object]
impl MembershipChange {
    /// The log position of the event that carried this fact.
    async fn seq(&self) -> BigInt {
        BigInt(self.row.seq)
    }

    /// When the fact happened.
    async fn at(&self) -> DateTime {
        DateTime(self.row.at)
    }

    /// How the time `at` is known.
    async fn at_from(&self) -> TimeSource {
        self.row.at_from.into()
    }

    /// The trigger of the event, such as `group_member_added`.
    async fn trigger(&self) -> &str {
        &self.row.trigger
    }

    /// The person whose membership changed.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        User::get(ctx, &self.app, self.row.uid.as_str()).await
    }

    /// The person who made the change.
    async fn by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.by.as_deref()).await
    }

    /// The new state. Null if the fact is only about the scope or the owner.
    async fn state(&self) -> Option<MembershipState> {
        self.row.state.map(Into::into)
    }

    /// The new scope. Null if the fact names none.
    async fn scope(&self) -> Option<MembershipScope> {
        self.row.scope.map(Into::into)
    }
}

impl MembershipChange {
    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        let list: &dyn Any = page.list.as_any();
        let guid = list.downcast_ref::<change::MembershipChanges>().map(|list| list.guid.clone()).unwrap_or_default();
        let keys = page.keys.iter().map(|key| ChangeKey {
            guid: guid.clone(),
            at: key[0].int(),
            seq: key[1].int(),
            uid: text(&key[2]).to_owned(),
        });
        let rows = ctx.load_all(&page.app, keys.collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }
}
