//! Calls and meetings: signalling (message-like) and media events (flat). All become facts of a session id; what they
//! mean together is decided in [`crate::sessions`].

use super::message_part::MessagePart;
use super::parts::{EntityPart, Object};
use super::{Payload, Ref, Rejection, missing};
use crate::change::{Change, Changes, User};
use crate::ids::{CallStatus, Time};
use crate::merge::{Fact, rank};
use crate::sessions::{CallFact, Kind, News, Occupant, Parties, Signal};

/// One fact about a session, and the people it names.
#[derive(Debug)]
struct Call {
    session_id: Option<String>,
    session_key: String,
    at: Option<Time>,
    news: News,
    message: Option<MessagePart>,
    people: Vec<EntityPart>,
}

impl Payload for Call {
    fn occurred_at(&self) -> Option<Time> {
        self.at
    }

    fn refs(&self) -> Vec<Ref> {
        let named = self.message.iter().filter(|message| !message.id.is_empty());
        let message = named.map(|message| Ref::about("message", &message.id));
        std::iter::once(Ref::sets("call", &self.session_key)).chain(message).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let stub = fact.copy(None, rank::COPY);
        if let Some(message) = &self.message {
            message.put_people(fact, out);
        }
        for person in &self.people {
            person.put(fact, out);
        }
        for occupant in occupants(&self.news) {
            if let Some(uid) = &occupant.uid {
                let row = User { name: occupant.name.clone().map(Some), ..User::default() };
                out.put(Change::User { uid: uid.clone(), telling: row.telling(stub) });
            }
        }
        if let News::Signal(Signal { parties: Some(parties), .. }) = &self.news {
            out.put_user(&parties.sender, stub);
            if let (Some("user"), Some(uid)) = (parties.receiver_type.as_deref(), &parties.receiver) {
                out.put_user(uid, stub);
            }
        }
        let mut news = self.news.clone();
        if let News::Started { created_at: created_at @ 0, .. } = &mut news {
            *created_at = fact.occurred_at.0;
        }
        if let News::Ended { ended_at: ended_at @ 0, .. } = &mut news {
            *ended_at = fact.occurred_at.0;
        }
        let fact = CallFact { at: fact.occurred_at.0, seq: fact.seq, session_id: self.session_id.clone(), news };
        out.put(Change::Call { session_key: self.session_key.clone(), fact: Box::new(fact) });
    }
}

fn occupants(news: &News) -> &[Occupant] {
    match news {
        News::Occupant { occupant, .. } => std::slice::from_ref(occupant),
        News::Ended { occupants, .. } => occupants,
        _ => &[],
    }
}

/// Session ids are spelled in three ways.
fn session_id(object: &Object<'_>) -> Option<String> {
    ["sessionId", "sessionid", "session_id"].iter().find_map(|key| object.id(key))
}

fn signal(
    object: &Object<'_>,
    message: MessagePart,
    status: Option<CallStatus>,
) -> Result<Box<dyn Payload>, Rejection> {
    let inner = object.object("data");
    let on = object.entity("on");
    let find = |pick: fn(&Object<'_>) -> Option<String>| {
        on.as_ref().and_then(pick).or_else(|| inner.as_ref().and_then(pick)).or_else(|| pick(object))
    };
    let session_id = find(session_id);
    let word =
        inner.as_ref().and_then(|data| data.text("action").flatten()).or_else(|| on.as_ref()?.text("status").flatten());
    let word = word.map(|word| if word == "canceled" { "cancelled".to_owned() } else { word });
    let status = status.map(|status| status.as_str().to_owned()).or(word);
    let ms = |key: &str| on.as_ref().and_then(|on| on.time(key).flatten()).map(|time| time.0);
    let at = message.row.sent_at.flatten();
    let initiated_at =
        ms("initiatedAt").or_else(|| at.map(|at| at.0).filter(|_| status.as_deref() == Some("initiated")));
    let people = ["by", "for"].iter().filter_map(|role| EntityPart::read(&object.entity(role)?)).collect();
    if session_id.is_none() && message.id.is_empty() {
        return Err(missing("data.call.id"));
    }
    let session_key = session_id.as_ref().map_or_else(|| format!("m:{}", message.id), |id| format!("s:{id}"));
    let news = News::Signal(Signal {
        status,
        initiated_at,
        started_at: ms("startedAt"),
        ended_at: ms("endedAt"),
        r#type: on.as_ref().and_then(|on| on.text("type").flatten()).or_else(|| object.text("type").flatten()),
        message_id: Some(message.id.clone()).filter(|id| !id.is_empty()),
        parties: on.as_ref().and_then(|on| parties(on, object)),
        outer: parties(object, object),
    });
    Ok(Box::new(Call { session_id, session_key, at, news, message: Some(message), people }))
}

