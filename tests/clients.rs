//! What programs make of chatfold that are not npm's: clients of Python, tools that read the file, Prometheus. The scripts
//! are in `tests/python`. `CHATFOLD_PYTHON` names a Python with the packages of `tests/python/requirements.txt`; without
//! it these tests are skipped. The test with `promtool` is skipped without it, unless `CHATFOLD_PROMTOOL=required`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use support::TestServer;
use support::pages::token;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");

/// Past the capture of what a test that passes prints.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Runs a script to its end, where there is a Python for it.
#[track_caller]
fn python(script: &str, args: impl FnOnce() -> Vec<String>) {
    let Ok(python) = std::env::var("CHATFOLD_PYTHON") else {
        return say(&format!("SKIPPED {script}: CHATFOLD_PYTHON names no Python"));
    };
    let mut command = Command::new("timeout");
    // Beside the sources nothing is written.
    command.args(["120", &python, "-B", script]).args(args()).current_dir(SCRIPTS);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{out}{err}", output.status);
}

/// A server that asks for a token, and what a client is told of it.
fn with_token(server: &TestServer) -> Vec<String> {
    vec![format!("http://{}", server.address), token(server, &["--name", "python"])]
}

#[test]
fn gql_and_sgqlc_ask_and_make_classes_of_the_schema() {
    let server = TestServer::with_story("first_steps");
    python("ask.py", || with_token(&server));
}

#[test]
fn gql_follows_over_a_websocket_with_its_defaults() {
    let server = TestServer::with_story("first_steps");
    python("live.py", || with_token(&server));
}

#[test]
fn tools_for_sqlite_read_every_table_and_view_beside_the_server() {
    let server = TestServer::with_story("first_steps");
    python("tables.py", || vec![server.db().to_str().unwrap().to_owned()]);
}

#[cfg(feature = "parquet")]
#[test]
fn pandas_and_duckdb_read_the_rows_of_parquet() {
    let server = TestServer::with_story("first_steps");
    let folders = ["ndjson", "parquet"].map(|format| {
        let folder = server.dir().path().join(format).to_str().unwrap().to_owned();
        let (code, _, err) = server.run(&["export", "--format", format, "--to", &folder]);
        assert_eq!(code, 0, "{err}");
        folder
    });
    python("typed.py", || folders.to_vec());
}

#[test]
fn prometheus_finds_nothing_wrong_with_the_metrics() {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = match command.spawn() {
        Ok(promtool) => promtool,
        Err(error) => {
            assert!(std::env::var("CHATFOLD_PROMTOOL").as_deref() != Ok("required"), "promtool: {error}");
            return say("SKIPPED metrics: there is no promtool");
        }
    };
    let server = TestServer::with("webhook_username = \"odd \\\\ \\\" name\"\nwebhook_password = \"sesame\"");
    let bearer = format!("Bearer {}", token(&server, &["--name", "prometheus"]));
    let metrics = server.request("GET", "/metrics", &[("Authorization", &bearer)], b"");
    assert!(metrics.body.contains("chatfold_webhook_credential_deliveries_total"), "{}", metrics.body);
    promtool.stdin.take().unwrap().write_all(metrics.body.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    // It fails where the text cannot be read, and prints what it would have otherwise.
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success() && printed.is_empty(), "{printed}{}", metrics.body);
}
