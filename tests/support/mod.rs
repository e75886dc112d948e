//! A real server process in a folder of its own, and a small client.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod clients;
#[cfg(feature = "otel")]
pub mod collector;
pub mod faulty;
pub mod feed;
pub mod fences;
pub mod load;
pub mod nodes;
pub mod pages;
pub mod postgres;
pub mod reader;
pub mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const WEBHOOK: &str = "/webhooks/cometchat";
const LOOPBACK: &str = "127.0.0.1:0";
pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A server, killed when dropped.
pub struct TestServer {
    child: Child,
    pub address: SocketAddr,
    dir: Arc<TempDir>,
    stderr: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Without credentials, on loopback.
    pub fn start() -> Self {
        Self::with("")
    }

    /// With this configuration file.
    pub fn with(toml: &str) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::within(dir, toml)
    }

    /// That heard a story of the fixtures.
    pub fn with_story(name: &str) -> Self {
        Self::start().told(name)
    }

    /// The same, after it heard a story of the fixtures.
    pub fn told(self, name: &str) -> Self {
        let folder = format!("{}/fixtures/stories/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "json")) {
            assert_eq!(self.deliver(std::fs::read(file).unwrap()).status, 200, "{file:?}");
        }
        self
    }

    /// In a folder that another server may have used before.
    pub fn within(dir: Arc<TempDir>, toml: &str) -> Self {
        std::fs::write(dir.path().join("chatfold.toml"), toml).unwrap();
        Self::launch(dir, |_| {}).unwrap_or_else(|why| panic!("the server did not start: {why:?}"))
    }

    /// Shows a file that is never written.
    pub fn open(file: &std::path::Path) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
        Self::start_with(dir, &["open", file.to_str().unwrap()], |_| {})
            .unwrap_or_else(|why| panic!("the file was not opened: {why:?}"))
    }

    /// With a command changed before it runs. How it ended and what it said, where it does not start.
    pub fn launch(dir: Arc<TempDir>, change: impl FnOnce(&mut Command)) -> Result<Self, (ExitStatus, String)> {
        Self::start_with(dir, &["serve"], change)
    }

    fn start_with(
        dir: Arc<TempDir>,
        args: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Result<Self, (ExitStatus, String)> {
        let mut command = command(&dir, args, LOOPBACK);
        change(&mut command);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let stderr = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                return Err((child.wait().unwrap(), stderr.lock().unwrap().clone()));
            }
            stderr.lock().unwrap().push_str(&line);
            if let Some((_, rest)) = line.split_once("listening on http").and_then(|(_, url)| url.split_once("://")) {
                break rest.split(',').next().unwrap().parse().unwrap();
            }
        };
        let kept = Arc::clone(&stderr);
        let reading = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Ok(Self { child, address, dir, stderr, reading: Some(reading) })
    }

    pub fn dir(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    pub fn db(&self) -> PathBuf {
        self.dir.path().join("chatfold.db")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until the log holds a text.
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in the log: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Replaces the configuration file and says so.
    pub fn reload(&self, toml: &str) {
        std::fs::write(self.dir.path().join("chatfold.toml"), toml).unwrap();
        self.signal("HUP");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// SIGTERM, and how it ended; panics when that takes long.
    pub fn sigterm(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// How it ended by itself; panics when that takes long.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it said last, too.
                self.reading.take().into_iter().for_each(|reading| reading.join().unwrap());
                return status;
            }
            assert!(Instant::now() < deadline, "still running: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts another command on the same file.
    pub fn spawn(&self, args: &[&str]) -> Running {
        let mut command = command(&self.dir, args, LOOPBACK);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Starts another command on the same file, to be read as it speaks.
    pub fn follow(&self, args: &[&str]) -> (Running, BufReader<std::process::ChildStdout>) {
        let mut child =
            command(&self.dir, args, LOOPBACK).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        (Running(child), lines)
    }

    /// Runs another command on the same file: exit code, stdout, stderr.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = command(&self.dir, args, LOOPBACK).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    /// Posts to the webhook as the vendor does.
    pub fn deliver(&self, body: impl AsRef<[u8]>) -> Answer {
        self.post(WEBHOOK, &[JSON], body)
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, headers, body.as_ref())
    }

    /// Any method, with ureq.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.address, method, path, headers, body)
    }

    /// Bytes as they are, for what a client library would not send; the answer up to the end of the connection.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        raw(self.address, bytes)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks whatever listens there: a server, or a proxy in front of one.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(20)))
        .build();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent = ureq::Agent::new_with_config(config);
    let mut response = match body.is_empty() {
        true => agent.run(request.body(()).unwrap()).unwrap(),
        false => agent.run(request.body(body).unwrap()).unwrap(),
    };
    Answer {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: response.body_mut().read_to_string().unwrap(),
    }
}

/// Sends bytes as they are; the answer up to the end of the connection.
pub fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(bytes.as_ref()).unwrap();
    let mut text = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = socket.read_to_end(&mut text);
    Answer::parse(&String::from_utf8(text).unwrap())
}

fn command(dir: &TempDir, args: &[&str], listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatfold"));
    command.current_dir(dir.path()).args(args).args(["--listen", listen, "--config", "chatfold.toml"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATFOLD_")) {
        command.env_remove(name);
    }
    command
}

/// Another process on a server's file, killed when dropped.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A number that the environment may set: the long form of a test.
pub fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().unwrap())
}

/// Instants of a fixed seed: xorshift.
pub struct Instants(u64);

impl Default for Instants {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Instants {
    /// The next, in milliseconds.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(range.start + self.0 % (range.end - range.start))
    }
}

/// `chatfold verify` finds nothing.
#[track_caller]
pub fn verified(db: &std::path::Path) {
    let (code, out, err) = chatfold(&["verify", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
}

/// Runs the binary in an empty folder: exit code, stdout, stderr.
pub fn chatfold(args: &[&str]) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chatfold")).current_dir(dir.path()).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        // Interim answers (100 Continue) come before the one that counts.
        let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|it| it.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts a problem of this status and hands over its detail.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let json = self.json();
        assert_eq!(json["status"], status);
        assert_eq!(json["type"], "about:blank");
        assert!(json["title"].as_str().is_some_and(|it| !it.is_empty()));
        json["detail"].as_str().unwrap().to_owned()
    }
}

/// The header's value.
pub fn basic(pair: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}
