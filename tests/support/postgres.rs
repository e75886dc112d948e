//! A real PostgreSQL in a folder of its own, and standbys of it.

use super::Answer;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The folder of its programs. `None` where there is no PostgreSQL: the test is skipped, unless
/// `CHATFOLD_POSTGRES=required`.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    assert!(
        found.is_some() || std::env::var("CHATFOLD_POSTGRES").as_deref() != Ok("required"),
        "PostgreSQL is missing: apt-get install postgresql"
    );
    if found.is_none() {
        eprintln!("SKIPPED: there is no PostgreSQL here (apt-get install postgresql)");
    }
    found
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server, killed when dropped.
pub struct Postgres {
    dir: TempDir,
    programs: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// A new cluster with these lines of configuration, serving.
    pub fn start(settings: &str) -> Option<Self> {
        let programs = programs()?;
        let it = Self { dir: folder(), programs, port: free_port(), child: None };
        it.run("initdb", &["--username=chatfold", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        it.configure(settings);
        Some(it.serving())
    }

    /// A standby of it under this name, serving at this port.
    pub fn standby(&self, name: &str, port: u16) -> Self {
        let it = Self { dir: folder(), programs: self.programs.clone(), port, child: None };
        let source = format!("host=127.0.0.1 port={} user=chatfold application_name={name}", self.port);
        it.run("pg_basebackup", &["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--dbname", &source]);
        it.serving()
    }

    /// Follows another primary from now on.
    pub fn follow(&mut self, primary: &Self, name: &str) {
        let source = format!("host=127.0.0.1 port={} user=chatfold application_name={name}", primary.port);
        self.configure(&format!("primary_conninfo = '{source}'"));
        std::fs::write(self.data().join("standby.signal"), "").unwrap();
    }

    /// Adds lines to its configuration.
    pub fn configure(&self, settings: &str) {
        let path = self.data().join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}{settings}\n")).unwrap();
    }

    /// Speaks TLS from now on, with this certificate and its key. These lines of `pg_hba.conf` win over those before.
    pub fn encrypt(&self, (certificate, key): &(String, String), access: &str) {
        let data = self.data();
        let hba = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
        std::fs::write(data.join("pg_hba.conf"), format!("{access}\n{hba}")).unwrap();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            std::fs::write(data.join(name), text).unwrap();
            std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
            let (uid, gid) = other_user().unzip();
            std::os::unix::fs::chown(data.join(name), uid, gid).unwrap();
        }
        self.configure("ssl = on");
        let read = "SELECT pg_conf_load_time()";
        let before = self.ask(read);
        signal(self.child.as_ref().unwrap().id(), "HUP");
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.ask(read) == before {
            assert!(Instant::now() < deadline, "the configuration is not read again: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t", "{}", self.log());
    }

    fn serving(mut self) -> Self {
        self.serve();
        self
    }

    /// Starts it, and waits until it answers.
    pub fn serve(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // It does not start while processes of one that was killed are still there.
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                self.child = Some(self.spawn());
            }
            if self.try_ask("SELECT 1").is_some() {
                return;
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn spawn(&self) -> Child {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let port = self.port.to_string();
        let mut command = self.command("postgres");
        // Processes are killed here, not machines: nothing has to reach a disk, unless it is measured.
        let fsync = std::env::var("CHATFOLD_POSTGRES_FSYNC").unwrap_or_else(|_| "off".into());
        command.arg("-D").arg(self.data()).args(["-p", &port, "-c", &format!("fsync={fsync}")]);
        command.args(["-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories=", "-c", "max_wal_senders=8", "-c", "shared_buffers=16MB"]);
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// What it has written into its log since it was started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once, whatever it does.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let children = children(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        // Its children see their parent die, and until then they serve and send what was written.
        let deadline = Instant::now() + Duration::from_secs(60);
        while children.iter().any(|pid| runs(*pid)) {
            assert!(Instant::now() < deadline, "processes of a server that was killed are still there");
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
    }

    /// Ends it in order, with its sessions.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(child.id(), "INT");
        child.wait().unwrap();
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "--wait"]);
    }

