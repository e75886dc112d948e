//! Global ids: opaque outside, a kind, an app and a key inside.

use super::written::write_text;
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
    match key {
        NodeKey::Group(guid) => write("G", app, &[guid], None),
        NodeKey::Membership(guid, uid) => write("B", app, &[guid, uid], None),
        NodeKey::User(uid) => write("U", app, &[uid], None),
        NodeKey::Conversation(key) => write("C", app, &[&key.id], Some(key.low_length)),
        NodeKey::Message(id) => encode_message(app, id),
        NodeKey::Call(session, kind, anchor) => write("S", app, &[session, kind], Some(*anchor)),
        NodeKey::Event(seq) => write("E", app, &[], Some(*seq)),
    }
}

/// Writes the id of a message.
pub fn encode_message(app: &str, id: &str) -> ID {
    write("M", app, &[id], None)
}

fn write(kind: &str, app: &str, texts: &[&str], number: Option<i64>) -> ID {
    let mut out = Vec::with_capacity(64);
    for text in [kind, app].iter().chain(texts) {
        out.push(if out.is_empty() { b'[' } else { b',' });
        write_text(text, &mut out);
    }
    if let Some(number) = number {
        out.push(b',');
        out.extend_from_slice(number.to_string().as_bytes());
    }
    out.push(b']');
    ID(URL_SAFE_NO_PAD.encode(out))
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
