//! Who blocks whom: see [`crate::blocks`].

pub use crate::blocks::Facts as Block;
