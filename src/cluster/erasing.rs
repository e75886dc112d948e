//! An order to erase a person, on its way through a node: the rows of the shared log, the log of the file, its tables, and
//! its bytes. The node folds nothing meanwhile, so that all nodes decide the same afterwards.
//!
//! The first node that reads the order finds what the person is known by, and keeps it beside the log before anything is
//! written anew. Every node uses that. Each step can be repeated: after a kill the node begins with the order again.

use super::follower::{End, Follower};
use super::node::Shared;
use super::place::JOIN_AGAIN;
use crate::clock;
use crate::envelope::Envelope;
use crate::erase::Person;
use crate::erase::shared::{self as erase, Known, Told};
use crate::ids::Time;
use crate::rebuild::{self, Host};
use crate::store::postgres::{ErasureRow, Link, LogError};
use crate::store::sqlite::erasures::{self, Known as Hashes};
use crate::store::sqlite::{self, open_reader};
use crate::store::{DeliveryId, StoreError};
use crate::writer::NotRun;
use crate::writer::orders::{Order, Redacted, UserErased};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::task::block_in_place;
use tokio::time::timeout;

/// How long what names an erased person stays beside the log, for nodes that are behind.
pub const FORGOTTEN_AFTER: Duration = Duration::from_hours(7 * 24);
/// A step at PostgreSQL that takes longer has lost its connection.
const STEP_WITHIN: Duration = Duration::from_secs(30);
/// The bytes of what was deleted stay in the file while somebody reads an old state of it.
const OVERWRITE_WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// Who is to be erased, as it stands beside the log.
#[derive(Debug, Serialize, Deserialize)]
pub struct Who {
    pub uid: String,
}

impl Follower {
    /// Does the order at a position, and moves the file past it.
    pub(super) async fn erase(
        &self,
        link: &Link,
        order: &UserErased,
        (position, id): (i64, DeliveryId),
    ) -> Result<(), End> {
        self.shared.status.erases(true);
        tracing::info!(position, "a person is erased from this node: deliveries and queries go on, and folding waits");
        let told = Told {
            app_id: order.app_id.clone(),
            pseudonym: order.pseudonym.clone(),
            salt: order.salt.clone(),
            in_texts: order.names_in_texts,
            at: Time(order.at),
            position,
            id: id.to_vec(),
        };
        let row = step(link.erasure(&id)).await?.ok_or_else(|| {
            End::Lost(format!("PostgreSQL does not know who is erased by the order at position {position}"))
        })?;
        match &row.who {
            Some(who) => self.erase_known(link, &row, &read::<Who>(who)?.uid, told, id).await?,
            None => self.erase_hashed(&row, told)?,
        }
        self.finish_erasure()
    }

    async fn erase_known(
        &self,
        link: &Link,
        row: &ErasureRow,
        uid: &str,
        told: Told,
        id: DeliveryId,
    ) -> Result<(), End> {
        let path = self.shared.writer.path();
        let mut known = row.known.clone();
        if known.is_none() {
            // Nothing is written anew yet: what this node has folded names the person as it was told.
            let (found, hashes) = block_in_place(|| -> Result<_, StoreError> {
                let log = open_reader(path)?;
                let found = erase::known(&log, &told.app_id, uid)?;
                let person = Person::told(&log, &told, uid, found.clone())?;
                Ok((found, person.hashes(&log, &told.salt)?))
            })?;
            step(link.keep_known(&id, &written(&found)?, &written(&hashes)?)).await?;
            known = step(link.erasure(&id)).await?.and_then(|row| row.known);
        }
        let known: Known =
            read(&known.ok_or_else(|| End::Broken("who is erased was forgotten meanwhile".to_owned()))?)?;
        let person = block_in_place(|| Person::told(&open_reader(path)?, &told, uid, known))?;
        if !row.rewritten {
            rewrite(link, path, &person, &told).await?;
            step(link.is_rewritten(&id)).await?;
        }
        let path = path.to_owned();
        self.write(move |conn| {
            // What is read stays as it is now.
            let log = open_reader(&path)?;
            sqlite::begin_read(&log)?;
            person.erase(&log, conn, &told)
        })
    }

    /// Nobody knows any more who it was. A file that names the person comes too late.
    fn erase_hashed(&self, row: &ErasureRow, told: Told) -> Result<(), End> {
        let hashes: Hashes = read(row.hashes.as_deref().unwrap_or_default())?;
        let path = self.shared.writer.path().to_owned();
        let position = told.position;
        if self.write(move |conn| erase::keep(&path, conn, &told, &hashes))? {
            return Ok(());
        }
        Err(End::Lost(format!(
            "a person was erased at position {position} while this node was away for too long. {JOIN_AGAIN}"
        )))
    }

