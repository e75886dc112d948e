//! A message: its registers, edits, reactions, receipts and verdict.

use super::Effect;
use super::replay::{Replay, merge};
use super::state::State;
use super::words::{DELETED, OF_FACTS, OF_MESSAGES, OF_VERDICTS, TOMBSTONE};
use crate::change::{self, Change, Moderation, Reaction};
use crate::ids::Time;
use crate::merge::{Fact, Row, Rule, Telling, Value, rank};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const RECEIPT: &[&str] = &["delivered_at", "read_at"];
const RECEIPT_RULES: &[Rule] = &[Rule::Least, Rule::Least];

impl Replay<'_> {
    /// Takes what is about it; true if it was.
    pub(super) fn message(&mut self, id: &str, fact: &Fact, change: Change, effects: &mut Vec<Effect>) -> bool {
        match change {
            Change::Message { message_id, telling, deleted } if message_id == id => {
                self.message_row(fact, telling, deleted, effects);
            }
            Change::MessageEdit(edit) if edit.message_id == id => self.edit(fact, edit, effects),
            Change::Reaction(reaction) if reaction.message_id == id => self.reaction(&reaction, effects),
            Change::Receipt(receipt) if receipt.message_id == id => {
                let State::Message(message) = &mut self.state else { return false };
                let told = [receipt.delivered_at, receipt.read_at].into_iter().enumerate();
                let fields = told.filter_map(|(field, at)| Some((field, Value::Int(at?.0)))).collect();
                let telling = Telling { stamp: fact.stamp(rank::FACT), fields, named: BTreeMap::new() };
                let prefix = format!("receipt of {} ", receipt.uid);
                let row = message.receipts.entry(receipt.uid).or_insert_with(|| Row::new(2));
                merge(row, RECEIPT, RECEIPT_RULES, telling, (&prefix, OF_FACTS, &self.past), effects);
            }
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
        if deleted && !message.deleted {
            message.deleted = true;
            self.deleted_by = Some(fact.seq);
            message.edits.values_mut().for_each(|text| *text = None);
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

    /// One edit is (message, time, text), whatever tells it.
    fn edit(&mut self, fact: &Fact, edit: change::MessageEdit, effects: &mut Vec<Effect>) {
        let State::Message(message) = &mut self.state else { return };
        let digest: [u8; 32] = Sha256::digest(edit.text.as_deref().unwrap_or("")).into();
        let key = (edit.edited_at.0, digest);
        let known = message.edits.contains_key(&key);
        let text = edit.text.filter(|_| !message.deleted);
        let said = text.clone();
        message.edits.entry(key).or_insert(text);
        let rule = match (known, message.deleted) {
            (true, _) => "known already: one edit is (message, time, text), whatever tells it (4.4)",
            (false, true) => "kept without its text: deleted stays deleted (4.4)",
            (false, false) => "an edit not heard of before",
        };
        let register = format!("edit of {}", edit.edited_at);
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

    fn reaction(&mut self, reaction: &Reaction, effects: &mut Vec<Effect>) {
        let State::Message(message) = &mut self.state else { return };
        let facts = message.reactions.entry((reaction.reaction.clone(), reaction.uid.clone())).or_default();
        let before = facts.present_since();
        facts.add(reaction);
        let after = facts.present_since();
        let id = reaction.id.as_ref().map_or_else(|| "no id".to_owned(), |id| format!("id {id}"));
        let rule = match (reaction.added, before, after) {
            (true, _, None) => format!("{id} was taken back already: a removal counts whatever arrives first (4.4)"),
            (true, Some(_), Some(_)) => format!("added with {id}; it was there already"),
            (true, None, Some(_)) => format!("added with {id}"),
            (false, _, Some(at)) => format!("takes back {id}; another of {} is not ended", Time(at)),
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
