//! Answers questions about many keys with one statement.
//!
//! Resolvers of one request run together on one thread. A question waits until every resolver waits; then all keys
//! asked for by then are looked up at once ([`Loaders::flush`], called by the executor in `run.rs`).

use crate::store::sqlite::read::{Lookup, ReadError, Snapshot};
use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A key of an app. Nothing ever crosses from one app to another.
type Asked<K> = (Arc<str>, K);

/// All questions of one request.
#[derive(Default)]
pub struct Loaders {
    batches: Mutex<HashMap<TypeId, Box<dyn AnyBatch>>>,
}

/// One kind of question.
struct Batch<K: Lookup> {
    waiting: HashSet<Asked<K>>,
    wakers: Vec<Waker>,
    answers: HashMap<Asked<K>, Result<Option<K::Found>, ReadError>>,
}

impl Loaders {
    /// Asks about some keys of one app; answers in their order.
    pub async fn load<K: Lookup>(&self, app: &Arc<str>, keys: Vec<K>) -> Result<Vec<Option<K::Found>>, ReadError> {
        let asked: Vec<Asked<K>> = keys.into_iter().map(|key| (Arc::clone(app), key)).collect();
        poll_fn(|context| {
            let mut batches = self.lock();
            let batch = batch::<K>(&mut batches);
            let missing: Vec<_> = asked.iter().filter(|key| !batch.answers.contains_key(*key)).cloned().collect();
            if missing.is_empty() {
                return Poll::Ready(asked.iter().map(|key| batch.answers[key].clone()).collect());
            }
            batch.waiting.extend(missing);
            batch.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Looks up what is waited for; false where nothing is.
    pub fn flush(&self, snapshot: &Snapshot) -> bool {
        let wakers: Vec<Waker> = self.lock().values_mut().flat_map(|batch| batch.flush(snapshot)).collect();
        let any = !wakers.is_empty();
        wakers.into_iter().for_each(Waker::wake);
        any
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TypeId, Box<dyn AnyBatch>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn batch<K: Lookup>(batches: &mut HashMap<TypeId, Box<dyn AnyBatch>>) -> &mut Batch<K> {
    let batch = batches.entry(TypeId::of::<K>()).or_insert_with(|| {
        Box::new(Batch::<K> { waiting: HashSet::new(), wakers: Vec::new(), answers: HashMap::new() })
    });
    batch.as_any().downcast_mut().expect("the map is keyed by this type")
}

trait AnyBatch: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn flush(&mut self, snapshot: &Snapshot) -> Vec<Waker>;
}

impl<K: Lookup> AnyBatch for Batch<K> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn flush(&mut self, snapshot: &Snapshot) -> Vec<Waker> {
        let mut by_app: HashMap<Arc<str>, Vec<K>> = HashMap::new();
        for (app, key) in self.waiting.drain() {
            by_app.entry(app).or_default().push(key);
        }
        for (app, keys) in by_app {
            match snapshot.read(|conn| K::look_up(conn, &app, &keys)) {
                Ok(found) => {
                    self.answers.extend(keys.into_iter().map(|key| ((Arc::clone(&app), key), Ok(None))));
                    self.answers
                        .extend(found.into_iter().map(|(key, value)| ((Arc::clone(&app), key), Ok(Some(value)))));
                }
                Err(error) => self.answers.extend(keys.into_iter().map(|key| ((Arc::clone(&app), key), Err(error)))),
            }
        }
        std::mem::take(&mut self.wakers)
    }
}
