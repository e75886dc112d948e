//! The SQLite file.

mod open;

pub use open::{open_reader, open_writer};
