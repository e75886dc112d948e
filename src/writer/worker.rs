//! The thread's side of the queue: batches, commits, checkpoints, and what it does when the file fails.

use super::pieces::{self, Pieces, Unfinished};
use super::queue::{Next, Queued};
use super::{Answer, Committed, Job, Refusal, Reply, Shared, Unit, Waiting, Work, lock};
use crate::batch::Batch;
use crate::checkpoints::Checkpoints;
use crate::clock;
use crate::large::{self, Limits, Posted};
use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, events as table};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tracing::field::Empty;

/// Events in one transaction.
pub(super) const BATCH: usize = 512;
/// A transaction that has so many bytes of bodies takes in no more bodies. The transaction writes some times as many bytes
/// into the WAL.
const BATCH_BYTES: usize = 1 << 20;
/// A transaction that has taken so long takes in no more: what follows, perhaps of other apps, must not wait for many
/// slow events.
pub(super) const BATCH_TIME: Duration = Duration::from_millis(50);
/// A WAL over this that the checkpoint could not move is reported.
const WAL_REPORTED: u64 = 64 << 20;

/// What the thread holds.
pub(super) struct Worker {
    pub conn: Connection,
    pub batch: Batch,
    pub seq: watch::Sender<i64>,
    pub shared: Arc<Shared>,
    pub checkpoints: Checkpoints,
    pub pieces: Pieces,
    pub wal_grows: bool,
}

