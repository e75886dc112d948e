//! What a server that was away knows of what it missed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use chatfold::ids::Time;
use chatfold::store::sqlite::read::gaps;
use chatfold::store::sqlite::reconcile;
use harness::Harness;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::TestServer;

/// A little CometChat: groups with members, ids of messages, a clock.
struct Chat {
    members: Vec<Vec<String>>,
    message: i64,
    now: i64,
}

impl Chat {
    fn group(&self, group: usize) -> Value {
        json!({
            "guid": format!("g{group}"), "name": format!("Group {group}"), "createdAt": 1_767_600_000,
            "updatedAt": self.now, "membersCount": self.members[group].len(),
        })
    }

    fn act(&mut self, trigger: &str, group: usize, uid: &str) -> String {
        self.now += 120;
        match trigger {
            "joined" => self.members[group].push(uid.to_owned()),
            _ => self.members[group].retain(|member| member != uid),
        }
        let data = json!({ "group": self.group(group), "members": { uid: { "uid": uid } } });
        json!({ "trigger": format!("group_member_{trigger}"), "appId": "a", "data": data }).to_string()
    }

    fn say(&mut self, group: usize) -> String {
        self.now += 120;
        self.message += 1;
        let message = json!({
            "id": self.message, "sender": "boss", "receiverType": "group", "receiver": format!("g{group}"),
            "category": "message", "type": "text", "sentAt": self.now,
            "data": { "text": "hi", "entities": { "receiver": { "entity": self.group(group), "entityType": "group" } } },
        });
        json!({ "trigger": "message_sent", "appId": "a", "data": { "message": message } }).to_string()
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(gaps: &'a [Value], kind: &str) -> Vec<&'a Value> {
    gaps.iter().filter(|gap| gap["gap"] == kind).collect()
}

#[test]
fn after_an_outage_drift_and_gaps_name_what_was_missed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut chat = Chat { members: vec![vec!["boss".into()]; 10], message: 100, now: now - 200_000 };
    let mut server = TestServer::start();
    let dir = server.dir();
    for group in 0..10 {
        let group_now = chat.group(group);
        let data = json!({ "group": group_now, "members": { "boss": { "uid": "boss" } } });
        let mut created = json!({ "trigger": "group_created", "appId": "a", "data": data });
        created["data"]["group"]["owner"] = "boss".into();
        assert_eq!(server.deliver(created.to_string()).status, 200);
        for member in 0..5 {
            let joined = chat.act("joined", group, &format!("u{member}"));
            assert_eq!(server.deliver(joined).status, 200);
        }
        let said = chat.say(group);
        assert_eq!(server.deliver(said).status, 200);
    }
    let (code, out, err) = server.run(&["drift"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(server.get("/metrics").body.contains("chatfold_groups_drifted{app=\"a\"} 0\n"));
    let (code, out, _) = server.run(&["gaps", "--json"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(server.sigterm().success());

    // 500 changes that nobody hears of: in one group as many came as went.
    std::thread::sleep(Duration::from_millis(1_200));
    for change in 0..500 {
        let (group, round) = (change % 10, change / 10);
        let is_leave = if group == 9 { round % 2 == 1 } else { round % 3 == 1 };
        let uid = format!("n{}", if is_leave { round - 1 } else { round });
        chat.act(if is_leave { "left" } else { "joined" }, group, &uid);
        chat.message += i64::from(change % 50 == 0);
    }

    let server = TestServer::within(dir, "");
    for group in 0..10 {
        let said = chat.say(group);
        assert_eq!(server.deliver(said).status, 200);
    }
    let (code, out, err) = server.run(&["drift", "--app", "a", "--json"]);
    assert_eq!(code, 1, "{err}");
    let drift = lines(&out);
    let guids: Vec<&str> = drift.iter().map(|group| group["guid"].as_str().unwrap()).collect();
    assert_eq!(guids, (0..9).map(|group| format!("g{group}")).collect::<Vec<_>>());
    for (group, told) in drift.iter().enumerate() {
        let numbers = (told["expected"].as_u64(), told["counted"].as_u64());
        assert_eq!(numbers, (Some(chat.members[group].len() as u64), Some(6)), "{told}");
    }
    assert!(server.get("/metrics").body.contains("chatfold_groups_drifted{app=\"a\"} 9\n"));
    let shown = server.get("/groups?drifted=true").body;
    assert!(shown.contains("Group 8") && !shown.contains("Group 9") && shown.contains("badge is-drift"), "{shown}");
    let page = server.get("/group?guid=g0").body;
    assert!(page.contains("<dt>Drift</dt>"), "{page}");
    let (code, table, err) = server.run(&["drift"]);
    assert!(code == 1 && table.contains("Group 8") && err.contains("9 groups have drift"), "{table}{err}");

    let (code, out, err) = server.run(&["gaps", "--json"]);
    assert_eq!(code, 0, "{err}");
    let gaps = lines(&out);
    assert_eq!(of(&gaps, "NO_SERVER").len(), 1, "{out}");
    assert_eq!(
        of(&gaps, "MESSAGE_IDS"),
        [&json!({ "gap": "MESSAGE_IDS", "appId": "a", "first": 111, "last": 120, "count": 10 })]
    );
    assert!(err.contains("only a hint"), "{err}");
    let outages = json!({ "query": "{status{outages{from until}}}" }).to_string();
    let answer = server.post("/graphql", &[support::JSON], outages).json();
    assert_eq!(answer["data"]["status"]["outages"].as_array().unwrap().len(), 1, "{answer}");
}

#[test]
fn events_that_name_a_group_and_were_not_applied_are_gaps() {
    let server = TestServer::start();
    let group = json!({ "guid": "g", "createdAt": 1_767_600_000, "updatedAt": 1_767_600_100, "membersCount": 2 });
    let actor = json!({ "uid": "boss" });
    let ban = json!({ "group": group, "members": { "boss": actor }, "by": actor });
    let nobody = json!({ "group": group, "members": {} });
    for (trigger, data) in [("group_member_banned", ban), ("group_member_added", nobody), ("message_sent", json!({}))] {
        let body = json!({ "trigger": trigger, "appId": "a", "data": data }).to_string();
        assert_eq!(server.deliver(body).status, 200);
    }
    let (code, out, err) = server.run(&["gaps", "--json"]);
    assert_eq!(code, 0, "{err}");
    let gaps = lines(&out);
    let told: Vec<(&Value, &Value)> = gaps.iter().map(|gap| (&gap["outcome"], &gap["about"][0])).collect();
    let expected = [(json!("rejected"), json!("group:g")), (json!("anomaly"), json!("group:g"))];
    assert_eq!(told, expected.iter().map(|(outcome, about)| (outcome, about)).collect::<Vec<_>>(), "{out}");
    let (_, table, _) = server.run(&["gaps"]);
    assert!(table.contains("not applied") && table.contains("group_member_banned"), "{table}");
    assert_eq!(server.run(&["gaps", "--app", "nobody"]).0, 2);
}

#[test]
fn what_was_read_makes_room_for_what_is_older() {
    let harness = Harness::new();
    let fact = |trigger: &str, data: Value| json!({ "trigger": trigger, "appId": "a", "data": data }).to_string();
    for (at, id) in [(1, 7), (2, 9)] {
        let group = json!({ "guid": format!("g{id}"), "createdAt": 1_767_600_000, "updatedAt": 1_767_600_100 });
        harness.post(&fact("group_member_added", json!({ "group": group, "members": {} })), at);
        // The message is known by its reaction alone.
        let reaction = json!({ "id": id, "messageId": id, "reaction": "x", "uid": "u", "reactedAt": 1_767_600_000 });
        harness.post(&fact("message_reaction_added", json!({ "reaction": reaction })), at);
    }
    let newest = |conn| {
        let event = gaps::not_applied(conn, "a", 1).unwrap().pop().unwrap();
        let unknown = reconcile::unknown_messages(conn, &"a".into(), 1).unwrap();
        (event.seq, unknown.into_iter().next().unwrap())
    };
    let conn = &harness.conn;
    assert_eq!(newest(conn), (3, 9));
    reconcile::verify(conn, "a", "event", &["3".to_owned()], Time(5)).unwrap();
    reconcile::ask(conn, "a", 9, 9).unwrap();
    assert_eq!(newest(conn), (1, 7));
}

#[test]
fn a_feed_that_died_is_a_gap_however_long_ago_that_was() {
    let now = chatfold::clock::now().0;
    // Triggers that came each hour, from so many hours ago until so many.
    let silent = |came: &[(&str, i64, i64)]| {
        let dir = tempfile::tempdir().unwrap();
        let (input, db) = (dir.path().join("lines.ndjson"), dir.path().join("chatfold.db"));
        let line = |trigger: &str, hour: i64| {
            let data = json!({ "user": { "uid": "u" }, "n": hour });
            let body = json!({ "trigger": trigger, "appId": "a", "data": data });
            json!({ "receivedAt": now - hour * 3_600_000, "body": body }).to_string()
        };
        let hours = came.iter().flat_map(|(trigger, from, until)| (*until..*from).map(move |hour| (hour, *trigger)));
        let mut hours: Vec<(i64, &str)> = hours.collect();
        hours.sort_by_key(|(hour, _)| -hour);
        let lines: Vec<String> = hours.into_iter().map(|(hour, trigger)| line(trigger, hour)).collect();
        std::fs::write(&input, lines.join("\n")).unwrap();
        let db = db.to_str().unwrap();
        let (code, _, err) = support::chatfold(&["ingest", input.to_str().unwrap(), "--db", db]);
        assert_eq!(code, 0, "{err}");
        let (_, out, _) = support::chatfold(&["gaps", "--json", "--db", db]);
        let found = lines_of(&out, "SILENT");
        found.iter().map(|gap| gap["trigger"].as_str().unwrap_or("all").to_owned()).collect::<Vec<_>>()
    };
    for hours in [20, 60, 5_000] {
        assert_eq!(silent(&[("user_blocked", hours + 60, hours)]), ["all"], "dead for {hours} hours");
    }
    assert_eq!(silent(&[("user_blocked", 60, 3)]), [""; 0], "a short night");
    // One trigger died, and another goes on.
    let goes_on = |hours: i64| silent(&[("user_unblocked", hours + 60, hours), ("user_blocked", hours + 60, 0)]);
    for hours in [30, 60, 120] {
        assert_eq!(goes_on(hours), ["user_unblocked"], "dead for {hours} hours");
    }
    assert_eq!(goes_on(31 * 24), [""; 0], "it was switched off");
}

fn lines_of(out: &str, kind: &str) -> Vec<Value> {
    lines(out).into_iter().filter(|gap| gap["gap"] == kind).collect()
}
