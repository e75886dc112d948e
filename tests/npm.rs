//! What other people's clients make of chatfold: GraphiQL in a browser, the clients of npm, code generators. The scripts
//! are in `tests/npm`, whose `node_modules` `npm ci` fills. Where something of that is not there the tests are skipped,
//! unless `CHATFOLD_NPM=required`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use support::TestServer;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/npm");
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/npm/node_modules");
const CHROMIUM: &str = "/usr/bin/chromium";

/// Whether a test can run; says loudly where it cannot.
fn can_run(test: &str, with_browser: bool) -> bool {
    let missing = match () {
        () if !Path::new(PACKAGES).is_dir() => "there is no tests/npm/node_modules: npm ci in tests/npm",
        () if Command::new("node").arg("--version").output().is_err() => "there is no node",
        () if with_browser && !Path::new(CHROMIUM).exists() => "there is no /usr/bin/chromium",
        () => return true,
    };
    assert!(std::env::var("CHATFOLD_NPM").as_deref() != Ok("required"), "{test}: {missing}");
    say(&format!("SKIPPED {test}: {missing}"));
    false
}

/// Past the capture of what a test that passes prints.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Runs a script to its end; its output.
#[track_caller]
fn node(script: &str, args: &[&str]) -> String {
    let mut command = Command::new("timeout");
    let output = command.args(["600", "node", script]).args(args).current_dir(SCRIPTS).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{out}{err}", output.status);
    out
}

fn url(server: &TestServer) -> String {
    format!("http://{}", server.address)
}

fn with_graphiql() -> TestServer {
    TestServer::with(&format!("graphiql_dir = {PACKAGES:?}"))
}

#[test]
fn graphiql_asks_documents_remembers_and_follows_without_another_host() {
    if can_run("graphiql", true) {
        node("graphiql.mjs", &[&url(&with_graphiql())]);
    }
}

#[test]
fn graphiql_takes_a_token_and_shows_what_is_refused_without_one() {
    if can_run("graphiql with tokens", true) {
        let server = with_graphiql();
        server.deliver(include_str!("../fixtures/triggers/message_sent.json"));
        let (_, token, _) = server.run(&["token", "create", "--name", "browser"]);
        node("token.mjs", &[&url(&server), token.trim()]);
    }
}

#[test]
fn the_files_of_the_cdn_are_those_of_the_packages_and_no_others_run() {
    if can_run("graphiql from the cdn", true) {
        node("cdn.mjs", &[&url(&TestServer::start())]);
    }
}

