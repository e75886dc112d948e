//! A person taken out of every node of a shared log: the order says who, and every node has to come to the same.
//!
//! What the person is known by is found by the first node that reads the order, in a log that still names the person. All
//! other nodes use what that node found: the rows that they read may be written anew already.

use super::{Person, finder};
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::json::Document;
use crate::person::{self, Erased};
use crate::store::StoreError;
use crate::store::sqlite::erasures::{self, Erasures, Known as Hashes};
use crate::store::sqlite::{self, Connection, shared_log};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// What a person is known by beside the uid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub names: BTreeSet<String>,
    pub values: BTreeSet<String>,
}

/// What a node is told about an erasure.
#[derive(Debug, Clone)]
pub struct Told {
    pub app_id: String,
    pub pseudonym: String,
    /// Counts if the file has no salt yet.
    pub salt: String,
    pub in_texts: bool,
    pub at: Time,
    /// Where the order stands in the log, and its id there.
    pub position: i64,
    pub id: Vec<u8>,
}

/// What the log of a file tells of a person; nothing where it does not name the person.
pub fn known(log: &Connection, app_id: &str, uid: &str) -> Result<Known, StoreError> {
    let found = super::find(log, app_id, uid)?;
    Ok(found.map(|person| Known { names: person.names, values: person.values }).unwrap_or_default())
}

impl Person {
    /// A person of whom this is known, in a file that may know the person by the pseudonym already.
    pub fn told(log: &Connection, told: &Told, uid: &str, known: Known) -> Result<Self, StoreError> {
        let mut person = Self::new(&told.app_id, uid)?;
        person.pseudonym.clone_from(&told.pseudonym);
        person.in_texts = told.in_texts;
        person.sentences = finder(super::long(&known.names).collect())?;
        (person.names, person.values) = (known.names, known.values);
        let pseudonym = BTreeSet::from([told.pseudonym.clone()]);
        for (id, names) in [(uid, &person.names), (&told.pseudonym, &pseudonym)] {
            person.messages.extend(erasures::messages(log, &told.app_id, id)?);
            person.sessions.extend(erasures::sessions(log, &told.app_id, id, names)?);
        }
        Ok(person)
    }

    /// The body of a delivery without the person; `None`: the body stays as it is.
    pub fn redacted(&self, body: &[u8]) -> Option<String> {
        let document = Document::parse(body.to_vec()).ok()?;
        let redacted = person::redact(&document, self)?.body;
        // What is no delivery any more would be skipped by every node.
        (redacted.as_bytes() != body && Envelope::parse(redacted.as_bytes()).is_ok()).then_some(redacted)
    }

    /// Salted hashes of all that the person is known by, as the file keeps them.
    pub fn hashes(&self, conn: &Connection, salt: &str) -> Result<Hashes, StoreError> {
        erasures::hashes(conn, salt, self.late())
    }

    /// Takes the person out of the log of the file, and moves the node past the order. The tables are to be folded again.
    pub fn erase(&self, log: &Connection, conn: &Connection, told: &Told) -> Result<(), StoreError> {
        within(conn, told, || {
            self.rewrite(log, conn, told.at, &told.salt, Some(told.position), &mut |_, _| Ok(()))?;
            Ok(())
        })
    }
}

/// Keeps whom late copies must not bring back, where nothing but hashes is known of the person any more. False: the log
/// of the file names the person, and nothing was done.
pub fn keep(path: &Path, conn: &Connection, told: &Told, hashes: &Hashes) -> Result<bool, StoreError> {
    let log = sqlite::open_reader(path)?;
    let hashed =
        Hashed { erasures: Erasures::of(&told.app_id, hashes, &told.pseudonym, told.at), app_id: &told.app_id };
    let mut names = false;
    erasures::bodies(&log, &told.app_id, |_, body| {
        let document = Document::parse(body.as_bytes().to_vec()).ok();
        names = names || document.and_then(|document| person::redact(&document, &hashed)).is_some();
        Ok::<_, StoreError>(())
    })?;
    if names {
        return Ok(false);
    }
    within(conn, told, || {
        erasures::keep_hashes(conn, (&told.app_id, &told.pseudonym, told.at), hashes)?;
        super::tell(conn, (&told.app_id, &told.pseudonym, told.at), Some(told.position))?;
        Ok(())
    })?;
    Ok(true)
}

/// One transaction that moves the node past the order.
fn within(conn: &Connection, told: &Told, write: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
    sqlite::begin(conn)?;
    let written = write().and_then(|()| {
        sqlite::stamp_erasing(conn, true)?;
        shared_log::advance(conn, told.position, &told.id)?;
        sqlite::commit(conn)
    });
    if written.is_err() {
        sqlite::rollback(conn);
    }
    written
}

/// A person of whom only hashes are known.
struct Hashed<'a> {
    erasures: Erasures,
    app_id: &'a str,
}

impl Hashed<'_> {
    fn find(&self, kind: &str, text: &str) -> Option<&str> {
        self.erasures.find(self.app_id, kind, text).map(|(pseudonym, _)| pseudonym)
    }
}

impl Erased for Hashed<'_> {
    fn uid(&self, uid: &str) -> Option<&str> {
        self.find("uid", uid)
    }

    fn name(&self, name: &str) -> Option<&str> {
        self.find("name", name)
    }

    fn owns(&self, value: &str) -> bool {
        self.find("value", value).is_some()
    }
}
