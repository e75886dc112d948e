//! The key of CometChat's REST API. It is no flag, which `ps` shows to everybody.

use super::ConfigError;
use crate::rest::Key;

/// The key in `CHATFOLD_API_KEY`, or in the file that `CHATFOLD_API_KEY_FILE` names.
pub fn api_key(env: &dyn Fn(&str) -> Option<String>) -> Result<Key, ConfigError> {
    let text = match (env("CHATFOLD_API_KEY"), env("CHATFOLD_API_KEY_FILE")) {
        (Some(_), Some(_)) => {
            return Err(ConfigError("CHATFOLD_API_KEY and CHATFOLD_API_KEY_FILE are both set. Set one of them".into()));
        }
        (Some(key), None) => key,
        (None, Some(path)) => std::fs::read_to_string(&path)
            .map_err(|error| ConfigError(format!("CHATFOLD_API_KEY_FILE: cannot read {path}: {error}")))?,
        (None, None) => {
            return Err(ConfigError(
                "there is no API key. Set CHATFOLD_API_KEY, or name a file that holds the key with \
                 CHATFOLD_API_KEY_FILE. It has to be a REST API key of the app, with the scope fullAccess"
                    .into(),
            ));
        }
    };
    Key::new(&text).ok_or_else(|| {
        ConfigError("the API key is empty, or holds what no key holds. Copy it from CometChat's dashboard".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_comes_from_one_place() {
        assert!(api_key(&|_| Some("x".into())).unwrap_err().0.contains("both set"));
        assert!(api_key(&|_| None).unwrap_err().0.contains("CHATFOLD_API_KEY_FILE"));
        assert!(api_key(&|name| (name == "CHATFOLD_API_KEY").then(|| " key\n".into())).is_ok());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let named = |name: &str| (name == "CHATFOLD_API_KEY_FILE").then(|| file.display().to_string());
        assert!(api_key(&named).unwrap_err().0.contains("cannot read"));
        std::fs::write(&file, "key\n").unwrap();
        assert!(api_key(&named).is_ok());
    }
}
