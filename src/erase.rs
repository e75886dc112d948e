//! A person taken out of the log, for good. The tables are folded again from the log that is left.

pub mod shared;

use crate::batch::Batch;
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::json::Document;
use crate::log::{self, Source};
use crate::part::Part;
use crate::person::{self, Erased};
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, erasures, events, reconcile};
use crate::tables::FOLD_VERSION;
use aho_corasick::{AhoCorasick, MatchKind};
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// The event that tells of an erasure.
pub const TRIGGER: &str = "chatfold.user_erased";
/// Escapes that may hide a uid, a name or an address.
const ESCAPES: [&str; 3] = ["\\u", "\\/", "\\\\"];
/// Shorter names are words of other texts.
const SHORTEST_NAME: usize = 3;
/// Events in which something of the person may stay that are told one by one.
const TOLD: usize = 20;

/// Whom to erase.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub app_id: &'a str,
    pub uid: &'a str,
    /// Also take the person's names out of what others wrote.
    pub in_texts: bool,
    pub at: Time,
}

/// What was erased.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// What stands in the place of the uid and of all names from then on.
    pub pseudonym: String,
    /// Log position of the event that tells of it.
    pub seq: i64,
    /// Events whose bodies were written anew.
    pub events: u64,
    /// Rows that were about the person, by table.
    #[serde(serialize_with = "map")]
    pub rows: Vec<(&'static str, i64)>,
    /// Deliveries that were answered 400, all of which were removed.
    pub refused: usize,
    /// Names under which the person was known.
    pub names: usize,
    /// Other people with one of these names.
    pub namesakes: i64,
    /// Events in which others wrote one of the names or the uid, and which keep that.
    pub still_named: u64,
    /// Log positions of the first of these.
    pub still_named_at: Vec<i64>,
}

