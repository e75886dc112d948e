//! The change feed, by websocket and by Server-Sent Events: no gap, no repeat, in the order of the log.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use support::TestServer;
use support::feed::{Client, Events, message};
use tungstenite::Message;

#[test]
fn a_subscription_catches_up_and_goes_live() {
    let server = TestServer::start();
    for id in 1..=250 {
        server.deliver(message(id, "g"));
    }
    let mut client = Client::greeted(&server);
    client.subscribe(
        "1",
        "subscription { changes(afterSeq: \"0\") { seq trigger nodes { id ... on Message { text sender { uid } } } } }",
    );
    let first = client.hear();
    assert_eq!(first["payload"]["data"]["changes"]["nodes"][0]["text"], "no 1", "{first}");
    assert_eq!(first["payload"]["data"]["changes"]["nodes"][0]["sender"]["uid"], "u1");
    assert_eq!((2..=250).map(|_| client.seq()).collect::<Vec<_>>(), (2..=250).collect::<Vec<_>>());
    server.deliver(message(251, "g"));
    server.deliver(message(251, "g"));
    server.deliver(r#"{"trigger":"of_tomorrow","appId":"a","data":{}}"#);
    server.deliver(message(252, "g"));
    assert_eq!((client.seq(), client.seq()), (251, 254), "duplicates and ignored events are no changes");
    client.say(&json!({"id": "1", "type": "complete"}));
    client.subscribe("2", "{ apps { appId } }");
    assert_eq!(client.hear()["payload"]["data"]["apps"][0]["appId"], "a", "queries are answered too");
    assert_eq!(client.hear(), json!({"id": "2", "type": "complete"}));
}

#[test]
fn a_subscription_without_app_stays_with_its_app_when_the_file_hears_of_a_second_one() {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let mut client = Client::greeted(&server);
    client.subscribe("1", "subscription { changes(afterSeq: \"0\") { seq } }");
    assert_eq!(client.seq(), 1);
    server.deliver(message(2, "g").replace("\"appId\":\"a\"", "\"appId\":\"b\""));
    server.deliver(message(3, "g"));
    assert_eq!(client.seq(), 3);
    client.subscribe("2", "subscription { changes { seq } }");
    let refused = client.hear().to_string();
    assert!(refused.contains("APP_ID_REQUIRED"), "who begins now has to say which app: {refused}");
}

#[test]
fn without_a_position_it_begins_now_and_filters_narrow() {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let mut client = Client::greeted(&server);
    client.subscribe("all", "subscription { changes(appId: \"a\") { seq } }");
    let quoted = |filter: &str| format!("subscription {{ changes(afterSeq: \"1\", filter: {{{filter}}}) {{ seq }} }}");
    for (id, filter) in [
        ("guid", "guid: \"h\""),
        ("uid", "uid: \"u2\""),
        ("conversation", "conversationId: \"group_h\""),
        ("trigger", "triggers: [\"message_edited\"]"),
    ] {
        client.subscribe(id, &quoted(filter));
    }
    std::thread::sleep(Duration::from_millis(300));
    server.deliver(message(2, "g"));
    server.deliver(message(3, "h"));
    let mut heard: Vec<(String, String)> = (0..5)
        .map(|_| {
            let heard = client.hear();
            let seq = heard["payload"]["data"]["changes"]["seq"].as_str().unwrap().to_owned();
            (heard["id"].as_str().unwrap().to_owned(), seq)
        })
        .collect();
    heard.sort();
    let expected = [("all", "2"), ("all", "3"), ("conversation", "3"), ("guid", "3"), ("uid", "2")];
    assert_eq!(heard, expected.map(|(id, seq)| (id.to_owned(), seq.to_owned())));
}

#[test]
fn no_gap_and_no_repeat_whatever_happens_to_the_connection() {
    let mut server = Some(TestServer::start());
    let mut seen: Vec<i64> = Vec::new();
    let mut id = 0;
    for round in 0..12 {
        let now = server.as_ref().unwrap();
        let mut client = Client::greeted(now);
        let after = seen.last().copied().unwrap_or(0);
        client.subscribe("1", &format!("subscription {{ changes(appId: \"a\", afterSeq: \"{after}\") {{ seq }} }}"));
        for _ in 0..40 {
            id += 1;
            assert_eq!(now.deliver(message(id, "g")).status, 200);
        }
        // Cut somewhere in the middle of what was posted.
        seen.extend((0..(round * 7) % 40 + 1).map(|_| client.seq()));
        drop(client);
        if round % 4 == 3 {
            let dir = server.take().unwrap().dir();
            server = Some(TestServer::within(dir, ""));
        }
    }
    let expected: Vec<i64> = (1..=seen.len() as i64).collect();
    assert_eq!(seen, expected);
}

#[test]
fn what_is_no_graphql_transport_ws_is_closed_with_its_number() {
    let server = TestServer::start();
    let mut client = Client::connect(&server);
    client.subscribe("1", "{ apps { appId } }");
    assert_eq!(client.closed(), 4401);
    let mut client = Client::greeted(&server);
    client.0.send(Message::text("{")).unwrap();
    assert_eq!(client.closed(), 4400);
    let mut client = Client::greeted(&server);
    client.say(&json!({"type": "connection_init"}));
    assert_eq!(client.closed(), 4429);
    let mut client = Client::greeted(&server);
    client.subscribe("1", "subscription { changes(appId: \"a\") { seq } }");
    client.subscribe("1", "subscription { changes(appId: \"a\") { seq } }");
    assert_eq!(client.closed(), 4409);
    let mut client = Client::connect(&server);
    assert_eq!(client.closed(), 4408, "no hello");
}

#[test]
fn errors_of_a_subscription_are_told_and_end_it() {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let mut client = Client::greeted(&server);
    for (query, told) in [
        ("subscription { changes(afterSeq: \"99\") { seq } }", "afterSeq"),
        ("subscription { changes(appId: \"nobody\", afterSeq: \"-1\") { seq } }", "afterSeq"),
        ("subscription { nothing }", "nothing"),
        ("subscription {", "expected"),
    ] {
        client.subscribe("1", query);
        let heard = client.hear();
        assert_eq!((&heard["type"], &heard["id"]), (&"error".into(), &"1".into()), "{heard}");
        assert!(heard["payload"][0]["message"].as_str().unwrap().contains(told), "{heard}");
    }
}

#[test]
fn a_stopping_server_says_goodbye_at_once() {
    let mut server = TestServer::start();
    let mut client = Client::greeted(&server);
    let begun = std::time::Instant::now();
    assert!(server.sigterm().success());
    assert!(begun.elapsed() < Duration::from_secs(3), "a socket must not hold up the stop");
    assert_eq!(client.closed(), 1001);
}

#[test]
fn the_same_feed_comes_as_server_sent_events() {
    let server = TestServer::start();
    for id in 1..=5 {
        server.deliver(message(id, "g"));
    }
    let mut events = Events::follow(&server, "/changes?afterSeq=0", "");
    let (id, data) = events.next();
    assert_eq!((id, &data["trigger"], &data["seq"]), (1, &"message_sent".into(), &"1".into()));
    assert_eq!(data["nodes"].as_array().unwrap().len(), 1);
    assert_eq!((2..=5).map(|_| events.next().0).collect::<Vec<_>>(), [2, 3, 4, 5]);
    server.deliver(message(6, "g"));
    assert_eq!(events.next().0, 6);
    let mut again = Events::follow(&server, "/changes?afterSeq=0", "Last-Event-ID: 4\r\n");
    assert_eq!((again.next().0, again.next().0), (5, 6), "the client's last id wins");
}

#[test]
fn a_wrong_question_to_the_feed_is_a_problem() {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    for (path, told) in
        [("/changes?afterSeq=x", "afterSeq"), ("/changes?afterSeq=7", "afterSeq"), ("/changes?nonsense=1", "nonsense")]
    {
        assert!(server.get(path).problem(400).contains(told), "{path}");
    }
    assert!(server.get("/changes?appId=nobody").problem(404).contains("appId"));
    assert!(server.request("POST", "/changes", &[], b"{}").status == 405);
    let (_, bound, _) = server.run(&["token", "create", "--name", "bound", "--app", "another"]);
    let bearer = format!("Bearer {}", bound.trim());
    for app in ["nobody", "app"] {
        let path = format!("/changes?appId={app}");
        let refused = server.request("GET", &path, &[("Authorization", &bearer)], b"");
        assert!(refused.problem(403).contains("appId"), "another app is not revealed, nor that there is none: {app}");
    }
}

#[test]
fn an_idle_subscriber_costs_no_file_connection() {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let clients: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = Client::greeted(&server);
            client.subscribe("1", "subscription { changes(afterSeq: \"0\") { seq } }");
            assert_eq!(client.seq(), 1);
            client
        })
        .collect();
    let server = Arc::new(server);
    assert_eq!(
        server.post("/graphql", &[support::JSON], r#"{"query":"{apps{appId}}"}"#).json()["data"]["apps"][0]["appId"],
        "a"
    );
    server.deliver(message(2, "g"));
    for mut client in clients {
        assert_eq!(client.seq(), 2);
    }
}

