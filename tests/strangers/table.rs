//! Plays what a stranger, a sender or a reader can do to the others against a release build, and prints what came of it
//! beside what must: `tests/strangers.sh`.

use super::support::feed::{Client, Events, message};
use super::support::{JSON, TestServer, WEBHOOK, chatfold};
use super::{hello, silent, token};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Rows of the table: what was done, what was measured, what must be, whether it is.
#[derive(Default)]
struct Table(Vec<(&'static str, String, &'static str, bool)>);

impl Table {
    fn row(&mut self, what: &'static str, measured: String, must: &'static str, holds: bool) {
        println!("{}  {what}: {measured} (must: {must})", if holds { "ok  " } else { "FAIL" });
        self.0.push((what, measured, must, holds));
    }
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (what(), begun.elapsed())
}

static NEXT: AtomicI64 = AtomicI64::new(1_000_000);

/// Posts small deliveries until told to stop, every other one on a connection of its own; how long each took.
fn deliver_until(address: SocketAddr, stop: &AtomicBool) -> Vec<Duration> {
    let mut kept = TcpStream::connect(address).unwrap();
    let mut taken = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let body = message(NEXT.fetch_add(1, Ordering::Relaxed), "g");
        let begun = Instant::now();
        match taken.len() % 2 {
            0 => post(&mut TcpStream::connect(address).unwrap(), &body),
            _ => post(&mut kept, &body),
        }
        taken.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    taken.sort();
    taken
}

fn post(stream: &mut TcpStream, body: &str) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"{}") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// How long deliveries take while something goes on.
fn deliveries_while(server: &TestServer, what: impl FnOnce()) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| deliver_until(server.address, &stop));
        what();
        stop.store(true, Ordering::Relaxed);
        posting.join().unwrap()
    })
}

