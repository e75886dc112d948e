//! The console: read-only pages for people.
//!
//! A page is a path, a GraphQL document and a template: what the query string says are the variables of the document,
//! the answer is what the template shows. So the console sees what the API shows and nothing else: tokens, apps,
//! scopes, limits and the one snapshot are the API's, and there is no second data layer. Every page works without
//! script. `http/console.rs` serves them.

mod about;
mod answer;
mod bars;
mod explained;
mod export;
mod frame;
mod page;
mod params;
mod said;
mod source;
mod story;
mod view;
mod zone;

mod ask;
mod call;
mod calls;
mod conversation;
mod conversations;
mod event;
mod events;
mod group;
mod groups;
mod health;
mod message;
mod overview;
mod search;
mod sign_in;
mod user;
mod users;
mod why;

pub use frame::Reader;
pub use page::{APPS, Page, Rendered, must_choose, nowhere};
pub use params::Params;
pub use sign_in::sign_in;
pub use view::href;
pub use zone::Zone;

use crate::graphql::Limits;

/// All pages.
pub const PAGES: &[Page] = &[
    overview::PAGE,
    groups::PAGE,
    group::PAGE,
    users::PAGE,
    user::PAGE,
    conversations::PAGE,
    conversation::PAGE,
    message::PAGE,
    calls::PAGE,
    call::PAGE,
    events::PAGE,
    event::PAGE,
    why::PAGE,
    ask::PAGE,
    health::PAGE,
    search::PAGE,
];

/// The style sheet and the script: ours, and all there is.
pub const STYLE: &str = include_str!("console.css");
pub const SCRIPT: &str = include_str!("console.js");
pub const ICON: &str = include_str!("icon.svg");

/// What pages may cost: their documents are ours, and larger than what strangers may ask. The time limit stays.
pub fn limits(of_api: &Limits) -> Limits {
    Limits {
        complexity: 200_000,
        selections: 20_000,
        depth: 20,
        document_bytes: 1 << 16,
        tokens: 20_000,
        page: 200,
        pool: of_api.pool,
        page_cache: of_api.page_cache,
        rows: 1_000_000,
        bytes: of_api.bytes,
        timeout: of_api.timeout,
        unread: of_api.unread,
        answer_bytes: of_api.answer_bytes.max(16 << 20),
        ..Limits::default()
    }
}

/// The page at a path.
pub fn page(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}
