//! Bytes to envelope: what every delivery says, whatever its trigger. Runs on the HTTP workers, in parallel.

use crate::ids::{Outcome, Time};
use crate::json::{self, Document, Json};
use crate::panics;
use crate::trigger::{self, Notes, Payload, Reading};
use sha2::{Digest, Sha256};

/// Why a body is no delivery: answered 400 and kept in `refused`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotADelivery(pub String);

/// A delivery, read and fingerprinted, ready for the writer.
#[derive(Debug)]
pub struct Envelope {
    pub app_id: String,
    pub trigger: String,
    pub region: Option<String>,
    pub webhook_id: Option<String>,
    /// SHA-256 of what the body says, in one form for all spellings: the vendor sends no event id.
    pub fingerprint: [u8; 32],
    /// The newest timestamp of the entities in the body.
    pub newest: Option<Time>,
    pub has_secret: bool,
    pub outcome: Outcome,
    /// Why it is not applied, or which fields were not understood.
    pub reason: Option<String>,
    /// When the payload says it happened.
    pub told_at: Option<Time>,
    /// What to fold; `None` where nothing is.
    pub payload: Option<Box<dyn Payload>>,
    /// The exact text received.
    pub body: String,
}

/// Top-level members that say how a fact was delivered, not what it is.
const NOT_THE_FACT: &[&str] = &["webhook", "region", "origin", "chatAPIVersion"];

/// Triggers of chatfold's own events begin so. Nobody else may send them.
pub const OWN: &str = "chatfold.";

impl Envelope {
    /// Reads a body that somebody sent: a POST, or a line of a file.
    pub fn received(body: &[u8]) -> Result<Self, NotADelivery> {
        Self::received_as(parsed(body)?)
    }

    /// The same of a body that is parsed.
    pub fn received_as(document: Document) -> Result<Self, NotADelivery> {
        let envelope = Self::of(document)?;
        if envelope.trigger.starts_with(OWN) {
            return Err(NotADelivery("trigger: those that begin with \"chatfold.\" are chatfold's own".into()));
        }
        Ok(envelope)
    }

    /// Reads a body. JSON by the grammar whose envelope is whole always passes; what is wrong inside `data` is an
    /// outcome, not an error.
    pub fn parse(body: &[u8]) -> Result<Self, NotADelivery> {
        Self::of(parsed(body)?)
    }

    fn of(document: Document) -> Result<Self, NotADelivery> {
        let root = document.root();
        if !root.is_object() {
            return Err(NotADelivery("expected a JSON object".into()));
        }
        let member =
            |key: &str| root.get(key).and_then(Json::text).map(|text| json::without_secrets(text).into_owned());
        let required = |key: &str| member(key).ok_or_else(|| NotADelivery(format!("{key}: expected text")));
        let (trigger, app_id) = (required("trigger")?, required("appId")?);
        let Read { outcome, reason, payload, told_at, newest, has_secret } =
            Read::or_dead_letter(|| Read::of(&trigger, root));
        Ok(Self {
            region: member("region"),
            webhook_id: member("webhook"),
            fingerprint: fingerprint(&document),
            newest,
            has_secret,
            outcome,
            reason,
            told_at,
            payload,
            trigger,
            app_id,
            body: document.into_text(),
        })
    }

    /// The same delivery, of which nothing is folded.
    pub fn as_dead_letter(&self, reason: String) -> Self {
        Self {
            app_id: self.app_id.clone(),
            trigger: self.trigger.clone(),
            region: self.region.clone(),
            webhook_id: self.webhook_id.clone(),
            fingerprint: self.fingerprint,
            newest: self.newest,
            has_secret: self.has_secret,
            outcome: Outcome::Rejected,
            reason: Some(reason),
            told_at: self.told_at,
            payload: None,
            body: self.body.clone(),
        }
    }
}

fn parsed(body: &[u8]) -> Result<Document, NotADelivery> {
    Document::parse(body.to_vec()).map_err(|error| NotADelivery(error.to_string()))
}

/// What a body says beside its envelope.
struct Read {
    outcome: Outcome,
    reason: Option<String>,
    payload: Option<Box<dyn Payload>>,
    told_at: Option<Time>,
    newest: Option<Time>,
    has_secret: bool,
}

impl Read {
    fn of(trigger: &str, root: Json<'_>) -> Self {
        let data = root.get("data");
        let notes = Notes::default();
        for key in ["region", "webhook"] {
            if root.get(key).is_some_and(|value| !value.is_null() && value.text().is_none()) {
                notes.expected("text", key);
            }
        }
        let reading = trigger::read(trigger, data, &notes);
        let told_at = match &reading {
            Reading::Payload(payload) => payload.occurred_at(),
            Reading::Ignored(told_at) => *told_at,
            Reading::Rejected(_) => None,
        };
        let (outcome, reason, payload) = match reading {
            Reading::Ignored(_) => (Outcome::Ignored, None, None),
            Reading::Rejected(rejection) => (Outcome::Rejected, Some(rejection.0), None),
            Reading::Payload(payload) => match payload.anomaly() {
                Some(anomaly) => (Outcome::Anomaly, Some(anomaly), Some(payload)),
                None => (Outcome::Applied, notes.reason(), Some(payload)),
            },
        };
        let newest = data.and_then(|data| newest(data, DEPTH));
        Self { outcome, reason, payload, told_at, newest, has_secret: json::has_secret(root) }
    }

