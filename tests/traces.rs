//! Spans at a collector of OpenTelemetry: a real server sends, a real HTTP server on loopback takes.
#![cfg(feature = "otel")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use support::collector::{Collector, Span};
use support::feed::message;
use support::{JSON, TestServer};

const AWAY: &str = "the collector does not take all spans";

fn start(change: impl FnOnce(&mut Command)) -> Result<TestServer, String> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("chatfold.toml"), "").unwrap();
    TestServer::launch(dir, change).map_err(|(_, said)| said)
}

fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    span.attributes.get(name).unwrap_or_else(|| panic!("no {name}: {span:?}"))
}

#[test]
fn a_delivery_a_batch_and_a_query_are_spans_at_the_collector() {
    let collector = Collector::start();
    let server = start(|command| collector.named(command)).unwrap();
    assert_eq!(server.deliver(message(1, "g")).status, 200);
    let query = server.post("/graphql", &[JSON], r#"{"query":"{ messages { totalCount } }"}"#);
    assert!(query.body.contains("\"totalCount\":1"), "{query:?}");
    let delivery = collector.wait_for(|span| span.name == "delivery");
    for (name, value) in [("trigger", "message_sent"), ("outcome", "applied"), ("status", "200")] {
        assert_eq!(attribute(&delivery, name), value, "{delivery:?}");
    }
    let seq = attribute(&delivery, "seq");
    let batch =
        collector.wait_for(|span| span.name == "batch" && span.attributes.get("seq").is_some_and(|it| it == seq));
    assert_eq!(attribute(&batch, "deliveries"), "1");
    let query = collector.wait_for(|span| span.name == "graphql");
    assert_eq!(attribute(&query, "seq"), seq);
    assert_eq!(
        (&*delivery.resource["service.name"], &*delivery.resource["service.version"]),
        ("chatfold", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn spans_that_wait_are_sent_at_the_end_under_the_name_of_the_variables() {
    let collector = Collector::start();
    let mut server = start(|command| {
        collector.named(command);
        command.env("OTEL_BSP_SCHEDULE_DELAY", "3600000").env("OTEL_SERVICE_NAME", "chat-log");
    })
    .unwrap();
    assert_eq!(server.deliver(message(1, "g")).status, 200);
    assert_eq!(collector.spans(), [], "they wait");
    assert_eq!(server.sigterm().code(), Some(0));
    let delivery = collector.wait_for(|span| span.name == "delivery");
    assert_eq!(delivery.resource["service.name"], "chat-log");
}

#[test]
fn a_collector_that_is_away_delays_nothing_and_is_told_once() {
    // One that nobody listens at, and one that never answers.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, is_told) in [(closed, true), (silent.local_addr().unwrap(), false)] {
        let mut server = start(|command| {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
            command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
        })
        .unwrap();
        for id in 1..=60 {
            assert_eq!(server.deliver(message(id, "g")).status, 200);
        }
        if is_told {
            server.wait_for_log(AWAY);
            for id in 61..=120 {
                assert_eq!(server.deliver(message(id, "g")).status, 200);
            }
        }
        assert_eq!(server.sigterm().code(), Some(0), "{}", server.log());
        assert!(server.log().matches(AWAY).count() <= 1, "{}", server.log());
    }
}

#[test]
fn a_wrong_variable_is_told_and_without_a_collector_nothing_is_sent() {
    let endpoint = |protocol: &'static str, url: &'static str| {
        start(move |command| {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        })
    };
    let said = endpoint("grpc", "http://127.0.0.1:4317").err().unwrap();
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && said.contains("http/protobuf"), "{said}");
    let said = endpoint("", "no address").err().unwrap();
    assert!(said.contains("name no collector"), "{said}");
    let collector = Collector::start();
    let server = start(|command| {
        collector.named(command);
        command.env("OTEL_SDK_DISABLED", "true");
    });
    let mut server = server.unwrap();
    assert_eq!(server.deliver(message(1, "g")).status, 200);
    assert_eq!(server.sigterm().code(), Some(0));
    assert_eq!(collector.spans(), []);
}
