//! Entities as the log names them, and as people do: `kind:id`.

use crate::ids::Time;
use crate::trigger::{Ref, read_part, write_key};
use std::fmt;

/// One entity. Ids may hold any character, `:` and `/` too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entity {
    Group(String),
    Membership { guid: String, uid: String },
    Message(String),
    User(String),
    Call(String),
}

/// What was asked for is no entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntityError {
    #[error("{0}: expected group:GUID, membership:GUID/UID, message:ID, user:UID or call:SESSION")]
    Unknown(String),
    #[error("membership:{text} fits several: {fitting}. Write % as %25 and / as %2F inside guid and uid, and nothing else", fitting = .fitting.join(", "))]
    Ambiguous { text: String, fitting: Vec<String> },
}

impl Entity {
    /// Reads `kind:id`. The kind ends at the first `:`. A membership is split at each `/` in turn: `exists` says which
    /// of these there is; ids with `%25` and `%2F` for `%` and `/` are tried too. Where none exists, the first `/` splits.
    pub fn parse<E: From<EntityError>>(
        text: &str,
        mut exists: impl FnMut(&str, &str) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let unknown = || EntityError::Unknown(text.to_owned());
        let (kind, id) = text.split_once(':').filter(|(_, id)| !id.is_empty()).ok_or_else(unknown)?;
        let id = id.to_owned();
        let (guid, uid) = match kind {
            "group" => return Ok(Self::Group(id)),
            "message" => return Ok(Self::Message(id)),
            "user" => return Ok(Self::User(id)),
            "call" => return Ok(Self::Call(id)),
            "membership" => id.split_once('/').ok_or_else(unknown)?,
            _ => return Err(unknown().into()),
        };
        let mut pairs: Vec<(String, String)> =
            id.match_indices('/').map(|(at, _)| (id[..at].to_owned(), id[at + 1..].to_owned())).collect();
        let escaped = (read_part(guid), read_part(uid));
        if !uid.contains('/') && !pairs.contains(&escaped) {
            pairs.push(escaped);
        }
        let mut fitting = Vec::new();
        for (guid, uid) in pairs {
            if exists(&guid, &uid)? {
                fitting.push(Self::Membership { guid, uid });
            }
        }
        if fitting.len() > 1 {
            let fitting = fitting.iter().map(Self::to_string).collect();
            return Err(EntityError::Ambiguous { text: id, fitting }.into());
        }
        Ok(fitting.pop().unwrap_or_else(|| Self::Membership { guid: guid.to_owned(), uid: uid.to_owned() }))
    }

    /// Reads what [`Display`](fmt::Display) wrote; ids that hold a `/` as it is are split at the last.
    pub fn named(text: &str) -> Option<Self> {
        if let Some(ids) = text.strip_prefix("membership:") {
            let (guid, uid) = ids.rsplit_once('/').filter(|(guid, _)| !guid.is_empty())?;
            return Some(Self::Membership { guid: read_part(guid), uid: read_part(uid) });
        }
        Self::parse(text, |_, _| Ok::<bool, EntityError>(false)).ok()
    }

    /// The entity that a reference of an event names; `None` for a register.
    pub fn of(Ref { kind, key, .. }: &Ref) -> Option<Self> {
        match *kind {
            "group" => Some(Self::Group(key.clone())),
            "membership" => {
                let (guid, uid) = key.split_once('/')?;
                Some(Self::Membership { guid: read_part(guid), uid: read_part(uid) })
            }
            "message" => Some(Self::Message(key.clone())),
            "user" => Some(Self::User(key.clone())),
            "call" => Some(Self::Call(key.strip_prefix("s:").unwrap_or(key).to_owned())),
            _ => None,
        }
    }

    /// Kind and key under which `event_refs` knows it.
    pub fn reference(&self) -> (&'static str, String) {
        match self {
            Self::Group(guid) => ("group", guid.clone()),
            Self::Membership { guid, uid } => ("membership", write_key(&[guid, uid])),
            Self::Message(id) => ("message", id.clone()),
            Self::User(uid) => ("user", uid.clone()),
            Self::Call(_) => ("call", self.session_key()),
        }
    }

