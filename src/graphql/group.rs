//! Groups.
#![expect(clippy::too_many_arguments, reason = "they are the arguments of fields in the schema")]

use super::activity::Activity;
use super::call_totals::{CallTotals, Whose};
use super::context::Ask;
use super::conversation::Conversation;
use super::drift::Drift;
use super::enums::{GroupType, TimeSource};
use super::error::{Code, Result};
use super::filter::{GroupFilter, GroupOrder, MembershipFilter, include, name_part, scopes, states};
use super::json::stored;
use super::membership::{Membership, MembershipChangeConnection, MembershipConnection};
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::page::{Page, Paging, connection};
use super::responses::{Asked, Responses};
use super::scalars::{DateTime, Json, int};
use super::user::User;
use crate::clock;
use crate::ids::{ConversationKey, Time};
use crate::store::sqlite::read::group::{self as row, GroupKey, GroupMetadata, Groups, Order};
use crate::store::sqlite::read::membership::{Members, MembershipKey};
use crate::store::sqlite::read::membership_change::MembershipChanges;
use crate::store::sqlite::read::texts;
use async_graphql::{Context, ID, Object};
use std::sync::Arc;

#[derive(Clone)]
pub struct Group {
    app: Arc<str>,
    row: row::Group,
}

connection!(GroupConnection, GroupEdge, Group, "groups");

/// A group. Deleted groups stay readable.
#[Object]
impl Group {
    /// The global id. Pass it to `node`.
    pub async fn id(&self) -> ID {
        encode(&self.app, &NodeKey::Group(self.row.guid.clone()))
    }

    /// The id of the app that this group belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the group.
    async fn guid(&self) -> &str {
        &self.row.guid
    }

    /// The name of the group.
    async fn name(&self) -> Option<&str> {
        self.row.name.as_deref()
    }

    /// How people get into the group.
    #[graphql(name = "type")]
    async fn kind(&self) -> Option<GroupType> {
        self.row.kind.as_deref().and_then(GroupType::from_word)
    }

    /// The description of the group.
    async fn description(&self) -> Option<&str> {
        self.row.description.as_deref()
    }

    /// The address of the group's icon.
    async fn icon(&self) -> Option<&str> {
        self.row.icon.as_deref()
    }

    /// The tags of the group.
    async fn tags(&self) -> Vec<String> {
        texts(self.row.tags.as_deref())
    }

    /// The group's metadata (custom data), without secrets.
    async fn metadata(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        let metadata = ctx.load_said(&self.app, GroupMetadata(self.row.guid.as_str().into())).await;
        metadata.map(|metadata| stored(metadata.as_deref())).transpose()
    }

