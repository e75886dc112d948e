//! Settings of several nodes: none of them decides what a node makes of a delivery.

use super::{agree, deliver, log, until};
use crate::support::{TestServer, chatfold};
use crate::told::deliveries;

/// How this machine is reached and used, and where things are: the node's own.
const OF_THE_NODE: &[&str] = &[
    "config",
    "db",
    "listen",
    "tls_certificate",
    "tls_key",
    "trusted_proxies",
    "bytes_in_flight",
    "row_cache",
    "workers",
    "connections",
    "connections_per_address",
    "query_timeout_ms",
    "log",
    "log_password",
    "log_password_file",
    "log_durability",
    "log_keep_days",
    "log_check_seconds",
    "outbox",
    "log_format",
    "log_filter",
    "cors_origins",
    "graphiql_dir",
    "backup.folder",
    "backup.every",
    "backup.keep",
];
/// They decide what is shown of the same tables.
const OF_ANSWERS: &[&str] = &["default_app", "unread.thread_replies", "unread.custom", "privacy.show_private"];
/// They decide which deliveries a node takes. What is taken is the same on all nodes.
const OF_INTAKE: &[&str] =
    &["body_limit", "webhook_username", "webhook_password", "webhook_password_file", "webhook_credentials"];

/// They decide what comes into the log or is cut from it. A node refuses them, or does not use them: its log is
/// PostgreSQL's.
const UNUSED: &[&str] = &[
    "retention.ignored",
    "retention.presence",
    "retention.message",
    "retention.call",
    "retention.every",
    "reconcile.every",
    "reconcile.requests",
    "api_app",
    "api_key",
    "api_key_file",
    "api_keys",
    "api_region",
    "api_url",
];

#[test]
fn every_setting_is_known_to_decide_no_fact() {
    let (code, out, err) = chatfold(&["config", "--json"]);
    assert_eq!(code, 0, "{err}");
    let settings: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    for setting in &settings {
        let key = setting["key"].as_str().unwrap();
        let known = [OF_THE_NODE, OF_ANSWERS, OF_INTAKE, UNUSED].iter().any(|keys| keys.contains(&key));
        assert!(
            known || key.starts_with("graphql."),
            "{key}: if it changes what append or fold make of a delivery, it has to travel through the shared log as an \
             order. Else name it here, and in docs/cluster.md if nodes should agree"
        );
    }
    let page = std::fs::read_to_string("docs/cluster.md").unwrap();
    for key in OF_ANSWERS {
        assert!(page.contains(&format!("`{key}`")), "docs/cluster.md names no {key}");
    }
}

#[test]
fn nodes_with_other_settings_have_the_same_tables() {
    let Some(postgres) = log() else { return };
    let with = |settings: &str| TestServer::with(&format!("log = \"{}\"\n{settings}", postgres.address()));
    let nodes = [
        with(""),
        with(
            "row_cache = 1048576\nworkers = 1\nbody_limit = 4096\ndefault_app = \"x\"\noutbox = 0\n[unread]\nthread_replies = true\n\
             custom = true\n[privacy]\nshow_private = [\"email\"]\n[graphql]\ndepth = 5",
        ),
    ];
    for node in &nodes {
        until("a node that is ready", || node.get("/readyz").status == 200);
    }
    for body in deliveries().iter().filter(|body| !body.contains("\"trigger\":\"chatfold.")).step_by(3) {
        deliver(&nodes[0], body);
    }
    agree(&postgres, &[&nodes[0], &nodes[1]]);
}
