//! The address of the log: `postgres://user:password@host1:5432,host2/database?sslmode=verify-full&sslrootcert=ca.pem`.

use super::tls::{self, Tls};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

/// One host that does not answer holds nobody up: the others are tried at the same time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const PORT: u16 = 5432;

/// Where the log is, and how to get in. Its `Debug` shows no password.
#[derive(Debug, Clone)]
pub struct Address {
    /// One for each host.
    pub(super) hosts: Vec<Config>,
    pub(super) tls: Tls,
    shown: String,
}

impl Address {
    /// Reads an address. The error shows nothing of it, for it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let rest = before.strip_prefix("postgres://").or_else(|| before.strip_prefix("postgresql://"));
        let rest = rest.ok_or("expected an address such as postgres://user@host1,host2/database")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let (mut ssl_mode, mut root, mut kept) = (None, None, form_urlencoded::Serializer::new(String::new()));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => ssl_mode = Some(value.into_owned()),
                "sslrootcert" => root = Some(PathBuf::from(&*value)),
                // A node appends, so it always looks for the server that can be written.
                "target_session_attrs" => {}
                _ => {
                    kept.append_pair(&name, &value);
                }
            }
        }
        // The client decodes what stands between two `%`, but leaves `+` as it is.
        let query = kept.finish().replace('+', "%20");
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        let (mode, tls) = tls::of(ssl_mode.as_deref(), root.as_deref())?;
        let host = |host: &str| {
            let text = format!("postgres://{at}{host}/{path}?{query}");
            let mut config: Config = text.parse().map_err(|error| words(&error))?;
            if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
                return Err("it names no host".to_owned());
            }
            if config.get_connect_timeout().is_none() {
                config.connect_timeout(CONNECT_TIMEOUT);
            }
            if config.get_application_name().is_none() {
                config.application_name("chatfold");
            }
            config.ssl_mode(mode).target_session_attrs(TargetSessionAttrs::ReadWrite);
            Ok(config)
        };
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> =
            hosts.iter().flat_map(Self::names).map(|(host, port)| format!("{host}:{port}")).collect();
        let database = hosts[0].get_dbname().or(hosts[0].get_user()).unwrap_or_default();
        let shown = format!("postgres://{}/{database}", names.join(","));
        Ok(Self { hosts, tls, shown })
    }

    /// Whether a password is known for every host.
    pub fn has_password(&self) -> bool {
        self.hosts.iter().all(|config| config.get_password().is_some())
    }

    /// The same with this password, unless it has one.
    pub fn with_password(mut self, password: &str) -> Self {
        for config in self.hosts.iter_mut().filter(|config| config.get_password().is_none()) {
            config.password(password);
        }
        self
    }

    /// The same with the passwords of a password file (`hostname:port:database:username:password`), unless it has one.
    pub fn with_passwords(mut self, file: &str) -> Self {
        for config in self.hosts.iter_mut().filter(|config| config.get_password().is_none()) {
            let user = config.get_user().unwrap_or_default().to_owned();
            let database = config.get_dbname().unwrap_or(&user).to_owned();
            let found = Self::names(config).into_iter().find_map(|(host, port)| {
                let asked = [host, port.to_string(), database.clone(), user.clone()];
                file.lines().find_map(|line| password_of(line, &asked))
            });
            if let Some(password) = found {
                config.password(password);
            }
        }
        self
    }

    /// Hosts and database, without user, password and parameters.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn names(config: &Config) -> Vec<(String, u16)> {
        let port = |place: usize| config.get_ports().get(place).or(config.get_ports().first()).copied().unwrap_or(PORT);
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => socket_of(path),
        });
        let named: Vec<String> = hosts.collect();
        let named =
            if named.is_empty() { config.get_hostaddrs().iter().map(ToString::to_string).collect() } else { named };
        named.into_iter().enumerate().map(|(place, host)| (host, port(place))).collect()
    }
}

fn socket_of(path: &Path) -> String {
    path.display().to_string()
}

/// The password of a line of a password file, if the line is about this host, port, database and user.
fn password_of(line: &str, asked: &[String; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let (mut fields, mut escaped) = (vec![String::new()], false);
    for it in line.chars() {
        match it {
            '\\' if !escaped => escaped = true,
            ':' if !escaped && fields.len() < 5 => fields.push(String::new()),
            _ => {
                escaped = false;
                fields.last_mut()?.push(it);
            }
        }
    }
    let password = if fields.len() == 5 { fields.pop()? } else { return None };
    let fits = |(field, asked): (&String, &String)| field == "*" || field == asked;
    fields.iter().zip(asked).all(fits).then_some(password)
}

/// The client quotes what it does not understand only by its name.
fn words(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(address: &Address) -> Vec<Option<&[u8]>> {
        address.hosts.iter().map(Config::get_password).collect()
    }

    #[test]
    fn an_address_names_several_hosts_and_shows_no_password() {
        let text = "postgres://me:p%40ss:w@db1:6000,db2/log?connect_timeout=3&target_session_attrs=any";
        let address = Address::parse(text).unwrap();
        assert_eq!(address.shown(), "postgres://db1:6000,db2:5432/log");
        assert_eq!(passwords(&address), [Some(&b"p@ss:w"[..]); 2]);
        assert!(address.has_password());
        assert!(!format!("{address:?}").contains("p@ss"), "{address:?}");
        for config in &address.hosts {
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        }
        let socket = Address::parse("postgresql:///log?host=/run/pg&user=me&port=7").unwrap();
        assert_eq!(socket.shown(), "postgres:///run/pg:7/log");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_the_address() {
        for (text, expected) in [
            ("mysql://secret@db/log", "expected an address such as"),
            ("postgres:///log", "no host"),
            ("postgres://me:secret@db/log?colour=red", "colour"),
            ("postgres://me:secret@db/log?sslmode=maybe", "sslmode"),
            ("postgres://me:secret@db/log?sslmode=verify-full", "sslrootcert"),
            ("postgres://me:secret@db/log?sslrootcert=/no/such/file&sslmode=verify-full", "/no/such/file"),
            ("postgres://me:secret@db/log?sslrootcert=Cargo.toml", "verify-full"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_file_gives_each_host_its_password_and_the_address_wins() {
        let file = "# mine\nother:*:*:*:no\ndb1:5432:log:me:o\\:ne\n*:7000:*:*:two\n";
        let address = Address::parse("postgres://me@db1,db2:7000,db3/log").unwrap().with_passwords(file);
        assert_eq!(passwords(&address), [Some(&b"o:ne"[..]), Some(b"two"), None]);
        assert!(!address.has_password());
        let address = Address::parse("postgres://me:own@db1/log").unwrap().with_passwords(file).with_password("x");
        assert_eq!(passwords(&address), [Some(&b"own"[..])]);
        let address = Address::parse("postgres://me@db3/log").unwrap().with_password("x");
        assert_eq!(passwords(&address), [Some(&b"x"[..])]);
    }
}
