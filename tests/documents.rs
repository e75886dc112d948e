//! The pages `docs/query.md`, `docs/file.md` and `docs/privacy.md` as a reader follows them: every fenced command, query
//! and program runs in the order of the page, and prints what the page says. Languages of fences:
//!
//! - `sh`, `js`, `python`: runs. A fence of `json` or of no language that follows is its output.
//! - `console`: commands behind `$ `, each with its output. A line `…` stands for any lines.
//! - `graphql`: is asked with a token of the scope admin. A fence of `json` that follows is its data.
//! - `text`: needs root or the internet, and does not run here.
//!
//! Programs that this machine does not have are skipped, and said so.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::fences::{Fence, fences};
use support::reader::{Reader, SHOWN, page};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// What a page prints in the place of a cursor, which tells nothing to a reader.
const CURSOR: &str = "CURSOR";

/// Past the capture of what a test that passes prints.
fn skipped(name: &str, fence: &Fence, missing: &str) {
    let line = format!("SKIPPED {name}:{}: there is no {missing}\n", fence.line);
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A reader of one page.
struct Follower {
    name: &'static str,
    reader: Reader,
    cursor: String,
}

impl Follower {
    fn new(name: &'static str) -> Self {
        let mut reader = Reader::with(&["fixtures", "schema", "tests/npm/node_modules"]);
        reader.programs.extend(python().parent().map(Path::to_path_buf));
        std::fs::write(reader.dir.path().join("variables"), "").unwrap();
        Self { name, reader, cursor: String::new() }
    }

    fn command(&self, program: &str) -> Command {
        self.reader.command(program)
    }

    fn has(&self, program: &str) -> bool {
        let look = self.command("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        look.unwrap().success()
    }

    /// Runs a script with the variables that earlier ones exported; what it printed. What never ends is cut off. Where a
    /// page tells what fails, the script goes on after it.
    fn shell(&self, fence: &Fence, script: &str, strict: bool) -> String {
        let endless = script.contains("curl -sN");
        let (seconds, how) = (if endless { "3" } else { "60" }, if strict { "-euo" } else { "-uo" });
        let kept = "{ declare -p TOKEN || true; } > variables 2> /dev/null";
        let script = format!(". ./variables; set {how} pipefail\n{script}\n{kept}");
        let output = self.command("timeout").args([seconds, "bash", "-c", &script]).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let cut_off = endless && output.status.code() == Some(124);
        assert!(output.status.success() || cut_off, "{}:{}: {}\n{out}{err}", self.name, fence.line, output.status);
        out
    }

    fn token(&self) -> Option<String> {
        let variables = std::fs::read_to_string(self.reader.dir.path().join("variables")).unwrap();
        variables.split('"').nth(1).map(str::to_owned)
    }

    fn serve(&mut self, script: &str) {
        let mut command = self.command("bash");
        self.reader.serve(command.args(["-c", &format!("exec {script}")]).stderr(Stdio::null()));
    }

    /// The file that the page's server answers from, asked beside the tokens of the page.
    fn ask(&mut self, fence: &Fence, query: &str) -> Value {
        let bearer = self.token().map(|token| format!("Bearer {token}"));
        let mut headers = vec![support::JSON];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        let body = serde_json::json!({ "query": query.replace(CURSOR, &self.cursor) }).to_string();
        let address = self.reader.address.parse().unwrap();
        let answer = support::request(address, "POST", "/graphql", &headers, body.as_bytes());
        let answer = answer.json();
        assert!(answer.get("errors").is_none(), "{}:{}: {answer:#}", self.name, fence.line);
        if let Some(cursor) = answer["data"].pointer("/messages/pageInfo/endCursor").and_then(Value::as_str) {
            cursor.clone_into(&mut self.cursor);
        }
        answer["data"].clone()
    }

    fn follow(&mut self) {
        let page = page(self.name).replace(SHOWN, &self.reader.address);
        let mut printed: Option<String> = None;
        for fence in fences(&page) {
            let at = format!("{}:{}", self.name, fence.line);
            match fence.language.as_str() {
                "json" if fence.follows => {
                    let told: Value = serde_json::from_str(&fence.text).unwrap_or_else(|error| panic!("{at}: {error}"));
                    if let Some(printed) = printed.take() {
                        let printed: Value =
                            serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{at}: {printed}"));
                        assert_eq!(self.lasting(printed), self.lasting(told), "{at}");
                    }
                }
                "" if fence.follows => {
                    if let Some(printed) = printed.take() {
                        assert_eq!(plain(&printed), plain(&fence.text), "{at}");
                    }
                }
                "console" => self.console(&fence),
                "graphql" => printed = Some(self.ask(&fence, &fence.text).to_string()),
                "sh" if fence.text.starts_with("chatfold serve") => self.serve(&fence.text),
                "sh" => printed = self.can_run(&fence).then(|| self.shell(&fence, &fence.text, true)),
                "js" => printed = self.program(&fence, "node", "program.mjs"),
                "python" => printed = self.program(&fence, python().to_str().unwrap(), "program.py"),
                "text" | "toml" => {}
                other => panic!("{at}: a fence of {other:?} is neither run nor compared"),
            }
        }
    }

    /// Whether the tools that a script names are there.
    fn can_run(&self, fence: &Fence) -> bool {
        let tools = ["jq", "sqlite3", "datasette", "sqlite-utils"];
        let mut named = tools.into_iter().filter(|tool| fence.text.contains(&format!("{tool} ")));
        match named.find(|tool| !self.has(tool)) {
            Some(tool) => skipped(self.name, fence, tool),
            None => return true,
        }
        let required = std::env::var_os("CHATFOLD_SQLITE3").is_some() && fence.text.contains("sqlite3 ");
        assert!(!required || self.has("sqlite3"), "CHATFOLD_SQLITE3 is set, and there is no sqlite3");
        false
    }

    fn program(&self, fence: &Fence, interpreter: &str, file: &str) -> Option<String> {
        let modules = fence.text.lines().filter_map(|line| line.strip_prefix("import ").or(line.strip_prefix("from ")));
        for module in modules.filter_map(|line| line.split([' ', ';']).next()).filter(|_| interpreter != "node") {
            let found = self.command(interpreter).args(["-c", &format!("import {module}")]).output();
            if !found.is_ok_and(|output| output.status.success()) {
                assert!(std::env::var_os("CHATFOLD_PYTHON").is_none(), "CHATFOLD_PYTHON lacks {module}");
                skipped(self.name, fence, &format!("{module} for Python"));
                return None;
            }
        }
        if interpreter == "node" && !(self.has("node") && self.reader.dir.path().join("node_modules").exists()) {
            assert!(std::env::var("CHATFOLD_NPM").as_deref() != Ok("required"), "there is no tests/npm/node_modules");
            skipped(self.name, fence, "tests/npm/node_modules");
            return None;
        }
        std::fs::write(self.reader.dir.path().join(file), &fence.text).unwrap();
        Some(self.shell(fence, &format!("{interpreter} {file}"), true))
    }

    fn console(&self, fence: &Fence) {
        if !self.can_run(fence) {
            return;
        }
        for command in format!("\n{}", fence.text).split("\n$ ").skip(1) {
            let (command, told) = command.split_once('\n').unwrap_or((command, ""));
            let printed = plain(&self.shell(fence, command, false));
            let mut rest = printed.as_str();
            for (index, part) in plain(told).split("…\n").enumerate() {
                let place = if index == 0 { rest.starts_with(part).then_some(0) } else { rest.find(part) };
                let place = place.unwrap_or_else(|| panic!("{}:{}: {part}is not in\n{rest}", self.name, fence.line));
                rest = &rest[place + part.len()..];
            }
            assert!(rest.is_empty() || told.ends_with("…\n"), "{}:{}: also printed\n{rest}", self.name, fence.line);
        }
    }

    /// Without what differs from run to run, and from one edition of the tables to the next.
    fn lasting(&self, mut value: Value) -> Value {
        match &mut value {
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    *member = match name.as_str() {
                        "receivedAt" | "endCursor" | "foldVersion" => Value::Null,
                        _ => self.lasting(member.take()),
                    };
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| *item = self.lasting(item.take())),
            _ => {}
        }
        value
    }
}

/// With the packages that the pages use, if this names one.
fn python() -> PathBuf {
    std::env::var_os("CHATFOLD_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

/// Words without what differs from run to run: when this file was made, which also sets the width of columns, and hashes.
fn plain(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| {
        let line = line.split_once("(told), arrived ").map_or(line, |(before, _)| before);
        let words = line.split_whitespace().map(|word| if is_of_this_run(word) { "-" } else { word });
        words.collect::<Vec<_>>().join(" ") + "\n"
    });
    lines.collect()
}

fn is_of_this_run(word: &str) -> bool {
    let is_time = (20..=24).contains(&word.len()) && word.starts_with("20") && word.ends_with('Z');
    let is_of_the_story = word.starts_with("2026-01-09T");
    let is_hash = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_time && !is_of_the_story) || is_hash
}

#[test]
fn the_page_about_queries_runs_as_printed() {
    Follower::new("docs/query.md").follow();
}

#[test]
fn the_page_about_the_file_runs_as_printed() {
    Follower::new("docs/file.md").follow();
}

#[test]
fn the_page_about_privacy_runs_as_printed() {
    Follower::new("docs/privacy.md").follow();
}

/// Cells of the rows of a table, by what the row begins with.
fn rows<'a>(page: &'a str, start: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    page.lines()
        .filter_map(move |line| line.strip_prefix(start).map(|_| line))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

#[test]
fn every_limit_of_a_query_is_on_the_page_with_its_default() {
    let example = std::fs::read_to_string(Path::new(REPOSITORY).join("chatfold.toml.example")).unwrap();
    let section = example.split_once("\n[graphql]\n").unwrap().1.split("\n[").next().unwrap();
    let limits = section.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    let page = page("docs/query.md");
    let told: Vec<Vec<&str>> = rows(&page, "| ").filter(|row| row.len() == 4).collect();
    for (key, default) in limits.filter(|(_, default)| default.parse::<u64>().is_ok()) {
        let key = format!("`{key}`");
        assert!(told.iter().any(|row| row[1] == default && row[2] == key), "{key} = {default}");
    }
}

#[test]
fn every_code_of_an_error_is_on_the_page() {
    let source = std::fs::read_to_string(Path::new(REPOSITORY).join("src/graphql/error.rs")).unwrap();
    let codes: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \"")?.1.strip_suffix("\","))
        .collect();
    assert!(codes.len() > 8, "{codes:?}");
    let page = page("docs/query.md");
    for code in codes {
        assert_eq!(rows(&page, &format!("| `{code}` |")).count(), 1, "{code}");
    }
}

