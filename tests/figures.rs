//! How many deliveries nodes take, and how far behind the others are: `tests/figures.sh` measures it. Nothing is claimed
//! but that all nodes agree at the end.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::load::{body, connect};
use support::nodes::{agree, position, ready, until};
use support::postgres::{Postgres, free_port};
use support::{TestServer, WEBHOOK, chatfold, number};

const CONNECTIONS: usize = 64;
/// How often the positions of the nodes are looked at, and how often a new delivery is followed.
const LOOK: Duration = Duration::from_millis(5);
const FOLLOW: Duration = Duration::from_millis(25);

/// Senders, and what they were answered.
#[derive(Default)]
struct Load {
    next: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    /// The greatest position that was answered.
    newest: AtomicI64,
    stop: AtomicBool,
}

impl Load {
    /// Posts to one node until told to stop, each delivery after the answer to the one before.
    fn post(&self, address: SocketAddr) {
        let mut stream = connect(address).unwrap();
        let mut buffer = [0; 4_096];
        while !self.stop.load(Ordering::Relaxed) {
            let body = body(self.next.fetch_add(1, Ordering::Relaxed) + 1);
            let head = format!(
                "POST {WEBHOOK} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            let mut answer = String::new();
            while !answer.contains("\r\n\r\n") || answer.starts_with("HTTP/1.1 200") && !answer.ends_with("{}") {
                let bytes = stream.read(&mut buffer).unwrap();
                assert!(bytes > 0, "{answer}");
                answer.push_str(std::str::from_utf8(&buffer[..bytes]).unwrap());
            }
            if !answer.starts_with("HTTP/1.1 200") {
                self.refused.fetch_add(1, Ordering::Relaxed);
                stream = connect(address).unwrap();
                continue;
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            let seq = answer.lines().find_map(|line| line.strip_prefix("chatfold-seq: "));
            self.newest.fetch_max(seq.map_or(0, |seq| seq.trim().parse().unwrap()), Ordering::Relaxed);
        }
    }

    /// Deliveries per second to these nodes. Meanwhile `look` looks, again and again.
    fn run(&self, nodes: &[&TestServer], look: &mut dyn FnMut(&Self)) -> f64 {
        self.stop.store(false, Ordering::Relaxed);
        let seconds = u64::from(number("CHATFOLD_FIGURES_SECONDS", 10));
        std::thread::scope(|scope| {
            for place in 0..CONNECTIONS {
                scope.spawn(move || self.post(nodes[place % nodes.len()].address));
            }
            // Connections, caches and the first batches are not measured.
            std::thread::sleep(Duration::from_secs(1));
            let (begun, before) = (Instant::now(), self.taken.load(Ordering::Relaxed));
            while begun.elapsed() < Duration::from_secs(seconds) {
                look(self);
                std::thread::sleep(LOOK);
            }
            let taken = self.taken.load(Ordering::Relaxed) - before;
            let rate = taken as f64 / begun.elapsed().as_secs_f64();
            self.stop.store(true, Ordering::Relaxed);
            rate
        })
    }
}

/// How long after an answer each node has folded what was answered.
struct Lags<'a> {
    nodes: &'a [&'a TestServer],
    followed: Vec<VecDeque<(Instant, i64)>>,
    lags: Vec<Duration>,
}

impl<'a> Lags<'a> {
    fn of(nodes: &'a [&'a TestServer]) -> Self {
        Self { nodes, followed: vec![VecDeque::new(); nodes.len()], lags: Vec::new() }
    }

    fn look(&mut self, load: &Load) {
        for (node, followed) in self.nodes.iter().zip(&mut self.followed) {
            if followed.back().is_none_or(|(at, _)| at.elapsed() >= FOLLOW) {
                followed.push_back((Instant::now(), load.newest.load(Ordering::Relaxed)));
            }
            let folded = position(&node.db());
            while let Some((at, _)) = followed.front().filter(|(_, seq)| *seq <= folded) {
                self.lags.push(at.elapsed());
                followed.pop_front();
            }
        }
    }

    fn within(&mut self, share: f64) -> Duration {
        // What is still followed is at least so late.
        self.lags.extend(self.followed.iter().flatten().map(|(at, _)| at.elapsed()));
        self.followed.iter_mut().for_each(VecDeque::clear);
        self.lags.sort();
        self.lags[((self.lags.len() - 1) as f64 * share) as usize]
    }
}

/// Runs this program, and what it starts from now on, on one core.
fn stay_on(core: &str) {
    let id = std::process::id().to_string();
    assert!(Command::new("taskset").args(["-acp", core, &id]).stdout(Stdio::null()).status().unwrap().success());
}

/// Chatfold and the clients on this core, where PostgreSQL has the other one.
const CHATFOLD: &str = "0";
const POSTGRES: &str = "1";

#[test]
#[ignore = "measures, for a minute: tests/figures.sh"]
fn the_figures_of_shared_cores() {
    measure(false);
}

#[test]
#[ignore = "measures, for a minute: tests/figures.sh"]
fn the_figures_where_postgresql_has_a_core_of_its_own() {
    measure(true);
}

fn measure(apart: bool) {
    let stay = |core| {
        if apart {
            stay_on(core);
        }
    };
    stay(CHATFOLD);
    let alone = TestServer::start();
    let rate_alone = Load::default().run(&[&alone], &mut |_| {});
    drop(alone);

    let settings =
        "synchronous_standby_names = 'ANY 1 (s1, s2)'\nwal_level = replica\nhot_standby = on\nmax_connections = 60";
    stay(POSTGRES);
    let Some(primary) = Postgres::start(settings) else { return };
    let _standbys = ["s1", "s2"].map(|name| primary.standby(name, free_port()));
    stay(CHATFOLD);
    let (code, _, err) = chatfold(&["log", "init", "--log", &primary.address()]);
    assert_eq!(code, 0, "{err}");
    let toml = format!("log = \"{}\"\nlog_durability = \"quorum\"", primary.address());
    let start = || ready(TestServer::with(&toml));
    let load = Load::default();
    let one = start();
    let rate_one = load.run(&[&one], &mut |_| {});

    let (two, three) = (start(), start());
    let (others, all) = ([&two, &three], [&one, &two, &three]);
    until("nodes at the end of the log", || others.iter().all(|node| position(&node.db()) >= position(&one.db())));
    let mut lags = Lags::of(&others);
    let rate_followed = load.run(&[&one], &mut |load| lags.look(load));
    let rate_all = load.run(&all, &mut |_| {});
    agree(&primary, &all);
    let cores = if apart { "chatfold and clients on one core, PostgreSQL on another" } else { "all share the cores" };
    println!("| deliveries/s, {CONNECTIONS} connections, {cores} | |\n|---|---|");
    println!("| a single machine | {rate_alone:.0} |");
    println!(
        "| one node, the log in a quorum of three | {rate_one:.0}, {:.2} × of the single machine |",
        rate_one / rate_alone
    );
    println!("| the same, while two other nodes follow | {rate_followed:.0} |");
    println!("| three nodes together | {rate_all:.0}, {:.2} × of the row before |", rate_all / rate_followed);
    println!("| lag of the other nodes, p50 | {} ms |", lags.within(0.5).as_millis());
    println!("| lag of the other nodes, p99 | {} ms |", lags.within(0.99).as_millis());
    println!("| answers other than 200 | {} |", load.refused.load(Ordering::Relaxed));
}
