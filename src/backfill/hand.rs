//! Hands events to the log: in this process, or through a socket to the server of the file. The server of a node puts them
//! into the log of all nodes.

use crate::clock;
use crate::cluster::{Intake, Taken};
use crate::envelope::{Envelope, OWN};
use crate::lock::{self, Lock, LockError};
use crate::store::StoreError;
use crate::store::sqlite::reconcile::{self, Ended};
use crate::store::sqlite::{self, Connection, backfill as store};
use crate::writer::{Refusal, Writer};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// The first line that asks a server to take events.
pub const ASKS: &str = "append";
/// Before an event is handed over again.
const AGAIN: Duration = Duration::from_millis(100);
/// Times that an event is handed over: about a minute, for others have their turns between.
const TIMES: u32 = 600;

/// Why events did not get into the log.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Server(String),
    #[error("the event was not taken: {0}")]
    NotTaken(String),
}

/// What is handed over at once.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// Bodies of events of chatfold's own.
    Append(Vec<String>),
    /// How far a stage of an app came.
    Keep(Kept),
    /// A run of these stages of an app has ended.
    Clear(String, Vec<String>),
    /// What a reconcile of an app keeps.
    Note(String, Note),
}

/// What a reconcile keeps beside the events.
#[derive(Debug, Serialize, Deserialize)]
pub enum Note {
    /// These were read, or tried: their kind and their keys.
    Verified(String, Vec<String>),
    /// CometChat was asked for the message ids from one to another.
    Asked(i64, i64),
    Ended(Ended),
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    app_id: String,
    stage: String,
    place: String,
    done: bool,
    counts: String,
}

/// Takes events for the log.
pub struct Hand(Way);

enum Way {
    /// In the server.
    Within {
        intake: Intake,
        runtime: Runtime,
    },
    /// The process ends with its lock.
    Alone {
        intake: Intake,
        runtime: Runtime,
        _lock: Lock,
    },
    Beside(BufReader<UnixStream>),
    /// Takes nothing.
    Dry,
}

impl Hand {
    /// Nothing is written.
    pub fn dry() -> Self {
        Self(Way::Dry)
    }

    /// In the server itself.
    pub fn within(intake: Intake) -> Result<Self, HandError> {
        Ok(Self(Way::Within { intake, runtime: runtime()? }))
    }