#[test]
fn every_view_and_every_table_is_on_the_page() {
    let page = page("docs/file.md");
    let schema = std::fs::read_to_string(Path::new(REPOSITORY).join("schema/sqlite.sql")).unwrap();
    let words = ["CREATE TABLE ", "CREATE VIEW ", "CREATE VIRTUAL TABLE "];
    let named = schema.lines().filter_map(|line| words.iter().find_map(|words| line.strip_prefix(words)));
    let names: Vec<&str> = named.filter_map(|rest| rest.split(' ').next()).collect();
    assert!(names.len() > 50, "{names:?}");
    for name in &names {
        let view = format!("v_{name}");
        let shown = if names.contains(&view.as_str()) { &view } else { *name };
        let of_row = |row: Vec<&str>| row[0].split(", ").any(|it| it.trim_matches('`') == shown);
        assert!(rows(&page, "| `").any(of_row), "{name}");
    }
}

#[test]
fn the_types_of_scalars_are_those_that_the_generators_are_tested_with() {
    let types = "{ BigInt: 'string', DateTime: 'string', JSON: 'unknown' }";
    let tested = std::fs::read_to_string(Path::new(REPOSITORY).join("tests/npm/generate.mjs")).unwrap();
    assert!(tested.contains(&format!("scalars = {types};")));
    assert_eq!(page("docs/query.md").matches(types).count(), 2);
}
