//! HTTP: who may send requests, what a request must look like, and what is answered.
//!
//! A delivery passes method, credentials, type and size before its body is read. Nothing here knows the content of a
//! body.
#![expect(clippy::result_large_err, reason = "the error of a handler is its early answer, made once a request")]

mod access;
mod auth;
mod backups;
mod body;
mod changes;
mod connections;
mod console;
mod cors;
mod feeds;
mod graphiql;
mod graphql;
mod health;
mod host;
mod metrics;
mod problem;
mod proxies;
mod rebuilds;
mod retention;
mod reconciles;
mod seats;
mod server;
mod sessions;
mod newest;
mod places;
mod shown;
mod spelled;
mod stream;
mod tls;
mod tokens;
mod webhook;
mod websocket;

pub use backups::tell as tell_backup;
pub use rebuilds::ask as ask_rebuild;
pub use retention::{ask as ask_retention, rules};
pub use server::{open, serve};
pub use tls::certificate_end;

use crate::cluster::Intake;
use crate::config::{Config, ConfigError};
use crate::graphql::{Api, Decoder, Documents};
use crate::writer::Writer;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, Error, HttpResponse, guard, web};
use anyhow::Context;
use auth::Credentials;
use backups::Backups;
use body::Budget;
use feeds::Feeds;
use graphiql::Graphiql;
use host::Host;
use metrics::Metrics;
use newest::Newest;
use rebuilds::Rebuilding;
use reconciles::Reconciles;
use seats::Seats;
use sessions::Sessions;
use shown::Pages;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use tls::Tls;
use tokens::Tokens;
use tokio::sync::{Semaphore, watch};

const GRAPHQL_BYTES_IN_FLIGHT: usize = 16 << 20;

/// Why `chatfold open` takes no delivery.
const READ_ONLY: &str = "`chatfold open` only reads the file: `chatfold serve` takes deliveries";

/// What is read before the file is opened.
struct Before {
    tls: Option<Arc<Tls>>,
    documents: Documents,
    graphiql: Graphiql,
}

impl Before {
    fn read(config: &Config) -> anyhow::Result<Self> {
        let tls = config.tls.as_ref().map(Tls::open).transpose();
        Ok(Self {
            tls: tls.map_err(|error| ConfigError(format!("{error:#}")))?.map(Arc::new),
            documents: Documents::open(config.allow_list.as_deref()).map_err(ConfigError)?,
            graphiql: Graphiql::open(config.graphiql_dir.as_deref()).map_err(ConfigError)?,
        })
    }
}

/// What all workers share.
struct Shared {
    config: Config,
    /// `None` if the server speaks no TLS.
    tls: Option<Arc<Tls>>,
    host: Arc<Host>,
    /// Takes deliveries. `None` if the file is only read.
    intake: Option<Intake>,
    /// `None` if the file is only read.
    writer: Option<Writer>,
    /// The newest log position that is committed.
    seq: watch::Receiver<i64>,
    api: Api,
    /// The same for the pages of the console, with limits of their own.
    console: Api,
    documents: Documents,
    graphiql: Graphiql,
    tokens: Tokens,
    /// The sessions of people who have signed in to the console.
    sessions: Sessions,
    credentials: RwLock<Arc<Credentials>>,
    budget: Budget,
    /// Turns to parse a large body.
    large_bodies: Arc<Semaphore>,
    /// Memory for the bodies of queries. It is separate, so that queries take no memory from deliveries.
    graphql_budget: Budget,
    metrics: Metrics,
    rebuilding: Rebuilding,
    /// The writer met an error that forbids going on: every delivery is refused from now on.
    failed: Arc<AtomicBool>,
    /// Becomes true when the server stops. Then websockets and event streams end.
    stopping: watch::Sender<bool>,
    /// The places of subscribers, by websocket or event stream.
    seats: Seats,
    feeds: Feeds,
    backups: Backups,
    reconciles: Reconciles,
    /// Pages that open browser windows asked for again.
    pages: Pages,
    /// The newest positions of sets of apps, for open pages of readers who may see some apps only.
    newest: Newest,
    started: Instant,
}

impl Shared {
    /// Opens the file for everything that reads. Fails if it is not a chatfold file.
    fn open(
        config: Config,
        before: Before,
        intake: Option<Intake>,
        seq: watch::Receiver<i64>,
        failed: Arc<AtomicBool>,
        feeds: Feeds,
        rebuilding: Rebuilding,
    ) -> anyhow::Result<Self> {
        let to = |what: &str| format!("opening {} to {what}", config.db.display());
        let api = Api::open(&config.db, config.graphql.clone()).with_context(|| to("answer queries"))?;
        let decoder = Decoder::open(&api, &config.db).with_context(|| to("decode changes"))?;
        feeds.decode(decoder, seq.clone()).context("cannot start the thread that decodes changes")?;
        let console = api.with_limits(crate::console::limits(&config.graphql));
        let writer = intake.as_ref().map(|intake| intake.writer().clone());
        let backups = Backups::of(&config.db, writer.clone())?;
        let host = Arc::new(Host::new(&config, intake.clone(), Arc::clone(&rebuilding), backups.clone()));
        api.serve_for(host.clone());
        console.serve_for(host.clone());
        let tokens = match &writer {
            Some(writer) => Tokens::open(&config.db, writer.clone()).with_context(|| to("read its tokens"))?,
            None => Tokens::unasked(&config.db).with_context(|| to("read it"))?,
        };
        tokens.stand_behind_credentials(!config.credentials.is_empty());
        let pages = Pages::new(config.graphql.timeout);
        let Before { tls, documents, graphiql } = before;
        let credentials = Credentials::new(&config.credentials);
        let metrics = Metrics::open(&config.db, &credentials)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            credentials: RwLock::new(Arc::new(credentials)),
            budget: Budget::new(config.bytes_in_flight),
            large_bodies: Arc::new(Semaphore::new((cores / 2).max(1))),
            graphql_budget: Budget::new(GRAPHQL_BYTES_IN_FLIGHT),
            metrics,
            rebuilding,
            config,
            tls,
            host,
            intake,
            writer,
            seq,
            api,
            console,
            documents,
            graphiql,
            tokens,
            sessions: Sessions::default(),
            failed,
            stopping: watch::Sender::new(false),
            seats: Seats::default(),
            feeds,
            backups,
            reconciles: Reconciles::default(),
            pages,
            newest: Newest::default(),
            started: Instant::now(),
        })
    }

    /// The present credentials. A request keeps those that it began with.
    fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace_credentials(&self, config: &Config) {
        let new = Credentials::new(&config.credentials);
        self.host.replace_credentials(config);
        self.tokens.stand_behind_credentials(!new.is_empty());
        self.metrics.expect(&new);
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }

    /// Why a delivery would be refused now.
    fn not_ready(&self) -> Option<String> {
        self.host.not_ready()
    }
}