    /// The person who owns the group.
    async fn owner(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.owner_uid.as_deref()).await
    }

    /// When the group was created.
    async fn created_at(&self) -> Option<DateTime> {
        self.row.created_at.map(DateTime)
    }

    /// When the group was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        self.row.updated_at.map(DateTime)
    }

    /// The person who changed the group last.
    async fn updated_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.updated_by.as_deref()).await
    }

    /// When the group was deleted. Null if the group is not deleted. CometChat sends no time of a deletion, so see
    /// `deletedAtFrom`.
    async fn deleted_at(&self) -> Option<DateTime> {
        self.row.deleted_at.map(DateTime)
    }

    /// How the time `deletedAt` is known.
    async fn deleted_at_from(&self) -> Option<TimeSource> {
        self.row.deleted_at_from.map(Into::into)
    }

    /// The number of members, counted from the events.
    async fn members_count(&self) -> i32 {
        int(self.row.members_count)
    }

    /// The number of members in the newest count that CometChat sent.
    async fn reported_members_count(&self) -> Option<i32> {
        self.row.reported_members_count.map(int)
    }

    /// How the number of members differs from what CometChat says. Null if both agree, if CometChat sent no number, or
    /// if the group is deleted. A difference that the changes of the same minute can explain is no drift.
    async fn drift(&self) -> Option<Drift> {
        self.row.drift.map(Drift::from)
    }

    /// The member list is complete from this time on: the group was created then, or a complete list was read from
    /// CometChat. Null: the list holds only the members that events named.
    async fn members_known_since(&self) -> Option<DateTime> {
        self.row.members_known_since.map(DateTime)
    }

    /// The members of the group, by uid. Without `filter.states`, only people who are members (`JOINED`). Null with the
    /// error `BEFORE_HISTORY` if `asOf` is before the first known fact about the members.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The members at this time instead of now.")] as_of: Option<DateTime>,
        #[graphql(desc = "Only memberships that match this filter.")] filter: Option<MembershipFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Option<Result<MembershipConnection>> {
        let filter = filter.unwrap_or_default();
        Some(self.known_at(as_of).and_then(|()| {
            let list = Members {
                app: self.app.to_string(),
                guid: self.row.guid.clone(),
                states: states(filter.states),
                scopes: scopes(filter.scopes),
                name: name_part(filter.name_contains)?,
                at: as_of.map(|at| at.0.0),
            };
            let paging = Paging { first, after, last, before };
            Page::read_with(ctx, Arc::clone(&self.app), list, &paging, Membership::wanted(ctx))
                .map(MembershipConnection)
        }))
    }

    /// The membership of one person, in any state.
    async fn member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The uid of the person.")] uid: String,
        #[graphql(desc = "The membership at this time instead of now.")] as_of: Option<DateTime>,
    ) -> Option<Result<Membership>> {
        if let Err(error) = self.known_at(as_of) {
            return Some(Err(error));
        }
        let key = MembershipKey { guid: self.row.guid.as_str().into(), uid: uid.into(), at: as_of.map(|at| at.0.0) };
        Membership::find(ctx, &self.app, key).await.transpose()
    }

    /// Every fact about the members of this group, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn membership_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only facts about the person with this uid.")] uid: Option<String>,
        #[graphql(desc = "Only facts at this time or later.")] changed_after: Option<DateTime>,
        #[graphql(desc = "Only facts before this time.")] changed_before: Option<DateTime>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<MembershipChangeConnection> {
        let list = MembershipChanges {
            app: self.app.to_string(),
            guid: self.row.guid.clone(),
            uid,
            low: changed_after.map(|at| at.0.0),
            high: changed_before.map(|at| at.0.0),
        };
        Page::read(ctx, Arc::clone(&self.app), list, &Paging { first, after, last, before })
            .map(MembershipChangeConnection)
    }

    /// Messages and reactions in this group, day by day.
    #[graphql(complexity = "200 + child_complexity")]
    async fn activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The start of the time span.")] after: DateTime,
        #[graphql(desc = "The end of the time span, not included. At most 92 days after the start.")] before: DateTime,
        #[graphql(
            desc = "The time zone of the days, by its IANA name, such as `Europe/Berlin`.",
            default_with = "Some(\"UTC\".to_owned())"
        )]
        time_zone: Option<String>,
    ) -> Option<Result<Activity>> {
        let conversation = ConversationKey::of_group(&self.row.guid);
        Some(Activity::read(ctx, &self.app, Some(&conversation), after, before, time_zone.as_deref()))
    }

    /// How long customers waited for an answer of an agent in this group, day by day.
    #[graphql(complexity = "200 + child_complexity")]
    async fn responses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The start of the time span.")] after: DateTime,
        #[graphql(desc = "The end of the time span, not included. At most 92 days after the start.")] before: DateTime,
        #[graphql(
            desc = "The time zone of the days, by its IANA name, such as `Europe/Berlin`.",
            default_with = "Some(\"UTC\".to_owned())"
        )]
        time_zone: Option<String>,
        #[graphql(
            desc = "A person with one of these roles is an agent. At most 20 roles.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        roles: Option<Vec<String>>,
        #[graphql(
            desc = "A person with one of these tags is an agent too. At most 20 tags.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        tags: Option<Vec<String>>,
    ) -> Option<Result<Responses>> {
        let asked = Asked { after, before, time_zone, roles, tags };
        let conversation = ConversationKey::of_group(&self.row.guid);
        Some(Responses::read(ctx, &self.app, Some(&conversation), asked))
    }

    /// Totals of the group's calls and meetings in a time span.
    #[graphql(complexity = "200 + child_complexity")]
    async fn call_totals(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The start of the time span. A call counts by its start, or by the time it began to ring if the start is not known."
        )]
        after: DateTime,
        #[graphql(desc = "The end of the time span, not included.")] before: DateTime,
    ) -> Option<Result<CallTotals>> {
        let whose = Whose { app: Arc::clone(&self.app), guid: Some(self.row.guid.clone()), uid: None };
        Some(CallTotals::read(ctx, whose, after, before))
    }

    /// The conversation of the group.
    async fn conversation(&self, ctx: &Context<'_>) -> Result<Conversation> {
        Conversation::of_group(ctx, &self.app, &self.row.guid).await
    }
}

