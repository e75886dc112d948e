//! Backups of the file that is served: those that the server makes itself, those that others tell of, and `GET /backup`.

use super::changes::PATIENCE;
use super::{Shared, access, body, either, problem};
use crate::backup::{self, BackupError, Schedule, Stop, Taken};
use crate::clock;
use crate::ids::{Time, TokenScope};
use crate::lock;
use crate::store::StoreError;
use crate::store::sqlite::{self, Backup};
use crate::writer::Writer;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_core::Stream;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Bytes that are read of a backup at once.
const CHUNK: usize = 256 << 10;

/// What is known of backups. Cheap to clone.
#[derive(Clone)]
pub(super) struct Backups {
    writer: Option<Writer>,
    newest: Arc<Mutex<Option<Backup>>>,
    /// One request at a time: a backup takes the space of the file, and holds its WAL.
    turn: Arc<Semaphore>,
    stop: Stop,
}

impl Backups {
    /// Of a file. `writer`: keeps in it when the newest backup was made.
    pub(super) fn of(path: &Path, writer: Option<Writer>) -> Result<Self, StoreError> {
        let newest = sqlite::last_backup(&sqlite::open_reader(path)?)?;
        let newest = Arc::new(Mutex::new(newest));
        Ok(Self { writer, newest, turn: Arc::new(Semaphore::new(1)), stop: Stop::default() })
    }

    /// Makes backups on a thread of its own, until the server stops.
    pub(super) fn schedule(&self, db: PathBuf, schedule: Schedule) -> io::Result<()> {
        let own = self.clone();
        let work = move || {
            tracing::info!("a backup into {} every {} s", schedule.folder.display(), schedule.every.as_secs());
            schedule.run(&db, &own.stop, &mut |_| {}, &mut |taken| match taken {
                Ok(taken) => {
                    tracing::info!(bytes = taken.bytes, seq = taken.state.seq, "backup {}", taken.file.display());
                    own.note(Backup { at: taken.at, seq: taken.state.seq });
                }
                Err(error) => tracing::error!(%error, "no backup"),
            });
        };
        std::thread::Builder::new().name("backups".into()).spawn(work).map(drop)
    }

    /// Keeps that there is a backup, if it is newer than what is known. Blocking.
    pub(super) fn note(&self, made: Backup) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if made.at > clock::now() || newest.is_some_and(|known| known.at >= made.at) {
            return;
        }
        *newest = Some(made);
        drop(newest);
        let Some(writer) = &self.writer else { return };
        if let Err(error) = writer.run(move |conn| sqlite::stamp_backup(conn, made)) {
            tracing::warn!(%error, "the file does not say that there is a backup");
        }
    }

    /// The newest backup.
    pub(super) fn newest(&self) -> Option<Backup> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Soon ends what is being made.
    pub(super) fn stop(&self) {
        self.stop.ask();
    }

    /// Reads what [`tell`] says. `None`: it says something else.
    pub(super) fn read(request: &str) -> Option<Backup> {
        let (seq, at) = request.strip_prefix("backup ")?.split_once(' ')?;
        Some(Backup { seq: seq.parse().ok()?, at: Time(at.parse().ok()?) })
    }
}

/// Tells the server that writes a file of a backup of it. Without a server nobody needs to know.
pub fn tell(db: &Path, taken: &Taken) {
    if let Ok(mut stream) = UnixStream::connect(lock::socket(db)) {
        let told = writeln!(stream, "backup {} {}", taken.state.seq, taken.at.0);
        // Its answer says that it is kept. A server of another version may say nothing.
        let _ = told.and_then(|()| BufReader::new(stream).read_line(&mut String::new()));
    }
}

/// Answers with a backup.
pub(super) async fn get(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    body::closing(either(answer(&request, &shared).await), payload)
}

