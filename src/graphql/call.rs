//! Calls and meetings.

use super::context::Ask;
use super::enums::{CallKind, CallStatus};
use super::error::Result;
use super::filter::CallSessionFilter;
use super::group::Group;
use super::message::Message;
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::page::{Page, Paging, connection};
use super::scalars::{DateTime, int};
use super::user::User;
use crate::ids;
use crate::store::sqlite::read::PLAIN_LIST;
use crate::store::sqlite::read::call::{self as row, CallKey, Calls, RecordingsOf, StaysOf, TranscriptsOf};
use async_graphql::{ComplexObject, Context, ID, Object, SimpleObject};
use std::sync::Arc;

#[derive(Clone)]
pub struct CallSession {
    app: Arc<str>,
    row: row::Call,
}

connection!(CallSessionConnection, CallSessionEdge, CallSession, "calls and meetings");

/// A call or a meeting. CometChat may use one session id again, so this is one instance of a session.
#[Object]
impl CallSession {
    /// The global id. Pass it to `node`.
    pub async fn id(&self) -> ID {
        let key = self.row.key.clone();
        encode(&self.app, &NodeKey::Call(key.session_key, key.kind, key.anchor))
    }

    /// The id of the app that this call belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the session. Null if CometChat sent none.
    async fn session_id(&self) -> Option<&str> {
        self.row.session_id.as_deref()
    }

    /// Whether this is a call, which rings, or a meeting, which people join directly.
    async fn kind(&self) -> CallKind {
        self.row.kind.into()
    }

    /// The type of the call, such as `audio` or `video`.
    #[graphql(name = "type")]
    async fn call_type(&self) -> Option<&str> {
        self.row.call_type.as_deref()
    }

    /// The state of the call.
    async fn status(&self) -> Option<CallStatus> {
        self.row.status.map(Into::into)
    }

    /// The person who started the call.
    async fn initiator(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.initiator_uid.as_deref()).await
    }

    /// The person who was called.
    async fn receiver_user(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.receiver(ids::ReceiverType::User)).await
    }

    /// The group that was called.
    async fn receiver_group(&self, ctx: &Context<'_>) -> Option<Result<Group>> {
        Group::maybe(ctx, &self.app, self.receiver(ids::ReceiverType::Group)).await
    }

    /// The id of the message that announced the call.
    async fn call_message_id(&self) -> Option<&str> {
        self.row.call_message_id.as_deref()
    }

    /// The message that announced the call. Null if no event described that message.
    async fn call_message(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        Message::find(ctx, &self.app, self.row.call_message_id.as_deref()?).await.transpose()
    }

    /// When the call began to ring.
    async fn initiated_at(&self) -> Option<DateTime> {
        self.row.initiated_at.map(DateTime)
    }

    /// When people began to talk.
    async fn started_at(&self) -> Option<DateTime> {
        self.row.started_at.map(DateTime)
    }

    /// When the call ended.
    async fn ended_at(&self) -> Option<DateTime> {
        self.row.ended_at.map(DateTime)
    }

    /// The length of the call in seconds.
    async fn duration_seconds(&self) -> Option<i32> {
        self.row.duration_seconds.map(int)
    }

    /// The people who took part, at most 200.
    async fn participants(&self, ctx: &Context<'_>) -> Result<Vec<CallParticipant>> {
        let mut people = self.people(ctx).await?;
        people.truncate(PLAIN_LIST);
        Ok(people)
    }

    /// The number of people who took part.
    async fn participants_count(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(int(self.people(ctx).await?.len() as i64))
    }

    /// The recordings of the call, at most 200.
    async fn recordings(&self, ctx: &Context<'_>) -> Result<Vec<Recording>> {
        let rows = ctx.load(&self.app, RecordingsOf(self.row.key.clone())).await?.unwrap_or_default();
        Ok(rows.into_iter().take(PLAIN_LIST).map(Recording::new).collect())
    }

    /// The number of recordings.
    async fn recordings_count(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(int(ctx.load(&self.app, RecordingsOf(self.row.key.clone())).await?.map_or(0, |rows| rows.len()) as i64))
    }

    /// The transcripts of the call, at most 200.
    async fn transcripts(&self, ctx: &Context<'_>) -> Result<Vec<Transcript>> {
        let rows = ctx.load(&self.app, TranscriptsOf(self.row.key.clone())).await?.unwrap_or_default();
        Ok(rows.into_iter().take(PLAIN_LIST).map(Transcript::new).collect())
    }

    /// The number of transcripts.
    async fn transcripts_count(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(int(ctx.load(&self.app, TranscriptsOf(self.row.key.clone())).await?.map_or(0, |rows| rows.len()) as i64))
    }
}

