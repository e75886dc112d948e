//! The cost of chatfold's write path beside that of other programs: `cargo bench --bench deliveries -- [OPTION…]`.
//! `tests/bench.sh` installs what is needed and runs all of it; `docs/performance.md` tells what each figure is.
//!
//! Starts each program on loopback with a file of its own on a real disk, posts a mix of deliveries and prints one table.
//! The programs take turns, so that a noisy machine is as noisy for each. Nothing is asserted about the figures; a strict
//! run fails where a delivery is not taken.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "deliveries/bare.rs"]
mod bare;
#[path = "deliveries/beside.rs"]
mod beside;
#[path = "deliveries/client.rs"]
mod client;
#[path = "deliveries/files.rs"]
mod files;
#[path = "deliveries/mix.rs"]
mod mix;
#[path = "deliveries/server.rs"]
mod server;
#[path = "deliveries/table.rs"]
mod table;

use server::{Contender, Program};
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::{Figures, Of};

/// How much is measured.
pub struct Sizes {
    connections: Vec<usize>,
    seconds: u64,
    rounds: usize,
    /// Deliveries that a server holds before it is measured.
    begin: u64,
    /// Lines for `ingest`, and so events for `rebuild`.
    lines: u64,
    /// Deliveries in the large file that newer ones are posted to; at least `lines`. And in the small one.
    messages: u64,
    small: u64,
    /// People that one event names.
    people: u64,
    /// Bytes of WAL that a reader holds back, and how long that or its checkpoint may take.
    wal: u64,
    at_most: Duration,
    /// Events that are rebuilt while a client posts.
    rebuilt: u64,
    /// Deliveries that are there before bare rows are written, and how many batches of them are then written.
    base: u64,
    batches: u64,
    /// How many deliveries are in a batch that stands for those of `ingest`.
    large_batch: u64,
    /// An answer other than 200 ends the run.
    strict: bool,
}

impl Sizes {
    fn full() -> Self {
        Self {
            connections: vec![64, 16, 1],
            seconds: 8,
            rounds: 3,
            begin: 500,
            lines: 1_500_000,
            messages: 0,
            small: 100_000,
            people: 50_000,
            wal: 256 << 20,
            at_most: Duration::from_secs(60),
            rebuilt: 100_000,
            base: 500,
            batches: 100,
            large_batch: 1_000,
            strict: false,
        }
    }

    /// All of it once, for about a minute: the figures say nothing.
    fn smoke() -> Self {
        Self {
            connections: vec![64, 16, 1],
            seconds: 1,
            rounds: 1,
            begin: 50,
            lines: 1_000,
            messages: 0,
            small: 500,
            people: 200,
            wal: 4 << 20,
            at_most: Duration::from_secs(5),
            rebuilt: 500,
            base: 200,
            batches: 3,
            large_batch: 100,
            strict: true,
        }
    }

    /// Ends a strict run in which so many deliveries were not answered as they must be.
    fn check(&self, contender: &Contender, failed: u64, what: &str) {
        let fails = self.strict && contender.held && failed > 0;
        assert!(!fails, "{}: {failed} deliveries were not taken: {what}", contender.name);
    }
}

struct Options {
    sizes: Sizes,
    binary: PathBuf,
    old: Option<PathBuf>,
    express: Option<PathBuf>,
    parts: Vec<String>,
}

const PARTS: [&str; 4] = ["loads", "bare", "beside", "files"];
const USAGE: &str = "expected --form, --binary, --old, --express, --parts, --connections, --seconds, --rounds, --lines, \
    --messages or --people";

impl Options {
    fn read() -> Self {
        let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
        let pairs = args.chunks(2).map(|pair| match pair {
            [option, value] => (option.as_str(), value.as_str()),
            _ => panic!("{} needs a value", pair[0]),
        });
        let smoke = pairs.clone().any(|pair| pair == ("--form", "smoke"));
        let mut sizes = if smoke { Sizes::smoke() } else { Sizes::full() };
        let mut binary = PathBuf::from(env!("CARGO_BIN_EXE_chatfold"));
        let (mut old, mut express, mut parts) = (None, None, PARTS.map(str::to_owned).to_vec());
        for (option, value) in pairs {
            let number = || value.parse().unwrap_or_else(|_| panic!("{option} {value}: expected a number"));
            match option {
                "--form" => assert!(["smoke", "full"].contains(&value), "--form {value}: expected smoke or full"),
                "--binary" => binary = absolute(value),
                "--old" => old = Some(absolute(value)),
                "--express" => express = Some(absolute(value)),
                "--parts" => parts = value.split(',').map(str::to_owned).collect(),
                "--connections" => sizes.connections = value.split(',').map(|n| n.parse().unwrap()).collect(),
                "--seconds" => sizes.seconds = number(),
                "--rounds" => sizes.rounds = value.parse().unwrap(),
                "--lines" => sizes.lines = number(),
                "--messages" => sizes.messages = number(),
                "--people" => sizes.people = number(),
                _ => panic!("{option}: {USAGE}"),
            }
        }
        let unknown = parts.iter().find(|part| !PARTS.contains(&part.as_str()));
        assert!(unknown.is_none(), "--parts {unknown:?}: expected some of {PARTS:?}");
        Self { sizes, binary, old, express, parts }
    }
}

