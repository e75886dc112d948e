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
fn added_kicked_and_added_again_within_a_minute_is_in() {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    let added = act("added", "ann", None, "");
    let by = |webhook: &str, body: &str| body.replace(r#""webhook":"w""#, &format!(r#""webhook":"{webhook}""#));
    assert!(!live.post(&added, NOON).duplicate);
    let kicked = act("kicked", "ann", Some(SECOND + 5), "");
    live.post(&kicked, NOON + 5_900);
    // A second webhook tells the first add late: that is no other.
    assert!(live.post(&by("v", &added), NOON + 7_000).duplicate);
    assert_eq!(live.ask(ANN), "kicked|null");
    assert!(!live.post(&added, NOON + 20_000).duplicate);
    assert_eq!(live.ask(ANN), "joined|participant");
    assert!(live.post(&by("v", &kicked), NOON + 21_000).duplicate);
    assert!(live.post(&by("v", &added), NOON + 22_000).duplicate);
    assert!(live.post(&added, NOON + 23_000).duplicate, "added twice in a row is once");
    assert_eq!(live.ask("SELECT count(*) FROM events WHERE trigger LIKE '%added'"), "2");
    assert_eq!(live.ask(ANN), "joined|participant");
}

#[test]
fn what_a_second_webhook_tells_within_a_minute_is_a_copy_and_later_a_fact() {
    for (after, is_copy, expected) in [(60_000, true, "kicked|null"), (60_001, false, "joined|participant")] {
        let live = Harness::new();
        live.post(&created(), NOON - 99_000);
        let added = act("added", "ann", None, "");
        live.post(&added, NOON);
        live.post(&act("kicked", "ann", Some(SECOND + 5), ""), NOON + 5_900);
        let late = added.replace(r#""webhook":"w""#, r#""webhook":"v""#);
        assert_eq!(live.post(&late, NOON + after).duplicate, is_copy, "{after}");
        assert_eq!(live.ask(ANN), expected, "{after}");
    }
}

#[test]
fn of_equal_facts_a_second_webhook_repeats_the_oldest_it_has_not_told() {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    let added = act("added", "ann", None, "");
    let late = added.replace(r#""webhook":"w""#, r#""webhook":"v""#);
    let first = live.post(&added, NOON).seq;
    live.post(&act("kicked", "ann", Some(SECOND + 5), ""), NOON + 5_900);
    let second = live.post(&added, NOON + 10_000).seq;
    live.post(&act("kicked", "ann", Some(SECOND + 15), ""), NOON + 15_900);
    let told = [20_000, 21_000].map(|at| live.post(&late, NOON + at).seq);
    assert_eq!(told, [first, second]);
    assert_eq!(live.ask(ANN), "kicked|null");
}

#[test]
fn an_add_among_several_is_another_where_one_of_them_was_kicked_since() {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    let both = act("added", "ann", None, "").replace(r#""members":{"#, r#""members":{"bob":{"uid":"bob"},"#);
    live.post(&both, NOON);
    live.post(&act("kicked", "bob", Some(SECOND + 5), ""), NOON + 5_900);
    assert!(!live.post(&both, NOON + 9_000).duplicate);
    assert_eq!(live.ask("SELECT count(*) FROM memberships WHERE current"), "3");
}

#[test]
fn promoted_while_out_then_added_is_a_participant() {
    let acts = [
        act("joined", "ann", Some(SECOND - 50), ""),
        act("kicked", "ann", Some(SECOND - 40), ""),
        promote("ann", SECOND - 38),
        act("joined", "ann", Some(SECOND), ""),
    ];
    let live: Vec<(String, i64)> = acts.iter().cloned().zip([-49_000, -39_000, -37_000, 900]).collect();
    ends(&live, "joined|participant");
    let mut late = live;
    late.swap(2, 3);
    ends(&late, "joined|participant");
    ends_in_a_replay(&acts, "joined|participant");
}

#[test]
fn kicked_added_and_promoted_within_the_second_is_promoted_whatever_arrives_first() {
    let joined = act("joined", "ann", Some(SECOND - 50), "");
    let acts = [
        (act("kicked", "ann", Some(SECOND), ""), 400),
        (act("added", "ann", None, ""), 700),
        (promote("ann", SECOND), 950),
    ];
    for late in 0..3 {
        let mut live: Vec<(String, i64)> = vec![(joined.clone(), -49_000)];
        live.extend(acts.iter().cloned());
        let delayed = live.remove(1 + late);
        live.push((delayed.0, 3_000));
        ends(&live, "joined|admin");
    }
}

#[test]
fn an_add_to_the_group_from_before_is_no_add_to_the_one_made_anew() {
    let live = Harness::new();
    live.post(&created(), NOON - 99_000);
    let again = created().replace(&(SECOND - 100).to_string(), &SECOND.to_string());
    live.post(&again, NOON + 300);
    let old = act("added", "ann", None, "");
    live.post(&old, NOON + 2_500);
    assert_eq!(live.ask(ANN), "absent|null");
    live.post(&old.replace(&(SECOND - 100).to_string(), &SECOND.to_string()), NOON + 4_000);
    assert_eq!(live.ask(ANN), "joined|participant");
    assert_eq!(live.ask("SELECT uid FROM memberships WHERE current ORDER BY uid"), "ann\nboss");
}

#[test]
fn arrivals_are_read_on_the_vendors_clock() {
    for clock in [-3_600_000, -300_000, -5_000, 5_500, 300_000, 3_600_000] {
        let live = Harness::new();
        let post = |body: &str, at: i64| live.post(body, at + clock);
        post(&created(), NOON - 99_000);
        for n in 0..20 {
            post(&act("joined", &format!("p{n}"), Some(SECOND - 60 + n), ""), NOON - 60_000 + n * 1_000);
        }
        assert_eq!(live.ask("SELECT clock_offset FROM feeds"), clock.to_string());
        post(&act("added", "ann", None, ""), NOON + 700);
        assert_eq!(
            live.ask(
                "SELECT occurred_at, occurred_from, arrived_at, received_at FROM events ORDER BY seq DESC LIMIT 1"
            ),
            format!("{NOON}|arrival|{}|{}", NOON + 700, NOON + 700 + clock)
        );
        // Kicked half a minute before is out, added again after; whatever our clock says.
        post(&act("kicked", "ann", Some(SECOND + 30), ""), NOON + 30_100);
        assert_eq!(live.ask(ANN), "kicked|null", "{clock}");
        post(&act("added", "ann", None, ""), NOON + 62_000);
        assert_eq!(live.ask(ANN), "joined|participant", "{clock}");
        assert_eq!(live.ask("SELECT joined_at FROM memberships WHERE uid = 'ann'"), (NOON + 62_000).to_string());
    }
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

#[test]
fn a_file_of_two_webhooks_whose_copies_cross_tells_each_fact_once() {
    let block = |trigger: &str, webhook: &str| {
        format!(
            r#"{{"trigger":"user_{trigger}","appId":"a","webhook":"{webhook}","data":{{"users":{{"b":{{"uid":"b"}}}},"by":{{"uid":"a"}}}}}}"#
        )
    };
    let crossed = [("blocked", "w"), ("unblocked", "w"), ("unblocked", "v"), ("blocked", "v")];
    let crossed = crossed.map(|(trigger, webhook)| block(trigger, webhook));
    let file = Harness::new();
    for again in [false, true] {
        let receipts = file.ingest(crossed.iter().map(String::as_str));
        let duplicates: Vec<bool> = receipts.iter().map(|receipt| receipt.duplicate).collect();
        assert_eq!(duplicates, [again, again, true, true]);
        assert_eq!(file.ask("SELECT current FROM blocks"), "0");
        assert_eq!(file.ask("SELECT count(*), sum(deliveries) FROM events"), "2|4");
    }
    // Blocked once more, and the second webhook tells that too.
    let more = [block("blocked", "w"), block("blocked", "v")];
    let longer = || crossed.iter().chain(&more).map(String::as_str);
    for again in [false, true] {
        let duplicates: Vec<bool> = file.ingest(longer()).iter().map(|receipt| receipt.duplicate).collect();
        assert_eq!(duplicates, [true, true, true, true, again, true]);
        assert_eq!(file.ask("SELECT current FROM blocks"), "1");
        assert_eq!(file.ask("SELECT count(*), sum(deliveries) FROM events"), "3|6");
    }
}

#[test]
fn a_file_of_adds_and_kicks_tells_each_of_them_once() {
    let (added, kicked) = (act("added", "ann", None, ""), act("kicked", "ann", Some(SECOND), ""));
    let by = |webhook: &str, body: &str| body.replace(r#""webhook":"w""#, &format!(r#""webhook":"{webhook}""#));
    let lines =
        [created(), added.clone(), kicked.clone(), by("v", &added), by("v", &kicked), added.clone(), by("v", &added)];
    let file = Harness::new();
    for again in [false, true] {
        let receipts = file.ingest(lines.iter().map(String::as_str));
        let duplicates: Vec<bool> = receipts.iter().map(|receipt| receipt.duplicate).collect();
        assert_eq!(duplicates, [again, again, again, true, true, again, true]);
        assert_eq!(file.ask(ANN), "joined|participant");
        assert_eq!(file.ask("SELECT count(*), sum(deliveries) FROM events"), "4|7");
    }
}

#[test]
fn in_a_replay_a_creation_dates_nothing_that_names_no_group_of_its_time() {
    let replay = Harness::new();
    let unnamed = |trigger: &str, uid: &str, at: i64| {
        let created = format!(r#","createdAt":{}"#, SECOND - 100);
        act(trigger, uid, Some(at), "").replace(&created, "")
    };
    let created_later = created().replace(&(SECOND - 100).to_string(), &SECOND.to_string());
    let add = format!(
        r#"{{"trigger":"group_member_added","appId":"a","data":{{"group":{{"guid":"g"}},"members":{{"ann":{{"uid":"ann","lastActiveAt":{}}}}}}}}}"#,
        SECOND - 20
    );
    // The add is of the group from before: its newest time is older than the creation.
    replay.ingest([unnamed("joined", "bob", SECOND - 50).as_str(), &created_later, &add]);
    assert_eq!(replay.ask(ANN), "absent|null");
}
