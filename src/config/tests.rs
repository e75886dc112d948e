use super::*;
use std::collections::HashMap;

fn resolve(toml: &str, env: &[(&str, &str)], flags: Flags) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chatfold.toml");
    std::fs::write(&path, toml).unwrap();
    let env: HashMap<String, String> = env.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Config::resolve(Flags { config: Some(path), ..flags }, &|name| env.get(name).cloned())
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_defaults() {
    let config = resolve("workers = 3\ndb = \"a.db\"", &[], Flags { workers: Some(5), ..Flags::default() }).unwrap();
    assert_eq!((config.workers, config.db.to_str().unwrap()), (5, "a.db"));
    assert_eq!((config.body_limit, config.row_cache, config.listen.port()), (2 << 20, 16 << 20, 8080));
}

#[test]
fn the_environment_wins_over_the_file_even_if_all_digits() {
    let file = "webhook_username = \"f\"\nwebhook_password = \"file\"";
    let env = [("CHATFOLD_WEBHOOK_USERNAME", "e"), ("CHATFOLD_WEBHOOK_PASSWORD", "12345")];
    let config = resolve(file, &env, Flags::default()).unwrap();
    assert_eq!(config.credentials[0].username, "e");
    assert_eq!(config.credentials[0].password.expose(), "12345");
}

#[test]
fn bounds_hold() {
    let error = resolve("workers = 65", &[], Flags::default()).unwrap_err();
    assert_eq!(error.0, "workers is 65, but must be between 1 and 64");
    let error = resolve("row_cache = 1000", &[], Flags::default()).unwrap_err();
    assert_eq!(error.0, "row_cache is 1000, but must be between 1048576 and 4294967296");
    assert!(resolve("log_filter = \"a=b=c\"", &[], Flags::default()).is_err());
    assert!(resolve("body_limit = 4000000\nbytes_in_flight = 2000000", &[], Flags::default()).is_err());
}

#[test]
fn an_unknown_key_is_shown_with_a_caret() {
    let error = resolve("workers = 2\nworkerz = 3", &[], Flags::default()).unwrap_err();
    assert!(error.0.contains('^') && error.0.contains("workerz"), "{error}");
}

#[test]
fn no_error_and_no_debug_output_shows_a_password() {
    for toml in [
        "webhook_password = 987654321",
        "webhook_username = \"u\"\nwebhook_password = \"sesame987654321",
        "[[webhook_credentials]]\nname = \"n\"\nusername = \"u\"\npassword = [987654321]",
    ] {
        let error = resolve(toml, &[], Flags::default()).unwrap_err();
        assert!(!format!("{error:?}").contains("987654321"), "{error}");
    }
    let env = [("CHATFOLD_WEBHOOK_USERNAME", "e"), ("CHATFOLD_WEBHOOK_PASSWORD", "987654321")];
    assert!(!format!("{:?}", resolve("", &env, Flags::default()).unwrap()).contains("987654321"));
}

#[test]
fn several_credentials_and_a_password_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, "sesame\n").unwrap();
    let toml = format!(
        "[[webhook_credentials]]\nname = \"old\"\nusername = \"u\"\npassword = \"p\"\n\
         [[webhook_credentials]]\nname = \"new\"\nusername = \"u\"\npassword_file = {path:?}\napps = [\"a\"]"
    );
    let config = resolve(&toml, &[], Flags::default()).unwrap();
    assert_eq!(config.credentials[1].password.expose(), "sesame");
    assert_eq!(config.credentials[1].apps.as_deref(), Some(&["a".to_owned()][..]));
}

#[test]
fn half_a_credential_and_doubles_are_refused() {
    for (toml, env) in [
        ("webhook_username = \"u\"", &[][..]),
        ("", &[("CHATFOLD_WEBHOOK_PASSWORD", "p")][..]),
        ("[[webhook_credentials]]\nname = \"n\"\nusername = \"u\"", &[][..]),
        ("webhook_username = \"a:b\"\nwebhook_password = \"p\"", &[][..]),
        ("webhook_username = \"u\"\nwebhook_password = \"\"", &[][..]),
        (
            "webhook_username = \"u\"\nwebhook_password = \"p\"\n[[webhook_credentials]]\nname = \"n\"\nusername = \"u\"\npassword = \"p\"",
            &[][..],
        ),
    ] {
        assert!(resolve(toml, env, Flags::default()).is_err(), "{toml}");
    }
}

