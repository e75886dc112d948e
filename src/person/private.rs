//! The private part of a person's custom data, as a body shows it.

use super::id;
use crate::json::{Document, Json};

/// No entity of the vendor's lies deeper.
const DEPTH: usize = 24;

/// The members of `metadata.@private` of a person, as JSON, that have one of these keys; none where the body shows no
/// custom data of the person.
pub fn private(body: &Document, uid: &str, keys: &[String]) -> Vec<(String, String)> {
    let metadata = metadata(body.root(), uid, DEPTH);
    let private = metadata.and_then(|metadata| metadata.get("@private"));
    let members = private.into_iter().flat_map(Json::members);
    members
        .filter(|(key, _)| keys.iter().any(|wanted| wanted == key))
        .map(|(key, value)| (key.into_owned(), body.text()[value.span()].to_owned()))
        .collect()
}

/// The custom data of a person: that of the last object which describes the person and has some.
fn metadata<'a>(json: Json<'a>, uid: &str, depth: usize) -> Option<Json<'a>> {
    if depth == 0 {
        return None;
    }
    let is = |value: Json<'a>, key: &str| match value.get("uid") {
        Some(told) => id(told).is_some_and(|told| told == uid),
        None => key == uid,
    };
    let of = |value: Json<'a>, key: &str| value.get("metadata").filter(|it| it.is_object() && is(value, key));
    let members = json.members().filter_map(|(key, value)| of(value, &key).or_else(|| metadata(value, uid, depth - 1)));
    let elements = json.elements().filter_map(|value| of(value, "").or_else(|| metadata(value, uid, depth - 1)));
    members.chain(elements).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_keys_asked_for_and_only_of_the_person() {
        let body = r#"{"data":{"by":{"uid":"bob","metadata":{"@private":{"email":"bob@x"}}},
            "members":{"ann":{"name":"Ann","metadata":{"@private":{"email":"ann@x","iban":"5"},"a":1}}}}}"#;
        let document = Document::parse(body.into()).unwrap();
        let of = |uid: &str, keys: &[&str]| {
            private(&document, uid, &keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of("ann", &["email"]), [("email".to_owned(), "\"ann@x\"".to_owned())]);
        assert_eq!(of("bob", &["iban", "email"]), [("email".to_owned(), "\"bob@x\"".to_owned())]);
        assert!(of("ann", &[]).is_empty() && of("cid", &["email"]).is_empty());
    }
}
