//! Settings: flags win over `CHATFOLD_*` environment variables, these over the file of `--config`, that over the defaults.
//!
//! Passwords are never flags, which `ps` shows to everybody: they come from the environment, from the configuration
//! file, or from a file of their own that one of these names.

mod address;
mod backup;
mod api;
mod command;
mod credentials;
mod environment;
mod file;
mod graphql;
mod network;
mod privacy;
mod retention;
mod settings;
#[cfg(feature = "postgres")]
mod join;
mod shared_log;
pub mod span;
mod unread;

pub use api::{ApiFlags, ApiSettings, ReconcileFlags};
pub use backup::{BackupFlags, BackupSettings};
pub use credentials::{MIN_PUBLIC_PASSWORD, Secret, WebhookCredential};
pub use environment::unknown_variables;
pub use graphql::GraphqlFlags;
#[cfg(feature = "postgres")]
pub use join::{Source, SourceArgs};
pub use network::TlsFiles;
pub use privacy::PrivacyFlags;
pub use retention::{RetentionFlags, RetentionSettings};
pub use settings::{Given, Origin, Setting};
pub use shared_log::{KEEP, LogDurability, LogFlags, SharedLog};
pub use unread::UnreadFlags;

use crate::batch;
use crate::graphql::Limits;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use settings::Choices;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const BODY_LIMIT: RangeInclusive<u64> = 1 << 10..=32 << 20;
const BYTES_IN_FLIGHT: RangeInclusive<u64> = 1 << 20..=4 << 30;
const ROW_CACHE: RangeInclusive<u64> = 1 << 20..=4 << 30;
const WORKERS: RangeInclusive<u64> = 1..=64;
const CONNECTIONS: RangeInclusive<u64> = 100..=100_000;
const CONNECTIONS_PER_ADDRESS: RangeInclusive<u64> = 10..=100_000;
/// Only warnings of the HTTP library: at `info` it writes a line for each worker.
const DEFAULT_FILTER: &str = "info,actix_server=warn";
const QUERY_TIMEOUT_MS: RangeInclusive<u64> = 100..=60_000;

