use super::*;

const JOINED: Option<State> = Some(State::Joined);
const KICKED: Option<State> = Some(State::Kicked);

fn row(at: i64, seq: i64, at_from: TimeSource, state: Option<State>, scope: Option<Scope>) -> Change {
    let at = Time(at * 1000);
    Change {
        at,
        at_from,
        seq,
        occurred_at: at,
        received_at: at,
        by: None,
        state,
        scope,
        old_scope: None,
        joined_at: None,
    }
}

fn told(at: i64, seq: i64, state: Option<State>) -> Change {
    row(at, seq, TimeSource::Told, state, None)
}

fn scope(at: i64, seq: i64, scope: Scope) -> Change {
    row(at, seq, TimeSource::Told, None, Some(scope))
}

fn arrival(at: i64, seq: i64, state: Option<State>) -> Change {
    row(at, seq, TimeSource::Arrival, state, None)
}

fn known(rows: &[Change]) -> (State, Option<Scope>, Option<i64>) {
    let created = [Roster { at: Time(1000), created: true }];
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
    let created = [Roster { at: Time(20_000), created: true }];
    for state in [JOINED, KICKED, Some(State::Banned)] {
        let standing = standing(&[told(5, 1, state)], &created).unwrap();
        assert_eq!((standing.state, standing.changed_at), (State::Absent, Time(20_000)));
    }
}

#[test]
fn a_roster_that_confirms_changes_nothing() {
    let roster = [Roster { at: Time(20_000), created: false }];
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
