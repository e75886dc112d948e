//! What is shown of private data, as settings: flags and variables that begin with `privacy`, and the table `[privacy]`
//! of the configuration file.

use super::ConfigError;
use super::settings::Choices;
use clap::Args;
use serde::Deserialize;
use std::sync::Arc;

/// Most keys, and the longest of them.
const KEYS: usize = 20;
const LONGEST: usize = 64;

/// What is shown of private data. Each setting may be left out.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "Privacy")]
#[serde(deny_unknown_fields)]
pub struct PrivacyFlags {
    /// Keys of `@private` in people's metadata that tokens of the scope admin see in `User.private`, separated by commas, at
    /// most 20 [default: none]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "KEYS",
        value_delimiter = ',',
        env = "CHATFOLD_PRIVACY_SHOW_PRIVATE"
    )]
    #[serde(rename = "show_private")]
    pub privacy_show_private: Option<Vec<String>>,
}

impl PrivacyFlags {
    /// The keys, from here, or else from the file.
    pub(super) fn over(&self, file: &Self, choices: &mut Choices) -> Result<Arc<[String]>, ConfigError> {
        let (flag, key) = (self.privacy_show_private.clone(), file.privacy_show_private.clone());
        let keys = choices.choose("privacy.show_private", flag, key, Vec::new());
        let keys: Vec<String> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        if keys.len() > KEYS || keys.iter().any(|key| key.len() > LONGEST) {
            return Err(ConfigError(format!(
                "privacy_show_private: expected at most {KEYS} keys of at most {LONGEST} bytes"
            )));
        }
        Ok(keys.into())
    }
}
