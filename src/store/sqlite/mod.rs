//! The SQLite file.

pub mod inspect;
mod open;

pub use open::{open_reader, open_writer};
