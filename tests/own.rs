//! What chatfold reads from the vendor's API, against what webhooks tell: lists and snapshots win over what is older,
//! lose to what is newer, and complete lists say who is not in them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::large::{self, Limits, Posted};
use chatfold::store::sqlite;
use harness::{Harness, NOON};
use serde_json::{Value, json};

/// A second of the day after noon.
fn second(second: i64) -> i64 {
    NOON / 1_000 + second
}

fn event(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "data": data, "appId": "app", "region": "eu" }).to_string()
}

fn webhook(trigger: &str, at: i64, uid: &str, extra: &Value) -> (String, i64) {
    let mut member = json!({ "uid": uid });
    member.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let group = json!({ "guid": "crew", "updatedAt": second(at) });
    (event(trigger, &json!({ "group": group, "members": { uid: member } })), NOON + at * 1_000 + 300)
}

fn joined(at: i64, uid: &str) -> (String, i64) {
    webhook("group_member_joined", at, uid, &json!({}))
}

fn kicked(at: i64, uid: &str) -> (String, i64) {
    webhook("group_member_kicked", at, uid, &json!({}))
}

/// A complete list, or with a `base` what it says otherwise.
fn roster(at: i64, members: &Value, more: &Value) -> (String, i64) {
    let mut data = json!({ "guid": "crew", "readAt": second(at) * 1_000, "complete": true, "members": members });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (event("chatfold.group_roster", &data), NOON + at * 1_000 + 2_500)
}

fn member(scope: &str) -> Value {
    json!({ "scope": scope, "joinedAt": second(-1_000) })
}

fn told(deliveries: &[(String, i64)]) -> Harness {
    let harness = Harness::new();
    for (body, at) in deliveries {
        assert_eq!(harness.post(body, *at).outcome.as_str(), "applied", "{body}");
    }
    harness
}

const STATES: &str = "SELECT uid, state, scope FROM memberships ORDER BY uid";

#[test]
fn who_is_not_in_a_complete_list_is_out_and_who_is_has_the_scope_and_time_of_the_list() {
    let it = told(&[
        joined(1, "ann"),
        joined(2, "bob"),
        kicked(3, "cem"),
        roster(60, &json!({ "ann": member("admin"), "dee": member("participant") }), &json!({})),
    ]);
    assert_eq!(it.ask(STATES), "ann|joined|admin\nbob|absent|null\ncem|kicked|null\ndee|joined|participant");
    let joined_at = "SELECT DISTINCT joined_at, joined_at_from FROM memberships WHERE current";
    assert_eq!(it.ask(joined_at), format!("{}|told", second(-1_000) * 1_000));
    let group = "SELECT members_count, members_known_since FROM groups";
    assert_eq!(it.ask(group), format!("2|{}", second(60) * 1_000));
    it.explain_all("a complete list");
}

#[test]
fn a_list_that_is_not_complete_evicts_nobody() {
    let it =
        told(&[joined(1, "ann"), roster(60, &json!({ "bob": member("moderator") }), &json!({ "complete": false }))]);
    assert_eq!(it.ask(STATES), "ann|joined|participant\nbob|joined|moderator");
    assert_eq!(it.ask("SELECT count(*) FROM rosters"), "0");
}

#[test]
fn a_webhook_newer_than_the_list_wins_and_an_older_one_loses_whenever_it_arrives() {
    let list = [roster(60, &json!({ "ann": member("participant") }), &json!({}))];
    let (older, newer) = ([kicked(50, "ann"), joined(50, "bob")], [kicked(70, "ann"), joined(70, "bob")]);
    for order in [[&older[..], &list[..]].concat(), [&list[..], &older[..]].concat()] {
        assert_eq!(told(&order).ask(STATES), "ann|joined|participant\nbob|absent|null");
    }
    for order in [[&newer[..], &list[..]].concat(), [&list[..], &newer[..]].concat()] {
        assert_eq!(told(&order).ask(STATES), "ann|kicked|null\nbob|joined|participant");
    }
}

#[test]
fn a_list_told_against_an_earlier_one_holds_for_everybody_whom_neither_names() {
    let first = roster(60, &json!({ "ann": member("admin"), "bob": member("participant") }), &json!({}));
    let second_list = roster(
        600,
        &json!({ "cem": member("participant") }),
        &json!({ "base": second(60) * 1_000, "gone": { "bob": {} } }),
    );
    let it = told(&[first.clone(), second_list.clone()]);
    assert_eq!(it.ask(STATES), "ann|joined|admin\nbob|absent|null\ncem|joined|participant");
    // Ann was kicked, says a webhook of before the second list: the list names her, as the first one did.
    let it = told(&[first.clone(), kicked(100, "ann"), second_list.clone()]);
    assert_eq!(it.ask(STATES), "ann|joined|admin\nbob|absent|null\ncem|joined|participant");
    let it = told(&[first, second_list, kicked(100, "ann")]);
    assert_eq!(it.ask(STATES), "ann|joined|admin\nbob|absent|null\ncem|joined|participant");
    it.explain_all("a list told against another");
}

