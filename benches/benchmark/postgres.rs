//! A private PostgreSQL, for the programs that need one. `benches/peers/postgres` starts it.

use crate::files;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A cluster of its own, ended when this is dropped.
pub struct Postgres {
    dir: tempfile::TempDir,
    programs: PathBuf,
    server: Child,
    made: AtomicU64,
}

impl Postgres {
    /// Starts it in a folder on the disk that is measured.
    pub fn start(script: &Path) -> Self {
        let dir = files::folder();
        // It may run as another user.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let log = std::fs::File::create(dir.path().join("postgres.log")).unwrap();
        let mut command = Command::new(script);
        command.arg("serve").arg(dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut server = command.spawn().unwrap();
        let mut programs = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut programs).unwrap();
        let mut postgres = Self { dir, programs: programs.trim().into(), server, made: AtomicU64::new(0) };
        let socket = postgres.dir.path().join(".s.PGSQL.5432");
        // Making the cluster takes some seconds.
        while postgres.server.try_wait().unwrap().is_none() {
            if socket.exists() && postgres.psql("postgres").args(["-c", "SELECT 1"]).status().unwrap().success() {
                return postgres;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let said = std::fs::read_to_string(postgres.dir.path().join("postgres.log")).unwrap();
        panic!("PostgreSQL did not start:\n{said}");
    }

    /// The process whose children serve the connections.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// A new empty database.
    pub fn database(&self, name: &str) -> Database<'_> {
        let name = format!("{name}_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let plain = Database { postgres: self, name: "postgres".to_owned(), url: String::new() };
        plain.run(&format!("CREATE DATABASE {name}"));
        let url = format!("postgres:///{name}?host={}&user=bench", self.dir.path().display());
        Database { postgres: self, name, url }
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--username", "bench", "--host"]);
        command.arg(self.dir.path()).arg(database).stdout(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT ends it without waiting for its clients.
        let _ = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

pub struct Database<'a> {
    postgres: &'a Postgres,
    name: String,
    pub url: String,
}

impl Database<'_> {
    /// Runs statements.
    pub fn run(&self, sql: &str) {
        let mut command = self.postgres.psql(&self.name);
        Self::told(command.args(["--file", "-"]), |out| out.write_all(sql.as_bytes()).unwrap());
    }

    /// Runs a statement that reads what `write` writes.
    pub fn feed(&self, sql: &str, write: impl FnOnce(&mut dyn Write)) {
        Self::told(self.postgres.psql(&self.name).args(["--command", sql]), write);
    }

    fn told(command: &mut Command, write: impl FnOnce(&mut dyn Write)) {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut out = std::io::BufWriter::new(child.stdin.take().unwrap());
        write(&mut out);
        out.flush().unwrap();
        drop(out);
        assert!(child.wait().unwrap().success(), "psql failed");
    }
}