fn map<S: serde::Serializer>(rows: &[(&'static str, i64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(rows.iter().copied())
}

/// What came of an order.
#[derive(Debug)]
pub enum Outcome {
    /// The log names the person no more, and this part of its tables is to be folded again.
    Erased(Box<Erasure>, Part),
    /// The log did not name the person any more. An earlier run may have been interrupted before it was done.
    ErasedBefore,
    /// Nothing names such a person.
    Unknown,
}

/// Takes a person out of the log of the file at `path`, which `conn` writes. All is done or nothing.
pub fn erase(path: &Path, conn: &Connection, order: &Order<'_>) -> Result<Outcome, StoreError> {
    // What it sees stays as it is now.
    let log = sqlite::open_reader(path)?;
    sqlite::begin_read(&log)?;
    let Some(mut person) = find(&log, order.app_id, order.uid)? else {
        let known = erasures::Erasures::load(conn)?;
        let is_known = known.find(order.app_id, "uid", order.uid).is_some();
        return Ok(if is_known { Outcome::ErasedBefore } else { Outcome::Unknown });
    };
    person.in_texts = order.in_texts;
    let mut part = Part::of(order.app_id);
    // Tables that another edition of the fold made are no more than what that edition understood.
    part.is_whole = sqlite::fold_version(&log)? != FOLD_VERSION;
    sqlite::begin(conn)?;
    let salt = salt()?;
    let erased = person
        .rewrite(&log, conn, order.at, &salt, None, &mut |seq, envelope| note(&mut part, &log, seq, envelope))
        .and_then(|erasure| sqlite::commit(conn).map(|()| erasure));
    if erased.is_err() {
        sqlite::rollback(conn);
    }
    Ok(Outcome::Erased(Box::new(erased?), part))
}

/// Adds what may change when the event at a log position gets the body of this envelope.
fn note(part: &mut Part, log: &Connection, seq: i64, after: &Envelope) -> Result<(), StoreError> {
    let before = events::between(log, seq - 1, seq, 1)?.0.pop();
    match before.map(|logged| (Envelope::parse(logged.body.as_bytes()), logged.fact)) {
        Some((Ok(before), fact)) => part.add(&fact, &before, after),
        _ => part.is_whole = true,
    }
    Ok(())
}

/// Reads the log for what it tells of a person; `None` where it does not name the person.
pub fn find(log: &Connection, app_id: &str, uid: &str) -> Result<Option<Person>, StoreError> {
    let mut person = Person::new(app_id, uid)?;
    let finder = finder(ESCAPES.into_iter().chain([uid]).collect())?;
    let (mut names, mut values, mut named) = (BTreeSet::new(), BTreeSet::new(), false);
    erasures::bodies(log, app_id, |_, body| {
        if finder.is_match(body)
            && let Ok(document) = Document::parse(body.as_bytes().to_vec())
            && let Some(mut found) = person::redact(&document, &person)
        {
            named = true;
            names.append(&mut found.names);
            values.append(&mut found.values);
        }
        Ok::<_, StoreError>(())
    })?;
    person.messages = erasures::messages(log, app_id, uid)?;
    person.sessions = erasures::sessions(log, app_id, uid, &names)?;
    person.sentences = self::finder(long(&names).collect())?;
    (person.names, person.values) = (names, values);
    Ok(named.then_some(person))
}

/// A new salt for the hashes by which late copies are known.
pub fn salt() -> Result<String, StoreError> {
    crate::token::random().map_err(|error| StoreError::Unusable(error.to_string()))
}

/// What stands in the place of a uid and of names.
pub fn pseudonym() -> Result<String, StoreError> {
    let mut random = [0u8; 12];
    getrandom::fill(&mut random)
        .map_err(|error| StoreError::Unusable(format!("the system gives no random bytes: {error}")))?;
    Ok(format!("erased-{}", random.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// The names that are looked for in sentences.
fn long(names: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(|name| name.len() >= SHORTEST_NAME)
}

/// A person, and what the file knows of this person.
pub struct Person {
    app_id: String,
    uid: String,
    pseudonym: String,
    /// Whether names are also taken out of what others wrote.
    in_texts: bool,
    names: BTreeSet<String>,
    values: BTreeSet<String>,
    messages: HashSet<String>,
    sessions: HashSet<String>,
    /// Finds the names.
    sentences: AhoCorasick,
}

impl Person {
    fn new(app_id: &str, uid: &str) -> Result<Self, StoreError> {
        Ok(Self {
            app_id: app_id.to_owned(),
            uid: uid.to_owned(),
            pseudonym: pseudonym()?,
            in_texts: false,
            names: BTreeSet::new(),
            values: BTreeSet::new(),
            messages: HashSet::new(),
            sessions: HashSet::new(),
            sentences: finder(Vec::new())?,
        })
    }

    /// Hands over the events that name the person, or hold what the person wrote, in the order of the log.
    pub fn events<E: From<StoreError>>(
        &self,
        log: &Connection,
        each: &mut dyn FnMut(i64, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.candidates(log, |seq, body, redacted| if redacted.is_some() { each(seq, body) } else { Ok(()) })
    }

    /// Hands over each event that may be about the person, with its body, and the body without the person where it
    /// names the person.
    fn candidates<E: From<StoreError>>(
        &self,
        log: &Connection,
        mut each: impl FnMut(i64, &str, Option<&str>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut about = erasures::about(log, &self.app_id, &self.uid, &self.sessions)?;
        about.extend(erasures::about(log, &self.app_id, &self.pseudonym, &self.sessions)?);
        let known = self.names.iter().chain(&self.values).chain([&self.uid]).map(String::as_str);
        let finder = finder(ESCAPES.into_iter().chain(known).collect())?;
        erasures::bodies(log, &self.app_id, |seq, body| {
            if !about.contains(&seq) && !finder.is_match(body) {
                return Ok(());
            }
            let document = Document::parse(body.as_bytes().to_vec()).ok();
            let redacted = document.and_then(|document| person::redact(&document, self));
            each(seq, body, redacted.as_ref().map(|it| it.body.as_str()))
        })
    }

    /// What a late copy may tell of the person, each with its kind.
    fn late(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let names = self.names.iter().map(|name| ("name", name.as_str()));
        let values = self.values.iter().map(|value| ("value", value.as_str()));
        std::iter::once(("uid", self.uid.as_str())).chain(names).chain(values)
    }

    /// Rewrites the bodies, each of which `each` is told first, and keeps whom a late copy must not bring back. `place`: the
    /// log position of the event that tells of it, where a shared log gives the positions.
    fn rewrite(
        &self,
        log: &Connection,
        conn: &Connection,
        at: Time,
        salt: &str,
        place: Option<i64>,
        each: &mut dyn FnMut(i64, &Envelope) -> Result<(), StoreError>,
    ) -> Result<Erasure, StoreError> {
        let (app_id, uid) = (self.app_id.as_str(), self.uid.as_str());
        let rows = erasures::rows(log, app_id, uid)?;
        let (mut events, mut still_named, mut still_named_at) = (0, 0, Vec::new());
        self.candidates(log, |seq, body, redacted| {
            if let Some(redacted) = redacted.filter(|redacted| *redacted != body) {
                let envelope = Envelope::parse(redacted.as_bytes())
                    .map_err(|error| StoreError::Unusable(format!("event {seq} cannot be written anew: {error}")))?;
                each(seq, &envelope)?;
                erasures::rewrite(conn, seq, &envelope)?;
                events += 1;
            }
            if self.is_named_in(redacted.unwrap_or(body)) {
                still_named += 1;
                still_named_at.extend((still_named_at.len() < TOLD).then_some(seq));
            }
            Ok::<_, StoreError>(())
        })?;
        let refused = erasures::forget_refused(conn)?;
        reconcile::forget(conn, app_id, uid)?;
        erasures::keep(conn, (app_id, &self.pseudonym, at), salt, self.late())?;
        let namesakes = erasures::namesakes(log, app_id, uid, &self.names)?;
        let seq = tell(conn, (app_id, &self.pseudonym, at), place)?;
        // If this run ends before the tables are folded again, the next server or run does so.
        sqlite::stamp_fold_version(conn, 0)?;
        let (pseudonym, names) = (self.pseudonym.clone(), self.names.len());
        Ok(Erasure { pseudonym, seq, events, rows, refused, names, namesakes, still_named, still_named_at })
    }

    /// Whether a body still holds one of the names, or the uid as a word.
    fn is_named_in(&self, body: &str) -> bool {
        let mut uids = body.match_indices(&self.uid);
        let is_word = |(at, uid): (usize, &str)| person::is_distinct(uid) && is_word(body, at, at + uid.len());
        uids.any(is_word) || self.sentences.find_iter(body).any(|it| is_word_at(body, &it))
    }
}

/// Appends the event that tells of the erasure.
fn tell(conn: &Connection, (app_id, pseudonym, at): (&str, &str, Time), place: Option<i64>) -> Result<i64, StoreError> {
    let data = serde_json::json!({ "pseudonym": pseudonym, "erasedAt": at.0 });
    let body = serde_json::json!({ "trigger": TRIGGER, "appId": app_id, "data": data });
    let envelope = Envelope::parse(body.to_string().as_bytes())
        .map_err(|error| StoreError::Unusable(format!("cannot tell of the erasure: {error}")))?;
    let mut batch = Batch::default();
    place.map_or(Ok(()), |position| batch.place(conn, position))?;
    let appended = log::append(&mut batch, conn, &envelope, at, Source::Http)?;
    batch.save(conn)?;
    Ok(appended.seq)
}

impl Erased for Person {
    fn uid(&self, uid: &str) -> Option<&str> {
        (uid == self.uid).then_some(&self.pseudonym)
    }

    fn name(&self, name: &str) -> Option<&str> {
        self.names.contains(name).then_some(&self.pseudonym)
    }

    fn owns(&self, value: &str) -> bool {
        self.values.contains(value)
    }

    fn wrote(&self, message_id: &str) -> Option<&str> {
        self.messages.contains(message_id).then_some(&self.pseudonym)
    }

    fn attended(&self, session_id: &str) -> bool {
        self.sessions.contains(session_id)
    }

    fn without_names(&self, sentence: &str) -> Option<String> {
        let (mut out, mut at) = (String::new(), 0);
        for found in self.sentences.find_iter(sentence).filter(|found| is_word_at(sentence, found)) {
            out += &sentence[at..found.start()];
            out += &self.pseudonym;
            at = found.end();
        }
        (at > 0).then(|| out + &sentence[at..])
    }

    fn in_all_texts(&self) -> bool {
        self.in_texts
    }
}

fn finder(texts: Vec<&str>) -> Result<AhoCorasick, StoreError> {
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts);
    built.map_err(|error| StoreError::Unusable(format!("cannot search for the person: {error}")))
}

fn is_word_at(text: &str, found: &aho_corasick::Match) -> bool {
    is_word(text, found.start(), found.end())
}

/// Whether no letter or digit stands before or behind.
fn is_word(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let behind = text[end..].chars().next();
    !before.into_iter().chain(behind).any(|it| it.is_alphanumeric() || matches!(it, '_' | '-'))
}
