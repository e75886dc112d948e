//! Where a new node gets its copy. The token is shown nowhere.

use super::{ConfigError, Secret};
use clap::Args;
use std::path::PathBuf;

/// The path of a server that gives a copy.
const ROUTE: &str = "/backup";

/// The node that gives the copy.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// The address of a node that runs, such as https://node1.example.com
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// A token of that node, of scope admin for all apps. `ps` shows flags to everybody: prefer the variable or the file
    #[arg(long, value_name = "TOKEN", env = "CHATFOLD_JOIN_TOKEN", hide_env_values = true)]
    pub token: Option<Secret>,
    /// A file with that token
    #[arg(long, value_name = "FILE", env = "CHATFOLD_JOIN_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// A file (PEM) with the root certificate that signed the node's [default: the roots of the web]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// The same, checked.
#[derive(Debug)]
pub struct Source {
    pub url: String,
    /// `None`: the node asks nobody for one.
    pub token: Option<Secret>,
    /// The root certificate, as it stands in its file.
    pub ca: Option<Vec<u8>>,
}

impl SourceArgs {
    /// Reads the files.
    pub fn source(&self) -> Result<Source, ConfigError> {
        let url = url(&self.from)?;
        let token = match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => {
                return Err(ConfigError("there is a token and a file with a token. Keep only one".to_owned()));
            }
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError(format!("--token-file: reading {}: {error}", path.display())))?;
                Some(Secret::from(text.trim()))
            }
            (token, None) => token.clone(),
        };
        // An HTTP header carries no control character, and an error of the client would show the token.
        if token
            .as_ref()
            .is_some_and(|token| token.is_empty() || !token.expose().bytes().all(|it| it.is_ascii_graphic()))
        {
            return Err(ConfigError("the token is none: `chatfold token create --scope admin` prints one".to_owned()));
        }
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| ConfigError(format!("--ca-file: reading {}: {error}", path.display())))
        };
        Ok(Source { url, token, ca: self.ca_file.as_ref().map(read).transpose()? })
    }
}

fn url(from: &str) -> Result<String, ConfigError> {
    let wrong = |what: &str| Err(ConfigError(format!("--from: {what}, such as https://node1.example.com")));
    let (scheme, rest) = from.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !["http", "https"].contains(&scheme) || host.is_empty() {
        return wrong("expected the address of a node");
    }
    if host.contains('@') {
        return wrong("the address holds a username; expected an address without one");
    }
    Ok(format!("{}{ROUTE}", from.trim_end_matches('/').trim_end_matches(ROUTE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_node_leads_to_its_copy() {
        for from in ["https://a", "https://a/", "https://a/backup"] {
            assert_eq!(url(from).unwrap(), "https://a/backup");
        }
        for (from, told) in [("a", "expected"), ("ftp://a", "expected"), ("https://me:sesame@a", "username")] {
            let error = url(from).unwrap_err();
            assert!(error.0.contains(told) && !error.0.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn a_token_comes_from_one_place_and_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "cf_sesame\n").unwrap();
        let args = |token: Option<&str>, token_file: Option<&PathBuf>| SourceArgs {
            from: "http://a".into(),
            token: token.map(Secret::from),
            token_file: token_file.cloned(),
            ca_file: None,
        };
        let source = args(None, Some(&file)).source().unwrap();
        assert_eq!(source.token.as_ref().unwrap().expose(), "cf_sesame");
        assert!(!format!("{source:?}").contains("sesame"));
        assert!(args(Some("cf_x"), Some(&file)).source().unwrap_err().0.contains("only one"));
        let error = args(Some("cf_sesame\r\nHost: b"), None).source().unwrap_err();
        assert!(error.0.contains("token") && !error.0.contains("sesame"), "{error}");
    }
}
