//! Lines and logged events, read ahead of the fold: each becomes an envelope, or a problem.

use super::IngestError;
use crate::ahead::{Abandoned, Sink};
use crate::envelope::{Envelope, NotADelivery, is_delivery};
use crate::ids::Time;
use crate::json::{Document, Json};
use crate::store::sqlite::log_file::LogFile;
use crate::trigger::as_time;
use std::io::{self, BufRead};
use std::ops::ControlFlow;

/// A longer line is no delivery: SQLite holds 64 MiB in a row.
const LINE: usize = 60 << 20;

/// A log that says that it holds an event delivered more often is not believed: to count so many takes minutes, and more
/// takes for ever.
const DELIVERIES: u64 = 1_000_000;

/// What an envelope takes in memory beside its body, about.
const ENVELOPE: usize = 2 << 10;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A part of an input, in its order.
pub(super) struct Part {
    /// Bytes of the input that were read for it.
    pub bytes: u64,
    pub holds: Holds,
}

pub(super) enum Holds {
    Blank,
    Line(Box<Line>),
    /// The input cannot be read any further.
    Failed(IngestError),
}

/// A line, or an event of a log.
pub(super) struct Line {
    pub read: Result<Envelope, Problem>,
    /// When it was received, if it tells.
    pub received_at: Option<Time>,
    /// How often it was delivered again, and when the last time.
    pub again: (u64, Option<Time>),
}

/// Why a line is no delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub line: Vec<u8>,
    pub place: String,
    pub words: String,
}

/// Puts parts of one input.
pub(super) struct Reader<'a> {
    pub name: String,
    pub sink: &'a mut Sink<Part>,
}

