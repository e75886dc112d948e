//! The life of the server: lock, file, writer, address, signals, end.

use super::connections::{self, Connections};
use super::feeds::{self, Feeds};
use super::rebuilds::{Rebuilding, Rebuilds};
use super::{Before, Shared, app, rules};
use crate::backup::Schedule;
use crate::cluster::Intake;
use crate::config::{BackupSettings, Config};
use crate::graphql::Caller;
use crate::lock::Lock;
use actix_http::HttpService;
use actix_service::map_config;
use actix_web::dev::{AppConfig, Server};
use actix_web::web;
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that wait to be taken: with less, a burst of them makes the next wait a second for its second try.
const BACKLOG: i32 = 4096;
/// File descriptors that are not connections: the files, the readers, the threads.
const OTHER_DESCRIPTORS: u64 = 512;
#[cfg(target_os = "linux")]
const SIGXFSZ: i32 = 25;
const DRAIN_SECONDS: u64 = 3;
/// Between two looks at the files of the certificate.
const CERTIFICATE: Duration = Duration::from_secs(60);

/// Runs the server until a signal or a failure of the file ends it.
pub fn serve(config: Config) -> anyhow::Result<ExitCode> {
    config.check_serve()?;
    let before = Before::read(&config)?;
    // First of all, so that nothing below meets another server's open file.
    let _lock = Lock::acquire(&config.db)?;
    // Bound before the file is opened: who connects meanwhile waits instead of being turned away.
    let listener = listen(config.listen)
        .with_context(|| format!("cannot listen on {} (choose another address with --listen)", config.listen))?;
    let runtime = feeds::runtime()?;
    let feeds = Feeds::new(runtime.handle().clone());
    let code = actix_web::rt::System::new().block_on(run(config, before, listener, feeds));
    runtime.shutdown_background();
    code
}

/// Shows a file to this machine until a signal ends the process: its pages and queries. Nothing is written. `browse`: a
/// browser opens the first page.
pub fn open(config: Config, browse: bool) -> anyhow::Result<ExitCode> {
    let before = Before::read(&config)?;
    let listener = listen(config.listen).with_context(|| format!("cannot listen on {}", config.listen))?;
    let runtime = feeds::runtime()?;
    let feeds = Feeds::new(runtime.handle().clone());
    let code = actix_web::rt::System::new().block_on(look(config, before, listener, feeds, browse));
    runtime.shutdown_background();
    code
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that starts again right away finds its port still spoken of by connections that have ended.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The number of connections: as many as the setting allows, and as the process has file descriptors for.
fn most_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if let (Some(_), maximum) = (limit.current, limit.maximum)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let most = usize::try_from(files.saturating_sub(OTHER_DESCRIPTORS).max(files / 2)).unwrap_or(wanted);
    if most < wanted {
        tracing::warn!("at most {most} connections: the limit on open files is {files}");
    }
    most.min(wanted)
}

async fn look(
    config: Config,
    before: Before,
    listener: TcpListener,
    feeds: Feeds,
    browse: bool,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = listener.local_addr()?;
    let file = config.db.clone();
    let newest = watch::Sender::new(0);
    let shared = Shared::open(config, before, None, newest.subscribe(), Arc::default(), feeds, Arc::default())?;
    let shared = web::Data::new(shared);
    let server = start(&shared, listener)?;
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    tracing::info!("listening on http://{address}, file {}, which is only read", file.display());
    let console = console(address, "http");
    tracing::info!("the console is at {console}");
    if browse && let Err(error) = open::that_detached(&console) {
        tracing::info!("no browser could be opened ({error})");
    }
    tell_who_reads(&shared);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            // Another process may be writing it.
            _ = second.tick() => {
                if let Some(seq) = shared.console.newest(Caller::default()).await {
                    newest.send_if_modified(|known| std::mem::replace(known, seq) != seq);
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    shared.stopping.send_replace(true);
    let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS), handle.stop(true)).await;
    server.abort();
    Ok(ExitCode::SUCCESS)
}

