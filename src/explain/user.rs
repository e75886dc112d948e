//! A person: what snapshots say of them, presence, connections, blocks.

use super::Effect;
use super::observer::Observer;
use super::state::User;
use super::words::{OF_CONNECTIONS, OF_FACTS, other};
use crate::change::{self, Change};
use crate::ids::Time;
use crate::merge::Fact;

impl User {
    /// Applies a change; true if the change is about this person.
    pub(super) fn take(&mut self, who: &str, fact: &Fact, change: Change, observer: &mut Observer) -> bool {
        match change {
            Change::User { uid, telling } if uid == who => {
                let row = self.row.get_or_insert_default();
                observer.describe(&row.row, change::User::COLUMNS, &telling);
                observer.merge(row, telling, "", OF_FACTS);
            }
            Change::Presence { uid, telling } if uid == who => {
                observer.merge(self.presence.get_or_insert_default(), telling, "presence ", OF_FACTS);
            }
            Change::Connection { uid, platform, connected_at, telling } if uid == who => {
                let prefix = format!("connection {platform} of {connected_at} ");
                let row = self.connections.entry((platform, connected_at.0)).or_default();
                observer.merge(row, telling, &prefix, OF_CONNECTIONS);
            }
            Change::Block { blocker, blocked, blocks, since } if blocker == who || blocked == who => {
                self.block(fact, (blocker, blocked), (blocks, since), observer);
            }
            _ => return false,
        }
        true
    }

    fn block(
        &mut self,
        fact: &Fact,
        pair: (String, String),
        (blocks, since): (bool, Option<Time>),
        observer: &mut Observer,
    ) {
        let register = format!("block of {} by {}", pair.1, pair.0);
        let facts = self.blocks.entry(pair).or_default();
        let dated = facts.apply(fact, blocks, since);
        let unblocked = facts.unblocked.as_ref().filter(|unblocked| **unblocked != dated);
        let earlier = facts.blocked.first().filter(|first| **first != dated);
        let won = if blocks { facts.blocked.contains(&dated) } else { unblocked.is_none() };
        let past = &observer.past;
        let (rule, against) = match (blocks, won, unblocked, earlier) {
            (_, false, Some(known), _) => (format!("{} is newer", other(past, known.seq, known.at)), Some(known.seq)),
            (true, true, _, Some(first)) => {
                (format!("blocked already: the block began with {}", other(past, first.seq, first.at)), Some(first.seq))
            }
            (true, true, ..) => ("no newer unblock is known, so the block holds from its time on".into(), None),
            (false, true, _, Some(first)) => {
                (format!("{} is newer, so that block stays", other(past, first.seq, first.at)), Some(first.seq))
            }
            (..) => ("it ends every block before it".into(), None),
        };
        let said = if blocks { "blocked" } else { "unblocked" };
        observer.effects.push(Effect { against, ..Effect::new(register, said, won, rule) });
    }
}