/// The settings do not make sense: exit code 2. The text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// How log lines are written to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings that may be flags. Each is an environment variable and a key of the configuration file too.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// Configuration file (TOML) [default: none]
    #[arg(long, global = true, value_name = "FILE", env = "CHATFOLD_CONFIG")]
    pub config: Option<PathBuf>,
    /// The SQLite file [default: chatfold.db]
    #[arg(long, global = true, value_name = "FILE", env = "CHATFOLD_DB")]
    pub db: Option<PathBuf>,
    /// Address and port to listen on. A port alone means 127.0.0.1 [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS", env = "CHATFOLD_LISTEN", value_parser = address::parse)]
    pub listen: Option<SocketAddr>,
    /// PEM file with the certificate of the server. With it the server speaks TLS only [default: none]
    #[arg(long, global = true, value_name = "FILE", env = "CHATFOLD_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the key of the certificate [default: none]
    #[arg(long, global = true, value_name = "FILE", env = "CHATFOLD_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Addresses and networks of proxies whose forwarding headers count, separated by commas, at most 256 [default: none]
    #[arg(long, global = true, value_name = "LIST", value_delimiter = ',', env = "CHATFOLD_TRUSTED_PROXIES")]
    pub trusted_proxies: Option<Vec<String>>,
    /// Largest webhook body in bytes, 1024 to 33554432 [default: 2097152]
    #[arg(long, global = true, value_name = "BYTES", env = "CHATFOLD_BODY_LIMIT")]
    pub body_limit: Option<u64>,
    /// Most bytes of webhook bodies in memory at once, 1048576 to 4294967296. Further bodies get 503 [default: 67108864]
    #[arg(long, global = true, value_name = "BYTES", env = "CHATFOLD_BYTES_IN_FLIGHT")]
    pub bytes_in_flight: Option<u64>,
    /// Most bytes of rows kept in memory for the next deliveries, 1048576 to 4294967296 [default: 16777216]
    #[arg(long, global = true, value_name = "BYTES", env = "CHATFOLD_ROW_CACHE")]
    pub row_cache: Option<u64>,
    /// The app of queries without appId [default: the file's only app]
    #[arg(long, global = true, value_name = "APP_ID", env = "CHATFOLD_DEFAULT_APP")]
    pub default_app: Option<String>,
    /// HTTP worker threads, 1 to 64 [default: one for each core, at most 4]
    #[arg(long, global = true, value_name = "N", env = "CHATFOLD_WORKERS")]
    pub workers: Option<u64>,
    /// Most connections at once, 100 to 100000 [default: 10000]
    #[arg(long, global = true, value_name = "N", env = "CHATFOLD_CONNECTIONS")]
    pub connections: Option<u64>,
    /// Most connections of one address, 10 to 100000. A proxy that is not trusted is one address [default: 2500]
    #[arg(long, global = true, value_name = "N", env = "CHATFOLD_CONNECTIONS_PER_ADDRESS")]
    pub connections_per_address: Option<u64>,
    /// Longest time of one GraphQL query in milliseconds, 100 to 60000 [default: 2000]
    #[arg(long, global = true, value_name = "MS", env = "CHATFOLD_QUERY_TIMEOUT_MS")]
    pub query_timeout_ms: Option<u64>,
    /// How log lines are written to stderr [default: text]
    #[arg(long, global = true, value_enum, value_name = "FORMAT", env = "CHATFOLD_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Which log lines to write: a level, or module=level, separated by commas [default: info,actix_server=warn]
    #[arg(long, global = true, value_name = "FILTER", env = "CHATFOLD_LOG_FILTER")]
    pub log_filter: Option<String>,
    /// Origins whose web pages may query /graphql, separated by commas [default: none]
    #[arg(long, global = true, value_name = "ORIGINS", value_delimiter = ',', env = "CHATFOLD_CORS_ORIGINS")]
    pub cors_origins: Option<Vec<String>>,
    /// Folder of npm packages (node_modules) to serve GraphiQL from [default: a public CDN]
    #[arg(long, global = true, value_name = "DIR", env = "CHATFOLD_GRAPHIQL_DIR")]
    pub graphiql_dir: Option<PathBuf>,
    #[command(flatten)]
    pub graphql: GraphqlFlags,
    #[command(flatten)]
    pub unread: UnreadFlags,
    #[command(flatten)]
    pub privacy: PrivacyFlags,
    #[command(flatten)]
    pub backup: BackupFlags,
    #[command(flatten)]
    pub retention: RetentionFlags,
    #[command(flatten)]
    pub api: ApiFlags,
    #[command(flatten)]
    pub reconcile: ReconcileFlags,
    #[command(flatten)]
    pub shared_log: LogFlags,
    /// Which of them the command line gives.
    #[arg(skip)]
    pub given: Given,
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The SQLite file.
    pub db: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The files of TLS. `None`: the server speaks no TLS.
    pub tls: Option<TlsFiles>,
    /// The proxies whose word about a client counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Who may post deliveries. Empty: everybody who reaches loopback.
    pub credentials: Vec<WebhookCredential>,
    /// Largest webhook body in bytes.
    pub body_limit: usize,
    /// Bytes of webhook bodies held at once.
    pub bytes_in_flight: usize,
    /// Bytes of rows that the writer keeps in memory between two commits.
    pub row_cache: usize,
    /// The app of queries without `appId`.
    pub default_app: Option<String>,
    /// HTTP worker threads.
    pub workers: usize,
    /// Connections at once.
    pub connections: usize,
    /// Most connections of one address.
    pub connections_per_address: usize,
    /// The log that several nodes share. `None`: the file has a log of its own.
    pub shared_log: Option<SharedLog>,
    /// What a GraphQL request may cost, and what it counts as unread.
    pub graphql: Limits,
    /// The file with the list of documents that the server runs.
    pub allow_list: Option<PathBuf>,
    /// Folder that GraphiQL is served from; without one a browser takes it from a public CDN.
    pub graphiql_dir: Option<PathBuf>,
    /// Origins whose web pages may ask.
    pub cors_origins: Vec<String>,
    /// Backups that the server makes.
    pub backup: Option<BackupSettings>,
    /// When old events are cut from the log.
    pub retention: RetentionSettings,
    /// CometChat's API: the keys, and when the server reads it.
    pub api: ApiSettings,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_filter: String,
    /// All of these, and where each comes from.
    settings: Vec<Setting>,
    /// The flags that the process was started with. SIGHUP reads the same sources again.
    flags: Flags,
}

