//! Clients that post to several nodes as a load balancer lets them: one node after the other until one takes the delivery.

use super::TestServer;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const CLIENTS: usize = 4;
/// Somebody takes a delivery within this time. Without an outbox nobody does while the log is away.
const PATIENCE: Duration = Duration::from_secs(180);

/// What was answered.
#[derive(Default)]
pub struct Told {
    pub acknowledged: Mutex<Vec<usize>>,
    /// How often each delivery was sent to a node.
    pub sent: Mutex<BTreeMap<usize, usize>>,
    pub outcomes: Mutex<BTreeMap<String, usize>>,
    /// Reasons of answers 503, and how often each was given.
    pub refused: Mutex<BTreeMap<String, usize>>,
    /// When a delivery last went into the log.
    pub newest: Mutex<Option<Instant>>,
}

/// Clients, the nodes they know, and what they were told.
pub struct Clients {
    pub nodes: Arc<Mutex<Vec<Option<SocketAddr>>>>,
    pub told: Arc<Told>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub fn start(nodes: &[TestServer]) -> Self {
        let nodes = Arc::new(Mutex::new(nodes.iter().map(|node| Some(node.address)).collect::<Vec<_>>()));
        let (told, stop, next) =
            (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(1)));
        let client = |place: usize| {
            let (nodes, told, stop, next) = (nodes.clone(), told.clone(), stop.clone(), next.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    send(next.fetch_add(1, Ordering::SeqCst), place, &nodes, &told);
                    std::thread::sleep(Duration::from_millis(15));
                }
            })
        };
        let threads = (0..CLIENTS).map(client).collect();
        Self { nodes, told, stop, threads }
    }

    pub fn stop(self) -> Arc<Told> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.told
    }
}

/// One delivery, offered to one node after the other until one takes it.
fn send(id: usize, place: usize, nodes: &Mutex<Vec<Option<SocketAddr>>>, told: &Told) {
    let body = body(id);
    let begun = Instant::now();
    for attempt in 0.. {
        assert!(begun.elapsed() < PATIENCE, "nobody took {id}");
        let address = {
            let known = nodes.lock().unwrap();
            known[(place + id + attempt) % known.len()]
        };
        let answer = address.and_then(|address| {
            *told.sent.lock().unwrap().entry(id).or_default() += 1;
            post(address, &body)
        });
        let status = answer.as_deref().and_then(|answer| answer.split(' ').nth(1)).unwrap_or_default();
        match status {
            "200" => {
                let answer = answer.unwrap().to_lowercase();
                let outcome =
                    answer.split_once("chatfold-outcome: ").unwrap().1.lines().next().unwrap().trim().to_owned();
                if outcome != "queued" {
                    *told.newest.lock().unwrap() = Some(Instant::now());
                }
                *told.outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                told.acknowledged.lock().unwrap().push(id);
                return;
            }
            "503" => {
                let answer = answer.unwrap();
                let why =
                    answer.split_once("\"detail\":\"").map_or(&*answer, |(_, detail)| detail.trim_end_matches("\"}"));
                *told.refused.lock().unwrap().entry(why.to_owned()).or_default() += 1;
            }
            "" => {}
            other => panic!("{other}: {answer:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The answer of a node that is there and answers in time.
fn post(address: SocketAddr, body: &str) -> Option<String> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    // The vendor waits 2 s; a busy machine for tests may need more.
    socket.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        super::WEBHOOK,
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    // A connection that breaks in the middle has told nothing.
    socket.read_to_string(&mut answer).ok()?;
    answer.ends_with("\r\n\r\n{}").then_some(()).or_else(|| answer.contains(" 503 ").then_some(()))?;
    Some(answer)
}

/// Messages with their time, and every third a fact without one.
pub fn body(id: usize) -> String {
    if id.is_multiple_of(3) {
        return format!(
            r#"{{"trigger":"user_blocked","appId":"a","webhook":"w","data":{{"users":{{"bob":{{"uid":"bob"}}}},"by":{{"uid":"u{id}"}}}}}}"#
        );
    }
    format!(
        r#"{{"trigger":"message_sent","appId":"a{}","data":{{"message":{{"id":"{id}","sender":"u{}","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{},"data":{{"text":"hello {id}"}}}}}}}}"#,
        id % 2,
        id % 7,
        1_767_614_400 + id
    )
}
