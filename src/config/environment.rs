//! Environment variables that look like settings, but are not settings.

/// All variables of chatfold begin with this.
const PREFIX: &str = "CHATFOLD_";
/// Settings that are not flags.
const NO_FLAGS: [&str; 7] = [
    "CHATFOLD_WEBHOOK_USERNAME",
    "CHATFOLD_WEBHOOK_PASSWORD",
    "CHATFOLD_WEBHOOK_PASSWORD_FILE",
    "CHATFOLD_API_KEY",
    "CHATFOLD_API_KEY_FILE",
    "CHATFOLD_LOG_PASSWORD",
    "CHATFOLD_LOG_PASSWORD_FILE",
];
/// A name less similar than this is not taken for a misspelling.
const ALIKE: f64 = 0.85;

/// Warnings about variables in the process's environment that begin with `CHATFOLD_` and are not settings. `flags` are
/// the variables of the flags.
pub fn unknown_variables(flags: &[String]) -> Vec<String> {
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    warnings(set, flags)
}

fn warnings(set: impl Iterator<Item = String>, flags: &[String]) -> Vec<String> {
    let known = || flags.iter().map(String::as_str).chain(NO_FLAGS);
    let unknown = set.filter(|name| name.starts_with(PREFIX) && known().all(|known| known != name));
    let warning = |name: String| {
        let likeness = |known: &str| strsim::jaro_winkler(&name[PREFIX.len()..], &known[PREFIX.len()..]);
        let nearest = known().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        match nearest.filter(|nearest| likeness(nearest) >= ALIKE) {
            Some(nearest) => {
                format!("the environment variable {name} is not a setting and has no effect. Did you mean {nearest}?")
            }
            None => format!(
                "the environment variable {name} is not a setting and has no effect. `chatfold serve --help` lists all settings"
            ),
        }
    };
    unknown.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_variable_is_told_with_the_nearest_setting() {
        let flags = ["CHATFOLD_LISTEN".to_owned(), "CHATFOLD_DB".to_owned()];
        let set = ["PATH", "CHATFOLD_DB", "CHATFOLD_LISTENS", "CHATFOLD_WEBHOOK_PASSWORT", "CHATFOLD_COLOUR"];
        let told = warnings(set.into_iter().map(str::to_owned), &flags);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].ends_with("CHATFOLD_LISTENS is not a setting and has no effect. Did you mean CHATFOLD_LISTEN?"),
            "{told:?}"
        );
        assert!(told[1].ends_with("Did you mean CHATFOLD_WEBHOOK_PASSWORD?"), "{told:?}");
        assert!(told[2].ends_with("`chatfold serve --help` lists all settings"), "{told:?}");
    }
}
