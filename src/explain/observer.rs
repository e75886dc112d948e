//! Says what each delivery does to the rows of an entity.

use super::words::{self, Past, Ranks};
use super::{Effect, value};
use crate::edits::Digest;
use crate::merge::{Register, Row, Rule, Telling, Value};
use crate::tables::registers::{Columns, Registers};
use serde_json::Value as Json;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Observer {
    /// The deliveries met: trigger by log position.
    pub past: Past,
    /// What the delivery at hand does.
    pub effects: Vec<Effect>,
    /// What the delivery at hand is silent about.
    pub silent: Vec<String>,
    /// Log position of the deletion that ended a message.
    pub deleted_by: Option<i64>,
    /// Time and digest of each text told as an edit of a message, and the log position of the delivery that told it.
    pub tellers: Vec<(i64, Digest, i64)>,
}

/// What the registers of a row are called.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub prefix: &'a str,
    pub columns: &'a [&'a str],
    pub ranks: Ranks,
}

impl Observer {
    /// Merges what a delivery tells of registers.
    pub fn merge<T: Columns>(&mut self, known: &mut Registers<T>, telling: Telling, prefix: &str, ranks: Ranks) {
        self.judge(&known.row, T::RULES, &telling, Names { prefix, columns: T::COLUMNS, ranks });
        known.apply(telling);
    }

    /// Says how each value of a telling fares, before it is merged into the row.
    pub fn judge(&mut self, row: &Row, rules: &[Rule], telling: &Telling, names: Names<'_>) {
        let (when, seq, Names { prefix, columns, ranks }) = (telling.stamp.when, telling.stamp.seq, names);
        for judged in row.judge(rules, telling) {
            let register = match judged.register {
                // The digest serves to judge edits. Shown, it would confirm who guesses a deleted text.
                Register::Field(field) if columns[field] == "first_text" => continue,
                Register::Field(field) => format!("{prefix}{}", columns[field]),
                Register::Named(name) => format!("data.{name}"),
            };
            let against = judged.against.map(|key| key.seq);
            // One delivery may tell a value in several places: the greatest counts, and once.
            if let Some(own) = self.effects.iter_mut().find(|it| it.register == register && against == Some(seq)) {
                if judged.won {
                    own.value = value::told(&register, judged.value);
                }
                continue;
            }
            // A copy of it and the fact itself: what the fact came to counts.
            self.effects.retain(|effect| effect.register != register);
            self.effects.push(Effect {
                value: value::told(&register, judged.value),
                before: judged.known.map_or(Json::Null, |known| value::told(&register, known)),
                same: judged.known == Some(judged.value) && (judged.against.is_some() || judged.key.is_none()),
                rule: words::rule(&judged, when, ranks, &self.past),
                won: judged.won,
                against,
                replaced_by: None,
                register,
            });
        }
    }

    /// Names what is known of a row, and what a telling that describes it leaves out.
    pub fn describe(&mut self, row: &Row, columns: &[&str], telling: &Telling) {
        let told = |at: usize| telling.fields.iter().any(|(field, _)| *field == at);
        let known = |at: &usize| !matches!(row.values[*at], Value::Null) && !told(*at);
        let silent = (0..columns.len()).filter(known).map(|at| columns[at].to_owned());
        self.silent = if telling.fields.is_empty() { Vec::new() } else { silent.collect() };
    }
}
