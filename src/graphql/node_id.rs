//! Global ids: opaque outside, a kind, an app and a key inside.

use crate::entity::Entity;
use crate::ids::ConversationKey;
use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What an id names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKey {
    Group(String),
    Membership(String, String),
    User(String),
    Conversation(ConversationKey),
    Message(String),
    /// Session key, kind, anchor.
    Call(String, String, i64),
    Event(i64),
}

impl NodeKey {
    /// What names an entity; `None` for a call, whose newest instance has to be looked up.
    pub fn of(entity: Entity) -> Option<Self> {
        match entity {
            Entity::Group(guid) => Some(Self::Group(guid)),
            Entity::Membership { guid, uid } => Some(Self::Membership(guid, uid)),
            Entity::Message(id) => Some(Self::Message(id)),
            Entity::User(uid) => Some(Self::User(uid)),
            Entity::Call(_) => None,
        }
    }
}

/// Writes an id.
pub fn encode(app: &str, key: &NodeKey) -> ID {
    let parts = match key {
        NodeKey::Group(guid) => serde_json::json!(["G", app, guid]),
        NodeKey::Membership(guid, uid) => serde_json::json!(["B", app, guid, uid]),
        NodeKey::User(uid) => serde_json::json!(["U", app, uid]),
        NodeKey::Conversation(key) => serde_json::json!(["C", app, key.id, key.low_length]),
        NodeKey::Message(id) => serde_json::json!(["M", app, id]),
        NodeKey::Call(session, kind, anchor) => {
            serde_json::json!(["S", app, session, kind, anchor])
        }
        NodeKey::Event(seq) => serde_json::json!(["E", app, seq]),
    };
    ID(URL_SAFE_NO_PAD.encode(parts.to_string()))
}

/// Reads an id; `None` for whatever we did not write.
pub fn decode(id: &str) -> Option<(String, NodeKey)> {
    let parts: Vec<serde_json::Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let text = |at: usize| parts.get(at).and_then(|part| part.as_str()).map(str::to_owned);
    let number = |at: usize| parts.get(at).and_then(serde_json::Value::as_i64);
    let (key, length) = match text(0)?.as_str() {
        "G" => (NodeKey::Group(text(2)?), 3),
        "B" => (NodeKey::Membership(text(2)?, text(3)?), 4),
        "U" => (NodeKey::User(text(2)?), 3),
        "C" => (NodeKey::Conversation(ConversationKey { id: text(2)?, low_length: number(3)? }), 4),
        "M" => (NodeKey::Message(text(2)?), 3),
        "S" => (NodeKey::Call(text(2)?, text(3)?, number(4)?), 5),
        "E" => (NodeKey::Event(number(2)?), 3),
        _ => return None,
    };
    (parts.len() == length).then_some((text(1)?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_nothing_else_does() {
        let key = NodeKey::Call("s:1".into(), "call".into(), -5);
        assert_eq!(decode(&encode("a", &key)), Some(("a".into(), key)));
        assert_eq!(decode("nonsense"), None);
        assert_eq!(decode(&URL_SAFE_NO_PAD.encode(r#"["G","a","g","more"]"#)), None);
    }
}