    /// The key of a call's session. Where no session id was told it is the message id, asked for as `call:m:ID`.
    pub fn session_key(&self) -> String {
        match self {
            Self::Call(id) if id.starts_with("m:") => id.clone(),
            Self::Call(id) => format!("s:{id}"),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(guid) => write!(f, "group:{guid}"),
            Self::Membership { guid, uid } if guid.contains(['/', '%']) || uid.contains(['/', '%']) => {
                write!(f, "membership:{}", write_key(&[guid, uid]))
            }
            Self::Membership { guid, uid } => write!(f, "membership:{guid}/{uid}"),
            Self::Message(id) => write!(f, "message:{id}"),
            Self::User(uid) => write!(f, "user:{uid}"),
            Self::Call(id) => write!(f, "call:{id}"),
        }
    }
}

/// Whether member lists say all that an event about these entities may have left open: every group that the event names
/// has a complete list read after the event happened. A list names people too, but no messages and no calls.
pub fn is_settled<E>(
    entities: &[Entity],
    at: Time,
    newest_list: impl Fn(&str) -> Result<Option<Time>, E>,
) -> Result<bool, E> {
    let mut is_any = false;
    for entity in entities {
        match entity {
            Entity::Group(guid) if newest_list(guid)?.is_some_and(|read_at| read_at > at) => is_any = true,
            Entity::User(_) | Entity::Membership { .. } => {}
            Entity::Group(_) | Entity::Message(_) | Entity::Call(_) => return Ok(false),
        }
    }
    Ok(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn parse(text: &str, there: &[(&str, &str)]) -> Result<Entity, EntityError> {
        Entity::parse(text, |guid, uid| Ok(there.contains(&(guid, uid))))
    }

    fn membership(guid: &str, uid: &str) -> Entity {
        Entity::Membership { guid: guid.into(), uid: uid.into() }
    }

    #[test]
    fn a_membership_is_split_where_there_is_one() {
        assert_eq!(parse("membership:g:1/ann", &[]), Ok(membership("g:1", "ann")));
        assert_eq!(parse("membership:a/b/c", &[("a/b", "c")]), Ok(membership("a/b", "c")));
        assert_eq!(parse("membership:a%2Fb/c", &[("a/b", "c")]), Ok(membership("a/b", "c")));
        let both = parse("membership:a/b/c", &[("a", "b/c"), ("a/b", "c")]);
        let fitting = vec!["membership:a/b%2Fc".to_owned(), "membership:a%2Fb/c".to_owned()];
        assert_eq!(both, Err(EntityError::Ambiguous { text: "a/b/c".into(), fitting }));
    }

    #[test]
    fn what_was_written_reads_back() {
        let hostile = ["a", "a/b", "a%b", "a%2Fb/", "100%", ":", "%25"];
        for guid in hostile {
            for uid in hostile {
                assert_eq!(Entity::named(&membership(guid, uid).to_string()), Some(membership(guid, uid)));
            }
            assert_eq!(Entity::named(&Entity::Group(guid.into()).to_string()), Some(Entity::Group(guid.into())));
        }
        assert_eq!(Entity::named("membership:a/b/c"), Some(membership("a/b", "c")));
        assert_eq!(["ann", "room:7", "membership:", "membership:/a"].map(Entity::named).iter().flatten().count(), 0);
    }

    #[test]
    fn a_list_read_later_settles_what_is_about_its_group_and_people_and_nothing_else() {
        let settled = |named: &[&str]| {
            let entities: Vec<Entity> = named.iter().filter_map(|text| Entity::named(text)).collect();
            assert_eq!(entities.len(), named.len());
            let newest = |guid: &str| match guid {
                "later" => Some(Time(11)),
                "same" => Some(Time(10)),
                _ => None,
            };
            is_settled(&entities, Time(10), |guid| Ok::<_, Infallible>(newest(guid))) == Ok(true)
        };
        assert!(settled(&["group:later"]));
        assert!(settled(&["user:ann", "group:later", "membership:later/ann"]));
        assert!(!settled(&["group:same"]) && !settled(&["group:unread"]));
        assert!(!settled(&["group:later", "group:unread"]));
        assert!(!settled(&["group:later", "message:7"]) && !settled(&["call:7", "group:later"]));
        assert!(!settled(&["user:ann", "membership:later/ann"]) && !settled(&[]));
    }

    #[test]
    fn what_names_no_entity_is_refused() {
        for text in ["", "ann", "group:", "membership:g", "room:7"] {
            assert_eq!(parse(text, &[]), Err(EntityError::Unknown(text.into())));
        }
        assert_eq!(parse("message:a:b", &[]), Ok(Entity::Message("a:b".into())));
    }
}
