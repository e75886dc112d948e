//! What is measured: builds of chatfold and the programs in `benches/peers`, and the processes they run as.

use crate::postgres::Postgres;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program that takes deliveries, or answers reads.
pub struct Contender {
    /// The head of its column.
    pub name: &'static str,
    pub program: Program,
    /// A refusal fails a strict run. An older build may refuse.
    pub held: bool,
}

pub enum Program {
    /// A binary of chatfold.
    Chatfold(PathBuf),
    /// A program of another kind.
    Peer(Peer),
}

/// A program of `benches/peers`.
pub struct Peer {
    pub kind: &'static Kind,
    /// The script that starts it.
    pub script: PathBuf,
    /// Where its rows are, if it keeps them there.
    pub postgres: Option<Arc<Postgres>>,
}

pub struct Kind {
    /// Its folder.
    pub folder: &'static str,
    /// The head of its column.
    pub name: &'static str,
    pub takes_deliveries: bool,
    pub needs_postgres: bool,
}

pub const KINDS: [Kind; 4] = [
    Kind { folder: "express", name: "Express", takes_deliveries: true, needs_postgres: false },
    Kind { folder: "fastify", name: "Fastify + pg", takes_deliveries: true, needs_postgres: true },
    Kind { folder: "postgraphile", name: "PostGraphile", takes_deliveries: false, needs_postgres: true },
    Kind { folder: "datasette", name: "Datasette", takes_deliveries: false, needs_postgres: false },
];

/// Where the rows are that reads are answered from.
pub struct Source<'a> {
    /// The folder of a chatfold file.
    pub dir: &'a Path,
    /// The same rows in a SQLite file, and in PostgreSQL.
    pub rows: &'a Path,
    pub database: Option<&'a str>,
}

impl Contender {
    /// The binary, if this is a build of chatfold.
    pub fn chatfold(&self) -> Option<&Path> {
        match &self.program {
            Program::Chatfold(binary) => Some(binary),
            Program::Peer(_) => None,
        }
    }

    pub fn takes_deliveries(&self) -> bool {
        match &self.program {
            Program::Chatfold(_) => true,
            Program::Peer(peer) => peer.kind.takes_deliveries,
        }
    }

    /// Starts it to take deliveries into the file in `dir`, which it makes if there is none.
    pub fn serve(&self, dir: &Path) -> Server {
        match &self.program {
            Program::Chatfold(binary) => self.start(&mut chatfold(binary, dir), None),
            Program::Peer(peer) => {
                let mut command = Command::new(&peer.script);
                command.arg("serve").env("PEER_FILE", dir.join("peer.db"));
                let database = peer.postgres.as_ref().map(|postgres| postgres.database("deliveries").url);
                command.envs(database.map(|url| ("PEER_DATABASE", url)));
                self.start(&mut command, peer.postgres.as_deref())
            }
        }
    }

    /// Starts it to answer reads.
    pub fn read(&self, source: &Source<'_>) -> Server {
        match &self.program {
            Program::Chatfold(binary) => self.start(&mut chatfold(binary, source.dir), None),
            Program::Peer(peer) => {
                let mut command = Command::new(&peer.script);
                command.arg("read").env("PEER_ROWS", source.rows);
                command.envs(source.database.map(|url| ("PEER_DATABASE", url)));
                self.start(&mut command, peer.postgres.as_deref())
            }
        }
    }

    fn start(&self, command: &mut Command, postgres: Option<&Postgres>) -> Server {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let begin = said.len();
            assert!(lines.read_line(&mut said).unwrap() > 0, "{} did not start:\n{said}", self.name);
            if let Some((_, rest)) = said[begin..].split_once(" on http://") {
                break rest.split([',', ' ']).next().unwrap().trim().parse().unwrap();
            }
        };
        let last = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&last);
        let keep = move || lines.lines().map_while(Result::ok).for_each(|line| *kept.lock().unwrap() = line);
        std::thread::spawn(keep);
        Server { process: child, postgres: postgres.map(Postgres::id), address, last }
    }
}

fn chatfold(binary: &Path, dir: &Path) -> Command {
    // The client is one address with one token: a limit of one of these is no limit of the program.
    let settings = "listen = \"127.0.0.1:0\"\n[graphql]\nsubscribers = 10000\nsubscribers_per_token = 10000\n";
    std::fs::write(dir.join("chatfold.toml"), settings).unwrap();
    let mut command = Command::new(binary);
    command.arg("serve").current_dir(dir);
    command
}

