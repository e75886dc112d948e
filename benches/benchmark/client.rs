//! Clients that keep their connections: as fast as answers come, or so many requests a second.

use crate::mix;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest time for an answer. A slower server fails the run.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection that is opened again when it was closed.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    answer: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, answer: Vec::new() }
    }

    /// Posts a delivery; the status of the answer, or 0 if none came.
    pub fn post(&mut self, body: &str) -> u16 {
        self.send(&delivery(body)).0
    }

    /// Sends a request; the status and the body of the answer, or 0 if none came.
    pub fn send(&mut self, request: &[u8]) -> (u16, &[u8]) {
        match self.exchange(request) {
            Ok((status, body)) => (status, &self.answer[body..]),
            Err(_) => {
                self.stream = None;
                (0, b"")
            }
        }
    }

    /// The status, and where the body begins.
    fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, usize)> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().expect("connected above");
        stream.write_all(request)?;
        self.answer.clear();
        let mut chunk = [0; 16 << 10];
        let mut head = None;
        loop {
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.extend_from_slice(&chunk[..read]);
            head = head.or_else(|| Head::of(&self.answer));
            match head {
                Some(Head { status, body, length: Some(length) }) if self.answer.len() - body >= length => {
                    return Ok((status, body));
                }
                Some(Head { status, body, length: None }) if self.answer.ends_with(LAST_CHUNK) => {
                    self.answer = joined(&self.answer[body..]);
                    return Ok((status, 0));
                }
                _ => {}
            }
        }
    }
}

/// The head of an answer.
#[derive(Clone, Copy)]
struct Head {
    status: u16,
    /// Offset and length of the body. `None`: the body comes in chunks.
    body: usize,
    length: Option<usize>,
}

impl Head {
    /// Once all of it is there.
    fn of(answer: &[u8]) -> Option<Self> {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let chunked = head.contains("transfer-encoding: chunked");
        Some(Self { status, body: end + 4, length: if chunked { None } else { length.or(Some(0)) } })
    }
}

const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// The body that comes in these chunks.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
    body
}

/// The request that posts a delivery.
pub fn delivery(body: &str) -> Vec<u8> {
    post("/webhooks/cometchat", body)
}

/// A request with a JSON body.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// What clients were answered.
#[derive(Default)]
pub struct Answers {
    /// How long each answer took, in ascending order.
    taken: Vec<Duration>,
    /// Answers other than 200.
    pub refused: u64,
    /// Answers other than 200 and 503, and none at all. After 503 the sender tries again.
    pub broken: u64,
    pub elapsed: Duration,
}

impl Answers {
    pub fn count(&self) -> u64 {
        self.taken.len() as u64
    }

    /// Requests answered 200 a second.
    pub fn rate(&self) -> f64 {
        (self.count() - self.refused) as f64 / self.elapsed.as_secs_f64()
    }

    /// The milliseconds that this share of the answers did not exceed; 1: the worst.
    pub fn within(&self, share: f64) -> f64 {
        let place = (self.taken.len().saturating_sub(1) as f64 * share) as usize;
        self.taken.get(place).map_or(0.0, Duration::as_secs_f64) * 1_000.0
    }

    fn merge(all: impl Iterator<Item = Self>, elapsed: Duration) -> Self {
        let mut merged = Self { elapsed, ..Self::default() };
        for answers in all {
            merged.taken.extend(answers.taken);
            merged.refused += answers.refused;
            merged.broken += answers.broken;
        }
        merged.taken.sort();
        merged
    }

    fn record(&mut self, status: u16, taken: Duration) {
        self.taken.push(taken);
        self.refused += u64::from(status != 200);
        self.broken += u64::from(![200, 503].contains(&status));
    }
}

/// Posts the first deliveries of the mix, so that people and conversations are there; the number of the next one.
pub fn begin(address: SocketAddr, count: u64) -> AtomicU64 {
    let mut client = Client::new(address);
    (1..=count).for_each(|n| assert_eq!(client.post(&mix::body(n)), 200, "the answer to delivery {n}"));
    AtomicU64::new(count + 1)
}

/// Posts deliveries of the mix over so many connections, as fast as answers come, while `more` says so of the time since
/// the begin. `next` numbers the deliveries.
pub fn load(
    address: SocketAddr,
    connections: usize,
    next: &AtomicU64,
    more: impl Fn(Duration) -> bool + Sync,
) -> Answers {
    drive(address, connections, next, |_, time| more(time), |n| delivery(&mix::body(n)), |status, _| status)
}

/// Sends requests over so many connections, as fast as answers come, while `more` says so of the number of the next request
/// and of the time since the begin. `judge` tells the status of an answer. Each connection has sent one request before the
/// begin: node takes few connections at a time.
pub fn drive(
    address: SocketAddr,
    connections: usize,
    next: &AtomicU64,
    more: impl Fn(u64, Duration) -> bool + Sync,
    request: impl Fn(u64) -> Vec<u8> + Sync,
    judge: impl Fn(u16, &[u8]) -> u16 + Sync,
) -> Answers {
    let ready = Barrier::new(connections);
    let send = || {
        let (mut client, mut answers) = (Client::new(address), Answers::default());
        client.send(&request(next.fetch_add(1, Ordering::Relaxed)));
        ready.wait();
        let begun = Instant::now();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !more(number, begun.elapsed()) {
                answers.elapsed = begun.elapsed();
                return answers;
            }
            let request = request(number);
            let asked = Instant::now();
            let (status, body) = client.send(&request);
            answers.record(judge(status, body), asked.elapsed());
        }
    };
    let answers: Vec<Answers> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let elapsed = answers.iter().map(|answers| answers.elapsed).max().unwrap_or_default();
    Answers::merge(answers.into_iter(), elapsed)
}

/// Connections of the client that posts at a steady pace: a stall does not keep the next deliveries from being sent.
const STEADY_CONNECTIONS: usize = 32;

/// Posts so many deliveries a second until `stop`. The time of an answer counts from when its delivery was due.
pub fn steady(address: SocketAddr, next: &AtomicU64, a_second: u32, stop: &AtomicBool) -> Answers {
    let begun = Instant::now();
    let tick = AtomicU64::new(0);
    let send = || {
        let (mut client, mut answers) = (Client::new(address), Answers::default());
        loop {
            let tick = u32::try_from(tick.fetch_add(1, Ordering::Relaxed)).unwrap();
            let due = begun + Duration::from_secs(1) * tick / a_second;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Ordering::Relaxed) {
                return answers;
            }
            let body = mix::body(next.fetch_add(1, Ordering::Relaxed));
            let status = client.post(&body);
            answers.record(status, due.elapsed());
        }
    };
    let answers: Vec<Answers> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..STEADY_CONNECTIONS).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    Answers::merge(answers.into_iter(), begun.elapsed())
}
