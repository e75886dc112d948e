//! The SQLite file. Nothing outside this folder names the engine.

mod functions;
mod layout;
mod marks;
mod open;
mod place;
mod pool;
mod rows;
mod schema;
mod settings;
mod table;
mod values;
mod write;

pub mod aside;
pub mod backfill;
pub mod block;
pub mod call;
pub mod compare;
pub mod conversation;
pub mod copy;
pub mod delivery;
pub mod edit;
pub mod group;
pub mod horizon;
pub mod inspect;
pub mod erasures;
pub mod events;
pub mod export;
pub mod log_file;
pub mod membership;
pub mod message;
#[cfg(feature = "postgres")]
pub mod outbox;
pub mod part;
pub mod projection;
pub mod reaction;
pub mod read;
pub mod receipt;
pub mod reconcile;
pub mod registers;
pub mod retention;
pub mod runs;
pub mod search;
pub mod shadow;
pub mod shared_log;
pub mod state;
pub mod tokens;
pub mod unfinished;

pub use marks::mark;
pub use open::{keep_few_pages, open_again, open_beside, open_copy, open_reader, open_writer};
pub use place::{Place, beside, folder, links, real, resolve};
pub use pool::{Pool, open_pool};
pub use rusqlite::{Connection, Transaction};
pub use settings::{
    Backup, events_cut, fold_version, is_erasing, last_backup, stamp_backup, stamp_erasing, stamp_fold_version,
};
pub use table::{load, remove, save};
pub use write::{
    WalSize, begin, begin_read, checkpoint, commit, find_room, finish, integrity, interrupted_by, rollback, snapshot,
};

/// An app id, which leads every key.
pub type App = std::sync::Arc<str>;
/// App and id.
pub type Key = (App, String);
/// App and conversation.
pub type ConversationKey = (App, crate::ids::ConversationKey);
/// App and two ids.
pub type PairKey = (App, String, String);
/// App, kind and key of what an event speaks of.
pub type RefKey = (App, &'static str, String);