impl Group {
    /// The group, if it was heard of.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, guid: &str) -> Result<Option<Self>> {
        let row = ctx.load(app, GroupKey(guid.to_owned())).await?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// The group; with its guid alone where only that is known.
    pub async fn get(ctx: &Context<'_>, app: &Arc<str>, guid: &str) -> Result<Self> {
        let blank =
            || Self { app: Arc::clone(app), row: row::Group { guid: guid.to_owned(), ..row::Group::default() } };
        Ok(Self::find(ctx, app, guid).await?.unwrap_or_else(blank))
    }

    /// For nullable fields.
    pub async fn maybe(ctx: &Context<'_>, app: &Arc<str>, guid: Option<&str>) -> Option<Result<Self>> {
        Some(Self::get(ctx, app, guid?).await)
    }

    /// A page of groups.
    pub fn list(
        ctx: &Context<'_>,
        app: Arc<str>,
        filter: Option<GroupFilter>,
        order: Option<GroupOrder>,
        paging: &Paging,
    ) -> Result<GroupConnection> {
        use super::enums::{GroupOrderField as Field, OrderDirection};
        let filter = filter.unwrap_or_default();
        let list = Groups {
            app: app.to_string(),
            guids: filter.guids,
            owner: filter.owner,
            kinds: filter.types.map(|types| types.into_iter().map(GroupType::as_str).collect()),
            member: filter.member_uid,
            name_contains: name_part(filter.name_contains)?,
            deleted: include(filter.include_deleted),
            drifted: filter.drifted,
            order: match order.as_ref().map(|order| order.field) {
                None | Some(Field::Guid) => Order::Guid,
                Some(Field::Name) => Order::Name,
                Some(Field::CreatedAt) => Order::Created,
            },
            falling: order.is_some_and(|order| order.direction == OrderDirection::Desc),
        };
        Page::read(ctx, app, list, paging).map(GroupConnection)
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        // The guid is the last part in every order.
        let guid = |key: &Vec<_>| GroupKey(key.last().map_or("", super::page::text).to_owned());
        let rows = ctx.load_all(&page.app, page.keys.iter().map(guid).collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }

    /// Whether the person owns it.
    pub fn is_owner(&self, uid: &str) -> bool {
        self.row.owner_uid.as_deref() == Some(uid)
    }

    fn known_at(&self, as_of: Option<DateTime>) -> Result<()> {
        let Some(DateTime(at)) = as_of else {
            return Ok(());
        };
        match self.row.history_since {
            Some(since) if since <= at => Ok(()),
            // Of a group without any fact about members only the present can be told; "now" takes its time to get here.
            None if at.0 >= clock::now().0 - 60_000 => Ok(()),
            since => Err(Code::BeforeHistory.error(before_history(since))),
        }
    }
}

fn before_history(since: Option<Time>) -> String {
    match since {
        Some(since) => format!("asOf: nothing is known about the members of this group before {}", since.rfc3339()),
        None => "asOf: no event told anything about the members of this group. Ask without asOf".to_owned(),
    }
}
