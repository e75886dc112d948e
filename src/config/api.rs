//! CometChat's REST API, as settings: for one app by flags and variables, for several apps by tables `[[api_keys]]` of the
//! configuration file. A key is no flag, which `ps` shows to everybody.

use super::credentials::Secret;
use super::file::File;
use super::settings::{Choices, Origin};
use super::{ConfigError, span};
use crate::rest::{Access, Key};
use clap::Args;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const EVERY: &str = "1h";
const REQUESTS: RangeInclusive<u64> = 1..=1_000_000;

/// Which app a key is of, and where the API is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "CometChat's API")]
pub struct ApiFlags {
    /// The app that the API key is of. With it the server reconciles the app on a schedule [default: none]
    #[arg(long, global = true, hide_short_help = true, value_name = "APP_ID", env = "CHATFOLD_API_APP")]
    pub api_app: Option<String>,
    /// The region of the app: us, eu or in [default: as its deliveries say]
    #[arg(long, global = true, hide_short_help = true, value_name = "REGION", env = "CHATFOLD_API_REGION")]
    pub api_region: Option<String>,
    /// Address of the API [default: https://APP_ID.api-REGION.cometchat.io/v3]
    #[arg(long, global = true, hide_short_help = true, value_name = "URL", env = "CHATFOLD_API_URL")]
    pub api_url: Option<String>,
}

/// How often, and how much, a server reconciles.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "Reconcile")]
#[serde(deny_unknown_fields)]
pub struct ReconcileFlags {
    /// Time from one reconcile of an app to the next, 1m to 366d. Only for apps with an API key [default: 1h]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", env = "CHATFOLD_RECONCILE_EVERY")]
    #[serde(rename = "every")]
    pub reconcile_every: Option<String>,
    /// Requests after which a reconcile begins nothing more, 1 to 1000000 [default: 1000]
    #[arg(long, global = true, hide_short_help = true, value_name = "N", env = "CHATFOLD_RECONCILE_REQUESTS")]
    #[serde(rename = "requests")]
    pub reconcile_requests: Option<u64>,
}

/// One `[[api_keys]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiTable {
    pub app: String,
    pub region: Option<String>,
    pub url: Option<String>,
    pub key: Option<Secret>,
    pub key_file: Option<PathBuf>,
}

/// Where a key is.
#[derive(Debug, Clone)]
enum KeyFrom {
    Text(Secret),
    /// Read anew for each run, so a key can be changed without a restart.
    File(PathBuf),
}

/// A key, and the app that it is of.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// `None`: of whatever app is asked for.
    pub app_id: Option<String>,
    pub region: Option<String>,
    url: Option<String>,
    key: Option<KeyFrom>,
}

/// All keys, and the schedule.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    keys: Vec<ApiKey>,
    pub every: Duration,
    pub requests: u64,
}

impl ApiFlags {
    /// Takes each setting from here, or else from the file.
    pub(super) fn over(
        &self,
        reconcile: &ReconcileFlags,
        file: &File,
        env: &dyn Fn(&str) -> Option<String>,
        choices: &mut Choices,
    ) -> Result<ApiSettings, ConfigError> {
        let app_id = choices.maybe("api_app", self.api_app.clone(), file.api_app.clone());
        let region = choices.maybe("api_region", self.api_region.clone(), file.api_region.clone());
        let url = choices.maybe("api_url", self.api_url.clone(), file.api_url.clone());
        let key = single_key(file, env, choices)?;
        if let (Some(app_id), None) = (&app_id, &key) {
            return Err(ConfigError(format!("api_app is {app_id:?}, but there is no API key. {HOW}")));
        }
        let mut keys = vec![ApiKey { app_id, region, url, key }];
        for table in &file.api_keys {
            let what = format!("the table [[api_keys]] of the app {:?}", table.app);
            let key = one_of(&what, table.key.clone(), table.key_file.clone())?
                .ok_or_else(|| ConfigError(format!("{what} has neither key nor key_file")))?;
            if keys.iter().any(|it| it.app_id.as_ref() == Some(&table.app)) {
                return Err(ConfigError(format!("the app {:?} has two API keys. Keep one", table.app)));
            }
            let (app_id, region, url) = (Some(table.app.clone()), table.region.clone(), table.url.clone());
            keys.push(ApiKey { app_id, region, url, key: Some(key) });
        }
        for key in &keys {
            key.check()?;
        }
        let names: Vec<&str> = file.api_keys.iter().map(|table| table.app.as_str()).collect();
        let origin = if names.is_empty() { Origin::Default } else { Origin::File };
        choices.note("api_keys", names, origin);
        let (flag, key) = (reconcile.reconcile_every.clone(), file.reconcile.reconcile_every.clone());
        let every = choices.choose("reconcile.every", flag, key, EVERY.to_owned());
        let every =
            span::parse(&every).map_err(|problem| ConfigError(format!("reconcile_every is {every:?}: {problem}")))?;
        let (flag, key) = (reconcile.reconcile_requests, file.reconcile.reconcile_requests);
        let requests = choices.number("reconcile.requests", flag, key, 1_000, REQUESTS)?;
        Ok(ApiSettings { keys, every, requests })
    }
}