impl Config {
    /// Puts the layers together. Reads the process's environment and the configuration file.
    pub fn load(flags: Flags) -> Result<Self, ConfigError> {
        Self::resolve(flags, &|name| std::env::var(name).ok())
    }

    /// Reads the same sources again.
    pub fn reload(&self) -> Result<Self, ConfigError> {
        Self::load(self.flags.clone())
    }

    fn resolve(flags: Flags, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let file = match &flags.config {
            Some(path) => file::read(path)?,
            None => file::File::default(),
        };
        let mut choices = Choices::new(&flags.given);
        choices.maybe("config", flags.config.as_ref(), None);
        let db = choices.choose("db", flags.db.clone(), file.db.clone(), "chatfold.db".into());
        let loopback = SocketAddr::from(([127, 0, 0, 1], 8080));
        let listen = choices.choose("listen", flags.listen, file.listen, loopback);
        let certificate = choices.maybe("tls_certificate", flags.tls_certificate.clone(), file.tls_certificate.clone());
        let key = choices.maybe("tls_key", flags.tls_key.clone(), file.tls_key.clone());
        let tls = TlsFiles::both(certificate, key)?;
        let (flag, key) = (flags.trusted_proxies.clone(), file.trusted_proxies.clone());
        let trusted_proxies = network::proxies(&choices.choose("trusted_proxies", flag, key, Vec::new()))?;
        let (flag, key) = (flags.body_limit, file.body_limit);
        let body_limit = choices.number("body_limit", flag, key, 2 << 20, BODY_LIMIT)?;
        let (flag, key) = (flags.bytes_in_flight, file.bytes_in_flight);
        let bytes_in_flight = choices.number("bytes_in_flight", flag, key, 64 << 20, BYTES_IN_FLIGHT)?;
        let row_cache =
            choices.number("row_cache", flags.row_cache, file.row_cache, batch::CACHE as usize, ROW_CACHE)?;
        let default_app = choices.maybe("default_app", flags.default_app.clone(), file.default_app.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let workers = choices.number("workers", flags.workers, file.workers, cores, WORKERS)?;
        let connections = choices.number("connections", flags.connections, file.connections, 10_000, CONNECTIONS)?;
        let (flag, key) = (flags.connections_per_address, file.connections_per_address);
        let connections_per_address =
            choices.number("connections_per_address", flag, key, 2_500, CONNECTIONS_PER_ADDRESS)?;
        let (flag, key) = (flags.query_timeout_ms, file.query_timeout_ms);
        let timeout = choices.number("query_timeout_ms", flag, key, Duration::from_secs(2), QUERY_TIMEOUT_MS)?;
        let log_format = choices.choose("log_format", flags.log_format, file.log_format, LogFormat::Text);
        let log_filter =
            choices.choose("log_filter", flags.log_filter.clone(), file.log_filter.clone(), DEFAULT_FILTER.into());
        tracing_subscriber::EnvFilter::try_new(&log_filter)
            .map_err(|error| ConfigError(format!("log_filter {log_filter:?}: {error}")))?;
        let origins = choices.choose("cors_origins", flags.cors_origins.clone(), file.cors_origins.clone(), Vec::new());
        let graphiql_dir = choices.maybe("graphiql_dir", flags.graphiql_dir.clone(), file.graphiql_dir.clone());
        let limits = flags.graphql.limits(&file.graphql, &mut choices)?;
        let (flag, key) = (flags.graphql.graphql_allow_list.clone(), file.graphql.graphql_allow_list.clone());
        let allow_list = choices.maybe("graphql.allow_list", flag, key);
        let unread = flags.unread.over(&file.unread, &mut choices);
        let show_private = flags.privacy.over(&file.privacy, &mut choices)?;
        let backup = flags.backup.over(&file.backup, &mut choices)?;
        let retention = flags.retention.over(&file.retention, &mut choices)?;
        let api = flags.api.over(&flags.reconcile, &file, env, &mut choices)?;
        let shared_log = flags.shared_log.over(&file, env, &mut choices)?;
        let credentials = credentials::collect(&file, env, &mut choices)?;
        let config = Self {
            db,
            listen,
            tls,
            trusted_proxies,
            credentials,
            body_limit,
            bytes_in_flight,
            row_cache,
            default_app,
            workers,
            connections,
            connections_per_address,
            shared_log,
            graphql: Limits { unread, show_private, timeout, ..limits },
            allow_list,
            graphiql_dir,
            cors_origins: graphql::origins(origins)?,
            backup,
            retention,
            api,
            log_format,
            log_filter,
            settings: choices.made,
            flags,
        };
        if config.shared_log.is_some() && !config.retention.is_off() {
            return Err(ConfigError(
                "retention cuts the log of a file, but the log of this node is PostgreSQL's. Leave retention_ignored, \
                 retention_presence, retention_message and retention_call out"
                    .into(),
            ));
        }
        if config.bytes_in_flight < config.body_limit {
            return Err(ConfigError(format!(
                "bytes_in_flight is {}, but must be at least body_limit, which is {}: else no large delivery is ever taken",
                config.bytes_in_flight, config.body_limit
            )));
        }
        Ok(config)
    }

    /// The settings of `chatfold open`: a free port of loopback, unless the command line names a port. `open` takes no
    /// deliveries, so it needs no webhook credentials, and nobody else reaches it, so it needs no TLS.
    pub fn to_open(self, file: PathBuf) -> Result<Self, ConfigError> {
        let listen = self.flags.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let settings = self.settings.into_iter().filter(|it| {
            let key = it.key;
            let is_of_server = ["webhook_", "tls_", "api_", "reconcile."].iter().any(|begin| key.starts_with(begin));
            !is_of_server && key != "trusted_proxies"
        });
        let settings = settings.map(|it| match it.key {
            "db" => Setting { value: file.to_string_lossy().into(), origin: Origin::Flag, ..it },
            "listen" if self.flags.listen.is_none() => {
                Setting { value: listen.to_string().into(), origin: Origin::Default, ..it }
            }
            _ => it,
        });
        let settings = settings.collect();
        let (trusted_proxies, credentials) = (Vec::new(), Vec::new());
        let config = Self { db: file, listen, tls: None, trusted_proxies, credentials, settings, ..self };
        if !config.on_loopback() {
            return Err(ConfigError(format!(
                "listening on {listen} would show the file to the network. `chatfold open` listens on loopback only, such as 127.0.0.1"
            )));
        }
        Ok(config)
    }

    /// Where a client of this machine finds the server.
    pub fn address(&self) -> String {
        let host = match self.listen.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", SocketAddr::new(host, self.listen.port()))
    }

    /// Whether only this machine can reach the server.
    pub fn on_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Checks what must hold before the server may be reached.
    pub fn check_serve(&self) -> Result<(), ConfigError> {
        if self.on_loopback() {
            return Ok(());
        }
        if self.credentials.is_empty() {
            return Err(ConfigError(format!(
                "listening on {} without webhook credentials would let anybody write. Set CHATFOLD_WEBHOOK_USERNAME and \
                 CHATFOLD_WEBHOOK_PASSWORD (or [[webhook_credentials]] in the configuration file), or listen on 127.0.0.1",
                self.listen
            )));
        }
        match self.credentials.iter().find(|it| it.password.len() < MIN_PUBLIC_PASSWORD) {
            Some(short) => Err(ConfigError(format!(
                "the password of the webhook credential {:?} is shorter than {MIN_PUBLIC_PASSWORD} characters, too short to \
                 listen on {}. Choose a longer password, or listen on 127.0.0.1",
                short.name, self.listen
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
