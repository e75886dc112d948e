//! The pages for people who read or change the source: their examples are run, and their recipes have a place in the
//! source of today.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use support::fences::{Fence, fences, prose};

const EXAMPLES: &str = "docs/how-it-works.md";
const RECIPES: &str = "docs/contributing.md";

fn trimmed(text: &str) -> String {
    text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn examples_print_what_the_page_says() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CHATFOLD_SQLITE3").is_none(), "CHATFOLD_SQLITE3 is set, and there is no sqlite3");
        eprintln!("SKIPPED: there is no sqlite3");
        return;
    }
    let page = std::fs::read_to_string(EXAMPLES).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_chatfold")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut wrong = Vec::new();
    let blocks = fences(&page);
    let examples = blocks.iter().zip(blocks.iter().skip(1).map(Some).chain([None]));
    let run = |(block, next): (&Fence, Option<&Fence>)| {
        let ran = Command::new("sh").args(["-e", "-c", &block.text]).env("PATH", &path).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        let output = next.filter(|next| next.follows && next.language.is_empty());
        let expected = output.map(|output| trimmed(&output.text)).unwrap_or_default();
        if !ran.status.success() || trimmed(&out) != expected {
            wrong.push(format!("{}prints\n{out}{err}\nnot\n{expected}\n", block.text));
        }
    };
    let examples = examples.filter(|(block, _)| block.language == "sh");
    assert!(examples.map(run).count() > 20, "{EXAMPLES} has examples");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every folder of examples is on the page.
#[test]
fn no_example_is_left_over() {
    let page = std::fs::read_to_string(EXAMPLES).unwrap();
    for entry in std::fs::read_dir("docs/examples").unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(page.contains(&format!("two-orders {name} ")) || !entry.path().is_dir(), "{name}");
    }
}

/// Makes the edits of one diff. Each has exactly one place, or is made already.
fn edit(files: &mut BTreeMap<String, String>, diff: &str) {
    let path = diff.lines().find_map(|line| line.strip_prefix("+++ b/")).unwrap();
    let text = files.entry(path.to_owned()).or_insert_with(|| std::fs::read_to_string(path).unwrap());
    let places = diff.split("@@\n").skip(1);
    for place in places {
        let side = |kept: char| -> String {
            let kept = place.lines().filter(|line| line.starts_with([' ', kept]));
            kept.map(|line| format!("{}\n", &line[1..])).collect()
        };
        let (before, after) = (side('-'), side('+'));
        if text.matches(&after).count() == 1 {
            continue;
        }
        assert_eq!(text.matches(&before).count(), 1, "{RECIPES}: {path} has one place for\n{place}");
        *text = text.replacen(&before, &after, 1);
    }
}

#[test]
fn edits_of_the_recipes_have_one_place_in_the_source() {
    let page = std::fs::read_to_string(RECIPES).unwrap();
    let mut edits = 0;
    for recipe in page.split("\n## ") {
        let mut files = BTreeMap::new();
        for block in fences(recipe).iter().filter(|block| block.language == "diff") {
            edit(&mut files, &block.text);
            edits += 1;
        }
        for (path, text) in files {
            let lines = text.lines().count();
            assert!(lines <= 400, "{RECIPES}: the recipe makes {path} {lines} lines long, and 400 is the most");
        }
    }
    assert!(edits > 15, "{edits}");
}

/// A migration of a recipe that was followed is there already: the page names it, so its number is not taken.
#[test]
fn migrations_of_the_recipes_have_the_next_number() {
    let page = std::fs::read_to_string(RECIPES).unwrap();
    let named: Vec<&str> = new_files(&page).filter_map(|path| path.strip_prefix("migrations/sqlite/")).collect();
    let there = std::fs::read_dir("migrations/sqlite").unwrap().map(|entry| entry.unwrap().file_name());
    let taken = there.filter(|name| !named.iter().any(|it| name == it)).count();
    let next = format!("{:04}_", taken + 1);
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|name| name.starts_with(&next)), "{RECIPES}: the next migration is {next}");
}

/// Files that the recipes add.
fn new_files(page: &str) -> impl Iterator<Item = &str> {
    page.split("New file `").skip(1).filter_map(|rest| rest.split('`').next())
}

/// Paths of the repository that a page names in backticks.
fn paths(page: &str) -> impl Iterator<Item = &str> {
    let roots = ["src/", "tests/", "schema/", "fixtures/", "docs/", "migrations/", "benches/", ".ci/"];
    let words = page.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    words.filter(move |word| roots.iter().any(|root| word.starts_with(root)) && !word.contains('*'))
}

#[test]
fn paths_that_the_pages_name_are_there() {
    for name in [EXAMPLES, RECIPES] {
        let page = std::fs::read_to_string(name).unwrap();
        let text = prose(&page);
        let new: Vec<&str> = new_files(&text).collect();
        for path in paths(&text).filter(|path| !new.contains(path)) {
            assert!(Path::new(path).exists(), "{name}: {path}");
        }
    }
}

#[test]
fn tests_that_the_page_runs_are_there() {
    let page = std::fs::read_to_string(RECIPES).unwrap();
    let named = page.split("--test ").skip(1).filter_map(|rest| rest.split([' ', '`', '\n', ')']).next());
    let missing: Vec<&str> = named.filter(|name| !Path::new("tests").join(format!("{name}.rs")).is_file()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
