//! What a run was measured on: the machine, and the versions of the programs.

use crate::files;
use crate::server::{Contender, Program};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The head of a run.
pub fn of(contenders: &[Contender], postgres: Option<&Path>, skipped: &[String]) -> Value {
    let mut versions: Vec<(String, String)> = contenders.iter().map(|it| (it.name.to_owned(), version(it))).collect();
    versions.extend(postgres.map(|script| ("PostgreSQL".to_owned(), said(Command::new(script).arg("versions")))));
    let versions: serde_json::Map<_, _> = versions.into_iter().map(|(name, version)| (name, version.into())).collect();
    json!({
        "cpu": line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": line("/proc/meminfo", "MemTotal"),
        "system": said(Command::new("uname").args(["-srm"])),
        "disk": said(Command::new("df").args(["--output=fstype"]).arg(files::parent())).lines().last(),
        "ms of a write of 4 KiB and its sync": (files::sync_time() * 100.0).round() / 100.0,
        "versions": versions,
        "not measured": skipped,
    })
}

/// Prints it for people.
pub fn print(head: &Value) {
    println!("# Benchmark of chatfold\n");
    for (name, value) in head.as_object().into_iter().flatten() {
        match value {
            Value::Object(versions) => {
                versions.iter().for_each(|(name, version)| println!("- {name}: {}", text(version)));
            }
            Value::Array(skipped) => skipped.iter().for_each(|reason| println!("- {name}: {}", text(reason))),
            value => println!("- {name}: {}", text(value)),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn version(contender: &Contender) -> String {
    match &contender.program {
        Program::Chatfold(binary) => said(Command::new(binary).arg("--version")),
        Program::Peer(peer) => said(Command::new(&peer.script).arg("versions")),
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

/// What stands behind the colon of a line.
fn line(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}
