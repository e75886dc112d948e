//! The life of the server: lock, file, writer, address, signals, end.

use super::auth::Credentials;
use super::graphiql::Graphiql;
use super::rebuilds::Rebuilds;
use super::tokens::Tokens;
use super::{Shared, app};
use crate::cli::lock::Lock;
use crate::config::{Config, ConfigError};
use crate::graphql::{Api, Documents};
use crate::writer::Writer;
use actix_web::{HttpServer, web};
use anyhow::Context;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const CONNECTIONS_PER_WORKER: usize = 1024;
#[cfg(target_os = "linux")]
const SIGXFSZ: i32 = 25;
const DRAIN_SECONDS: u64 = 3;

/// Runs the server until a signal or a failure of the file ends it.
pub fn serve(config: Config) -> anyhow::Result<ExitCode> {
    config.check_serve()?;
    let documents = Documents::open(config.allow_list.as_deref()).map_err(ConfigError)?;
    let graphiql = Graphiql::open(config.graphiql_dir.as_deref()).map_err(ConfigError)?;
    // First of all, so that nothing below meets another server's open file.
    let _lock = Lock::acquire(&config.db)?;
    // Bound before the file is opened: who connects meanwhile waits instead of being turned away.
    let listener = TcpListener::bind(config.listen)
        .with_context(|| format!("cannot listen on {} (choose another address with --listen)", config.listen))?;
    actix_web::rt::System::new().block_on(run(config, documents, graphiql, listener))
}

async fn run(
    config: Config,
    documents: Documents,
    graphiql: Graphiql,
    listener: TcpListener,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // With a handler a write beyond `ulimit -f` fails, and the server ends in order; without, it is killed.
    #[cfg(target_os = "linux")]
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ))?;
    let failed = Arc::new(AtomicBool::new(false));
    let failure = Arc::new(Notify::new());
    let on_failure = {
        let (failed, failure) = (Arc::clone(&failed), Arc::clone(&failure));
        Box::new(move || {
            failed.store(true, Ordering::Release);
            failure.notify_one();
        })
    };
    let writer = Writer::start(&config.db, on_failure).with_context(|| format!("opening {}", config.db.display()))?;
    let api = Api::open(&config.db, config.graphql.clone())
        .with_context(|| format!("opening {} to read", config.db.display()))?;
    let console = Api::open(&config.db, crate::console::limits(&config.graphql))
        .with_context(|| format!("opening {} for the console", config.db.display()))?;
    let tokens = Tokens::open(&config.db, writer.clone())
        .with_context(|| format!("opening {} to read its tokens", config.db.display()))?;
    let rebuilds = Rebuilds::start(&config.db, writer.clone())?;
    let address = listener.local_addr()?;
    let (workers, file) = (config.workers, config.db.clone());
    let apis = (api, console);
    let shared = web::Data::new(Shared::new(config, writer.clone(), apis, documents, graphiql, tokens, failed));
    let served = shared.clone();
    let server = HttpServer::new(move || app(served.clone()))
        .workers(workers)
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .max_connections(CONNECTIONS_PER_WORKER)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    tracing::info!("listening on http://{address}, file {}", file.display());

    let mut second = tokio::time::interval(Duration::from_secs(1));
    let code = loop {
        tokio::select! {
            _ = second.tick() => writer.look(),
            _ = terminate.recv() => break ExitCode::SUCCESS,
            _ = interrupt.recv() => break ExitCode::SUCCESS,
            () = failure.notified() => break ExitCode::FAILURE,
            _ = hangup.recv() => reload(&shared),
        }
    };
    match code == ExitCode::SUCCESS {
        true => tracing::info!("stopping: no new connections, what was received is finished"),
        false => tracing::error!("stopping: the file cannot be written"),
    }
    rebuilds.stop();
    shared.stopping.send_replace(true);
    // actix itself may wait a little longer than it was told to.
    let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS), handle.stop(true)).await;
    server.abort();
    tokio::task::spawn_blocking(move || writer.stop()).await.context("stopping the writer")?;
    tracing::info!("stopped");
    // The last checkpoint may have failed, too.
    Ok(if shared.failed.load(Ordering::Acquire) { ExitCode::FAILURE } else { code })
}

/// SIGHUP: the credentials of the same sources, read again. A configuration that does not hold changes nothing.
fn reload(shared: &Shared) {
    let checked = shared.config.reload().and_then(|mut new| {
        // The address stays what it is, whatever the file says now.
        new.listen = shared.config.listen;
        if new.credentials.is_empty() && !shared.credentials().is_empty() {
            return Err(crate::config::ConfigError(
                "it holds no webhook credentials any more; restart to run without".into(),
            ));
        }
        new.check_serve().map(|()| new)
    });
    match checked {
        Ok(new) => {
            let credentials = Credentials::new(&new.credentials);
            tracing::info!(credentials = credentials.len(), "read the webhook credentials again");
            shared.replace_credentials(credentials);
        }
        Err(error) => {
            tracing::error!(%error, "the new configuration is not used, the old credentials stay");
        }
    }
}
