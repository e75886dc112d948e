//! How a person stood with a group over time.

use super::{MembershipFact, Roster, standing};
use crate::ids::{Scope, State, Time};
use std::collections::BTreeSet;

/// A span of time in which the standing did not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub state: State,
    pub scope: Option<Scope>,
    /// `None`: it began with a fact that nothing dates.
    pub from: Option<Time>,
    /// `None`: it lasts.
    pub until: Option<Time>,
    pub by: Option<String>,
    /// Log position of the fact it began with; `None` where a complete list began it.
    pub seq: Option<i64>,
}

/// The periods of a membership, oldest first. [`standing`] is asked at each instant at which it can have changed, and equal
/// neighbours become one period. Only the newest `most` instants are asked.
pub fn periods(facts: &[MembershipFact], rosters: &[Roster], most: usize) -> Vec<Period> {
    let instants: BTreeSet<Time> =
        facts.iter().map(|fact| fact.at).chain(rosters.iter().map(|roster| roster.at)).collect();
    let newest = instants.len().saturating_sub(most);
    let mut periods: Vec<Period> = Vec::new();
    for at in instants.into_iter().skip(newest) {
        let known: Vec<MembershipFact> = facts.iter().filter(|fact| fact.at <= at).cloned().collect();
        let lists: Vec<Roster> = rosters.iter().filter(|roster| roster.at <= at).copied().collect();
        let Some(then) = standing(&known, &lists) else { continue };
        let scope = then.scope.filter(|_| then.state == State::Joined);
        // A stay that ended and began anew at one instant is two.
        let same = |last: &Period| {
            last.state == then.state
                && last.scope == scope
                && (then.state != State::Joined || Some(at) != then.joined_at)
        };
        if periods.last().is_some_and(same) {
            continue;
        }
        let from = Some(at).filter(|at| at.0 != 0);
        if let Some(last) = periods.last_mut() {
            last.until = from;
        }
        let here = known.iter().filter(|fact| fact.at == at);
        let told = here.clone().filter(|fact| fact.state == Some(then.state)).max_by_key(|fact| fact.seq);
        let seq = told.or(here.max_by_key(|fact| fact.seq)).map(|fact| fact.seq);
        periods.push(Period { state: then.state, scope, from, until: None, by: then.changed_by, seq });
    }
    periods
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::ids::TimeSource;

    fn fact(second: i64, state: Option<State>, scope: Option<Scope>) -> MembershipFact {
        row(second, second, TimeSource::Told, state, scope)
    }

    #[test]
    fn a_person_who_comes_back_has_two_stays_and_each_scope_its_own_period() {
        let facts = [
            fact(10, Some(State::Joined), None),
            fact(20, None, Some(Scope::Admin)),
            fact(30, Some(State::Kicked), None),
            fact(40, Some(State::Joined), None),
            fact(50, Some(State::Joined), None),
        ];
        let told: Vec<_> = periods(&facts, &[], 200)
            .into_iter()
            .map(|it| (it.state, it.scope, it.from.map(|at| at.0 / 1000), it.until.map(|at| at.0 / 1000), it.seq))
            .collect();
        assert_eq!(
            told,
            [
                (State::Joined, Some(Scope::Participant), Some(10), Some(20), Some(10)),
                (State::Joined, Some(Scope::Admin), Some(20), Some(30), Some(20)),
                (State::Kicked, None, Some(30), Some(40), Some(30)),
                (State::Joined, Some(Scope::Participant), Some(40), None, Some(40)),
            ]
        );
    }

    #[test]
    fn only_the_newest_instants_are_asked() {
        let facts = [10, 20, 30, 40]
            .map(|second| fact(second, Some(if second == 30 { State::Kicked } else { State::Joined }), None));
        let from = |most| periods(&facts, &[], most).iter().map(|it| it.from.unwrap().0 / 1000).collect::<Vec<_>>();
        assert_eq!(from(4), [10, 30, 40]);
        assert_eq!(from(2), [30, 40]);
        assert_eq!(from(1), [40]);
    }

    #[test]
    fn a_complete_list_ends_a_stay_without_a_fact() {
        let list = Roster { at: Time(20_000), created: false, seq: 20, base: None };
        let periods = periods(&[fact(10, Some(State::Joined), None)], &[list], 200);
        assert_eq!((periods[1].state, periods[1].seq), (State::Absent, None));
    }
}
