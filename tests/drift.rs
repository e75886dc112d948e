//! Drift: groups whose number of members differs from what CometChat says.

mod harness;

use chatfold::graphql::{Caller, Limits};
use harness::{Harness, NOON};
use serde_json::json;

const SECOND: i64 = NOON / 1000;
const DRIFT: &str = "SELECT drift_expected, drift_counted, drift_since FROM groups";
const NONE: &str = "null|null|null";

/// `created`, then what each minute brings: the delay in seconds after noon, and the body.
fn created(guid: &str) -> String {
    let group =
        json!({ "guid": guid, "owner": "boss", "scope": "admin", "createdAt": SECOND - 9_000, "membersCount": 1 });
    let data = json!({ "group": group, "members": { "boss": { "uid": "boss" } } });
    json!({ "trigger": "group_created", "appId": "a", "data": data }).to_string()
}

/// A membership event of people at a second after noon; `count`: the number of members that it tells.
fn act(guid: &str, trigger: &str, uids: &[&str], at: i64, count: Option<i64>) -> String {
    let mut group = json!({ "guid": guid, "createdAt": SECOND - 9_000, "updatedAt": SECOND + at });
    if let Some(count) = count {
        group["membersCount"] = count.into();
    }
    let members: serde_json::Map<_, _> = uids.iter().map(|uid| ((*uid).to_owned(), json!({ "uid": uid }))).collect();
    let data = json!({ "group": group, "members": members, "by": { "uid": "boss" } });
    json!({ "trigger": format!("group_member_{trigger}"), "appId": "a", "data": data }).to_string()
}

/// A message to the group, whose description in it was last changed long ago.
fn said(guid: &str, id: i64, at: i64, count: i64) -> String {
    let group =
        json!({ "guid": guid, "createdAt": SECOND - 9_000, "updatedAt": SECOND - 8_000, "membersCount": count });
    let message = json!({
        "id": id.to_string(), "sender": "boss", "receiverType": "group", "receiver": guid, "category": "message",
        "type": "text", "sentAt": SECOND + at,
        "data": { "text": "hi", "entities": { "receiver": { "entity": group, "entityType": "group" } } },
    });
    json!({ "trigger": "message_sent", "appId": "a", "data": { "message": message } }).to_string()
}

fn at(second: i64) -> i64 {
    NOON + second * 1000
}

/// A file that heard these bodies, each at the time that it tells and a bit.
fn heard(bodies: &[(i64, String)]) -> Harness {
    let harness = Harness::new();
    harness.post(&created("g"), at(-8_999));
    for (second, body) in bodies {
        harness.post(body, at(*second) + 900);
    }
    harness
}

#[test]
fn a_group_that_heard_all_has_no_drift() {
    let harness = heard(&[
        (0, act("g", "joined", &["ann"], 0, Some(2))),
        (300, act("g", "added", &["bob", "cem"], 300, Some(4))),
        (600, act("g", "scope_changed", &["bob"], 600, Some(4))),
        (900, act("g", "kicked", &["ann"], 900, Some(3))),
        (1_200, said("g", 7, 1_200, 3)),
    ]);
    assert_eq!(harness.ask(DRIFT), NONE);
}

#[test]
fn a_lost_event_shows_with_the_next_number_and_goes_with_the_next_right_one() {
    let lost = act("g", "left", &["ann"], 300, Some(1));
    let harness = heard(&[(0, act("g", "joined", &["ann"], 0, Some(2)))]);
    assert_eq!(harness.ask(DRIFT), NONE);
    harness.post(&act("g", "joined", &["bob"], 600, Some(2)), at(600));
    assert_eq!(harness.ask(DRIFT), format!("2|3|{}", at(600)), "ann is still counted");
    harness.post(&act("g", "joined", &["cem"], 900, Some(3)), at(900));
    assert_eq!(harness.ask(DRIFT), format!("3|4|{}", at(600)), "it began before");
    harness.post(&lost, at(1_200));
    assert_eq!(harness.ask(DRIFT), NONE, "the retry came after all");
}

