//! Spans as traces of OpenTelemetry, by OTLP over HTTP to the collector that the variables `OTEL_*` name. A collector that
//! is away costs spans, never a delivery.

use crate::config::ConfigError;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanExporter as Exporter;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use ureq::Agent;

/// Spans that wait for the collector. Further ones are dropped.
const QUEUE: usize = 2_048;
/// The longest wait for the collector, for one request and at the end of the process.
const REQUEST: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(3);
/// An answer of the collector is a few bytes.
const ANSWER: u64 = 64 << 10;

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const PROTOCOL: &str = "http/protobuf";

/// Hands the spans that wait to the collector when dropped, within a bound.
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        // Nobody is left to hear that spans are lost.
        let _ = self.0.shutdown_with_timeout(END);
    }
}

/// The layer that takes spans; `None`: no variable names a collector.
pub fn layer<S>() -> Result<Option<(impl Layer<S>, Traces)>, ConfigError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if set(&ENDPOINTS).is_none() || set(&["OTEL_SDK_DISABLED"]).is_some_and(|(_, is)| is == "true") {
        return Ok(None);
    }
    if let Some((name, other)) = set(&PROTOCOLS).filter(|(_, value)| value != PROTOCOL) {
        return Err(ConfigError(format!("{name} is {other:?}: chatfold speaks {PROTOCOL} only")));
    }
    let exporter = SpanExporter::builder().with_http().with_http_client(Client::new()).build();
    let exporter = exporter.map_err(|error| ConfigError(format!("the variables OTEL_* name no collector: {error}")))?;
    let provider =
        SdkTracerProvider::builder().with_resource(resource()).with_span_processor(Bounded::new(exporter)).build();
    // Events are lines of the log. Only chatfold's own spans are known to hold no texts.
    let spans = filter_fn(|it| it.is_span() && it.target().starts_with("chatfold"));
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("chatfold"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(spans.with_max_level_hint(LevelFilter::DEBUG));
    Ok(Some((layer, Traces(provider))))
}

/// The first of these variables that is set, and its value.
fn set(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, std::env::var(name).ok().filter(|value| !value.is_empty())?)))
}

/// Who sends. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win.
fn resource() -> Resource {
    let named = Resource::builder().build();
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let name = named.get(&"service.name".into()).map(|name| name.to_string()).unwrap_or_default();
    if name.starts_with("unknown_service") {
        resource = resource.with_service_name("chatfold");
    }
    resource.build()
}

/// What became of the spans.
#[derive(Debug, Default)]
struct Account {
    waiting: AtomicUsize,
    lost: AtomicU64,
    is_away: AtomicBool,
}

/// Takes spans up to a number, and counts those that are dropped.
#[derive(Debug)]
struct Bounded {
    next: BatchSpanProcessor,
    account: Arc<Account>,
}

