//! A library that is loaded into the server before all others and makes its writes and syncs fail: `faulty_io.c`.

use super::TestServer;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

static LIBRARY: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (made, library) = (target.join(format!("faulty_io.{}", std::process::id())), target.join("faulty_io.so"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/faulty_io.c");
    let mut compiled = Command::new("cc");
    compiled.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&made).arg(source);
    match compiled.args(["-ldl", "-lpthread"]).status() {
        Ok(status) => {
            assert!(status.success(), "{source} does not compile");
            std::fs::rename(made, &library).unwrap();
            Some(library)
        }
        Err(error) => {
            eprintln!("SKIPPED: failing writes and syncs need a C compiler, `cc`: {error}");
            None
        }
    }
});

/// The library, or `None` where it cannot be made.
pub fn library() -> Option<&'static Path> {
    LIBRARY.as_deref()
}

/// A server with the library loaded, and these settings for it.
pub fn launch(dir: &Arc<TempDir>, settings: &[(&str, String)]) -> Result<TestServer, (ExitStatus, String)> {
    std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
    TestServer::launch(Arc::clone(dir), |command| {
        command.env("LD_PRELOAD", library().unwrap()).envs(settings.iter().map(|(name, value)| (name, value)));
    })
}
