//! How many deliveries a build takes, and what each costs: `cargo bench --bench deliveries -- [OPTION…]`.
//!
//! Starts the server on loopback with a file of its own on a real disk, posts a mix of deliveries over a number of
//! connections, and prints deliveries per second, times of answers, CPU of the writer thread and bytes written to disk.
//! With several `--binary` options the builds take turns, so that a noisy machine is as noisy for each.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "deliveries/mix.rs"]
mod mix;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Options {
    binaries: Vec<PathBuf>,
    connections: Vec<usize>,
    seconds: u64,
    rounds: usize,
    /// Lines for `ingest`; 0: none.
    lines: u64,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { binaries: Vec::new(), connections: vec![64, 16, 1], seconds: 8, rounds: 1, lines: 0 };
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(option) = args.next() {
            let value = args.next().unwrap_or_else(|| panic!("{option} needs a value"));
            match option.as_str() {
                "--binary" => options.binaries.push(value.into()),
                "--connections" => options.connections = value.split(',').map(|n| n.parse().unwrap()).collect(),
                "--seconds" => options.seconds = value.parse().unwrap(),
                "--rounds" => options.rounds = value.parse().unwrap(),
                "--lines" => options.lines = value.parse().unwrap(),
                _ => panic!("{option}: expected --binary, --connections, --seconds, --rounds or --lines"),
            }
        }
        if options.binaries.is_empty() {
            options.binaries.push(env!("CARGO_BIN_EXE_chatfold").into());
        }
        options
    }
}

/// A server on a free port.
struct Server {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Server {
    fn start(binary: &Path) -> Self {
        let dir =
            tempfile::tempdir_in(std::env::var("CHATFOLD_BENCH_DIR").unwrap_or_else(|_| "target".into())).unwrap();
        std::fs::write(dir.path().join("chatfold.toml"), "listen = \"127.0.0.1:0\"\n").unwrap();
        let mut command = Command::new(binary);
        command.arg("serve").current_dir(dir.path()).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server did not start");
            if let Some((_, rest)) = line.split_once("listening on http://") {
                break rest.split(',').next().unwrap().trim().parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        Self { child, address, dir }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// Bytes that the process had written to disk.
    fn written(&self) -> u64 {
        self.proc("io").lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
    }

    /// CPU of the writer thread so far.
    fn writer(&self) -> Duration {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let task = task.unwrap().path();
            if std::fs::read_to_string(task.join("comm")).unwrap().trim() == "writer" {
                let stat = std::fs::read_to_string(task.join("schedstat")).unwrap();
                return Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap());
            }
        }
        panic!("no writer thread")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM by the shell's own kill: the standard library has only SIGKILL.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn post(stream: &mut TcpStream, body: &str) {
    let head = format!(
        "POST /webhooks/cometchat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 2048]);
    while !answer.ends_with(b"{}") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

fn deliveries(binary: &Path, connections: usize, seconds: u64) {
    let server = Server::start(binary);
    let next = AtomicU64::new(1);
    let bytes = AtomicU64::new(0);
    // People and conversations that are there before.
    let mut stream = TcpStream::connect(server.address).unwrap();
    (0..500).for_each(|_| post(&mut stream, &mix::body(next.fetch_add(1, Ordering::Relaxed))));
    let (written, writer, begun) = (server.written(), server.writer(), Instant::now());
    let until = begun + Duration::from_secs(seconds);
    let send = || {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut taken = Vec::new();
        while Instant::now() < until {
            let body = mix::body(next.fetch_add(1, Ordering::Relaxed));
            bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
            let asked = Instant::now();
            post(&mut stream, &body);
            taken.push(asked.elapsed());
        }
        taken
    };
    let mut taken: Vec<Duration> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    let elapsed = begun.elapsed();
    taken.sort();
    let count = taken.len() as u64;
    let place = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    let (written, writer) = (server.written() - written, server.writer() - writer);
    let file = std::fs::metadata(server.dir.path().join("chatfold.db")).unwrap().len();
    println!(
        "{:<44} {connections:>3} connections: {:>6.0} deliveries/s, p50 {:.2} ms, p99 {:.2} ms, writer {:.0} µs, {:.1} KiB written each; {:.2} bytes of file a byte of body",
        binary.display(),
        count as f64 / elapsed.as_secs_f64(),
        place(0.5),
        place(0.99),
        writer.as_secs_f64() * 1e6 / count as f64,
        written as f64 / 1024.0 / count as f64,
        file as f64 / bytes.load(Ordering::Relaxed) as f64,
    );
}

/// Reads a file of deliveries.
fn ingest(binary: &Path, lines: u64) {
    let dir = tempfile::tempdir_in("target").unwrap();
    let log = dir.path().join("log.jsonl");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&log).unwrap());
    (1..=lines).for_each(|n| writeln!(out, "{}", mix::body(n)).unwrap());
    out.into_inner().unwrap();
    let begun = Instant::now();
    let mut command = Command::new(binary);
    let db = dir.path().join("chatfold.db");
    let mut child = command
        .arg("ingest")
        .arg(&log)
        .arg("--db")
        .arg(&db)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut written, mut peak) = (0, 0);
    let figure = |pid: u32, file: &str, name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    while child.try_wait().unwrap().is_none() {
        written = figure(child.id(), "io", "write_bytes:").unwrap_or(written);
        peak = figure(child.id(), "status", "VmHWM:").unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{:<44} ingest of {lines} lines: {:.0} lines/s, {:.1} KiB written each, {} MiB of memory at most, file {} MiB",
        binary.display(),
        lines as f64 / begun.elapsed().as_secs_f64(),
        written as f64 / 1024.0 / lines as f64,
        peak / 1024,
        std::fs::metadata(&db).unwrap().len() >> 20,
    );
}

fn main() {
    let options = Options::read();
    for _ in 0..options.rounds {
        for connections in &options.connections {
            for binary in &options.binaries {
                deliveries(binary, *connections, options.seconds);
            }
        }
        for binary in options.binaries.iter().filter(|_| options.lines > 0) {
            ingest(binary, options.lines);
        }
    }
}
