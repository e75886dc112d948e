//! The log, read and parsed ahead of the fold.

use crate::ahead::Ahead;
use crate::envelope::{Envelope, NotADelivery};
use crate::store::StoreError;
use crate::store::sqlite::delivery::{self, Further};
use crate::store::sqlite::events::{self, Logged};
use crate::store::sqlite::{self, Connection};
use std::path::Path;

/// Events, and further deliveries, that are read at once.
const CHUNK: usize = 500;

/// Deliveries that follow each other in the log.
pub(super) struct Chunk {
    /// Their bodies are in the envelopes.
    pub events: Vec<(Logged, Result<Envelope, NotADelivery>)>,
    pub further: Vec<Further>,
    /// Log position up to which these are all.
    pub until: i64,
    pub bytes: usize,
}

impl Chunk {
    /// The deliveries that follow a log position, none later than `until`; `None`: there are no more.
    pub fn read(log: &Connection, after: i64, until: i64) -> Result<Option<Self>, StoreError> {
        let (mut events, all) = events::between(log, after, until, CHUNK)?;
        let until = events.last().filter(|_| !all).map_or(until, |last| last.fact.seq);
        let further = delivery::untold(log, after, until, CHUNK)?;
        let until = further.last().filter(|_| further.len() == CHUNK).map_or(until, |last| last.position);
        if events.is_empty() && further.is_empty() {
            return Ok(None);
        }
        events.retain(|event| event.fact.seq <= until);
        let bytes = events.iter().map(|event| event.body.len()).sum();
        let parse = |mut event: Logged| {
            let body = std::mem::take(&mut event.body);
            (event, Envelope::parse(body.as_bytes()))
        };
        Ok(Some(Self { events: events.into_iter().map(parse).collect(), further, until, bytes }))
    }
}

/// The chunks of the log of the file at `path`, which this process has opened to read before, between two log positions.
pub(super) fn chunks(
    path: &Path,
    mut after: i64,
    until: i64,
) -> Result<impl Iterator<Item = Result<Chunk, StoreError>>, StoreError> {
    let log = sqlite::open_again(path)?;
    let read = Ahead::start(move |sink| {
        while let Some(chunk) = Chunk::read(&log, after, until).transpose() {
            let bytes = chunk.as_ref().map_or(0, |chunk| chunk.bytes);
            let ended = chunk.as_ref().map(|chunk| after = chunk.until).is_err();
            sink.put(chunk, bytes)?;
            if ended {
                break;
            }
        }
        Ok(())
    });
    let read = read.map_err(|error| StoreError::Unusable(format!("cannot start the thread that reads: {error}")))?;
    Ok(read
        .map(|chunk| chunk.unwrap_or_else(|error| Err(StoreError::Unusable(format!("cannot read the log: {error}"))))))
}
