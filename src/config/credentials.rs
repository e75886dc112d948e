//! Webhook credentials, from every source that may hold them.

use super::ConfigError;
use super::file::File;
use super::settings::{Choices, Origin};
use serde::Deserialize;
use std::fmt;
use std::path::Path;

/// The shortest password for a server that listens beyond loopback.
pub const MIN_PUBLIC_PASSWORD: usize = 16;
/// Encoded, username and password fit together into the 512 bytes that the header may have.
const MAX_USERNAME: usize = 128;
const MAX_PASSWORD: usize = 200;

/// Text that no message, log line or debug output shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for hashing and for `chatfold send`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The number of its characters.
    pub fn len(&self) -> usize {
        self.0.chars().count()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Who may post deliveries.
#[derive(Debug, Clone)]
pub struct WebhookCredential {
    /// The name in logs and metrics.
    pub name: String,
    pub username: String,
    pub password: Secret,
    /// The apps whose deliveries it may post. `None`: all apps.
    pub apps: Option<Vec<String>>,
}

/// First the credential of the environment, or of the top of the file, with the name `default`. Then the list in the
/// file.
pub(super) fn collect(
    file: &File,
    env: &dyn Fn(&str) -> Option<String>,
    choices: &mut Choices,
) -> Result<Vec<WebhookCredential>, ConfigError> {
    let mut all = Vec::new();
    let username = env("CHATFOLD_WEBHOOK_USERNAME");
    let username = choices.maybe("webhook_username", username, file.webhook_username.clone());
    note_passwords(file, env, choices);
    match (username, single_password(file, env)?) {
        (Some(username), Some(password)) => {
            all.push(WebhookCredential { name: "default".into(), username, password, apps: None });
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err(ConfigError("a webhook username is set, but no webhook password".into()));
        }
        (None, Some(_)) => {
            return Err(ConfigError("a webhook password is set, but no webhook username".into()));
        }
    }
    for table in &file.webhook_credentials {
        let what = format!("webhook credential {:?}", table.name);
        let password = one_of(&what, table.password.clone(), table.password_file.as_deref())?
            .ok_or_else(|| ConfigError(format!("{what} has neither password nor password_file")))?;
        all.push(WebhookCredential {
            name: table.name.clone(),
            username: table.username.clone(),
            password,
            apps: table.apps.clone(),
        });
    }
    check(&all)?;
    Ok(all)
}

fn note_passwords(file: &File, env: &dyn Fn(&str) -> Option<String>, choices: &mut Choices) {
    let (direct, path) = (env("CHATFOLD_WEBHOOK_PASSWORD"), env("CHATFOLD_WEBHOOK_PASSWORD_FILE"));
    if direct.is_some() || path.is_some() {
        choices.note_secret("webhook_password", direct.is_some(), Origin::Environment);
        choices.note("webhook_password_file", path, Origin::Environment);
    } else {
        let origin = |is_set| if is_set { Origin::File } else { Origin::Default };
        let (direct, path) = (file.webhook_password.is_some(), &file.webhook_password_file);
        choices.note_secret("webhook_password", direct, origin(direct));
        choices.note("webhook_password_file", path, origin(path.is_some()));
    }
    let names: Vec<&str> = file.webhook_credentials.iter().map(|table| table.name.as_str()).collect();
    let origin = if names.is_empty() { Origin::Default } else { Origin::File };
    choices.note("webhook_credentials", names, origin);
}

fn single_password(file: &File, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Secret>, ConfigError> {
    let direct = env("CHATFOLD_WEBHOOK_PASSWORD").map(Secret);
    let path = env("CHATFOLD_WEBHOOK_PASSWORD_FILE");
    match one_of("the environment", direct, path.as_deref().map(Path::new))? {
        Some(password) => Ok(Some(password)),
        None => one_of("the configuration file", file.webhook_password.clone(), file.webhook_password_file.as_deref()),
    }
}

pub(super) fn one_of(what: &str, direct: Option<Secret>, path: Option<&Path>) -> Result<Option<Secret>, ConfigError> {
    match (direct, path) {
        (Some(_), Some(_)) => {
            Err(ConfigError(format!("{what} has both a password and a password file. Keep only one")))
        }
        (direct, None) => Ok(direct),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError(format!("{what}: reading the password file {}: {error}", path.display()))
            })?;
            // Editors end files with a line break that is no part of the password.
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Ok(Some(Secret(line.strip_suffix('\r').unwrap_or(line).to_owned())))
        }
    }
}

fn check(all: &[WebhookCredential]) -> Result<(), ConfigError> {
    for (index, it) in all.iter().enumerate() {
        let wrong = |problem: &str| Err(ConfigError(format!("webhook credential {:?}: {problem}", it.name)));
        if it.name.is_empty() || it.name.len() > 64 {
            return wrong("its name must have 1 to 64 bytes");
        }
        if it.username.is_empty() || it.username.len() > MAX_USERNAME {
            return wrong("its username must have 1 to 128 bytes");
        }
        if it.username.contains(':') {
            return wrong("its username contains a colon, which HTTP Basic cannot carry");
        }
        if it.password.is_empty() || it.password.expose().len() > MAX_PASSWORD {
            return wrong("its password must have 1 to 200 bytes");
        }
        if it.username.contains(char::is_control) || it.password.expose().contains(char::is_control) {
            return wrong("username and password may contain no control characters, line breaks included");
        }
        if it.apps.as_ref().is_some_and(Vec::is_empty) {
            return wrong("its list of apps is empty. Name some apps, or leave `apps` out for all apps");
        }
        for earlier in &all[..index] {
            if earlier.name == it.name {
                return wrong("another credential has the same name");
            }
            if earlier.username == it.username && earlier.password == it.password {
                return wrong(&format!("it has the same username and password as {:?}", earlier.name));
            }
        }
    }
    Ok(())
}
