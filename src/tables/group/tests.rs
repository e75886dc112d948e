use super::*;
use crate::ids::{Scope, State, TimeSource};
use crate::standing::{MembershipFact, Standing, standing};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn fact(seq: i64) -> Fact {
    Fact {
        seq,
        trigger: "group_created".into(),
        received_at: Time(0),
        arrived_at: None,
        occurred_at: Time(0),
        occurred_from: TimeSource::Told,
        floor: None,
        fingerprint: [0; 32],
    }
}

/// A fact about one person.
#[derive(Debug, Clone)]
enum Heard {
    Row(MembershipFact),
    Creation(Time),
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
    prop_oneof![3 => row, 1 => at.prop_map(|at| Heard::Creation(Time(at)))]
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
                Heard::Creation(at) => match rosters.create(*at, &fact(seq)) {
                    Touched::Nobody => {}
                    Touched::Present { .. } if kept.as_ref().is_none_or(|kept| kept.state == State::Absent) => {}
                    Touched::Present { since } if rows.iter().all(|row| row.at < since) => {
                        kept = Some(Standing::ended_by_creation(*at));
                    }
                    Touched::Present { .. } | Touched::Since(_) | Touched::Everybody => {
                        kept = standing(&rows, &rosters.lists())
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