#[test]
fn a_complete_list_that_is_read_later_settles_the_difference() {
    let harness =
        heard(&[(0, act("g", "joined", &["ann"], 0, Some(2))), (600, act("g", "joined", &["bob"], 600, Some(2)))]);
    assert_eq!(harness.ask(DRIFT), format!("2|3|{}", at(600)), "that ann left was lost");
    let list = |complete: bool, second: i64| {
        // Bob left since, which no webhook told either: the number of before is not to be compared any more.
        let members = json!({ "boss": { "scope": "admin" } });
        let data = json!({ "guid": "g", "readAt": at(second), "complete": complete, "members": members });
        json!({ "trigger": "chatfold.group_roster", "appId": "a", "data": data }).to_string()
    };
    harness.post(&list(false, 700), at(702));
    assert_eq!(harness.ask(DRIFT), format!("2|3|{}", at(600)), "a list that may not be whole");
    harness.post(&list(true, 800), at(802));
    assert_eq!(harness.ask(DRIFT), NONE);
    assert_eq!(harness.ask("SELECT members_count FROM groups"), "1");
}

#[test]
fn a_message_that_describes_its_group_tells_a_number_as_of_the_message() {
    let harness = heard(&[(0, act("g", "joined", &["ann"], 0, Some(2)))]);
    harness.post(&said("g", 8, 600, 5), at(600));
    assert_eq!(harness.ask(DRIFT), format!("5|2|{}", at(600)));
    harness.post(&said("g", 7, 300, 2), at(700));
    assert_eq!(harness.ask(DRIFT), format!("5|2|{}", at(600)), "an older message that came late");
    harness.post(&said("g", 9, 900, 2), at(900));
    assert_eq!(harness.ask(DRIFT), NONE);
}

#[test]
fn changes_after_the_number_and_without_one_are_no_drift() {
    let harness = heard(&[
        (0, act("g", "joined", &["ann"], 0, Some(2))),
        (300, act("g", "joined", &["bob"], 300, None)),
        (600, act("g", "added", &["cem", "dan"], 600, None)),
        (900, act("g", "left", &["ann"], 900, None)),
    ]);
    assert_eq!(harness.ask("SELECT members_count FROM groups"), "4");
    assert_eq!(harness.ask(DRIFT), NONE);
    harness.post(&act("g", "banned", &["eve"], 1_200, Some(4)), at(1_200));
    assert_eq!(harness.ask(DRIFT), NONE, "the next number counts again");
}

#[test]
fn no_order_of_arrival_leaves_drift_where_all_was_heard() {
    let acts = [
        act("g", "joined", &["ann"], 0, Some(2)),
        act("g", "joined", &["bob"], 300, Some(3)),
        act("g", "kicked", &["ann"], 600, Some(2)),
        act("g", "added", &["cem", "dan"], 900, Some(4)),
        said("g", 7, 1_200, 4),
    ];
    for first in 0..acts.len() {
        for step in 1..acts.len() as i64 {
            let harness = Harness::new();
            for n in 0..acts.len() as i64 {
                let which = (first as i64 + n * step).rem_euclid(acts.len() as i64);
                harness.post(&acts[which as usize], at(2_000 + n));
            }
            harness.post(&created("g"), at(2_010));
            assert_eq!(harness.ask(DRIFT), NONE, "from {first} by {step}");
        }
    }
}

#[test]
fn a_burst_whose_numbers_are_stale_is_no_drift_but_a_larger_difference_is() {
    let harness = heard(&[
        (0, act("g", "joined", &["ann"], 0, Some(4))),
        (1, act("g", "joined", &["bob"], 0, Some(2))),
        (1, act("g", "joined", &["cem"], 1, Some(2))),
    ]);
    assert_eq!(harness.ask(DRIFT), NONE, "2 instead of 4, but two others joined in that minute");
    harness.post(&said("g", 7, 300, 9), at(300));
    assert_eq!(harness.ask(DRIFT), format!("9|4|{}", at(300)));
}

