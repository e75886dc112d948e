//! `/groups`.

use super::answer::{Drift, List, Person};
use super::frame::Frame;
use super::page::{Page, Show};
use super::view;
use askama::Template;
use serde::Deserialize;

pub const PAGE: Page = Page::of::<Groups>("/groups", include_str!("groups.graphql"));

#[derive(Template)]
#[template(path = "groups.html")]
pub struct Groups {
    frame: Frame,
    groups: List<Group>,
}

#[derive(Deserialize)]
pub struct Answer {
    groups: List<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    guid: String,
    name: Option<String>,
    r#type: Option<String>,
    members_count: i64,
    reported_members_count: Option<i64>,
    drift: Option<Drift>,
    created_at: Option<String>,
    deleted_at: Option<String>,
    owner: Option<Person>,
}

impl Show for Groups {
    type Answer = Answer;

    fn show(frame: Frame, Answer { groups }: Answer) -> Option<Self> {
        Some(Self { frame, groups })
    }
}
