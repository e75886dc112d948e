//! Somebody who follows a page of the documentation: a folder with what a clone holds, and a server.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// What pages call the server.
pub const SHOWN: &str = "127.0.0.1:8080";

/// A page of the repository.
pub fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(REPOSITORY).join(name)).unwrap()
}

/// A folder in which commands run as in a clone, and the server that was started last.
pub struct Reader {
    pub dir: TempDir,
    /// Programs of the page: `chatfold` is the binary under test.
    pub bin: TempDir,
    /// Where further programs are.
    pub programs: Vec<PathBuf>,
    pub address: String,
    server: Option<Child>,
}

impl Reader {
    /// In a folder that holds these of the repository.
    pub fn with(names: &[&str]) -> Self {
        let (dir, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for path in names.iter().map(|name| Path::new(REPOSITORY).join(name)) {
            symlink(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_chatfold"), bin.path().join("chatfold")).unwrap();
        // Free again at once: the next who listens takes it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Self { dir, bin, programs: Vec::new(), address, server: None }
    }

    /// A command in the folder, with no setting but the address.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATFOLD_")) {
            command.env_remove(name);
        }
        let mut path = vec![self.bin.path().to_owned()];
        path.extend(self.programs.iter().cloned());
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        command.env("PATH", std::env::join_paths(path).unwrap()).env("CHATFOLD_LISTEN", &self.address);
        command.current_dir(self.dir.path());
        command
    }

    /// Starts a server in the place of the one before, and waits until it answers.
    pub fn serve(&mut self, command: &mut Command) {
        self.stop();
        self.server = Some(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&self.address).is_err() {
            assert!(Instant::now() < deadline, "no server: {command:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server as an operator does.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            Command::new("kill").arg(server.id().to_string()).status().unwrap();
            server.wait().unwrap();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}
