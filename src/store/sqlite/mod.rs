//! The SQLite file. Nothing outside this folder names the engine.

mod block;
mod call;
mod group;
mod membership;
mod message;
mod open;
mod pool;
mod presence;
mod put;
mod reaction;
mod receipt;
mod rows;
mod user;
mod write;

pub mod inspect;
pub mod log;
pub mod read;

pub use membership::{changes, rosters};
pub use open::{open_reader, open_writer};
pub use pool::{Pool, open_pool};
pub use put::put;
pub use rusqlite::Connection;
pub use write::{begin, checkpoint, commit, release, rollback, savepoint, undo};
