//! The app that a command is about.

use crate::config::{Config, ConfigError};

/// Fails where the file does not hold that app.
pub(super) fn check(config: &Config, named: &str, apps: &[String]) -> Result<(), ConfigError> {
    if apps.iter().any(|app| app == named) {
        Ok(())
    } else {
        Err(ConfigError(format!("no app {named}: {}", held(config, apps))))
    }
}

/// The app named, else the default app of the settings, else the file's only app.
pub(super) fn only(config: &Config, named: Option<&str>, apps: &[String]) -> Result<String, ConfigError> {
    match (named.or(config.default_app.as_deref()), apps) {
        (Some(named), apps) => check(config, named, apps).map(|()| named.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(ConfigError(format!("name the app with --app: {}", held(config, apps)))),
    }
}

fn held(config: &Config, apps: &[String]) -> String {
    format!("{} holds {}", config.db.display(), if apps.is_empty() { "none".into() } else { apps.join(", ") })
}
