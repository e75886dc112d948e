//! Rebuilds inside the server. The server starts one itself if another edition of the fold made the tables. `chatfold
//! rebuild` asks for one through a socket beside the file; `chatfold backup` tells there of a backup.

use super::backups::Backups;
use super::retention;
use crate::backfill::hand;
use crate::backup::Stop;
use crate::cluster::Intake;
use crate::fold::FOLD_VERSION;
use crate::lock;
use crate::rebuild::{self, Host, Progress, RebuildError, Rebuilt};
use crate::retention::Rules;
use crate::store::StoreError;
use crate::store::sqlite;
use crate::writer::Writer;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Longest request on the socket.
const REQUEST: u64 = 64;

/// How far the rebuild is that runs now.
pub(super) type Rebuilding = Arc<Mutex<Option<Progress>>>;

/// One rebuild at a time.
#[derive(Clone)]
pub(super) struct Rebuilds {
    path: PathBuf,
    intake: Intake,
    backups: Backups,
    stopping: Arc<AtomicBool>,
    running: Arc<Mutex<()>>,
    /// True if the running work is a rebuild. If not, old events are cut, or the remains of a rebuild are removed.
    folding: Arc<AtomicBool>,
    /// True if the socket belongs to this server.
    listening: Arc<AtomicBool>,
    rebuilding: Rebuilding,
    /// What is cut from the log.
    rules: Rules,
    /// Ends the wait for the next cut.
    stop: Stop,
}

/// A client that waits for the end of a rebuild. The client stops the rebuild by going away.
struct Follower<'a> {
    stream: &'a UnixStream,
    stop: &'a AtomicBool,
}

impl Rebuilds {
    /// Removes what an interrupted rebuild left, rebuilds tables of another edition, and listens for requests. All this
    /// runs on threads of its own, so deliveries are taken meanwhile.
    pub(super) fn start(
        path: &Path,
        intake: Intake,
        backups: Backups,
        rebuilding: Rebuilding,
        (rules, every): (Rules, Duration),
    ) -> anyhow::Result<Self> {
        let rebuilds = Self {
            path: path.to_owned(),
            intake,
            backups,
            stopping: Arc::new(AtomicBool::new(false)),
            running: Arc::new(Mutex::new(())),
            folding: Arc::new(AtomicBool::new(false)),
            listening: Arc::new(AtomicBool::new(false)),
            rebuilding,
            rules,
            stop: Stop::default(),
        };
        let reader = sqlite::open_reader(path)?;
        // The node that erases a person folds the tables again itself, before it reads on.
        let made_by = if sqlite::is_erasing(&reader)? { FOLD_VERSION } else { sqlite::fold_version(&reader)? };
        drop(reader);
        let own = rebuilds.clone();
        std::thread::Builder::new().name("rebuild".into()).spawn(move || own.on_start(made_by))?;
        if !rules.is_empty() {
            retention::schedule(&rebuilds, rules, every, rebuilds.stop.clone())?;
        }
        match rebuilds.listen() {
            Ok(listener) => {
                rebuilds.listening.store(true, Ordering::Relaxed);
                let own = rebuilds.clone();
                std::thread::Builder::new().name("control".into()).spawn(move || own.serve(&listener))?;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen on {}: `chatfold rebuild` cannot ask this server", lock::socket(path).display());
            }
        }
        Ok(rebuilds)
    }

    /// Rebuilds the tables.
    fn rebuild(&self, stop: &AtomicBool, progress: &mut dyn FnMut(Progress)) -> Result<Rebuilt, RebuildError> {
        let host = Host::Writer(self.writer().clone());
        self.folding.store(true, Ordering::Relaxed);
        let rebuilt = rebuild::rebuild(&self.path, &host, stop, &mut |at| {
            self.is_at(Some(at));
            progress(at);
        });
        self.is_at(None);
        self.folding.store(false, Ordering::Relaxed);
        rebuilt
    }

    /// Tells how far the tables are made anew. `None`: they are made.
    pub(super) fn is_at(&self, at: Option<Progress>) {
        *self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Waits for the work that runs. While the guard lives, no rebuild folds the log.
    pub(super) fn wait(&self) -> MutexGuard<'_, ()> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn writer(&self) -> &Writer {
        self.intake.writer()
    }

    /// True once the server stops.
    pub(super) fn stopping(&self) -> &AtomicBool {
        &self.stopping
    }

