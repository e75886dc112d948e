//! What events are about, by the names the log gives: where each leads.

use super::frame::Frame;
use super::view::{self, Html};
use crate::entity::Entity;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An entity, by its name.
#[derive(Debug, Clone, Deserialize)]
pub struct Named {
    pub name: String,
    /// What it is now. Some entities have no row: a message that only tells of another, whatever was refused.
    pub node: Option<IgnoredAny>,
}

/// The address of an entity's own page, if there is one. A membership is part of its group's.
fn page(frame: &Frame, name: &str) -> Option<String> {
    match Entity::named(name)? {
        Entity::Group(guid) | Entity::Membership { guid, .. } => Some(frame.link("/group", &[("guid", &guid)])),
        Entity::User(uid) => Some(frame.link("/user", &[("uid", &uid)])),
        Entity::Message(id) => Some(frame.link("/message", &[("messageId", &id)])),
        Entity::Call(session) if session.starts_with("m:") => None,
        Entity::Call(session) => Some(frame.link("/call", &[("sessionId", &session)])),
    }
}

/// The address of the page that explains an entity.
fn why(frame: &Frame, name: &str) -> String {
    frame.link("/why", &[("entity", name)])
}

/// The address of an entity's own page; an entity without a page is explained.
pub fn place(frame: &Frame, name: &str) -> String {
    page(frame, name).unwrap_or_else(|| why(frame, name))
}

/// A link to an entity's own page. An entity without a page or a row is explained to who may see that; others see its
/// name.
pub fn link(frame: &Frame, name: &str, is_known: bool) -> Html {
    match page(frame, name).filter(|_| is_known) {
        Some(href) => view::link(&href, None, name),
        None if frame.may_explain() => view::link(&why(frame, name), None, name),
        None => view::name(name),
    }
}

/// A link to the page of an event.
pub fn event(frame: &Frame, seq: &str) -> Html {
    let href = frame.link("/event", &[("seq", seq)]);
    Html(format!("<a href=\"{}\">#{}</a>", view::escape(&href), view::escape(seq)))
}

/// The same, of a number.
pub fn at(frame: &Frame, seq: &i64) -> Html {
    event(frame, &seq.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::frame::Reader;
    use crate::ids::TokenScope;

    #[test]
    fn each_kind_has_its_page() {
        let frame = Frame { app: Some("a".into()), ..Frame::default() };
        for (name, href) in [
            ("group:g&h", "/group?appId=a&guid=g%26h"),
            ("membership:g%2Fh/ann", "/group?appId=a&guid=g%2Fh"),
            ("message:7", "/message?appId=a&messageId=7"),
            ("user:a:b", "/user?appId=a&uid=a%3Ab"),
            ("call:s", "/call?appId=a&sessionId=s"),
            ("call:m:7", "/why?appId=a&entity=call%3Am%3A7"),
            ("nonsense", "/why?appId=a&entity=nonsense"),
        ] {
            assert_eq!(place(&frame, name), href);
        }
    }

    #[test]
    fn what_has_no_page_is_named_to_who_may_not_see_why() {
        let shown = |scope| {
            link(&Frame { reader: Reader { scope, ..Reader::default() }, ..Frame::default() }, "call:m:7", true).0
        };
        assert!(shown(TokenScope::Admin).contains("/why?entity=call%3Am%3A7"));
        assert!(!shown(TokenScope::Content).contains("href") && shown(TokenScope::Content).contains("call:m:7"));
    }
}
