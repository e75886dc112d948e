//! Secrets of payloads leave by no door, however their keys are spelled and wherever they lie.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use harness::{Harness, NOON};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::{JSON, TestServer, chatfold};

const APP: &str = "vault";
/// What no answer may hold.
const CANARY: &str = "kanarie";
const SENT: i64 = NOON / 1000;

/// Custom data with a secret under each spelling of its key, and beside it something that is shown.
fn spellings() -> Vec<Value> {
    let keys = [
        "@private",
        "@Private",
        "@PRIVATE",
        "@_pri-vate",
        "@ private",
        "wsChannel",
        "wschannel",
        "ws_channel",
        "WS-Channel",
        "ws channel",
        "wsChannel.auth.secret",
        "metadata.@private.email",
    ];
    let values = [json!({ "auth": { "secret": CANARY }, "identity": CANARY }), json!([CANARY]), json!(CANARY)];
    keys.iter().zip(values.iter().cycle()).map(|(key, value)| json!({ *key: value, "shown": 1 })).collect()
}

/// The same data, as deliveries carry custom data: a map, a text, a text in a text, and the like.
fn forms(data: &Value) -> Vec<Value> {
    let text = data.to_string();
    vec![
        data.clone(),
        json!([{ "deep": data }]),
        json!(text),
        json!(format!(" \u{feff}\n{text}\t")),
        json!(json!([data, text]).to_string()),
        json!(json!({ "a": json!({ "b": text }).to_string() }).to_string()),
        json!(json!(text).to_string()),
        json!({ text.as_str(): 1 }),
        // Each letter of the key as an escape.
        json!(text.replace("private", r"\u0070rivate").replace("hannel", r"\u0068annel")),
    ]
}

fn message(id: usize, data: &Value) -> Value {
    json!({
        "id": id.to_string(), "sender": "ann", "receiverType": "user", "receiver": "bob", "category": "custom",
        "type": "order", "sentAt": SENT + id as i64, "data": data,
    })
}

fn delivery(trigger: &str, data: &Value) -> String {
    json!({ "trigger": trigger, "appId": APP, "data": data }).to_string()
}

/// Every place in which a delivery may carry such data.
fn places(data: &Value) -> Vec<String> {
    let user =
        json!({ "uid": "ann", "name": data, "statusMessage": data, "metadata": data, "link": data, "tags": [data] });
    let entity = |entity: Value| json!({ "entity": entity });
    let quoted = message(1, &json!({ "text": data, "metadata": data }));
    let mut edited = message(2, &json!({ "text": data, "metadata": data, "customData": data }));
    edited["editedAt"] = json!(SENT + 60);
    let action = json!({
        "id": "900", "category": "action", "type": "message", "sender": "ann", "receiverType": "user", "receiver": "bob",
        "sentAt": SENT + 90, "data": { "action": "edited", "entities": { "on": entity(edited.clone()), "by": entity(user.clone()) } },
    });
    let rich = json!({
        "text": data, "metadata": data, "customData": data, "interactiveData": data, "resource": data, "url": data,
        "attachments": [{ "name": data, "url": data, "extension": data, "mimeType": data, "size": 1 }],
        "mentions": { "bob": user }, "quotedMessage": quoted,
        "entities": { "sender": entity(user.clone()), "receiver": entity(json!({ "uid": "bob", "metadata": data })) },
    });
    let call = json!({
        "id": "901", "category": "call", "type": "audio", "sender": "ann", "receiverType": "user", "receiver": "bob",
        "sentAt": SENT + 100, "data": { "action": "initiated", "metadata": data, "wsChannel": data,
        "entities": { "on": entity(json!({ "sessionid": "s1", "status": "initiated", "initiatedAt": SENT + 100,
            "data": { "metadata": data }, "wsChannel": { "secret": CANARY } })) } },
    });
    let group = json!({ "guid": "g", "name": data, "description": data, "metadata": data, "icon": data, "tags": [data], "updatedAt": SENT });
    let mut tagged = message(4, &rich);
    tagged["tags"] = json!([data]);
    tagged["muid"] = data.clone();
    vec![
        delivery("message_sent", &json!({ "message": message(2, &rich) })),
        delivery(
            "message_sent",
            &json!({ "message": message(3, &json!({ "text": "plain", "quotedMessage": quoted })) }),
        ),
        delivery("message_sent", &json!({ "message": tagged })),
        delivery("message_edited", &json!({ "message": edited })),
        delivery("message_edited", &json!({ "message": action })),
        delivery("message_sent", &json!({ "message": action })),
        delivery("call_initiated", &json!({ "call": call })),
        delivery("recording_generated", &json!({ "sessionId": "s1", "recording_url": data, "startTime": SENT + 110 })),
        delivery(
            "transcription_generated",
            &json!({ "sessionId": "s1", "tid": "t", "transcript_url": data, "startTime": SENT }),
        ),
        delivery("group_updated", &json!({ "group": group, "updatedBy": user })),
        delivery("group_member_joined", &json!({ "group": group, "members": { "ann": user }, "x": data })),
        delivery(
            "user_blocked",
            &json!({ "user": user, "blockedUsers": { "bob": user }, "by": user, "users": { "bob": user } }),
        ),
        delivery(
            "moderation_engine_failed",
            &json!({ "resource": message(2, &rich), "failures": [{ "errorMessage": data }] }),
        ),
        delivery(
            "moderation_engine_blocked",
            &json!({ "message": message(4, &rich), "moderation": [{ "rule": { "id": data, "blockedAt": SENT } }] }),
        ),
        delivery("of_tomorrow", data),
        delivery("after_campaign_failed", &json!({ "completedAt": SENT, "detail": data })),
        // Nothing names its entity: dead letters.
        delivery("group_updated", &json!({ "group": { "name": data, "metadata": data } })),
        delivery("group_created", &json!({ "group": { "guid": data, "createdAt": SENT } })),
        // Where an object is expected: its key is told as the reason.
        delivery(
            "message_sent",
            &json!({ "message": message(5, &json!({ "text": "x", "attachments": { data.to_string(): 1, data.as_str().unwrap_or("k"): 1 } })) }),
        ),
        json!({ "trigger": data.to_string(), "appId": APP, "region": data, "webhook": data, "data": {} }).to_string(),
    ]
}

