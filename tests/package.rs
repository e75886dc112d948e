//! What lies around the binary: completions, manual pages, the unit for systemd, the Dockerfile, the lints. Tests whose
//! program is not there are skipped, and say so.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{TestServer, chatfold};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BINARY: &str = env!("CARGO_BIN_EXE_chatfold");

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// Runs a program to its end; `None`: it is not there.
fn run(program: impl AsRef<Path>, args: &[&str]) -> Option<Output> {
    let output = Command::new(program.as_ref()).args(args).output();
    if output.is_err() {
        let line = format!("SKIPPED: there is no {}\n", program.as_ref().display());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    output.ok()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// The commands that `chatfold help` lists.
fn commands() -> Vec<String> {
    let help = chatfold(&["help"]).1;
    let lines = help.split("Commands:").nth(1).unwrap().lines().skip(1).take_while(|line| !line.is_empty());
    // A line that goes on begins further to the right.
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|name| !name.starts_with(' ')));
    names.filter_map(|name| name.split(' ').next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn completions_of_each_shell_name_each_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, err) = chatfold(&["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
    assert_eq!(chatfold(&["completions", "tcsh"]).0, 2);
}

#[test]
fn bash_completes_a_command_and_a_flag() {
    let script = "source <(\"$1\" completions bash)
        complete_word() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _chatfold chatfold \"${@: -1}\" \"${@: -2:1}\"; echo \"${COMPREPLY[@]}\"; }
        complete_word chatfold ver; complete_word chatfold events --outc";
    let Some(output) = run("bash", &["-c", script, "bash", BINARY]) else { return };
    assert_eq!(text(&output), "verify\n--outcome\n");
}

#[test]
fn each_command_has_a_manual_page_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/man1");
    let (code, out, err) = chatfold(&["man", folder.to_str().unwrap()]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let serve = std::fs::read_to_string(folder.join("chatfold-serve.1")).unwrap();
    for text in ["CHATFOLD_BODY_LIMIT", "Most tokens of a document"] {
        assert!(serve.contains(text), "no {text} in {serve}");
    }
    for command in commands() {
        let page = folder.join(format!("chatfold-{command}.1"));
        assert!(page.exists(), "{command}");
        let Some(output) = run("groff", &["-Kutf8", "-man", "-Tutf8", "-ww", "-z", page.to_str().unwrap()]) else {
            return;
        };
        assert_eq!(text(&output), "", "{command}");
    }
    let (code, _, err) = chatfold(&["man", "/dev/null/man1"]);
    assert!(code == 1 && err.contains("/dev/null/man1"), "{err}");
}

#[test]
fn commands_about_chatfold_itself_run_with_wrong_settings() {
    for args in [&["completions", "bash"][..], &["schema"]] {
        let mut command = Command::new(BINARY);
        let output = command.args(args).env("CHATFOLD_BODY_LIMIT", "1").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn systemd_accepts_the_unit_and_its_sandbox_is_tight() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("chatfold.service");
    let installed = file("docs/deploy/chatfold.service").replace("/usr/local/bin/chatfold", BINARY);
    assert!(installed.contains(BINARY));
    std::fs::write(&unit, installed).unwrap();
    let unit = unit.to_str().unwrap();
    let Some(verified) = run("systemd-analyze", &["verify", "--man=no", unit]) else { return };
    assert!(verified.status.success() && !text(&verified).contains("chatfold.service"), "{}", text(&verified));
    // The exposure level times ten.
    let args = ["security", "--offline=true", "--no-pager", "--threshold=20", unit];
    let secure = run("systemd-analyze", &args).unwrap();
    assert!(secure.status.success(), "{}", text(&secure));
}

#[test]
fn the_unit_keeps_what_the_server_needs() {
    let unit = file("docs/deploy/chatfold.service");
    for line in ["RestartPreventExitStatus=2", "TimeoutStopSec=10", "UMask=0077", "ExecReload=/bin/kill -HUP $MAINPID"]
    {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
}

/// `hadolint` comes with the packages of Python.
fn hadolint() -> PathBuf {
    let python = std::env::var("CHATFOLD_PYTHON").unwrap_or_default();
    Path::new(&python).with_file_name("hadolint")
}

#[test]
fn the_dockerfile_has_no_finding() {
    let path = format!("{ROOT}/docs/deploy/Dockerfile");
    let Some(output) = run(hadolint(), &["--no-color", &path]) else { return };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_image_runs_as_an_ordinary_user_and_holds_what_the_build_reads() {
    let dockerfile = file("docs/deploy/Dockerfile");
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.contains("\nUSER 10001:10001\n") && last.contains("HEALTHCHECK"), "{last}");
    let version = file("Cargo.toml")
        .lines()
        .find_map(|it| it.strip_prefix("rust-version = \"")?.strip_suffix('"').map(str::to_owned));
    assert!(dockerfile.contains(&format!("FROM rust:{}-slim", version.unwrap())), "{dockerfile}");
    for kept in file("docs/deploy/Dockerfile.dockerignore").lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(Path::new(ROOT).join(kept).exists(), "{kept}");
    }
}

#[test]
fn the_image_is_healthy_while_a_delivery_would_be_accepted() {
    let dockerfile = file("docs/deploy/Dockerfile");
    let check = dockerfile.split("HEALTHCHECK").nth(1).unwrap();
    let check = check[check.find("\"exec").unwrap()..].split("]\n").next().unwrap();
    let mut server = TestServer::start();
    let script: String = serde_json::from_str(check).unwrap();
    let script = script.replace("8080", &server.address.port().to_string());
    let is_healthy = || run("bash", &["-c", &script]).unwrap().status.success();
    assert!(is_healthy());
    assert!(server.sigterm().success());
    assert!(!is_healthy());
}

#[test]
fn the_binary_needs_no_library_that_a_bare_debian_lacks() {
    let Some(output) = run("ldd", &[BINARY]) else { return };
    let needed = text(&output);
    let names =
        needed.lines().filter_map(|line| line.split_whitespace().next()).map(|it| it.rsplit('/').next().unwrap());
    let bare = ["linux-vdso.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-"];
    for name in names {
        assert!(bare.iter().any(|it| name.starts_with(it)), "{name} in {needed}");
    }
}

#[test]
fn no_target_of_the_package_may_hold_unsafe_code() {
    let manifest: toml::Table = file("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    // The lints of a package hold for all its targets; another package would have lints of its own.
    assert!(manifest.get("workspace").is_none());
}

#[test]
fn dependencies_come_from_the_registry_under_permissive_licences_only() {
    let rules: toml::Table = file("deny.toml").parse().unwrap();
    assert_eq!(rules["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(rules["sources"]["unknown-git"].as_str(), Some("deny"));
    let allowed = rules["licenses"]["allow"].as_array().unwrap();
    assert!(allowed.iter().all(|it| !it.as_str().unwrap().contains("GPL")), "{allowed:?}");
    let lock: toml::Table = file("Cargo.lock").parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        let source = package.get("source").and_then(toml::Value::as_str);
        let own = package["name"].as_str() == Some("chatfold");
        assert_eq!(source.is_none(), own, "{package}");
        assert!(source.is_none_or(|it| it == "registry+https://github.com/rust-lang/crates.io-index"), "{package}");
    }
}