#[test]
fn off_loopback_long_passwords_are_needed() {
    let public = || Flags { listen: Some(([0, 0, 0, 0], 80).into()), ..Flags::default() };
    let of = |length: usize| format!("webhook_username = \"u\"\nwebhook_password = \"{}\"", "x".repeat(length));
    assert!(resolve("", &[], public()).unwrap().check_serve().is_err());
    assert!(resolve(&of(15), &[], public()).unwrap().check_serve().is_err());
    assert!(resolve(&of(16), &[], public()).unwrap().check_serve().is_ok());
    assert!(resolve(&of(1), &[], Flags::default()).unwrap().check_serve().is_ok(), "loopback");
}

#[test]
fn looking_into_a_file_asks_for_no_token_where_webhook_credentials_are_configured() {
    let configured = resolve("webhook_username = \"u\"\nwebhook_password = \"p\"", &[], Flags::default()).unwrap();
    assert_eq!(configured.credentials.len(), 1);
    assert!(configured.to_open("copy.db".into()).unwrap().credentials.is_empty());
}

#[test]
fn the_example_says_the_defaults() {
    let example = resolve(include_str!("../../chatfold.toml.example"), &[], Flags::default()).unwrap();
    let plain = resolve("workers = 2", &[], Flags::default()).unwrap();
    let file = file::parse(include_str!("../../chatfold.toml.example")).unwrap();
    let told = format!("{:?}", file.graphql);
    assert_eq!(told.matches("None").count(), 1, "all but the allow list have a default to tell: {told}");
    let told = format!("{:?}", file.unread);
    assert!(!told.contains("None"), "all have a default to tell: {told}");
    let values = |config: &Config| -> Vec<_> {
        let told = config.settings().iter().filter(|it| it.key != "config");
        told.map(|it| (it.key, it.value.clone())).collect()
    };
    assert_eq!(values(&example), values(&plain));
    let shown = |config: Config| format!("{:?}", Config { flags: Flags::default(), settings: Vec::new(), ..config });
    assert_eq!(shown(example), shown(plain));
}

#[test]
fn limits_are_settings_with_bounds() {
    let graphql = |toml: &str| resolve(&format!("[graphql]\n{toml}"), &[], Flags::default());
    assert_eq!(graphql("depth = 5\nintrospection = false").unwrap().graphql.depth, 5);
    assert_eq!(graphql("depth = 31").unwrap_err().0, "graphql_depth is 31, but must be between 2 and 30");
    assert!(graphql("dept = 3").unwrap_err().0.contains("dept"));
    let flags =
        Flags { graphql: GraphqlFlags { graphql_depth: Some(7), ..GraphqlFlags::default() }, ..Flags::default() };
    assert_eq!(resolve("[graphql]\ndepth = 5", &[], flags).unwrap().graphql.depth, 7);
}

#[test]
fn what_counts_as_unread_is_a_setting() {
    let unread = |toml: &str, flags| resolve(toml, &[], flags).map(|config| config.graphql.unread);
    let plain = unread("", Flags::default()).unwrap();
    assert!(!plain.thread_replies && !plain.custom);
    let told = unread("[unread]\nthread_replies = true\ncustom = true", Flags::default()).unwrap();
    assert!(told.thread_replies && told.custom);
    let flags =
        Flags { unread: UnreadFlags { unread_custom: Some(false), ..UnreadFlags::default() }, ..Flags::default() };
    let over = unread("[unread]\nthread_replies = true\ncustom = true", flags).unwrap();
    assert!(over.thread_replies && !over.custom, "flags win");
    assert!(unread("[unread]\ncustom = 1", Flags::default()).is_err());
    assert!(unread("[unread]\nreplies = true", Flags::default()).unwrap_err().0.contains("replies"));
}

