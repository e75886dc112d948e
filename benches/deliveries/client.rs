//! Clients that post deliveries: as fast as answers come, or so many a second.

use crate::mix;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What no answer may take. A server that stalls for longer fails the run.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection that is opened again when it was closed.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Posts a delivery; the status of the answer, or 0 if none came.
    pub fn post(&mut self, body: &str) -> u16 {
        let answer = self.exchange(body);
        if answer.is_err() {
            self.stream = None;
        }
        answer.unwrap_or(0)
    }

    fn exchange(&mut self, body: &str) -> std::io::Result<u16> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().expect("connected above");
        let head = format!(
            "POST /webhooks/cometchat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let (mut answer, mut chunk) = (Vec::new(), [0; 2048]);
        loop {
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&chunk[..read]);
            if let Some(status) = whole(&answer) {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer, once all of the answer is there.
fn whole(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok();
    let length = head.lines().find_map(length).unwrap_or(0);
    (body.len() >= length).then(|| head.split(' ').nth(1)?.parse().ok()).flatten()
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
    /// Bytes of all bodies.
    pub bytes: u64,
    pub elapsed: Duration,
}

impl Answers {
    pub fn count(&self) -> u64 {
        self.taken.len() as u64
    }

    /// Deliveries taken a second.
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
            merged.bytes += answers.bytes;
        }
        merged.taken.sort();
        merged
    }

    fn record(&mut self, status: u16, taken: Duration, body: &str) {
        self.taken.push(taken);
        self.refused += u64::from(status != 200);
        self.broken += u64::from(![200, 503].contains(&status));
        self.bytes += body.len() as u64;
    }
}

/// Posts the first deliveries of the mix, so that people and conversations are there; the number of the next one.
pub fn begin(address: SocketAddr, count: u64) -> AtomicU64 {
    let mut client = Client::new(address);
    (1..=count).for_each(|n| assert_eq!(client.post(&mix::body(n)), 200, "the answer to delivery {n}"));
    AtomicU64::new(count + 1)
}

/// Posts over so many connections, as fast as answers come, while `more` says so of the time since the begin. `next`
/// numbers the deliveries. Each connection has posted once before the begin: node takes few connections at a time.
pub fn load(
    address: SocketAddr,
    connections: usize,
    next: &AtomicU64,
    more: impl Fn(Duration) -> bool + Sync,
) -> Answers {
    let ready = Barrier::new(connections);
    let send = || {
        let (mut client, mut answers) = (Client::new(address), Answers::default());
        client.post(&mix::body(next.fetch_add(1, Ordering::Relaxed)));
        ready.wait();
        let begun = Instant::now();
        while more(begun.elapsed()) {
            let body = mix::body(next.fetch_add(1, Ordering::Relaxed));
            let asked = Instant::now();
            let status = client.post(&body);
            answers.record(status, asked.elapsed(), &body);
        }
        answers.elapsed = begun.elapsed();
        answers
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
const PACE: Duration = Duration::from_millis(20);

/// Posts 50 deliveries a second until `stop`. The time of an answer counts from when its delivery was due.
pub fn steady(address: SocketAddr, next: &AtomicU64, stop: &AtomicBool) -> Answers {
    let begun = Instant::now();
    let tick = AtomicU64::new(0);
    let send = || {
        let (mut client, mut answers) = (Client::new(address), Answers::default());
        loop {
            let due = begun + PACE * u32::try_from(tick.fetch_add(1, Ordering::Relaxed)).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Ordering::Relaxed) {
                return answers;
            }
            let body = mix::body(next.fetch_add(1, Ordering::Relaxed));
            let status = client.post(&body);
            answers.record(status, due.elapsed(), &body);
        }
    };
    let answers: Vec<Answers> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..STEADY_CONNECTIONS).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    Answers::merge(answers.into_iter(), begun.elapsed())
}
