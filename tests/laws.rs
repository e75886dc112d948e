//! The laws of the projection (contract 3 and 4), over real files.

mod harness;

use chatfold::change::{Change, Changes};
use chatfold::envelope::Envelope;
use chatfold::ids::{Outcome, Time, TimeSource};
use chatfold::merge::{Fact, Telling, rank};
use chatfold::trigger::{Meaning, TRIGGERS};
use harness::{Harness, NOON, assert_same, fixtures};

#[test]
fn every_trigger_has_a_fixture_and_its_outcome() {
    for (trigger, meaning) in TRIGGERS {
        let mut named = fixtures()
            .into_iter()
            .filter(|(name, _)| name.strip_prefix(trigger).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            .peekable();
        assert!(named.peek().is_some() || *trigger == "user_connection_status_change", "no fixture for {trigger}");
        for (name, body) in named {
            let receipt = Harness::new().post(&body, NOON);
            let expected = match meaning {
                Meaning::Ignored(_) => Outcome::Ignored,
                Meaning::Projected(_) if name.contains("actor_only") => Outcome::Anomaly,
                Meaning::Projected(_) => Outcome::Applied,
            };
            assert_eq!(receipt.outcome, expected, "{name}");
        }
    }
}

#[test]
fn no_fixture_has_a_field_that_is_not_understood() {
    let harness = Harness::new();
    harness.ingest(fixtures().iter().map(|(_, body)| body.as_str()));
    assert_eq!(harness.ask("SELECT trigger, reason FROM events WHERE outcome = 'applied' AND reason IS NOT NULL"), "");
}

#[test]
fn every_delivery_again_is_a_duplicate_and_changes_nothing() {
    let harness = Harness::new();
    for (name, body) in fixtures() {
        assert!(!harness.post(&body, NOON).duplicate, "{name}");
        let (before, count) = (harness.tables(), harness.ask("SELECT count(*) FROM events"));
        let other_webhook = body.replace("\"webhook\": \"", "\"webhook\": \"second-");
        for again in [&body, &other_webhook] {
            assert!(harness.post(again, NOON + 11_000).duplicate, "{name}");
        }
        assert_same(&before, &harness.tables(), &name);
        assert_eq!(harness.ask("SELECT count(*) FROM events"), count);
    }
}

#[test]
fn reading_a_file_twice_changes_nothing() {
    let harness = Harness::new();
    let bodies: Vec<String> =
        fixtures().into_iter().chain(harness::read_dir("fixtures/stories/demo")).map(|(_, body)| body).collect();
    let lines: Vec<(&str, Option<i64>)> =
        bodies.iter().enumerate().map(|(at, body)| (body.as_str(), Some(NOON + at as i64 * 997))).collect();
    for lines in [bodies.iter().map(|body| (body.as_str(), None)).collect::<Vec<_>>(), lines] {
        harness.ingest_lines(lines.clone());
        let before = (harness.tables(), harness.ask("SELECT * FROM events"));
        assert!(harness.ingest_lines(lines).iter().all(|receipt| receipt.duplicate));
        assert_same(&before.0, &harness.tables(), "tables");
        assert_same(&before.1, &harness.ask("SELECT * FROM events"), "log");
    }
}

#[test]
fn two_apps_with_equal_ids_do_not_touch_each_other() {
    let alone = Harness::new();
    let both = Harness::new();
    for (at, (_, body)) in (NOON..).step_by(1_000).zip(fixtures()) {
        alone.post(&body, at);
        both.post(&body, at);
        both.post(&body.replace("\"appId\": \"", "\"appId\": \"x-"), at + 1);
    }
    let of_first = |tables: String| {
        tables.lines().filter(|line| !line.contains("app_id=Text(\"x-")).collect::<Vec<_>>().join("\n")
    };
    assert_same(&of_first(alone.truth()), &of_first(both.truth()), "the first app's rows");
}

#[test]
fn anomalies_rejections_and_the_unknown_change_no_table() {
    let harness = Harness::new();
    harness.ingest(harness::story("demo").iter().map(String::as_str));
    let but_for_apps =
        |tables: String| tables.lines().filter(|line| !line.contains("events_count=")).collect::<Vec<_>>().join("\n");
    let data = [
        (
            r#"{"trigger":"made_up","appId":"2489f0demo01","data":{"group":{"guid":"night-shift","name":"no"}}}"#,
            Outcome::Ignored,
        ),
        (r#"{"trigger":"group_updated","appId":"2489f0demo01","data":[]}"#, Outcome::Rejected),
        (r#"{"trigger":"group_updated","appId":"2489f0demo01","data":{"group":{"name":"no"}}}"#, Outcome::Rejected),
        (
            r#"{"trigger":"group_member_kicked","appId":"2489f0demo01","data":{"group":{"guid":"night-shift"},"members":{}}}"#,
            Outcome::Rejected,
        ),
    ];
    for (body, outcome) in data {
        let before = but_for_apps(harness.tables());
        assert_eq!(harness.post(body, NOON).outcome, outcome, "{body}");
        assert_same(&before, &but_for_apps(harness.tables()), body);
    }
}

#[test]
fn in_a_file_of_old_bodies_the_nth_block_is_the_nth_of_the_log() {
    let body = |trigger: &str| {
        format!(
            r#"{{"trigger":"user_{trigger}","appId":"a","data":{{"users":{{"b":{{"uid":"b"}}}},"by":{{"uid":"a"}}}}}}"#
        )
    };
    let (block, unblock) = (body("blocked"), body("unblocked"));
    let (block, unblock) = (block.as_str(), unblock.as_str());
    let harness = Harness::new();
    let new =
        |bodies: &[&str]| harness.ingest(bodies.iter().copied()).iter().filter(|receipt| !receipt.duplicate).count();
    assert_eq!(new(&[block, block, unblock, block]), 3, "twice in a row is once");
    assert_eq!(harness.ask("SELECT current FROM blocks"), "1");
    assert_eq!(new(&[block, unblock, block]), 0, "the same file");
    assert_eq!(new(&[block, unblock, block, unblock, block]), 2, "a longer one");
    assert_eq!(harness.ask("SELECT count(*) FROM events"), "5");
    let added =
        r#"{"trigger":"group_member_added","appId":"a","data":{"group":{"guid":"g"},"members":{"m":{"uid":"m"}}}}"#;
    let kicked = r#"{"trigger":"group_member_kicked","appId":"a","data":{"group":{"guid":"g","updatedAt":1767614400},"members":{"m":{"uid":"m"}}}}"#;
    assert_eq!(new(&[added, kicked, added]), 3, "and so is any fact without a time");
    assert_eq!(new(&[added, kicked, added]), 0);
}

#[test]
fn lines_that_tell_when_they_arrived_are_judged_by_that() {
    let harness = Harness::new();
    let joined = format!(
        r#"{{"trigger":"group_member_joined","appId":"a","data":{{"group":{{"guid":"g","updatedAt":{}}},"members":{{"m":{{"uid":"m"}}}}}}}}"#,
        NOON / 1000
    );
    let added =
        r#"{"trigger":"group_member_added","appId":"a","data":{"group":{"guid":"g"},"members":{"n":{"uid":"n"}}}}"#;
    harness.ingest_lines([(joined.as_str(), Some(NOON + 900)), (added, Some(NOON + 7_900))]);
    assert_eq!(
        harness.ask("SELECT at, at_from FROM membership_changes WHERE uid = 'n'"),
        format!("{}|arrival", NOON + 7_000)
    );
}

/// What a change says itself, not by a copy of an entity: the kind and key of that entity.
fn changed(change: &Change) -> Option<(&'static str, String)> {
    let own = |telling: &Telling| {
        let copied = matches!(telling.stamp.rank, rank::COPY | rank::EDITED_COPY | rank::DELETED_COPY);
        let is_stub = telling.fields.is_empty() && telling.named.is_empty();
        !(copied || is_stub)
    };
    Some(match change {
        Change::User { uid, telling } if own(telling) => ("user", uid.clone()),
        Change::Presence { uid, .. } | Change::Connection { uid, .. } => ("user", uid.clone()),
        Change::Block { blocker, .. } => ("user", blocker.clone()),
        Change::Group { guid, telling } if own(telling) => ("group", guid.clone()),
        Change::Creation { guid, .. } | Change::Deletion { guid, .. } => ("group", guid.clone()),
        Change::Membership(change) => ("membership", format!("{}/{}", change.guid, change.uid)),
        Change::Message { message_id, telling, deleted } if *deleted || own(telling) => ("message", message_id.clone()),
        Change::MessageEdit(edit) => ("message", edit.message_id.clone()),
        Change::Receipt(receipt) => ("message", receipt.message_id.clone()),
        Change::Reaction(reaction) => ("message", reaction.message_id.clone()),
        Change::Moderation { message_id, .. } => ("message", message_id.clone()),
        Change::Call { session_key, .. } => ("call", session_key.clone()),
        _ => return None,
    })
}

#[test]
fn every_entity_that_an_event_itself_changes_is_among_its_entities() {
    let mut bodies = fixtures();
    for story in std::fs::read_dir("fixtures/stories").unwrap() {
        bodies.extend(harness::read_dir(&story.unwrap().path().display().to_string()));
    }
    let mut kinds = std::collections::BTreeSet::new();
    for (name, body) in bodies {
        let Some(payload) = Envelope::parse(body.as_bytes()).ok().and_then(|envelope| envelope.payload) else {
            continue;
        };
        let fact = Fact {
            seq: 1,
            trigger: String::new(),
            received_at: Time(NOON),
            arrived_at: None,
            occurred_at: payload.occurred_at().unwrap_or(Time(NOON)),
            occurred_from: TimeSource::Told,
            floor: None,
            fingerprint: [0; 32],
        };
        let mut changes = Changes::default();
        payload.reduce(&fact, &mut changes);
        let refs = payload.refs();
        for (kind, key) in changes.into_iter().filter_map(|change| changed(&change)) {
            kinds.insert(kind);
            assert!(refs.iter().any(|it| it.kind == kind && it.key == key), "{name}: {kind} {key} is not in {refs:?}");
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["call", "group", "membership", "message", "user"]);
}
