//! The settings, the file and the machine.

use super::Finding;
use crate::cli::help;
use crate::clock;
use crate::config::{self, Config, MIN_PUBLIC_PASSWORD};
use crate::disk::Disk;
use crate::http;
use crate::store::sqlite::{beside, inspect, resolve, tokens};
use indicatif::BinaryBytes;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// With less, a few large deliveries fill the disk.
const LITTLE: u64 = 64 << 20;
/// The server moves the WAL into the file long before.
const LARGE_WAL: u64 = 64 << 20;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut all = settings(config);
    all.push(certificate(config));
    all.extend(credentials(config));
    all.extend(file(config));
    all
}

fn settings(config: &Config) -> Vec<Finding> {
    let mut all = Vec::new();
    match config.check_serve() {
        Ok(()) => all.push(Finding::ok("settings", "`chatfold config` prints them, and where each comes from")),
        Err(error) => {
            all.push(Finding::bad("settings", error.0, "`chatfold serve` does not start with these settings."));
        }
    }
    for unknown in config::unknown_variables(&help::variables()) {
        all.push(Finding::warn("settings", unknown, "Correct the name of the variable, or remove it."));
    }
    all
}

fn certificate(config: &Config) -> Finding {
    const SUBJECT: &str = "certificate";
    let Some(files) = &config.tls else {
        let where_to =
            "CometChat delivers over HTTPS: set tls_certificate and tls_key, or put a proxy with TLS in front.";
        return match config.on_loopback() {
            true => Finding::ok(SUBJECT, "none: a proxy on this machine speaks TLS, or only this machine connects"),
            false => Finding::warn(SUBJECT, "none, and the server listens beyond this machine", where_to),
        };
    };
    let now = clock::now();
    match http::certificate_end(files) {
        Err(error) => {
            Finding::bad(SUBJECT, format!("{error:#}"), "Put a certificate and its own key into these files.")
        }
        Ok(None) => Finding::warn(SUBJECT, "its end cannot be read", "Look at it with `openssl x509 -noout -enddate`."),
        Ok(Some(end)) if end < now => {
            Finding::bad(SUBJECT, format!("it ended at {}", end.rfc3339()), "Renew it: clients refuse to connect.")
        }
        Ok(Some(end)) if end.0 - now.0 < 14 * DAY_MS => Finding::warn(
            SUBJECT,
            format!("it ends at {}", end.rfc3339()),
            "Renew it. The server reads new files within a minute.",
        ),
        Ok(Some(end)) => Finding::ok(SUBJECT, format!("it ends at {}", end.rfc3339())),
    }
}

fn credentials(config: &Config) -> Vec<Finding> {
    const SUBJECT: &str = "credentials";
    if config.credentials.is_empty() {
        return match config.on_loopback() {
            true => vec![Finding::warn(
                SUBJECT,
                "none in these settings: only this machine may post deliveries",
                "Does the server have credentials? Then give this command the same variables, or the same --config. If not: \
                 before CometChat delivers, set CHATFOLD_WEBHOOK_USERNAME and CHATFOLD_WEBHOOK_PASSWORD, and enter both as \
                 Basic auth in CometChat's dashboard, not inside the URL. CometChat signs nothing: do not wait for a signature.",
            )],
            // The settings tell it already.
            false => Vec::new(),
        };
    }
    let of = |it: &config::WebhookCredential| match it.password.len() < MIN_PUBLIC_PASSWORD {
        true => Finding::warn(
            SUBJECT,
            format!("the password of {:?} has less than {MIN_PUBLIC_PASSWORD} characters", it.name),
            "Choose a longer password: behind a proxy the internet can guess at it.",
        ),
        false => Finding::ok(SUBJECT, format!("{:?} has a password of {} characters", it.name, it.password.len())),
    };
    config.credentials.iter().map(of).collect()
}

fn file(config: &Config) -> Vec<Finding> {
    let Ok(path) = resolve(&config.db) else { return Vec::new() };
    let Ok(meta) = path.metadata() else { return Vec::new() };
    let mut all = vec![disk(&path), wal(&path)];
    all.push(match meta.permissions().mode() & 0o077 {
        0 => Finding::ok("permissions", "only the owner can read the file"),
        _ => Finding::warn(
            "permissions",
            format!("others on this machine can read or write {}", path.display()),
            "The file holds chats and secrets: run `chmod 600` on it, and on the files beside it.",
        ),
    });
    all.extend(readers(config));
    all
}

fn disk(path: &Path) -> Finding {
    let Some(disk) = Disk::of(path) else {
        return Finding::warn("disk", "its free space cannot be read", "Look at it with `df`.");
    };
    let words = format!("{} are free", BinaryBytes(disk.free_bytes));
    match (disk.free_bytes < LITTLE, disk.is_nearly_full()) {
        (true, _) => Finding::bad("disk", words, "Make room: on a full disk deliveries are answered 503."),
        (_, true) => Finding::warn("disk", words, "Make room: on a full disk deliveries are answered 503."),
        _ => Finding::ok("disk", words),
    }
}

fn wal(path: &Path) -> Finding {
    let bytes = beside(path, "-wal").metadata().map_or(0, |meta| meta.len());
    let words = format!("{} of changes are not in the file yet", BinaryBytes(bytes));
    match bytes > LARGE_WAL {
        true => Finding::warn(
            "wal",
            words,
            "A program reads an old state of the file. End SQLite shells and backups that have had it open for long.",
        ),
        false => Finding::ok("wal", words),
    }
}

/// Whether anybody can read.
fn readers(config: &Config) -> Option<Finding> {
    let conn = inspect::open_file(&config.db).ok()?;
    let (all, now) = (tokens::all(&conn).ok()?, clock::now());
    let valid = all.iter().filter(|token| token.is_valid(now)).count();
    let create = format!("`{}` makes one.", config.command("token create --name NAME"));
    Some(match (valid, all.is_empty() && config.credentials.is_empty()) {
        (0, true) => Finding::warn("tokens", "none: everybody who reaches the port on this machine may read", create),
        (0, false) => Finding::warn("tokens", "no token is valid, so nobody can read", create),
        (1, _) => Finding::ok("tokens", "1 is valid"),
        (n, _) => Finding::ok("tokens", format!("{n} are valid")),
    })
}
