//! What a delivery names that no trigger could read.

use crate::entity::Entity;
use crate::json::{Document, Json, is_secret};

/// No id lies deeper in a delivery.
const DEPTH: usize = 12;

/// The entities whose ids stand in the `data` of a body, in their order: at most `most`, each once. Secrets name nobody.
pub(super) fn named_in(body: &str, most: usize) -> Vec<Entity> {
    let mut named = Vec::new();
    if let Ok(document) = Document::parse(body.as_bytes().to_vec())
        && let Some(data) = document.root().get("data")
    {
        walk(data, "", DEPTH, &mut |entity| {
            if named.len() < most && !named.contains(&entity) {
                named.push(entity);
            }
        });
    }
    named
}

/// `within`: the key under which the value stands.
fn walk(json: Json<'_>, within: &str, depth: usize, take: &mut impl FnMut(Entity)) {
    if depth == 0 {
        return;
    }
    for (key, value) in json.members().filter(|(key, _)| !is_secret(key)) {
        let id = value.text().map(|text| text.into_owned()).or_else(|| value.number().map(str::to_owned));
        match (key.as_ref(), id.filter(|id| !id.is_empty())) {
            ("guid", Some(id)) => take(Entity::Group(id)),
            ("uid", Some(id)) => take(Entity::User(id)),
            ("messageId", Some(id)) => take(Entity::Message(id)),
            ("id", Some(id)) if within == "message" => take(Entity::Message(id)),
            ("sessionId" | "sessionid" | "session_id", Some(id)) => take(Entity::Call(id)),
            _ => walk(value, &key, depth - 1, take),
        }
    }
    for value in json.elements() {
        walk(value, within, depth - 1, take);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_names_what_its_ids_say_and_secrets_name_nobody() {
        let body = r#"{"data":{"group":{"guid":"g"},"message":{"id":7},"to":[{"uid":"ann"},{"uid":"ann"}],"wsChannel":{"uid":"eve"}}}"#;
        let named: Vec<String> = named_in(body, 9).iter().map(Entity::to_string).collect();
        assert_eq!(named, ["group:g", "message:7", "user:ann"]);
        assert_eq!(named_in(body, 1).len(), 1);
        assert_eq!(named_in("[]", 9), []);
    }
}
