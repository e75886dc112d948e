//! `blocks`: one row a pair.

use super::table::{FromColumns, Json, Reader, table};
use crate::store::StoreError;
use crate::tables::block::Block;

table! {
    "blocks": Block by (blocker_uid, blocked_uid)
    columns |it| { facts: LeftOut = Json(it) }
    derived |it| { since => (since: IfTold, since_from: LeftOut) = it.since(), current = it.is_current() }
}

impl FromColumns for Block {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        from.json("blocks.facts")
    }
}