#[test]
fn lists_and_webhooks_end_in_the_same_tables_in_every_order() {
    let base = json!({ "base": second(60) * 1_000 });
    let deliveries = [
        webhook("group_member_scope_changed", 30, "ann", &json!({ "scope": "moderator", "oldScope": "participant" })),
        roster(60, &json!({ "ann": member("admin"), "bob": member("participant") }), &json!({})),
        kicked(100, "ann"),
        roster(600, &json!({ "cem": member("participant") }), &base),
        kicked(700, "bob"),
    ];
    let mut expected = None;
    let mut order: Vec<usize> = (0..deliveries.len()).collect();
    for _ in 0..120 {
        let harness = Harness::new();
        for at in &order {
            // Law 2 is about facts that tell their time: when they come is the same for all.
            harness.post(&deliveries[*at].0, NOON + 1_000_000);
        }
        let truth = harness.truth();
        assert_eq!(expected.get_or_insert_with(|| truth.clone()), &truth, "{order:?}");
        next_permutation(&mut order);
    }
}

fn next_permutation(order: &mut [usize]) {
    let Some(at) = (1..order.len()).rev().find(|at| order[at - 1] < order[*at]) else { return order.reverse() };
    let larger = (at..order.len()).rev().find(|other| order[*other] > order[at - 1]).unwrap();
    order.swap(at - 1, larger);
    order[at..].reverse();
}

#[test]
fn a_list_that_confirms_adds_a_row_to_the_log_and_none_for_a_member() {
    let it = told(&[joined(1, "ann"), roster(60, &json!({ "ann": member("participant") }), &json!({}))]);
    let rows = "SELECT (SELECT count(*) FROM membership_changes), (SELECT changed_at FROM memberships)";
    // What a list says of whom it knows is no history.
    assert_eq!(it.ask("SELECT trigger FROM v_membership_changes"), "group_member_joined");
    let history = r#"{ group(appId: "app", guid: "crew") { membershipChanges(first: 5) { nodes { state } } } }"#;
    assert_eq!(it.data(history)["group"]["membershipChanges"]["nodes"], json!([{ "state": "JOINED" }]));
    let before = it.ask(rows);
    let (body, at) = roster(3_660, &json!({}), &json!({ "base": second(60) * 1_000 }));
    it.post(&body, at);
    assert_eq!(it.ask(rows), before);
    assert_eq!(it.ask("SELECT count(*) FROM rosters"), "2");
}

#[test]
fn lists_that_confirm_replace_one_another_and_the_tables_are_what_the_log_says() {
    let it = told(&[joined(1, "ann"), roster(60, &json!({ "ann": member("participant") }), &json!({}))]);
    let mut newest = 0;
    for hour in 1..=30 {
        let mut more = json!({ "base": second(60) * 1_000 });
        if hour > 1 {
            more["replaces"] = json!(second(3_600) * 1_000);
        }
        let (body, at) = roster(hour * 3_600, &json!({}), &more);
        let seq = it.post(&body, at).seq;
        assert!(seq > newest, "a log position is never given twice");
        newest = seq;
    }
    assert_eq!(it.ask("SELECT count(*), max(seq) FROM events"), format!("3|{newest}"));
    assert_eq!(it.ask("SELECT count(*) FROM rosters"), "2");
    assert_eq!(it.ask("SELECT events_count FROM apps"), "3");
    // One that was replaced arrives again, from an older copy of the log: it stays away.
    let (body, at) = roster(7_200, &json!({}), &json!({ "base": second(60) * 1_000 }));
    it.post(&body, at);
    assert_eq!(it.ask("SELECT count(*) FROM rosters"), "2");
}

