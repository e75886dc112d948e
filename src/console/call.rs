//! `/call`: who was in a call or meeting, and when. By its session id the newest that used it, by its global id any.

use super::answer::{GroupName, Person};
use super::bars::{Bars, Mark, Span};
use super::frame::Frame;
use super::page::{Page, Show};
use super::params::Params;
use super::view;
use crate::clock;
use crate::entity::Entity;
use crate::ids::Time;
use askama::Template;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

pub const PAGE: Page = Page::of::<CallPage>("/call", include_str!("call.graphql"));

#[derive(Template)]
#[template(path = "call.html")]
pub struct CallPage {
    frame: Frame,
    call: Call,
    bars: Bars,
}

#[derive(Deserialize)]
pub struct Answer {
    newest: Option<Call>,
    /// An object without a session's fields where the id names something else.
    one: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    app_id: String,
    session_id: Option<String>,
    kind: String,
    r#type: Option<String>,
    status: Option<String>,
    call_message_id: Option<String>,
    /// Where it is known as a message.
    call_message: Option<IgnoredAny>,
    initiated_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    duration_seconds: Option<i64>,
    initiator: Option<Person>,
    receiver_user: Option<Person>,
    receiver_group: Option<GroupName>,
    participants: Vec<Participant>,
    participants_count: usize,
    recordings: Vec<Recording>,
    recordings_count: usize,
    transcripts: Vec<Transcript>,
    transcripts_count: usize,
}

#[derive(Deserialize)]
pub struct Participant {
    uid: Option<String>,
    name: Option<String>,
    user: Option<Known>,
    stays: Vec<Stay>,
    stayed: usize,
}

#[derive(Deserialize)]
pub struct Known {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stay {
    joined_at: Option<String>,
    left_at: Option<String>,
    audio_only: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    url: Option<String>,
    started_at: Option<String>,
    duration_seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transcript {
    transcript_id: String,
    url: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
}

impl Show for CallPage {
    type Answer = Answer;

    fn lists(data: &Value) -> Vec<String> {
        let calls = ["newest", "one"].into_iter().filter(|call| data[call]["participants"].get(0).is_some());
        calls.map(|call| format!("{call}.participants")).collect()
    }

    fn variables(params: &Params, variables: &mut Map<String, Value>) {
        variables.insert("isOld".to_owned(), params.get("id").is_some().into());
    }

    fn show(mut frame: Frame, answer: Answer) -> Option<Self> {
        let call: Call = match answer.one {
            Some(one) => serde_json::from_value(one).ok()?,
            None => answer.newest?,
        };
        // A global id says by itself which app it is of.
        frame.app = Some(call.app_id.clone());
        let bars = call.bars();
        Some(Self { frame, call, bars })
    }
}

impl Call {
    /// From its beginning to its end: told, else of the first and the last stay. What has no end lasts.
    fn bars(&self) -> Bars {
        let time = |told: &Option<String>| told.as_deref().and_then(Time::parse);
        let stays = || self.participants.iter().flat_map(|it| &it.stays);
        let joined = stays().filter_map(|stay| time(&stay.joined_at)).min_by_key(|time| time.0);
        let left = stays().filter_map(|stay| time(&stay.left_at)).max_by_key(|time| time.0);
        let open = self.ended_at.is_none() && stays().any(|stay| stay.left_at.is_none());
        let now = clock::now();
        let start = [time(&self.started_at), joined].into_iter().flatten().min_by_key(|time| time.0).unwrap_or(now);
        let end = [time(&self.ended_at), left, open.then_some(now)].into_iter().flatten().max_by_key(|time| time.0);
        Bars { start, end: Time(end.unwrap_or(now).0.max(start.0 + 1)) }
    }
}

impl CallPage {
    fn spans(&self, person: &Participant) -> Vec<Span> {
        let span = |stay: &Stay| {
            let words = |at: &Option<String>, or: &str| at.as_deref().map_or(or.to_owned(), |at| self.frame.words(at));
            let (from, until) = (words(&stay.joined_at, "an unknown time"), words(&stay.left_at, "no end told"));
            let how = if stay.audio_only == Some(true) { ", without video" } else { "" };
            let title = format!("{}, {from} to {until}{how}", person.called());
            self.bars.span(stay.joined_at.as_deref(), stay.left_at.as_deref(), "there".to_owned(), title)
        };
        person.stays.iter().map(span).collect()
    }

    fn no_marks(&self) -> [Mark; 0] {
        []
    }

    /// What `explain` and the list of events know it by; a call without a session id goes by its message.
    fn entity(&self) -> Option<String> {
        let session = self.call.session_id.clone().or_else(|| self.call.call_message_id.clone())?;
        Some(Entity::Call(session).to_string())
    }

    fn title(&self) -> &str {
        if self.call.kind == "MEETING" { "Meeting" } else { "Call" }
    }
}

impl Participant {
    fn called(&self) -> &str {
        let named = self.user.as_ref().and_then(|user| user.name.as_deref()).or(self.name.as_deref());
        named.or(self.uid.as_deref()).unwrap_or("somebody")
    }
}

impl Recording {
    fn length(&self) -> Option<String> {
        self.duration_seconds.map(|seconds| view::seconds(seconds as i64))
    }
}
