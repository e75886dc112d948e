//! `chatfold erase-user`: takes a person out of the log, the tables and the bytes of the file.

#[cfg(feature = "postgres")]
mod shared;

use super::{app, progress, table};
use crate::backup;
use crate::clock;
use crate::config::Config;
use crate::erase::{self, Erasure, Order, Outcome};
use crate::large;
use crate::lock::Lock;
use crate::rebuild::{self, Host};
use crate::store::sqlite;
use crate::store::sqlite::read::explain::apps;
use anyhow::Context;
use clap::Args;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

/// Whom to erase.
#[derive(Debug, Args)]
pub struct EraseUserArgs {
    /// CometChat's id of the person
    #[arg(long, value_name = "UID")]
    pub uid: String,
    /// Id of the app [default: the setting default_app, or the file's only app]
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Also replace the person's names where others wrote them in messages. Namesakes are replaced too
    #[arg(long)]
    pub names_in_texts: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Erases while no server holds the file, or tells all nodes of a shared log. Exit code 1 if the file knows no such person.
pub fn run(config: &Config, args: &EraseUserArgs) -> anyhow::Result<ExitCode> {
    super::is_there(&config.db)?;
    // A file of an earlier edition is updated below first.
    #[cfg(feature = "postgres")]
    if let Ok(conn) = sqlite::open_reader(&config.db)
        && let Some(post) = crate::cluster::post::Post::of(config, &conn)?
    {
        return shared::run(config, args, &conn, &post);
    }
    let _lock = Lock::acquire(&config.db).map_err(|error| error.for_exclusive("erase-user"))?;
    let opening = || format!("opening {}", config.db.display());
    let conn = sqlite::open_writer(&config.db).with_context(opening)?;
    sqlite::shared_log::refuse(&conn, &config.db)?;
    large::finish_all(&conn).with_context(opening)?;
    let app_id = app::only(config, args.app.as_deref(), &apps(&conn)?)?;
    let order = Order { app_id: &app_id, uid: &args.uid, in_texts: args.names_in_texts, at: clock::now() };
    let (erasure, part) = match erase::erase(&config.db, &conn, &order)? {
        Outcome::Erased(erasure, part) => (Some(erasure), Some(part)),
        Outcome::ErasedBefore => (None, None),
        Outcome::Unknown => {
            anyhow::bail!("{} holds nothing about the person {} of the app {app_id}", config.db.display(), args.uid)
        }
    };
    let mut bar = progress::Bar::new();
    let host = Host::alone(conn);
    let mut show = |progress| bar.show(progress);
    let refolded = part.map(|part| rebuild::refold(&config.db, &host, part, &mut show)).transpose()?;
    if refolded != Some(true) {
        rebuild::rebuild(&config.db, &host, &AtomicBool::new(false), &mut show)?;
    }
    host.finish()?;
    bar.finish();
    let is_anew = backup::write_anew(sqlite::open_writer(&config.db).with_context(opening)?, &config.db)?;
    let conn = sqlite::open_writer(&config.db).with_context(opening)?;
    if !is_anew {
        sqlite::erasures::overwrite(&conn)?;
    }
    sqlite::finish(&conn)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match erasure {
        Some(erasure) if args.json => writeln!(out, "{}", serde_json::to_string(&erasure)?)?,
        Some(erasure) => print(&erasure, &mut out)?,
        None => eprintln!("the log named that person no more. The tables and the file were written anew all the same"),
    }
    out.flush()?;
    eprintln!(
        "Copies may remain in backups, replicas and exports made before, in what was read from the API, and at \
         CometChat. Delete the person there too: else the next delivery that names the person brings back the name"
    );
    Ok(ExitCode::SUCCESS)
}

fn print(erasure: &Erasure, out: &mut impl Write) -> std::io::Result<()> {
    let Erasure { pseudonym, seq, events, rows, refused, names, namesakes, still_named, still_named_at } = erasure;
    writeln!(out, "the person is {pseudonym} from now on, as event {seq} tells")?;
    writeln!(out, "{events} events were written anew, {names} names are known, {refused} refused deliveries removed")?;
    writeln!(out)?;
    let cells = rows.iter().map(|(table, count)| vec![(*table).to_owned(), count.to_string()]);
    table::print(out, &["table", "rows about the person"], cells)?;
    writeln!(out)?;
    if *namesakes > 0 {
        writeln!(out, "{namesakes} other people have one of the names. Where only the name stood, it was replaced")?;
    }
    if *still_named > 0 {
        let at: Vec<String> = still_named_at.iter().map(i64::to_string).collect();
        let more = if *still_named > still_named_at.len() as u64 { ", …" } else { "" };
        writeln!(
            out,
            "{still_named} events still hold a name or the uid in what others wrote: {}{more}. --names-in-texts replaces \
             names there",
            at.join(", ")
        )?;
    }
    writeln!(out, "What others wrote about the person in other words cannot be found")
}