#[test]
fn a_large_list_is_saved_in_pieces_and_ends_in_the_same_tables() {
    let members: serde_json::Map<String, Value> =
        (0..3_000).map(|n| (format!("u{n}"), member("participant"))).collect();
    let before: Vec<_> = (2_990..3_100).map(|n| joined(1, &format!("u{n}"))).collect();
    let list = roster(60, &Value::Object(members), &json!({}));
    let whole = told(&[before.as_slice(), std::slice::from_ref(&list)].concat());
    let it = told(&before);
    let mut batch = chatfold::batch::Batch::default();
    let envelope = chatfold::envelope::Envelope::parse(list.0.as_bytes()).unwrap();
    let limits = Limits { piece: 500, ..Limits::default() };
    sqlite::begin(&it.conn).unwrap();
    let posted = large::post(&mut batch, &it.conn, &envelope, chatfold::ids::Time(list.1), limits, false).unwrap();
    let Posted::Unfinished(seq) = posted else { panic!("a list of 3,000 is large: {posted:?}") };
    batch.save(&it.conn).unwrap();
    sqlite::commit(&it.conn).unwrap();
    // Stopped after two pieces, and folded again.
    for most in [2, usize::MAX] {
        let mut folded = large::fold(&it.conn, seq).unwrap();
        for _ in 0..most {
            sqlite::begin(&it.conn).unwrap();
            let done = folded.save_piece(&it.conn, limits).unwrap();
            sqlite::commit(&it.conn).unwrap();
            if done.is_some() {
                break;
            }
        }
    }
    it.forget();
    assert_eq!(it.ask("SELECT count(*) FROM memberships WHERE current"), "3000");
    assert_eq!(it.truth(), whole.truth());
}

#[test]
fn the_owner_and_profile_that_the_api_tells_win_over_copies() {
    let snapshot = |at: i64, owner: &str| {
        let group = json!({ "guid": "crew", "name": "Crew", "type": "public", "owner": owner, "createdAt": second(-900),
            "updatedAt": second(-800), "membersCount": 7 });
        (event("chatfold.group_snapshot", &json!({ "readAt": second(at) * 1_000, "group": group })), NOON + at * 1_000)
    };
    let copy = |at: i64| {
        let group = json!({ "guid": "crew", "name": "Old", "owner": "cem", "updatedAt": second(at) });
        (event("group_member_left", &json!({ "group": group, "members": { "eve": {} } })), NOON + at * 1_000)
    };
    let it = told(&[copy(5), snapshot(60, "ann"), copy(30)]);
    assert_eq!(it.ask("SELECT name, owner_uid, reported_members_count FROM groups"), "Crew|ann|7");
    it.explain_all("a group snapshot");
}

#[test]
fn a_group_that_the_api_does_not_know_is_deleted_and_one_made_later_exists_again() {
    let snapshot = |at: i64, more: &Value| {
        let mut data = json!({ "readAt": second(at) * 1_000, "group": { "guid": "crew", "createdAt": second(-900) } });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (event("chatfold.group_snapshot", &data), NOON + at * 1_000)
    };
    let it = told(&[snapshot(5, &json!({})), snapshot(60, &json!({ "exists": false }))]);
    assert_eq!(it.ask("SELECT deleted_at IS NOT NULL FROM groups"), "1");
    let (body, at) = snapshot(90, &json!({ "group": { "guid": "crew", "createdAt": second(80) } }));
    it.post(&body, at);
    assert_eq!(it.ask("SELECT deleted_at IS NOT NULL FROM groups"), "0");
    it.explain_all("a group that comes and goes");
}

#[test]
fn the_banned_list_bans_and_ends_bans() {
    let data = |banned: Value, gone: Value, at: i64| json!({ "guid": "crew", "readAt": second(at) * 1_000, "complete": true, "banned": banned, "gone": gone });
    let it = told(&[
        webhook("group_member_banned", 1, "ann", &json!({})),
        (event("chatfold.banned_roster", &data(json!({ "bob": {} }), json!({ "ann": {} }), 60)), NOON + 60_000),
    ]);
    assert_eq!(it.ask(STATES), "ann|unbanned|null\nbob|banned|null");
    it.explain_all("a banned list");
}

#[test]
fn the_blocked_list_tells_since_when_and_ends_blocks() {
    let block = |blocks: bool, at: i64| {
        let trigger = if blocks { "user_blocked" } else { "user_unblocked" };
        (event(trigger, &json!({ "by": { "uid": "ann" }, "users": { "bob": { "uid": "bob" } } })), NOON + at * 1_000)
    };
    let read = |blocked: Value, gone: Value, at: i64| {
        let data =
            json!({ "uid": "ann", "readAt": second(at) * 1_000, "complete": true, "blocked": blocked, "gone": gone });
        (event("chatfold.blocked_roster", &data), NOON + at * 1_000 + 2_000)
    };
    let pairs = "SELECT blocked_uid, current, since FROM blocks ORDER BY 1";
    let it = told(&[block(true, 1), read(json!({ "cem": { "blockedAt": second(-500) } }), json!({ "bob": {} }), 60)]);
    assert_eq!(it.ask(pairs), format!("bob|0|null\ncem|1|{}", second(-500) * 1_000));
    it.explain_all("a blocked list");
    let it = told(&[read(json!({ "bob": { "blockedAt": second(-500) } }), json!({}), 60), block(false, 90)]);
    assert_eq!(it.ask(pairs), "bob|0|null");
}

