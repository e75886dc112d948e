//! A day of a server in short: a full mix of deliveries, duplicates, garbage, queries, subscribers, backups, rebuilds, cuts
//! of old events, an erasure, new certificates, ends by SIGTERM and by SIGKILL. `CHATFOLD_SOAK_SECONDS` sets the length: `tests/long.sh`
//! runs half an hour.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::load::Oracle;
use support::tls::{Pair, Secure};
use support::{TestServer, WEBHOOK, chatfold, number, verified};
use tempfile::TempDir;

const TOML: &str = "tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n[retention]\npresence = \"1d\"\nignored = \"1d\"\nmessage = \"30d\"\ncall = \"30d\"\n";
/// Milliseconds of 1 January 2025, and of an hour.
const BEGIN: u64 = 1_735_689_600_000;
const HOUR: u64 = 3_600_000;
/// Servers one after another, in the short form. A longer one begins another server at least every three minutes.
const LIVES: u64 = 4;
/// Most descriptors of a server that nobody speaks to: readers, file, WAL, listener.
const DESCRIPTORS: usize = 150;
/// Most memory of a server, and how much more of it in later lives than in earlier ones.
const MEMORY: u64 = 512 << 20;
const GROWTH: u64 = 64 << 20;
/// Bodies that are no deliveries.
const GARBAGE: &[&[u8]] =
    &[b"{", b"[]", b"null", b"\xff\xfe", b"{\"trigger\":1}", b"{\"trigger\":\"message_sent\"}", &[b'['; 5_000]];
const PAGES: &[&str] = &["/", "/events", "/groups", "/users", "/health", "/metrics", "/readyz"];

/// What all clients share.
struct World {
    dir: Arc<TempDir>,
    pair: Mutex<Arc<Pair>>,
    oracle: Oracle,
    mix: Vec<String>,
    /// Clients of the current server end.
    stop: AtomicBool,
    /// Its subscribers end: deliveries still come, so that each hears something.
    unsubscribe: AtomicBool,
    rounds: AtomicU64,
    answers: AtomicU64,
    /// Events about the presence of one person.
    presence: AtomicU64,
    /// Messages of one person, day after day.
    messages: AtomicU64,
    /// The newest position that each subscriber heard.
    newest: [AtomicU64; 2],
    heard: AtomicU64,
}