impl Reader<'_> {
    /// A JSON document, or one delivery a line.
    pub fn lines(mut self, mut input: impl BufRead) -> Result<(), Abandoned> {
        let (mut number, mut begun) = (0, false);
        loop {
            let mut line = Vec::new();
            let bytes = match input.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(()),
                Ok(bytes) => bytes as u64,
                Err(error) => return self.failed(error),
            };
            number += 1;
            if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
            if is_blank(&line) {
                self.sink.put(Part { bytes, holds: Holds::Blank }, 0)?;
                continue;
            }
            if !std::mem::replace(&mut begun, true) && Document::parse(line.clone()).is_err() {
                return match input.read_to_end(&mut line) {
                    Ok(more) => self.whole(bytes + more as u64, number, line),
                    Err(error) => self.failed(error),
                };
            }
            self.line(bytes, line, Some(number))?;
        }
    }

    /// An input whose first line is not whole: one document over many lines, else lines of which the first is wrong.
    fn whole(&mut self, mut bytes: u64, first: usize, input: Vec<u8>) -> Result<(), Abandoned> {
        if Document::parse(input.clone()).is_ok() {
            return self.line(bytes, input, None);
        }
        for (number, line) in (first..).zip(input.split(|byte| *byte == b'\n')) {
            if !is_blank(line) {
                self.line(std::mem::take(&mut bytes), line.to_vec(), Some(number))?;
            }
        }
        Ok(())
    }

    /// A delivery, or a JSON array of deliveries.
    fn line(&mut self, bytes: u64, line: Vec<u8>, number: Option<usize>) -> Result<(), Abandoned> {
        let place = number.map_or_else(|| self.name.clone(), |number| format!("{}:{number}", self.name));
        if line.trim_ascii_start().first() != Some(&b'[') {
            return self.delivery(bytes, line, place);
        }
        let elements: Vec<Vec<u8>> = match Document::parse(line.clone()) {
            Ok(document) => document.root().elements().map(|it| it.source().as_bytes().to_vec()).collect(),
            Err(_) => Vec::new(),
        };
        if elements.is_empty() {
            return self.delivery(bytes, line, place);
        }
        let mut bytes = bytes;
        for (number, element) in (1..).zip(elements) {
            self.delivery(std::mem::take(&mut bytes), element, format!("{place}, element {number}"))?;
        }
        Ok(())
    }

    fn delivery(&mut self, bytes: u64, line: Vec<u8>, place: String) -> Result<(), Abandoned> {
        let length = line.len();
        let (read, received_at) = match read(line) {
            Ok((envelope, received_at)) => (Ok(envelope), received_at),
            Err((line, words)) => (Err(Problem { line, place, words }), None),
        };
        let line = Line { read, received_at, again: (0, None) };
        self.sink.put(Part { bytes, holds: Holds::Line(Box::new(line)) }, ENVELOPE + 2 * length)
    }

    /// The log of another chatfold file, of any edition, each event as often as it was delivered.
    pub fn log(self, log: &LogFile) -> Result<(), Abandoned> {
        let (mut number, mut put) = (0, Ok(()));
        let read = log.for_each(|event| {
            number += 1;
            let (length, body) = (event.body.len(), event.body.into_bytes());
            let read = if event.deliveries > DELIVERIES {
                Err(format!("deliveries is {}: more than {DELIVERIES} are not believed", event.deliveries))
            } else {
                Envelope::parse(&body).map_err(|NotADelivery(words)| words)
            };
            let read = read.map(|envelope| match event.webhook {
                Some(webhook_id) => Envelope { webhook_id, ..envelope },
                None => envelope,
            });
            let more = if read.is_ok() { event.deliveries - 1 } else { 0 };
            let line = Line {
                read: read.map_err(|words| Problem {
                    line: body,
                    place: format!("{}: event {number}", self.name),
                    words,
                }),
                received_at: Some(event.received_at),
                again: (more, Some(event.last_received_at)),
            };
            put =
                self.sink.put(Part { bytes: length as u64, holds: Holds::Line(Box::new(line)) }, ENVELOPE + 2 * length);
            if put.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match read {
            Ok(()) => put,
            Err(error) => self.sink.put(Part { bytes: 0, holds: Holds::Failed(error.into()) }, 0),
        }
    }

    fn failed(&mut self, error: io::Error) -> Result<(), Abandoned> {
        let error = IngestError::Read(self.name.clone(), error);
        self.sink.put(Part { bytes: 0, holds: Holds::Failed(error) }, 0)
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// A delivery and when it was received, if the line tells; else the line, or the body in it, and what is wrong with it.
fn read(line: Vec<u8>) -> Result<(Envelope, Option<Time>), (Vec<u8>, String)> {
    let parsed = Document::parse(line.clone()).map_err(|error| error.to_string());
    let Some(wrapped) = parsed.as_ref().ok().and_then(wrapped) else {
        return delivery(&line, parsed).map(|envelope| (envelope, None)).map_err(|words| (line, words));
    };
    let (body, received_at) = wrapped.map_err(|words| (line, words))?;
    let parsed = Document::parse(body.clone()).map_err(|error| error.to_string());
    delivery(&body, parsed).map(|envelope| (envelope, received_at)).map_err(|words| (body, words))
}

fn delivery(body: &[u8], parsed: Result<Document, String>) -> Result<Envelope, String> {
    if body.len() > LINE {
        return Err(format!("the body is longer than {} MiB", LINE >> 20));
    }
    Envelope::received_as(parsed?).map_err(|NotADelivery(words)| words)
}

/// A body, and when it was received if the line tells.
type Timed = (Vec<u8>, Option<Time>);

/// A line may be `{"receivedAt": ms, "body": {…}}` around a delivery; RFC 3339 will do too. So a line that `chatfold events
/// --json` prints is one. A time that cannot be read is a problem: dated now, the delivery would be another fact.
fn wrapped(document: &Document) -> Option<Result<Timed, String>> {
    let root = document.root();
    let body = root.get("body").filter(|body| body.is_object())?;
    // The content of a delivery stands in `data`.
    if root.get("trigger").is_some() && (root.get("data").is_some() || !is_delivery(body)) {
        return None;
    }
    let read = |value: Json<'_>| as_time(value).or_else(|| Time::parse(&value.text()?)).filter(|time| time.0 > 0);
    Some(match root.get("receivedAt").map(read) {
        Some(None) => Err("receivedAt: expected unix milliseconds, or a time such as 2026-01-05T09:30:00Z".into()),
        told => Ok((body.source().as_bytes().to_vec(), told.flatten())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(line: &str) -> Option<Result<Timed, String>> {
        wrapped(&Document::parse(line.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_wrapped_body_keeps_its_bytes_and_its_time() {
        for at in ["1767600000000", "\"2026-01-05T08:00:00Z\""] {
            let line = format!(r#"{{"receivedAt": {at}, "body": {{"a" : 1}}}}"#);
            assert_eq!(unwrapped(&line), Some(Ok((br#"{"a" : 1}"#.to_vec(), Some(Time(1_767_600_000_000))))));
        }
        assert!(matches!(unwrapped(r#"{"receivedAt": "x", "body": {}}"#), Some(Err(_))));
        let printed =
            r#"{"seq":7,"trigger":"t","appId":"a","receivedAt":1767600000000,"body":{"trigger":"t","appId":"a"}}"#;
        let body = br#"{"trigger":"t","appId":"a"}"#.to_vec();
        assert_eq!(unwrapped(printed), Some(Ok((body, Some(Time(1_767_600_000_000))))));
        let with_data = r#"{"trigger":"t","appId":"a","data":{},"body":{"trigger":"t","appId":"a"}}"#;
        for bare in [with_data, r#"{"trigger":"t","body":{}}"#, r#"{"trigger":null,"body":{}}"#, r#"{"body":1}"#, "[]"]
        {
            assert_eq!(unwrapped(bare), None, "{bare}");
        }
    }
}