/// The programs are started in other folders.
fn absolute(path: &str) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn main() {
    let Options { sizes, binary, old, express, parts } = Options::read();
    let mut contenders = vec![Contender { name: "chatfold", program: Program::Chatfold(binary.clone()), held: true }];
    contenders.extend(old.map(|old| Contender { name: "older build", program: Program::Chatfold(old), held: false }));
    contenders.extend(express.map(|peer| Contender { name: "Express", program: Program::Node(peer), held: true }));
    let mut figures = Figures::default();
    let mut syncs = Vec::new();
    let has = |part: &str| parts.iter().any(|asked| asked == part);
    for round in 1..=sizes.rounds {
        syncs.push(format!("{:.2}", files::sync_time()));
        eprintln!("round {round} of {}", sizes.rounds);
        for connections in &sizes.connections {
            if has("loads") {
                contenders.iter().for_each(|contender| load(contender, *connections, &sizes, &mut figures));
            }
            if has("bare") {
                bare(&binary, *connections, &sizes, &mut figures);
            }
        }
        if has("beside") {
            beside::measure(&contenders, &sizes, &mut figures);
        }
    }
    if has("files") {
        files::measure(&contenders, &sizes, &mut figures);
    }
    if has("files") && has("bare") {
        let dir = files::folder();
        let cost = bare::measure(&binary, dir.path(), sizes.base, sizes.large_batch, sizes.batches.div_ceil(10));
        let [rate, _, written] = cost.figures();
        figures.add("ingest, lines/s", Of::Median, bare::NAME, rate);
        figures.add("ingest, KiB written a line", Of::Median, bare::NAME, written);
    }
    let mut names: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
    names.extend(has("bare").then_some(bare::NAME));
    figures.print(&names);
    println!("\nA write of 4 KiB and its sync, ms, before each round: {}", syncs.join(", "));
}

/// The end of the name of a figure.
fn of(connections: usize) -> String {
    format!("{connections} connection{}", if connections == 1 { "" } else { "s" })
}

/// Posts over so many connections, as fast as answers come, to a server with a new file.
fn load(contender: &Contender, connections: usize, sizes: &Sizes, figures: &mut Figures) {
    let dir = files::folder();
    let server = contender.serve(dir.path());
    let next = client::begin(server.address, sizes.begin);
    let (written, writer, cpu) = (server.written(), server.writer(), server.cpu());
    let time = Duration::from_secs(sizes.seconds);
    let answers = client::load(server.address, connections, &next, |taken| taken < time);
    let (written, writer, cpu) = (server.written() - written, server.writer() - writer, server.cpu() - cpu);
    sizes.check(contender, answers.refused, &of(connections));
    let each = |figure: f64| figure / answers.count() as f64;
    let of = of(connections);
    let mut add = |what: &str, figure| figures.add(format!("{what}, {of}"), Of::Median, contender.name, figure);
    add("deliveries/s", answers.rate());
    add("p50, ms", answers.within(0.5));
    add("p99, ms", answers.within(0.99));
    add("writer CPU, µs a delivery", each(writer.as_secs_f64() * 1e6));
    add("CPU of the process, µs a delivery", each(cpu.as_secs_f64() * 1e6));
    add("KiB written a delivery", each(written as f64 / 1024.0));
    eprintln!("{}: {of}: {:.0} deliveries/s, p99 {:.2} ms", contender.name, answers.rate(), answers.within(0.99));
}

/// Writes the rows of as many deliveries a batch as there are connections: no batch of a server can hold more.
fn bare(binary: &Path, connections: usize, sizes: &Sizes, figures: &mut Figures) {
    let dir = files::folder();
    let cost = bare::measure(binary, dir.path(), sizes.base, connections as u64, sizes.batches);
    let [rate, cpu, written] = cost.figures();
    let of = of(connections);
    let mut add = |what: &str, figure| figures.add(format!("{what}, {of}"), Of::Median, bare::NAME, figure);
    add("deliveries/s", rate);
    add("writer CPU, µs a delivery", cpu);
    add("KiB written a delivery", written);
    eprintln!("{}: {of}: {rate:.0} deliveries/s, {cpu:.0} µs, {written:.1} KiB each", bare::NAME);
}
