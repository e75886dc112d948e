//! Deliveries reduced and merged again, one entity's part of them.

use super::state::{Call, Group, Membership, Message, State, User};
use super::words::{self, Past, Ranks};
use super::{Delivery, Effect, Entity, value};
use crate::change::{Change, Changes};
use crate::edits::Version;
use crate::envelope;
use crate::ids::Outcome;
use crate::merge::{Fact, Register, Row, Rule, Telling, Value};
use crate::store::sqlite::explain::Heard;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The replay so far.
pub(super) struct Replay<'a> {
    pub entity: &'a Entity,
    pub state: State,
    pub deliveries: Vec<Delivery>,
    pub past: Past,
    /// What the delivery at hand is silent about.
    pub silent: Vec<String>,
    /// Log position of the deletion that ended a message.
    pub deleted_by: Option<i64>,
    /// What was told as an edit of a message, each with the log positions of the deliveries that told it.
    pub versions: Vec<(Version, Vec<i64>)>,
}

impl<'a> Replay<'a> {
    pub fn new(entity: &'a Entity) -> Self {
        let state = match entity {
            Entity::Group(_) => State::Group(Group::default()),
            Entity::Membership { .. } => State::Membership(Membership::default()),
            Entity::Message(_) => State::Message(Message::default()),
            Entity::User(_) => State::User(User::default()),
            Entity::Call(_) => State::Call(Call::default()),
        };
        Self {
            entity,
            state,
            deliveries: Vec::new(),
            past: Past::new(),
            silent: Vec::new(),
            deleted_by: None,
            versions: Vec::new(),
        }
    }

    /// Takes the next event of the log.
    pub fn take(&mut self, heard: &Heard) {
        let (logged, fact) = (&heard.logged, &heard.logged.fact);
        let payload = envelope::payload(&logged.body);
        let keys = self.entity.refs();
        let mut about = payload.as_ref().is_some_and(|payload| {
            payload.refs().iter().any(|it| keys.iter().any(|(kind, key)| it.kind == *kind && it.key == *key))
        });
        let mut effects = Vec::new();
        match (payload, logged.outcome) {
            (Some(payload), Outcome::Applied) => {
                self.past.insert(fact.seq, fact.trigger.clone());
                let mut changes = Changes::default();
                payload.reduce(fact, &mut changes);
                for change in changes {
                    about |= self.change(fact, change, &mut effects);
                }
            }
            (_, Outcome::Rejected) => about = about || super::gather::names(&logged.body, self.entity),
            _ => {}
        }
        if about {
            let silent = std::mem::take(&mut self.silent);
            self.deliveries.push(delivery(heard, effects, silent));
        }
    }

    /// True if the change is about the entity.
    fn change(&mut self, fact: &Fact, change: Change, effects: &mut Vec<Effect>) -> bool {
        match self.entity {
            Entity::Message(id) => self.message(id, fact, change, effects),
            Entity::User(uid) => self.user(uid, fact, change, effects),
            Entity::Group(guid) => self.group(guid, fact, change, effects),
            Entity::Membership { guid, uid } => self.membership(guid, uid, fact, &change),
            Entity::Call(_) => self.call(&change),
        }
    }

    /// What shows only when all facts are known.
    pub fn finish(&mut self) {
        match &mut self.state {
            State::Membership(_) => self.stand(),
            State::Call(_) => self.place(),
            State::Group(group) => super::group::forget_copied_owner(group),
            State::Message(_) => self.judge_edits(),
            State::User(_) => {}
        }
        self.replaced();
    }

    pub(super) fn effect(&mut self, seq: i64, effect: Effect) {
        if let Some(delivery) = self.deliveries.iter_mut().find(|delivery| delivery.seq == seq) {
            delivery.effects.push(effect);
        }
    }

    /// Marks what stood and has been replaced since.
    fn replaced(&mut self) {
        let mut holders: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for at in 0..self.deliveries.len() {
            let seq = self.deliveries[at].seq;
            for index in 0..self.deliveries[at].effects.len() {
                let effect = &self.deliveries[at].effects[index];
                let is_register = !effect.register.starts_with("membership of ");
                if !effect.won || !is_register || effect.value.get("ledTo").is_some() {
                    continue;
                }
                let register = effect.register.clone();
                let ends_data = register == "deleted" && matches!(self.entity, Entity::Message(_));
                let ended: Vec<String> = holders
                    .keys()
                    .filter(|held| **held == register || (ends_data && held.starts_with("data.")))
                    .cloned()
                    .collect();
                for held in ended {
                    if let Some((before, place)) = holders.remove(&held).filter(|(before, _)| *before != at) {
                        self.deliveries[before].effects[place].replaced_by = Some(seq);
                    }
                }
                holders.insert(register, (at, index));
            }
        }
    }
}

/// Merges a telling, and notes how each value fared.
pub(super) fn merge(
    row: &mut Row,
    columns: &[&str],
    rules: &[Rule],
    telling: Telling,
    (prefix, ranks, past): (&str, Ranks, &Past),
    effects: &mut Vec<Effect>,
) {
    let (when, seq) = (telling.stamp.when, telling.stamp.seq);
    row.merge_telling(rules, telling, &mut |judged| {
        let register = match judged.register {
            Register::Field(field) => format!("{prefix}{}", columns[field].trim_start_matches("r#")),
            Register::Named(name) => format!("data.{name}"),
        };
        let against = judged.against.map(|key| key.seq);
        // One delivery may tell a value in several places: the greatest counts, and once.
        if let Some(own) = effects.iter_mut().find(|effect| effect.register == register && against == Some(seq)) {
            if judged.won {
                own.value = value::told(&register, judged.value);
            }
            return;
        }
        // A copy of it and the fact itself: what the fact came to counts.
        effects.retain(|effect| effect.register != register);
        effects.push(Effect {
            value: value::told(&register, judged.value),
            before: judged.known.map_or(Json::Null, |known| value::told(&register, known)),
            same: judged.known == Some(judged.value) && (judged.against.is_some() || judged.key.is_none()),
            rule: words::rule(&judged, when, ranks, past),
            won: judged.won,
            against,
            replaced_by: None,
            register,
        });
    });
}

/// What is known and not told, of a row that the telling describes.
pub(super) fn silent(row: &Row, columns: &[&str], telling: &Telling) -> Vec<String> {
    let told = |at: usize| telling.fields.iter().any(|(field, _)| *field == at);
    let known = |at: &usize| !matches!(row.values[*at], Value::Null) && !told(*at);
    let silent = (0..columns.len()).filter(known).map(|at| columns[at].trim_start_matches("r#").to_owned());
    if telling.fields.is_empty() { Vec::new() } else { silent.collect() }
}

fn delivery(heard: &Heard, effects: Vec<Effect>, silent: Vec<String>) -> Delivery {
    let (logged, fact) = (&heard.logged, &heard.logged.fact);
    Delivery {
        seq: fact.seq,
        trigger: fact.trigger.clone(),
        occurred_at: fact.occurred_at.rfc3339(),
        occurred_from: fact.occurred_from.as_str().to_owned(),
        received_at: fact.received_at.rfc3339(),
        late_ms: fact.received_at.0 - fact.occurred_at.0,
        last_received_at: heard.last_received_at.rfc3339(),
        deliveries: heard.deliveries,
        outcome: logged.outcome.as_str().to_owned(),
        reason: logged.reason.clone(),
        effects,
        silent,
    }
}