#[test]
fn a_subscriber_sees_the_apps_of_its_token_only_and_nothing_once_it_is_revoked() {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let (_, token, _) = server.run(&["token", "create", "--name", "a", "--app", "a"]);
    let (_, other, _) = server.run(&["token", "create", "--name", "b", "--app", "b"]);
    let hello = |token: &str| {
        let mut client = Client::connect(&server);
        client
            .say(&json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {}", token.trim())}}));
        client
    };
    assert_eq!(hello("cf_nonsense").closed(), 4403);
    let mut none = Client::connect(&server);
    none.say(&json!({"type": "connection_init"}));
    assert_eq!(none.closed(), 4403, "no token");
    let mut foreign = hello(&other);
    assert_eq!(foreign.hear()["type"], "connection_ack");
    foreign.subscribe("1", "subscription { changes(appId: \"a\", afterSeq: \"0\") { seq } }");
    assert_eq!(foreign.hear()["payload"][0]["extensions"]["code"], "FORBIDDEN");
    server.request("GET", "/changes?afterSeq=0", &[], b"").problem(401);
    let mut client = hello(&token);
    assert_eq!(client.hear()["type"], "connection_ack");
    client.subscribe("1", "subscription { changes(afterSeq: \"0\") { seq } }");
    assert_eq!(client.seq(), 1);
    assert_eq!(server.run(&["token", "revoke", "a"]).0, 0);
    assert_eq!(client.closed(), 4403, "open sockets end too");
}

#[test]
fn a_group_is_not_taken_for_a_conversation_whose_id_looks_like_its_own() {
    let server = TestServer::start();
    let private = message(1, "zoe").replace("\"u1\"", "\"group_7\"").replace("\"group\"", "\"user\"");
    for body in [private, message(2, "7_user_zoe")] {
        assert_eq!(server.deliver(body).status, 200);
    }
    let mut events = Events::follow(&server, "/changes?afterSeq=0&guid=7_user_zoe", "");
    assert_eq!(events.next().0, 2, "the first is one to one");
}

#[test]
fn the_feed_names_the_instance_that_a_session_id_gives() {
    let server = TestServer::start();
    let started = |trigger: &str| {
        format!(r#"{{"trigger":"{trigger}","appId":"a","data":{{"sessionId":"s","created_at":1767614400000}}}}"#)
    };
    for trigger in ["call_started", "meeting_started"] {
        assert_eq!(server.deliver(started(trigger)).status, 200);
    }
    let body = json!({"query": "{callSession(sessionId:\"s\"){id}}"}).to_string();
    let shown = server.post("/graphql", &[support::JSON], body).json();
    let (_, data) = Events::follow(&server, "/changes?afterSeq=0", "").next();
    assert_eq!(data["nodes"][0], shown["data"]["callSession"]["id"], "{shown}");
}

#[test]
fn of_two_hundred_who_follow_groups_only_those_of_the_group_hear_its_changes() {
    let server = TestServer::start();
    server.deliver(message(1, "g0"));
    let follow = |n| Events::follow(&server, &format!("/changes?guid=g{n}&afterSeq=1"), "");
    let mut all: Vec<Events> = (0..200).map(follow).collect();
    for id in 2..=6 {
        server.deliver(message(id, "g7"));
    }
    assert_eq!((2..=6).map(|_| all[7].next().0).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    for n in 0..200 {
        server.deliver(message(7 + n, &format!("g{n}")));
    }
    let first: Vec<i64> = all.iter_mut().map(|events| events.next().0).collect();
    assert_eq!(first, (7..207).collect::<Vec<_>>(), "each hears of its own group first");
}