const HOW: &str = "Set CHATFOLD_API_KEY, or name a file that holds the key with CHATFOLD_API_KEY_FILE. It has to be a REST API \
     key of the app, with the scope fullAccess";

fn single_key(
    file: &File,
    env: &dyn Fn(&str) -> Option<String>,
    choices: &mut Choices,
) -> Result<Option<KeyFrom>, ConfigError> {
    let (text, path) = (env("CHATFOLD_API_KEY"), env("CHATFOLD_API_KEY_FILE"));
    let (text, path, origin) = if text.is_some() || path.is_some() {
        (text.as_deref().map(Secret::from), path.map(PathBuf::from), Origin::Environment)
    } else {
        (file.api_key.clone(), file.api_key_file.clone(), Origin::File)
    };
    let origin = |is_set: bool| if is_set || origin == Origin::Environment { origin } else { Origin::Default };
    choices.note_secret("api_key", text.is_some(), origin(text.is_some()));
    choices.note("api_key_file", &path, origin(path.is_some()));
    one_of("the API", text, path)
}

fn one_of(what: &str, text: Option<Secret>, path: Option<PathBuf>) -> Result<Option<KeyFrom>, ConfigError> {
    match (text, path) {
        (Some(_), Some(_)) => Err(ConfigError(format!(
            "{what} has both a key and a key file (CHATFOLD_API_KEY and CHATFOLD_API_KEY_FILE, or key and key_file). Set one \
             of them"
        ))),
        (Some(text), None) => Ok(Some(KeyFrom::Text(text))),
        (None, path) => Ok(path.map(KeyFrom::File)),
    }
}

impl ApiKey {
    /// The address must make sense as soon as all of it is known.
    fn check(&self) -> Result<(), ConfigError> {
        match (&self.app_id, &self.region, &self.url) {
            (Some(app_id), Some(region), url) => Access::address(app_id, region, url.as_deref()),
            (_, _, Some(url)) => Access::address("", "", Some(url)),
            _ => return Ok(()),
        }
        .map(drop)
        .map_err(ConfigError)
    }

    fn read(&self) -> Result<Key, ConfigError> {
        let text = match &self.key {
            Some(KeyFrom::Text(text)) => text.expose().to_owned(),
            Some(KeyFrom::File(path)) => std::fs::read_to_string(path).map_err(|error| {
                ConfigError(format!("cannot read the file of the API key, {}: {error}", path.display()))
            })?,
            None => return Err(ConfigError(format!("there is no API key. {HOW}"))),
        };
        Key::new(&text).ok_or_else(|| {
            ConfigError("the API key is empty, or holds what no key holds. Copy it from CometChat's dashboard".into())
        })
    }
}

