//! The traps of real deliveries about calls, people who are online, and apps.

mod harness;

use harness::{Harness, NOON};

const SECOND: i64 = NOON / 1000;

fn event(trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{data}}}"#)
}

fn message(id: &str, more: &str) -> String {
    format!(
        r#"{{"id":{id},"conversationId":"group_wrong","sender":"ann","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{SECOND}{more}}}"#
    )
}

fn sent(id: &str, text: &str) -> String {
    let more = format!(r#","data":{{"text":"{text}"}}"#);
    event("message_sent", &format!(r#"{{"message":{}}}"#, message(id, &more)))
}

fn rtc(trigger: &str, more: &str) -> String {
    event(trigger, &format!(r#"{{"sessionId":"s",{more}}}"#))
}

/// A signal of the call that `initiated` began, told as the echo among messages or as a trigger of its own.
fn signal(trigger: &str, status: &str, initiated: i64, at: i64) -> String {
    let object = if trigger == "message_sent" { "message" } else { "call" };
    let on = format!(
        r#"{{"sessionid":"s","status":"{status}","initiatedAt":{initiated},"sender":"ann","receiver":"bob","receiverType":"user","type":"audio"}}"#
    );
    event(
        trigger,
        &format!(
            r#"{{"{object}":{{"id":"{at}","sender":"ann","receiver":"bob","receiverType":"user","category":"call","type":"audio","sentAt":{at},"data":{{"action":"{status}","entities":{{"on":{{"entity":{on}}}}}}}}}}}"#
        ),
    )
}

fn stay(uid: &str, joined: i64, left: Option<i64>) -> String {
    let trigger = if left.is_some() { "call_participant_left" } else { "call_participant_joined" };
    let left = left.map(|at| format!(r#","left_at":{at}"#)).unwrap_or_default();
    rtc(trigger, &format!(r#""occupant":{{"name":"{uid}","uid":"{uid}","joined_at":{joined}{left}}}"#))
}

#[test]
fn a_ringing_call_whose_start_and_end_are_not_ticked_is_one_that_ended() {
    let told = [
        signal("call_initiated", "initiated", SECOND, SECOND),
        stay("ann", SECOND + 8, None),
        stay("bob", SECOND + 9, None),
        stay("bob", SECOND + 9, Some(SECOND + 60)),
        stay("ann", SECOND + 8, Some(SECOND + 61)),
        signal("message_sent", "ended", SECOND, SECOND + 62),
    ];
    let mut orders = vec![told.to_vec(), told.iter().rev().cloned().collect()];
    orders.push([3, 0, 5, 1, 4, 2].map(|at| told[at].clone()).to_vec());
    for order in orders {
        let harness = Harness::new();
        for body in &order {
            harness.post(body, NOON);
        }
        let sessions = "SELECT status, initiated_at, started_at, initiator_uid FROM call_sessions";
        assert_eq!(harness.ask(sessions), format!("ended|{NOON}|{}|ann", NOON + 8_000));
        let people = "SELECT group_concat(uid || ' ' || (left_at - joined_at)) FROM call_participants";
        assert_eq!(harness.ask(people), "ann 53000,bob 51000");
        harness.explain_all("a call without its start");
    }
}

#[test]
fn a_recording_lasts_equally_long_whatever_is_heard_first() {
    // Seventeen digits: as floats some of them are others once printed and read again.
    let told = (1..200).map(|n| {
        let more = |more: &str| format!(r#"{{"sessionId":"s{n}",{more}}}"#);
        let duration = f64::from(n).sqrt() * 1000.0 / 7.0;
        let recording = format!(r#""startTime":{SECOND},"duration":{duration:?},"recording_url":"u""#);
        let started = event("call_started", &more(&format!(r#""created_at":{SECOND}"#)));
        [event("recording_generated", &more(&recording)), started]
    });
    let tables = [false, true].map(|is_turned| {
        let harness = Harness::new();
        for mut pair in told.clone() {
            if is_turned {
                pair.reverse();
            }
            for body in &pair {
                harness.post(body, NOON);
            }
        }
        harness.truth()
    });
    harness::assert_same(&tables[0], &tables[1], "the start told before the recording");
}

#[test]
fn the_newest_last_activity_stays_whoever_tells_an_older_one_later() {
    let harness = Harness::new();
    let active = |at: i64, active: i64| {
        event(
            "user_connection_status_changed",
            &format!(r#"{{"timestamp":{at}000,"user":{{"uid":"ann","lastActiveAt":{active}}},"status":"online"}}"#),
        )
    };
    harness.post(&active(SECOND, SECOND - 5), NOON);
    harness.post(&active(SECOND + 60, SECOND - 90), NOON + 60_000);
    harness.post(
        &event(
            "user_connection_status_changed",
            &format!(r#"{{"timestamp":{SECOND}999,"user":{{"uid":"ann","lastActiveAt":null}}}}"#),
        ),
        NOON + 61_000,
    );
    assert_eq!(harness.ask("SELECT last_active_at FROM users"), (NOON - 5_000).to_string());
}

#[test]
fn an_app_has_the_region_that_its_newest_told_event_names_in_every_order() {
    let in_region =
        |body: String, region: &str| body.replace("\"webhook\"", &format!("\"region\":\"{region}\",\"webhook\""));
    let named = |id: i64, second: i64, region: &str| {
        let at = |second: i64| format!("\"sentAt\":{second}");
        in_region(sent(&id.to_string(), "a").replace(&at(SECOND), &at(SECOND + second)), region)
    };
    let untold = event("user_blocked", r#"{"by":{"uid":"ann"},"users":{"bob":{"uid":"bob"}}}"#);
    let told = [named(1, 1, "us"), named(2, 2, "eu"), in_region(untold, "in"), named(3, 2, "ap")];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let harness = Harness::new();
        for at in order {
            harness.post(&told[at], NOON);
        }
        assert_eq!(harness.ask("SELECT region FROM apps"), "eu", "{order:?}");
    }
}

#[test]
fn who_was_not_heard_of_for_a_day_is_in_no_view_of_who_is_online() {
    let harness = Harness::new();
    let now = chatfold::clock::now().0;
    let status = |uid: &str, at: i64, word: &str| {
        event(
            "user_connection_status_changed",
            &format!(r#"{{"timestamp":{at},"user":{{"uid":"{uid}"}},"status":"{word}"}}"#),
        )
    };
    for (uid, hours, word) in [("ann", 25, "online"), ("bob", 23, "online"), ("cem", 25, "offline")] {
        harness.post(&status(uid, now - hours * 3_600_000, word), now);
    }
    assert_eq!(harness.ask("SELECT uid, online FROM v_presence ORDER BY uid"), "bob|1\ncem|0");
    assert_eq!(harness.ask("SELECT online FROM presence WHERE uid = 'ann'"), "1", "the table keeps the newest status");
}
