//! The pages for somebody who meets chatfold first. Their commands run as printed, in one folder and in the order of the
//! page, and print what the page prints. `chatfold` and `cargo` are the binary under test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use support::chatfold;
use support::fences::fences;
use support::reader::{Reader, SHOWN, page};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FIRST_PAGES: [&str; 3] = ["README.md", "docs/operate.md", "docs/security.md"];
/// What the table at the end of the README lists.
const PAGES: [&str; 8] =
    ["query", "file", "operate", "cluster", "security", "performance", "how-it-works", "contributing"];
/// Builds nothing, for the binary is there, and runs no tests within this test.
const CARGO: &str = "#!/bin/sh
case \"$*\" in
    'install --path . --locked' | test) ;;
    'run --release -- '*) shift 3; exec chatfold \"$@\" ;;
    *) exit 1 ;;
esac
";

/// A reader whose shell keeps what earlier commands have exported.
struct Session(Reader);

impl Session {
    fn new() -> Self {
        let reader = Reader::with(&["fixtures", "schema", "tests", "chatfold.toml.example"]);
        let cargo = reader.bin.path().join("cargo");
        std::fs::write(&cargo, CARGO).unwrap();
        std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(reader.bin.path().join("exported"), "").unwrap();
        Self(reader)
    }

    fn bash(&self, script: &str) -> Command {
        let mut command = self.0.command("bash");
        let exported = self.0.bin.path().join("exported");
        let exported = exported.display();
        command.args(["-c", &format!("set -e; exec 2>&1; . {exported}\n{script}\nexport -p > {exported}")]);
        command
    }

    /// Runs a block to its end; what it prints. A server is left running, in the place of the one before.
    fn run(&mut self, block: &str) -> String {
        let script = block.replace(SHOWN, &self.0.address);
        let (before, last) = script.trim_end().rsplit_once('\n').unwrap_or(("", script.trim_end()));
        if last.starts_with("chatfold serve") || last == "cargo run --release -- serve" {
            self.0.stop();
            assert!(self.bash(before).stdout(Stdio::null()).status().unwrap().success(), "{before}");
            let mut serve = self.bash(&format!("exec {last}"));
            self.0.serve(serve.stdout(Stdio::null()));
            return String::new();
        }
        let output = self.bash(&script).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{block}{text}");
        text
    }
}

/// A line without what changes with the day, and with the edition of the tables.
fn settled(line: &str) -> String {
    let mut line = line.to_owned();
    let changing = [("\"receivedAt\":\"", "\""), ("\"foldVersion\":", ","), ("date: ", "\r"), ("arrived ", " later")];
    for (before, after) in changing {
        if let Some((head, rest)) = line.split_once(before) {
            let tail = rest.split_once(after).map_or("", |(_, tail)| tail);
            line = format!("{head}{before}{after}{tail}");
        }
    }
    // A server on a nearly full disk says more.
    if let Some((head, (_, tail))) =
        line.split_once(",\"warnings\":[").and_then(|(head, rest)| Some((head, rest.split_once(']')?)))
    {
        line = format!("{head}{tail}");
    }
    line.trim_end().to_owned()
}

/// Whether a line is the printed one, in which `…` stands for any text.
fn is_line(printed: &str, real: &str) -> bool {
    let (printed, real) = (settled(printed), settled(real));
    let (first, rest) = printed.split_once('…').map_or((printed.as_str(), None), |(first, rest)| (first, Some(rest)));
    match (real.strip_prefix(first), rest) {
        (Some(left), Some(rest)) => left.char_indices().any(|(at, _)| is_line(rest, &left[at..])) || rest.is_empty(),
        (left, None) => left == Some(""),
        (None, _) => false,
    }
}

/// Whether the lines are the printed ones. A line `…` stands for any number of lines.
fn is_output(printed: &[&str], real: &[&str]) -> bool {
    match printed {
        [] => real.is_empty(),
        ["…", rest @ ..] => (0..=real.len()).any(|skipped| is_output(rest, &real[skipped..])),
        [line, rest @ ..] => real.first().is_some_and(|first| is_line(line, first)) && is_output(rest, &real[1..]),
    }
}

/// Runs the blocks in `sh`, and compares the block without a language, or in JSON, that follows one.
fn runs_as_printed(name: &str) {
    let mut session = Session::new();
    let mut ran: Option<String> = None;
    let text = page(name);
    for block in fences(&text) {
        match (block.language.as_str(), ran.take()) {
            ("sh", _) => ran = Some(session.run(&block.text)),
            ("" | "json", Some(real)) => {
                let (mut printed, mut lines): (Vec<_>, Vec<_>) = (block.text.lines().collect(), real.lines().collect());
                // Headers have no order.
                if printed.first().is_some_and(|line| line.starts_with("HTTP/")) {
                    printed.sort_unstable_by_key(|line| settled(line));
                    lines.sort_unstable_by_key(|line| settled(line));
                }
                assert!(is_output(&printed, &lines), "{name}:{}: this is printed:\n{real}", block.line);
            }
            _ => {}
        }
    }
}

#[test]
fn the_readme_runs_as_printed() {
    runs_as_printed("README.md");
}

#[test]
fn the_page_for_operators_runs_as_printed() {
    runs_as_printed("docs/operate.md");
}

#[test]
fn the_page_on_security_runs_as_printed() {
    runs_as_printed("docs/security.md");
}