fn half(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

/// A figure of the server's memory in MiB, such as `VmHWM`.
fn memory(server: &TestServer, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

/// Thousands of connections that say nothing.
fn idle_sockets(table: &mut Table) {
    let server = TestServer::start();
    let taken = deliveries_while(&server, || {
        let mut open = silent(&server, 6_000);
        for _ in 0..6 {
            std::thread::sleep(Duration::from_secs(1));
            // Whoever was closed comes again.
            open.drain(..1_000);
            open.extend(silent(&server, 1_000));
        }
    });
    let (p50, most) = (ms(half(&taken)), *taken.last().unwrap());
    let measured = format!("{} deliveries, p50 {p50} ms, the slowest {} ms", taken.len(), ms(most));
    table.row("6,000 idle sockets of one address", measured, "none over 250 ms", most < Duration::from_millis(250));
}

/// One delivery that names 80,000 people.
fn crowd(table: &mut Table) {
    let server = TestServer::start();
    let members: Vec<String> = (0..80_000).map(|n| format!("\"u{n}\":{{}}")).collect();
    let body = format!(
        r#"{{"trigger":"group_member_added","appId":"a","data":{{"group":{{"guid":"g"}},"members":{{{}}}}}}}"#,
        members.join(",")
    );
    let (_, writer) = timed(|| server.deliver(&body));
    // A delivery of the same app that is folded at once comes after the large one is folded.
    let is_behind = |id: i64| server.deliver(message(id, "g")).header("chatfold-outcome") != Some("applied");
    (1..).take_while(|id| is_behind(*id)).for_each(|_| std::thread::sleep(Duration::from_millis(200)));
    let ask = r#"{"query":"{events{nodes{entities(first:1){name}}}}"}"#;
    let (answer, took) = timed(|| server.post("/graphql", &[JSON], ask));
    let right = answer.json()["errors"].is_null() && took < Duration::from_secs(2);
    table.row("a delivery of 80,000 people: events { entities(first: 1) }", format!("{} ms", ms(took)), "2 s", right);
    let (page, took) = timed(|| server.get("/events"));
    let right = page.status == 200 && took < Duration::from_secs(2);
    table.row("its page of events", format!("{}, {} ms", page.status, ms(took)), "200 within 2 s", right);
    let (_, took) = timed(|| Events::follow(&server, "/changes?afterSeq=0", "").next());
    table.row("its /changes", format!("{} ms a subscriber", ms(took)), "2 s", took < Duration::from_secs(2));
    table.row("its writer", format!("{} ms", ms(writer)), "a figure for the next issue", true);
}

/// Messages of a megabyte each, asked for 200 at a time, eight requests at once.
fn large_messages(table: &mut Table) {
    let server = TestServer::start();
    let text = "x".repeat(1_000_000);
    for n in 1..=200 {
        server.deliver(
            message(n, "g")
                .replace(&format!("no {n}"), &text)
                .replace("\"data\":{\"text\"", "\"metadata\":{\"@private\":1},\"data\":{\"text\""),
        );
    }
    let metadata = token(&server, &["--name", "m", "--scope", "metadata"]);
    let content = token(&server, &["--name", "c", "--scope", "content"]);
    let before = memory(&server, "VmRSS");
    let eight = |token: &str, fields: &str| {
        let bearer = format!("Bearer {token}");
        let query = json!({ "query": format!("{{messages(first:200){{nodes{{{fields}}}}}}}") }).to_string();
        std::thread::scope(|scope| {
            let ask = || server.post("/graphql", &[JSON, ("Authorization", &bearer)], &query);
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|it| it.join().unwrap().json()).collect::<Vec<Value>>()
        })
    };
    let (answers, took) = timed(|| eight(&metadata, "messageId sentAt sender{uid}"));
    let peak = memory(&server, "VmHWM");
    let right = answers.iter().all(|it| it["errors"].is_null() || it["errors"][0]["extensions"]["code"] == "BUSY");
    let measured = format!("{} MiB before, {peak} at most, {} ms", before, ms(took));
    table.row("200 messages of 1 MB, metadata only, 8 at once", measured, "256 MiB", right && peak < before + 256);
    let (answers, took) = timed(|| eight(&content, "text data metadata"));
    let codes: Vec<String> = answers.iter().map(|it| it["errors"][0]["extensions"]["code"].to_string()).collect();
    let peak = memory(&server, "VmHWM");
    let measured = format!("{peak} MiB at most, {} ms, {codes:?}", ms(took));
    let right = codes.iter().all(|code| code == "\"TOO_COMPLEX\"" || code == "\"BUSY\"");
    // Eight budgets of 32 MiB, each held by the loaders and by the values made of it.
    table.row("the same with content", measured, "8 × 96 MiB, TOO_COMPLEX", right && peak < before + 768);
    std::thread::sleep(Duration::from_secs(12));
    let after = memory(&server, "VmRSS");
    table.row("its memory afterwards", format!("{after} MiB, {before} before"), "given back", after < before + 128);
    ten_tabs(table, &server);
}

/// Open pages that hear of news and ask for the same slow page again.
fn ten_tabs(table: &mut Table, server: &TestServer) {
    let bearer = format!("Bearer {}", token(server, &["--name", "admin", "--scope", "admin"]));
    let tab = || {
        let headers = [("Authorization", bearer.as_str()), ("Chatfold-Min-Seq", "1")];
        timed(|| server.request("GET", "/events?bodyContains=nowhere-to-be-found", &headers, b""))
    };
    let tabs = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..10).map(|_| scope.spawn(tab)).collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect::<Vec<_>>()
    });
    let slowest = tabs.iter().map(|(_, took)| *took).max().unwrap();
    let statuses: Vec<u16> = tabs.iter().map(|(answer, _)| answer.status).collect();
    let told = tabs.iter().all(|(it, _)| it.status == 200 || (it.status == 503 && it.header("retry-after").is_some()));
    let measured = format!("the last after {} ms, {statuses:?}", ms(slowest));
    let right = told && slowest < Duration::from_millis(2_500);
    table.row("ten tabs on one slow page", measured, "2 s, then 503 with Retry-After", right);
}

/// Fifty websockets with twenty subscriptions each, of one token.
fn subscriptions(table: &mut Table) {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let token = token(&server, &["--name", "reader"]);
    let alone = deliveries_while(&server, || std::thread::sleep(Duration::from_secs(4)));
    let mut clients: Vec<Client> = (0..50).map(|_| hello(&server, &token)).collect();
    for client in &mut clients {
        assert_eq!(client.hear()["type"], "connection_ack");
        for id in 0..20 {
            let query = "subscription { changes(appId: \"a\") { seq trigger nodes { id } } }";
            client.subscribe(&id.to_string(), query);
        }
    }
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || while !done.load(Ordering::Relaxed) && client.0.read().is_ok() {})
        })
        .collect();
    let among = deliveries_while(&server, || std::thread::sleep(Duration::from_secs(8)));
    done.store(true, Ordering::Relaxed);
    server.deliver(message(2, "g"));
    drop(server);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let measured = format!(
        "p50 {} ms (alone {} ms), the slowest {} ms",
        ms(half(&among)),
        ms(half(&alone)),
        ms(*among.last().unwrap())
    );
    let right = half(&among) < half(&alone) * 3 + Duration::from_millis(10);
    table.row("50 sockets × 20 subscriptions of one token", measured, "p50 near that without them", right);
}

