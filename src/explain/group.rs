//! A group: its registers, and whether it lives.

use super::Effect;
use super::observer::{Names, Observer};
use super::state::Group;
use super::words::{OF_FACTS, Past, other};
use crate::change::{self, Change};
use crate::ids::Time;
use crate::lifecycle::Lifecycle;
use crate::merge::{Fact, Telling};
use crate::tables::group::{OWNER, OWNER_COPY};

impl Group {
    /// Applies a change; true if the change is about this group.
    pub(super) fn take(&mut self, which: &str, fact: &Fact, change: Change, observer: &mut Observer) -> bool {
        match change {
            Change::Group { guid, telling } if guid == which => self.group(telling, observer),
            Change::Creation { guid, at } if guid == which => self.creation(at, observer),
            Change::Existence { guid, created_at } if guid == which => self.exists(created_at, observer),
            Change::Roster(list) if list.guid == which => {
                let told = match list.base {
                    None => format!("complete member list of {}, {} people", list.at, list.entries.len()),
                    Some(base) => format!(
                        "complete member list of {}: that of {base}, but for {} people",
                        list.at,
                        list.entries.len()
                    ),
                };
                let rule = "who is not in the list is not a member (4.3)";
                observer.effects.push(Effect::new("members", told, !list.entries.is_empty(), rule.to_owned()));
            }
            Change::Deletion { guid, created_at } if guid == which => {
                let row = self.row.get_or_insert_default();
                row.delete(fact, created_at);
                let won = row.lifecycle.in_force().is_some_and(|deletion| deletion.seq == fact.seq);
                let rule = deletion(&row.lifecycle, fact, won, &observer.past);
                observer.effects.push(Effect::new("lifecycle", "deleted", won, rule));
            }
            Change::Membership(change) if change.guid == which => {
                let said = super::membership::said(&change.uid, change.state, change.scope, None);
                let rule =
                    format!("a fact about that membership: see chatfold explain membership:{which}/{}", change.uid);
                observer.effects.push(Effect::new(format!("membership of {}", change.uid), said, true, rule));
            }
            _ => return false,
        }
        true
    }

    fn group(&mut self, telling: Telling, observer: &mut Observer) {
        let row = self.row.get_or_insert_default();
        // The table has one column for both, which copies fill until the owner is told.
        let mut columns = change::Group::COLUMNS.to_vec();
        (columns[OWNER], columns[OWNER_COPY]) = ("owner_uid", "owner_uid as copies say");
        // The owner may be told on its own: that is no description.
        if telling.fields.iter().any(|(field, _)| *field != OWNER) {
            observer.describe(&row.row, &columns[..OWNER], &telling);
        }
        let names = Names { prefix: "", columns: &columns, ranks: OF_FACTS };
        observer.judge(&row.row, change::Group::RULES, &telling, names);
        row.apply(telling);
    }

    /// The API lists the group: one that was deleted before exists again, if it was made later.
    fn exists(&mut self, created_at: Time, observer: &mut Observer) {
        let row = self.row.get_or_insert_default();
        let before = row.lifecycle.in_force().is_some();
        row.exist(created_at);
        if before && row.lifecycle.in_force().is_none() {
            let rule = "the group exists again: it was made after the one that was deleted (4.3)".to_owned();
            observer.effects.push(Effect::new("lifecycle", format!("made at {created_at}"), true, rule));
        }
    }

    fn creation(&mut self, at: Time, observer: &mut Observer) {
        let row = self.row.get_or_insert_default();
        let (before, known) = (row.lifecycle.in_force().cloned(), row.lifecycle.created.len());
        row.create(at);
        let new = row.lifecycle.created.len() > known;
        let now = row.lifecycle.in_force();
        let revived = before.filter(|_| now.is_none());
        let past = &observer.past;
        let rule = match (&revived, now) {
            (Some(deletion), _) => {
                format!(
                    "the group exists again: it was created after the group that {} ended",
                    other(past, deletion.seq, deletion.at)
                )
            }
            (None, _) if !new => "this creation is known already".into(),
            (None, Some(deletion)) => {
                format!("{} ended this group, so it stays deleted", other(past, deletion.seq, deletion.at))
            }
            (None, None) => "a new group has only its creator as member, whoever was a member before (4.3)".into(),
        };
        let against = revived.map(|deletion| deletion.seq);
        let effect = Effect::new("lifecycle", format!("created at {at}"), new, rule);
        observer.effects.push(Effect { against, ..effect });
    }
}

fn deletion(lifecycle: &Lifecycle, fact: &Fact, won: bool, past: &Past) -> String {
    let Some(own) = lifecycle.deleted.iter().find(|deletion| deletion.seq == fact.seq) else { return String::new() };
    let ends = Time(lifecycle.ends(own));
    let which = if own.of == Some(ends.0) {
        format!("it ends the group that was created at {ends}")
    } else {
        format!("it names no known creation, so it ends groups created before its own time, {ends}")
    };
    if won {
        return format!("{which}; only a group created later can exist again (4.3)");
    }
    match (lifecycle.created.last(), lifecycle.in_force()) {
        (_, Some(newer)) => format!("{which}; {} is the deletion that counts", other(past, newer.seq, newer.at)),
        (Some(created), None) => format!("{which}; the present group was created later, at {}", Time(*created)),
        (None, None) => which,
    }
}
