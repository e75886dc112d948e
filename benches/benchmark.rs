//! chatfold beside other programs: `cargo bench --bench benchmark -- [OPTION…]`. `tests/bench.sh` installs what is needed and
//! runs all of it; `benches/README.md` tells what is asked and how.
//!
//! Starts each program on loopback with a file of its own on a real disk, posts deliveries or asks questions, and prints one
//! table a question. The programs take turns, so that a noisy machine is as noisy for each. Nothing is asserted about the
//! figures; the run fails where an answer is not equal to chatfold's, a strict run where a delivery is not taken.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "benchmark/bare.rs"]
mod bare;
#[path = "benchmark/beside.rs"]
mod beside;
#[path = "benchmark/chat.rs"]
mod chat;
#[path = "benchmark/client.rs"]
mod client;
#[path = "benchmark/files.rs"]
mod files;
#[path = "benchmark/growth.rs"]
mod growth;
#[path = "benchmark/head.rs"]
mod head;
#[path = "benchmark/mix.rs"]
mod mix;
#[path = "benchmark/mixed.rs"]
mod mixed;
#[path = "benchmark/options.rs"]
mod options;
#[path = "benchmark/postgres.rs"]
mod postgres;
#[path = "benchmark/queries.rs"]
mod queries;
#[path = "benchmark/rooms.rs"]
mod rooms;
#[path = "benchmark/rows.rs"]
mod rows;
#[path = "benchmark/server.rs"]
mod server;
#[path = "benchmark/storms.rs"]
mod storms;
#[path = "benchmark/subscribers.rs"]
mod subscribers;
#[path = "benchmark/table.rs"]
mod table;

use options::{Options, Sizes};
use postgres::Postgres;
use server::{Contender, Peer, Program};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use table::{Figures, Of};

fn main() {
    let Options { sizes, binary, old, peers, parts, skipped, json } = Options::read();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let script = scripts.join("postgres");
    let postgres = peers.iter().any(|kind| kind.needs_postgres).then(|| Arc::new(Postgres::start(&script)));
    let mut contenders = vec![Contender { name: "chatfold", program: Program::Chatfold(binary.clone()), held: true }];
    contenders.extend(old.map(|old| Contender { name: "older build", program: Program::Chatfold(old), held: false }));
    contenders.extend(peers.into_iter().map(|kind| {
        let postgres = postgres.clone().filter(|_| kind.needs_postgres);
        let program = Program::Peer(Peer { kind, script: scripts.join(kind.folder).join("peer"), postgres });
        Contender { name: kind.name, program, held: true }
    }));
    let mut figures = Figures::into_file(json);
    let head = head::of(&contenders, postgres.is_some().then_some(&script), &skipped);
    figures.line(&head);
    let has = |part: &str| parts.iter().any(|asked| asked == part);
    for round in 1..=sizes.rounds {
        eprintln!("round {round} of {}", sizes.rounds);
        if has("rooms") {
            figures.question("ingest");
            rooms::measure(&contenders, &sizes, &mut figures);
        }
        for connections in &sizes.connections {
            figures.question("deliveries");
            if has("loads") {
                let takers = contenders.iter().filter(|contender| contender.takes_deliveries());
                takers.for_each(|contender| load(contender, *connections, &sizes, &mut figures));
            }
            if has("bare") {
                bare(&binary, *connections, &sizes, &mut figures);
            }
        }
        if has("beside") {
            figures.question("deliveries beside something large");
            beside::measure(&contenders, &sizes, &mut figures);
        }
    }
    if has("files") {
        figures.question("ingest and rebuild of a log");
        files::measure(&contenders, &sizes, &mut figures);
        if has("bare") {
            let dir = files::folder();
            let cost = bare::measure(&binary, dir.path(), sizes.base, sizes.large_batch, sizes.batches.div_ceil(10));
            let [rate, _, written] = cost.figures();
            figures.add("ingest, lines/s", Of::Median, bare::NAME, rate);
            figures.add("ingest, KiB written a line", Of::Median, bare::NAME, written);
        }
    }
    if has("queries") {
        figures.question("queries");
        queries::measure(&contenders, postgres.as_deref(), &sizes, &mut figures);
    }
    if has("growth") {
        figures.question("growth");
        growth::measure(&contenders, &sizes, &mut figures);
    }
    if has("mixed") {
        figures.question("mixed");
        mixed::measure(&contenders, &sizes, &mut figures);
    }
    if has("subscribers") {
        figures.question("subscribers");
        subscribers::measure(&contenders, &sizes, &mut figures);
    }
    let mut names: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
    names.push(bare::NAME);
    head::print(&head);
    figures.print(&names);
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
