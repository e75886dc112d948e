//! The log that several nodes share, as settings.
//!
//! The address may hold a password. So the address is never shown, and an address with a password is taken from the
//! environment or the configuration file alone: `ps` shows flags to everybody.

use super::credentials::one_of;
use super::file::File;
use super::settings::{Choices, Origin};
use super::{ConfigError, Secret};
#[cfg(feature = "postgres")]
use crate::store::postgres::Address;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const OUTBOX: RangeInclusive<u64> = 0..=1 << 40;
const DEFAULT_OUTBOX: u64 = 1 << 30;
const CHECK: RangeInclusive<u64> = 1..=7 * 86_400;
const DEFAULT_CHECK: u64 = 3_600;
/// Days for which the log keeps deliveries.
pub const KEEP: RangeInclusive<u64> = 1..=3_650;
const DEFAULT_KEEP: u64 = 7;
const DAY: u64 = 86_400;

/// Where the log is. Without PostgreSQL there is none.
#[cfg(not(feature = "postgres"))]
type Address = std::convert::Infallible;

/// What a commit of the shared log has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogDurability {
    /// On the disks of as many standbys as PostgreSQL is told to wait for.
    Quorum,
    /// On the disk of the primary.
    Local,
}

/// The settings of a node. Each may be left out.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Several nodes")]
pub struct LogFlags {
    /// The log that several nodes share: postgres://USER@HOST1,HOST2/DATABASE. An address with a password may be given
    /// only by the variable or the configuration file [default: none, the file has its own log]
    #[arg(long, global = true, value_name = "ADDRESS", env = "CHATFOLD_LOG", hide_env_values = true)]
    pub log: Option<Secret>,
    /// What a commit of the shared log has to be. Without it no delivery goes into the log [default: quorum if PostgreSQL
    /// waits for standbys]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_enum,
        value_name = "WHAT",
        env = "CHATFOLD_LOG_DURABILITY"
    )]
    pub log_durability: Option<LogDurability>,
    /// Most bytes of deliveries kept on the disk of this node while the shared log is away, 0 to 1099511627776. With 0 they
    /// are answered 503 [default: 1073741824]
    #[arg(long, global = true, hide_short_help = true, value_name = "BYTES", env = "CHATFOLD_OUTBOX")]
    pub outbox: Option<u64>,
    /// Days for which the shared log keeps deliveries, 1 to 3650. One node removes older ones that every live node has
    /// [default: 7]
    #[arg(long, global = true, hide_short_help = true, value_name = "DAYS", env = "CHATFOLD_LOG_KEEP_DAYS")]
    pub log_keep_days: Option<u64>,
    /// Seconds between two comparisons of the nodes' state hashes, 1 to 604800. Each node reads all its tables for one
    /// [default: 3600]
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", env = "CHATFOLD_LOG_CHECK_SECONDS")]
    pub log_check_seconds: Option<u64>,
}

/// A shared log, checked.
#[derive(Debug, Clone)]
pub struct SharedLog {
    pub address: Address,
    /// `None`: what PostgreSQL has.
    pub durability: Option<LogDurability>,
    /// Most bytes in the outbox; 0: there is none.
    pub outbox: u64,
    /// How long the log keeps deliveries.
    pub keep: Duration,
    /// Between two comparisons of state hashes.
    pub check: Duration,
}

impl LogFlags {
    /// Takes each setting from here, or else from the file. `None`: the file has a log of its own.
    pub(super) fn over(
        &self,
        file: &File,
        env: &dyn Fn(&str) -> Option<String>,
        choices: &mut Choices,
    ) -> Result<Option<SharedLog>, ConfigError> {
        let (origin, text) = choices.layer("log", self.log.as_ref(), file.log.as_ref());
        let password = password(file, env, choices)?;
        let durability = choices.maybe("log_durability", self.log_durability, file.log_durability);
        let outbox = choices.number("outbox", self.outbox, file.outbox, DEFAULT_OUTBOX, OUTBOX)?;
        let days = choices.number("log_keep_days", self.log_keep_days, file.log_keep_days, DEFAULT_KEEP, KEEP)?;
        let (flag, key) = (self.log_check_seconds, file.log_check_seconds);
        let check = choices.number("log_check_seconds", flag, key, DEFAULT_CHECK, CHECK)?;
        let Some(text) = text else {
            choices.note("log", None::<&str>, origin);
            return Ok(None);
        };
        let address = open(text, origin, password.as_ref(), env)?;
        choices.note("log", shown(&address), origin);
        let (keep, check) = (Duration::from_secs(days * DAY), Duration::from_secs(check));
        Ok(Some(SharedLog { address, durability, outbox, keep, check }))
    }
}

/// The password of the log, if a setting of its own tells it.
fn password(
    file: &File,
    env: &dyn Fn(&str) -> Option<String>,
    choices: &mut Choices,
) -> Result<Option<Secret>, ConfigError> {
    let direct = env("CHATFOLD_LOG_PASSWORD").map(|text| Secret::from(&*text));
    let path = env("CHATFOLD_LOG_PASSWORD_FILE").map(PathBuf::from);
    let (what, layer, direct, path) = if direct.is_some() || path.is_some() {
        ("the environment", Origin::Environment, direct, path)
    } else {
        ("the configuration file", Origin::File, file.log_password.clone(), file.log_password_file.clone())
    };
    let origin = |is_set| if is_set { layer } else { Origin::Default };
    choices.note_secret("log_password", direct.is_some(), origin(direct.is_some()));
    choices.note("log_password_file", &path, origin(path.is_some()));
    one_of(what, direct, path.as_deref())
}