impl CallSession {
    /// The instance, if there is one.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, key: CallKey) -> Result<Option<Self>> {
        let row = ctx.load(app, key).await?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// The newest instance of a session id.
    pub async fn newest(ctx: &Context<'_>, app: &Arc<str>, session_id: &str) -> Result<Option<Self>> {
        match ctx.read(|conn| row::newest(conn, app, session_id))? {
            Some(key) => Self::find(ctx, app, key).await,
            None => Ok(None),
        }
    }

    /// A page of calls and meetings.
    pub fn list(
        ctx: &Context<'_>,
        app: Arc<str>,
        filter: Option<CallSessionFilter>,
        paging: &Paging,
    ) -> Result<CallSessionConnection> {
        let filter = filter.unwrap_or_default();
        let list = Calls {
            app: app.to_string(),
            kinds: filter.kinds.map(|all| all.into_iter().map(|kind| ids::CallKind::from(kind).as_str()).collect()),
            statuses: filter
                .statuses
                .map(|all| all.into_iter().map(|status| ids::CallStatus::from(status).as_str()).collect()),
            uid: filter.uid,
            guid: filter.guid,
            call_message_id: filter.call_message_id,
            started_after: filter.started_after.map(|at| at.0.0),
            started_before: filter.started_before.map(|at| at.0.0),
            active: filter.active,
        };
        Page::read(ctx, app, list, paging).map(CallSessionConnection)
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        let rows = ctx.load_all(&page.app, page.keys.iter().map(CallKey::from_list).collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }

    fn receiver(&self, kind: ids::ReceiverType) -> Option<&str> {
        self.row.receiver_id.as_deref().filter(|_| self.row.receiver_type.as_deref() == Some(kind.as_str()))
    }

    /// Rows come person by person.
    async fn people(&self, ctx: &Context<'_>) -> Result<Vec<CallParticipant>> {
        let rows = ctx.load(&self.app, StaysOf(self.row.key.clone())).await?.unwrap_or_default();
        let mut people: Vec<CallParticipant> = Vec::new();
        for row in rows {
            match people.last_mut() {
                Some(last) if last.stays[0].person == row.person => last.stays.push(row),
                _ => people.push(CallParticipant { app: Arc::clone(&self.app), stays: vec![row] }),
            }
        }
        Ok(people)
    }
}

pub struct CallParticipant {
    app: Arc<str>,
    /// Never empty.
    stays: Vec<row::Stay>,
}

/// A person in a call or meeting.
#[Object]
impl CallParticipant {
    /// The name that the call showed for this person.
    async fn name(&self) -> Option<&str> {
        self.stays.iter().rev().find_map(|stay| stay.name.as_deref())
    }

    /// CometChat's id of the person. Null if only a name is known.
    async fn uid(&self) -> Option<&str> {
        self.known()
    }

    /// The person. Null if only a name is known.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.known()).await
    }

    /// The times that this person was in the call, oldest first. At most 200.
    async fn stays(&self) -> Vec<Stay> {
        self.stays.iter().take(PLAIN_LIST).map(Stay::new).collect()
    }

    /// The number of stays.
    async fn stays_count(&self) -> i32 {
        int(self.stays.len() as i64)
    }
}

impl CallParticipant {
    fn known(&self) -> Option<&str> {
        self.stays.iter().find_map(|stay| stay.uid.as_deref())
    }
}

/// One stay of a person in a call or meeting.
#[derive(SimpleObject)]
pub struct Stay {
    /// When the person joined.
    joined_at: Option<DateTime>,
    /// When the person left.
    left_at: Option<DateTime>,
    /// Whether the person joined without video.
    audio_only: Option<bool>,
}

impl Stay {
    fn new(row: &row::Stay) -> Self {
        Self { joined_at: row.joined_at.map(DateTime), left_at: row.left_at.map(DateTime), audio_only: row.audio_only }
    }
}

/// A recording of a call or meeting.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Recording {
    #[graphql(skip)]
    url: Option<String>,
    /// When the recording begins.
    started_at: Option<DateTime>,
    /// The length of the recording in seconds.
    duration_seconds: Option<f64>,
}

#[ComplexObject]
impl Recording {
    /// The address of the recording.
    async fn url(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.url.as_deref())
    }
}

impl Recording {
    fn new(row: row::Recording) -> Self {
        Self { url: row.url, started_at: row.started_at.map(DateTime), duration_seconds: row.duration_seconds }
    }
}

/// A transcript of a call or meeting.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Transcript {
    /// CometChat's id of the transcript.
    transcript_id: String,
    #[graphql(skip)]
    url: Option<String>,
    /// When the transcript begins.
    started_at: Option<DateTime>,
    /// When the transcript ends.
    ended_at: Option<DateTime>,
}

#[ComplexObject]
impl Transcript {
    /// The address of the transcript.
    async fn url(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.url.as_deref())
    }
}

impl Transcript {
    fn new(row: row::Transcript) -> Self {
        Self {
            transcript_id: row.transcript_id,
            url: row.url,
            started_at: row.started_at.map(DateTime),
            ended_at: row.ended_at.map(DateTime),
        }
    }
}