/// Where a browser of this machine finds the console.
fn console(address: SocketAddr, scheme: &str) -> String {
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("{scheme}://{}/", SocketAddr::new(host, address.port()))
}

/// Warns if everybody may read, or nobody can.
fn tell_who_reads(shared: &Shared) {
    let create = shared.config.command("token create --name NAME");
    if !shared.tokens.are_needed() {
        tracing::warn!(
            "reading is open to everybody who reaches this port, other users of this machine too; {}",
            match shared.writer {
                Some(_) => format!("`{create}` makes a token, and then every reader needs one"),
                None => "stop this command when you need it no more".to_owned(),
            }
        );
    } else if shared.tokens.are_none() {
        tracing::warn!(
            "nobody can read yet: with webhook credentials every reader needs a token, and the file has none; \
             `{create}` makes one"
        );
    }
}

/// What `HttpServer` would start, with [`connections::before`] in front of HTTP.
fn start(shared: &web::Data<Shared>, listener: TcpListener) -> std::io::Result<Server> {
    let address = listener.local_addr()?;
    let most = most_connections(shared.config.connections);
    let connections = Connections::new(most, shared.config.connections_per_address, &shared.config.trusted_proxies);
    let tls = shared.tls.as_ref().map(|tls| tls.acceptor());
    let builder = Server::build()
        .workers(shared.config.workers)
        // Each turned away at once where there are too many: a server that does not take them keeps the others waiting.
        .max_concurrent_connections(2 * most)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals();
    let served = shared.clone();
    let stopping = builder.graceful_shutdown_signal();
    let factory = move || {
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .local_addr(address)
            .on_connect_ext(connections::connected)
            .finish(map_config(app(served.clone()), |()| AppConfig::default()));
        connections::before(http, Arc::clone(&connections), tls.clone(), served.stopping.subscribe())
    };
    Ok(builder.listen("chatfold", listener, factory)?.run())
}

async fn run(config: Config, before: Before, listener: TcpListener, feeds: Feeds) -> anyhow::Result<ExitCode> {
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
        Arc::new(move || {
            failed.store(true, Ordering::Release);
            failure.notify_one();
        })
    };
    let intake = Intake::start(&config, on_failure)?;
    let writer = intake.writer().clone();
    let address = listener.local_addr()?;
    let file = config.db.clone();
    let rebuilding = Rebuilding::default();
    let told = Arc::clone(&rebuilding);
    let shared = Shared::open(config, before, Some(intake.clone()), writer.seq(), failed, feeds, rebuilding)?;
    let shared = web::Data::new(shared);
    let retention = (rules(&shared.config), shared.config.retention.every);
    let rebuilds = Rebuilds::start(&file, intake.clone(), shared.backups.clone(), told, retention)?;
    let server = start(&shared, listener)?;
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    let scheme = if shared.tls.is_some() { "https" } else { "http" };
    tracing::info!("the console is at {}", console(address, scheme));
    tracing::info!("listening on {scheme}://{address}, file {}", file.display());
    tell_who_reads(&shared);
    if let Some(BackupSettings { folder, every, keep }) = shared.config.backup.clone() {
        shared.backups.schedule(file.clone(), Schedule { folder, every, keep: Some(keep) })?;
    }
    reconcile(&shared, &file, intake.clone())?;

    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut minute = tokio::time::interval(CERTIFICATE);
    let code = loop {
        tokio::select! {
            _ = second.tick() => writer.look(),
            _ = minute.tick() => reload_certificate(&shared),
            _ = terminate.recv() => break ExitCode::SUCCESS,
            _ = interrupt.recv() => break ExitCode::SUCCESS,
            () = failure.notified() => break ExitCode::FAILURE,
            _ = hangup.recv() => {
                reload_certificate(&shared);
                reload(&shared);
            }
        }
    };
    match code == ExitCode::SUCCESS {
        true => tracing::info!("stopping: no new connections; received requests are finished"),
        false => tracing::error!("stopping: nothing can be written any more"),
    }
    rebuilds.stop();
    shared.backups.stop();
    shared.reconciles.stop();
    shared.stopping.send_replace(true);
    // actix itself may wait a little longer than it was told to.
    let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS), handle.stop(true)).await;
    server.abort();
    tokio::task::spawn_blocking(move || intake.stop()).await.context("stopping the writer")?;
    tracing::info!("stopped");
    // The last checkpoint may have failed, too.
    Ok(if shared.failed.load(Ordering::Acquire) { ExitCode::FAILURE } else { code })
}

