//! A person erased from every node of a shared log.

use super::EraseUserArgs;
use crate::cli::app;
use crate::clock;
use crate::cluster::post::{Post, is_done};
use crate::config::Config;
use crate::erase;
use crate::store::sqlite::Connection;
use crate::store::sqlite::read::explain::apps;
use crate::writer::orders::{Order, UserErased};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// Tells all nodes, and waits for the one at hand. A server may be running.
pub(super) fn run(config: &Config, args: &EraseUserArgs, conn: &Connection, post: &Post) -> anyhow::Result<ExitCode> {
    let app_id = app::only(config, args.app.as_deref(), &apps(conn)?)?;
    anyhow::ensure!(
        erase::find(conn, &app_id, &args.uid)?.is_some(),
        "{} holds nothing about the person {} of the app {app_id}. If this node is behind, run the command at another",
        config.db.display(),
        args.uid
    );
    let pseudonym = erase::pseudonym()?;
    let order = Order::EraseUser(UserErased {
        app_id,
        pseudonym: pseudonym.clone(),
        salt: erase::salt()?,
        names_in_texts: args.names_in_texts,
        at: clock::now().0,
    });
    let position = post.append(&order, Some(&args.uid))?;
    eprintln!("every node erases the person when it reads position {position} of the log");
    let is_done = is_done(&config.db, conn, position)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let told = json!({ "pseudonym": pseudonym, "position": position.to_string(), "isDoneHere": is_done });
        writeln!(out, "{told}")?;
    } else {
        let here = if is_done { "this node has done so" } else { "this node has not done so yet" };
        writeln!(out, "the person is {pseudonym} from then on; {here}")?;
    }
    out.flush()?;
    eprintln!(
        "PostgreSQL keeps the uid and the names in chatfold_erasures for 7 days, for nodes that are behind. Its backups and \
         archived WAL keep what they hold"
    );
    Ok(ExitCode::SUCCESS)
}
