//! The process: one server a file, signals, permissions, exit codes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{TestServer, chatfold};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stories/demo");
const FIRST_STEPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stories/first_steps");

#[test]
fn a_second_server_leaves_at_once_and_names_the_first() {
    let server = TestServer::start();
    let begun = Instant::now();
    let (code, _, stderr) = server.run(&["serve"]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("process {}", server.pid())) && stderr.contains("chatfold.db.lock"), "{stderr}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    let (code, _, stderr) = server.run(&["ingest", "-"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("Post to that server"), "{stderr}");
}

#[test]
fn sigterm_ends_with_0_and_an_idle_connection_does_not_hold_it() {
    let mut server = TestServer::start();
    let mut idle = TcpStream::connect(server.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    let begun = Instant::now();
    assert_eq!(server.sigterm().code(), Some(0), "{}", server.log());
    assert!(begun.elapsed() < Duration::from_millis(3500), "{:?}", begun.elapsed());
}

#[test]
fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start();
    for entry in std::fs::read_dir(server.dir().path()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("chatfold.db") {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
    }
}

#[test]
fn wrong_use_exits_with_2_and_says_what_to_do() {
    for (args, words) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], "CHATFOLD_WEBHOOK_PASSWORD"),
        (&["serve", "--workers", "0"], "between 1 and 64"),
        (&["serve", "--config", "missing.toml"], "missing.toml"),
        (&["events", "--refused", "--app", "a"], "--refused"),
        (&["events", "--since", "tomorrow"], "yesterday"),
        (&["events", "--about", "book-club"], "group:GUID"),
        (&["events", "--bytes"], "--refused"),
        (&["serve", "--listen", "example.com:80"], "127.0.0.1:8080"),
        (&["events", "--outcome", "lost"], "applied"),
        (&["nothing"], "unrecognized"),
    ] {
        let (code, stdout, stderr) = chatfold(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?} {stderr}");
        assert!(stderr.contains(words), "{args:?} {stderr}");
    }
    let (code, _, stderr) = chatfold(&["inspect"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("there is no file chatfold.db"), "{stderr}");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = chatfold(&["serve", "--listen", &address]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&address) && stderr.contains("--listen"), "{stderr}");
}