/// Begins to read the apps that have an API key.
fn reconcile(shared: &Shared, file: &Path, intake: Intake) -> std::io::Result<()> {
    let api = &shared.config.api;
    if api.has_key_of_no_app() {
        tracing::info!(
            "there is an API key, but no app that it is of: set api_app, and the server reads the app on a schedule"
        );
    }
    if api.apps().next().is_none() {
        return Ok(());
    }
    shared.reconciles.schedule(file.to_owned(), api.clone(), intake)
}

/// Reads the certificate again. The disk may be slow, so a thread of its own reads it.
fn reload_certificate(shared: &Shared) {
    if let Some(tls) = shared.tls.clone() {
        tokio::task::spawn_blocking(move || tls.reload());
    }
}

/// Reads the credentials again, on SIGHUP. A wrong configuration changes nothing.
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
            tracing::info!(credentials = new.credentials.len(), "read the webhook credentials again");
            shared.replace_credentials(&new);
            tell_who_reads(shared);
        }
        Err(error) => {
            tracing::error!(%error, "the new configuration is not used, the old credentials stay");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;
    use crate::writer::LARGE_BODY;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    /// The configuration of a server whose file is in a folder.
    fn config(dir: &Path) -> Config {
        Config::load(Flags { db: Some(dir.join("chatfold.db")), ..Flags::default() }).unwrap()
    }

    /// Posts a delivery, and gives the answer.
    fn post(address: SocketAddr, body: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST /webhooks/cometchat HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_panic_of_the_writer_ends_the_server_with_1() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let before = Before::read(&config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = feeds::runtime().unwrap();
            let feeds = Feeds::new(runtime.handle().clone());
            let code = actix_web::rt::System::new().block_on(run(config, before, listener, feeds)).unwrap();
            runtime.shutdown_background();
            ended.send(code).unwrap();
        });
        let body = format!(r#"{{"trigger":"{}","appId":"a"}}"#, crate::writer::tests::PANICS);
        let answer = post(address, &body);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert_eq!(end.recv_timeout(Duration::from_secs(10)).unwrap(), ExitCode::FAILURE);
    }

    #[test]
    fn large_body_is_parsed_at_its_turn_alone_and_a_small_one_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let before = Before::read(&config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = feeds::runtime().unwrap();
        let feeds = Feeds::new(runtime.handle().clone());
        actix_web::rt::System::new().block_on(async {
            let intake = Intake::start(&config, Arc::new(|| {})).unwrap();
            let (seq, own) = (intake.writer().seq(), intake.clone());
            let shared = Shared::open(config, before, Some(own), seq, Arc::default(), feeds, Arc::default()).unwrap();
            let shared = web::Data::new(shared);
            let server = start(&shared, listener).unwrap();
            let handle = server.handle();
            actix_web::rt::spawn(server);
            let posted = |bytes| {
                let body = format!(r#"{{"trigger":"t","appId":"a","data":{{"of":"{}"}}}}"#, "x".repeat(bytes));
                tokio::task::spawn_blocking(move || post(address, &body))
            };
            let turns = shared.large_bodies.available_permits();
            let turns = shared.large_bodies.acquire_many(turns as u32).await.unwrap();
            let large = posted(LARGE_BODY);
            for bytes in [1, LARGE_BODY / 2] {
                assert!(posted(bytes).await.unwrap().starts_with("HTTP/1.1 200 "));
            }
            assert!(large.await.unwrap().contains("too many large bodies came at once"));
            drop(turns);
            assert!(posted(LARGE_BODY).await.unwrap().starts_with("HTTP/1.1 200 "));
            handle.stop(true).await;
            tokio::task::spawn_blocking(move || intake.stop()).await.unwrap();
        });
        runtime.shutdown_background();
    }
}
