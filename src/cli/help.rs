//! The help of each command: its own arguments, the settings that it uses, an example.

use super::Cli;
use clap::{Arg, Command, CommandFactory};

/// Settings that every command uses.
const COMMON: [&str; 4] = ["config", "db", "log_format", "log_filter"];
/// Settings that single commands use as well. `serve` uses all.
const USED: &[(&str, &[&str])] = &[
    ("open", &["listen"]),
    ("send", &["listen"]),
    ("ingest", &["row_cache"]),
    ("backfill", &["row_cache", "api_url"]),
    ("reconcile", &["row_cache", "api_app", "api_region", "api_url", "reconcile_requests"]),
    ("explain", &["default_app"]),
    ("export-user", &["default_app"]),
    ("erase-user", &["default_app"]),
    #[cfg(feature = "postgres")]
    ("log", &["log"]),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("open", "chatfold open copy-of-chatfold.db"),
    ("backfill", "CHATFOLD_API_KEY_FILE=api-key chatfold backfill --app 2489f0demo01 --region eu --db chatfold.db"),
    ("reconcile", "CHATFOLD_API_KEY_FILE=api-key chatfold reconcile --app 2489f0demo01 --db chatfold.db"),
    ("ingest", "chatfold ingest deliveries.ndjson --db chatfold.db"),
    ("events", "chatfold events --about group:book-club --since 2d"),
    ("explain", "chatfold explain membership:book-club/kofi"),
    ("drift", "chatfold drift --db chatfold.db"),
    ("gaps", "chatfold gaps --db chatfold.db"),
    ("inspect", "chatfold inspect --db chatfold.db"),
    ("rebuild", "chatfold rebuild --db chatfold.db"),
    ("verify", "chatfold verify --db chatfold.db"),
    ("backup", "chatfold backup backups --every 6h --keep 14 --db chatfold.db"),
    ("restore", "chatfold restore backups/chatfold-20260105T120000Z.db --db chatfold.db"),
    ("export", "chatfold export --view v_messages --format csv > messages.csv"),
    ("export-user", "chatfold export-user --uid kofi > kofi.json"),
    ("erase-user", "chatfold erase-user --uid kofi --db chatfold.db"),
    ("token", "chatfold token create --name support --scope content --expires 90d"),
    ("send", "chatfold send --to http://127.0.0.1:8080 --rate 20"),
    ("doctor", "chatfold doctor --config chatfold.toml --url https://chat.example.com"),
    ("config", "chatfold config --config chatfold.toml"),
    #[cfg(feature = "postgres")]
    ("log", "chatfold log init --log postgres://chatfold@db1,db2,db3/chatfold"),
    ("schema", "chatfold schema > schema.graphql"),
    ("completions", "chatfold completions bash > ~/.local/share/bash-completion/completions/chatfold"),
    ("man", "chatfold man ~/.local/share/man/man1"),
];

const CREDENTIALS: &str = "\
Every setting is also a key of the configuration file. --body-limit is the key body_limit,
--graphql-depth is depth in the table [graphql], --unread-custom is custom in the table [unread].

Webhook credentials are not flags, because `ps` shows flags to everybody. Set variables:
  CHATFOLD_WEBHOOK_USERNAME, and CHATFOLD_WEBHOOK_PASSWORD or CHATFOLD_WEBHOOK_PASSWORD_FILE
or in the configuration file:
  webhook_username, and webhook_password or webhook_password_file
For several credentials, write a table [[webhook_credentials]] for each, with name, username, and
password or password_file. apps = [\"…\"] limits a credential to these apps. The signal SIGHUP makes
the server read all credentials again.

The key of CometChat's API is no flag either. Set api_app, and CHATFOLD_API_KEY or
CHATFOLD_API_KEY_FILE, or in the configuration file api_key or api_key_file. For several apps,
write a table [[api_keys]] for each, with app, key or key_file, and region or url if needed.

Example:
  chatfold serve --listen 127.0.0.1:8080 --db chatfold.db";

const EXIT_CODES: &str = "\
`chatfold COMMAND --help` shows the arguments of a command and an example.
`chatfold serve --help` lists all settings, their variables CHATFOLD_*, and the credentials.

Exit codes: 0 done, 1 the command failed or the answer is no, 2 wrong arguments or settings.";

/// The command line with its help. Each setting can be given to each command, but only commands that use a setting show
/// the setting.
pub fn command() -> Command {
    let mut command = Cli::command().after_help(EXIT_CODES);
    let is_setting = |arg: &&Arg| arg.is_global_set() && !COMMON.contains(&arg.get_id().as_str());
    let settings: Vec<Arg> = command.get_arguments().filter(is_setting).cloned().collect();
    for setting in &settings {
        command = command.mut_arg(setting.get_id(), |arg| arg.hide(true));
    }
    let used = |name: &str| {
        let names = USED.iter().find(|(command, _)| *command == name).map_or(&[][..], |(_, names)| names);
        settings.iter().filter(move |it| names.contains(&it.get_id().as_str())).cloned().collect::<Vec<_>>()
    };
    for &(name, example) in EXAMPLES {
        let help = format!("Example:\n  {example}");
        command = command.mut_subcommand(name, |it| it.args(used(name)).after_help(help));
    }
    command.mut_subcommand("serve", |it| it.args(settings).after_help(CREDENTIALS))
}

/// The environment variables that are settings.
pub fn variables() -> Vec<String> {
    let command = Cli::command();
    let names = command.get_arguments().filter_map(Arg::get_env);
    names.filter_map(|name| name.to_str()).map(str::to_owned).collect()
}
