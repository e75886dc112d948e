//! Old messages are cut from the log with all that hangs on them; people, groups and what is younger stay as they were.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/cuts.rs"]
mod cuts;
mod harness;
#[path = "support/messages.rs"]
mod messages;

use chatfold::ids::Outcome;
use chatfold::retention::{Report, RetentionError, Rules};
use cuts::{cut_until, post};
use harness::{Harness, NOON, assert_same};
use messages::{Dice, HOUR, Message, PEOPLE, body};
use serde_json::{Value, json};
use std::time::Duration;

/// A history of `hours`, in the order in which it happened: when each event happened, and its body. Without `rising`, ids
/// do not rise with time.
fn history(seed: u64, hours: i64, rising: bool) -> Vec<(i64, String)> {
    let mut dice = Dice::new(seed);
    let mut sent: Vec<Message> = Vec::new();
    let joined = json!({ "group": { "guid": "night", "createdAt": NOON / 1_000, "updatedAt": NOON / 1_000, "owner": "ann" },
        "members": { "ann": { "uid": "ann" }, "bob": { "uid": "bob" }, "cem": { "uid": "cem", "name": "Cem" } } });
    let mut all = vec![(NOON, body("group_member_joined", &joined))];
    for n in 0..hours * 4 {
        let at = NOON + 5_000 + n * HOUR / 4 + dice.below(600_000) as i64;
        let (who, about) = (dice.one_of(&PEOPLE), dice.below(sent.len().max(1) as u64) as usize);
        let old = sent.get(about).cloned();
        all.push((at, match (dice.below(16), old) {
            (0, Some(old)) => old.edited(at),
            (1, Some(old)) => old.deleted(at),
            (2..=4, Some(old)) => old.read(who, at),
            (5, Some(old)) => old.receipt("message_delivery_receipt", "delivered", who, at),
            (6, Some(old)) => old.receipt("message_read_by_all", "readByAll", who, at),
            (7, Some(old)) => old.reacted(who, at),
            (8, Some(old)) => old.blocked(at),
            (9, _) => body("user_connection_status_changed", &json!({ "timestamp": at, "status": "online", "userPresenceChanged": true,
                "user": { "uid": who, "lastActiveAt": at / 1_000 } })),
            (10, _) if dice.below(2) == 0 => body("message_sent", &json!({ "message": { "id": (5_000 + n).to_string(), "category": "action",
                "type": "groupMember", "sender": who, "receiverType": "group", "receiver": "night", "sentAt": at / 1_000,
                "data": { "action": "joined", "entities": { "by": { "entityType": "user", "entity": { "uid": "eve", "avatar": "e.png" } } } } } })),
            (10, _) => body("group_member_scope_changed", &json!({ "group": { "guid": "night", "updatedAt": at / 1_000 },
                "members": { "bob": { "uid": "bob", "scope": "moderator", "oldScope": "participant" } } })),
            (11, Some(old)) => body("chatfold.message_snapshot", &json!({ "readAt": at, "message": old.json(&Value::Null) })),
            (kind, old) => {
                let receiver = dice.one_of(&["night", "night", "ann", "bob"]);
                let id = 1_000 + if rising { n } else { (n * 7_919) % 1_000 };
                let message = Message { id, sender: if who == receiver { "cem" } else { who }, receiver, at };
                sent.push(message.clone());
                message.sent(&match (kind, old) {
                    (12, Some(old)) => json!({ "parentId": old.id.to_string() }),
                    (13, Some(old)) => json!({ "quotedMessageId": old.id.to_string(), "quotedMessage": old.json(&Value::Null) }),
                    _ => Value::Null,
                })
            }
        }));
    }
    all
}

fn rules(hours: u64) -> Rules {
    Rules { message: Some(Duration::from_secs(hours * 3_600)), ..Rules::default() }
}

fn cut(harness: &Harness, hours: u64) -> Report {
    cut_until(harness, rules(hours), None).unwrap()
}

