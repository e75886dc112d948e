//! A node's way to write: deliveries come from the shared log, in its order and with its positions.
//!
//! Nothing overtakes: the deliveries of one call are folded by one transaction, which also moves the place of the node,
//! and a large event is folded with them in one piece. So after a kill the node goes on with the next position.

use super::orders::Order;
use super::worker::Worker;
use super::{NotRun, Unit, Writer};
use crate::envelope::Envelope;
use crate::ids::Time;
use crate::late;
use crate::log::{self, Appended, Source};
use crate::store::sqlite::{self, Connection, events as table, shared_log};
use crate::store::{DeliveryId, StoreError};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::oneshot;
use tracing::field::Empty;

/// A row of the shared log.
#[derive(Debug)]
pub struct Followed {
    pub position: i64,
    pub id: DeliveryId,
    pub received_at: Time,
    pub read: Read,
}

/// What was read of a row.
#[derive(Debug)]
pub enum Read {
    Delivery(Box<Envelope>),
    /// A delivery from which a person was taken, and the log position of the event that it tells.
    Redacted(Box<Envelope>, i64),
    Order(Order),
    /// Why it is neither. chatfold appends no such row.
    Nothing(String),
}

/// What came of rows.
#[derive(Debug)]
pub struct Folded {
    /// Of each row; `None`: it is no delivery.
    pub appended: Vec<Option<Appended>>,
    /// Positions of deliveries that name people who were erased, and their bodies without these people.
    pub late: Vec<(i64, String)>,
}

/// Deliveries to fold, and who waits for the end.
pub(super) struct Follow {
    deliveries: Vec<Followed>,
    reply: oneshot::Sender<Result<Folded, StoreError>>,
}

impl Writer {
    /// The same for the file of a node. `join` sees the file first, and may make it one.
    pub fn start_node(
        path: &Path,
        row_cache: usize,
        join: impl FnOnce(&Connection) -> Result<(), StoreError>,
        on_failure: Box<dyn Fn() + Send>,
    ) -> Result<Self, StoreError> {
        let conn = sqlite::open_writer(path)?;
        join(&conn)?;
        Self::over(conn, path, row_cache, true, on_failure)
    }

    /// Folds rows of the shared log, in the order of their positions, all or none. Failed: the disk is full or locked, and
    /// the same call may succeed later.
    pub async fn follow(&self, deliveries: Vec<Followed>) -> Result<Folded, NotRun> {
        let (reply, folded) = oneshot::channel();
        let unit = Unit::Follow(Follow { deliveries, reply });
        if self.shared.failed.load(Ordering::Acquire) || !self.shared.queue.push_unit(unit) {
            return Err(NotRun::Stopping);
        }
        folded.await.map_err(|_| NotRun::Stopping)?.map_err(NotRun::Failed)
    }
}

