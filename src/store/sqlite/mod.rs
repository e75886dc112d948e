//! The SQLite file.

mod open;
mod pool;
pub mod read;

pub use open::{open_reader, open_writer};
pub use pool::{Pool, open_pool};
