//! `/group`: its profile, who is or was in it, and their stays over time.

use super::answer::{Drift, List, Person};
use super::bars::{Bars, Mark, Span};
use super::frame::Frame;
use super::page::{Page, Show};
use super::view::Html;
use super::{about, source, view};
use crate::clock;
use crate::entity::Entity;
use crate::ids::Time;
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

pub const PAGE: Page = Page::of::<GroupPage>("/group", include_str!("group.graphql"));

#[derive(Template)]
#[template(path = "group.html")]
pub struct GroupPage {
    frame: Frame,
    group: Group,
    /// Null before anything is known of its members.
    members: Vec<Member>,
    bars: Bars,
    /// The instant looked at; `None`: now.
    as_of: Option<Time>,
    previous: Option<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
pub struct Answer {
    group: Option<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    guid: String,
    name: Option<String>,
    r#type: Option<String>,
    description: Option<String>,
    icon: Option<String>,
    tags: Vec<String>,
    metadata: Option<Value>,
    created_at: Option<String>,
    updated_at: Option<String>,
    deleted_at: Option<String>,
    deleted_at_from: Option<String>,
    members_count: i64,
    reported_members_count: Option<i64>,
    drift: Option<Drift>,
    members_known_since: Option<String>,
    owner: Option<Person>,
    updated_by: Option<Person>,
    conversation: Conversation,
    members: Option<List<Member>>,
    changes: List<Change>,
    previous: List<At>,
    next: List<At>,
    oldest: List<At>,
    newest: List<At>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    conversation_id: String,
    messages_count: i64,
}

/// What happened to a member.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    seq: String,
    at: String,
    at_from: String,
    trigger: String,
    user: Person,
    by: Option<Person>,
    state: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct At {
    at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    uid: String,
    state: String,
    scope: Option<String>,
    is_owner: bool,
    joined_at: Option<String>,
    changed_at: String,
    changed_at_from: String,
    user: Person,
    changed_by: Option<Person>,
    periods: Option<Vec<Period>>,
}

#[derive(Deserialize)]
pub struct Period {
    state: String,
    scope: Option<String>,
    from: Option<String>,
    until: Option<String>,
    seq: Option<String>,
}

impl Show for GroupPage {
    type Answer = Answer;

    fn show(frame: Frame, answer: Answer) -> Option<Self> {
        let mut group = answer.group?;
        let as_of = frame.instant("asOf");
        let now = clock::now();
        let told = |list: &List<At>| list.nodes.first().and_then(|it| Time::parse(&it.at));
        let start = told(&group.oldest).unwrap_or(now).min(now);
        // What goes on goes to the edge: the time since the last change says nothing, and would press the rest together.
        let newest = told(&group.newest).unwrap_or(now).max(start);
        let end = Time(newest.0 + ((newest.0 - start.0) / 6).max(60_000)).min(now);
        let bars = Bars { start, end };
        // The change at the instant itself is among those that follow: the next one is later.
        let next =
            group.next.nodes.iter().rev().find(|it| as_of.is_some_and(|as_of| Time::parse(&it.at) > Some(as_of)));
        let next = next.map(|it| it.at.clone());
        let previous = group.previous.nodes.first().map(|it| it.at.clone());
        let members = group.members.take();
        let info = members.as_ref().map(|members| members.page_info.clone()).unwrap_or_default();
        group.members = Some(List { nodes: Vec::new(), page_info: info, total_count: None, total_count_exact: None });
        let members = members.map(|members| members.nodes).unwrap_or_default();
        Some(Self { frame, group, members, bars, as_of, previous, next })
    }
}

impl Change {
    /// `kicked`, `made moderator`, `joined as admin`.
    fn what(&self) -> Html {
        let scope = self.scope.as_deref().map(view::badge);
        Html(match (&self.state, scope) {
            (Some(state), Some(scope)) => format!("{} as {scope}", view::badge(state)),
            (Some(state), None) => view::badge(state).to_string(),
            (None, Some(scope)) => format!("made {scope}"),
            (None, None) => format!("made {}", view::badge("owner")),
        })
    }
}

impl GroupPage {
    fn is_filtered(&self) -> bool {
        ["states", "scopes", "name"].iter().any(|name| self.frame.params.get(name).is_some())
    }

    /// Stays as bars, ends and promotions as marks; each leads to its event.
    fn spans(&self, member: &Member) -> Vec<Span> {
        let mut spans = Vec::new();
        for period in member.periods.iter().flatten().filter(|period| period.state == "JOINED") {
            let scope = period.scope.as_deref().unwrap_or("PARTICIPANT").to_lowercase();
            let words = |at: &Option<String>, or: &str| at.as_deref().map_or(or.to_owned(), |at| self.frame.words(at));
            let (from, until) = (words(&period.from, "an unknown time"), words(&period.until, "now"));
            let title = format!("{} as {scope}, {from} to {until}", member.uid);
            spans.push(self.bars.span(period.from.as_deref(), period.until.as_deref(), scope, title));
        }
        spans
    }

    fn marks(&self, member: &Member) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut joined = false;
        for period in member.periods.iter().flatten() {
            let here = period.state == "JOINED";
            // A bar begins by itself: only a change of scope within a stay is marked.
            let kind = match (here, joined) {
                (true, false) => None,
                (true, true) => Some("scope".to_owned()),
                (false, _) => Some(period.state.to_lowercase()),
            };
            joined = here;
            let (Some(kind), Some(at)) = (kind, period.from.as_deref()) else { continue };
            let what = match (&*kind, &period.scope) {
                ("scope", Some(scope)) => scope.to_lowercase(),
                _ => kind.clone(),
            };
            let href = period.seq.as_deref().map(|seq| self.frame.link("/event", &[("seq", seq)]));
            marks.push(self.bars.mark(at, kind, format!("{} {what}, {}", member.uid, self.frame.words(at)), href));
        }
        marks
    }

    fn name(&self) -> String {
        Entity::Group(self.group.guid.clone()).to_string()
    }

    fn entity(&self, member: &Member) -> String {
        Entity::Membership { guid: self.group.guid.clone(), uid: member.uid.clone() }.to_string()
    }

    /// Where the instant looked at lies.
    fn line(&self) -> Option<f64> {
        self.as_of.map(|at| self.bars.at(at))
    }

    fn in_it(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.state == "JOINED")
    }

    fn not_in_it(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.state != "JOINED")
    }

    fn page(&self) -> super::answer::PageInfo {
        self.group.members.as_ref().map(|members| members.page_info.clone()).unwrap_or_default()
    }
}