    /// Soon ends the work that runs.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.stop.ask();
        if self.listening.load(Ordering::Relaxed) {
            let _ = std::fs::remove_file(lock::socket(&self.path));
        }
    }

    fn on_start(&self, made_by: i64) {
        let Ok(_running) = self.running.try_lock() else { return };
        let done = if made_by == FOLD_VERSION {
            let host = Host::Writer(self.writer().clone());
            rebuild::sweep(&self.path, &host, &self.stopping, &mut |_| {})
        } else {
            tracing::info!(
                "the tables were made by edition {made_by} of the fold, this is edition {FOLD_VERSION}: they are rebuilt; deliveries and queries go on"
            );
            self.rebuild(&self.stopping, &mut log_progress()).map(|rebuilt| report(&rebuilt))
        };
        match done {
            Ok(()) | Err(RebuildError::Stopped) => {}
            Err(error) => {
                tracing::error!(%error, "the rebuild failed; the next start, or `chatfold rebuild`, tries it again");
            }
        }
    }

    fn listen(&self) -> std::io::Result<UnixListener> {
        let socket = lock::socket(&self.path);
        // The lock is ours: whoever made a socket here is gone. Any other file stays, and `bind` says that it is there.
        if std::fs::symlink_metadata(&socket).is_ok_and(|meta| meta.file_type().is_socket()) {
            std::fs::remove_file(&socket)?;
        }
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    fn serve(&self, listener: &UnixListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            let own = self.clone();
            let answered = std::thread::Builder::new().name("control".into()).spawn(move || own.answer(&stream));
            if let Err(error) = answered {
                tracing::error!(%error, "cannot answer on the socket");
            }
        }
    }

    fn answer(&self, stream: &UnixStream) {
        let mut request = String::new();
        let mut reader = BufReader::new(std::io::Read::take(stream, REQUEST));
        let read = reader.read_line(&mut request);
        if let Some(made) = Backups::read(request.trim()) {
            self.backups.note(made);
            say(stream, &json!({ "noted": true }));
            return;
        }
        if read.is_ok() && request.trim() == hand::ASKS {
            reader.get_mut().set_limit(u64::MAX);
            return hand::serve(&self.intake, reader, stream);
        }
        if read.is_ok() && request.trim() == retention::ASKS {
            return retention::answer(self, self.rules, stream);
        }
        if read.is_err() || request.trim() != "rebuild" {
            say(
                stream,
                &json!({ "error": "the server does not know this request. It may be another version of chatfold" }),
            );
            return;
        }
        let _running = match self.running.try_lock() {
            Ok(running) => running,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if self.folding.load(Ordering::Relaxed) => {
                say(stream, &json!({ "error": "a rebuild is running already. The server's log shows its progress" }));
                return;
            }
            Err(TryLockError::WouldBlock) => self.wait(),
        };
        tracing::info!("rebuilding the tables, as asked");
        let stop = AtomicBool::new(false);
        let follower = Follower { stream, stop: &stop };
        let rebuilt = self.rebuild(&stop, &mut |progress| {
            if self.stopping.load(Ordering::Relaxed) || !say(follower.stream, &json!({ "progress": progress })) {
                follower.stop.store(true, Ordering::Relaxed);
            }
        });
        match rebuilt {
            Ok(rebuilt) => {
                report(&rebuilt);
                say(stream, &json!({ "rebuilt": rebuilt.to_json() }));
            }
            Err(error) => {
                tracing::warn!(%error, "no rebuild");
                say(stream, &json!({ "error": error.to_string() }));
            }
        }
    }
}

/// Writes one line to the socket. False if nobody reads it any more.
pub(super) fn say(mut stream: &UnixStream, line: &Value) -> bool {
    writeln!(stream, "{line}").is_ok()
}

/// A line in the log for each tenth.
fn log_progress() -> impl FnMut(Progress) {
    let mut told = None;
    move |Progress { phase, done, total }| {
        let tenth = (done * 10).checked_div(total).unwrap_or(0);
        if told.replace((phase, tenth)) != Some((phase, tenth)) {
            tracing::info!(?phase, done, total, "rebuilding");
        }
    }
}

fn report(rebuilt: &Rebuilt) {
    for damaged in &rebuilt.damaged {
        tracing::error!("the log is damaged: {damaged}");
    }
    tracing::info!(
        events = rebuilt.events,
        retried = rebuilt.retried,
        state = %rebuilt.after.total,
        same = rebuilt.before.total == rebuilt.after.total,
        "the tables are rebuilt"
    );
}

/// Asks the server that holds the file to rebuild, and reads its progress. `Ok(None)`: no server listens.
pub fn ask(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Option<Value>, StoreError> {
    request(path, ("rebuild", "rebuilt"), "the tables did not change", progress)
}

/// Asks the server that holds the file for work, and reads its progress up to the line that says what became of the work.
/// `Ok(None)`: no server listens. `kept`: what is true if the server goes away meanwhile.
pub(super) fn request(
    path: &Path,
    (asks, done): (&str, &str),
    kept: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Value>, StoreError> {
    let socket = lock::socket(path);
    let Ok(mut stream) = UnixStream::connect(&socket) else { return Ok(None) };
    let failed = |what: &str| StoreError::Unusable(format!("the server at {} {what}", socket.display()));
    writeln!(stream, "{asks}").map_err(|_| failed("does not take requests"))?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|_| failed(&format!("went away; {kept}")))?;
        let mut told: Value =
            serde_json::from_str(&line).map_err(|_| failed("gave an answer that this version does not know"))?;
        if let Ok(told) = serde_json::from_value(told["progress"].clone()) {
            progress(told);
        } else if told[done].is_object() {
            return Ok(Some(told[done].take()));
        } else {
            let error = told["error"].as_str().unwrap_or("the server gave an answer that this version does not know");
            return Err(StoreError::Unusable(error.to_owned()));
        }
    }
    Err(failed(&format!("stopped before the {asks} was done; {kept}")))
}