/// The command of `docs/query.md`, with the packages in the place of the CDN.
#[test]
fn the_printed_command_fills_the_folder_of_graphiql() {
    if can_run("command that fetches graphiql", false) {
        let dir = tempfile::tempdir().unwrap();
        for package in std::fs::read_dir(PACKAGES).unwrap() {
            let package = package.unwrap();
            let Ok(manifest) = std::fs::read_to_string(package.path().join("package.json")) else { continue };
            let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
            let name = format!("{}@{}", package.file_name().to_str().unwrap(), manifest["version"].as_str().unwrap());
            std::os::unix::fs::symlink(package.path(), dir.path().join(name)).unwrap();
        }
        let page = support::reader::page("docs/query.md");
        let fences = support::fences::fences(&page);
        let command = &fences.iter().find(|fence| fence.text.contains("https://unpkg.com/")).unwrap().text;
        let (fetch, serve) = command.split_once("chatfold serve").unwrap();
        assert!(serve.contains("--graphiql-dir graphiql"), "{command}");
        let fetch = fetch.replace("https://unpkg.com", &format!("file://{}", dir.path().display()));
        let output = Command::new("sh").args(["-euc", &fetch]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{fetch}{}", String::from_utf8_lossy(&output.stderr));
        let server = TestServer::with(&format!("graphiql_dir = {:?}", dir.path().join("graphiql")));
        assert_eq!(server.get("/graphql/assets/graphiql-4.1.2.js").status, 200);
    }
}

#[test]
fn each_recipe_of_the_cookbook_runs_in_graphiql_at_once() {
    if can_run("cookbook in graphiql", true) {
        node("cookbook.mjs", &[&url(&with_graphiql().told("one_story_answers_the_cookbook"))]);
    }
}

#[test]
fn only_the_five_files_are_served_from_the_folder_and_for_ever() {
    if can_run("files of graphiql", false) {
        let server = with_graphiql();
        for (name, kind, least) in [
            ("graphiql-4.1.2.css", "text/css; charset=utf-8", 400_000),
            ("react-18.3.1.js", "text/javascript; charset=utf-8", 10_000),
            ("react-dom-18.3.1.js", "text/javascript; charset=utf-8", 100_000),
            ("graphql-ws-5.16.2.js", "text/javascript; charset=utf-8", 10_000),
            ("graphiql-4.1.2.js", "text/javascript; charset=utf-8", 1_000_000),
        ] {
            let file = server.get(&format!("/graphql/assets/{name}"));
            assert!(file.status == 200 && file.body.len() > least, "{name}: {}", file.status);
            assert_eq!(file.header("content-type"), Some(kind));
            assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
            assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        }
        for path in
            ["", "..", "graphiql.min.js", "..%2Fgraphql%2Fpackage.json", "graphql/package.json", "%2e%2e/.npmrc"]
        {
            let request =
                format!("GET /graphql/assets/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            server.raw(request).problem(404);
        }
    }
}

#[test]
fn a_subscriber_cut_off_a_hundred_times_misses_nothing_and_hears_nothing_twice() {
    if can_run("graphql-ws", false) {
        let out = node("resume.mjs", &[&url(&TestServer::start())]);
        say(&format!("graphql-ws: {}", out.trim().replace('\n', ", ")));
    }
}

#[test]
fn apollo_urql_and_graphql_request_ask_by_post_by_get_and_by_hash() {
    if can_run("clients", false) {
        let server = TestServer::with_story("first_steps");
        let (_, token, _) = server.run(&["token", "create", "--name", "clients"]);
        node("clients.mjs", &[&url(&server), token.trim()]);
    }
}

#[test]
fn every_audit_of_graphql_over_http_passes() {
    if can_run("audits", false) {
        say(&format!("graphql-http: {}", node("audit.mjs", &[&url(&TestServer::start())]).trim()));
    }
}

#[test]
fn code_generators_of_apollo_and_relay_read_the_schema_without_a_complaint() {
    if can_run("code generators", false) {
        node("generate.mjs", &[concat!(env!("CARGO_MANIFEST_DIR"), "/schema/schema.graphql")]);
    }
}

#[test]
fn the_console_works_in_a_browser_and_leaves_nothing_out_of_its_place() {
    if can_run("console", true) {
        let server = TestServer::with_story("demo");
        node("console.mjs", &[&url(&server), "2489f0demo01", "2489f0demo02"]);
    }
}

#[test]
fn each_task_of_support_takes_three_clicks_at_a_desk_and_on_a_phone() {
    if can_run("tasks", true) {
        node("tasks.mjs", &[&url(&TestServer::with_story("demo")), "2489f0demo01"]);
    }
}

#[test]
fn no_page_is_wider_or_taller_than_its_content() {
    if can_run("screenshots", true) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/screenshots");
        node("screenshots.mjs", &[&url(&TestServer::with_story("demo")), folder]);
        say(&format!("screenshots: {folder}"));
    }
}

#[test]
fn a_browser_signs_in_to_the_console_and_sees_its_app_alone() {
    if can_run("console with tokens", true) {
        let server = with_graphiql().told("demo");
        let (_, token, _) = server.run(&["token", "create", "--name", "browser", "--app", "2489f0demo02"]);
        node("sign_in.mjs", &[&url(&server), token.trim(), "2489f0demo01"]);
    }
}