/// The routes.
fn app(
    shared: web::Data<Shared>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let trusted = shared.config.trusted_proxies.clone();
    App::new()
        .app_data(shared)
        .wrap_fn(move |request, service| {
            let served = match connections::begin(request.request(), &trusted) {
                Some(answering) => Ok((service.call(request), answering)),
                None => Err(request),
            };
            async move {
                let (response, answering) = match served {
                    Ok((served, answering)) => (served.await?, Some(answering)),
                    Err(mut request) => {
                        let refusal = problem::unavailable(connections::CROWDED);
                        let payload = request.extract::<web::Payload>().await?;
                        (request.into_response(body::closing(refusal, payload)), None)
                    }
                };
                Ok(response.map_body(|_, inner| body::Holding { inner, _held: answering }))
            }
        })
        .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
        .service(web::resource("/webhooks/cometchat").route(web::post().to(webhook::post)).default_service(web::to(
            |shared: web::Data<Shared>, payload: web::Payload| async move {
                shared.metrics.answered(StatusCode::METHOD_NOT_ALLOWED);
                body::closing(problem::method_not_allowed("POST"), payload)
            },
        )))
        .service(
            web::resource("/graphql")
                .route(web::post().to(graphql::answer))
                .route(web::get().guard(guard::fn_guard(websocket::is_wanted)).to(websocket::get))
                .route(get_or_head().guard(guard::fn_guard(graphiql::is_wanted)).to(graphiql::page))
                .route(get_or_head().to(graphql::answer))
                .route(cors::preflight("GET, HEAD, POST"))
                .default_service(only("GET, HEAD, POST")),
        )
        .service(read_only("/graphql/graphiql.js").route(web::route().to(graphiql::script)))
        .service(read_only("/graphql/graphiql.css").route(web::route().to(graphiql::style)))
        .service(read_only("/graphql/assets/{name}").route(web::route().to(graphiql::asset)))
        .service(
            web::resource("/changes")
                .route(get_or_head().to(changes::get))
                .route(cors::preflight("GET, HEAD"))
                .default_service(only("GET, HEAD")),
        )
        .service(read_only("/assets/{name}").route(web::route().to(console::asset)))
        .service(read_only("/live").route(web::route().to(console::live)))
        .service(
            web::resource("/sign-in")
                .route(get_or_head().to(console::sign_in_form))
                .route(web::post().to(console::sign_in))
                .default_service(only("GET, HEAD, POST")),
        )
        .service(web::resource("/sign-out").route(web::post().to(console::sign_out)).default_service(only("POST")))
        .service(read_only("/healthz").route(web::route().to(health::healthz)))
        .service(read_only("/readyz").route(web::route().to(health::readyz)))
        .service(read_only("/metrics").route(web::route().to(metrics::get)))
        .service(web::resource("/backup").route(web::get().to(backups::get)).default_service(only("GET")))
        .service(
            web::resource("/{page:.*}")
                .guard(guard::fn_guard(console::is_page))
                .route(get_or_head().to(console::get))
                .default_service(only("GET, HEAD")),
        )
        .default_service(web::to(|payload: web::Payload| async {
            body::closing(problem::of(StatusCode::NOT_FOUND, "there is nothing at this path"), payload)
        }))
}

fn only(allowed: &'static str) -> actix_web::Route {
    web::to(move |payload: web::Payload| async move { body::closing(problem::method_not_allowed(allowed), payload) })
}

/// A resource for GET and HEAD. Other methods are answered 405 here, before the route that follows.
fn read_only(path: &str) -> actix_web::Resource {
    web::resource(path).route(only("GET, HEAD").guard(guard::Not(guard::fn_guard(reads))))
}

/// A route for GET, and for HEAD, whose answer is the same without its body.
fn get_or_head() -> actix_web::Route {
    web::route().guard(guard::fn_guard(reads))
}

fn reads(ctx: &guard::GuardContext<'_>) -> bool {
    matches!(ctx.head().method.as_str(), "GET" | "HEAD")
}

/// The answer of a handler that may end early with `?`.
fn either(result: Result<HttpResponse, HttpResponse>) -> HttpResponse {
    result.unwrap_or_else(|early| early)
}
