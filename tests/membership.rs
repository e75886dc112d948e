//! Members lists through bursts of acts: live, from old bodies, and folded again (the harness folds again at its end).

mod harness;

use harness::{Harness, NOON};

const SECOND: i64 = NOON / 1000;

/// A membership event; `at`: `group.updatedAt`, if it tells one.
fn act(trigger: &str, uid: &str, at: Option<i64>, extra: &str) -> String {
    let updated = at.map(|at| format!(r#","updatedAt":{at}"#)).unwrap_or_default();
    let created = SECOND - 100;
    format!(
        r#"{{"trigger":"group_member_{trigger}","appId":"a","webhook":"w","data":{{"group":{{"guid":"g","createdAt":{created}{updated}}},"members":{{"{uid}":{{"uid":"{uid}"{extra}}}}},"by":{{"uid":"boss"}}}}}}"#
    )
}

fn created() -> String {
    let at = SECOND - 100;
    format!(
        r#"{{"trigger":"group_created","appId":"a","data":{{"group":{{"guid":"g","owner":"boss","scope":"admin","joinedAt":{at},"createdAt":{at}}},"members":{{"boss":{{"uid":"boss"}}}}}}}}"#
    )
}

fn promote(uid: &str, at: i64) -> String {
    act("scope_changed", uid, Some(at), r#","scope":"admin","oldScope":"participant""#)
}

const ANN: &str = "SELECT state, scope FROM memberships WHERE uid = 'ann'";

/// Delivers live (each with its delay in ms after noon), then the same bodies as an old file; both must end alike.
fn ends(acts: &[(String, i64)], expected: &str) {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    for (body, delay) in acts {
        live.post(body, NOON + delay);
    }
    assert_eq!(live.ask(ANN), expected, "live");
    let count = live.ask("SELECT members_count = (SELECT count(*) FROM memberships WHERE current) FROM groups");
    assert_eq!(count, "1");
}

/// The same bodies in the order of the acts, read from a file much later.
fn ends_in_a_replay(acts: &[String], expected: &str) {
    let replay = Harness::new();
    let bodies: Vec<String> = std::iter::once(created()).chain(acts.iter().cloned()).collect();
    replay.ingest(bodies.iter().map(String::as_str));
    assert_eq!(replay.ask(ANN), expected, "a replay");
    let over_http = Harness::new();
    for body in &bodies {
        over_http.post(body, NOON + 86_400_000 * 30);
    }
    assert_eq!(over_http.ask(ANN), expected, "posted a month later");
}

#[test]
fn added_then_kicked_within_a_second_is_out() {
    let acts = [act("added", "ann", None, ""), act("kicked", "ann", Some(SECOND), "")];
    ends(&[(acts[0].clone(), 300), (acts[1].clone(), 900)], "kicked|null");
    ends(&[(acts[1].clone(), 900), (acts[0].clone(), 2_300)], "kicked|null");
    ends_in_a_replay(&acts, "kicked|null");
}

#[test]
fn kicked_then_added_again_is_in() {
    let joined = act("joined", "ann", Some(SECOND - 50), "");
    let acts = [joined, act("kicked", "ann", Some(SECOND), ""), act("added", "ann", None, "")];
    ends(&[(acts[0].clone(), -49_000), (acts[1].clone(), 300), (acts[2].clone(), 900)], "joined|participant");
    ends(&[(acts[0].clone(), -49_000), (acts[2].clone(), 1_900), (acts[1].clone(), 4_000)], "joined|participant");
    ends_in_a_replay(&acts, "joined|participant");
}

#[test]
fn left_then_rejoined_is_in() {
    let acts = [
        act("joined", "ann", Some(SECOND - 50), ""),
        act("left", "ann", Some(SECOND), ""),
        act("joined", "ann", Some(SECOND + 5), ""),
    ];
    ends(&[(acts[0].clone(), -49_000), (acts[1].clone(), 25_000), (acts[2].clone(), 6_000)], "joined|participant");
    ends_in_a_replay(&acts, "joined|participant");
}

#[test]
fn promoted_then_rejoined_is_a_participant() {
    let acts = [
        act("joined", "ann", Some(SECOND - 50), ""),
        promote("ann", SECOND - 40),
        act("left", "ann", Some(SECOND), ""),
        act("joined", "ann", Some(SECOND + 5), ""),
    ];
    let live: Vec<(String, i64)> = acts.iter().cloned().zip([-49_000, -39_000, 900, 5_900]).collect();
    ends(&live, "joined|participant");
    ends_in_a_replay(&acts, "joined|participant");
}

#[test]
fn added_then_promoted_within_a_second_is_promoted_whatever_arrives_first() {
    let acts = [act("added", "ann", None, ""), promote("ann", SECOND)];
    ends(&[(acts[0].clone(), 300), (acts[1].clone(), 900)], "joined|admin");
    ends(&[(acts[1].clone(), 500), (acts[0].clone(), 2_900)], "joined|admin");
    ends_in_a_replay(&acts, "joined|admin");
}

#[test]
fn members_added_again_an_hour_after_a_kick_with_an_equal_body_are_in() {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    let added = act("added", "ann", None, "");
    assert!(!live.post(&added, NOON).duplicate);
    assert!(live.post(&added, NOON + 10_000).duplicate, "a retry");
    live.post(&act("kicked", "ann", Some(SECOND + 60), ""), NOON + 61_000);
    live.post(&act("joined", "bob", Some(SECOND + 3_590), ""), NOON + 3_591_000);
    assert!(!live.post(&added, NOON + 3_600_000).duplicate, "another fact");
    assert_eq!(live.ask(ANN), "joined|participant");
}

#[test]
fn a_retried_add_does_not_undo_the_kick_after_it() {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    let added = act("added", "ann", None, "");
    live.post(&added, NOON);
    live.post(&act("kicked", "ann", Some(SECOND + 5), ""), NOON + 5_900);
    assert!(live.post(&added, NOON + 40_000).duplicate);
    assert_eq!(live.ask(ANN), "kicked|null");
}

#[test]
fn a_ban_that_names_its_actor_is_an_anomaly() {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    let receipt = live.post(&act("banned", "boss", Some(SECOND), ""), NOON);
    assert_eq!(receipt.outcome.as_str(), "anomaly");
    assert_eq!(live.ask("SELECT state, scope FROM memberships"), "joined|admin");
}

#[test]
fn a_block_repeated_after_an_unblock_is_three_facts() {
    let live = Harness::new();
    let body = |trigger: &str, webhook: &str| {
        format!(
            r#"{{"trigger":"user_{trigger}","appId":"a","webhook":"{webhook}","data":{{"users":{{"b":{{"uid":"b"}}}},"by":{{"uid":"a"}}}}}}"#
        )
    };
    let pair = "SELECT current, since FROM blocks";
    let dup = |trigger, webhook, at| live.post(&body(trigger, webhook), NOON + at).duplicate;
    assert!(!dup("blocked", "w", 0));
    assert!(dup("blocked", "w", 1_000), "blocked twice in a row is one");
    assert!(!dup("unblocked", "w", 5_000));
    // The second webhook's late copies of both change nothing.
    assert!(dup("blocked", "v", 6_000));
    assert!(dup("unblocked", "v", 7_000));
    assert_eq!(live.ask(pair), "0|null");
    assert!(!dup("blocked", "w", 9_000));
    assert_eq!(live.ask(pair), format!("1|{}", NOON + 9_000));
    assert!(dup("blocked", "v", 12_000));
    assert_eq!(live.ask("SELECT count(*) FROM events"), "3");
}
