//! `blocks`: one row a pair.

use super::table::{FromColumns, Json, Reader, table};
use crate::blocks::Facts as Block;
use crate::change::Dated;
use crate::ids::Time;
use crate::store::StoreError;

table! {
    "blocks": Block by (blocker_uid, blocked_uid)
    columns |it| { facts: LeftOut = Json(it) }
    derived |it| { since => (since: IfTold, since_from: LeftOut) = since(it), current = !it.blocked.is_empty() }
}

impl FromColumns for Block {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        from.json("blocks.facts")
    }
}

fn since(block: &Block) -> Option<Dated> {
    block.blocked.first().map(|first| Dated { from: first.from, at: Time(first.occurred_at) })
}
