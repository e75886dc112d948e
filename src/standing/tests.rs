use super::*;

const JOINED: Option<State> = Some(State::Joined);
const KICKED: Option<State> = Some(State::Kicked);

pub(super) fn row(
    at: i64,
    seq: i64,
    at_from: TimeSource,
    state: Option<State>,
    scope: Option<Scope>,
) -> MembershipFact {
    let at = Time(at * 1000);
    MembershipFact {
        at,
        at_from,
        seq,
        occurred_at: at,
        arrived_at: Some(at),
        group_created_at: None,
        by: None,
        state,
        scope,
        old_scope: None,
        joined_at: None,
    }
}

fn told(at: i64, seq: i64, state: Option<State>) -> MembershipFact {
    row(at, seq, TimeSource::Told, state, None)
}

fn scope(at: i64, seq: i64, scope: Scope) -> MembershipFact {
    row(at, seq, TimeSource::Told, None, Some(scope))
}

fn arrival(at: i64, seq: i64, state: Option<State>) -> MembershipFact {
    row(at, seq, TimeSource::Arrival, state, None)
}

fn known(rows: &[MembershipFact]) -> (State, Option<Scope>, Option<i64>) {
    let created = [Roster { at: Time(1000), created: true, seq: 0, base: None }];
    let standing = standing(rows, &created).unwrap();
    (standing.state, standing.scope, standing.joined_at.map(|at| at.0 / 1000))
}

#[test]
fn kicked_within_the_second_of_being_added_is_out() {
    // The kick is told for second 10, the add arrives in second 12.
    let rows = [told(10, 1, KICKED), arrival(12, 2, JOINED)];
    assert_eq!(known(&rows).0, State::Kicked);
}

#[test]
fn promoted_within_the_second_of_being_added_is_promoted() {
    let rows = [scope(10, 1, Scope::Admin), arrival(12, 2, JOINED)];
    assert_eq!(known(&rows), (State::Joined, Some(Scope::Admin), Some(12)));
}

#[test]
fn added_again_after_a_kick_is_in() {
    let rows = [told(5, 1, JOINED), told(10, 2, KICKED), arrival(12, 3, JOINED)];
    assert_eq!(known(&rows), (State::Joined, Some(Scope::Participant), Some(12)));
}

#[test]
fn an_add_that_arrives_over_30_s_after_a_kick_is_another() {
    let rows = [told(10, 1, KICKED), arrival(41, 2, JOINED)];
    assert_eq!(known(&rows).0, State::Joined);
}

#[test]
fn rejoin_starts_as_participant() {
    let rows = [told(5, 1, JOINED), scope(6, 2, Scope::Admin), told(7, 3, Some(State::Left)), told(8, 4, JOINED)];
    assert_eq!(known(&rows), (State::Joined, Some(Scope::Participant), Some(8)));
}

#[test]
fn ban_and_unban_of_one_second_end_unbanned_whatever_came_first() {
    for (ban, unban) in [(2, 3), (3, 2)] {
        let rows = [told(5, 1, JOINED), told(9, ban, Some(State::Banned)), told(9, unban, Some(State::Unbanned))];
        assert_eq!(known(&rows).0, State::Unbanned);
    }
}

#[test]
fn a_scope_change_beside_a_leave_comes_before_it() {
    let rows = [told(5, 1, JOINED), told(9, 2, Some(State::Left)), scope(9, 3, Scope::Admin)];
    let standing = standing(&rows, &[]).unwrap();
    assert_eq!((standing.state, standing.scope), (State::Left, None));
    let again = [rows.to_vec(), vec![told(12, 4, JOINED)]].concat();
    assert_eq!(known(&again).1, Some(Scope::Participant), "the scope ended with the leave");
}

#[test]
fn a_scope_change_proves_a_member_nobody_told_of() {
    assert_eq!(known(&[scope(9, 1, Scope::Moderator)]), (State::Joined, Some(Scope::Moderator), None));
    assert_eq!(known(&[row(9, 1, TimeSource::Told, None, None)]), (State::Joined, None, None));
    assert_eq!(known(&[told(8, 1, KICKED), scope(9, 2, Scope::Admin)]).0, State::Kicked);
}

#[test]
fn the_creation_makes_everybody_before_it_absent() {
    let created = [Roster { at: Time(20_000), created: true, seq: 0, base: None }];
    for state in [JOINED, KICKED, Some(State::Banned)] {
        let standing = standing(&[told(5, 1, state)], &created).unwrap();
        assert_eq!((standing.state, standing.changed_at), (State::Absent, Time(20_000)));
    }
}

