//! Deliveries reduced and applied again, as far as they are about one entity.

use super::observer::Observer;
use super::state::State;
use super::{Delivery, Effect};
use crate::change::Changes;
use crate::entity::Entity;
use crate::envelope;
use crate::ids::Outcome;
use crate::passed::Passed;
use crate::store::sqlite::read::explain::Heard;
use crate::tables::horizon::Horizon;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The replay so far.
pub(super) struct Replay<'a> {
    entity: &'a Entity,
    pub state: State,
    pub deliveries: Vec<Delivery>,
    observer: Observer,
    /// Up to when messages were cut.
    horizon: Option<Horizon>,
}

impl<'a> Replay<'a> {
    pub fn new(entity: &'a Entity, horizon: Option<Horizon>) -> Self {
        Self { entity, state: State::of(entity), deliveries: Vec::new(), observer: Observer::default(), horizon }
    }

    /// Takes the next event of the log.
    pub fn take(&mut self, heard: &Heard) {
        let (logged, fact) = (&heard.logged, &heard.logged.fact);
        let payload = envelope::payload(&logged.body);
        let (kind, key) = self.entity.reference();
        let mut about =
            payload.as_ref().is_some_and(|payload| payload.refs().iter().any(|it| it.kind == kind && it.key == key));
        match (payload, logged.outcome) {
            (Some(payload), Outcome::Applied) => {
                self.observer.past.insert(fact.seq, fact.trigger.clone());
                let mut changes = Changes::default();
                payload.reduce(fact, &mut changes);
                if let Some(horizon) = self.horizon {
                    let told_at = payload.occurred_at();
                    let Ok(passed) =
                        Passed::judge(&fact.trigger, &changes, told_at, horizon, |_| Ok::<_, Infallible>(None));
                    passed.forget(&mut changes);
                }
                for change in changes {
                    about |= self.state.take(self.entity, fact, change, &mut self.observer);
                }
            }
            (_, Outcome::Rejected) => about = about || super::gather::names(&logged.body, self.entity),
            _ => {}
        }
        let effects = std::mem::take(&mut self.observer.effects);
        let silent = std::mem::take(&mut self.observer.silent);
        if about {
            self.deliveries.push(delivery(heard, effects, silent));
        }
    }

    /// What shows only when all facts are known.
    pub fn finish(&mut self) {
        match (&mut self.state, self.entity) {
            (State::Membership(it), Entity::Membership { uid, .. }) => add(&mut self.deliveries, it.stand(uid)),
            (State::Call(it), _) => add(&mut self.deliveries, it.place()),
            (State::Message(it), _) => it.judge(&self.observer, &mut self.deliveries),
            _ => {}
        }
        self.state.forget_stub();
        self.replaced();
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

/// Adds effects to the deliveries at these log positions.
fn add(deliveries: &mut [Delivery], effects: Vec<(i64, Effect)>) {
    for (seq, effect) in effects {
        if let Some(delivery) = deliveries.iter_mut().find(|delivery| delivery.seq == seq) {
            delivery.effects.push(effect);
        }
    }
}

fn delivery(heard: &Heard, effects: Vec<Effect>, silent: Vec<String>) -> Delivery {
    let (logged, fact) = (&heard.logged, &heard.logged.fact);
    Delivery {
        seq: fact.seq,
        trigger: fact.trigger.clone(),
        occurred_at: fact.occurred_at.to_string(),
        occurred_from: fact.occurred_from.as_str().to_owned(),
        received_at: fact.received_at.to_string(),
        late_ms: fact.received_at.0 - fact.occurred_at.0,
        last_received_at: heard.last_received_at.to_string(),
        deliveries: heard.deliveries,
        outcome: logged.outcome.as_str().to_owned(),
        reason: logged.reason.clone(),
        effects,
        silent,
    }
}