impl Worker {
    /// An error is returned only if going on is forbidden.
    pub(super) fn follow(&mut self, Follow { deliveries, reply }: Follow) -> Result<(), StoreError> {
        match self.try_follow(&deliveries) {
            Ok((seq, folded)) => {
                self.recovered();
                self.tell(seq, false);
                // Who followed may be gone; the place of the node is kept.
                let _ = reply.send(Ok(folded));
                Ok(())
            }
            Err(error) if error.is_full() || error.is_busy() => {
                self.put_off(&error, None);
                let _ = reply.send(Err(error));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn try_follow(&mut self, deliveries: &[Followed]) -> Result<(i64, Folded), StoreError> {
        let span = tracing::debug_span!("batch", seq = Empty, deliveries = deliveries.len() as i64).entered();
        sqlite::begin(&self.conn)?;
        let (mut appended, mut late) = (Vec::with_capacity(deliveries.len()), Vec::new());
        for it in deliveries {
            appended.push(match &it.read {
                Read::Delivery(envelope) => {
                    #[cfg(test)]
                    assert_ne!(envelope.trigger, super::tests::PANICS);
                    self.batch.place(&self.conn, it.position)?;
                    let redacted = late::redacted(&mut self.batch, &self.conn, envelope, it.received_at, false)?;
                    late.extend(redacted.as_ref().map(|redacted| (it.position, redacted.body.clone())));
                    let envelope = redacted.as_ref().unwrap_or(envelope);
                    Some(log::append(&mut self.batch, &self.conn, envelope, it.received_at, Source::Http)?)
                }
                Read::Redacted(envelope, seq) => {
                    self.batch.place(&self.conn, it.position)?;
                    let source = Source::Decided(*seq);
                    Some(log::append(&mut self.batch, &self.conn, envelope, it.received_at, source)?)
                }
                Read::Order(order) => {
                    order.apply(&self.conn)?;
                    None
                }
                Read::Nothing(problem) => {
                    tracing::error!(
                        position = it.position,
                        problem,
                        "the shared log holds something that is no delivery"
                    );
                    None
                }
            });
        }
        self.batch.save(&self.conn)?;
        if let Some(last) = deliveries.last() {
            shared_log::advance(&self.conn, last.position, &last.id)?;
        }
        let seq = table::newest_seq(&self.conn)?;
        span.record("seq", seq);
        self.shared.place.check()?;
        let committing = Instant::now();
        sqlite::commit(&self.conn)?;
        self.shared.meters.commits.observe(committing.elapsed().as_secs_f64());
        self.shared.meters.deliveries.observe(deliveries.len() as f64);
        Ok((seq, Folded { appended, late }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Refusal;
    use super::super::tests::{AT, ask, file, large, message};
    use super::*;
    use crate::batch::CACHE;

    fn node(path: &Path) -> Writer {
        let join = |conn: &Connection| match shared_log::read(conn)? {
            Some(_) => Ok(()),
            None => shared_log::join(conn, "log"),
        };
        Writer::start_node(path, CACHE as usize, join, Box::new(|| panic!("no failure"))).unwrap()
    }

    fn followed(position: i64, envelope: Envelope) -> Followed {
        let id = [u8::try_from(position).unwrap(); 16];
        Followed { position, id, received_at: AT, read: Read::Delivery(Box::new(envelope)) }
    }

    #[test]
    fn a_node_takes_deliveries_from_its_log_alone() {
        let (_dir, path) = file();
        let (writer, runtime) = (node(&path), tokio::runtime::Runtime::new().unwrap());
        let refused = runtime.block_on(writer.append(message("a", 1), AT)).unwrap_err();
        assert_eq!(refused, Refusal::NotWritten("deliveries of this node come from the shared log"));
        assert_eq!(ask(&path, "SELECT count(*) FROM events"), 0);
        writer.stop();
        let error = Writer::start(&path, CACHE as usize, Box::new(|| {})).err().unwrap().to_string();
        assert!(error.contains("is the file of a node"), "{error}");
    }

    #[test]
    fn positions_are_those_of_the_log_and_nothing_overtakes_a_large_event() {
        let (_dir, path) = file();
        let (writer, runtime) = (node(&path), tokio::runtime::Runtime::new().unwrap());
        let deliveries = vec![
            followed(3, message("b", 1)),
            followed(7, large("a")),
            followed(8, message("b", 1)),
            followed(12, message("b", 2)),
        ];
        let folded = runtime.block_on(writer.follow(deliveries)).unwrap();
        let seqs: Vec<(i64, bool)> = folded.appended.into_iter().flatten().map(|it| (it.seq, it.duplicate)).collect();
        assert_eq!(seqs, [(3, false), (7, false), (3, true), (12, false)]);
        assert_eq!(ask(&path, "SELECT count(*) FROM mentions"), 6_000);
        assert_eq!(ask(&path, "SELECT count(*) FROM unfinished"), 0);
        assert_eq!(ask(&path, "SELECT position FROM deliveries"), 8);
        assert_eq!(
            ask(&path, "SELECT position FROM shared_log WHERE delivery_id = x'0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c'"),
            12
        );
        assert_eq!(*writer.seq().borrow(), 12);
        writer.stop();
    }

    #[test]
    fn what_is_no_delivery_moves_the_place_of_the_node_and_nothing_else() {
        let (_dir, path) = file();
        let (writer, runtime) = (node(&path), tokio::runtime::Runtime::new().unwrap());
        let read = Read::Nothing("not JSON".to_owned());
        let foreign = Followed { position: 1, id: [1; 16], received_at: AT, read };
        let folded = runtime.block_on(writer.follow(vec![foreign, followed(2, message("a", 1))])).unwrap();
        assert_eq!(folded.appended[0], None);
        assert_eq!(folded.appended[1].unwrap().seq, 2);
        assert_eq!(ask(&path, "SELECT position FROM shared_log"), 2);
        writer.stop();
    }

    #[test]
    fn rows_that_stay_in_memory_are_those_of_the_file_after_a_rollback() {
        let (_dir, path) = file();
        let (writer, runtime) = (node(&path), tokio::runtime::Runtime::new().unwrap());
        runtime.block_on(writer.follow(vec![followed(1, message("a", 1))])).unwrap();
        let locked = sqlite::open_beside(&path).unwrap();
        sqlite::begin(&locked).unwrap();
        let failed = runtime.block_on(writer.follow(vec![followed(2, message("a", 2))])).unwrap_err();
        assert!(matches!(failed, NotRun::Failed(ref error) if error.is_busy()), "{failed}");
        sqlite::rollback(&locked);
        let folded = runtime.block_on(writer.follow(vec![followed(2, message("a", 2))])).unwrap();
        assert_eq!(folded.appended[0].unwrap().seq, 2);
        assert_eq!(ask(&path, "SELECT messages_count FROM conversations"), 2);
        assert_eq!(writer.not_ready(), None);
        writer.stop();
    }
}