#[test]
fn a_number_in_a_copy_that_is_older_than_the_fact_around_it_is_not_compared() {
    let harness = heard(&[
        (0, act("g", "joined", &["ann"], 0, Some(2))),
        (300, act("g", "kicked", &["ann"], 300, Some(1))),
        // Nothing dates an addition, and it does not change `updatedAt`.
        (
            400,
            act("g", "added", &["bob", "cem"], 300, Some(3)).replace(&format!(r#","updatedAt":{}"#, SECOND + 300), ""),
        ),
    ]);
    assert_eq!(harness.ask("SELECT members_count FROM groups"), "3");
    let edited = |copied: i64, count: i64| {
        let edit = format!(r#""editedAt":{},"sentAt""#, SECOND + 500);
        let copy = format!(r#""updatedAt":{}"#, SECOND + copied);
        let said = said("g", 7, 400, count).replace("message_sent", "message_edited").replace(r#""sentAt""#, &edit);
        said.replace(&format!(r#""updatedAt":{}"#, SECOND - 8_000), &copy)
    };
    harness.post(&edited(300, 3), at(502));
    assert_eq!(harness.ask("SELECT reported_members_count FROM groups"), "3");
    assert_eq!(harness.ask(DRIFT), NONE, "it may be the number of 500 as well as that of 300");
    harness.post(&edited(490, 5), at(503));
    assert_eq!(harness.ask(DRIFT), format!("5|3|{}", at(490)), "it is of about now");
    harness.rebuild();
    assert_eq!(harness.ask(DRIFT), format!("5|3|{}", at(490)));
}

#[test]
fn a_deleted_group_has_no_drift_and_one_that_is_created_anew_begins_without() {
    let harness = heard(&[(0, act("g", "joined", &["ann"], 0, Some(5)))]);
    assert_eq!(harness.ask(DRIFT), format!("5|2|{}", at(0)));
    let group = json!({ "guid": "g", "createdAt": SECOND - 9_000 });
    harness.post(&json!({ "trigger": "group_deleted", "appId": "a", "data": { "group": group } }).to_string(), at(300));
    assert_eq!(harness.ask(DRIFT), NONE);
    let anew = created("g").replace(&(SECOND - 9_000).to_string(), &(SECOND + 600).to_string());
    harness.post(&anew, at(600));
    assert_eq!(harness.ask(DRIFT), NONE);
    assert_eq!(harness.ask("SELECT members_count FROM groups"), "1");
}

#[test]
fn groups_that_differ_are_listed_by_their_index_and_counted_by_app() {
    let harness = Harness::new();
    for (n, guid) in ["even", "odd", "other"].iter().enumerate() {
        harness.post(&created(guid), at(-8_999));
        harness.post(&act(guid, "joined", &["ann"], 0, Some(2 + n as i64 % 2)), at(1));
    }
    let drifted = "{groups(filter:{drifted:true}){nodes{guid membersCount drift{expected counted since}}totalCount}}";
    let drift = json!({ "expected": 3, "counted": 2, "since": "2026-01-05T12:00:00Z" });
    let group = json!({ "guid": "odd", "membersCount": 2, "drift": drift });
    assert_eq!(harness.data(drifted)["groups"], json!({ "nodes": [group], "totalCount": 1 }));
    let fine = "{groups(filter:{drifted:false}){nodes{guid drift{since}}}}";
    let nodes = json!([{ "guid": "even", "drift": null }, { "guid": "other", "drift": null }]);
    assert_eq!(harness.data(fine)["groups"]["nodes"], nodes);
    let named = "{apps{groups(filter:{drifted:true,guids:[\"even\",\"odd\"]}){nodes{guid}}}}";
    assert_eq!(harness.data(named), json!({ "apps": [{ "groups": { "nodes": [{ "guid": "odd" }] } }] }));
    let plan = harness.ask(
        "EXPLAIN QUERY PLAN SELECT g.guid FROM groups g WHERE g.app_id = 'a' AND g.drift_since IS NOT NULL ORDER BY g.guid",
    );
    assert!(plan.contains("groups_drifted") && !plan.contains("TEMP B-TREE"), "{plan}");
    let answer = harness.answer("{group(guid:\"odd\"){reportedMembersCount}}", Limits::default(), Caller::default());
    assert_eq!(answer["data"]["group"]["reportedMembersCount"], 3, "{answer}");
}

#[test]
fn a_rebuild_finds_the_same_drift() {
    let harness = heard(&[
        (0, act("g", "joined", &["ann"], 0, Some(3))),
        (300, act("g", "joined", &["bob"], 300, Some(4))),
        (200, act("g", "joined", &["cem"], 200, None)),
        (600, act("g", "joined", &["dan"], 600, Some(9))),
    ]);
    let drift = harness.ask(DRIFT);
    assert_eq!(drift, format!("9|5|{}", at(600)));
    harness.rebuild();
    assert_eq!(harness.ask(DRIFT), drift);
}
