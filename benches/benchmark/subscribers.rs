//! What very many subscribers cost that hear little: deliveries and ordinary queries, without them and with them.

use crate::Sizes;
use crate::chat::Chat;
use crate::client::{self, Answers};
use crate::mix::APP;
use crate::queries::{QUESTIONS, ask, files_of, of};
use crate::server::{Contender, Server};
use crate::table::{Figures, Of};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// Deliveries a second beside the subscribers, and clients that read.
const STEADY: u32 = 200;
const READING: usize = 4;

/// Measures each build of chatfold.
pub fn measure(contenders: &[Contender], sizes: &Sizes, figures: &mut Figures) {
    let chat = Chat { messages: sizes.rows.min(100_000), growth: None };
    let dirs = files_of(contenders, &chat);
    let next = AtomicU64::new(10_000_000);
    for contender in contenders.iter().filter(|contender| contender.chatfold().is_some()) {
        let dir = dirs.iter().find(|(name, _)| *name == contender.name).map(|(_, dir)| dir.path());
        let server = contender.serve(dir.expect("each build has its file"));
        let alone = round(contender, &server, &chat, &next, sizes);
        let heard = Arc::new(AtomicU64::new(0));
        let sockets = Sockets::open(server.address, &chat, sizes.subscribers, &heard);
        let beside = round(contender, &server, &chat, &next, sizes);
        let memory = server.memory() as f64 / 1048576.0;
        drop(sockets);
        let mut add = |what: String, figure| figures.add(what, Of::Median, contender.name, figure);
        let with = format!("with {} subscribers", sizes.subscribers);
        for ((what, alone), (_, beside)) in alone.figures().into_iter().zip(beside.figures()) {
            add(format!("{what}, without"), alone);
            add(format!("{what}, {with}"), beside);
            add(format!("{what}, with / without"), beside / alone);
        }
        add(format!("changes heard, {with}"), heard.load(Ordering::Relaxed) as f64);
        add(format!("MiB of memory, {with}"), memory);
        assert!(!sizes.strict || heard.load(Ordering::Relaxed) > 0, "no subscriber heard of a delivery");
    }
}

/// One round of figures.
struct Round {
    steady: Answers,
    /// µs of CPU a delivery at the steady pace.
    cpu: f64,
    full: Answers,
    queries: Answers,
}

impl Round {
    fn figures(&self) -> [(String, f64); 5] {
        [
            (format!("{STEADY} deliveries/s: p99, ms"), self.steady.within(0.99)),
            (format!("{STEADY} deliveries/s: CPU, µs a delivery"), self.cpu),
            (format!("deliveries/s, {}", crate::of(16)), self.full.rate()),
            (
                format!("{} beside {STEADY} deliveries/s, {}: requests/s", QUESTIONS[0].what, of(READING)),
                self.queries.rate(),
            ),
            (
                format!("{} beside {STEADY} deliveries/s, {}: p99, ms", QUESTIONS[0].what, of(READING)),
                self.queries.within(0.99),
            ),
        ]
    }
}

fn round(contender: &Contender, server: &Server, chat: &Chat, next: &AtomicU64, sizes: &Sizes) -> Round {
    let time = Duration::from_secs(sizes.seconds);
    let beside = |work: &mut dyn FnMut()| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let steady = scope.spawn(|| client::steady(server.address, next, STEADY, &stop));
            work();
            stop.store(true, Ordering::Relaxed);
            steady.join().unwrap()
        })
    };
    let cpu = server.cpu();
    let steady = beside(&mut || std::thread::sleep(time));
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / steady.count() as f64;
    let full = client::load(server.address, 16, next, |taken| taken < time);
    let mut queries = Answers::default();
    beside(&mut || queries = ask(contender, server.address, &QUESTIONS[0], chat, READING, time));
    for (answers, what) in [(&steady, "steady deliveries"), (&full, "deliveries"), (&queries, "queries")] {
        sizes.check(contender, answers.broken, what);
    }
    Round { steady, cpu, full, queries }
}

/// Subscribers by websocket, each to the changes of one conversation. They are closed when this is dropped.
struct Sockets {
    streams: Vec<TcpStream>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Sockets {
    fn open(address: SocketAddr, chat: &Chat, count: usize, heard: &Arc<AtomicU64>) -> Self {
        let begun = Instant::now();
        let (mut streams, mut threads) = (Vec::new(), Vec::new());
        for n in 0..count as u64 {
            let mut socket = subscribe(address, &chat.group(n));
            streams.push(socket.get_ref().try_clone().unwrap());
            let heard = Arc::clone(heard);
            let hear = move || {
                while let Ok(message) = socket.read() {
                    heard.fetch_add(u64::from(message.to_string().contains("\"next\"")), Ordering::Relaxed);
                }
            };
            threads.push(std::thread::Builder::new().stack_size(256 << 10).spawn(hear).unwrap());
        }
        eprintln!("{count} subscribers in {:.1?}", begun.elapsed());
        Self { streams, threads }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.streams.iter().for_each(|stream| drop(stream.shutdown(std::net::Shutdown::Both)));
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn subscribe(address: SocketAddr, guid: &str) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
    let mut socket = tungstenite::client(request, TcpStream::connect(address).unwrap()).unwrap().0;
    let mut say = |message: Value| socket.send(Message::text(message.to_string())).unwrap();
    say(json!({"type": "connection_init"}));
    let document =
        "subscription($app: String!, $guid: String!) { changes(appId: $app, filter: {guid: $guid}) { seq trigger } }";
    let payload = json!({"query": document, "variables": {"app": APP, "guid": guid}});
    say(json!({"id": "1", "type": "subscribe", "payload": payload}));
    let told = socket.read().unwrap().to_string();
    assert!(told.contains("connection_ack"), "{told}");
    socket
}