    /// Through the server that writes the file, or with a writer of our own where none does. A node's file is written by
    /// its server alone.
    pub fn to(db: &Path, row_cache: usize) -> Result<Self, HandError> {
        // The lock makes a file where there is none.
        let known = db.exists().then(|| sqlite::open_reader(db)).transpose()?;
        match Lock::acquire(db) {
            Ok(lock) => {
                known.map_or(Ok(()), |conn| sqlite::shared_log::refuse(&conn, db))?;
                // Whoever waits for an event hears of the failure.
                let intake = Intake::Alone(Writer::start(db, row_cache, Box::new(|| {}))?);
                Ok(Self(Way::Alone { intake, runtime: runtime()?, _lock: lock }))
            }
            Err(error @ LockError::Held { .. }) => {
                let gone =
                    |why: &dyn std::fmt::Display| HandError::Server(format!("{error}. It takes no events ({why})"));
                let mut stream = UnixStream::connect(lock::socket(db)).map_err(|why| gone(&why))?;
                writeln!(stream, "{ASKS}").map_err(|why| gone(&why))?;
                Ok(Self(Way::Beside(BufReader::new(stream))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Durable when it returns.
    pub fn append(&mut self, bodies: Vec<String>) -> Result<(), HandError> {
        self.hand(Request::Append(bodies))
    }

    /// Keeps how far a stage came.
    pub fn keep(&mut self, app_id: &str, stage: &str, place: &store::Place) -> Result<(), HandError> {
        let store::Place { place, done, counts } = place.clone();
        self.hand(Request::Keep(Kept { app_id: app_id.to_owned(), stage: stage.to_owned(), place, done, counts }))
    }

    /// The run of these stages of an app has ended: the next one begins them anew.
    pub fn clear(&mut self, app_id: &str, stages: Vec<String>) -> Result<(), HandError> {
        self.hand(Request::Clear(app_id.to_owned(), stages))
    }

    /// Keeps what a reconcile of an app found.
    pub fn note(&mut self, app_id: &str, note: Note) -> Result<(), HandError> {
        self.hand(Request::Note(app_id.to_owned(), note))
    }

    fn hand(&mut self, request: Request) -> Result<(), HandError> {
        match &mut self.0 {
            Way::Dry => Ok(()),
            Way::Alone { intake, runtime, .. } | Way::Within { intake, runtime } => take(intake, runtime, request),
            Way::Beside(stream) => {
                let gone = |why: &dyn std::fmt::Display| HandError::Server(format!("the server went away: {why}"));
                let request = serde_json::to_string(&request).map_err(|why| gone(&why))?;
                writeln!(stream.get_mut(), "{request}").map_err(|why| gone(&why))?;
                let mut answer = String::new();
                stream.read_line(&mut answer).map_err(|why| gone(&why))?;
                match serde_json::from_str::<Option<String>>(&answer) {
                    Ok(None) => Ok(()),
                    Ok(Some(error)) => Err(HandError::Server(error)),
                    Err(_) => Err(gone(&"it gave no answer. It may be another version of chatfold")),
                }
            }
        }
    }

    /// Closes the file where it is ours.
    pub fn finish(self) {
        if let Way::Alone { intake, .. } = self.0 {
            intake.stop();
        }
    }
}

/// Takes what is handed over on a socket, until the other side goes away. Each answer is null, or why not.
pub fn serve(intake: &Intake, mut lines: impl BufRead, mut answers: impl Write) {
    let Ok(runtime) = runtime() else { return };
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        let request = serde_json::from_str(&line);
        // A list of many people takes megabytes.
        line = String::new();
        let taken = match request {
            Ok(request) => take(intake, &runtime, request).err().map(|error| error.to_string()),
            Err(_) => Some("the server does not know this request. It may be another version of chatfold".to_owned()),
        };
        let Ok(answer) = serde_json::to_string(&taken) else { return };
        if writeln!(answers, "{answer}").is_err() {
            return;
        }
    }
}

fn runtime() -> Result<Runtime, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(|error| StoreError::Unusable(format!("cannot start a runtime: {error}")))
}

fn take(intake: &Intake, runtime: &Runtime, request: Request) -> Result<(), HandError> {
    let writer = intake.writer();
    match request {
        Request::Append(bodies) => runtime.block_on(append_all(intake, bodies)),
        Request::Keep(it) => write(writer, move |conn| {
            let place = store::Place { place: it.place, done: it.done, counts: it.counts };
            store::keep(conn, &it.app_id, &it.stage, &place)
        }),
        Request::Clear(app_id, stages) => write(writer, move |conn| store::clear(conn, &app_id, &stages)),
        Request::Note(app_id, note) => write(writer, move |conn| match note {
            Note::Verified(kind, keys) => reconcile::verify(conn, &app_id, &kind, &keys, clock::now()),
            Note::Asked(first, last) => reconcile::ask(conn, &app_id, first, last),
            Note::Ended(ended) => reconcile::end(conn, &app_id, &ended),
        }),
    }
}

/// Writes in a transaction of its own.
fn write(
    writer: &Writer,
    work: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), HandError> {
    let done = writer.run(move |conn| {
        sqlite::begin(conn)?;
        work(conn)?;
        sqlite::commit(conn)
    });
    done.map_err(|error| HandError::NotTaken(error.to_string()))
}

/// All at once, so that they share commits. One that comes a second time is a duplicate.
async fn append_all(intake: &Intake, bodies: Vec<String>) -> Result<(), HandError> {
    let mut appends = JoinSet::new();
    for body in bodies {
        let intake = intake.clone();
        appends.spawn(async move { append(&intake, body).await });
    }
    while let Some(appended) = appends.join_next().await {
        appended.map_err(|error| HandError::NotTaken(error.to_string()))??;
    }
    Ok(())
}

async fn append(intake: &Intake, body: String) -> Result<(), HandError> {
    let not_taken = |why: &dyn std::fmt::Display| HandError::NotTaken(why.to_string());
    let mut refused = Refusal::Unknown;
    for _ in 0..TIMES {
        let envelope = Envelope::parse(body.as_bytes()).map_err(|problem| not_taken(&problem))?;
        if !envelope.trigger.starts_with(OWN) {
            return Err(not_taken(&"it is no event of chatfold's own"));
        }
        match intake.take(envelope, clock::now()).await {
            Ok(Taken::Folded(_) | Taken::Queued) => return Ok(()),
            Ok(Taken::Accepted(position)) => {
                drop(body);
                // What is read next is compared with the tables.
                intake.folded(position).await;
                return Ok(());
            }
            Err(refusal) => refused = refusal,
        }
        if let Some(why) = intake.writer().not_ready().filter(|why| why.contains("stopping")) {
            return Err(not_taken(&why));
        }
        tokio::time::sleep(AGAIN).await;
    }
    Err(not_taken(&refused))
}