    /// SIGSTOP or SIGCONT to all of its processes.
    pub fn signal_all(&self, name: &str) {
        let main = self.child.as_ref().unwrap().id();
        for pid in std::iter::once(main).chain(children(main)) {
            signal(pid, name);
        }
    }

    /// The address of the database for a node.
    pub fn address(&self) -> String {
        format!("postgres://chatfold@127.0.0.1:{}/postgres", self.port)
    }

    /// The only value of a query.
    pub fn ask(&self, sql: &str) -> String {
        self.try_ask(sql).unwrap_or_else(|| panic!("{sql}: {}", self.log()))
    }

    pub fn try_ask(&self, sql: &str) -> Option<String> {
        let port = self.port.to_string();
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", "chatfold", "-d", "postgres", "-AtXqc", sql]);
        let output = command.env("PGCONNECT_TIMEOUT", "5").output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output = self.command(program).arg("-D").arg(self.data()).args(args).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// PostgreSQL refuses root: then it runs as somebody else.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let Some((uid, gid)) = other_user() else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()]).arg(program);
        command.current_dir(self.dir.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            signal(child.id(), "CONT");
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let of_parent = Command::new("ps").args(["-o", "pid=", "--ppid", &pid.to_string()]).output().unwrap();
    let pids = String::from_utf8(of_parent.stdout).unwrap();
    pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether a process is there, and is not just waiting to be reaped.
fn runs(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
}

/// A folder that the user of PostgreSQL may write.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    if let Some((uid, gid)) = other_user() {
        std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
    }
    dir
}

fn other_user() -> Option<(u32, u32)> {
    if !Path::new("/root").metadata().is_ok_and(|_| std::fs::read_dir("/root").is_ok()) {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = |name: &str| {
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut numbers = line.split(':').skip(2).map(|field| field.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    };
    user("postgres").or_else(|| user("nobody"))
}

/// Stands before a server, and cuts connections.
pub struct Proxy {
    pub port: u16,
    cut: Arc<AtomicBool>,
    /// Answers of the server that are kept back from now on until they are cut.
    swallow: Arc<AtomicBool>,
    pub swallowed: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let (cut, swallow) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let swallowed = Arc::new(AtomicUsize::new(0));
        let proxy = Self { port: own, cut, swallow, swallowed };
        let (cut, swallow, swallowed) = (proxy.cut.clone(), proxy.swallow.clone(), proxy.swallowed.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))) else { continue };
                let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let none = (Arc::new(AtomicBool::new(false)), Arc::clone(&swallowed));
                let lost = (Arc::clone(&swallow), Arc::clone(&swallowed));
                let (own, its) = (Arc::clone(&cut), Arc::clone(&cut));
                std::thread::spawn(move || pass(client, forth, &own, &none));
                std::thread::spawn(move || pass(server, back, &its, &lost));
            }
        });
        proxy
    }

    pub fn address(&self) -> String {
        format!("postgres://chatfold@127.0.0.1:{}/postgres", self.port)
    }

    /// From now on answers of the server are lost, or are not any more.
    pub fn lose_answers(&self, lose: bool) {
        self.swallow.store(lose, Ordering::SeqCst);
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(60));
        self.cut.store(false, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool, lost: &(Arc<AtomicBool>, Arc<AtomicUsize>)) {
    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut buffer = [0; 1 << 16];
    while !cut.load(Ordering::SeqCst) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) if lost.0.load(Ordering::SeqCst) => drop(lost.1.fetch_add(1, Ordering::SeqCst)),
            Ok(bytes) if to.write_all(&buffer[..bytes]).is_err() => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Position and outcome of an answer 200.
pub fn told(answer: &Answer) -> (Option<i64>, &str) {
    let seq = answer.header("chatfold-seq").map(|seq| seq.parse().unwrap());
    (seq, answer.header("chatfold-outcome").unwrap_or_default())
}
