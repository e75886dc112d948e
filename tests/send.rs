//! `chatfold send`: deliveries as CometChat sends them, to a real server and to receivers that misbehave.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use support::feed::message;
use support::tls::Pair;
use support::{TestServer, basic, chatfold, verified};

const STORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stories/first_steps");

/// Sends to an address: exit code, the summary, stderr.
fn send(to: SocketAddr, args: &[&str]) -> (i32, Value, String) {
    let to = format!("http://{to}");
    let (code, out, err) = chatfold(&[&["send", "--json", "--to", &to], args].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")), err)
}

/// Answers by status and outcome.
fn answers(summary: &Value) -> BTreeMap<String, u64> {
    let of = |it: &Value| {
        (format!("{} {}", it["status"], it["outcome"].as_str().unwrap_or("-")), it["count"].as_u64().unwrap())
    };
    summary["answers"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn the_demo_is_sent_without_any_argument_but_the_address() {
    let server = TestServer::start();
    let (code, summary, err) = send(server.address, &[]);
    assert_eq!(
        (code, summary["deliveries"].as_u64(), summary["failed"].as_u64()),
        (0, Some(74), Some(0)),
        "{summary} {err}"
    );
    let other = TestServer::with_story("demo");
    let hash = |server: &TestServer| server.run(&["inspect", "--json"]).1;
    let state = |text: String| serde_json::from_str::<Value>(&text).unwrap()["apps"].as_array().unwrap().len();
    assert_eq!(state(hash(&server)), state(hash(&other)));
    let (code, again, _) = send(server.address, &[]);
    // An equal fact without a time may be a new one, where another lies between.
    assert!(code == 0 && answers(&again)["200 duplicate"] > 70, "{again}");
}

#[test]
fn an_export_is_played_in_the_order_in_which_it_was_received() {
    let from = TestServer::with_story("first_steps");
    let (_, export, _) = from.run(&["events", "--json"]);
    assert!(export.lines().next().unwrap().contains("group_member_banned"), "newest first");
    let file = from.dir().path().join("export.ndjson");
    std::fs::write(&file, &export).unwrap();
    let to = TestServer::start();
    let (code, summary, err) = send(to.address, &[file.to_str().unwrap(), "--speed", "1000"]);
    assert_eq!((code, answers(&summary)), (0, BTreeMap::from([("200 applied".into(), 5)])), "{err}");
    let order = |server: &TestServer| {
        let lines = server.run(&["events", "--json"]).1;
        let triggers = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["trigger"].clone());
        triggers.collect::<Vec<_>>()
    };
    assert_eq!(order(&from), order(&to));
}

#[test]
fn faults_duplicates_disorder_and_second_webhooks_leave_each_fact_once() {
    let server = TestServer::start();
    let file = server.dir().path().join("messages.ndjson");
    let lines: Vec<String> = (1..=30).map(|n| message(n, "g")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let wildly = ["--faults", "0.3", "--duplicates", "0.5", "--second-webhook", "--reorder", "9", "--speed", "1000"];
    let (code, summary, err) = send(server.address, &[&[file.to_str().unwrap(), "--seed", "3"], &wildly[..]].concat());
    let number = |key: &str| summary[key].as_u64().unwrap();
    assert!(number("broken") > 0 && number("attempts") > number("deliveries"), "{summary} {err}");
    assert!(answers(&summary).contains_key("200 duplicate"), "{summary}");
    assert_eq!(code, i32::from(number("failed") > 0), "{summary}");
    let events = server.run(&["events", "--json", "--limit", "1000"]).1;
    assert_eq!(events.lines().count(), 30, "{summary}");
    verified(&server.db());
}

#[test]
fn copies_are_apps_of_their_own() {
    let server = TestServer::start();
    let (code, summary, _) = send(server.address, &[STORY, "--copies", "3", "--at-once", "4"]);
    assert_eq!((code, answers(&summary).values().sum::<u64>()), (0, 15), "{summary}");
    let apps = server.post("/graphql", &[support::JSON], r#"{"query":"{apps{appId}}"}"#).json();
    assert_eq!(apps["data"]["apps"].as_array().map(Vec::len), Some(3), "{apps}");
}

/// A receiver that gives these answers, one a request, and keeps the heads of the requests.
fn receiver(answers: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&heads);
    std::thread::spawn(move || {
        for answer in answers {
            let mut stream = listener.accept().unwrap().0;
            kept.lock().unwrap().push(head(&mut stream));
            if answer.is_empty() {
                // Never answered.
                std::thread::spawn(move || stream.read(&mut [0; 1]));
                continue;
            }
            let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
        }
    });
    (address, heads)
}

/// A whole request, of which the head is kept.
fn head(stream: &mut TcpStream) -> String {
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.to_lowercase().split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            return head.to_owned();
        }
    }
}

fn one() -> String {
    format!("{STORY}/01-group_created.json")
}

#[test]
fn an_attempt_that_fails_is_repeated_twice_and_no_more() {
    let (address, heads) = receiver(&["503 Busy", "", "200 OK"]);
    let (code, summary, _) = send(address, &[&one(), "--speed", "100"]);
    assert_eq!((code, &summary["attempts"], &summary["failed"]), (0, &3.into(), &0.into()), "{summary}");
    assert_eq!(heads.lock().unwrap().len(), 3);
    let (address, _) = receiver(&["503 Busy", "500 Wrong", "503 Busy", "200 OK"]);
    let (code, summary, _) = send(address, &[&one(), "--speed", "100"]);
    assert_eq!((code, &summary["attempts"], &summary["failed"]), (1, &3.into(), &1.into()), "{summary}");
}

#[test]
fn a_refusal_is_not_repeated_and_its_cause_is_told() {
    let server = TestServer::with("webhook_username = \"vendor\"\nwebhook_password = \"sesame\"");
    let (code, summary, err) = send(server.address, &[&one()]);
    assert_eq!((code, &summary["attempts"], answers(&summary)), (1, &1.into(), BTreeMap::from([("401 -".into(), 1)])));
    assert!(err.contains("CHATFOLD_WEBHOOK_USERNAME"), "{err}");
    let to = format!("http://{}", server.address);
    let (code, out, err) = server.run(&["send", &one(), "--to", &to]);
    assert_eq!(code, 0, "with the configuration file of the server: {out}{err}");
    assert!(out.contains("applied") && out.contains("1 delivery in ") && out.contains(" 1 attempt, "), "{out}");
}

#[test]
fn a_request_looks_like_one_of_cometchat() {
    let (address, heads) = receiver(&["200 OK"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chatfold.toml");
    std::fs::write(&file, "webhook_username = \"u\"\nwebhook_password = \"p\"").unwrap();
    assert_eq!(send(address, &[&one(), "--config", file.to_str().unwrap()]).0, 0);
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /webhooks/cometchat HTTP/1.1\r\n"), "{head}");
    let lines: Vec<(String, &str)> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    let value = |name: &str| lines.iter().find(|(it, _)| it == name).map(|(_, value)| *value);
    assert_eq!(value("content-type"), Some("Application/json"));
    assert_eq!(value("authorization"), Some(&basic("u:p")[..]));
}

#[test]
fn an_address_where_nothing_listens_is_told_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = chatfold(&["send", "--to", &address.to_string()]);
    assert!(
        code == 1 && out.is_empty() && err.contains("cannot send to http://") && err.contains("nothing listens there"),
        "{out}{err}"
    );
    let (code, _, err) = chatfold(&["send", "--to", "http://user:secret@127.0.0.1"]);
    assert!(code == 2 && err.contains("--to holds a username") && !err.contains("secret"), "{err}");
    let (code, _, err) = chatfold(&["send", "/nothing"]);
    assert!(code == 1 && err.contains("cannot read /nothing"), "{err}");
}

#[test]
fn a_certificate_that_nobody_signed_is_refused() {
    let pair = Pair::default();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    pair.write(dir.path());
    let server = TestServer::within(dir, "tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"");
    let to = format!("https://localhost:{}", server.address.port());
    let (code, out, err) = chatfold(&["send", &one(), "--to", &to, "--speed", "1000", "--json"]);
    assert!(
        code == 1 && out.is_empty() && err.contains("its certificate is not trusted"),
        "at once, not after all retries: {out}{err}"
    );
}