impl Worker {
    /// Until the queue is closed and empty, or no more may be written: then `on_failure` runs, for the process has to
    /// end. A panic is such a failure: nobody would take deliveries any more.
    pub fn run(mut self, on_failure: &dyn Fn()) {
        let shared = Arc::clone(&self.shared);
        let why = match panics::caught(|| self.write_all()) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::error!(%error, "the file failed: no more is written, the process ends");
                if matches!(error, StoreError::Gone(_)) { "the file is not in its place" } else { "the disk failed" }
            }
            Err(panicked) => {
                tracing::error!(%panicked, "the writer failed: no more is written, the process ends");
                "the writer failed"
            }
        };
        shared.fail(why);
        // Closing would write and sync again.
        std::mem::forget(self.conn);
        on_failure();
    }

    /// An error is returned only if going on is forbidden.
    fn write_all(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        self.pieces.go_on(&shared)?;
        while let Some(next) = shared.queue.next() {
            match next {
                Next::Job(job) => self.commit(job)?,
                Next::Piece => self.save_piece()?,
                Next::Checkpointed => {}
                Next::Unit(unit) => {
                    match unit {
                        Unit::Work { work, reply } => self.work(work, reply)?,
                        Unit::Follow(follow) => self.follow(follow)?,
                    }
                    self.pieces.go_on(&shared)?;
                }
            }
            if let Some(moved) = self.checkpoints.look(&self.conn)? {
                self.report_wal(moved);
            }
            // The deliveries of a node come as units.
            shared.queue.hold(!shared.follows && self.checkpoints.is_behind());
        }
        // Units that wait for an event that cannot be saved now.
        shared.queue.abandon();
        self.checkpoints.stop();
        match self.shared.place.check().and_then(|()| self.end()).and_then(|()| sqlite::finish(&self.conn)) {
            Err(error) if error.is_full() || error.is_busy() => {
                tracing::error!(%error, "the last checkpoint failed: the WAL stays beside the file");
                Ok(())
            }
            finished => finished,
        }
    }

    /// Notes when the server ends.
    fn end(&self) -> Result<(), StoreError> {
        let note = |()| self.shared.run.note_now(&self.conn, clock::now());
        let noted = sqlite::begin(&self.conn).and_then(note).and_then(|()| sqlite::commit(&self.conn));
        if noted.is_err() {
            sqlite::rollback(&self.conn);
        }
        noted.or_else(|error| {
            if !error.is_full() && !error.is_busy() {
                return Err(error);
            }
            tracing::warn!(%error, "the time of this stop is not noted: the next start shows a longer time without a server");
            Ok(())
        })
    }

    /// A unit of somebody else's. An error is returned only if going on is forbidden.
    fn work(&mut self, work: Work, reply: oneshot::Sender<Result<(), StoreError>>) -> Result<(), StoreError> {
        let done = work(&self.conn);
        sqlite::rollback(&self.conn);
        // It may have written into the tables.
        self.batch.forget();
        self.drop_finished()?;
        let fatal = done.as_ref().is_err_and(|error| error.is_of_the_file() && !error.is_full() && !error.is_busy());
        if fatal {
            return done;
        }
        // Who asked may be gone; what was done is done.
        let _ = reply.send(done);
        Ok(())
    }

    /// One transaction, which a job begins and others join. An error is returned only if going on is forbidden.
    fn commit(&mut self, first: Job) -> Result<(), StoreError> {
        let span = tracing::debug_span!("batch", seq = Empty, deliveries = Empty).entered();
        let shared = Arc::clone(&self.shared);
        let (mut answers, begun, mut bytes) = (Vec::new(), Instant::now(), 0);
        let (mut next, now) = (Some(first), clock::now());
        let written = sqlite::begin(&self.conn).and_then(|()| {
            for jobs in 1.. {
                let Some(job) = next.take() else { break };
                bytes += job.bytes();
                self.write(job, &mut answers)?;
                if jobs < BATCH && bytes < BATCH_BYTES && begun.elapsed() < BATCH_TIME {
                    next = shared.queue.more();
                }
            }
            shared.run.note(&self.conn, now)?;
            self.batch.save(&self.conn)?;
            let seq = table::newest_seq(&self.conn)?;
            self.shared.place.check()?;
            let committing = Instant::now();
            sqlite::commit(&self.conn)?;
            if !answers.is_empty() {
                shared.meters.commits.observe(committing.elapsed().as_secs_f64());
                shared.meters.deliveries.observe(answers.len() as f64);
            }
            Ok(seq)
        });
        match written {
            Ok(seq) => {
                span.record("seq", seq).record("deliveries", answers.len() as i64);
                self.recovered();
                self.shared.run.noted(now);
                self.tell(seq, false);
                for answer in answers {
                    // A sender that has given up takes the retry's `duplicate`.
                    match answer {
                        Answer::Append(reply, appended) => drop(reply.send(Ok(Committed::Folded(appended)))),
                        Answer::Refused(reply) => drop(reply.send(())),
                        Answer::Unfinished(reply, mut event) => {
                            let (done, folded) = oneshot::channel();
                            let (seq, is_large) = (event.seq, event.is_large);
                            event.waits = Some(done);
                            self.pieces.add(event);
                            if is_large {
                                // Its rows need the memory of the rows that are kept.
                                self.batch.forget();
                            }
                            let _ = reply.send(Ok(Committed::Unfinished { seq, is_large, folded }));
                        }
                    }
                }
                self.pieces.go_on(&shared)
            }
            Err(error) if error.is_full() || error.is_busy() => {
                let begun = answers.into_iter().filter_map(|answer| match answer {
                    Answer::Append(reply, _) => Some(reply),
                    Answer::Unfinished(reply, event) => {
                        self.pieces.release(&event, &shared);
                        Some(reply)
                    }
                    Answer::Refused(_) => None,
                });
                let begun: Vec<Reply> = begun.collect();
                let next = next.and_then(Job::reply);
                self.put_off(&error, begun.into_iter().chain(next));
                Ok(())
            }
            // Senders hear of it as their replies are dropped: unknown.
            Err(error) => Err(error),
        }
    }

    /// Something was written: whatever was in the way is gone.
    pub(super) fn recovered(&self) {
        if let Some(trouble) = lock(&self.shared.trouble).take() {
            tracing::info!("deliveries are taken again; it was: {trouble}");
        }
    }

    /// Tells what is committed; `anew`: also where the newest position is the one that was told before.
    pub(super) fn tell(&self, seq: i64, anew: bool) {
        self.seq.send_if_modified(|known| std::mem::replace(known, seq) != seq || anew);
    }

    /// There is no room, or somebody holds the lock: the transaction is taken back, and those who wait hear it.
    pub(super) fn put_off(&mut self, error: &StoreError, begun: impl IntoIterator<Item = Reply>) {
        sqlite::rollback(&self.conn);
        self.batch.forget();
        let why = why_later(error).unwrap_or("the file cannot be written");
        // Once, not once a batch.
        if lock(&self.shared.trouble).replace(why.to_owned()).as_deref() != Some(why) {
            tracing::error!(%error, "{why}: deliveries are answered 503");
        }
        let waiting = self.shared.queue.drain().into_iter().filter_map(Job::reply);
        for reply in begun.into_iter().chain(waiting) {
            let _ = reply.send(Err(Refusal::NotWritten(why)));
        }
    }

    fn write(&mut self, job: Job, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        match job {
            Job::Refuse { received_at, problem, body, reply } => {
                answers.push(Answer::Refused(reply));
                table::refuse(&self.conn, received_at, &problem, &body)
            }
            Job::Look => sqlite::find_room(&self.conn),
            // Every commit does, if it is time.
            Job::Note => Ok(()),
            Job::Append(waiting) => {
                let Waiting { envelope, received_at, reply } = *waiting;
                #[cfg(test)]
                assert_ne!(envelope.trigger, super::tests::PANICS);
                let behind = self.pieces.behind(&envelope.app_id);
                if behind >= pieces::BEHIND {
                    let _ = reply.send(Err(Refusal::NotWritten(super::BEHIND)));
                    return Ok(());
                }
                let limits = Limits::default();
                let posted = large::post(&mut self.batch, &self.conn, &envelope, received_at, limits, behind > 0);
                let (seq, is_large) = match posted {
                    Ok(Posted::Done(appended)) => {
                        answers.push(Answer::Append(reply, appended));
                        return Ok(());
                    }
                    Ok(Posted::Undecided) => {
                        let _ = reply.send(Err(Refusal::NotWritten("a large event of the app is not finished yet")));
                        return Ok(());
                    }
                    Ok(Posted::Unfinished(seq)) => (seq, true),
                    Ok(Posted::Behind(seq)) => (seq, false),
                    Err(error) => {
                        let _ = reply.send(Err(why_later(&error).map_or(Refusal::Unknown, Refusal::NotWritten)));
                        return Err(error);
                    }
                };
                let event = Unfinished { seq, app: envelope.app_id, is_large, waits: None };
                self.pieces.hold(&event, &self.shared);
                answers.push(Answer::Unfinished(reply, event));
                Ok(())
            }
        }
    }

    /// Says once that the WAL grows, and once that it does not any more.
    fn report_wal(&mut self, moved: bool) {
        let mib = self.shared.place.wal_bytes() >> 20;
        if !moved && !self.wal_grows && mib >= WAL_REPORTED >> 20 {
            self.wal_grows = true;
            tracing::warn!(
                "the WAL has {mib} MiB and cannot be moved into the file: somebody reads an old state of it; \
                 end backups, SQLite shells and tools that have had it open for long"
            );
        } else if moved && self.wal_grows {
            self.wal_grows = false;
            tracing::info!("the WAL is moved into the file again");
        }
    }
}

/// Why nothing is written now, if it may be written later.
fn why_later(error: &StoreError) -> Option<&'static str> {
    match error {
        _ if error.is_full() => Some("the disk is full"),
        _ if error.is_busy() => Some("another process holds the file's lock"),
        _ => None,
    }
}