fn parties(object: &Object<'_>, outer: &Object<'_>) -> Option<Parties> {
    let receiver_type = object.receiver_type().or_else(|| outer.receiver_type());
    Some(Parties {
        sender: object.id("sender")?,
        receiver: object.id("receiver"),
        receiver_type: receiver_type.map(|receiver| receiver.as_str().to_owned()),
    })
}

pub fn signalled(data: &Object<'_>, status: CallStatus) -> Result<Box<dyn Payload>, Rejection> {
    let object = data.object("call").or_else(|| data.object("message")).ok_or_else(|| missing("data.call"))?;
    signal(&object, MessagePart::read_as(object.id("id").unwrap_or_default(), &object), Some(status))
}

/// A call's action as it shows among messages.
pub fn echo(object: &Object<'_>, message: MessagePart) -> Result<Box<dyn Payload>, Rejection> {
    signal(object, message, None)
}

fn media(data: &Object<'_>, at: Option<Time>, news: News) -> Result<Box<dyn Payload>, Rejection> {
    let session_id = session_id(data).ok_or_else(|| missing("data.sessionId"))?;
    Ok(Box::new(Call {
        session_key: format!("s:{session_id}"),
        session_id: Some(session_id),
        at,
        news,
        message: None,
        people: Vec::new(),
    }))
}

pub fn started(data: &Object<'_>, kind: Kind) -> Result<Box<dyn Payload>, Rejection> {
    let created_at = data.time("created_at").flatten();
    media(data, created_at, News::Started { kind, created_at: created_at.unwrap_or_default().0 })
}

fn occupant(object: &Object<'_>) -> Occupant {
    let ms = |key: &str| object.time(key).flatten().map(|time| time.0);
    Occupant {
        uid: object.id("uid"),
        name: object.text("name").flatten(),
        joined_at: ms("joined_at"),
        left_at: ms("left_at"),
        audio_only: object.flag("audio_call"),
    }
}

pub fn attended(data: &Object<'_>, kind: Kind, left: bool) -> Result<Box<dyn Payload>, Rejection> {
    let object = data.object("occupant").ok_or_else(|| missing("data.occupant"))?;
    let occupant = occupant(&object);
    if occupant.uid.is_none() && occupant.name.is_none() {
        return Err(missing("data.occupant.uid or name"));
    }
    let at = if left { occupant.left_at } else { occupant.joined_at };
    media(data, at.map(Time), News::Occupant { kind, occupant })
}

pub fn ended(data: &Object<'_>, kind: Kind) -> Result<Box<dyn Payload>, Rejection> {
    let ended_at = data.time("destroyed_at").flatten();
    let occupants = data.entries("all_occupants").into_iter().map(|(_, object)| occupant(&object));
    let news = News::Ended {
        kind,
        created_at: data.time("created_at").flatten().map(|time| time.0),
        ended_at: ended_at.unwrap_or_default().0,
        occupants: occupants.filter(|who| who.uid.is_some() || who.name.is_some()).collect(),
    };
    media(data, ended_at, news)
}

pub fn recording(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let started_at = data.time("startTime").flatten();
    let url = data.text("recording_url").flatten().unwrap_or_default();
    media(
        data,
        started_at,
        News::Recording { started_at: started_at.map(|time| time.0), url, duration_ms: data.seconds_as_ms("duration") },
    )
}

pub fn transcript(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let ms = |key: &str| data.time(key).flatten().map(|time| time.0);
    let id = data.id("tid").ok_or_else(|| missing("data.tid"))?;
    let started_at = data.time("startTime").flatten();
    let news = News::Transcript {
        id,
        url: data.text("transcript_url").flatten(),
        started_at: ms("startTime"),
        ended_at: ms("endTime"),
    };
    media(data, started_at, news)
}
