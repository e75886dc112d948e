//! Environment variables that look like settings and are none.

/// Every variable of chatfold begins so.
const PREFIX: &str = "CHATFOLD_";
/// Settings that are no flags.
const NO_FLAGS: [&str; 3] =
    ["CHATFOLD_WEBHOOK_USERNAME", "CHATFOLD_WEBHOOK_PASSWORD", "CHATFOLD_WEBHOOK_PASSWORD_FILE"];
/// A name that is less alike is no misspelling.
const ALIKE: f64 = 0.85;

/// Warnings about variables of the process's environment that begin with `CHATFOLD_` and are no setting. `flags` are the
/// variables of the flags.
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
                format!("the environment variable {name} is no setting and has no effect: did you mean {nearest}?")
            }
            None => format!(
                "the environment variable {name} is no setting and has no effect: `chatfold serve --help` lists them"
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
            told[0].ends_with("CHATFOLD_LISTENS is no setting and has no effect: did you mean CHATFOLD_LISTEN?"),
            "{told:?}"
        );
        assert!(told[1].ends_with("did you mean CHATFOLD_WEBHOOK_PASSWORD?"), "{told:?}");
        assert!(told[2].ends_with("`chatfold serve --help` lists them"), "{told:?}");
    }
}
