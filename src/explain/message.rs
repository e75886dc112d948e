//! A message: its registers, edits, reactions, receipts and verdict.

use super::Effect;
use super::replay::{Replay, merge};
use super::state::State;
use super::words::{DELETED, OF_MESSAGES, OF_VERDICTS, TOMBSTONE};
use crate::change::{self, Change, Dated, Moderation, Reaction, Receipt};
use crate::edits::{Version, digest, judge, read_digest};
use crate::ids::Time;
use crate::merge::{Fact, Row, Telling};
use crate::reactions::{Ends, Facts, emoji};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Place of `first_text` among the registers of a message.
const FIRST_TEXT: usize = change::Message::COLUMNS.len() - 1;

/// Since when the person's emoji is there, in whatever spelling.
fn present_since(known: &BTreeMap<(String, String), Facts>, told: &Reaction) -> Option<Dated> {
    let told_emoji = emoji(&told.reaction);
    let same = known.iter().filter(|((reaction, uid), _)| *uid == told.uid && emoji(reaction) == told_emoji);
    let spellings: Vec<&Facts> = same.map(|(_, facts)| facts).collect();
    let ends: Ends<'_> = spellings.iter().copied().collect();
    spellings.iter().filter_map(|facts| facts.present_since(&ends)).min()
}

fn edit_of(at: i64) -> String {
    format!("edit of {}", Time(at))
}

