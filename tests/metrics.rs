//! `/metrics`: what it counts, who sees which part, and that the dashboard and the alerts of `docs/monitoring` name only
//! what is exported. The tests with `promtool` are skipped without it, unless `CHATFOLD_PROMTOOL=required`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::feed::Client;
use support::pages::token;
use support::{JSON, TestServer, chatfold, load};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn deliver(server: &TestServer, trigger: &str, app: &str) {
    let body = json!({ "trigger": trigger, "appId": app, "data": { "message": { "id": "1" } } });
    assert_eq!(server.deliver(body.to_string()).status, 200);
}

fn metrics(server: &TestServer, token: &str) -> String {
    let answer = server.request("GET", "/metrics", &[("Authorization", &format!("Bearer {token}"))], b"");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[track_caller]
fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|it| it == line), "no {line} in {page}");
}

/// The value of the row that begins so.
fn value(page: &str, row: &str) -> f64 {
    let found = page.lines().find_map(|line| line.strip_prefix(row)).unwrap_or_else(|| panic!("no {row} in {page}"));
    found.trim().parse().unwrap()
}

/// Asks until the page holds.
#[track_caller]
fn wait(server: &TestServer, holds: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let page = server.get("/metrics").body;
        if holds(&page) {
            return;
        }
        assert!(Instant::now() < deadline, "{page}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn deliveries_are_counted_by_app_trigger_and_outcome() {
    let server = TestServer::start();
    for _ in 0..2 {
        deliver(&server, "message_pinned", "one");
    }
    deliver(&server, "made up \"by\" a sender", "two");
    assert_eq!(server.deliver(r#"{"trigger":"message_sent","appId":"two","data":{}}"#).status, 200);
    let page = server.get("/metrics").body;
    for line in [
        r#"chatfold_app_deliveries_total{app="one",trigger="message_pinned",outcome="applied"} 1"#,
        r#"chatfold_app_deliveries_total{app="one",trigger="message_pinned",outcome="duplicate"} 1"#,
        r#"chatfold_app_deliveries_total{app="two",trigger="other",outcome="ignored"} 1"#,
        r#"chatfold_app_deliveries_total{app="two",trigger="message_sent",outcome="rejected"} 1"#,
        r#"chatfold_app_dead_letters{app="one"} 0"#,
        r#"chatfold_app_dead_letters{app="two"} 1"#,
        "chatfold_delivery_seconds_count 4",
        r#"chatfold_delivery_seconds_bucket{le="+Inf"} 4"#,
        "chatfold_batch_deliveries_sum 4",
        "chatfold_queue_deliveries 0",
    ] {
        assert_has(&page, line);
    }
    assert!(value(&page, "chatfold_commit_seconds_count ") >= 4.0, "each of them had a commit: {page}");
    assert!(!page.contains("made up"), "{page}");
}

#[test]
fn a_token_of_some_apps_sees_the_metrics_of_its_apps_only() {
    let server = TestServer::start();
    for app in ["one", "two", "three"] {
        deliver(&server, "message_pinned", app);
    }
    let bound = metrics(&server, &token(&server, &["--name", "bound", "--app", "two", "--app", "unheard"]));
    assert_has(&bound, r#"chatfold_app_deliveries_total{app="two",trigger="message_pinned",outcome="applied"} 1"#);
    let rows: Vec<&str> = bound.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rows.len() >= 4 && rows.iter().all(|row| row.contains(r#"{app="two""#)), "{bound}");
    let whole = metrics(&server, &token(&server, &["--name", "whole"]));
    assert!(whole.contains("chatfold_log_position 3\n") && whole.contains(r#"{app="three""#), "{whole}");
}

#[test]
fn apps_that_the_file_knows_have_their_metrics_before_they_send_again() {
    let server = TestServer::start();
    deliver(&server, "message_pinned", "one");
    let dir = server.dir();
    drop(server);
    let server = TestServer::within(dir, "");
    assert_has(&server.get("/metrics").body, r#"chatfold_app_silent{app="one",family="message"} 0"#);
}

#[test]
fn a_family_that_stops_against_its_own_rhythm_is_silent() {
    let now = chatfold::clock::now().0;
    let line = |trigger: &str, id: i64, hours_ago: i64| {
        let received_at = now - hours_ago * 3_600_000 - id;
        let data = json!({ "message": { "id": id.to_string() } });
        json!({ "receivedAt": received_at, "body": { "trigger": trigger, "appId": "a", "data": data } }).to_string()
    };
    let mut lines = Vec::new();
    for hour in (0..48).rev() {
        lines.extend((0..4).map(|nth| line("message_pinned", hour * 10 + nth, hour)));
        if hour > 24 {
            lines.push(line("group_member_joined", hour, hour));
        }
    }
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let (input, db) = (dir.path().join("lines.ndjson"), dir.path().join("chatfold.db"));
    std::fs::write(&input, lines.join("\n")).unwrap();
    let (code, _, err) = chatfold(&["ingest", input.to_str().unwrap(), "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let page = TestServer::within(dir, "").get("/metrics").body;
    for line in [
        r#"chatfold_app_silent{app="a",family="all"} 0"#,
        r#"chatfold_app_silent{app="a",family="message"} 0"#,
        r#"chatfold_app_silent{app="a",family="membership"} 1"#,
    ] {
        assert_has(&page, line);
    }
    let silence = value(&page, r#"chatfold_app_silence_seconds{app="a",family="membership"}"#);
    assert!((25.0 * 3600.0..26.0 * 3600.0).contains(&silence), "{silence}");
}

#[test]
fn graphql_is_counted_by_time_cost_and_refusal() {
    let server = TestServer::with_story("first_steps");
    let ask = |query: &str| server.post("/graphql", &[JSON], json!({ "query": query }).to_string());
    assert_eq!(ask("{ apps { appId } }").status, 200);
    assert_eq!(ask("{ nothing }").status, 200);
    let page = server.get("/metrics").body;
    for line in [
        "chatfold_graphql_seconds_count 2",
        "chatfold_graphql_cost_count 2",
        r#"chatfold_graphql_refused_total{code="BAD_INPUT"} 1"#,
        r#"chatfold_graphql_refused_total{code="BUSY"} 0"#,
        "chatfold_subscribers 0",
    ] {
        assert_has(&page, line);
    }
}

#[test]
fn each_subscriber_is_counted_until_it_goes() {
    let server = TestServer::start();
    let socket = Client::greeted(&server);
    wait(&server, |page| page.contains("chatfold_subscribers 1\n"));
    drop(socket);
    wait(&server, |page| page.contains("chatfold_subscribers 0\n"));
}

#[test]
fn a_rebuild_shows_how_far_it_is() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let (input, db) = (dir.path().join("lines.ndjson"), dir.path().join("chatfold.db"));
    let lines: Vec<String> = (1..4_000).map(load::body).collect();
    std::fs::write(&input, lines.join("\n")).unwrap();
    let (code, _, err) = chatfold(&["ingest", input.to_str().unwrap(), "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let server = TestServer::within(dir, "");
    assert_has(&server.get("/metrics").body, "chatfold_rebuild_running 0");
    let _rebuild = server.spawn(&["rebuild"]);
    wait(&server, |page| {
        page.contains("chatfold_rebuild_running 1\n") && page.contains("\nchatfold_rebuild_progress{phase=\"")
    });
    wait(&server, |page| page.contains("chatfold_rebuild_running 0\n"));
}

#[test]
fn a_credential_is_shown_before_its_first_use() {
    let server = TestServer::with("webhook_username = \"u\"\nwebhook_password = \"sesame\"");
    let page = metrics(&server, &token(&server, &["--name", "it"]));
    let rows = page.lines().filter(|line| line.starts_with("chatfold_webhook_credential_last_used_seconds{"));
    assert_eq!(rows.filter(|row| row.ends_with(" 0")).count(), 1, "{page}");
}

/// Every name of a metric in a text, without the ends that histograms have.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let starts = text.match_indices("chatfold_").map(|(at, _)| at);
    let names = starts.filter(|at| !text[..*at].ends_with(is_name)).map(|at| {
        let rest = &text[at..];
        let name = &rest[..rest.find(|letter| !is_name(letter)).unwrap_or(rest.len())];
        let end = ["_bucket", "_sum", "_count"].into_iter().find(|end| name.ends_with(end)).unwrap_or_default();
        name.strip_suffix(end).unwrap_or(name).to_owned()
    });
    names.collect()
}

/// Every metric that a server exports, those of a running rebuild, of TLS and of backups too.
fn exported() -> BTreeSet<String> {
    // Nobody listens on the port of the API.
    let api = "api_app = \"any\"\napi_url = \"http://127.0.0.1:9\"\napi_key = \"key\"\n";
    let servers = [TestServer::with_story("first_steps"), TestServer::with(api)];
    let page: String = servers.iter().map(|server| server.get("/metrics").body).collect();
    let at_times = [
        "chatfold_rebuild_progress",
        "chatfold_certificate_expires_seconds",
        "chatfold_backup_age_seconds",
        "chatfold_backup_every_seconds",
    ];
    at_times.map(str::to_owned).into_iter().chain(heads(&page)).collect()
}

/// The metrics that a page declares.
fn heads(page: &str) -> BTreeSet<String> {
    let heads = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    heads.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The metrics that only a node exports; `None`: there is no PostgreSQL.
fn of_nodes() -> Option<BTreeSet<String>> {
    #[cfg(feature = "postgres")]
    let page = {
        let postgres = support::nodes::log()?;
        support::nodes::ready(TestServer::with(&support::nodes::of(&postgres))).get("/metrics").body
    };
    #[cfg(not(feature = "postgres"))]
    let page = None::<String>?;
    Some(heads(&page).difference(&exported()).cloned().collect())
}

fn monitoring(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/docs/monitoring/{name}")).unwrap()
}

/// The metrics in the tables of a page of `docs`.
fn explained(page: &str) -> BTreeSet<String> {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/{page}")).unwrap();
    named(&page.lines().filter(|line| line.starts_with("| `chatfold_")).collect::<String>())
}

#[test]
fn the_dashboard_and_the_alerts_name_only_metrics_that_are_exported() {
    let exported = &exported() | &explained("cluster.md");
    for file in ["alerts.yml", "alerts_test.yml", "grafana.json"] {
        let unknown: Vec<String> = named(&monitoring(file)).difference(&exported).cloned().collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

#[test]
fn the_pages_for_operators_explain_each_metric_and_no_other() {
    assert_eq!(explained("operate.md"), exported());
    let Some(of_nodes) = of_nodes() else { return };
    assert_eq!(explained("cluster.md"), of_nodes);
}

/// The expressions of the dashboard, with its variables filled in.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&monitoring("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled = |target: &Value| {
        let expr = target["expr"].as_str().unwrap();
        ["job", "instance", "app"]
            .iter()
            .fold(expr.to_owned(), |expr, name| expr.replace(&format!("${name}"), ".*"))
            .replace("$__rate_interval", "5m")
            .replace("$__range", "6h")
    };
    targets.map(filled).collect()
}

#[test]
fn the_panels_of_the_dashboard_lie_beside_each_other() {
    let dashboard: Value = serde_json::from_str(&monitoring("grafana.json")).unwrap();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let of = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{panel}");
        for cell in (of("x")..of("x") + of("w")).flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{panel} lies on another panel");
        }
    }
    assert!(expressions().iter().all(|expr| !expr.contains('$')), "{:?}", expressions());
}

fn promtool(args: &[&str]) {
    match Command::new("promtool").args(args).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{told}");
        }
        Err(error) => {
            assert!(std::env::var("CHATFOLD_PROMTOOL").as_deref() != Ok("required"), "promtool: {error}");
            std::io::stderr().write_all(b"SKIPPED: there is no promtool\n").unwrap();
        }
    }
}

#[test]
fn each_alert_fires_in_trouble_and_none_of_a_healthy_server() {
    promtool(&["check", "rules", &format!("{ROOT}/docs/monitoring/alerts.yml")]);
    promtool(&["test", "rules", &format!("{ROOT}/docs/monitoring/alerts_test.yml")]);
    let alerts = monitoring("alerts.yml");
    let tested = monitoring("alerts_test.yml");
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tested.contains(&format!("alertname=\"{alert}\"")), "{alert} has no test");
    }
}

#[test]
fn prometheus_understands_each_expression_of_the_dashboard() {
    let dir = tempfile::tempdir().unwrap();
    let rules: Vec<Value> = expressions()
        .iter()
        .enumerate()
        .map(|(at, expr)| json!({ "record": format!("r{at}"), "expr": expr }))
        .collect();
    // JSON is YAML.
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()]);
}