impl Bounded {
    fn new(exporter: impl Exporter + 'static) -> Self {
        let account = Arc::<Account>::default();
        let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        let told = Told { next: exporter, account: Arc::clone(&account) };
        Self { next: BatchSpanProcessor::builder(told).with_batch_config(config).build(), account }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.account.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.account.waiting.fetch_sub(1, Ordering::Relaxed);
            self.account.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.next.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Says once that the collector is away or too slow, and once that it is back.
#[derive(Debug)]
struct Told<E> {
    next: E,
    account: Arc<Account>,
}

impl<E: Exporter> Exporter for Told<E> {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let (account, count) = (&self.account, spans.len());
        account.waiting.fetch_sub(count, Ordering::Relaxed);
        let sent = self.next.export(spans).await;
        if sent.is_err() {
            account.lost.fetch_add(count as u64, Ordering::Relaxed);
        }
        let is_behind = account.lost.load(Ordering::Relaxed) > 0 && account.waiting.load(Ordering::Relaxed) > QUEUE / 2;
        if sent.is_err() || is_behind {
            if !account.is_away.swap(true, Ordering::Relaxed) {
                let why = sent.as_ref().err().map_or_else(|| "too slow".to_owned(), ToString::to_string);
                tracing::warn!(why, "the collector does not take all spans: spans are dropped until it does");
            }
        } else {
            account.is_away.store(false, Ordering::Relaxed);
            let lost = account.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tracing::info!(lost, "the collector takes all spans again");
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// The HTTP client that chatfold has already. It blocks, on the thread that hands spans over.
#[derive(Debug)]
struct Client(Agent);

impl Client {
    fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(REQUEST))
            .http_status_as_error(false)
            // The headers may hold a credential, which is for this collector alone.
            .max_redirects(0)
            .user_agent(concat!("chatfold/", env!("CARGO_PKG_VERSION")));
        Self(config.build().into())
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.0.run(request.map(Vec::from))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(ANSWER).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'sent>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'client: 'sent,
        Self: 'sent,
    {
        Box::pin(async move { self.send(request) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, Tracer};
    use opentelemetry_sdk::error::OTelSdkError;
    use std::sync::{Mutex, PoisonError};
    use std::time::UNIX_EPOCH;

    /// Answers only when the test lets it.
    #[derive(Debug)]
    struct Stuck(Arc<Mutex<()>>);

    impl Exporter for Stuck {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            drop(self.0.lock().unwrap_or_else(PoisonError::into_inner));
            Ok(())
        }
    }

    /// Away, or there.
    #[derive(Debug)]
    struct Flaky(AtomicBool);

    impl Exporter for Flaky {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            if self.0.load(Ordering::Relaxed) { Err(OTelSdkError::InternalFailure("away".into())) } else { Ok(()) }
        }
    }

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "span".into(),
            start_time: UNIX_EPOCH,
            end_time: UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: Default::default(),
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_collector_that_goes_and_comes_is_told_once_each_time_with_the_number_of_lost_spans() {
        let account = Arc::<Account>::default();
        let told = Told { next: Flaky(AtomicBool::new(false)), account };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let export = |is_away: bool, waiting: usize| {
            told.next.0.store(is_away, Ordering::Relaxed);
            told.account.waiting.store(waiting, Ordering::Relaxed);
            let _ = runtime.block_on(told.export(vec![span(), span()]));
        };
        let lines = Lines::default();
        let kept = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || kept.clone()).finish();
        tracing::subscriber::with_default(log, || {
            [true, true, true, false, false].into_iter().for_each(|is_away| export(is_away, 2));
            told.account.lost.store(5, Ordering::Relaxed);
            [QUEUE, QUEUE, 2].into_iter().for_each(|waiting| export(false, waiting));
        });
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let told: Vec<&str> =
            log.lines().filter_map(|line| line.split_once(": the collector ")).map(|it| it.1).collect();
        let dropped = "does not take all spans: spans are dropped until it does why=";
        let back = "takes all spans again lost=";
        let expected = [
            format!("{dropped}\"Operation failed: away\""),
            format!("{back}6"),
            format!("{dropped}\"too slow\""),
            format!("{back}5"),
        ];
        assert_eq!(told, expected, "{log}");
    }

    #[test]
    fn a_stuck_collector_costs_spans_and_neither_memory_nor_time() {
        let gate = Arc::<Mutex<()>>::default();
        let held = gate.lock().unwrap();
        let bounded = Bounded::new(Stuck(Arc::clone(&gate)));
        let account = Arc::clone(&bounded.account);
        let provider = SdkTracerProvider::builder().with_span_processor(bounded).build();
        let tracer = provider.tracer("test");
        for _ in 0..10_000 {
            drop(tracer.start("span"));
        }
        let (waiting, lost) = (account.waiting.load(Ordering::Relaxed), account.lost.load(Ordering::Relaxed));
        assert!(waiting <= QUEUE, "{waiting} wait");
        // One batch may be at the exporter.
        assert!((10_000 - 2 * QUEUE as u64..10_000).contains(&lost), "{lost} lost");
        drop(held);
        provider.shutdown().unwrap();
        assert_eq!(account.waiting.load(Ordering::Relaxed), 0);
    }
}