    /// Folds the tables again, and writes the file anew, if an erasure has not done so.
    pub(super) fn finish_erasure(&self) -> Result<(), End> {
        let Shared { writer, status, .. } = &*self.shared;
        let path = writer.path();
        if !block_in_place(|| sqlite::is_erasing(&open_reader(path)?))? {
            return Ok(());
        }
        status.erases(true);
        let done = block_in_place(|| {
            let host = Host::Writer(writer.clone());
            rebuild::rebuild(path, &host, &AtomicBool::new(false), &mut |_| {})
                .map_err(|error| End::Broken(format!("an erasure cannot be finished: {error}")))?;
            let until = Instant::now() + OVERWRITE_WITHIN;
            while let Err(error) = writer.run(erasures::overwrite) {
                match error {
                    NotRun::Stopping => return Err(End::Stopping),
                    NotRun::Failed(error) if Instant::now() > until => {
                        tracing::warn!(%error, "the bytes of what was erased may stay in the file");
                        break;
                    }
                    NotRun::Failed(_) => std::thread::sleep(PAUSE),
                }
            }
            self.write(|conn| sqlite::stamp_erasing(conn, false))
        });
        status.erases(false);
        done?;
        tracing::info!("the person is erased from this node");
        Ok(())
    }

    fn write<T: Send + 'static>(
        &self,
        unit: impl FnOnce(&sqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, End> {
        block_in_place(|| self.shared.writer.run(unit)).map_err(|error| match error {
            NotRun::Stopping => End::Stopping,
            NotRun::Failed(error) => error.into(),
        })
    }

    /// Forgets who was erased long ago.
    pub(super) async fn forget_erased(&self, link: &Link) -> Result<(), End> {
        let before = clock::now().0 - FORGOTTEN_AFTER.as_millis() as i64;
        step(link.forget_erased(before)).await?;
        Ok(())
    }
}

/// Gives the rows of the log before the order bodies without the person. `path`: the file of the node, which has folded
/// these rows.
async fn rewrite(link: &Link, path: &Path, person: &Person, told: &Told) -> Result<(), End> {
    let mut position = 0;
    let log = block_in_place(|| open_reader(path))?;
    loop {
        let rows = step(link.bodies(position, told.position, &told.app_id)).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        position = *last;
        let rewritten = block_in_place(|| -> Result<Vec<_>, StoreError> {
            let mut rewritten = Vec::new();
            for (position, body) in &rows {
                rewritten.extend(redacted(&log, person, *position, body)?.map(|body| (*position, body)));
            }
            Ok(rewritten)
        })?;
        if !rewritten.is_empty() {
            step(link.rewrite(&rewritten)).await?;
        }
    }
}

/// What takes the place of a row; `None`: it stays.
fn redacted(
    log: &sqlite::Connection,
    person: &Person,
    position: i64,
    body: &[u8],
) -> Result<Option<String>, StoreError> {
    let order = match Order::read(body) {
        // A person was taken out of it before.
        Some(Ok(Order::Redacted(it))) => person.redacted(it.body.as_bytes()).map(|body| Redacted { body, ..it }),
        Some(_) => None,
        None => match (person.redacted(body), Envelope::parse(body)) {
            (Some(redacted), Ok(envelope)) => Some(Redacted {
                body: redacted,
                newest: envelope.newest.map(|at| at.0),
                event: erasures::event_of(log, position)?.unwrap_or(position),
            }),
            _ => None,
        },
    };
    let written = |it| Order::Redacted(it).body().map(|body| String::from_utf8_lossy(&body).into_owned());
    order.map(written).transpose()
}

async fn step<T>(asked: impl Future<Output = Result<T, LogError>>) -> Result<T, End> {
    let answer = timeout(STEP_WITHIN, asked).await;
    Ok(answer.map_err(|_| End::Broken("it does not answer in time".to_owned()))??)
}

fn read<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, End> {
    serde_json::from_slice(json)
        .map_err(|error| End::Lost(format!("PostgreSQL holds an erasure that is not chatfold's: {error}")))
}

fn written(it: &impl Serialize) -> Result<Vec<u8>, End> {
    serde_json::to_vec(it).map_err(|error| End::Broken(error.to_string()))
}