#[test]
fn a_roster_that_confirms_changes_nothing() {
    let roster = [Roster { at: Time(20_000), created: false, seq: 9, base: None }];
    assert_eq!(standing(&[told(5, 1, KICKED)], &roster).unwrap().changed_at, Time(5_000));
    assert_eq!(standing(&[told(5, 1, JOINED)], &roster).unwrap().state, State::Absent);
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let mut rows = vec![
        told(5, 1, JOINED),
        scope(6, 2, Scope::Admin),
        told(7, 3, KICKED),
        arrival(9, 4, JOINED),
        scope(9, 5, Scope::Moderator),
    ];
    let expected = standing(&rows, &[]);
    for _ in 0..rows.len() {
        rows.rotate_left(1);
        assert_eq!(standing(&rows, &[]), expected);
    }
}

#[test]
fn undated_facts_show_when_they_were_seen_and_no_joined_at() {
    let mut undated = row(0, 1, TimeSource::Feed, JOINED, None);
    undated.occurred_at = Time(77_000);
    let standing = standing(&[undated], &[]).unwrap();
    assert_eq!((standing.joined_at, standing.changed_at), (None, Time(77_000)));
}

#[test]
fn facts_of_one_second_that_can_both_happen_go_by_the_log() {
    let kicked_then_left = [told(5, 1, JOINED), told(10, 3, Some(State::Left)), told(10, 2, KICKED)];
    assert_eq!(known(&kicked_then_left).0, State::Left);
    let scopes = [told(5, 1, JOINED), scope(10, 3, Scope::Moderator), scope(10, 2, Scope::Admin)];
    assert_eq!(known(&scopes).1, Some(Scope::Moderator));
}

#[test]
fn a_scope_told_of_who_is_out_never_reaches_the_next_join() {
    let rows = [told(5, 1, JOINED), told(10, 2, KICKED), scope(12, 3, Scope::Admin), told(100, 4, JOINED)];
    assert_eq!(known(&rows), (State::Joined, Some(Scope::Participant), Some(100)));
    for out in [State::Left, State::Banned, State::Unbanned] {
        let rows = [told(5, 1, JOINED), told(10, 2, Some(out)), scope(12, 3, Scope::Admin), told(100, 4, JOINED)];
        assert_eq!(known(&rows).1, Some(Scope::Participant), "{out:?}");
    }
}

#[test]
fn what_can_happen_only_with_a_late_join_takes_it_first() {
    let promoted = MembershipFact { old_scope: Some(Scope::Participant), ..scope(10, 3, Scope::Admin) };
    let rows = [told(5, 1, JOINED), told(10, 2, KICKED), promoted, arrival(12, 4, JOINED)];
    assert_eq!(known(&rows), (State::Joined, Some(Scope::Admin), Some(12)));
    // Twice added and kicked: both joins lie before the second kick.
    let twice = [told(10, 1, KICKED), told(10, 2, KICKED), arrival(10, 3, JOINED), arrival(11, 4, JOINED)];
    assert_eq!(known(&twice).0, State::Kicked);
}

#[test]
fn at_most_three_joins_are_taken_before_their_turn() {
    let kicks = (1..=4).map(|seq| told(10, seq, KICKED));
    let rows: Vec<MembershipFact> = kicks.chain((5..=8).map(|seq| arrival(10, seq, JOINED))).collect();
    assert_eq!(known(&rows).0, State::Joined, "the fourth keeps its own turn");
}

#[test]
fn a_scope_told_beside_a_leave_and_a_join_is_of_the_new_stay() {
    for (change, left, joined) in [(2, 3, 4), (3, 2, 4), (4, 3, 2)] {
        let rows = [
            told(5, 1, JOINED),
            scope(10, change, Scope::Moderator),
            told(10, left, Some(State::Left)),
            told(10, joined, JOINED),
        ];
        assert_eq!(known(&rows), (State::Joined, Some(Scope::Moderator), Some(10)));
    }
}

#[test]
fn while_nothing_is_known_the_log_decides() {
    let rows = |kick, join| [told(10, kick, KICKED), told(10, join, JOINED)];
    assert_eq!(standing(&rows(1, 2), &[]).unwrap().state, State::Joined);
    assert_eq!(standing(&rows(2, 1), &[]).unwrap().state, State::Kicked);
}

