//! The order in which most facts of one second are possible (rule 2).
//!
//! An order grows row by row. The rows taken before matter to the next row in only two ways: the state reached, and the
//! scope changes before an end. So of all orders that agree in these two, only the best is kept. For seven rows this
//! takes a few hundred steps instead of five thousand orders.

use super::MembershipFact;
use super::person::Place;
use crate::ids::State;
use std::cmp::Reverse;

/// Rows that are searched for their best order. More rows are taken one after the other.
pub(super) const MOST: usize = 7;

/// An order of some rows, with what decides between orders.
#[derive(Debug, Clone, Copy)]
struct Order {
    place: Place,
    /// Rows that are possible.
    possible: u32,
    /// Scope changes before a leave or kick.
    ended: u32,
    /// Scope changes before a leave or kick that a join follows.
    lost: u32,
    /// Pairs of rows whose order differs from the log.
    turned: u32,
    /// The rows by their places in the log, from 1, four bits each. The smaller number is the order that comes first by
    /// log position.
    path: u32,
    length: u32,
}

impl Order {
    /// Compares orders of the same rows: the greatest is the best.
    fn merit(&self) -> (u32, Reverse<u32>, Reverse<u32>) {
        (self.possible, Reverse(self.turned), Reverse(self.path))
    }

    fn rank(&self) -> (u32, Reverse<u32>, Reverse<u32>, Reverse<u32>) {
        (self.possible, Reverse(self.lost), Reverse(self.turned), Reverse(self.path))
    }

    fn rows(self) -> impl Iterator<Item = usize> {
        (0..self.length).map(move |at| ((self.path >> (28 - 4 * at)) & 15) as usize - 1)
    }
}

/// All told rows, and joins before the last of them, in their best order: indices of `told`, then indices of `joins`,
/// which count on. Joins keep their order, and an impossible join is not taken before its own turn.
pub(super) fn best(place: Place, told: &[&MembershipFact], joins: &[&MembershipFact]) -> Vec<usize> {
    let mut log: Vec<(usize, &MembershipFact)> = told.iter().chain(joins).copied().enumerate().collect();
    log.sort_by_key(|(_, row)| row.seq);
    let places = |wanted: &dyn Fn(usize, &MembershipFact) -> bool| {
        (0..log.len()).filter(|&bit| wanted(log[bit].0, log[bit].1)).fold(0usize, |set, bit| set | 1 << bit)
    };
    let all_told = places(&|index, _| index < told.len());
    let scopes = places(&|_, row| row.state.is_none() && row.scope.is_some());
    // The joins that must be taken before each row.
    let before: Vec<usize> =
        log.iter().map(|(own, _)| places(&|index, _| (told.len()..*own).contains(&index))).collect();
    let mut best: Vec<Vec<Order>> = vec![Vec::new(); 1 << log.len()];
    best[0].push(Order { place, possible: 0, ended: 0, lost: 0, turned: 0, path: 0, length: 0 });
    let mut found: Option<Order> = None;
    for taken in 0..best.len() {
        for order in std::mem::take(&mut best[taken]) {
            if taken & all_told == all_told {
                found = found.filter(|found| found.rank() >= order.rank()).or(Some(order));
                continue;
            }
            for (bit, (index, row)) in log.iter().enumerate() {
                let can = order.place.can(row);
                let waits = *index >= told.len() && (!can || taken & before[bit] != before[bit]);
                if taken & 1 << bit != 0 || waits {
                    continue;
                }
                let mut next = order;
                next.place = order.place.after(row);
                next.possible += u32::from(can);
                match row.state {
                    Some(State::Left | State::Kicked) => next.ended = (taken & scopes).count_ones(),
                    Some(State::Joined) => next.lost = next.ended,
                    _ => {}
                }
                next.turned += (taken >> (bit + 1)).count_ones();
                next.path |= (bit as u32 + 1) << (28 - 4 * order.length);
                next.length += 1;
                keep(&mut best[taken | 1 << bit], next);
            }
        }
    }
    found.into_iter().flat_map(Order::rows).map(|bit| log[bit].0).collect()
}