#[cfg(not(feature = "postgres"))]
fn open(_: &Secret, _: Origin, _: Option<&Secret>, _: &dyn Fn(&str) -> Option<String>) -> Result<Address, ConfigError> {
    Err(ConfigError("log: this chatfold was built without PostgreSQL (the cargo feature `postgres`)".into()))
}

#[cfg(feature = "postgres")]
fn open(
    text: &Secret,
    origin: Origin,
    password: Option<&Secret>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Address, ConfigError> {
    let address = Address::parse(text.expose()).map_err(|problem| ConfigError(format!("log: {problem}")))?;
    if origin == Origin::Flag && address.has_password() {
        return Err(ConfigError(
            "--log holds a password, which `ps` shows to everybody. Give the address by CHATFOLD_LOG or the \
             configuration file, or the password by CHATFOLD_LOG_PASSWORD_FILE or PGPASSFILE"
                .into(),
        ));
    }
    Ok(match password {
        Some(password) => address.with_password(password.expose()),
        None => match password_file(env)? {
            Some(file) => address.with_passwords(&file),
            None => address,
        },
    })
}

/// The password file of PostgreSQL's own programs.
#[cfg(feature = "postgres")]
fn password_file(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, ConfigError> {
    use std::path::Path;
    if let Some(path) = env("PGPASSFILE") {
        let text = std::fs::read_to_string(&path);
        return text.map(Some).map_err(|error| ConfigError(format!("reading PGPASSFILE {path}: {error}")));
    }
    let home = env("HOME").map(|home| Path::new(&home).join(".pgpass"));
    Ok(home.and_then(|path| std::fs::read_to_string(path).ok()))
}

#[cfg(feature = "postgres")]
fn shown(address: &Address) -> &str {
    address.shown()
}

#[cfg(not(feature = "postgres"))]
fn shown(address: &Address) -> &str {
    match *address {}
}

#[cfg(test)]
#[cfg(feature = "postgres")]
mod tests {
    use super::super::{Config, Flags, Given, file};
    use super::*;

    fn resolve(toml: &str, env: &[(&str, &str)], flag: Option<&str>) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chatfold.toml");
        std::fs::write(&path, toml).unwrap();
        let find = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        // clap puts the variable where it puts the flag.
        let log = flag.map(str::to_owned).or(find("CHATFOLD_LOG")).map(|text| Secret::from(&*text));
        let shared_log = LogFlags { log, ..LogFlags::default() };
        let command = <Flags as Args>::augment_args(clap::Command::new("chatfold"));
        let given = flag.map(|flag| ["--log".to_owned(), flag.to_owned()]).into_iter().flatten();
        let given = Given::of(&command.get_matches_from(std::iter::once("chatfold".to_owned()).chain(given)));
        Config::resolve(Flags { config: Some(path), shared_log, given, ..Flags::default() }, &find)
    }

    const OPEN: &str = "postgres://me:sesame987654321@db/log";

    #[test]
    fn a_password_is_taken_from_the_environment_or_the_file_and_never_from_a_flag() {
        let error = resolve("", &[], Some(OPEN)).unwrap_err();
        assert!(error.0.contains("CHATFOLD_LOG") && !error.0.contains("sesame"), "{error}");
        resolve("", &[("CHATFOLD_LOG", OPEN)], None).unwrap();
        resolve(&format!("log = \"{OPEN}\""), &[], None).unwrap();
        assert!(resolve("", &[], None).unwrap().shared_log.is_none());
    }

    #[test]
    fn a_password_may_come_from_a_variable_and_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        std::fs::write(&own, "sesame987654321\n").unwrap();
        let pass = dir.path().join("pgpass");
        std::fs::write(&pass, "*:*:*:*:sesame987654321\n").unwrap();
        let (own, pass) = (own.to_str().unwrap(), pass.to_str().unwrap());
        for (toml, env) in [
            ("", &[("CHATFOLD_LOG_PASSWORD", "sesame987654321")][..]),
            ("", &[("CHATFOLD_LOG_PASSWORD_FILE", own)]),
            ("log_password = \"sesame987654321\"", &[]),
            (&format!("log_password_file = {own:?}"), &[]),
            ("", &[("PGPASSFILE", pass)]),
        ] {
            let config = resolve(toml, env, Some("postgres://me@db/log")).unwrap();
            assert!(!format!("{config:?}").contains("sesame"), "{config:?}");
            let address = config.shared_log.unwrap().address;
            assert!(address.has_password(), "{toml} {env:?}");
        }
        let both = [("CHATFOLD_LOG_PASSWORD", "x"), ("CHATFOLD_LOG_PASSWORD_FILE", own)];
        assert!(resolve("", &both, Some("postgres://me@db/log")).is_err());
    }

    #[test]
    fn a_wrong_line_with_an_address_is_not_shown() {
        let error = file::parse("log = \"postgres://me:sesame987654321@db/log").unwrap_err();
        assert!(!error.contains("sesame"), "{error}");
    }
}
