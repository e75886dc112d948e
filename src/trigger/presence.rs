//! Presence: who is online, through which connections.

use super::parts::{Object, UserPart};
use super::{Payload, Ref, Rejection, missing};
use crate::change::{Change, Changes, Connection, Presence};
use crate::ids::Time;
use crate::merge::{Fact, rank};

#[derive(Debug)]
struct Changed {
    user: UserPart,
    at: Option<Time>,
    online: Option<bool>,
    /// The event says that it flips the person's presence, not only one connection of several.
    flips: bool,
    /// (platform, connected at, open)
    connection: Option<(String, Option<Time>, bool)>,
}

/// Two vocabularies for one thing.
fn online(word: &str) -> Option<bool> {
    match word {
        "online" | "available" => Some(true),
        "offline" => Some(false),
        _ => None,
    }
}

pub fn changed(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let user = data.object("user").as_ref().and_then(UserPart::read).ok_or_else(|| missing("data.user.uid"))?;
    let status = data.text("status").flatten().or_else(|| data.object("user")?.text("status").flatten());
    let connection = data.object("currentConnection").and_then(|connection| {
        let open = match connection.text("action").flatten()?.as_str() {
            "connected" => true,
            "disconnected" => false,
            _ => return None,
        };
        let platform = connection.text("platform").flatten().unwrap_or_default();
        Some((platform, connection.time("connectedAt").flatten(), open))
    });
    Ok(Box::new(Changed {
        user,
        at: data.time("timestamp").flatten(),
        online: status.as_deref().and_then(online),
        flips: data.flag("userPresenceChanged") == Some(true),
        connection,
    }))
}

/// The older system: the user with its status, and the event that led to it.
pub fn changed_legacy(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let object = data.object("user");
    let user = object.as_ref().and_then(UserPart::read).ok_or_else(|| missing("data.user.uid"))?;
    let status = object.as_ref().and_then(|user| user.text("status").flatten());
    let event = data.object("event");
    let connection = event.as_ref().and_then(|event| {
        let open = match event.text("type").flatten()?.as_str() {
            "connected" | "user_connected" | "online" => true,
            "disconnected" | "user_disconnected" | "offline" => false,
            _ => return None,
        };
        let of = event.object("event_for")?;
        Some((of.text("platform").flatten().unwrap_or_default(), of.time("connected_at").flatten(), open))
    });
    let at = object.as_ref().and_then(|user| user.time("status_updated_at").flatten());
    Ok(Box::new(Changed {
        user,
        at: at.or_else(|| event.as_ref().and_then(|event| event.time("at").flatten())),
        online: status.as_deref().and_then(online),
        flips: object.as_ref().and_then(|user| user.flag("status_updated")) == Some(true),
        connection,
    }))
}

impl Payload for Changed {
    fn occurred_at(&self) -> Option<Time> {
        self.at
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("user", &self.user.uid), Ref::sets("presence", &self.user.uid)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let at = fact.occurred_at;
        self.user.put(fact, out);
        let (uid, from) = (&self.user.uid, fact.occurred_from);
        let row = Presence {
            online: self.online.map(Some),
            offline_at: (self.online == Some(false)).then_some(Some(at)),
            ..Presence::default()
        };
        out.put(Change::Presence { uid: uid.clone(), telling: row.telling(fact.stamp(rank::FACT)) });
        let row = Presence {
            changed_at: self.flips.then_some(Some(at)),
            changed_at_from: self.flips.then_some(Some(from)),
            last_seen_at: Some(Some(at)),
            last_seen_at_from: Some(Some(from)),
            ..Presence::default()
        };
        out.put(Change::Presence { uid: uid.clone(), telling: row.telling(fact.told_first()) });
        if let Some((platform, connected_at, open)) = &self.connection {
            // A disconnect alone tells nothing of when it was open but its beginning.
            let seen_at = if *open { at } else { connected_at.unwrap_or_default() };
            let row = Connection { open: Some(Some(*open)), seen_at: Some(Some(seen_at)) };
            out.put(Change::Connection {
                uid: self.user.uid.clone(),
                platform: platform.clone(),
                connected_at: connected_at.unwrap_or_default(),
                // Of a connect and a disconnect in one millisecond the end stays.
                telling: row.telling(fact.stamp(if *open { rank::FACT } else { rank::DELETED })),
            });
        }
    }
}