#[test]
fn what_names_the_group_from_before_lies_before_its_creation() {
    let created = [1, 20].map(|at| Roster { at: Time(at * 1000), created: true, seq: 0, base: None });
    let state = |at_from, made: Option<i64>| {
        let mut join = row(22, 3, at_from, JOINED, None);
        join.group_created_at = made.map(|at| Time(at * 1000));
        standing(&[join], &created).unwrap().state
    };
    for from in [TimeSource::Arrival, TimeSource::Feed] {
        assert_eq!(state(from, Some(1)), State::Absent);
        assert_eq!(state(from, Some(20)), State::Joined);
        assert_eq!(state(from, None), State::Joined);
    }
    assert_eq!(state(TimeSource::Told, Some(1)), State::Joined, "a told time is what it is");
}

#[test]
fn a_join_of_the_group_made_anew_is_not_taken_for_a_kick_before() {
    let created = [1, 12].map(|at| Roster { at: Time(at * 1000), created: true, seq: 0, base: None });
    let join = MembershipFact { group_created_at: Some(Time(12_000)), ..arrival(13, 2, JOINED) };
    let state = standing(&[told(10, 1, KICKED), join], &created).unwrap().state;
    assert_eq!(state, State::Joined);
}

#[test]
fn facts_of_a_replay_follow_what_is_told_for_their_second() {
    let feed = |seq, state| row(10, seq, TimeSource::Feed, state, None);
    assert_eq!(known(&[told(5, 1, JOINED), feed(2, JOINED), told(10, 3, KICKED)]).0, State::Joined);
    assert_eq!(known(&[feed(1, JOINED), told(10, 2, KICKED)]).0, State::Kicked);
}

#[test]
fn a_creation_is_no_list_that_was_read() {
    let fact = Fact {
        seq: 9,
        trigger: String::new(),
        received_at: Time(90_000),
        arrived_at: None,
        occurred_at: Time(50_000),
        occurred_from: TimeSource::Feed,
        floor: Some(Time(20_000)),
        fingerprint: [0; 32],
    };
    assert_eq!(order_at(&fact, None, None), 20_000);
    assert_eq!(order_at(&fact, Some(30_000), Some(40_000)), 40_000);
}

/// Rule 2 for more rows than are searched, by its words: each time the earliest in the log that can happen, else the
/// earliest of the told rows.
fn one_after_the_other(mut told: Vec<&MembershipFact>, mut joins: Vec<&MembershipFact>) -> Vec<i64> {
    let (mut place, mut order) = (Place::default(), Vec::new());
    while !told.is_empty() {
        let possible = told.iter().chain(joins.first()).filter(|row| place.can(row)).min_by_key(|row| row.seq);
        let Some(next) = possible.or_else(|| told.iter().min_by_key(|row| row.seq)).copied() else { break };
        place = place.after(next);
        order.push(next.seq);
        told.retain(|row| row.seq != next.seq);
        joins.retain(|row| row.seq != next.seq);
    }
    order
}

#[test]
fn many_rows_of_one_second_are_taken_one_after_the_other() {
    let mut drawn: u64 = 5;
    let mut below = |n: u64| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((drawn >> 33) % n) as usize
    };
    let states = [State::Joined, State::Left, State::Kicked, State::Banned, State::Unbanned];
    let scopes = [None, Some(Scope::Admin), Some(Scope::Moderator), Some(Scope::Participant)];
    for _ in 0..2_000 {
        let mut rows = Vec::new();
        for seq in 1..=8 + below(20) as i64 {
            let mut row = told(5, seq, states.get(below(9)).copied());
            if row.state.is_none() {
                (row.scope, row.old_scope) = (scopes[below(4)], scopes[below(4)]);
            }
            rows.push(row);
        }
        rows.extend((0..below(4) as i64).map(|n| arrival(6 + n, 100 + n, JOINED)));
        let (tied, joins): (Vec<&MembershipFact>, Vec<&MembershipFact>) =
            rows.iter().partition(|row| row.at_from == TimeSource::Told);
        let mut order = Vec::new();
        standing_telling(&rows, &[], |step| order.extend(step.row.map(|row| row.seq)));
        let expected = one_after_the_other(tied, joins);
        assert_eq!(order[..expected.len()], expected, "{rows:#?}");
    }
}

/// So many that looking at every row for every row would not end in the time of a test.
#[test]
fn very_many_rows_of_one_second_are_taken() {
    let rows: Vec<MembershipFact> =
        (1..=200_000).map(|seq| told(5, seq, Some([State::Joined, State::Kicked][seq as usize % 2]))).collect();
    assert_eq!(standing(&rows, &[]).unwrap().state, State::Joined);
}