impl World {
    fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/triggers")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        // No webhook may bring what begins with `chatfold.`.
        files.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with("chatfold."));
        let world = Self {
            dir,
            pair: Mutex::new(Arc::new(Pair::default())),
            oracle: Oracle::default(),
            mix: files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect(),
            stop: AtomicBool::new(false),
            unsubscribe: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            presence: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            newest: Default::default(),
            heard: AtomicU64::new(0),
        };
        world.pair().write(world.dir.path());
        world
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("chatfold.db")
    }

    fn pair(&self) -> Arc<Pair> {
        Arc::clone(&self.pair.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn connect(&self, address: SocketAddr) -> Option<Secure> {
        self.pair().connect(address).ok()
    }

    /// The status of an answer; `None`: the server is gone, or its certificate is another one by now.
    fn ask(&self, address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Option<u16> {
        let mut stream = self.connect(address)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok()?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
        self.answers.fetch_add(1, Ordering::Relaxed);
        Some(status)
    }

    /// Messages whose fate is noted.
    fn send(&self, address: SocketAddr) {
        while self.goes_on() {
            let Some(mut stream) = self.connect(address) else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            while self.goes_on() && self.oracle.post(&mut stream).is_some() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Every trigger, each body twice, for one app after another.
    fn mix(&self, address: SocketAddr) {
        while self.goes_on() {
            let app = format!("mix{}", self.rounds.fetch_add(1, Ordering::Relaxed) / 2 % 40);
            for body in &self.mix {
                let body = body.replace("2489f0demo01", &app);
                if let Some(status) = self.ask(address, "POST", WEBHOOK, body.as_bytes()) {
                    assert!(matches!(status, 200 | 503), "{status}: {body}");
                }
                if !self.goes_on() {
                    return;
                }
            }
        }
    }

    /// A person who writes a message every day, for 600 days and then once more: some come long after the horizon has passed
    /// them.
    fn write(&self, address: SocketAddr) {
        while self.goes_on() {
            let id = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
            let at = BEGIN / 1_000 + id % 600 * 86_400;
            let body = format!(
                r#"{{"trigger":"message_sent","appId":"old","data":{{"message":{{"id":"{id}","sender":"mira","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{at},"data":{{"text":"hello"}}}}}}}}"#
            );
            if let Some(status) = self.ask(address, "POST", WEBHOOK, body.as_bytes()) {
                assert!(matches!(status, 200 | 503), "{status}: {body}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A person who goes online or offline every hour: after a day the events are old.
    fn come_and_go(&self, address: SocketAddr) {
        while self.goes_on() {
            let n = self.presence.fetch_add(1, Ordering::Relaxed);
            let status = if n.is_multiple_of(2) { "online" } else { "offline" };
            let at = BEGIN + n * HOUR;
            let body = format!(
                r#"{{"trigger":"user_connection_status_changed","appId":"present","data":{{"timestamp":{at},"user":{{"uid":"mira","status":"{status}"}},"status":"{status}"}}}}"#
            );
            if let Some(status) = self.ask(address, "POST", WEBHOOK, body.as_bytes()) {
                assert!(matches!(status, 200 | 503), "{status}: {body}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn garbage(&self, address: SocketAddr) {
        for body in GARBAGE.iter().cycle().take_while(|_| self.goes_on()) {
            if let Some(status) = self.ask(address, "POST", WEBHOOK, body) {
                assert!(matches!(status, 400 | 413 | 503), "{status}: {}", String::from_utf8_lossy(body));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn read(&self, address: SocketAddr) {
        for path in PAGES.iter().cycle().take_while(|_| self.goes_on()) {
            if let Some(status) = self.ask(address, "GET", path, b"") {
                assert!(matches!(status, 200 | 503), "{path}: {status}");
            }
            let query = br#"{"query":"{apps{appId eventsCount} status{seq lastBackup{at}}}"}"#;
            if let Some(status) = self.ask(address, "POST", "/graphql", query) {
                assert!(matches!(status, 200 | 503), "{status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Goes on from one server to the next: positions rise, without a repetition.
    fn subscribe(&self, address: SocketAddr, newest: &AtomicU64) {
        while !self.unsubscribe.load(Ordering::Relaxed) {
            let Some(mut stream) = self.connect(address) else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            // A broken connection ends the lines below.
            let after = newest.load(Ordering::Relaxed);
            let target = format!("/changes?appId=a&afterSeq={after}");
            let _ = write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Some(seq) = line.strip_prefix("id: ").and_then(|seq| seq.trim().parse::<u64>().ok()) {
                    let before = newest.swap(seq, Ordering::Relaxed);
                    assert!(seq > before, "{seq} after {before}");
                    self.heard.fetch_add(1, Ordering::Relaxed);
                }
                if self.unsubscribe.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }

    /// The server takes the new certificate without a restart.
    fn renew(&self, server: &TestServer) {
        let new = Pair::default();
        new.write(self.dir.path());
        server.signal("HUP");
        until("the new certificate is served", || new.connect(server.address).is_ok());
        *self.pair.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }

    fn start(&self) -> TestServer {
        let server = TestServer::within(Arc::clone(&self.dir), TOML);
        self.oracle.retry_unknown_over(&mut self.connect(server.address).unwrap());
        server
    }

    /// One server, from its start to its end. Gives its memory before the end, in bytes.
    fn live(&self, life: u64, length: Duration) -> u64 {
        let begun = Instant::now();
        let mut server = self.start();
        let address = server.address;
        self.stop.store(false, Ordering::Relaxed);
        self.unsubscribe.store(false, Ordering::Relaxed);
        let is_killed = life % 2 == 1;
        let memory = std::thread::scope(|scope| {
            // Whatever panics here ends the clients too, or the scope would wait for them for ever.
            let _end = End(self);
            let subscribers: Vec<_> =
                self.newest.iter().map(|newest| scope.spawn(move || self.subscribe(address, newest))).collect();
            for _ in 0..2 {
                scope.spawn(|| self.send(address));
                scope.spawn(|| self.read(address));
            }
            scope.spawn(|| self.mix(address));
            scope.spawn(|| self.garbage(address));
            scope.spawn(|| self.come_and_go(address));
            scope.spawn(|| self.write(address));
            std::thread::sleep(length / 5);
            let backup = self.dir.path().join("backup.db");
            ran(&server, &["backup", backup.to_str().unwrap(), "--force"]);
            self.renew(&server);
            if life % 3 == 1 {
                ran(&server, &["rebuild"]);
            }
            ran(&server, &["retention", "--apply"]);
            std::thread::sleep(length.saturating_sub(begun.elapsed()));
            let bytes = memory(&server);
            if is_killed {
                server.signal("KILL");
            }
            self.unsubscribe.store(true, Ordering::Relaxed);
            subscribers.into_iter().for_each(|it| it.join().unwrap());
            bytes
        });
        if is_killed {
            server.ended();
        } else {
            until("descriptors are given back", || descriptors(&server) <= DESCRIPTORS);
            assert!(server.sigterm().success(), "{}", server.log());
        }
        memory
    }
}

/// Ends all clients of a server.
struct End<'a>(&'a World);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.unsubscribe.store(true, Ordering::Relaxed);
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn ran(server: &TestServer, args: &[&str]) {
    let (code, out, err) = server.run(args);
    assert_eq!(code, 0, "{args:?}: {out}{err}{}", server.log());
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn descriptors(server: &TestServer) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// Bytes of memory that a server holds.
fn memory(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn median(bytes: &[u64]) -> u64 {
    let mut sorted = bytes.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Bodies of the log that hold a text.
fn holding(db: &Path, text: &str) -> i64 {
    let conn = rusqlite::Connection::open_with_flags(db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.query_row("SELECT count(*) FROM events WHERE instr(body, ?1) > 0", [text], |row| row.get(0)).unwrap()
}

#[test]
fn a_long_mixed_load_loses_nothing_and_leaks_nothing() {
    let seconds = u64::from(number("CHATFOLD_SOAK_SECONDS", 24));
    let lives = LIVES.max(seconds / 180);
    let length = Duration::from_millis(seconds * 1_000 / lives);
    let world = World::new();
    let db = world.db();
    // A person who is erased after the first life, and of whom nothing comes again.
    let canary = "Soakcanary";
    let server = world.start();
    let person = format!(
        r#"{{"trigger":"user_blocked","appId":"gone","data":{{"users":{{"eve":{{"uid":"eve","name":"{canary}"}}}},"by":{{"uid":"ann"}}}}}}"#
    );
    assert_eq!(world.ask(server.address, "POST", WEBHOOK, person.as_bytes()), Some(200));
    drop(server);
    assert_eq!(holding(&db, canary), 1);

    let mut memories = Vec::new();
    for life in 0..lives {
        memories.push(world.live(life, length));
        if life == 0 {
            let (code, out, err) =
                chatfold(&["erase-user", "--uid", "eve", "--app", "gone", "--db", db.to_str().unwrap()]);
            assert_eq!(code, 0, "{out}{err}");
        }
    }
    let mut server = world.start();
    assert!(server.sigterm().success(), "{}", server.log());
    verified(&db);
    verified(&world.dir.path().join("backup.db"));
    let conn = rusqlite::Connection::open_with_flags(&db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    world.oracle.nothing_lost(&conn);
    assert_eq!(holding(&db, canary), 0);
    let older = "SELECT h.before, count(e.seq) FROM horizons AS h LEFT JOIN events AS e
        ON e.app_id = h.app_id AND e.occurred_at < h.before WHERE h.app_id = 'present' AND h.family = 'presence'";
    let (before, kept): (i64, i64) = conn.query_row(older, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let cut = (before.cast_unsigned() - BEGIN) / HOUR;
    assert!(cut > 20 && kept < 5, "of {cut} events before the horizon {kept} are there");
    let older = "SELECT h.before, count(m.message_id) FROM horizons AS h LEFT JOIN messages AS m
        ON m.app_id = h.app_id AND m.sent_at < h.before WHERE h.app_id = 'old' AND h.family = 'message'";
    let (before, kept): (i64, i64) = conn.query_row(older, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(before.cast_unsigned() > BEGIN && kept == 0, "{kept} messages before {before} are there");
    let most = *memories.iter().max().unwrap();
    // The file grows from life to life. A life that ends in a rebuild holds more memory than others, so medians are compared.
    let (early, late) = memories.split_at(memories.len() / 2);
    let grown = median(late).saturating_sub(median(early));
    assert!(most < MEMORY && grown < GROWTH, "memory at the end of each life: {memories:?}");
    let (acknowledged, answers, heard) =
        (world.oracle.acknowledged(), world.answers.into_inner(), world.heard.into_inner());
    assert!(acknowledged > 20 && answers > 20 && heard > 20, "{acknowledged} {answers} {heard}");
    eprintln!(
        "{lives} lives, {acknowledged} acknowledged, none lost; {answers} answers, {heard} changes heard, {most} bytes"
    );
}
