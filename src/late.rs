//! Late copies of deliveries that name people who were erased: they must not bring these people back.
//!
//! What happened before the erasure is about the person who was erased, and is taken without that person, as the log was
//! rewritten. What happened later is about whoever has the uid then, and is taken as it comes. Two things stay with the
//! erased person however late they come: messages that this person wrote, and recordings of calls that this person took
//! part in.

use crate::batch::Batch;
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::json::Document;
use crate::person::{self, Erased};
use crate::store::StoreError;
use crate::store::sqlite::Connection;
use crate::store::sqlite::erasures::{Erasures, sender, took_part};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The vendor's retries end after 40 s, and its clock may differ from ours.
const MARGIN: i64 = 60_000;

/// The delivery without the people who were erased; `None`: it names none of them. `replay`: nothing tells when it came.
pub fn redacted(
    batch: &mut Batch,
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
    replay: bool,
) -> Result<Option<Envelope>, StoreError> {
    let erasures = batch.erasures(conn)?;
    if !erasures.has(&envelope.app_id) {
        return Ok(None);
    }
    let app_id = envelope.app_id.as_str();
    let happened_at = envelope.told_at.or(if replay { envelope.newest } else { Some(received_at) });
    let late = Late {
        conn,
        app_id,
        happened_at,
        pseudonyms: erasures.pseudonyms(app_id),
        erasures,
        failed: RefCell::new(None),
    };
    let Ok(document) = Document::parse(envelope.body.as_bytes().to_vec()) else { return Ok(None) };
    let redacted = person::redact(&document, &late);
    if let Some(error) = late.failed.into_inner() {
        return Err(error);
    }
    let again = |it: person::Redacted| Envelope::parse(it.body.as_bytes());
    redacted.map(again).transpose().map_err(|error| StoreError::Unusable(format!("cannot take a person out: {error}")))
}

/// The people who were erased from one app, as a delivery of some time sees them.
struct Late<'a> {
    conn: &'a Connection,
    app_id: &'a str,
    /// `None`: nothing tells when.
    happened_at: Option<Time>,
    pseudonyms: BTreeSet<String>,
    erasures: Arc<Erasures>,
    failed: RefCell<Option<StoreError>>,
}

impl Late<'_> {
    fn find(&self, kind: &str, text: &str) -> Option<&str> {
        let (pseudonym, erased_at) = self.erasures.find(self.app_id, kind, text)?;
        self.happened_at.is_none_or(|at| at.0 <= erased_at.0 + MARGIN).then_some(pseudonym)
    }

    fn known<T>(&self, read: Result<T, StoreError>) -> Option<T> {
        read.map_err(|error| self.failed.replace(Some(error))).ok()
    }
}

impl Erased for Late<'_> {
    fn uid(&self, uid: &str) -> Option<&str> {
        self.find("uid", uid)
    }

    fn name(&self, name: &str) -> Option<&str> {
        self.find("name", name)
    }

    fn owns(&self, value: &str) -> bool {
        self.find("value", value).is_some()
    }

    fn wrote(&self, message_id: &str) -> Option<&str> {
        let sender = self.known(sender(self.conn, self.app_id, message_id))??;
        self.pseudonyms.get(&sender).map(String::as_str)
    }

    fn attended(&self, session_id: &str) -> bool {
        self.known(took_part(self.conn, self.app_id, session_id, &self.pseudonyms)) == Some(true)
    }
}
