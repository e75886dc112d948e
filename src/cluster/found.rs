//! A single file becomes the first node of a new log, which goes on behind its deliveries.
//!
//! The log holds nothing of the older positions: a new node begins with a copy of a node. The steps can be repeated
//! wherever they broke off: the file keeps for which log it is on its way before PostgreSQL hears of it, and no other
//! file can name that log.

use crate::large;
use crate::lock::Lock;
use crate::store::StoreError;
use crate::store::postgres::{Address, Founder, Link, LogError, Made};
use crate::store::sqlite::{self, Connection, events, shared_log};
use anyhow::{Context, bail, ensure};
use std::path::Path;
use tokio::runtime::Runtime;

/// Makes the log and turns the file into its first node. Nobody may write the file meanwhile. `new_id`: names the log.
/// `is_lost`: the log that the file followed so far is lost, and the file leaves it.
pub fn found(db: &Path, address: &Address, new_id: &str, is_lost: bool, runtime: &Runtime) -> anyhow::Result<Made> {
    ensure!(db.is_file(), "there is no file {}", db.display());
    let _lock = Lock::acquire(db).map_err(|error| error.for_exclusive("log init"))?;
    let joined = shared_log::read(&sqlite::open_copy(db)?.0)?;
    if let Some(joined) = &joined
        && let Some(made) = known(db, address, &joined.log_id, is_lost, runtime)?
    {
        return Ok(made);
    }
    let conn = sqlite::open_writer(db).with_context(|| format!("opening {}", db.display()))?;
    // A node folds in the order of the log, so nothing may be left of the time before it.
    large::finish_all(&conn)?;
    let founder = Founder {
        log_id: within(&conn, |conn| shared_log::begin_founding(conn, new_id))?,
        // Orders have a position in the shared log, and are no events.
        position: events::newest_position(&conn)?.max(joined.map_or(0, |joined| joined.position)),
    };
    let made = runtime.block_on(Link::found(address, &founder)).map_err(|error| told(address, &error))?;
    within(&conn, |conn| shared_log::found(conn, &founder.log_id, founder.position))?;
    sqlite::finish(&conn)?;
    Ok(made)
}

/// The file is a node already: of this log, or of another one. `None`: it leaves the other one.
fn known(db: &Path, address: &Address, log_id: &str, is_lost: bool, runtime: &Runtime) -> anyhow::Result<Option<Made>> {
    let head = runtime.block_on(async { Link::open(address).await?.head().await });
    match head {
        Ok(head) if head.log_id == log_id => Ok(Some(Made { head, is_new: false })),
        Err(LogError::Away(why)) => bail!("{}: {why}", address.shown()),
        _ if is_lost => Ok(None),
        _ => bail!(
            "{} is the file of a node of another log, and follows that log for ever. If that log is lost on all servers \
             of PostgreSQL, add --lost-log",
            db.display()
        ),
    }
}

fn told(address: &Address, error: &LogError) -> anyhow::Error {
    anyhow::anyhow!("{}: {error}", address.shown())
}

fn within<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    sqlite::begin(conn)?;
    let done = work(conn).and_then(|done| sqlite::commit(conn).map(|()| done));
    if done.is_err() {
        sqlite::rollback(conn);
    }
    done
}
