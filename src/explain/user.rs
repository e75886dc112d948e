//! A person: what snapshots say of them, presence, connections, blocks.

use super::Effect;
use super::replay::{Replay, merge, silent};
use super::state::State;
use super::words::{OF_CONNECTIONS, OF_FACTS, other};
use crate::change::{self, Change, Connection, Presence};
use crate::merge::{Fact, Row};
use serde_json::Value as Json;

impl Replay<'_> {
    /// Takes what is about it; true if it was.
    pub(super) fn user(&mut self, who: &str, fact: &Fact, change: Change, effects: &mut Vec<Effect>) -> bool {
        let State::User(user) = &mut self.state else { return false };
        match change {
            Change::User { uid, telling } if uid == who => {
                let row = user.row.get_or_insert_with(|| Row::new(change::User::COLUMNS.len()));
                self.silent = silent(row, change::User::COLUMNS, &telling);
                let names = ("", OF_FACTS, &self.past);
                merge(row, change::User::COLUMNS, change::User::RULES, telling, names, effects);
            }
            Change::Presence { uid, telling } if uid == who => {
                let row = user.presence.get_or_insert_with(|| Row::new(Presence::COLUMNS.len()));
                let names = ("presence ", OF_FACTS, &self.past);
                merge(row, Presence::COLUMNS, Presence::RULES, telling, names, effects);
            }
            Change::Connection { uid, platform, connected_at, telling } if uid == who => {
                let prefix = format!("connection {platform} of {connected_at} ");
                let row = user.connections.entry((platform, connected_at));
                let row = row.or_insert_with(|| Row::new(Connection::COLUMNS.len()));
                let names = (prefix.as_str(), OF_CONNECTIONS, &self.past);
                merge(row, Connection::COLUMNS, Connection::RULES, telling, names, effects);
            }
            Change::Block { blocker, blocked, blocks } if blocker == who || blocked == who => {
                let facts = user.blocks.entry((blocker.clone(), blocked.clone())).or_default();
                let dated = facts.add(fact, blocks);
                let unblocked = facts.unblocked.as_ref().filter(|unblocked| **unblocked != dated);
                let earlier = facts.blocked.first().filter(|first| **first != dated);
                let won = if blocks { facts.blocked.contains(&dated) } else { unblocked.is_none() };
                let (rule, against) = match (blocks, won, unblocked, earlier) {
                    (_, false, Some(known), _) => {
                        (format!("{} is newer", other(&self.past, known.seq, known.at)), Some(known.seq))
                    }
                    (true, true, _, Some(first)) => (
                        format!("blocked already: since is that of {}", other(&self.past, first.seq, first.at)),
                        Some(first.seq),
                    ),
                    (true, true, ..) => ("no newer unblock is known: blocked from then on".into(), None),
                    (false, true, _, Some(first)) => {
                        (format!("{} is newer, and stands", other(&self.past, first.seq, first.at)), Some(first.seq))
                    }
                    (..) => ("ends every block before it".into(), None),
                };
                effects.push(Effect {
                    register: format!("block of {blocked} by {blocker}"),
                    value: if blocks { "blocked" } else { "unblocked" }.into(),
                    before: Json::Null,
                    won,
                    same: false,
                    rule,
                    against,
                    replaced_by: None,
                });
            }
            _ => return false,
        }
        true
    }
}