#[test]
fn the_schema_goes_to_stdout() {
    let (code, stdout, _) = chatfold(&["schema"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("type Query"));
}

#[test]
fn the_help_of_a_command_shows_what_the_command_uses() {
    for command in [
        "open", "ingest", "events", "explain", "drift", "gaps", "inspect", "rebuild", "verify", "token", "send",
        "doctor", "config", "schema",
    ] {
        let (code, help, _) = chatfold(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(help.contains(&format!("Example:\n  chatfold {command}")), "{help}");
        assert!(help.contains("--db") && !help.contains("--graphql-depth") && !help.contains("--workers"), "{help}");
        assert!(help.lines().count() < 110, "{command}: {} lines", help.lines().count());
        assert_eq!(help.contains("--row-cache"), command == "ingest", "{command}");
        assert_eq!(help.contains("--listen"), ["open", "send"].contains(&command), "{command}");
        assert_eq!(help.contains("--default-app"), command == "explain", "{command}");
    }
    let (_, help, _) = chatfold(&["serve", "--help"]);
    for words in ["--graphql-depth", "--row-cache", "--listen", "CHATFOLD_WEBHOOK_PASSWORD_FILE", "Example:"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    let (_, help, _) = chatfold(&["--help"]);
    assert!(help.contains("Exit codes") && !help.contains("--graphql-depth"), "{help}");
}

/// A setting that a command does not use is no wrong use: one environment serves all commands.
#[test]
fn every_command_takes_every_setting() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("t.db");
    let db = db.to_str().unwrap();
    assert_eq!(chatfold(&["ingest", FIRST_STEPS, "--db", db, "--graphql-depth", "9"]).0, 0);
    assert_eq!(chatfold(&["--workers", "2", "inspect", "--db", db]).0, 0);
    let (code, _, stderr) = chatfold(&["--workers", "0", "inspect", "--db", db]);
    assert!(code == 2 && stderr.contains("between 1 and 64"), "{stderr}");
}

/// What `chatfold events` shows on a terminal of so many columns. The program `script` (util-linux) is the terminal.
#[cfg(target_os = "linux")]
fn events_on_a_terminal(db: &str, columns: u32) -> String {
    let program = env!("CARGO_BIN_EXE_chatfold");
    let typed = format!("stty cols {columns} rows 24; NO_COLOR=1 '{program}' events --db '{db}'");
    let mut command = std::process::Command::new("script");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATFOLD_")) {
        command.env_remove(name);
    }
    let output = command.args(["-qec", &typed, "/dev/null"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    shown.replace('\r', "")
}

#[test]
#[cfg(target_os = "linux")]
fn events_fit_on_a_terminal_of_80_columns() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("demo.db");
    let db = db.to_str().unwrap();
    assert_eq!(chatfold(&["ingest", DEMO, "--db", db]).0, 0);
    let shown = events_on_a_terminal(db, 80);
    let (columns, line) = shown.lines().map(|line| (line.chars().count(), line)).max().unwrap();
    assert!(columns <= 80, "{columns}: {line}");
    assert!(shown.contains("group_member_banned") && shown.contains("  membership:night-shift/anders\n"), "{shown}");
    assert!(events_on_a_terminal(db, 200).contains("┆ membership:night-shift/anders"), "one line each");
}

#[test]
fn events_tell_when_what_happened_about_what() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("my file.db");
    let db = db.to_str().unwrap();
    let (code, _, stderr) = chatfold(&["ingest", FIRST_STEPS, "--db", db]);
    assert_eq!(code, 0, "{stderr}");
    let lines = |args: &[&str]| -> Vec<String> {
        let (code, stdout, stderr) = chatfold(&[&["events", "--db", db], args].concat());
        assert_eq!(code, 0, "{stderr}");
        stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(
        lines(&["--limit", "2"]),
        [
            "seq happened trigger about outcome",
            "5 2026-01-09T09:28:20.000Z group_member_banned membership:book-club/kofi applied",
            "4 2026-01-09T09:23:20.000Z group_member_kicked membership:book-club/ines applied",
        ]
    );
    assert_eq!(
        lines(&["--seq", "2"])[1],
        "2 2026-01-09T09:14:05.000Z group_member_added membership:book-club/ines +2 applied"
    );
    assert_eq!(lines(&["--about", "membership:book-club/kofi"]).len(), 1 + 2);
    assert_eq!(lines(&["--about", "group:nothing"]).len(), 1);
    assert_eq!(lines(&["--since", "1h"]).len(), 1 + 5, "all were received now");
    assert_eq!(lines(&["--until", "yesterday"]).len(), 1);
    let (code, _, stderr) = chatfold(&["events", "--db", db, "--app", "nobody"]);
    assert!(code == 2 && stderr.contains("no app nobody") && stderr.contains("holds "), "{stderr}");
}

#[test]
fn what_is_refused_is_shown_with_its_bytes_where_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (db, lines) = (dir.path().join("my file.db"), dir.path().join("lines.ndjson"));
    let (db, lines) = (db.to_str().unwrap(), lines.to_str().unwrap());
    std::fs::write(lines, "{\"trigger\":\"message_sent\",\"appId\":\"a\",\"data\":7}\nno delivery\n").unwrap();
    let (code, _, stderr) = chatfold(&["ingest", "--db", db, lines]);
    assert_eq!(code, 1);
    for next in
        [format!("chatfold events --outcome rejected --db '{db}'"), format!("chatfold events --refused --db '{db}'")]
    {
        assert!(stderr.contains(&next), "{next}: {stderr}");
    }
    let (_, plain, _) = chatfold(&["events", "--refused", "--db", db]);
    assert!(!plain.contains("no delivery"), "{plain}");
    for args in [&["--bytes"][..], &["--bytes", "--json"]] {
        let (_, shown, _) = chatfold(&[&["events", "--refused", "--db", db], args].concat());
        assert!(shown.contains("no delivery"), "{shown}");
    }
}

#[test]
fn a_folder_without_deliveries_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("t.db");
    std::fs::write(dir.path().join("notes.txt"), "no delivery").unwrap();
    let (code, _, stderr) = chatfold(&["ingest", "--db", db.to_str().unwrap(), dir.path().to_str().unwrap()]);
    assert!(code == 1 && stderr.contains("holds no deliveries") && stderr.contains(".ndjson"), "{stderr}");
    assert!(!db.exists());
}

#[test]
fn a_server_tells_where_its_console_is() {
    let server = TestServer::start();
    assert!(server.log().contains(&format!("the console is at http://{}/", server.address)), "{}", server.log());
}

#[test]
fn an_ingest_that_keeps_nothing_leaves_no_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (db, input) = (dir.path().join("chatfold.db"), dir.path().join("input.ndjson"));
    let ingest = |text: &str| {
        std::fs::write(&input, text).unwrap();
        chatfold(&["ingest", "--db", db.to_str().unwrap(), input.to_str().unwrap()]).0
    };
    let nonsense = "nonsense\n".repeat(25);
    let databases = || ["", "-wal", "-shm"].map(|end| dir.path().join(format!("chatfold.db{end}")).exists());
    for (text, code) in [("", 0), (nonsense.as_str(), 1)] {
        assert_eq!((ingest(text), databases()), (code, [false; 3]), "{text}");
    }
    let delivery = r#"{"trigger":"t","appId":"a"}"#;
    assert_eq!((ingest(delivery), db.exists()), (0, true));
    let hash = || chatfold(&["inspect", "--json", "--db", db.to_str().unwrap()]);
    let before = hash();
    for text in ["", &nonsense, delivery] {
        ingest(text);
        assert!(before.0 == 0 && db.exists(), "{text}");
    }
    assert!(before.1.contains("\"a\"") && hash().1.contains("\"a\""), "{before:?}");

    // What is refused and kept is something.
    let kept = dir.path().join("kept.db");
    std::fs::write(&input, "nonsense").unwrap();
    assert_eq!(chatfold(&["ingest", "--db", kept.to_str().unwrap(), input.to_str().unwrap()]).0, 1);
    let (_, refused, _) = chatfold(&["events", "--refused", "--db", kept.to_str().unwrap()]);
    assert!(refused.contains("not JSON"), "{refused}");
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_server_without_traces_says_so_where_a_collector_is_named() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
    let server = TestServer::launch(dir, |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    });
    let log = server.unwrap().log();
    assert!(log.contains("is built without traces") && log.contains("--features otel"), "{log}");
    assert!(!TestServer::start().log().contains("traces"));
}