#[test]
fn a_folder_makes_the_server_make_backups() {
    let backup = |toml: &str| resolve(&format!("[backup]\n{toml}"), &[], Flags::default()).map(|config| config.backup);
    assert_eq!(backup("every = \"1h\"").unwrap(), None);
    let made = backup("folder = \"copies\"\nevery = \"1h\"").unwrap().unwrap();
    assert_eq!((made.every, made.keep), (Duration::from_secs(3_600), 14));
    for wrong in ["every = \"1s\"", "every = 6", "keep = 0", "keep = 10001", "often = true"] {
        assert!(backup(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn private_keys_are_shown_only_where_a_setting_names_them() {
    let shown = |toml: &str| resolve(toml, &[], Flags::default()).map(|config| config.graphql.show_private.to_vec());
    assert!(shown("").unwrap().is_empty());
    assert_eq!(shown("[privacy]\nshow_private = [\"email\", \"\"]").unwrap(), ["email"]);
    let flags = PrivacyFlags { privacy_show_private: Some(vec!["phone".into()]) };
    let flags = Flags { privacy: flags, ..Flags::default() };
    let over = resolve("[privacy]\nshow_private = [\"email\"]", &[], flags).unwrap();
    assert_eq!(over.graphql.show_private.to_vec(), ["phone"], "flags win");
    let many: Vec<String> = (0..21).map(|n| format!("\"k{n}\"")).collect();
    assert!(shown(&format!("[privacy]\nshow_private = [{}]", many.join(","))).unwrap_err().0.contains("at most 20"));
    assert!(shown("[privacy]\nshow = []").unwrap_err().0.contains("show"));
}

#[test]
fn origins_are_exact() {
    let origins = |list: &str| resolve(&format!("cors_origins = [{list}]"), &[], Flags::default());
    let two = origins("\"https://app.example.com\", \"http://[::1]:3000\"").unwrap();
    assert_eq!(two.cors_origins.len(), 2);
    for wrong in
        ["*", "null", "app.example.com", "https://*.example.com", "https://a.example/", "https://", "https://A.example"]
    {
        assert!(origins(&format!("\"{wrong}\"")).is_err(), "{wrong}");
    }
}

/// The keys of a table of the file, as an error names them.
fn keys(table: &str) -> Vec<String> {
    let error = file::parse(&format!("{table}nothing = 1")).unwrap_err();
    let named = error.split_once("expected one of ").or_else(|| error.split_once("expected ")).unwrap().1;
    named.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_setting_is_listed_once_under_the_name_of_its_key_and_its_flag() {
    let config = resolve("", &[], Flags::default()).unwrap();
    let listed: Vec<&str> = config.settings().iter().map(|it| it.key).collect();
    let flags = <Flags as Args>::augment_args(clap::Command::new("chatfold"));
    let flags: Vec<String> = flags.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    let is_flag = |key: &&&str| !["webhook_", "log_password", "api_key"].iter().any(|begin| key.starts_with(begin));
    let named: Vec<String> = listed.iter().filter(is_flag).map(|key| key.replace('.', "_")).collect();
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    assert_eq!(sorted(&named), sorted(&flags));
    let tables = ["graphql", "unread", "backup", "retention", "privacy", "reconcile"];
    let top = keys("").into_iter().filter(|key| !tables.contains(&key.as_str()));
    let inner = tables
        .iter()
        .flat_map(|table| keys(&format!("[{table}]\n")).into_iter().map(move |key| format!("{table}.{key}")));
    let of_file: Vec<String> = top.chain(inner).collect();
    let listed: Vec<String> = listed.iter().filter(|key| **key != "config").map(|key| (*key).to_owned()).collect();
    assert_eq!(sorted(&listed), sorted(&of_file));
}

#[test]
fn each_setting_says_where_it_comes_from() {
    let command = <Flags as Args>::augment_args(clap::Command::new("chatfold"));
    let matches = command.get_matches_from(["chatfold", "--workers", "5", "--graphql-depth", "7"]);
    let mut flags = <Flags as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    flags.given = Given::of(&matches);
    // As clap takes it from a variable.
    flags.row_cache = Some(1 << 20);
    let file = "workers = 3\ndb = \"a.db\"\nwebhook_username = \"u\"\n[unread]\ncustom = true";
    let config = resolve(file, &[("CHATFOLD_WEBHOOK_PASSWORD", "987654321")], flags).unwrap();
    let told = |key: &str| {
        let it = config.settings().iter().find(|it| it.key == key).unwrap();
        (it.text().unwrap_or_default(), it.origin)
    };
    assert_eq!(told("workers"), ("5".into(), Origin::Flag));
    assert_eq!(told("graphql.depth"), ("7".into(), Origin::Flag));
    assert_eq!(told("row_cache"), ("1048576".into(), Origin::Environment));
    assert_eq!(told("db"), ("a.db".into(), Origin::File));
    assert_eq!(told("unread.custom"), ("true".into(), Origin::File));
    assert_eq!(told("query_timeout_ms"), ("2000".into(), Origin::Default));
    assert_eq!(told("default_app"), (String::new(), Origin::Default));
    assert_eq!(told("webhook_username"), ("u".into(), Origin::File));
    assert_eq!(told("webhook_password"), ("[secret]".into(), Origin::Environment));
    assert!(!format!("{:?}", config.settings()).contains("987654321"));
}

#[test]
fn looking_into_a_file_lists_the_file_and_the_address_that_it_uses() {
    let opened = resolve("db = \"a.db\"", &[], Flags::default()).unwrap().to_open("copy.db".into()).unwrap();
    let told = |key: &str| opened.settings().iter().find(|it| it.key == key).and_then(Setting::text);
    assert_eq!((told("db"), told("listen")), (Some("copy.db".into()), Some("127.0.0.1:0".into())));
    assert_eq!(told("webhook_username"), None);
}
