//! The benchmark's peers: what a stranger's machine meets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const PEERS: [(&str, &str); 4] = [
    ("express", "package-lock.json"),
    ("fastify", "package-lock.json"),
    ("postgraphile", "package-lock.json"),
    ("datasette", "requirements.txt"),
];

/// Runs a script with no program on its path but these; whether it succeeded, and what it printed.
fn with_only(programs: &[&str], script: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    for program in programs {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
        symlink(found.iter().find(|path| path.exists()).unwrap(), dir.path().join(program)).unwrap();
    }
    let mut command = Command::new("/bin/bash");
    command.args([script, "install"]).env("PATH", dir.path());
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_peer_that_cannot_be_installed_says_what_is_missing_and_how_to_get_it() {
    for (peer, _) in PEERS {
        let (installed, said) = with_only(&["dirname"], &format!("benches/peers/{peer}/peer"));
        assert!(!installed, "{peer}");
        assert!(said.starts_with("there is no ") && said.contains("apt-get install"), "{peer}: {said}");
    }
}

#[test]
fn packages_of_peers_are_pinned_by_hash() {
    for (peer, lock) in PEERS {
        let lock = std::fs::read_to_string(format!("benches/peers/{peer}/{lock}")).unwrap();
        assert!(lock.contains("sha512-") || lock.contains("--hash=sha256:"), "{peer}");
    }
}
