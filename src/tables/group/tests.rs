use super::*;
use crate::ids::{Scope, State, TimeSource};
use crate::standing::{MembershipFact, Standing, standing};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn fact(seq: i64) -> Fact {
    crate::tables::tests::fact(seq, 0, TimeSource::Told)
}

/// A fact about one person.
#[derive(Debug, Clone)]
enum Heard {
    Row(MembershipFact),
    Creation(Time),
    /// A list that was read: whether it names the person as in it or not, and which earlier list it is told against.
    List(Time, Option<bool>, Option<usize>),
}

fn heard() -> impl Strategy<Value = Heard> {
    let at = prop_oneof![0i64..400_000, (0i64..400).prop_map(|at| at * 1_000), (0i64..14).prop_map(|at| at * 30_500)];
    let from = prop_oneof![Just(TimeSource::Told), Just(TimeSource::Arrival), Just(TimeSource::Feed)];
    let state = prop_oneof![
        Just(None),
        Just(Some(State::Joined)),
        Just(Some(State::Joined)),
        Just(Some(State::Left)),
        Just(Some(State::Kicked)),
        Just(Some(State::Banned)),
        Just(Some(State::Unbanned)),
    ];
    let scope = prop_oneof![Just(Scope::Admin), Just(Scope::Participant)];
    let made = prop_oneof![Just(None), (0i64..14).prop_map(|at| Some(Time(at * 30_500)))];
    let row = (at.clone(), from, state, scope, made, 0i64..40_000);
    let row = row.prop_map(|(at, at_from, state, scope, group_created_at, late)| {
        // Only told rows have milliseconds of their own.
        let at = if at_from == TimeSource::Told { Time(at) } else { Time(at).second() };
        let arrived_at = (at_from == TimeSource::Arrival).then_some(Time(at.0 + late));
        Heard::Row(MembershipFact {
            at,
            at_from,
            seq: 0,
            occurred_at: at,
            arrived_at,
            group_created_at,
            by: None,
            state,
            scope: Some(scope).filter(|_| state.is_none()),
            old_scope: None,
            joined_at: None,
        })
    });
    let list = (at.clone(), prop_oneof![Just(None), Just(Some(true)), Just(Some(false))], prop::option::of(0usize..4));
    let list = list.prop_map(|(at, entry, base)| Heard::List(Time(at).second(), entry, base));
    prop_oneof![3 => row, 1 => at.prop_map(|at| Heard::Creation(Time(at))), 2 => list]
}

/// What the list at a log position says of the person whom it names.
fn entry_of(seq: i64, at: Time) -> MembershipFact {
    MembershipFact {
        at,
        at_from: TimeSource::Told,
        seq,
        occurred_at: at,
        arrived_at: None,
        group_created_at: None,
        by: None,
        state: None,
        scope: None,
        old_scope: None,
        joined_at: None,
    }
}

#[test]
fn only_whom_a_list_touches_has_to_be_decided_anew() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[17; 32]);
    let cases = std::env::var("CHATFOLD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000);
    let mut runner = TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    let law = |all: Vec<Heard>| {
        let (mut rows, mut rosters) = (Vec::<MembershipFact>::new(), Rosters::default());
        let mut kept: Option<Standing> = None;
        for (seq, heard) in (1..).zip(&all) {
            match heard {
                Heard::Row(row) => {
                    rows.push(MembershipFact { seq, ..row.clone() });
                    kept = standing(&rows, &rosters.lists());
                }
                Heard::List(at, entry, base) => {
                    let read: Vec<Time> =
                        rosters.0.iter().filter(|it| !it.roster.created).map(|it| it.roster.at).collect();
                    let base = base.and_then(|base| read.get(base).copied()).filter(|base| base < at);
                    let roster = standing::Roster { at: *at, created: false, seq, base };
                    let list = Roster { roster, entries: i64::from(entry.is_some()), replaces: None };
                    let heard = |since: Time, of: Option<standing::Roster>| {
                        let other = |row: &&MembershipFact| of.is_none_or(|of| (row.at, row.seq) != (of.at, of.seq));
                        rows.iter().filter(other).any(|row| row.at >= since)
                    };
                    let touched = rosters.apply(list);
                    let decides = match touched {
                        Touched::Nobody => continue,
                        Touched::Everybody => true,
                        Touched::Since(base) => heard(standing::touched_since(base.at), Some(base)),
                        Touched::Present { since } => {
                            kept.as_ref().is_some_and(Standing::is_current) || heard(since, None)
                        }
                    };
                    if let Some(listed) = entry {
                        let state = if *listed { State::Joined } else { State::Absent };
                        rows.push(MembershipFact { state: Some(state), ..entry_of(seq, *at) });
                    }
                    if decides || entry.is_some() {
                        kept = standing(&rows, &rosters.lists());
                    }
                }
                Heard::Creation(at) => match rosters.create(*at, &fact(seq)) {
                    Touched::Nobody => {}
                    Touched::Present { .. } if kept.as_ref().is_none_or(|kept| kept.state == State::Absent) => {}
                    Touched::Present { since } if rows.iter().all(|row| row.at < since) => {
                        kept = Some(Standing::ended_by_creation(*at));
                    }
                    Touched::Present { .. } | Touched::Since(_) | Touched::Everybody => {
                        kept = standing(&rows, &rosters.lists());
                    }
                },
            }
            prop_assert_eq!(&kept, &standing(&rows, &rosters.lists()), "after {} of {:#?}", seq, all);
        }
        Ok(())
    };
    runner.run(&prop::collection::vec(heard(), 1..14), law).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_creation_told_twice_is_one_list() {
    let mut rosters = Rosters::default();
    assert_eq!(rosters.create(Time(5_000), &fact(1)), Touched::Present { since: Time(-26_000) });
    assert_eq!(rosters.create(Time(5_000), &fact(2)), Touched::Nobody);
    assert_eq!(rosters.0.len(), 1);
}

#[test]
fn a_list_is_disturbed_by_what_may_have_happened_before_it_or_shortly_after() {
    let roster = standing::Roster { at: Time(100_000), created: false, seq: 1, base: Some(Time(50_000)) };
    let list = Roster { roster, entries: 0, replaces: None };
    for (trigger, at, from, disturbs) in [
        ("group_member_joined", 20_000, TimeSource::Told, true),
        ("group_member_joined", 131_000, TimeSource::Arrival, true),
        ("group_member_joined", 131_001, TimeSource::Arrival, false),
        ("group_member_joined", 131_001, TimeSource::Told, false),
        ("group_member_joined", 500_000, TimeSource::Feed, true),
        ("chatfold.group_roster", 100_000, TimeSource::Told, true),
        ("chatfold.group_snapshot", 100_000, TimeSource::Told, false),
    ] {
        assert_eq!(list.is_disturbed(trigger, Time(at), from), disturbs, "{trigger} {at} {from:?}");
    }
}