/// Sixteen dashboards of one token: groups with their members, the newest messages, and an inbox with unread counts. Each
/// asks again as soon as it is answered.
fn dashboards(table: &mut Table) {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let log = dir.path().join("log.jsonl");
    let mut lines = BufWriter::new(std::fs::File::create(&log).unwrap());
    for guid in 0..100 {
        let members: Vec<String> = (0..60).map(|n| format!("\"u{n}\":{{}}")).collect();
        let members = members.join(",");
        writeln!(
            lines,
            r#"{{"trigger":"group_member_added","appId":"a","data":{{"group":{{"guid":"g{guid}"}},"members":{{{members}}}}}}}"#
        )
        .unwrap();
    }
    for n in 1..=100_000 {
        writeln!(lines, "{}", message(n, &format!("g{}", n % 100))).unwrap();
    }
    drop(lines.into_inner().unwrap());
    let db = dir.path().join("chatfold.db");
    let (code, _, err) = chatfold(&["ingest", log.to_str().unwrap(), "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let server = TestServer::within(dir, "");
    let bearer = format!("Bearer {}", token(&server, &["--name", "dashboard"]));
    let query = json!({ "query": r#"{
        groups(first: 10) { nodes { guid name members(first: 20) { nodes { scope user { uid presence { online } } } } } }
        messages(first: 50) { nodes { text sentAt sender { uid name } reactions { reaction count } } }
        user(appId: "a", uid: "u1") { conversations(first: 50) { nodes {
            conversationId unreadCount(uid: "u1") lastMessage { text sentAt } } } }
    }"# })
    .to_string();
    let stop = AtomicBool::new(false);
    let ask = || {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let (answer, took) = timed(|| server.post("/graphql", &[JSON, ("Authorization", &bearer)], &query));
            let errors = &answer.json()["errors"];
            if answer.status != 200 || !errors.is_null() {
                refused.push(format!("{} {errors}", answer.status));
            }
            taken.push(took);
        }
        (taken, refused)
    };
    let asked = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        std::thread::sleep(Duration::from_secs(10));
        stop.store(true, Ordering::Relaxed);
        asking.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    let mut taken: Vec<Duration> = asked.iter().flat_map(|(taken, _)| taken).copied().collect();
    taken.sort();
    let refused: Vec<&String> = asked.iter().flat_map(|(_, refused)| refused).collect();
    let measured = format!("{} answers, p50 {} ms, {} refused", taken.len(), ms(half(&taken)), refused.len());
    refused.first().inspect(|first| println!("{first}"));
    table.row("16 dashboards with an inbox", measured, "0 BUSY", refused.is_empty());
}

/// A thousand websockets that show no token.
fn strangers(table: &mut Table) {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let token = token(&server, &["--name", "reader"]);
    let strangers: Vec<Client> = (0..1_000).map(|_| Client::connect(&server)).collect();
    let mut client = hello(&server, &token);
    let heard = client.hear_or_close();
    let greeted = heard.as_ref().is_ok_and(|heard| heard["type"] == "connection_ack");
    table.row("1,000 websockets without a token", format!("a reader is greeted: {greeted}"), "greeted", greeted);
    drop(strangers);
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET /changes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().contains("200"));
    assert_eq!(server.run(&["token", "revoke", "reader"]).0, 0);
    let (_, took) = timed(|| lines.find(|line| line == "0"));
    table.row("a revoked stream on a quiet log", format!("{} ms", ms(took)), "5 s", took < Duration::from_secs(5));
}

#[test]
#[ignore = "about two minutes of a release build: tests/strangers.sh"]
fn the_table() {
    let mut table = Table::default();
    for play in [idle_sockets, crowd, large_messages, dashboards, subscriptions, strangers] {
        play(&mut table);
    }
    println!("\n{:<58} | {:<62} | must", "what", "measured");
    for (what, measured, must, holds) in &table.0 {
        println!("{what:<58} | {measured:<62} | {must}{}", if *holds { "" } else { "   <- FAILED" });
    }
    assert!(table.0.iter().all(|(.., holds)| *holds), "not all that must be is");
}
