//! What the file says of its apps: is anything missing, refused, late, silent?

use super::Finding;
use crate::clock;
use crate::config::Config;
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use crate::quiet;
use crate::store::sqlite::inspect::{self, Filter, Inspector};
use crate::store::sqlite::read::{Conn, app, silence, traffic};
use crate::store::sqlite::{Connection, fold_version};
use std::collections::BTreeMap;

/// Among so many deliveries a retry is to be expected.
const SOME_RETRY: i64 = 1_000;
/// Among so many deliveries the usual triggers are to be expected.
const USUAL: i64 = 50;
/// What every app with chat sends.
const CHAT: [&str; 4] = ["message_sent", "message_edited", "message_deleted", "message_delivery_receipt"];
/// Dead letters that are looked at.
const DEAD_LETTERS: u32 = 1_000;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let opened = inspect::open_file(&config.db).and_then(|conn| Ok((conn, inspect::open(&config.db)?)));
    match opened {
        Ok((conn, log)) => of_file(config, &conn, &log).unwrap_or_else(|error| vec![unreadable(&error)]),
        Err(error) => vec![unreadable(&error.into())],
    }
}

fn unreadable(error: &anyhow::Error) -> Finding {
    let words = format!("{error:#}");
    // Some errors end with the advice.
    let words = words.trim_end_matches(". Name the file with --db");
    Finding::bad("file", words, "Name the file with --db. `chatfold serve` makes a new one.")
}

fn of_file(config: &Config, conn: &Connection, log: &Inspector) -> anyhow::Result<Vec<Finding>> {
    let mut all = vec![edition(config, fold_version(conn)?)];
    let offsets: BTreeMap<String, i64> = app::clock_offsets(conn, None)?.into_iter().collect();
    let apps = log.apps()?;
    if apps.is_empty() {
        all.push(Finding::warn(
            "deliveries",
            "none has come yet",
            "`chatfold send` plays a demo. For CometChat: is the URL https://HOST/webhooks/cometchat, is the webhook enabled, \
             and are its triggers ticked?",
        ));
    }
    if let Some(named) = config.default_app.as_ref().filter(|named| !apps.is_empty() && !apps.contains(named)) {
        let words = format!("no delivery of the app {named} has come");
        all.push(Finding::warn("default_app", words, format!("The apps of the file are {}.", apps.join(", "))));
    }
    for credential in &config.credentials {
        let missing = credential.apps.iter().flatten().filter(|named| !apps.contains(named));
        for named in missing {
            let words =
                format!("the credential {:?} is for the app {named}, of which nothing has come", credential.name);
            all.push(Finding::warn(
                "credentials",
                words,
                "Compare the app id with CometChat's dashboard. A delivery of another app is answered 403.",
            ));
        }
    }
    for id in &apps {
        let found = of_app(conn, log, id, offsets.get(id).copied())?;
        all.extend(found.into_iter().map(|it| it.of(id)));
    }
    Ok(all)
}

fn edition(config: &Config, made_by: i64) -> Finding {
    match made_by == FOLD_VERSION {
        true => Finding::ok("edition", format!("the tables are of edition {FOLD_VERSION}")),
        false => Finding::warn(
            "edition",
            format!("the tables are of edition {made_by}, this chatfold is of edition {FOLD_VERSION}"),
            format!("The server makes them again when it starts; `{}` does it now.", config.command("rebuild")),
        ),
    }
}

fn of_app(conn: &Conn, log: &Inspector, id: &str, offset: Option<i64>) -> anyhow::Result<Vec<Finding>> {
    let ever = traffic::triggers(conn, id, Time(0))?;
    let heard = |name: &str| ever.iter().any(|it| it.trigger == name);
    let deliveries: i64 = ever.iter().map(|it| it.outcomes.all()).sum();
    let mut all = vec![clock_of(offset), silence(conn, id)?];
    all.push(triggers(deliveries, &heard));
    let older: Vec<&str> = quiet::OLDER.into_iter().chain(["before_message"]).filter(|name| heard(name)).collect();
    if !older.is_empty() {
        all.push(Finding::warn(
            "legacy",
            format!("the app sends {}, of CometChat's older webhooks", older.join(", ")),
            "The older webhooks tell less. Make a webhook of today's kind in the dashboard, and tick its triggers.",
        ));
    }
    let repeated: i64 = ever.iter().map(|it| it.outcomes.duplicate).sum();
    if deliveries >= SOME_RETRY && repeated == 0 {
        all.push(Finding::warn(
            "retry",
            format!("none of {deliveries} deliveries came twice"),
            "Is \"retry on failure\" on in CometChat's dashboard? Without it, what is answered 503 is lost.",
        ));
    }
    all.push(dead_letters(log, id)?);
    Ok(all)
}

