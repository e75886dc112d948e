//! What is measured: builds of chatfold and the receiver in `benches/peers/express`, and the processes they run as.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program that takes deliveries.
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
    /// The folder of a receiver in node.
    Node(PathBuf),
}

impl Contender {
    /// The binary, if this is a build of chatfold.
    pub fn chatfold(&self) -> Option<&Path> {
        match &self.program {
            Program::Chatfold(binary) => Some(binary),
            Program::Node(_) => None,
        }
    }

    /// Starts it over the file in `dir`, which it makes if there is none.
    pub fn serve(&self, dir: &Path) -> Server {
        let mut command = match &self.program {
            Program::Chatfold(binary) => {
                std::fs::write(dir.join("chatfold.toml"), "listen = \"127.0.0.1:0\"\n").unwrap();
                let mut command = Command::new(binary);
                command.arg("serve").current_dir(dir);
                command
            }
            Program::Node(folder) => {
                let mut command = Command::new("node");
                command.arg(folder.join("server.mjs")).env("PEER_FILE", dir.join("peer.db"));
                command.env("NODE_ENV", "production");
                command
            }
        };
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let begin = said.len();
            assert!(lines.read_line(&mut said).unwrap() > 0, "{} did not start:\n{said}", self.name);
            if let Some((_, rest)) = said[begin..].split_once("listening on http://") {
                break rest.split(',').next().unwrap().trim().parse().unwrap();
            }
        };
        let last = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&last);
        let keep = move || lines.lines().map_while(Result::ok).for_each(|line| *kept.lock().unwrap() = line);
        std::thread::spawn(keep);
        Server { process: Process(child), address, last }
    }
}

/// A program that listens. It is ended when this is dropped.
pub struct Server {
    process: Process,
    pub address: SocketAddr,
    last: Arc<Mutex<String>>,
}

impl Server {
    /// Bytes that the process had written to disk.
    pub fn written(&self) -> u64 {
        self.process.figure("io", "write_bytes:").unwrap_or_else(|| panic!("ended: {}", self.last.lock().unwrap()))
    }

    /// CPU so far of the thread that writes, or of the whole process if no thread has that name.
    pub fn writer(&self) -> Duration {
        let threads = self.threads();
        let writer = threads.iter().find(|(name, _)| name == "writer").map(|(_, used)| *used);
        writer.unwrap_or_else(|| self.cpu())
    }

    /// CPU so far of all threads.
    pub fn cpu(&self) -> Duration {
        self.threads().iter().map(|(_, used)| *used).sum()
    }

    fn threads(&self) -> Vec<(String, Duration)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.0.id())).unwrap();
        let of = |task: PathBuf| {
            let name = std::fs::read_to_string(task.join("comm")).ok()?;
            let used = std::fs::read_to_string(task.join("schedstat")).ok()?;
            Some((name.trim().to_owned(), Duration::from_nanos(used.split(' ').next()?.parse().ok()?)))
        };
        tasks.filter_map(|task| of(task.ok()?.path())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM by the shell's own kill: the standard library has only SIGKILL.
        let _ = Command::new("kill").arg(self.process.0.id().to_string()).status();
        let _ = self.process.0.wait();
    }
}

struct Process(Child);

impl Process {
    /// A number of a file under `/proc`.
    fn figure(&self, file: &str, name: &str) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    }
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
    let child = command.args(args).current_dir(dir).stdout(Stdio::null()).stderr(errors).spawn().unwrap();
    let mut process = Process(child);
    let (mut written, mut peak) = (0, 0);
    let status = loop {
        if let Some(status) = process.0.try_wait().unwrap() {
            break status;
        }
        written = process.figure("io", "write_bytes:").unwrap_or(written);
        peak = process.figure("status", "VmHWM:").unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = || std::fs::read_to_string(dir.join("errors")).unwrap();
    assert!(status.success(), "{} {args:?}: {status}\n{}", binary.display(), said());
    Cost { elapsed: begun.elapsed(), written, peak: peak * 1024 }
}