/// Of the orders after which the same rows remain, keeps the best.
fn keep(orders: &mut Vec<Order>, new: Order) {
    let same = |known: &&mut Order| known.place == new.place && known.ended == new.ended && known.lost == new.lost;
    match orders.iter_mut().find(same) {
        Some(known) if known.merit() >= new.merit() => {}
        Some(known) => *known = new,
        None => orders.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Scope, Time, TimeSource};

    /// A small generator of numbers that look drawn.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }

        fn scope(&mut self) -> Option<Scope> {
            [None, Some(Scope::Admin), Some(Scope::Moderator), Some(Scope::Participant)][self.below(4) as usize]
        }
    }

    fn row(dice: &mut Dice, seq: i64, join: bool) -> MembershipFact {
        let states = [State::Joined, State::Left, State::Kicked, State::Banned, State::Unbanned];
        let state = if join { Some(State::Joined) } else { states.get(dice.below(8) as usize).copied() };
        let (scope, old_scope) = if state.is_none() { (dice.scope(), dice.scope()) } else { (None, None) };
        MembershipFact {
            at: Time(0),
            at_from: if join { TimeSource::Arrival } else { TimeSource::Told },
            seq,
            occurred_at: Time(0),
            arrived_at: None,
            group_created_at: None,
            by: None,
            state,
            scope,
            old_scope,
            joined_at: None,
        }
    }

    /// What is best, of all orders, by the words of the rule.
    fn by_the_rule(place: Place, told: &[&MembershipFact], joins: &[&MembershipFact]) -> Vec<usize> {
        let mut all = Vec::new();
        let rows: Vec<&MembershipFact> = told.iter().chain(joins).copied().collect();
        grow(place, &rows, told.len(), &mut Vec::new(), 0, &mut all);
        let rank = |(order, possible): &(Vec<usize>, usize)| {
            let ends = |row: &MembershipFact| matches!(row.state, Some(State::Left | State::Kicked));
            let lost = (0..order.len()).filter(|&at| {
                let later = || order[at..].iter().map(|index| rows[*index]);
                let scope = rows[order[at]].state.is_none() && rows[order[at]].scope.is_some();
                let after_an_end = later().skip_while(|row| !ends(row));
                scope && after_an_end.clone().any(|row| row.state == Some(State::Joined))
            });
            let seqs: Vec<i64> = order.iter().map(|index| rows[*index].seq).collect();
            let turned: usize =
                (0..seqs.len()).map(|at| seqs[at..].iter().filter(|later| **later < seqs[at]).count()).sum();
            (Reverse(*possible), lost.count(), turned, seqs)
        };
        all.sort_by_key(rank);
        all.swap_remove(0).0
    }

    fn grow(
        place: Place,
        rows: &[&MembershipFact],
        told: usize,
        order: &mut Vec<usize>,
        possible: usize,
        all: &mut Vec<(Vec<usize>, usize)>,
    ) {
        if (0..told).all(|index| order.contains(&index)) {
            all.push((order.clone(), possible));
            return;
        }
        let next_join = (told..rows.len()).find(|index| !order.contains(index));
        for index in (0..told).chain(next_join).filter(|index| !order.contains(index)).collect::<Vec<_>>() {
            let can = place.can(rows[index]);
            if index < told || can {
                order.push(index);
                grow(place.after(rows[index]), rows, told, order, possible + usize::from(can), all);
                order.pop();
            }
        }
    }

    #[test]
    fn the_order_found_is_the_best_of_all() {
        let mut dice = Dice(7);
        for _ in 0..3_000 {
            let (told, joins) = (1 + dice.below(4) as usize, dice.below(3) as usize);
            let mut seqs: Vec<i64> = (1..=(told + joins) as i64).collect();
            for at in 0..seqs.len() {
                seqs.swap(at, dice.below(told as u64) as usize);
            }
            let rows: Vec<MembershipFact> =
                seqs.iter().enumerate().map(|(at, seq)| row(&mut dice, *seq, at >= told)).collect();
            let (told, joins): (Vec<&MembershipFact>, Vec<&MembershipFact>) =
                rows.iter().partition(|row| row.at_from == TimeSource::Told);
            let state = [State::Joined, State::Kicked, State::Banned, State::Absent][dice.below(4) as usize];
            let scope = dice.scope().filter(|_| state == State::Joined);
            let place = Place { state: Some(state), scope };
            assert_eq!(best(place, &told, &joins), by_the_rule(place, &told, &joins), "{place:?} {rows:#?}");
        }
    }

    #[test]
    fn seven_rows_are_searched() {
        let mut dice = Dice(11);
        let rows: Vec<MembershipFact> = (1..=7).map(|seq| row(&mut dice, seq, false)).collect();
        let told: Vec<&MembershipFact> = rows.iter().collect();
        let place = Place { state: Some(State::Joined), scope: Some(Scope::Participant) };
        assert_eq!(best(place, &told, &[]), by_the_rule(place, &told, &[]));
    }
}
