//! A group: its registers, and whether it lives.

use super::Effect;
use super::replay::{Replay, merge, silent};
use super::state::State;
use super::words::{OF_FACTS, Past, other};
use crate::change::{self, Change};
use crate::ids::Time;
use crate::lifecycle::Lifecycle;
use crate::merge::{Fact, Row, Value};
use serde_json::Value as Json;

/// The last two fields: the owner as told, and as snapshots say.
const OWNER: usize = change::Group::COLUMNS.len() - 2;
const OWNER_COPY: usize = change::Group::COLUMNS.len() - 1;

impl Replay<'_> {
    /// Takes what is about it; true if it was.
    pub(super) fn group(&mut self, which: &str, fact: &Fact, change: Change, effects: &mut Vec<Effect>) -> bool {
        let State::Group(group) = &mut self.state else { return false };
        match change {
            Change::Group { guid, telling } if guid == which => {
                let row = group.row.get_or_insert_with(|| Row::new(change::Group::COLUMNS.len()));
                // The table has one column for both, which copies fill until the owner is told.
                let mut columns = change::Group::COLUMNS.to_vec();
                (columns[OWNER], columns[OWNER_COPY]) = ("owner_uid", "owner_uid as copies say");
                // The owner may be told on its own: that is no description.
                if telling.fields.iter().any(|(field, _)| *field != OWNER) {
                    self.silent = silent(row, &columns[..OWNER], &telling);
                }
                let names = ("", OF_FACTS, &self.past);
                merge(row, &columns, change::Group::RULES, telling, names, effects);
            }
            Change::Creation { guid, at } if guid == which => {
                let before = group.lifecycle.in_force().cloned();
                let new = group.lifecycle.created.insert(at.0);
                let revived = before.filter(|_| group.lifecycle.in_force().is_none());
                let rule = match &revived {
                    Some(deletion) => format!(
                        "alive again: made later than the group that {} ended",
                        other(&self.past, deletion.seq, deletion.at)
                    ),
                    None if !new => "known already".into(),
                    None => match group.lifecycle.in_force() {
                        Some(deletion) => format!(
                            "this is the group that {} ended: it stays deleted",
                            other(&self.past, deletion.seq, deletion.at)
                        ),
                        None => "a group is made; its creator alone is in it, whoever was before (4.3)".into(),
                    },
                };
                effects.push(effect("lifecycle", format!("created at {at}"), new, rule, revived.map(|it| it.seq)));
            }
            Change::Deletion { guid, created_at } if guid == which => {
                group.lifecycle.delete(fact, created_at);
                let won = group.lifecycle.in_force().is_some_and(|deletion| deletion.seq == fact.seq);
                let rule = deletion(&group.lifecycle, fact, won, &self.past);
                effects.push(effect("lifecycle", "deleted".into(), won, rule, None));
            }
            Change::Membership(change) if change.guid == which => {
                let said = super::membership::said(&change.uid, change.state, change.scope, None);
                let rule = format!("a fact of its own: chatfold explain membership:{which}/{}", change.uid);
                effects.push(effect(&format!("membership of {}", change.uid), said, true, rule, None));
            }
            _ => return false,
        }
        true
    }
}

/// Once the owner is told, the table keeps nothing of what copies say.
pub(super) fn forget_copied_owner(group: &mut super::state::Group) {
    if let Some(row) = group.row.as_mut().filter(|row| row.keys[OWNER].is_some()) {
        row.values[OWNER_COPY] = Value::Null;
    }
}

fn deletion(lifecycle: &Lifecycle, fact: &Fact, won: bool, past: &Past) -> String {
    let Some(own) = lifecycle.deleted.iter().find(|deletion| deletion.seq == fact.seq) else { return String::new() };
    let ends = Time(lifecycle.ends(own));
    let which = if own.of == Some(ends.0) {
        format!("it carries the creation it ends, {ends}")
    } else {
        format!("no creation known is the one it carries, so it goes by its time, {ends}")
    };
    if won {
        return format!("{which}: only a group made later would revive it (4.3)");
    }
    match (lifecycle.created.last(), lifecycle.in_force()) {
        (_, Some(newer)) => format!("{which}; {} stands", other(past, newer.seq, newer.at)),
        (Some(created), None) => format!("{which}; the group of now was made later, at {}", Time(*created)),
        (None, None) => which,
    }
}

fn effect(register: &str, value: String, won: bool, rule: String, against: Option<i64>) -> Effect {
    let before = Json::Null;
    Effect {
        register: register.into(),
        value: value.into(),
        before,
        won,
        rule,
        against,
        same: false,
        replaced_by: None,
    }
}
