//! What events are about, by the names the log gives: where each leads.

use super::frame::Frame;
use super::view::{self, Html};
use crate::explain::Entity;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An entity, by its name.
#[derive(Debug, Clone, Deserialize)]
pub struct Named {
    pub name: String,
    /// What it is now. Some entities have no row: a message that only tells of another, whatever was refused.
    pub node: Option<IgnoredAny>,
}

/// The address of an entity's own page. A membership is part of its group's; what has no page is explained.
pub fn place(frame: &Frame, name: &str) -> String {
    match Entity::named(name) {
        Some(Entity::Group(guid) | Entity::Membership { guid, .. }) => frame.link("/group", &[("guid", &guid)]),
        Some(Entity::User(uid)) => frame.link("/user", &[("uid", &uid)]),
        Some(Entity::Message(id)) => frame.link("/message", &[("messageId", &id)]),
        Some(Entity::Call(session)) if !session.starts_with("m:") => frame.link("/call", &[("sessionId", &session)]),
        _ => frame.link("/why", &[("entity", name)]),
    }
}

/// A link to an entity's own page; where it has no row, to why not.
pub fn link(frame: &Frame, name: &str, is_known: bool) -> Html {
    let href = if is_known { place(frame, name) } else { frame.link("/why", &[("entity", name)]) };
    view::link(&href, None, name)
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
}