fn clock_of(offset: Option<i64>) -> Finding {
    let Some(ms) = offset else { return Finding::ok("clock", "it agrees with CometChat's") };
    let seconds = ms as f64 / 1000.0;
    let words = match ms > 0 {
        true => format!("this machine's clock is {seconds:.1} s ahead of CometChat's"),
        false => format!("this machine's clock is {:.1} s behind CometChat's", -seconds),
    };
    Finding::warn("clock", words, "Set the clock, and keep it with NTP. Or a proxy in front holds deliveries back.")
}

/// Nothing at all, or a trigger that stopped against its own rhythm.
fn silence(conn: &Conn, id: &str) -> anyhow::Result<Finding> {
    const SUBJECT: &str = "silence";
    let silences = silence::silences(conn, id, clock::now())?;
    if let Some(all) = silences.iter().find(|it| it.trigger.is_none()) {
        return Ok(Finding::warn(
            SUBJECT,
            format!("nothing has come since {}, which is unusual for this app", all.since),
            "Is the webhook still enabled in CometChat's dashboard? Does its URL reach this server? --url checks that.",
        ));
    }
    let silent: Vec<String> = silences.into_iter().filter_map(|it| it.trigger).collect();
    Ok(match silent.is_empty() {
        true => Finding::ok(SUBJECT, "no trigger is silent for unusually long, compared with its rhythm of two days"),
        false => Finding::warn(
            SUBJECT,
            format!("{} stopped, while other triggers went on", silent.join(", ")),
            "Are they still ticked in CometChat's dashboard?",
        ),
    })
}

/// Whether triggers seem not to be ticked.
fn triggers(deliveries: i64, heard: &dyn Fn(&str) -> bool) -> Finding {
    let chat: Vec<&str> = CHAT.into_iter().filter(|name| !heard(name)).collect();
    if deliveries >= USUAL && !chat.is_empty() && !heard("after_message") {
        return Finding::warn(
            "triggers",
            format!("{} never came among {deliveries} deliveries", chat.join(", ")),
            "Tick every trigger in CometChat's dashboard: CometChat never sends one that is not ticked.",
        );
    }
    let unheard = quiet::unheard(heard).count();
    Finding::ok(
        "triggers",
        format!("{unheard} of those that fill tables never came; the console's first page lists them"),
    )
}

/// By trigger and reason.
fn dead_letters(log: &Inspector, id: &str) -> anyhow::Result<Finding> {
    let filter = Filter {
        app: Some(id.to_owned()),
        triggers: Vec::new(),
        outcomes: vec!["rejected".into()],
        since: None,
        until: None,
        about: None,
        seq: None,
        after: None,
        limit: DEAD_LETTERS,
    };
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    log.events(&filter, &mut |row| {
        *reasons.entry(format!("{}: {}", row.trigger, row.reason.unwrap_or_default())).or_default() += 1;
        Ok(())
    })?;
    let all: u64 = reasons.values().sum();
    let mut told: Vec<(String, u64)> = reasons.into_iter().collect();
    told.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told: Vec<String> = told.into_iter().take(3).map(|(reason, count)| format!("{count} × {reason}")).collect();
    Ok(match all {
        0 => Finding::ok("dead letters", "none"),
        _ => Finding::warn(
            "dead letters",
            format!("{all}{}: {}", if all == u64::from(DEAD_LETTERS) { " or more" } else { "" }, told.join("; ")),
            "They are kept. `chatfold rebuild` of a newer chatfold tries them again.",
        ),
    })
}
