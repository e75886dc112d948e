//! From the vendor to the file: late, twice, through two webhooks, never.

use super::script::{Dice, Pace, mix};
use super::world::Told;
use crate::harness::NOON;
use std::collections::BTreeSet;

/// How long deliveries of a kind take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Acts through the vendor's API.
    Act,
    /// A message sent. Sends through the SDK may never be told.
    Send,
    /// Joins, leaves: up to 30 s.
    Seat,
    /// Receipts and presence: up to 20 s.
    Receipt,
    /// The action message of an act: it comes at once, or in 3.5 s.
    Echo,
}

/// What goes wrong in a history.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    pub name: &'static str,
    pub pace: Pace,
    /// Milliseconds any delivery may be late.
    pub late: i64,
    /// Joins, leaves, receipts and presence take their time too.
    pub slow: bool,
    /// Some are not answered in time and come again after 10 s, or after 10 s and 30 s more; half of these were kept.
    pub retries: bool,
    pub webhooks: u64,
    /// Milliseconds our clock is ahead.
    pub clock: i64,
    /// Deliveries that never come, and sends that are never told, in a thousand.
    pub lost: u64,
    pub unsent: u64,
}

const PLAIN: Class = Class {
    name: "in order",
    pace: Pace::Calm,
    late: 0,
    slow: false,
    retries: false,
    webhooks: 1,
    clock: 0,
    lost: 0,
    unsent: 0,
};
const LATE: Class = Class { name: "0 to 5 s late", late: 5_000, ..PLAIN };
const SLOW: Class = Class { name: "joins 30 s late", slow: true, ..LATE };

pub const CALM: [Class; 7] = [
    PLAIN,
    LATE,
    SLOW,
    Class { name: "second webhook", webhooks: 2, ..SLOW },
    Class { name: "sends not told", unsent: 400, ..LATE },
    Class { name: "retries", retries: true, ..LATE },
    Class { name: "3 % lost", lost: 30, ..LATE },
];

const BURST: Class = Class { pace: Pace::Bursts, ..PLAIN };

pub const BURSTS: [Class; 6] = [
    BURST,
    Class { name: "0 to 5 s late", late: 5_000, ..BURST },
    Class { name: "joins 30 s late", late: 5_000, slow: true, ..BURST },
    Class { name: "second webhook", late: 5_000, slow: true, webhooks: 2, ..BURST },
    Class { name: "retries", late: 5_000, retries: true, ..BURST },
    Class { name: "3 % lost", late: 5_000, lost: 30, ..BURST },
];

const HARD: Class = Class { pace: Pace::Harsh, ..PLAIN };

pub const HARSH: [Class; 4] = [
    HARD,
    Class { name: "0 to 5 s late", late: 5_000, ..HARD },
    Class { name: "joins 30 s late", late: 5_000, slow: true, ..HARD },
    Class { name: "second webhook", late: 5_000, webhooks: 2, ..HARD },
];

const UNLIKE: Class = Class { late: 5_000, ..BURST };

/// Our clock is wrong.
pub const CLOCKS: [Class; 6] = [
    Class { name: "5 s slow", clock: -5_000, ..UNLIKE },
    Class { name: "5 s fast", clock: 5_000, ..UNLIKE },
    Class { name: "5 min slow", clock: -300_000, ..UNLIKE },
    Class { name: "5 min fast", clock: 300_000, ..UNLIKE },
    Class { name: "1 h slow", clock: -3_600_000, ..UNLIKE },
    Class { name: "1 h fast", clock: 3_600_000, ..UNLIKE },
];

const AGAIN: Class = Class { pace: Pace::Anew, ..PLAIN };

pub const MADE_ANEW: [Class; 3] = [
    AGAIN,
    Class { name: "0 to 5 s late", late: 5_000, ..AGAIN },
    Class { name: "second webhook", late: 5_000, webhooks: 2, ..AGAIN },
];

const KEY: Class = Class { pace: Pace::Key, ..PLAIN };

pub const API_KEY: [Class; 3] = [
    KEY,
    Class { name: "0 to 5 s late", late: 5_000, ..KEY },
    Class { name: "second webhook", late: 5_000, webhooks: 2, ..KEY },
];