/// Commands within sentences, and those that need root or the internet.
fn only_printed(text: &str) -> Vec<String> {
    let fenced = fences(text).into_iter().filter(|block| ["text", "ini"].contains(&block.language.as_str()));
    let fenced = fenced.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>());
    let within = text.split('`').filter(|span| span.starts_with("chatfold ")).map(str::to_owned);
    fenced.chain(within).collect()
}

#[test]
fn commands_that_are_only_printed_exist_with_their_flags() {
    let (_, help, _) = chatfold(&["help"]);
    let commands: Vec<&str> = help.split("Commands:").nth(1).unwrap().lines().skip(1).collect();
    let commands: Vec<&str> = commands.iter().map_while(|line| line.split_whitespace().next()).collect();
    let mut seen = BTreeSet::new();
    for name in FIRST_PAGES {
        for line in only_printed(&page(name)) {
            let calls = line.split("chatfold ").skip(1).map(|call| call.split_whitespace().collect::<Vec<_>>());
            for call in calls.filter(|call| call.first().is_some_and(|word| commands.contains(word))) {
                let (code, help, _) = chatfold(&[call[0], "--help"]);
                assert_eq!(code, 0, "{name}: {line}");
                // The help of `token` is divided: each of its commands has its own.
                let part = chatfold(&[call[0], call.get(1).copied().unwrap_or_default(), "--help"]).1;
                for flag in call.iter().filter(|word| word.starts_with("--")) {
                    assert!(help.contains(flag) || part.contains(flag), "{name}: {line}: no {flag}");
                }
                seen.insert(call[0].to_owned());
            }
            let first = line.strip_prefix("chatfold ").and_then(|rest| rest.split_whitespace().next());
            let first = first.filter(|word| !word.starts_with("--"));
            assert!(first.is_none_or(|word| commands.contains(&word)), "{name}: {line}: no such command");
        }
    }
    assert!(seen.len() > 5, "{seen:?}");
}

#[test]
fn configurations_that_are_printed_are_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    for name in FIRST_PAGES {
        for block in fences(&page(name)).iter().filter(|block| block.language == "toml") {
            let text = block.text.replace("/etc/chatfold", dir.path().to_str().unwrap());
            for file in text.lines().filter(|line| line.contains("password_file")).filter_map(|it| it.split('"').nth(1))
            {
                std::fs::write(file, file).unwrap();
            }
            let file = dir.path().join("chatfold.toml");
            std::fs::write(&file, text).unwrap();
            // There is no such database: that is exit code 1, and a wrong configuration is 2.
            let (code, _, err) = chatfold(&["inspect", "--config", file.to_str().unwrap()]);
            assert_eq!(code, 1, "{name}:{}: {err}", block.line);
            count += 1;
        }
    }
    assert!(count > 0);
}

/// The limits of `docs/operate.md`: setting and default.
fn limits() -> Vec<(String, String)> {
    let text = page("docs/operate.md");
    let table = text.split_once("| Limit |").unwrap().1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
    cells.filter(|cells| cells[4].starts_with('`')).map(|cells| (cells[4].replace('`', ""), cells[2].clone())).collect()
}

/// `2 MiB` as the configuration file says it: bytes, milliseconds or a number.
fn plain(printed: &str) -> u64 {
    let (number, unit) = printed.split_once(' ').unwrap_or((printed, ""));
    let factor = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "s" => 1_000,
        _ => 1,
    };
    number.replace(',', "").parse::<u64>().unwrap() * factor
}

#[test]
fn every_setting_that_is_a_limit_stands_in_the_table_with_its_default() {
    let example = page("chatfold.toml.example");
    let mut table = String::new();
    let mut expected = BTreeSet::new();
    for line in example.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
        }
        let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) else { continue };
        if let Ok(value) = value.parse::<u64>() {
            expected.insert((format!("{table}{key}"), value));
        }
    }
    // Not limits: how much is kept in memory, how many threads there are, how long and how often.
    expected.retain(|(key, _)| !["row_cache", "workers", "log_keep_days", "log_check_seconds"].contains(&key.as_str()));
    let printed: BTreeSet<(String, u64)> = limits().into_iter().map(|(key, value)| (key, plain(&value))).collect();
    assert_eq!(printed, expected);
}

#[test]
fn links_lead_to_a_page_of_the_table_or_to_a_file() {
    let readme = page("README.md");
    for name in PAGES {
        assert!(readme.contains(&format!("(docs/{name}.md)")), "{name}");
    }
    for name in FIRST_PAGES {
        let folder = Path::new(name).parent().unwrap();
        let text = page(name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.starts_with("https://") {
                continue;
            }
            let path = folder.join(target);
            let is_page = PAGES.iter().any(|page| path == Path::new("docs").join(format!("{page}.md")));
            assert!(is_page || Path::new(ROOT).join(&path).exists(), "{name}: {target}");
        }
    }
}

#[test]
fn the_readme_is_short_and_its_pictures_are_small() {
    assert!(page("README.md").lines().count() <= 200);
    for entry in std::fs::read_dir(Path::new(ROOT).join("docs/images")).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.metadata().unwrap().len() < 200_000, "{:?}", entry.path());
    }
}

/// What `cargo` runs on a fresh machine, before anything is installed.
#[test]
fn the_first_two_commands_start_the_server_and_run_all_tests() {
    let commands: Vec<String> = fences(&page("README.md")).into_iter().take(2).map(|block| block.text).collect();
    assert_eq!(commands, ["cargo run --release -- serve\n", "cargo test\n"]);
}
