//! The read side: GraphQL over the tables.
//!
//! One request is one snapshot on one thread (`run.rs`). Resolvers name rows, never SQL: lists give keys, and rows where
//! their walk reads them anyway (`page.rs`); other rows are looked up in batches (`loaders.rs`); statements are in
//! `store/sqlite/read/`. Objects are resolved and written as JSON by `objects.rs`. One file per
//! type; doc comments are the descriptions in the schema.

mod activity;
mod answer;
mod app;
mod block;
mod call;
mod call_totals;
mod change;
mod checks;
mod context;
mod conversation;
mod documents;
mod drift;
mod drive;
mod enums;
mod entity;
mod error;
mod event;
mod filter;
mod group;
mod json;
mod limits;
mod live;
mod loaders;
mod membership;
mod membership_period;
mod message;
mod message_list;
mod message_parts;
mod meters;
mod narrow;
mod node;
mod node_id;
mod objects;
mod page;
mod prepared;
mod presence;
mod query;
mod reconcile;
mod responses;
mod run;
mod scalars;
mod server;
mod status;
mod traffic;
mod turns;
mod user;
mod written;

pub use change::ChangeFilter;
pub use context::Caller;
pub use documents::{Documents, Persisted};
pub use enums::{ReceiverType, SettingOrigin};
pub use error::Code;
pub use limits::Limits;
pub use live::{Changes, Decoded, Decoder, Ended, Follower};
pub use run::{Api, sdl};
pub use scalars::{BigInt, DateTime};
pub use server::{Disk, Host, Server, Setting};
pub use turns::{Asker, Party};
