//! What events are about, by the names the log gives: where each leads.

use super::frame::Frame;
use super::view::{self, Html};
use crate::entity::Entity;
use serde::Deserialize;

/// An entity, by its name.
#[derive(Debug, Clone, Deserialize)]
pub struct Named {
    pub name: String,
    /// What it is now. Some entities have no row: a message that only tells of another, whatever was refused.
    pub node: Option<Node>,
}

/// What an entity is called.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Node {
    name: Option<String>,
    group: Option<Called>,
    user: Option<Called>,
    sender: Option<Called>,
}

#[derive(Debug, Clone, Deserialize)]
struct Called {
    name: Option<String>,
}

impl Named {
    /// What people call it: `Anders Lund in Night shift`. Without a name its id stands there.
    pub fn title(&self) -> String {
        let node = self.node.clone().unwrap_or_default();
        let said =
            |name: Option<String>, id: &str| name.filter(|it| !it.trim().is_empty()).unwrap_or_else(|| id.to_owned());
        let of = |called: Option<Called>, id: &str| said(called.and_then(|it| it.name), id);
        match Entity::named(&self.name) {
            Some(Entity::Group(guid)) => said(node.name, &guid),
            Some(Entity::User(uid)) => said(node.name, &uid),
            Some(Entity::Membership { guid, uid }) => format!("{} in {}", of(node.user, &uid), of(node.group, &guid)),
            Some(Entity::Message(id)) => match node.sender.and_then(|it| it.name) {
                Some(sender) => format!("Message {id} by {sender}"),
                None => format!("Message {id}"),
            },
            Some(Entity::Call(session)) => format!("Call {session}"),
            None => self.name.clone(),
        }
    }
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

/// A link to an entity's own page, by what people call it; its title is the name that the log gives. An entity without
/// a page or a row is explained to who may see that; others see its name.
pub fn link(frame: &Frame, it: &Named) -> Html {
    let page = page(frame, &it.name).filter(|_| it.node.is_some());
    let href = page.or_else(|| frame.may_explain().then(|| why(frame, &it.name)));
    let (title, shown) = (view::escape(&it.name), view::name(&it.title()));
    Html(match href {
        Some(href) => format!("<a href=\"{}\" title=\"{title}\">{shown}</a>", view::escape(&href)),
        None => format!("<span title=\"{title}\">{shown}</span>"),
    })
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
            let frame = Frame { reader: Reader { scope, ..Reader::default() }, ..Frame::default() };
            link(&frame, &Named { name: "call:m:7".into(), node: Some(Node::default()) }).0
        };
        assert!(shown(TokenScope::Admin).contains("/why?entity=call%3Am%3A7"));
        assert!(!shown(TokenScope::Content).contains("href") && shown(TokenScope::Content).contains("call:m:7"));
    }
}
