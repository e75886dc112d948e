//! The SQLite file. Nothing outside this folder names the engine.

mod block;
mod call;
mod conversation;
mod edit;
mod functions;
mod group;
mod layout;
mod membership;
mod message;
mod open;
mod place;
mod pool;
mod presence;
mod put;
mod reaction;
mod receipt;
mod rows;
mod schema;
mod search;
mod settings;
mod user;
mod write;

pub mod aside;
pub mod compare;
pub mod explain;
pub mod inspect;
pub mod log;
pub mod log_file;
pub mod read;
pub mod shadow;
pub mod state;
pub mod tokens;

pub use membership::{changes, rosters};
pub use open::{open_again, open_beside, open_reader, open_writer};
pub use place::{Place, beside, folder, links, real, resolve};
pub use pool::{Pool, open_pool};
#[cfg(test)]
pub use put::PANICS;
pub use put::put;
pub use rusqlite::Connection;
pub use settings::{fold_version, stamp_fold_version};
pub use write::{
    WalSize, begin, begin_read, checkpoint, commit, find_room, finish, integrity, release, rollback, savepoint, undo,
};
