//! A message: its registers, edits, reactions, receipts and verdict.

use super::observer::{Names, Observer};
use super::state::Message;
use super::words::{DELETED, OF_MESSAGES, OF_VERDICTS, TOMBSTONE};
use super::{Delivery, Effect};
use crate::change::{self, Change, MessageEdit, Reaction, Receipt};
use crate::ids::Time;
use crate::merge::{Fact, Telling};
use crate::tables::reaction::emoji;

const NAMES: Names<'_> = Names { prefix: "", columns: change::Message::COLUMNS, ranks: OF_MESSAGES };

fn edit_of(at: i64) -> String {
    format!("edit of {}", Time(at))
}

impl Message {
    /// Applies a change; true if the change is about this message.
    pub(super) fn take(&mut self, id: &str, fact: &Fact, change: Change, observer: &mut Observer) -> bool {
        match change {
            Change::Message { message_id, telling, deleted } if message_id == id => {
                self.message(fact, telling, deleted, observer);
            }
            Change::MessageEdit(told) if told.message_id == id => self.edit(fact, told, observer),
            Change::Reaction(told) if told.message_id == id => self.reaction(&told, observer),
            Change::Receipt(told) if told.message_id == id => self.receipt(&told, observer),
            Change::Moderation { message_id, telling } if message_id == id => {
                let verdict = self.verdict.get_or_insert_default();
                observer.merge(verdict, telling, "moderation ", OF_VERDICTS);
                self.row.get_or_insert_default().block(verdict.disapproves());
            }
            _ => return false,
        }
        true
    }

    fn message(&mut self, fact: &Fact, telling: Telling, deleted: bool, observer: &mut Observer) {
        let row = self.row.get_or_insert_default();
        observer.judge(&row.row, change::Message::RULES, &telling, NAMES);
        let done = row.apply(telling, deleted);
        self.edits.follow(done);
        row.edit(self.edits.last());
        if done.deleted {
            observer.deleted_by = Some(fact.seq);
            let rule = "the deletion is final: text, data and the texts of edits are removed from the tables (4.4)";
            observer.effects.push(Effect::new("deleted", true, true, rule));
        }
        if row.deleted {
            let own = observer.deleted_by == Some(fact.seq);
            for effect in observer.effects.iter_mut().filter(|effect| effect.register.starts_with("data.")) {
                (effect.won, effect.same) = (false, false);
                effect.rule = if own { TOMBSTONE } else { DELETED }.to_owned();
                effect.against = observer.deleted_by.filter(|_| !own);
            }
        }
    }

    /// Whether a text is an edit shows when all are known.
    fn edit(&mut self, fact: &Fact, told: MessageEdit, observer: &mut Observer) {
        let Some(row) = &mut self.row else { return };
        let (at, digest) = (told.version.key.at, told.version.digest);
        let before = self.edits.0.len();
        self.edits.apply(told.version, row);
        row.edit(self.edits.last());
        observer.tellers.push((at, digest, fact.seq));
        let known = self.edits.0.len() == before;
        let register = edit_of(at);
        if observer.effects.iter().any(|effect| effect.register == register) {
            return;
        }
        let rule = match (known, row.deleted) {
            (true, _) => "this edit is known already: it has the same time and the same text (4.4)",
            (false, true) => "the edit is kept without its text, because the message is deleted (4.4)",
            (false, false) => "a new edit",
        };
        let kept = self.edits.0.iter().find(|(version, _)| version.key.at == at && version.digest == digest);
        let text = kept.and_then(|(version, _)| version.text.clone());
        let against = observer.deleted_by.filter(|seq| !known && row.deleted && *seq != fact.seq);
        observer.effects.push(Effect { same: known, against, ..Effect::new(register, text, !known, rule) });
    }

    /// Tells the edits from what left the text as it was.
    pub(super) fn judge(&self, observer: &Observer, deliveries: &mut [Delivery]) {
        for (version, _) in self.edits.0.iter().filter(|(_, is_edit)| !is_edit) {
            let at = version.key.at;
            let tells = |seq: i64| observer.tellers.contains(&(at, version.digest, seq));
            let effects = deliveries.iter_mut().filter(|it| tells(it.seq)).flat_map(|it| &mut it.effects);
            for effect in effects.filter(|effect| effect.register == edit_of(at)) {
                (effect.won, effect.same, effect.against) = (false, true, None);
                effect.rule = "not an edit: the text did not change, so a machine added something (4.4)".into();
            }
        }
    }

    fn receipt(&mut self, told: &Receipt, observer: &mut Observer) {
        let known = self.receipts.entry(told.uid.clone()).or_default();
        let before = known.clone();
        known.apply(told);
        let columns = [
            ("delivered_at", told.delivered, before.delivered, known.delivered),
            ("read_at", told.read, before.read, known.read),
        ];
        for (column, told_at, before, after) in columns {
            let Some(dated) = told_at else { continue };
            let won = after != before;
            let rule = match before {
                None => "no value was known before".to_owned(),
                Some(other) if other.from != dated.from => {
                    let result =
                        if won { format!("so {} is replaced", other.at) } else { format!("so {} stays", other.at) };
                    format!("a time in an event counts more than a time of arrival or of a replay, {result}")
                }
                Some(other) if won => format!("the earliest time counts: {} was known before", other.at),
                Some(other) => format!("the earliest time counts: {} is known already", other.at),
            };
            observer.effects.push(Effect {
                before: before.map(|known| known.at.to_string()).into(),
                same: before == Some(dated),
                ..Effect::new(format!("receipt of {} {column}", told.uid), dated.at.to_string(), won, rule)
            });
        }
    }

    fn reaction(&mut self, told: &Reaction, observer: &mut Observer) {
        let known = self.reactions.entry((emoji(&told.reaction), told.uid.clone())).or_default();
        let before = known.since();
        known.apply(told);
        let after = known.since();
        let id = told.id.as_ref().map_or_else(|| "without an id".to_owned(), |id| format!("with id {id}"));
        let rule = match (told.added, before, after) {
            (true, _, None) => {
                format!("the reaction {id} was taken back already, which counts whatever arrives first (4.4)")
            }
            (true, Some(_), Some(_)) => format!("added {id}; the person had given this reaction already"),
            (true, None, Some(_)) => format!("added {id}"),
            (false, _, Some(at)) => format!("takes back the reaction {id}; another one, of {}, stays", at.at),
            (false, Some(_), None) => format!("takes back the reaction {id}"),
            (false, None, None) => {
                format!("takes back the reaction {id}, which is not known; this counts if the reaction arrives late")
            }
        };
        let said = if told.added { "added" } else { "taken back" };
        let register = format!("reaction {} of {}", told.reaction, told.uid);
        observer.effects.push(Effect::new(register, said, before != after, rule));
    }
}
