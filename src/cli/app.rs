//! The app that a command is about.

use crate::config::{Config, ConfigError};
use crate::rest::Access;
use crate::store::sqlite::{open_reader, reconcile};

/// Fails if the file does not hold that app.
pub(super) fn check(config: &Config, named: &str, apps: &[String]) -> Result<(), ConfigError> {
    if apps.iter().any(|app| app == named) {
        Ok(())
    } else {
        Err(ConfigError(format!("there is no app {named}: {}", held(config, apps))))
    }
}

/// The app named, else the default app of the settings, else the only app in the file.
pub(super) fn only(config: &Config, named: Option<&str>, apps: &[String]) -> Result<String, ConfigError> {
    match (named.or(config.default_app.as_deref()), apps) {
        (Some(named), apps) => check(config, named, apps).map(|()| named.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(ConfigError(format!("name the app with --app, because {}", held(config, apps)))),
    }
}

/// How to reach the API of an app, and its region. `region`: as the command line says.
pub(super) fn access(config: &Config, app_id: &str, region: Option<&str>) -> anyhow::Result<(Access, String)> {
    let known = match config.db.exists() {
        true => reconcile::region(&open_reader(&config.db)?, app_id)?,
        false => None,
    };
    Ok(config.api.access(app_id, region, known.as_deref())?)
}

fn held(config: &Config, apps: &[String]) -> String {
    format!("{} holds {}", config.db.display(), if apps.is_empty() { "no app".into() } else { apps.join(", ") })
}