fn message(at: i64, text: &str, more: &Value) -> (String, i64) {
    let mut message = json!({ "id": "7", "conversationId": "group_crew", "sender": "ann", "receiverType": "group", "receiver": "crew",
        "category": "message", "type": "text", "data": { "text": text }, "sentAt": second(-600) });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (
        event("chatfold.message_snapshot", &json!({ "readAt": second(at) * 1_000, "message": message })),
        NOON + at * 1_000,
    )
}

fn edited(at: i64, text: &str) -> (String, i64) {
    let message = json!({ "id": "7", "sender": "ann", "receiverType": "group", "receiver": "crew", "category": "message",
        "type": "text", "data": { "text": text }, "sentAt": second(-600), "editedAt": second(at), "editedBy": "ann" });
    (event("message_edited", &json!({ "message": message })), NOON + at * 1_000 + 100)
}

#[test]
fn a_message_snapshot_loses_to_a_newer_edit_and_beats_an_older_one() {
    let text = "SELECT text FROM messages";
    let read = message(60, "second", &json!({ "editedAt": second(40), "editedBy": "ann" }));
    for order in [[edited(20, "first"), read.clone()], [read.clone(), edited(20, "first")]] {
        assert_eq!(told(&order).ask(text), "second");
    }
    for order in [[edited(90, "third"), read.clone()], [read.clone(), edited(90, "third")]] {
        let it = told(&order);
        assert_eq!(it.ask(text), "third");
        assert_eq!(it.ask("SELECT count(*) FROM message_edits"), "2");
        it.explain_all("a message snapshot");
    }
    let it =
        told(&[read, message(70, "", &json!({ "deletedAt": second(65), "deletedBy": "bob" })), edited(90, "late")]);
    assert_eq!(it.ask("SELECT text, deleted, deleted_by FROM messages"), "null|1|bob");
}

#[test]
fn the_reactions_read_are_there_and_those_gone_are_not() {
    let (sent, at) = message(5, "hi", &json!({}));
    let added = |id: &str, uid: &str, at: i64| {
        let reaction = json!({ "id": id, "messageId": "7", "reaction": "👍", "uid": uid, "reactedAt": second(at) });
        (event("message_reaction_added", &json!({ "reaction": reaction })), NOON + at * 1_000)
    };
    let data = json!({ "messageId": "7", "readAt": second(60) * 1_000, "complete": true,
        "reactions": [{ "id": "51", "reaction": "👍", "uid": "bob", "reactedAt": second(-300) }],
        "gone": [{ "uid": "ann", "reaction": "👍" }] });
    let read = (event("chatfold.reactions_snapshot", &data), NOON + 62_000);
    for order in
        [[(sent.clone(), at), added("50", "ann", 10), read.clone()], [(sent, at), read, added("50", "ann", 10)]]
    {
        let it = told(&order);
        assert_eq!(it.ask("SELECT uid, present FROM reactions ORDER BY uid"), "ann|0\nbob|1");
        let (body, at) = added("52", "ann", 90);
        it.post(&body, at);
        assert_eq!(it.ask("SELECT uid, present FROM reactions ORDER BY uid"), "ann|1\nbob|1");
    }
}

#[test]
fn reading_moves_no_feed() {
    let list = roster(60, &json!({ "ann": member("participant") }), &json!({}));
    let it = told(&[joined(1, "ann"), list]);
    let feed = "SELECT told_at, clock_at FROM feeds";
    assert_eq!(it.ask(feed), format!("{0}|{0}", second(1) * 1_000));
}

#[test]
fn another_file_takes_what_was_read_with_the_log() {
    let it = told(&[joined(1, "ann"), roster(60, &json!({ "bob": member("admin") }), &json!({}))]);
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.db");
    let mut ingest = chatfold::ingest::Ingest::open(&copy, 1 << 20, chatfold::clock::now).unwrap();
    ingest.read_log("log", chatfold::store::sqlite::log_file::LogFile::open(&it.path()).unwrap(), |_| {}).unwrap();
    let (counts, problems) = ingest.finish().unwrap();
    assert_eq!((counts.get("applied"), problems.len()), (Some(&2), 0));
    assert_eq!(Harness::copy_of(&copy).ask(STATES), it.ask(STATES));
}