impl ApiSettings {
    /// The apps that have a key of their own.
    pub fn apps(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.app_id.as_deref())
    }

    /// Whether there is a key that is of no app yet.
    pub fn has_key_of_no_app(&self) -> bool {
        self.keys.iter().any(|key| key.app_id.is_none() && key.key.is_some())
    }

    /// How to reach an app, and its region. `region`: what is wanted, and what the file knows, which comes last.
    pub fn access(
        &self,
        app_id: &str,
        wanted: Option<&str>,
        known: Option<&str>,
    ) -> Result<(Access, String), ConfigError> {
        let own = self.keys.iter().find(|key| key.app_id.as_deref() == Some(app_id));
        let any = || self.keys.iter().find(|key| key.app_id.is_none());
        let Some(key) = own.or_else(any) else {
            return Err(ConfigError(format!("there is no API key of the app {app_id}. {HOW}")));
        };
        let region = wanted.or(key.region.as_deref()).or(known).ok_or_else(|| {
            ConfigError(format!(
                "the region of the app {app_id} is not known. Set api_region to us, eu or in. `backfill` also takes --region"
            ))
        })?;
        let access = Access::new(app_id, region, key.url.as_deref(), key.read()?).map_err(ConfigError)?;
        Ok((access, region.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Flags};
    use super::*;

    fn settings(toml: &str, env: &[(&str, &str)]) -> Result<ApiSettings, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chatfold.toml");
        std::fs::write(&path, toml).unwrap();
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::resolve(Flags { config: Some(path), ..Flags::default() }, &env).map(|config| config.api)
    }

    #[test]
    fn the_key_comes_from_one_place() {
        let both = [("CHATFOLD_API_KEY", "x"), ("CHATFOLD_API_KEY_FILE", "y")];
        assert!(settings("", &both).unwrap_err().0.contains("both"));
        let none = settings("", &[]).unwrap().access("a", Some("eu"), None).unwrap_err();
        assert!(none.0.contains("CHATFOLD_API_KEY_FILE"), "{none}");
        let one = settings("", &[("CHATFOLD_API_KEY", " key\n")]).unwrap();
        assert!(one.has_key_of_no_app() && one.access("a", Some("eu"), None).is_ok());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let named = settings("", &[("CHATFOLD_API_KEY_FILE", file.to_str().unwrap())]).unwrap();
        assert!(named.access("a", Some("eu"), None).unwrap_err().0.contains("cannot read"));
        std::fs::write(&file, "key\n").unwrap();
        assert!(named.access("a", Some("eu"), None).is_ok(), "a key is read when it is needed");
    }

    #[test]
    fn each_app_has_a_key_and_a_region_of_its_own() {
        let all = "api_app = \"one\"\napi_key = \"k1\"\napi_region = \"eu\"\n[reconcile]\nevery = \"2h\"\nrequests = 7\n\
             [[api_keys]]\napp = \"two\"\nregion = \"us\"\nkey = \"k2\"";
        let all = settings(all, &[]).unwrap();
        assert_eq!((all.every.as_secs(), all.requests), (7_200, 7));
        assert_eq!(all.apps().collect::<Vec<_>>(), ["one", "two"]);
        let base =
            |app: &str, wanted, known| all.access(app, wanted, known).map(|(access, _)| access.base().to_owned());
        assert_eq!(base("one", None, Some("in")).unwrap(), "https://one.api-eu.cometchat.io/v3");
        assert_eq!(base("two", Some("in"), None).unwrap(), "https://two.api-in.cometchat.io/v3");
        assert!(base("three", Some("in"), None).unwrap_err().0.contains("no API key of the app three"));
        let known = settings("api_app = \"one\"", &[("CHATFOLD_API_KEY", "k")]).unwrap();
        assert!(known.access("one", None, Some("us")).is_ok());
        assert!(known.access("one", None, None).unwrap_err().0.contains("api_region"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_no_key_is_shown() {
        for (toml, wrong) in [
            ("api_app = \"a\"", "no API key"),
            ("api_key = \"k\"\napi_url = \"http://example.com\"", "https://"),
            ("[[api_keys]]\napp = \"a\"\nregion = \"eu\"", "neither key nor key_file"),
            ("[[api_keys]]\napp = \"a\"\nkey = \"k\"\n[[api_keys]]\napp = \"a\"\nkey = \"k\"", "two API keys"),
            ("[reconcile]\nevery = \"soon\"", "reconcile_every"),
            ("[reconcile]\nrequests = 0", "reconcile_requests"),
            ("api_key = 987654321", "line 1"),
        ] {
            let error = settings(toml, &[]).unwrap_err().0;
            assert!(error.contains(wrong) && !error.contains("987654321"), "{toml}: {error}");
        }
        let set = settings("api_key = \"k987654321\"", &[]).unwrap();
        assert!(!format!("{set:?}").contains("987654321"));
    }
}
