//! What is measured, and how much of it.

use crate::chat::Growth;
use crate::server::{Contender, KINDS, Kind};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// How much is measured.
pub struct Sizes {
    pub connections: Vec<usize>,
    /// Clients that ask questions.
    pub clients: Vec<usize>,
    pub seconds: u64,
    pub rounds: usize,
    /// Deliveries that a server holds before it is measured.
    pub begin: u64,
    /// Messages to chat rooms.
    pub inserts: u64,
    /// Lines for `ingest`, and so events for `rebuild`.
    pub lines: u64,
    /// Deliveries in the large file that newer ones are posted to; at least `lines`. And in the small one.
    pub messages: u64,
    pub small: u64,
    /// People that one event names.
    pub people: u64,
    /// Bytes of WAL that a reader holds back, and how long that or its checkpoint may take.
    pub wal: u64,
    pub at_most: Duration,
    /// Events that are rebuilt while a client posts.
    pub rebuilt: u64,
    /// Deliveries that are there before bare rows are written, and how many batches of them are then written.
    pub base: u64,
    pub batches: u64,
    /// How many deliveries are in a batch that stands for those of `ingest`.
    pub large_batch: u64,
    /// Messages of the chat that is read.
    pub rows: u64,
    /// Answers to each question that are compared before it is timed.
    pub checked: u64,
    /// Messages of the files whose answers are compared, from few to many, and what lies in each of them besides.
    pub growth: Vec<u64>,
    pub besides: Growth,
    pub subscribers: usize,
    /// An answer other than 200 ends the run.
    pub strict: bool,
}

impl Sizes {
    fn full() -> Self {
        Self {
            connections: vec![64, 16, 1],
            clients: vec![1, 16],
            seconds: 8,
            rounds: 3,
            begin: 500,
            inserts: 100_000,
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
            rows: 100_000,
            checked: 50,
            growth: vec![100_000, 500_000],
            besides: Growth { groups: 2_000, people: 100_000, facts: 1_000_000, events: 10_000 },
            subscribers: 1_000,
            strict: false,
        }
    }

    /// All of it once, for about two minutes: the figures say nothing.
    fn smoke() -> Self {
        Self {
            connections: vec![64, 16, 1],
            clients: vec![16],
            seconds: 1,
            rounds: 1,
            begin: 50,
            inserts: 1_000,
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
            rows: 3_000,
            checked: 5,
            growth: vec![1_000, 2_000],
            besides: Growth { groups: 20, people: 100, facts: 500, events: 100 },
            subscribers: 50,
            strict: true,
        }
    }

    /// Ends a strict run in which so many requests were not answered as they must be.
    pub fn check(&self, contender: &Contender, failed: u64, what: &str) {
        let fails = self.strict && contender.held && failed > 0;
        assert!(!fails, "{}: {failed} requests were not answered: {what}", contender.name);
    }
}

pub struct Options {
    pub sizes: Sizes,
    pub binary: PathBuf,
    pub old: Option<PathBuf>,
    pub peers: Vec<&'static Kind>,
    pub parts: Vec<String>,
    /// Programs that are not measured, and why.
    pub skipped: Vec<String>,
    /// Where the lines of JSON go.
    pub json: Option<File>,
}

const PARTS: [&str; 9] = ["rooms", "loads", "bare", "beside", "files", "queries", "growth", "mixed", "subscribers"];
/// What one question needs of several parts.
const QUESTIONS: [(&str, &[&str]); 2] =
    [("ingest", &["rooms", "loads", "bare", "beside", "files"]), ("rebuild", &["files"])];
const USAGE: &str = "expected --form, --binary, --old, --peer, --skipped, --json, --parts, --connections, --clients, --seconds, \
    --rounds, --inserts, --lines, --messages, --people, --rows, --growth or --subscribers";

impl Options {
    pub fn read() -> Self {
        let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
        let pairs = args.chunks(2).map(|pair| match pair {
            [option, value] => (option.as_str(), value.as_str()),
            _ => panic!("{} needs a value", pair[0]),
        });
        let smoke = pairs.clone().any(|pair| pair == ("--form", "smoke"));
        let mut options = Self {
            sizes: if smoke { Sizes::smoke() } else { Sizes::full() },
            binary: PathBuf::from(env!("CARGO_BIN_EXE_chatfold")),
            old: None,
            peers: Vec::new(),
            parts: PARTS.map(str::to_owned).to_vec(),
            skipped: Vec::new(),
            json: None,
        };
        pairs.for_each(|(option, value)| options.set(option, value));
        options
    }

    fn set(&mut self, option: &str, value: &str) {
        let number = || value.parse().unwrap_or_else(|_| panic!("{option} {value}: expected a number"));
        let numbers =
            || value.split(',').map(|n| n.parse().unwrap_or_else(|_| panic!("{option} {value}: expected numbers")));
        let sizes = &mut self.sizes;
        match option {
            "--form" => assert!(["smoke", "full"].contains(&value), "--form {value}: expected smoke or full"),
            "--binary" => self.binary = absolute(value),
            "--old" => self.old = Some(absolute(value)),
            "--peer" => self.peers.push(peer(value)),
            "--skipped" => self.skipped.push(value.to_owned()),
            "--json" => self.json = Some(File::create(value).unwrap_or_else(|error| panic!("{value}: {error}"))),
            "--parts" => self.parts = value.split(',').flat_map(parts).collect(),
            "--connections" => sizes.connections = numbers().map(|n: u64| n as usize).collect(),
            "--clients" => sizes.clients = numbers().map(|n: u64| n as usize).collect(),
            "--seconds" => sizes.seconds = number(),
            "--rounds" => sizes.rounds = number() as usize,
            "--inserts" => sizes.inserts = number(),
            "--lines" => sizes.lines = number(),
            "--messages" => sizes.messages = number(),
            "--people" => sizes.people = number(),
            "--rows" => sizes.rows = number(),
            "--growth" => sizes.growth = numbers().collect(),
            "--subscribers" => sizes.subscribers = number() as usize,
            _ => panic!("{option}: {USAGE}"),
        }
    }
}

fn peer(folder: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.folder == folder).unwrap_or_else(|| panic!("--peer {folder}: there is none"))
}

fn parts(question: &str) -> Vec<String> {
    let several = QUESTIONS.iter().find(|(name, _)| *name == question).map(|(_, parts)| *parts);
    let one = PARTS.iter().position(|part| *part == question).map(|place| &PARTS[place..=place]);
    let parts =
        several.or(one).unwrap_or_else(|| panic!("--parts {question}: expected some of {PARTS:?}, ingest or rebuild"));
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// The programs are started in other folders.
fn absolute(path: &str) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