/// A program that listens. It is ended when this is dropped.
pub struct Server {
    process: Child,
    /// The process of PostgreSQL that works for it.
    postgres: Option<u32>,
    pub address: SocketAddr,
    last: Arc<Mutex<String>>,
}

impl Server {
    /// Bytes that its processes had written to disk.
    pub fn written(&self) -> u64 {
        self.processes().iter().filter_map(|id| figure(*id, "io", "write_bytes:")).sum()
    }

    /// Bytes of memory that its processes hold; what they share counts once.
    pub fn memory(&self) -> u64 {
        self.processes().iter().filter_map(|id| figure(*id, "smaps_rollup", "Pss:")).sum::<u64>() * 1024
    }

    /// CPU so far of the thread that writes, or of all processes if no thread has that name.
    pub fn writer(&self) -> Duration {
        let threads = self.threads();
        let writer = threads.iter().find(|(name, _)| name == "writer").map(|(_, used)| *used);
        writer.unwrap_or_else(|| self.cpu())
    }

    /// CPU so far of all threads.
    pub fn cpu(&self) -> Duration {
        self.threads().iter().map(|(_, used)| *used).sum()
    }

    /// Instructions, outside the kernel, that its processes take for the work, and what the work gives.
    pub fn instructions<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let ids: Vec<String> = self.processes().iter().map(u32::to_string).collect();
        let perf = perf().args(["-p", &ids.join(",")]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let done = work();
        let _ = Command::new("kill").args(["-INT", &perf.id().to_string()]).status();
        (done, counted(perf))
    }

    fn threads(&self) -> Vec<(String, Duration)> {
        let tasks = |id: u32| std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten();
        let of = |task: PathBuf| {
            let name = std::fs::read_to_string(task.join("comm")).ok()?;
            let used = std::fs::read_to_string(task.join("schedstat")).ok()?;
            Some((name.trim().to_owned(), Duration::from_nanos(used.split(' ').next()?.parse().ok()?)))
        };
        self.processes().into_iter().flat_map(tasks).filter_map(|task| of(task.ok()?.path())).collect()
    }

    /// The program's own process and PostgreSQL's, with their children.
    fn processes(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = [self.process.id()].into_iter().chain(self.postgres).collect();
        assert!(figure(ids[0], "status", "VmRSS:").is_some(), "ended: {}", self.last.lock().unwrap());
        if self.postgres.is_some() {
            let all =
                std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
            let child = |id: &u32| figure(*id, "status", "PPid:").is_some_and(|parent| ids.contains(&(parent as u32)));
            let children: Vec<u32> = all.filter(child).collect();
            ids.extend(children);
        }
        ids
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM by the shell's own kill: the standard library has only SIGKILL.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// A number of a file of a process under `/proc`.
fn figure(id: u32, file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Whether this machine counts instructions: many virtual ones do not.
pub fn counts_instructions() -> bool {
    perf().arg("true").spawn().is_ok_and(|perf| counted(perf) > 0)
}

fn perf() -> Command {
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", "instructions:u"]).stdout(Stdio::null()).stderr(Stdio::piped());
    perf
}

fn counted(perf: Child) -> u64 {
    let said = String::from_utf8(perf.wait_with_output().unwrap().stderr).unwrap();
    said.lines().filter_map(|line| line.split(',').next()?.parse::<u64>().ok()).sum()
}

/// What a command cost.
pub struct Cost {
    pub elapsed: Duration,
    /// Bytes written to disk.
    pub written: u64,
    /// The most memory that it held, in bytes.
    pub peak: u64,
}

/// Runs a command of chatfold to its end.
pub fn run(binary: &Path, args: &[&str], dir: &Path) -> Cost {
    let begun = Instant::now();
    let errors = std::fs::File::create(dir.join("errors")).unwrap();
    let mut command = Command::new(binary);
    let mut child = command.args(args).current_dir(dir).stdout(Stdio::null()).stderr(errors).spawn().unwrap();
    let (mut written, mut peak) = (0, 0);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        written = figure(child.id(), "io", "write_bytes:").unwrap_or(written);
        peak = figure(child.id(), "status", "VmHWM:").unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = || std::fs::read_to_string(dir.join("errors")).unwrap();
    assert!(status.success(), "{} {args:?}: {status}\n{}", binary.display(), said());
    Cost { elapsed: begun.elapsed(), written, peak: peak * 1024 }
}