async fn answer(request: &HttpRequest, shared: &Shared) -> Result<HttpResponse, HttpResponse> {
    let access = access::of_reader(request, shared)?;
    if !access.is_of_all_apps() || access.scope() < TokenScope::Admin {
        let detail = "a backup holds everything: it needs a token of scope admin for all apps";
        return Err(problem::of(StatusCode::FORBIDDEN, detail));
    }
    if shared.writer.is_none() {
        return Err(problem::of(
            StatusCode::NOT_FOUND,
            "`chatfold open` makes no backups: copy the file with `chatfold backup`",
        ));
    }
    let turn = Arc::clone(&shared.backups.turn).try_acquire_owned();
    let turn = turn.map_err(|_| problem::unavailable("another backup is being made or sent"))?;
    let (given, db) = (Given(Stop::default()), shared.config.db.clone());
    let stop = given.0.clone();
    let making = tokio::task::spawn_blocking(move || -> Result<_, BackupError> {
        let (file, taken) = backup::take_unnamed(&db, &stop)?;
        let (file, digest) = digested(file).map_err(|source| BackupError::Io { path: db, source })?;
        Ok((file, digest, taken))
    });
    let mut stopping = shared.stopping.subscribe();
    let made = tokio::select! {
        made = making => made,
        _ = stopping.wait_for(|is_stopping| *is_stopping) => return Err(problem::unavailable("the server is stopping")),
    };
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "no backup");
        problem::unavailable("no backup could be made; the server's log says why")
    };
    let (file, digest, taken) = made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let (at, seq) = (taken.at, taken.state.seq);
    let name = format!("chatfold-{}.db", backup::compact(at));
    let (sender, chunks) = mpsc::channel(2);
    let (end, ended) = oneshot::channel();
    let backups = shared.backups.clone();
    shared.feeds.spawn(async move {
        let sent = send(file, taken.bytes, sender).await && ended.await.is_ok();
        drop(turn);
        // Whether the client keeps it, the client knows.
        if sent {
            let _ = tokio::task::spawn_blocking(move || backups.note(Backup { at, seq })).await;
        }
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/vnd.sqlite3"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("Repr-Digest", format!("sha-256=:{}:", STANDARD.encode(digest))))
        .insert_header(("Chatfold-Seq", seq.to_string()))
        .body(SizedStream::new(taken.bytes, Chunks { chunks, end: Some(end) })))
}

/// Asks to stop when nobody waits for the answer any more.
struct Given(Stop);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// SHA-256 of a file, which is then at its beginning.
fn digested(mut file: File) -> io::Result<(File, [u8; 32])> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    file.rewind()?;
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hash.update(&chunk[..read]),
        }
    }
    file.rewind()?;
    Ok((file, hash.finalize().into()))
}

/// Whether all of it was handed over.
async fn send(mut file: File, bytes: u64, sender: mpsc::Sender<io::Result<web::Bytes>>) -> bool {
    let mut left = bytes;
    while left > 0 {
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = (&file).take(CHUNK as u64).read_to_end(&mut chunk);
            (file, read.map(|_| web::Bytes::from(chunk)))
        });
        let Ok((rest, chunk)) = read.await else { return false };
        file = rest;
        left = match &chunk {
            Ok(chunk) if !chunk.is_empty() => left.saturating_sub(chunk.len() as u64),
            _ => return false,
        };
        if !tokio::time::timeout(PATIENCE, sender.send(chunk)).await.is_ok_and(|sent| sent.is_ok()) {
            return false;
        }
    }
    true
}

/// What is read, as a body.
struct Chunks {
    chunks: mpsc::Receiver<io::Result<web::Bytes>>,
    /// Told once all of it is written to the connection.
    end: Option<oneshot::Sender<()>>,
}

impl Stream for Chunks {
    type Item = io::Result<web::Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = self.chunks.poll_recv(context);
        if let Some(end) = self.end.take_if(|_| matches!(chunk, Poll::Ready(None))) {
            // Nobody waits for it where the reading failed.
            let _ = end.send(());
        }
        chunk
    }
}