/// Everything told, all at once: only the order is to differ.
pub const DISTINCT: Class = Class { name: "distinct times", pace: Pace::Distinct, webhooks: 2, ..PLAIN };

impl Class {
    /// Nothing lost, and no delivery later than the vendor's usual delays.
    pub fn timely(&self) -> bool {
        self.lost == 0 && !self.retries
    }
}

/// One POST.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// Which of the things told.
    pub told: usize,
    pub webhook: u64,
    pub at: i64,
}

/// The deliveries of a history in the order of their arrival, and which things told never came.
pub fn take(told: &[Told], class: &Class) -> (Vec<Delivery>, BTreeSet<usize>) {
    let mut deliveries = Vec::new();
    let mut lost = BTreeSet::new();
    for (at, fact) in told.iter().enumerate() {
        let mut dice = Dice::new(mix(fact.luck, 77));
        if dice.chance(class.lost) || (fact.kind == Kind::Send && dice.chance(class.unsent)) {
            lost.insert(at);
            continue;
        }
        for webhook in 0..class.webhooks {
            let mut dice = Dice::new(mix(fact.luck, 100 + webhook));
            let first = fact.at + delay(fact.kind, class, &mut dice);
            let mut arrivals = vec![first];
            if class.retries && dice.chance(150) {
                let again = if dice.chance(300) { first + 40_000 } else { first + 10_000 };
                arrivals = if dice.chance(500) { vec![first, again] } else { vec![again] };
            }
            deliveries.extend(arrivals.into_iter().map(|arrival| Delivery { told: at, webhook, at: arrival }));
        }
    }
    deliveries.sort_by_key(|delivery| (delivery.at, delivery.told, delivery.webhook));
    deliveries.iter_mut().for_each(|delivery| delivery.at += class.clock);
    (deliveries, lost)
}

fn delay(kind: Kind, class: &Class, dice: &mut Dice) -> i64 {
    let upto = |dice: &mut Dice, ms: i64| dice.below(ms as u64) as i64;
    let slow = class.slow && dice.chance(500);
    match kind {
        Kind::Seat if slow => upto(dice, 30_000),
        Kind::Receipt if slow => upto(dice, 20_000),
        Kind::Echo if dice.chance(500) => 3_500 + upto(dice, class.late),
        Kind::Echo => 100 + upto(dice, class.late),
        _ => 40 + upto(dice, class.late),
    }
}

/// Another order of arrival: every delivery at its place by lot, some that tell their time twice, all within seconds of each other once
/// everything has been done.
pub fn shuffle(deliveries: &[Delivery], told: &[Told], order: u64) -> Vec<Delivery> {
    let lot = |delivery: &Delivery, copy: u64| mix(mix(told[delivery.told].luck, order), 10 * delivery.webhook + copy);
    let mut drawn: Vec<(u64, Delivery)> = deliveries.iter().map(|delivery| (lot(delivery, 1), *delivery)).collect();
    let dated = deliveries.iter().filter(|delivery| told[delivery.told].is_dated());
    let again = dated.map(|delivery| (lot(delivery, 2), *delivery)).filter(|(lot, _)| lot % 4 == 0);
    drawn.extend(again.collect::<Vec<_>>());
    drawn.sort_by_key(|(lot, _)| *lot);
    at_once(drawn.into_iter().map(|(_, delivery)| delivery).collect())
}

/// Every order of a few things told.
pub fn permutations(told: &[usize]) -> Vec<Vec<Delivery>> {
    if told.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in told.iter().enumerate() {
        let rest: Vec<usize> = told.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, it)| *it).collect();
        for mut order in permutations(&rest) {
            order.insert(0, Delivery { told: *first, webhook: 0, at: 0 });
            all.push(at_once(order));
        }
    }
    all
}

fn at_once(mut deliveries: Vec<Delivery>) -> Vec<Delivery> {
    for (delivery, at) in deliveries.iter_mut().zip((NOON + 120_000..).step_by(40)) {
        delivery.at = at;
    }
    deliveries
}
