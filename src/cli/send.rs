//! `chatfold send`: deliveries to an address, as CometChat sends them.

use super::{counted, table};
use crate::config::{Config, ConfigError};
use crate::send::{self, Options, Summary, Target};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const ROUTE: &str = "/webhooks/cometchat";

/// What to send, where, and how.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// JSON or NDJSON files of bodies, the output of `events --json`, folders, or - for standard input [default: a demo]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where to send. Without a path: to /webhooks/cometchat there [default: the address of --listen]
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// Send as this webhook credential of the settings [default: the first one]
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
    /// Make the pauses between deliveries with `receivedAt`, and those before retries, so many times shorter, 0.01 to 100000
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = between(0.01, 100_000.0))]
    pub speed: f64,
    /// Deliveries a second, 0.01 to 100000 [default: by their times; without times as fast as they are answered]
    #[arg(long, value_name = "N", value_parser = between(0.01, 100_000.0))]
    pub rate: Option<f64>,
    /// Requests at once, 1 to 256. More than one does not keep the order
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub at_once: u16,
    /// Share of deliveries that are sent twice, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = between(0.0, 1.0))]
    pub duplicates: f64,
    /// Let up to so many later deliveries overtake each delivery, 0 to 10000
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub reorder: u16,
    /// Send each delivery once more, as a second webhook of the app
    #[arg(long)]
    pub second_webhook: bool,
    /// Share of attempts that the network breaks, 0 to 1: half in the middle of the body, half lose the answer
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = between(0.0, 1.0))]
    pub faults: f64,
    /// Send all deliveries so many times, each time as another app, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub copies: u16,
    /// A number that decides on duplicates, order and faults. The same number decides the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A number within bounds.
fn between(low: f64, high: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let number = text.parse::<f64>().ok().filter(|number| (low..=high).contains(number));
        number.ok_or_else(|| format!("expected a number from {low} to {high}"))
    }
}

/// Sends everything, and counts the answers. Exit code 1 if a delivery was not answered 200.
pub fn run(config: &Config, args: &SendArgs) -> anyhow::Result<ExitCode> {
    let target = Target {
        url: url(&args.to.clone().unwrap_or_else(|| config.address()))?,
        authorization: authorization(config, args.credential.as_deref())?,
        connections: args.at_once.into(),
        speed: args.speed,
        faults: args.faults,
        seed: args.seed,
    };
    let deliveries = if args.paths.is_empty() { send::demo() } else { send::read(&args.paths)? };
    let options = Options {
        speed: args.speed,
        rate: args.rate,
        duplicates: args.duplicates,
        reorder: args.reorder.into(),
        second_webhook: args.second_webhook,
        copies: args.copies.into(),
        seed: args.seed,
    };
    let planned = send::plan(&deliveries, &options);
    let bar = bar(planned.len() as u64);
    let summary = send::send(&target, &planned, &|| bar.inc(1));
    bar.finish_and_clear();
    if let Some(why) = &summary.away {
        anyhow::bail!("cannot send to {}: {why}", target.url);
    }
    print(&summary, args.json)?;
    hint(&summary);
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn url(to: &str) -> Result<String, ConfigError> {
    let with_scheme = if to.contains("://") { to.to_owned() } else { format!("http://{to}") };
    let (scheme, rest) = with_scheme.split_once("://").unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !["http", "https"].contains(&scheme) || host.is_empty() {
        return Err(ConfigError(format!("--to {to:?}: expected a URL such as https://chat.example.com")));
    }
    if host.contains('@') {
        return Err(ConfigError(
            "--to holds a username, which programs and logs show. Set CHATFOLD_WEBHOOK_USERNAME and \
             CHATFOLD_WEBHOOK_PASSWORD instead"
                .into(),
        ));
    }
    Ok(if path.is_empty() { format!("{scheme}://{host}{ROUTE}") } else { with_scheme })
}

/// HTTP Basic of a credential of the settings; `None` if there is none.
pub(super) fn authorization(config: &Config, named: Option<&str>) -> Result<Option<String>, ConfigError> {
    let credential = config.credentials.iter().find(|it| named.is_none_or(|name| it.name == name));
    if let (None, Some(name)) = (credential, named) {
        return Err(ConfigError(format!("the settings have no webhook credential {name:?}")));
    }
    Ok(credential.map(|it| {
        let pair = format!("{}:{}", it.username, it.password.expose());
        format!("Basic {}", STANDARD.encode(pair))
    }))
}

fn print(summary: &Summary, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        return Ok(writeln!(out, "{}", summary.json())?);
    }
    let answered =
        summary.answers.iter().map(|((status, outcome), n)| vec![n.to_string(), status.to_string(), outcome.clone()]);
    let nothing = summary.nothing.iter().map(|(why, n)| vec![n.to_string(), "none".into(), why.clone()]);
    let broken =
        (summary.broken > 0).then(|| vec![summary.broken.to_string(), "none".into(), "broken on purpose".into()]);
    table::print(&mut out, &["attempts", "answer", "outcome"], answered.chain(nothing).chain(broken))?;
    writeln!(
        out,
        "{} in {:.1} s, {}, {} failed; answers: half within {} ms, 99 of 100 within {} ms",
        counted(summary.deliveries, "delivery", "deliveries"),
        summary.took.as_secs_f64(),
        counted(summary.attempts, "attempt", "attempts"),
        summary.failed,
        summary.percentile(50),
        summary.percentile(99)
    )?;
    Ok(())
}

/// What to do about the commonest refusals.
fn hint(summary: &Summary) {
    let is_answered = |wanted: u16| summary.answers.keys().any(|(status, _)| *status == wanted);
    if is_answered(401) {
        eprintln!(
            "401: the server wants webhook credentials. Set CHATFOLD_WEBHOOK_USERNAME and CHATFOLD_WEBHOOK_PASSWORD, or \
             name the configuration file of the server with --config"
        );
    }
    if is_answered(404) || is_answered(405) {
        eprintln!("404 or 405: this is not the address of a webhook. The path of chatfold is {ROUTE}");
    }
}

/// A bar on a terminal, nothing elsewhere.
fn bar(deliveries: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} deliveries, {per_sec}");
    ProgressBar::new(deliveries).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_means_the_webhook_there() {
        let of = |to: &str| url(to).unwrap();
        assert_eq!(of("https://chat.example.com"), "https://chat.example.com/webhooks/cometchat");
        assert_eq!(of("127.0.0.1:8080/"), "http://127.0.0.1:8080/webhooks/cometchat");
        assert_eq!(of("http://[::1]:80/hook?x=1"), "http://[::1]:80/hook?x=1");
        for wrong in ["", "ftp://x", "http://", "http://user:password@host"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
