//! The configuration file: TOML, unknown keys refused, errors with line, column and caret.

use super::UnreadFlags;
use super::address;
use super::api::ApiTable;
use super::{BackupFlags, ConfigError, GraphqlFlags, LogDurability, LogFormat, PrivacyFlags, ReconcileFlags};
use super::{RetentionFlags, Secret};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The keys of the file; all may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub db: Option<PathBuf>,
    #[serde(default, deserialize_with = "address::read")]
    pub listen: Option<SocketAddr>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub trusted_proxies: Option<Vec<String>>,
    pub webhook_username: Option<String>,
    pub webhook_password: Option<Secret>,
    pub webhook_password_file: Option<PathBuf>,
    #[serde(default)]
    pub webhook_credentials: Vec<CredentialTable>,
    pub body_limit: Option<u64>,
    pub bytes_in_flight: Option<u64>,
    pub row_cache: Option<u64>,
    pub default_app: Option<String>,
    pub workers: Option<u64>,
    pub connections: Option<u64>,
    pub connections_per_address: Option<u64>,
    pub query_timeout_ms: Option<u64>,
    pub log_format: Option<LogFormat>,
    pub log_filter: Option<String>,
    pub cors_origins: Option<Vec<String>>,
    pub graphiql_dir: Option<PathBuf>,
    #[serde(default)]
    pub graphql: GraphqlFlags,
    #[serde(default)]
    pub unread: UnreadFlags,
    #[serde(default)]
    pub backup: BackupFlags,
    #[serde(default)]
    pub retention: RetentionFlags,
    #[serde(default)]
    pub privacy: PrivacyFlags,
    pub api_app: Option<String>,
    pub api_region: Option<String>,
    pub api_url: Option<String>,
    pub api_key: Option<Secret>,
    pub api_key_file: Option<PathBuf>,
    #[serde(default)]
    pub api_keys: Vec<ApiTable>,
    #[serde(default)]
    pub reconcile: ReconcileFlags,
    pub log: Option<Secret>,
    pub log_password: Option<Secret>,
    pub log_password_file: Option<PathBuf>,
    pub log_durability: Option<LogDurability>,
    pub outbox: Option<u64>,
    pub log_keep_days: Option<u64>,
    pub log_check_seconds: Option<u64>,
}

/// One `[[webhook_credentials]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialTable {
    pub name: String,
    pub username: String,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    pub apps: Option<Vec<String>>,
}

pub(super) fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("reading the configuration file {}: {error}", path.display())))?;
    parse(&text).map_err(|error| ConfigError(format!("configuration file {}: {error}", path.display())))
}

fn may_hold_secret(line: &str) -> bool {
    ["password", "postgres", "key"].iter().any(|word| line.contains(word))
}

/// An error message quotes the line, but not if the line may hold a password.
pub(super) fn parse(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..at).unwrap_or_default();
        let line_number = before.matches('\n').count() + 1;
        // A broken string may hide the key in an earlier line, so the line before counts too.
        let secret = text.lines().skip(line_number.saturating_sub(2)).take(2).any(may_hold_secret);
        if secret {
            format!(
                "line {line_number} is wrong. It is not shown, because it may hold a password or a key. Write these as text in quotes"
            )
        } else {
            error.to_string()
        }
    })
}