/// The rows that no cut of messages changes, and the messages sent since a time with all that hangs on them.
fn of_what_stays(harness: &Harness, before: i64) -> String {
    let tables = harness.tables();
    let whole =
        ["users", "groups", "memberships", "membership_changes", "rosters", "presence", "connections", "blocks"];
    let mut out: String =
        tables.split("# ").filter(|table| whole.iter().any(|name| table.starts_with(&format!("{name}\n")))).collect();
    let tally = |line: &str| line.split(" tally=").next().unwrap_or_default().to_owned();
    out = out.lines().map(tally).collect::<Vec<_>>().join("\n");
    let ids = format!("(SELECT message_id FROM messages WHERE sent_at >= {before})");
    for (table, columns) in [
        (
            "messages",
            "message_id, conversation_id, sender_uid, sent_at, edited_at, deleted_at, pinned_at, listed, uncounted, text, hex(registers)",
        ),
        ("message_edits", "message_id, edited_at, text"),
        ("reactions", "message_id, uid, reaction, facts"),
        ("receipts", "message_id, uid, delivered_at, read_at"),
        ("mentions", "message_id, uid"),
        ("moderation", "message_id, status, rule"),
    ] {
        out += &format!(
            "\n# {table}\n{}",
            harness.ask(&format!("SELECT {columns} FROM {table} WHERE message_id IN {ids} ORDER BY 1, 2"))
        );
    }
    out + "\n# unread\n" + &harness.ask(&format!("
        SELECT m.conversation_id, k.uid, count(*), max(m.sent_at) FROM messages AS m JOIN read_markers AS k USING (conversation_id)
        WHERE m.sent_at >= {before} AND m.listed AND m.uncounted = 0 AND m.sender_uid <> k.uid AND m.message_no > k.message_no
        GROUP BY 1, 2 ORDER BY 1, 2"))
}

#[test]
fn a_cut_of_messages_leaves_the_tables_that_the_log_which_is_left_gives() {
    for seed in 1..=8 {
        let harness = Harness::new();
        post(&harness, &history(seed, 40, seed % 2 == 0));
        let hours = 1 + seed * 4;
        let newest: i64 = harness.ask("SELECT clock_at FROM feeds").parse().unwrap();
        let before = (newest - hours as i64 * HOUR) / 1_000 * 1_000;
        let expected = of_what_stays(&harness, before);
        let report = cut(&harness, hours);
        assert_eq!(report.lines[0].before.0, before);
        assert!(report.lines[0].events > 0 && report.lines[0].messages > 0, "seed {seed}: {report:?}");
        assert_same(&expected, &of_what_stays(&harness, before), &format!("seed {seed}"));
        assert_eq!(harness.ask(&format!("SELECT count(*) FROM messages WHERE sent_at < {before}")), "0");
        let tables = harness.tables();
        assert!(harness.verify().is_clean(), "seed {seed}: {:#?}", harness.verify());
        harness.rebuild();
        assert_same(&tables, &harness.tables(), &format!("seed {seed}: rebuilt"));
        assert!(harness.explain_all(&format!("seed {seed}")) > 0);
        assert_eq!(cut(&harness, hours).lines, [], "seed {seed}: once more");
    }
}

/// The tables without how many events there are.
fn truth(harness: &Harness) -> String {
    harness.truth().lines().filter(|line| !line.contains(" events_count=")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_order_of_late_events_about_messages_gives_the_same_tables_as_the_log_folded_again() {
    for seed in 1..=2 {
        let all = history(seed, 32, true);
        let (early, late): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(at, _)| at % 3 != 0);
        let early: Vec<_> = early.into_iter().map(|(_, it)| it).collect();
        let mut late: Vec<_> = late.into_iter().map(|(_, it)| it).chain(early.iter().step_by(5).cloned()).collect();
        let mut first = None;
        for order in 0..3 {
            let harness = Harness::new();
            post(&harness, &early);
            assert!(cut(&harness, 12).lines[0].events > 0);
            let mut dice = Dice::new(seed * 100 + order);
            for at in (1..late.len()).rev() {
                late.swap(at, dice.below(at as u64 + 1) as usize);
            }
            for (n, (_, body)) in late.iter().enumerate() {
                harness.post(body, NOON + 50 * HOUR + n as i64 * 1_000);
                if order == 2 && n == late.len() / 2 {
                    harness.rebuild();
                }
            }
            let tables = truth(&harness);
            let expected = first.get_or_insert_with(|| tables.clone());
            assert_same(expected, &tables, &format!("seed {seed}, order {order}"));
            harness.rebuild();
            assert_same(&tables, &truth(&harness), &format!("seed {seed}, order {order}: rebuilt"));
            assert!(cut(&harness, 12).lines[0].events > 0, "what was refused is cut by the next run");
            assert_eq!(cut(&harness, 12).lines, []);
            assert_same(&tables, &truth(&harness), &format!("seed {seed}, order {order}: cut once more"));
        }
    }
}

const DAY: i64 = 24 * HOUR;

fn message(id: i64, sender: &'static str, receiver: &'static str, at: i64) -> Message {
    Message { id, sender, receiver, at }
}

/// Two old messages and two of today, and the first of today's quotes and answers the old ones.
fn two_and_two(harness: &Harness) -> [Message; 4] {
    let old = [message(1, "ann", "bob", NOON), message(2, "bob", "ann", NOON + HOUR)];
    let new = [message(3, "ann", "bob", NOON + 90 * DAY), message(4, "bob", "ann", NOON + 90 * DAY + HOUR)];
    let quote = json!({ "parentId": "1", "quotedMessageId": "2", "quotedMessage": { "id": "2", "sentAt": old[1].at / 1_000, "sender": "bob" } });
    let bodies = [
        (old[0].at, old[0].sent(&Value::Null)),
        (old[1].at, old[1].sent(&Value::Null)),
        (old[0].at + 1_000, old[0].edited(old[0].at + 60_000)),
        (old[0].at + 2_000, old[0].reacted("cem", old[0].at + 70_000)),
        (new[0].at, new[0].sent(&quote)),
        (new[0].at + 1_000, old[0].read("bob", new[0].at + 1_000)),
        (new[0].at + 2_000, old[1].reacted("dan", new[0].at + 2_000)),
        (new[1].at, new[1].sent(&Value::Null)),
    ];
    for (at, body) in bodies {
        harness.post(&body, at);
    }
    let [one, two] = old;
    let [three, four] = new;
    [one, two, three, four]
}

#[test]
fn a_message_before_the_horizon_is_gone_whole() {
    let harness = Harness::new();
    two_and_two(&harness);
    let people = "SELECT uid, name, metadata, tags FROM users ORDER BY uid";
    let known = harness.ask(people);
    let report = cut(&harness, 24 * 30);
    assert_eq!((report.lines[0].messages, report.lines[0].kept), (2, 1), "{report:?}");
    for table in ["messages", "message_edits", "reactions", "receipts", "mentions"] {
        assert_eq!(
            harness.ask(&format!("SELECT count(*) FROM {table} WHERE message_id IN ('1', '2')")),
            "0",
            "{table}"
        );
    }
    assert_eq!(harness.ask(people), known, "people stay as the messages described them");
    assert_eq!(
        harness.ask("SELECT count(*) FROM events WHERE body LIKE '%text of 1%' OR body LIKE '%text of 2%'"),
        "0"
    );
    let kept =
        harness.ask("SELECT json_extract(body, '$.data.of') FROM events WHERE trigger = 'chatfold.kept' ORDER BY seq");
    assert_eq!(
        kept, "message_reaction_added\nmessage_reaction_added",
        "cem and dan are known by their reactions alone"
    );
    let asked = "{ one: message(messageId: \"1\") { id } three: message(messageId: \"3\") { text parent { id } } search: messages(filter: { search: \"text\" }) { nodes { messageId } }
        status { horizons { family before } } app { activity(after: \"2026-01-05T00:00:00Z\", before: \"2026-01-06T00:00:00Z\") { exact } } }";
    let data = harness.data(asked);
    assert_eq!(data["one"], Value::Null);
    assert_eq!(data["three"], json!({ "text": "text of 3", "parent": null }));
    assert_eq!(data["search"]["nodes"].as_array().unwrap().len(), 2, "{data}");
    assert_eq!(data["status"]["horizons"][0]["family"], "message");
    assert_eq!(data["app"]["activity"]["exact"], false, "days before the horizon are not silently empty");
    assert_eq!(harness.ask("SELECT first, last FROM asked_ids"), "1|2", "ids of messages that are gone are no gap");
    assert!(harness.verify().is_clean());
    assert!(harness.explain_all("two") > 0);
}

#[test]
fn an_event_about_an_unknown_message_goes_by_the_id_however_long_it_is() {
    for first in [1, 1_000_000_000_000_000_001, i64::MAX - 10] {
        let harness = Harness::new();
        let of = |n: i64, days: i64| message(first + n, "ann", "bob", NOON + days * DAY);
        let (old, new) = (of(1, 0), of(2, 90));
        harness.post(&old.sent(&Value::Null), old.at);
        harness.post(&new.sent(&Value::Null), new.at);
        for n in [0, 3] {
            harness.post(&of(n, 0).reacted("cem", new.at), new.at + 1_000);
        }
        cut(&harness, 24 * 30);
        let named = harness.ask("SELECT key FROM event_refs WHERE kind = 'message' ORDER BY key");
        assert_eq!(named, format!("{}\n{}", new.id, first + 3), "the reaction to {first} tells no time of the message");
        assert_eq!(cut(&harness, 24 * 30).lines, []);
        assert!(harness.verify().is_clean());
    }
}

#[test]
fn unread_counts_of_what_stays_are_as_before() {
    let harness = Harness::new();
    // Of a history that was read in: the ids do not rise with time.
    let old = message(50, "ann", "night", NOON);
    let new: Vec<Message> = (0..4).map(|n| message(41 + n * 5, "ann", "night", NOON + 90 * DAY + n * HOUR)).collect();
    harness.post(&old.sent(&Value::Null), old.at);
    harness.post(&old.read("bob", old.at + 60_000), old.at + 60_000);
    harness.post(&old.read("cem", old.at + 60_000), old.at + 60_000);
    for message in &new {
        harness.post(&message.sent(&Value::Null), message.at);
    }
    harness.post(&new[3].read("cem", new[3].at), new[3].at);
    let unread = |uid: &str| {
        let asked = format!(
            "{{ group(guid: \"night\") {{ conversation {{ unreadCount(uid: \"{uid}\") lastMessage {{ id text }} }} }} }}"
        );
        harness.data(&asked)["group"]["conversation"].clone()
    };
    let before = ["bob", "cem"].map(unread);
    assert_eq!(before[0]["unreadCount"], 2, "bob has read up to 50, and not 51 and 56");
    let report = cut(&harness, 24 * 30);
    assert_eq!(
        (report.lines[0].messages, report.lines[0].kept),
        (1, 1),
        "the receipt of bob stays, that of cem does not: {report:?}"
    );
    assert_eq!(["bob", "cem"].map(unread), before);
}

#[test]
fn a_late_edit_of_a_cut_message_changes_nothing() {
    let harness = Harness::new();
    let [one, _, three, _] = two_and_two(&harness);
    cut(&harness, 24 * 30);
    let tables = truth(&harness);
    let now = NOON + 91 * DAY;
    let late = [
        one.sent(&Value::Null),
        one.edited(one.at + 60_000),
        one.edited(now),
        one.deleted(now),
        one.blocked(now),
        // These tell no time of the message: its id decides.
        one.reacted("eve", now),
        one.read("eve", now),
        one.receipt("message_read_by_all", "readByAll", "eve", one.at),
        body("chatfold.message_snapshot", &json!({ "readAt": now, "message": one.json(&Value::Null) })),
    ];
    for (n, body) in late.iter().enumerate() {
        let appended = harness.post(body, now + n as i64 * 1_000);
        assert!(appended.outcome == Outcome::Ignored || appended.duplicate, "{appended:?}: {body}");
    }
    let reasons = harness.ask("SELECT DISTINCT reason FROM events WHERE outcome = 'ignored'");
    assert_eq!(reasons, "about a message sent before 2026-03-06T13:00:00Z, up to which messages were cut");
    assert_same(&tables, &truth(&harness), "late events");
    harness.rebuild();
    assert_same(&tables, &truth(&harness), "late events, rebuilt");
    assert_eq!(harness.post(&three.reacted("eve", now), now).outcome, Outcome::Applied);
}

#[test]
fn a_cut_that_was_killed_is_finished_by_the_next_run() {
    let (whole, killed) = (Harness::new(), Harness::new());
    for harness in [&whole, &killed] {
        post(harness, &history(3, 60, true));
    }
    cut(&whole, 12);
    for rebuilt in [false, true] {
        // The run ends after some pieces, as a process that is killed there.
        assert!(matches!(cut_until(&killed, rules(12), Some(1)), Err(RetentionError::Stopped)));
        assert_eq!(killed.ask("SELECT value FROM settings WHERE name = 'fold_version'"), "0");
        if rebuilt {
            killed.rebuild();
            assert!(killed.verify().is_clean(), "what the next start makes of it");
        }
    }
    let expected = of_what_stays(&whole, 0);
    assert_same(&expected, &of_what_stays(&killed, 0), "before the rest is cut");
    assert!(cut(&killed, 12).lines[0].events > 0);
    assert_same(&expected, &of_what_stays(&killed, 0), "after");
    assert_same(&truth(&whole), &truth(&killed), "all tables");
    let old = "SELECT count(*) FROM events WHERE trigger = 'message_sent'";
    assert_eq!(whole.ask(old), killed.ask(old));
}