    /// What was read; a dead letter where reading panics. Its body is not shown, for nobody knows what is in it.
    fn or_dead_letter(read: impl FnOnce() -> Self) -> Self {
        panics::caught(read).unwrap_or_else(|panicked| Self {
            outcome: Outcome::Rejected,
            reason: Some(format!("reading failed: {panicked}")),
            payload: None,
            told_at: None,
            newest: None,
            has_secret: true,
        })
    }
}

/// Whether JSON has the members that every delivery has.
pub fn is_delivery(json: Json<'_>) -> bool {
    json.is_object() && ["trigger", "appId"].iter().all(|key| json.get(key).and_then(Json::text).is_some())
}

/// What a body says, without what only the log needs; `None` where nothing of it is folded.
pub fn payload(body: &str) -> Option<Box<dyn Payload>> {
    let document = Document::parse(body.as_bytes().to_vec()).ok()?;
    let root = document.root();
    match trigger::read(&root.get("trigger").and_then(Json::text)?, root.get("data"), &Notes::default()) {
        Reading::Payload(payload) => Some(payload),
        Reading::Ignored(_) | Reading::Rejected(_) => None,
    }
}

fn fingerprint(document: &Document) -> [u8; 32] {
    let mut hash = Sha256::new();
    if json::canonical(document, NOT_THE_FACT, &mut |bytes| hash.update(bytes)) {
        hash.finalize().into()
    } else {
        Sha256::digest(document.text()).into()
    }
}

/// No entity of the vendor's lies deeper.
const DEPTH: usize = 12;

/// `lastActiveAt` is a person's clock, read up to 30 s after the event.
const ACTIVE_AHEAD: i64 = 30_000;

/// The newest timestamp of the entities named; never from inside metadata or custom data.
fn newest(json: Json<'_>, depth: usize) -> Option<Time> {
    if depth == 0 {
        return None;
    }
    let mut newest = None;
    for (key, value) in json.members() {
        let at = match key.as_ref() {
            "updatedAt" | "createdAt" | "sentAt" | "editedAt" | "deletedAt" | "reactedAt" | "joinedAt" => {
                trigger::as_time(value)
            }
            "lastActiveAt" => trigger::as_time(value).map(|at| Time(at.0 - ACTIVE_AHEAD)),
            "metadata" | "customData" | "interactiveData" | "card" | "@injected" => None,
            // A message's own data is the sender's; only the entities in it are the vendor's.
            "data" => ["entities", "mentions", "quotedMessage"]
                .iter()
                .filter_map(|key| newest_in(value.get(key)?, depth))
                .max(),
            _ => newest_in(value, depth),
        };
        newest = newest.max(at.filter(|at| at.0 > 0));
    }
    newest
}

fn newest_in(value: Json<'_>, depth: usize) -> Option<Time> {
    let listed = value.elements().filter_map(|element| newest(element, depth - 1)).max();
    listed.max(newest(value, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Envelope {
        Envelope::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn one_fact_has_one_fingerprint_however_it_is_spelled_and_delivered() {
        let a = parse(r#"{"trigger":"t","appId":"a","data":{"x":1,"y":"é"},"webhook":"w1","region":"eu"}"#);
        let b = parse(
            r#"{ "webhook":"w2", "data":{"y":"\u00e9", "x":0, "x":1}, "appId":"a", "trigger":"t", "origin":{} }"#,
        );
        assert_eq!(a.fingerprint, b.fingerprint);
        let c = parse(r#"{"trigger":"t","appId":"a","data":{"x":"1","y":"é"}}"#);
        assert_ne!(a.fingerprint, c.fingerprint, "a number is no text");
    }

    #[test]
    fn a_delivery_over_which_reading_panics_is_a_dead_letter() {
        let read = Read::or_dead_letter(|| panic!("a bug"));
        assert_eq!((read.outcome, read.has_secret), (Outcome::Rejected, true));
        assert!(read.reason.unwrap().contains("a bug in chatfold"));
    }

    #[test]
    fn nobody_sends_events_of_chatfolds_own() {
        let body = br#"{"trigger":"chatfold.roster","appId":"a"}"#;
        assert!(Envelope::received(body).unwrap_err().0.contains("chatfold's own"));
        assert!(Envelope::parse(body).is_ok(), "the log may hold them");
    }

    #[test]
    fn an_envelope_needs_trigger_and_app() {
        for (body, problem) in [
            ("[]", "expected a JSON object"),
            (r#"{"appId":"a"}"#, "trigger: expected text"),
            (r#"{"trigger":"t","appId":5}"#, "appId: expected text"),
            ("{", "not JSON: expected a key in double quotes at byte 1"),
        ] {
            assert_eq!(Envelope::parse(body.as_bytes()).unwrap_err().0, problem);
        }
    }

    #[test]
    fn the_newest_time_is_the_vendors_not_the_senders() {
        let body = r#"{"trigger":"t","appId":"a","data":{"group":{"createdAt":1700000000,"metadata":{"updatedAt":1800000000}},
            "by":{"lastActiveAt":1700000100},"message":{"data":{"sentAt":1800000000,"entities":{"on":{"entity":{"sentAt":1700000050}}}}}}}"#;
        assert_eq!(parse(body).newest, Some(Time(1_700_000_070_000)));
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named_and_the_rest_applies() {
        let envelope = parse(
            r#"{"trigger":"group_updated","appId":"a","data":{"group":{"guid":"g","name":7,"updatedAt":1700000000}}}"#,
        );
        assert_eq!(
            (envelope.outcome, envelope.reason.as_deref()),
            (Outcome::Applied, Some("data.group.name: expected text"))
        );
    }
}
