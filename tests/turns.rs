//! Turns at the readers: whoever asks waits for a reader, a flood is refused, and a slow question holds one reader.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::feed::{Client, Events, message};
use support::{Answer, JSON, TestServer};

const QUICK: &str = "{groups(first:10){nodes{guid members(first:20){nodes{user{uid name}}}}}}";
/// Two readers, of which one party has one; room for a slow question, and time for it.
const TWO_READERS: &str = "query_timeout_ms = 60000\n[graphql]\nrequests = 2\naliases = 180\nroot_fields = 180\n\
                           complexity = 10000\nsubscribers_per_token = 200";

fn token(server: &TestServer, name: &str) -> String {
    let (code, out, err) = server.run(&["token", "create", "--scope", "admin", "--name", name]);
    assert_eq!(code, 0, "{err}");
    format!("Bearer {}", out.trim())
}

fn ask(server: &TestServer, bearer: &str, accept: &str) -> Answer {
    let headers = [JSON, ("Authorization", bearer), ("Accept", accept)];
    server.post("/graphql", &headers, json!({ "query": QUICK }).to_string())
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["code"]
}

/// A websocket with this token.
fn socket(server: &TestServer, bearer: &str) -> Client {
    let mut client = Client::connect(server);
    client.say(&json!({"type": "connection_init", "payload": {"authorization": bearer}}));
    assert_eq!(client.hear()["type"], "connection_ack");
    client
}

/// Makes all that is heard slow to search: secrets are left out of each body first.
fn deliver_what_is_slow_to_search(server: &TestServer) {
    let text = "x".repeat(1_000_000);
    for id in 1..=10 {
        let body = message(id, "g").replace(&format!("no {id}"), &text);
        let body = body.replace("\"data\":{\"text\"", "\"metadata\":{\"@private\":1},\"data\":{\"text\"");
        assert_eq!(server.deliver(body).status, 200);
    }
}

/// Begins a question that goes on until it is cut off.
fn ask_slowly(client: &mut Client) {
    let search = |n| format!("a{n}:events(first:1,filter:{{bodyContains:\"nowhere\"}}){{nodes{{seq}}}}");
    let searches: Vec<String> = (0..180).map(search).collect();
    client.subscribe("slow", &format!("{{{}}}", searches.join(" ")));
}

fn cut_off(client: &mut Client) {
    client.say(&json!({"id": "slow", "type": "complete"}));
}

/// Waits until so many requests have a reader, and so many wait.
#[track_caller]
fn until(server: &TestServer, bearer: &str, busy: usize, waiting: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let lines = [format!("\nchatfold_readers_busy {busy}\n"), format!("\nchatfold_requests_waiting {waiting}\n")];
    loop {
        let metrics = server.request("GET", "/metrics", &[("Authorization", bearer)], b"").body;
        if lines.iter().all(|line| metrics.contains(line)) {
            return;
        }
        assert!(Instant::now() < deadline, "not {busy} and {waiting}: {metrics}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sixty_four_clients_of_one_token_are_all_answered() {
    let server = TestServer::with("query_timeout_ms = 60000");
    for id in 1..=20 {
        assert_eq!(server.deliver(message(id, "g")).status, 200);
    }
    let bearer = token(&server, "dashboards");
    let asks = || (0..10).map(|_| ask(&server, &bearer, "*/*")).collect::<Vec<Answer>>();
    let answers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..64).map(|_| scope.spawn(asks)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<Answer>>()
    });
    assert_eq!(answers.len(), 640);
    for answer in answers {
        let json = answer.json();
        assert!(answer.status == 200 && json["data"]["groups"]["nodes"][0]["guid"] == "g", "{json}");
    }
}

#[test]
fn a_flood_is_told_to_come_later_and_another_token_is_answered() {
    let server = TestServer::with(TWO_READERS);
    deliver_what_is_slow_to_search(&server);
    let (flooding, other) = (token(&server, "flooding"), token(&server, "other"));
    let mut slow = socket(&server, &flooding);
    ask_slowly(&mut slow);
    until(&server, &other, 1, 0);
    let mut flood: Vec<Client> = (0..100).map(|_| socket(&server, &flooding)).collect();
    for client in &mut flood {
        (0..20).for_each(|id| client.subscribe(&id.to_string(), QUICK));
    }
    until(&server, &other, 1, 1_024);
    let refused = ask(&server, &flooding, "application/json");
    assert_eq!((refused.status, code(&refused.json())), (200, &"BUSY".into()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let refused = ask(&server, &flooding, "application/graphql-response+json");
    assert_eq!((refused.status, code(&refused.json())), (503, &"BUSY".into()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let answered = ask(&server, &other, "application/graphql-response+json");
    assert_eq!((answered.status, answered.header("retry-after")), (200, None), "{}", answered.body);
    cut_off(&mut slow);
    let mut heard = (0, 0);
    for client in &mut flood {
        for _ in 0..20 {
            match client.hear() {
                error if error["type"] == "error" => {
                    assert_eq!(error["payload"][0]["extensions"]["code"], "BUSY", "{error}");
                    heard.1 += 1;
                }
                next => {
                    assert_eq!(next["payload"]["data"]["groups"]["nodes"][0]["guid"], "g", "{next}");
                    heard.0 += 1;
                    assert_eq!(client.hear()["type"], "complete");
                }
            }
        }
    }
    assert!(heard.0 >= 1_024 && heard.0 + heard.1 == 2_000, "who had a place was answered: {heard:?}");
    until(&server, &other, 0, 0);
}

#[test]
fn a_slow_question_holds_one_reader_and_others_are_answered_meanwhile() {
    let server = TestServer::with(TWO_READERS);
    deliver_what_is_slow_to_search(&server);
    let (slow_one, other) = (token(&server, "slow"), token(&server, "other"));
    let mut slow = socket(&server, &slow_one);
    ask_slowly(&mut slow);
    until(&server, &other, 1, 0);
    let mut second = socket(&server, &slow_one);
    ask_slowly(&mut second);
    until(&server, &other, 1, 1);
    for _ in 0..20 {
        let answer = ask(&server, &other, "*/*").json();
        assert_eq!(answer["data"]["groups"]["nodes"][0]["guid"], "g", "{answer}");
    }
    until(&server, &other, 1, 1);
    drop(second);
    until(&server, &other, 1, 0);
    cut_off(&mut slow);
    until(&server, &other, 0, 0);
}

#[test]
fn the_change_feed_takes_no_reader_out_of_turn() {
    let server = TestServer::with(&TWO_READERS.replace("requests = 2", "requests = 1"));
    deliver_what_is_slow_to_search(&server);
    let mut slow = Client::greeted(&server);
    ask_slowly(&mut slow);
    until(&server, "", 1, 0);
    std::thread::scope(|scope| {
        let unknown = scope.spawn(|| server.get("/changes?appId=nobody"));
        until(&server, "", 1, 1);
        cut_off(&mut slow);
        unknown.join().unwrap().problem(404);
    });
}

#[test]
fn pages_wait_among_the_questions_and_the_change_feed_does_not() {
    let server = TestServer::with(TWO_READERS);
    deliver_what_is_slow_to_search(&server);
    let mut slow = Client::greeted(&server);
    ask_slowly(&mut slow);
    until(&server, "", 1, 0);
    std::thread::scope(|scope| {
        let page = scope.spawn(|| server.get("/groups"));
        until(&server, "", 1, 1);
        assert_eq!(Events::follow(&server, "/changes?afterSeq=0", "").next().0, 1);
        until(&server, "", 1, 1);
        cut_off(&mut slow);
        assert_eq!(page.join().unwrap().status, 200);
    });
}
