//! The shape of the source: what may name what, and how long a file may grow.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// Names of `what` in files that `may_not` name it.
fn nowhere_but(may: impl Fn(&str) -> bool, what: &[&str], why: &str) {
    for (path, text) in sources(Path::new("src")) {
        let path = path.to_string_lossy().replace('\\', "/");
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in (1..).zip(code.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let named = what.iter().find(|what| line.contains(**what));
            assert!(may(&path) || named.is_none(), "{path}:{number} names {}: {why}", named.unwrap());
        }
    }
}

#[test]
fn only_the_store_names_the_engine() {
    nowhere_but(|path| path.starts_with("src/store/"), &["rusqlite"], "a second engine must be one more folder");
    nowhere_but(|path| path.starts_with("src/store/postgres/"), &["tokio_postgres"], "one folder an engine");
}

#[test]
fn only_the_clock_asks_the_time() {
    nowhere_but(
        |path| path == "src/clock.rs",
        &["SystemTime::now", "Timestamp::now", "Zoned::now"],
        "time is told, so that a rebuild repeats it",
    );
}

#[test]
fn reducers_read_nothing() {
    let impure = ["crate::store", "crate::clock", "std::fs", "std::env", "HashMap", "HashSet", "Instant", "rand"];
    nowhere_but(|path| !path.starts_with("src/trigger"), &impure, "a reducer is a pure function of one event");
    let pure = [
        "src/standing/",
        "src/sessions/",
        "src/lifecycle.rs",
        "src/drift.rs",
        "src/edits.rs",
        "src/tables/",
        "src/merge.rs",
        "src/change.rs",
        "src/feed.rs",
    ];
    nowhere_but(|path| !pure.iter().any(|name| path.starts_with(name)), &impure, "what decides is pure");
}

/// The modules from top to bottom: each may name those below it. So no arrow points up, and there is no circle.
const LAYERS: &[&str] = &[
    "main",
    "cli",
    "http",
    "backup",
    "reconcile",
    "backfill",
    "cluster",
    "lock",
    "console",
    "config",
    "graphql",
    "explain",
    "retention",
    "rebuild",
    "erase",
    "writer",
    "send",
    "ingest",
    "large",
    "checkpoints",
    "log",
    "late",
    "fold",
    "batch",
    "store",
    "feed",
    "part",
    "envelope",
    "entity",
    "quiet",
    "responses",
    "passed",
    "trigger",
    "tables",
    "lifecycle",
    "drift",
    "change",
    "standing",
    "sessions",
    "edits",
    "merge",
    "chat",
    "rest",
    "person",
    "json",
    "csv",
    "token",
    "days",
    "clock",
    "disk",
    "ids",
    "ahead",
    "meter",
    "panics",
];

#[test]
fn modules_name_only_modules_below_them() {
    let layer =
        |name: &str| LAYERS.iter().position(|layer| *layer == name).unwrap_or_else(|| panic!("no layer {name}"));
    for (path, text) in sources(Path::new("src")) {
        let path = path.to_string_lossy().replace('\\', "/");
        let own = path.trim_start_matches("src/").split(['/', '.']).next().unwrap();
        if own == "lib" || path.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for named in line.split("crate::").skip(1) {
                let named = named.split(|it: char| !it.is_ascii_alphanumeric() && it != '_').next().unwrap();
                assert!(!named.is_empty(), "{path}: name one module a line: {line}");
                assert!(
                    named == own || LAYERS.contains(&named) && layer(own) < layer(named),
                    "{path} names {named}, which stands above {own}"
                );
            }
        }
    }
}

#[test]
fn the_page_maps_the_modules_in_their_order() {
    let page = std::fs::read_to_string("docs/how-it-works.md").unwrap();
    let map = page.split_once("\n## 5. The map of the source\n").unwrap().1;
    let rows = map.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.map(|name| name.trim_end_matches('/')).collect::<Vec<_>>(), LAYERS);
}

#[test]
fn no_statement_names_an_index() {
    nowhere_but(|_| false, &["INDEXED BY"], "a rebuild gives the indexes other names");
}

#[test]
fn no_file_outgrows_four_hundred_lines() {
    let long: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|dir| sources(Path::new(dir)))
        .filter(|(_, text)| text.lines().count() > 400)
        .map(|(path, text)| format!("{} has {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "split by what it is about: {}", long.join(", "));
}

#[test]
fn nothing_is_left_for_later() {
    nowhere_but(
        |_| false,
        &["todo!", "unimplemented!", "dbg!", "TODO", "FIXME", ".unwrap()", "println!(\"{:?}"],
        "finish it or leave it out",
    );
}

/// Where files are opened, made, removed or renamed without SQLite, and why that is none SQLite has open.
const FILES: &[(&str, &str)] = &[
    (
        "src/lock.rs",
        "the lock file; the database, made before SQLite opens it, removed after SQLite closed it, never opened where it is there",
    ),
    ("src/cli/ingest.rs", "deliveries to read"),
    ("src/graphql/documents.rs", "the list of allowed documents"),
    ("src/http/graphiql/", "the files of GraphiQL, read at the start"),
    ("src/config/", "the configuration, and files with secrets"),
    ("src/rebuild/aside.rs", "the file for folding aside: made before SQLite opens it, removed when it is done with"),
    ("src/cluster/outbox.rs", "the outbox: made before SQLite opens it"),
    ("src/http/rebuilds.rs", "the socket beside the file"),
    ("src/http/backups.rs", "the socket beside the file, and a finished copy"),
    ("src/backup/", "copies; a file that is moved aside while this process holds its lock and has it not open"),
    ("src/http/tls.rs", "the certificate and its key"),
    ("src/send/read.rs", "deliveries to play"),
];

#[test]
fn no_file_of_sqlites_is_opened_but_through_sqlite() {
    // Names alone (`metadata`, `canonicalize`, `exists`) open nothing.
    let opening = [
        "File::open",
        "File::create",
        "OpenOptions",
        "fs::read(",
        "fs::write",
        "fs::copy",
        "fs::rename",
        "fs::remove",
        "fs::hard_link",
        "fs::set_permissions",
        "read_to_string(",
        "UnixListener::bind",
        "std::fs::File",
        "tokio::fs",
        "memmap",
    ];
    nowhere_but(
        |path| FILES.iter().any(|(may, _)| path.starts_with(may)),
        &opening,
        "closing another descriptor of the database, its -wal or its -shm drops SQLite's locks; see FILES",
    );
    for (may, why) in FILES {
        let there = sources(Path::new("src")).iter().any(|(path, text)| {
            path.to_string_lossy().starts_with(may) && opening.iter().any(|open| text.contains(open))
        });
        assert!(there, "{may} opens no file any more: {why}");
    }
    // Who may open some file never names one of SQLite's but to look whether it is there.
    let looking = [
        "src/store/sqlite/place.rs",
        "src/store/sqlite/open.rs",
        "src/store/sqlite/marks.rs",
        "src/lock.rs",
        "src/cli/ingest.rs",
        "src/backup/mod.rs",
        "src/backup/restore.rs",
        "src/cli/doctor/machine.rs",
    ];
    nowhere_but(|path| looking.contains(&path), &["-wal\"", "-shm\""], "it is a file of SQLite's");
}