impl Replay<'_> {
    /// Takes what is about it; true if it was.
    pub(super) fn message(&mut self, id: &str, fact: &Fact, change: Change, effects: &mut Vec<Effect>) -> bool {
        match change {
            Change::Message { message_id, telling, deleted } if message_id == id => {
                self.message_row(fact, telling, deleted, effects);
            }
            Change::MessageEdit(edit) if edit.message_id == id => self.edit(fact, edit.version, effects),
            Change::Reaction(reaction) if reaction.message_id == id => self.reaction(&reaction, effects),
            Change::Receipt(receipt) if receipt.message_id == id => self.receipt(&receipt, effects),
            Change::Moderation { message_id, telling } if message_id == id => {
                let State::Message(message) = &mut self.state else { return false };
                message.row.get_or_insert_with(|| Row::new(change::Message::COLUMNS.len()));
                let row = message.verdict.get_or_insert_with(|| Row::new(Moderation::COLUMNS.len()));
                let names = ("moderation ", OF_VERDICTS, &self.past);
                merge(row, Moderation::COLUMNS, Moderation::RULES, telling, names, effects);
            }
            _ => return false,
        }
        true
    }

    fn message_row(&mut self, fact: &Fact, telling: Telling, deleted: bool, effects: &mut Vec<Effect>) {
        let State::Message(message) = &mut self.state else { return };
        let row = message.row.get_or_insert_with(|| Row::new(change::Message::COLUMNS.len()));
        let names = ("", OF_MESSAGES, &self.past);
        merge(row, change::Message::COLUMNS, change::Message::RULES, telling, names, effects);
        // The digest serves to judge edits. Shown, it would confirm who guesses a deleted text.
        effects.retain(|effect| effect.register != change::Message::COLUMNS[FIRST_TEXT]);
        if deleted && !message.deleted {
            message.deleted = true;
            self.deleted_by = Some(fact.seq);
            self.versions.iter_mut().for_each(|(version, _)| version.text = None);
            effects.push(Effect {
                register: "deleted".into(),
                value: true.into(),
                before: Json::Null,
                won: true,
                same: false,
                rule: "deleted for good: text, data and the texts of edits are gone from the tables (4.4)".into(),
                against: None,
                replaced_by: None,
            });
        }
        if message.deleted {
            row.named.clear();
            let own = self.deleted_by == Some(fact.seq);
            for effect in effects.iter_mut().filter(|effect| effect.register.starts_with("data.")) {
                (effect.won, effect.same) = (false, false);
                effect.rule = if own { TOMBSTONE } else { DELETED }.to_owned();
                effect.against = self.deleted_by.filter(|_| !own);
            }
        }
    }

    /// One edit is (message, time, text), whatever tells it. Whether it is an edit shows when all are known.
    fn edit(&mut self, fact: &Fact, told: Version, effects: &mut Vec<Effect>) {
        let State::Message(message) = &mut self.state else { return };
        let told = Version { text: told.text.filter(|_| !message.deleted), ..told };
        let (at, said) = (told.key.at, told.text.clone());
        let same = |(version, _): &&mut (Version, Vec<i64>)| version.key.at == at && version.digest == told.digest;
        let known = match self.versions.iter_mut().find(same) {
            Some((version, tellers)) => {
                version.merge(told);
                tellers.push(fact.seq);
                true
            }
            None => {
                self.versions.push((told, vec![fact.seq]));
                false
            }
        };
        let rule = match (known, message.deleted) {
            (true, _) => "known already: one edit is (message, time, text), whatever tells it (4.4)",
            (false, true) => "kept without its text: deleted stays deleted (4.4)",
            (false, false) => "an edit not heard of before",
        };
        let register = edit_of(at);
        if effects.iter().any(|effect| effect.register == register) {
            return;
        }
        effects.push(Effect {
            register,
            value: said.into(),
            before: Json::Null,
            won: !known,
            same: known,
            rule: rule.into(),
            against: self.deleted_by.filter(|seq| !known && message.deleted && *seq != fact.seq),
            replaced_by: None,
        });
    }

    /// Tells the edits from what left the text as it was.
    pub(super) fn judge_edits(&mut self) {
        let State::Message(message) = &mut self.state else { return };
        let first = message.row.as_ref().and_then(|row| row.values[FIRST_TEXT].text()).and_then(read_digest);
        let told = std::mem::take(&mut self.versions);
        let versions = told.iter().map(|(version, _)| version.clone()).collect();
        message.edits = judge(first.unwrap_or_else(|| digest(None)), versions);
        for (version, _) in message.edits.iter().filter(|(_, is_edit)| !is_edit) {
            let tellers = told.iter().filter(|(told, _)| told.place() == version.place()).flat_map(|(_, seqs)| seqs);
            for seq in tellers {
                let delivery = self.deliveries.iter_mut().find(|delivery| delivery.seq == *seq);
                let effects = delivery.into_iter().flat_map(|delivery| &mut delivery.effects);
                for effect in effects.filter(|effect| effect.register == edit_of(version.key.at)) {
                    (effect.won, effect.same, effect.against) = (false, true, None);
                    effect.rule = "no edit: the text before it is the same, so a machine added something (4.4)".into();
                }
            }
        }
    }

    fn receipt(&mut self, told: &Receipt, effects: &mut Vec<Effect>) {
        let State::Message(message) = &mut self.state else { return };
        let known = message.receipts.entry(told.uid.clone()).or_default();
        let columns = [("delivered_at", told.delivered), ("read_at", told.read)];
        for (known, (column, told_at)) in known.iter_mut().zip(columns) {
            let Some(dated) = told_at else { continue };
            let before = known.replace(known.map_or(dated, |known| known.min(dated)));
            let won = *known != before;
            let rule = match before {
                None => "nothing known before".to_owned(),
                Some(other) if other.from != dated.from => {
                    let side = if won { "this one" } else { "the other" };
                    format!("a time that is told counts before one of an arrival or a replay: {side}, not {}", other.at)
                }
                Some(other) if won => format!("the earliest told counts: {} was known before", other.at),
                Some(other) => format!("the earliest told counts: {} is known", other.at),
            };
            effects.push(Effect {
                register: format!("receipt of {} {column}", told.uid),
                value: dated.at.rfc3339().into(),
                before: before.map(|known| known.at.rfc3339()).into(),
                won,
                same: before == Some(dated),
                rule,
                against: None,
                replaced_by: None,
            });
        }
    }

    fn reaction(&mut self, reaction: &Reaction, effects: &mut Vec<Effect>) {
        let State::Message(message) = &mut self.state else { return };
        let known = &mut message.reactions;
        let before = present_since(known, reaction);
        known.entry((reaction.reaction.clone(), reaction.uid.clone())).or_default().add(reaction);
        let after = present_since(known, reaction);
        let id = reaction.id.as_ref().map_or_else(|| "no id".to_owned(), |id| format!("id {id}"));
        let rule = match (reaction.added, before, after) {
            (true, _, None) => format!("{id} was taken back already: a removal counts whatever arrives first (4.4)"),
            (true, Some(_), Some(_)) => format!("added with {id}; it was there already"),
            (true, None, Some(_)) => format!("added with {id}"),
            (false, _, Some(at)) => format!("takes back {id}; another of {} is not ended", at.at),
            (false, Some(_), None) => format!("takes back {id}"),
            (false, None, None) => format!("takes back {id}, which is not there: counts for what arrives late"),
        };
        effects.push(Effect {
            register: format!("reaction {} of {}", reaction.reaction, reaction.uid),
            value: json!(if reaction.added { "added" } else { "taken back" }),
            before: Json::Null,
            won: before != after,
            same: false,
            rule,
            against: None,
            replaced_by: None,
        });
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_text_has_its_place() {
        assert_eq!(super::change::Message::COLUMNS[super::FIRST_TEXT], "first_text");
    }
}