const ASKED: [&str; 3] = [
    "{ events(first: 200) { nodes { trigger region webhookId reason body bodyError entities { name } } pageInfo { hasNextPage } }
       apps { triggers(hours: 72) { trigger } } }",
    "{ messages(first: 120, filter: { includeDeleted: true, includeBlocked: true }) { nodes {
        messageId muid type tags text originalText data metadata attachments { name url extension mimeType }
        edits { text } quoted { text data metadata } moderation { rule failure } mentions { uid } } } }",
    "{ users { nodes { uid name avatar link role statusMessage tags metadata } }
       groups { nodes { guid name icon description tags metadata } }
       conversations { nodes { conversationId lastMessage { text data } } }
       callSessions { nodes { sessionId recordings { url } transcripts { url } } } }",
];

fn ask(server: &TestServer, query: &str) -> Value {
    let answer = server.post("/graphql", &[JSON], json!({ "query": query }).to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[track_caller]
fn assert_silent(door: &str, said: &str) {
    let at = said.find(CANARY);
    let around = at.map(|at| &said[said.floor_char_boundary(at.saturating_sub(400))..at + CANARY.len()]);
    assert!(at.is_none(), "{door} says {}", around.unwrap_or_default());
}

/// Walks through every door of a server, and of its file but for the log's bytes.
fn assert_nothing_leaves(server: &TestServer) {
    for query in ASKED {
        let answer = ask(server, query);
        assert!(answer.get("errors").is_none(), "{answer:#}");
        assert!(!answer.to_string().contains("\"hasNextPage\":true"), "all events are asked for");
        assert_silent("GraphQL", &answer.to_string());
    }
    let answer = ask(server, "{ apps { appId } }");
    let mut doors: Vec<(String, String)> = Vec::new();
    for args in [
        &["events", "--json", "--limit", "1000"][..],
        &["events", "--limit", "1000"],
        &["verify"],
        &["inspect", "--json"],
    ] {
        let (code, out, err) = server.run(args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        doors.push((args.join(" "), out + &err));
    }
    for entity in [
        "message:1",
        "message:2",
        "message:3",
        "message:4",
        "message:5",
        "user:ann",
        "user:bob",
        "group:g",
        "membership:g/ann",
        "call:s1",
    ] {
        for args in [&["explain", entity][..], &["explain", entity, "--json"], &["explain", entity, "--all"]] {
            let (_, out, err) = server.run(args);
            doors.push((args.join(" "), out + &err));
        }
        doors.push((
            format!("explain {entity}"),
            ask(server, &format!("{{ explain(entity: \"{entity}\") }}")).to_string(),
        ));
        doors.push((format!("/why {entity}"), server.get(&format!("/why?entity={entity}")).body));
    }
    let newest: usize = answer["extensions"]["chatfold"]["seq"].as_str().unwrap().parse().unwrap();
    let pages = [
        "/",
        "/groups",
        "/group?guid=g",
        "/users",
        "/user?uid=ann",
        "/conversations",
        "/conversation?conversationId=ann_user_bob",
        "/message?messageId=2",
        "/message?messageId=4",
        "/calls",
        "/call?sessionId=s1",
        "/events",
        "/search?q=shown",
    ];
    doors.extend(pages.iter().map(|path| ((*path).to_owned(), server.get(path).body)));
    doors.extend(
        (1..=newest).map(|seq| (format!("/event?seq={seq}"), server.get(&format!("/event?seq={seq}&whole=true")).body)),
    );
    doors.push(("the server's log".to_owned(), server.log()));
    let conn = rusqlite::Connection::open_with_flags(server.db(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut names = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT IN ('events', 'refused') AND name NOT GLOB 'sqlite_*'")
        .unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let mut statement = conn.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut all = String::new();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..width {
                let bytes = match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => bytes,
                    _ => continue,
                };
                all.push_str(&String::from_utf8_lossy(bytes));
                all.push('\n');
            }
        }
        doors.push((name, all));
    }
    for (door, said) in &doors {
        assert_silent(door, said);
    }
    // Nor is it confirmed to who guesses.
    for guess in ["\\\"ka", "kan", CANARY] {
        let found = ask(server, &format!("{{ events(filter: {{ bodyContains: \"{guess}\" }}) {{ totalCount }} }}"));
        assert_eq!(found["data"]["events"]["totalCount"], 0, "{guess}: {found}");
    }
    let found = ask(server, &format!("{{ messages(filter: {{ search: \"{CANARY}\" }}) {{ nodes {{ messageId }} }} }}"));
    assert_eq!(found["data"]["messages"]["nodes"], json!([]));
}

#[test]
fn no_spelling_of_a_secret_leaves_by_any_door() {
    let server = TestServer::start();
    let mut id = 100;
    for data in spellings() {
        for form in forms(&data) {
            id += 1;
            let told = json!({ "text": "plain", "metadata": form, "customData": form });
            let body = delivery("message_sent", &json!({ "message": message(id, &told) }));
            assert!(body.contains(CANARY));
            assert_eq!(server.deliver(body).header("chatfold-outcome"), Some("applied"));
        }
    }
    assert!(id - 100 <= 200, "one page holds them all");
    assert_nothing_leaves(&server);
    let shown = ask(&server, "{ messages(first: 200) { nodes { metadata } } }")["data"]["messages"]["nodes"].clone();
    let kept = shown.as_array().unwrap().iter().filter(|it| it.to_string().contains("shown")).count();
    assert_eq!(kept, spellings().len() * 8, "what is no secret stays; of a key that is JSON nothing does");
}

#[test]
fn wherever_a_payload_carries_it_a_secret_stays_in_the_log() {
    let data = json!({ "@private": { "email": CANARY }, "wsChannel": { "identity": CANARY }, "shown": 1 });
    // As a map, as a text, as a text in a text, as the key of a map.
    for form in forms(&data).into_iter().enumerate().filter(|(at, _)| [0, 2, 4, 7].contains(at)).map(|(_, form)| form) {
        let server = TestServer::start();
        let mut outcomes = BTreeSet::new();
        for body in places(&form) {
            let answer = server.deliver(&body);
            assert_eq!(answer.status, 200, "{body}");
            outcomes.insert(answer.header("chatfold-outcome").unwrap().to_owned());
        }
        assert!(outcomes.len() >= 3, "{outcomes:?}");
        assert_nothing_leaves(&server);
        let conn = rusqlite::Connection::open(server.db()).unwrap();
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let marked = count("SELECT count(*) FROM events WHERE has_secret");
        assert_eq!(
            count(&format!("SELECT count(*) FROM events WHERE body LIKE '%{CANARY}%'")),
            marked,
            "the log keeps them"
        );
        assert!(marked >= 18, "{marked}");
    }
}

#[test]
fn a_text_that_is_json_is_shown_as_a_text_without_its_secret() {
    let server = TestServer::start();
    let private = r#"{"orderId":"88","@private":{"iban":"kanarie"}}"#;
    let data = json!({ "customData": "{\"orderId\": \"88\"}", "metadata": private, "text": "Order 88", "note": "{no JSON, @private}" });
    server.deliver(delivery("message_sent", &json!({ "message": message(7, &data) })));
    let answer = ask(&server, "{ message(messageId: \"7\") { text metadata data } events { nodes { body } } }");
    let shown = &answer["data"]["message"];
    assert_eq!(shown["metadata"], r#"{"orderId":"88"}"#);
    assert_eq!(shown["data"]["customData"], "{\"orderId\": \"88\"}", "a text without secrets stays as it came");
    assert_eq!(shown["data"]["note"], "{no JSON, @private}");
    assert_eq!(shown["text"], "Order 88");
    let body = &answer["data"]["events"]["nodes"][0]["body"]["data"]["message"]["data"];
    assert_eq!(body["metadata"], r#"{"orderId":"88"}"#);
}

#[test]
fn an_id_that_holds_a_secret_is_no_id() {
    let harness = Harness::new();
    let guid = format!("{{\"@private\":\"{CANARY}\"}}");
    harness.post(&delivery("group_created", &json!({ "group": { "guid": guid, "createdAt": SENT } })), NOON);
    assert_eq!(harness.ask("SELECT outcome FROM events"), "rejected");
    assert_eq!(harness.ask("SELECT count(*) FROM groups"), "0");
    // An id that is JSON, and holds none, is legal.
    harness.post(&delivery("group_created", &json!({ "group": { "guid": "{\"a\":1}", "createdAt": SENT } })), NOON);
    assert_eq!(harness.ask("SELECT guid FROM groups"), "{\"a\":1}");
}

#[test]
fn rows_marked_by_an_older_rule_are_not_damaged_and_a_rebuild_marks_them() {
    let dir = tempfile::tempdir().unwrap();
    let (db, file) = (dir.path().join("chatfold.db"), dir.path().join("one.json"));
    let db = db.to_str().unwrap();
    let text = format!("{{\"@private\":\"{CANARY}\"}}");
    std::fs::write(&file, delivery("message_sent", &json!({ "message": message(1, &json!({ "metadata": text })) })))
        .unwrap();
    assert_eq!(chatfold(&["ingest", "--db", db, file.to_str().unwrap()]).0, 0);
    let conn = rusqlite::Connection::open(db).unwrap();
    conn.execute("UPDATE events SET has_secret = 0", []).unwrap();
    let (code, out, err) = chatfold(&["verify", "--json", "--db", db]);
    let verified: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &verified["damaged"], &verified["differences"]), (0, &json!([]), &json!([])), "{out}{err}");
    assert_eq!(verified["markedOtherwise"], 1, "{out}");
    let (_, out, _) = chatfold(&["verify", "--db", db]);
    assert!(out.contains("clean") && out.contains("1 event is marked"), "{out}");
    assert_eq!(chatfold(&["rebuild", "--db", db]).0, 0);
    let body: Option<String> = conn.query_row("SELECT body FROM v_events", [], |row| row.get(0)).unwrap();
    let marked: i64 = conn.query_row("SELECT has_secret FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!((body, marked), (None, 1));
    let (_, out, _) = chatfold(&["verify", "--json", "--db", db]);
    assert!(out.contains("\"markedOtherwise\":0"), "{out}");
}

#[test]
fn a_row_marked_by_an_older_rule_confirms_no_guess_either() {
    let server = TestServer::start();
    let text = format!("{{\"@private\":\"{CANARY}\"}}");
    server.deliver(delivery("message_sent", &json!({ "message": message(1, &json!({ "metadata": text })) })));
    let conn = rusqlite::Connection::open(server.db()).unwrap();
    conn.execute("UPDATE events SET has_secret = 0", []).unwrap();
    let count = |text: &str| {
        ask(&server, &format!("{{ events(filter: {{ bodyContains: \"{text}\" }}) {{ totalCount }} }}"))["data"]["events"]["totalCount"].clone()
    };
    assert_eq!((count(CANARY), count("message_sent")), (json!(0), json!(1)));
}

#[test]
fn verify_tells_a_difference_without_secrets() {
    let harness = Harness::new();
    harness.post(&delivery("group_created", &json!({ "group": { "guid": "g", "createdAt": SENT } })), NOON);
    let text = format!("{{\"@private\":\"{CANARY}\",\"shown\":1}}");
    harness.conn.execute("UPDATE groups SET metadata = ?1", [&text]).unwrap();
    let told = format!("{:?}", harness.verify().differences);
    assert!(told.contains("metadata") && told.contains("shown") && !told.contains(CANARY), "{told}");
    harness.conn.execute("UPDATE groups SET metadata = NULL", []).unwrap();
}
