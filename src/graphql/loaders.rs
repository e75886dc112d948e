//! Answers questions about many keys with one statement.
//!
//! Resolvers of one request run together on one thread. A question waits until every resolver waits; then all keys
//! asked for by then are looked up at once ([`Loaders::flush`], called by the executor in `run.rs`).

use crate::store::sqlite::read::{Lookup, ReadError, Snapshot};
use foldhash::HashMap;
use std::any::{Any, TypeId};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// All questions of one request.
#[derive(Default)]
pub struct Loaders {
    batches: Mutex<Vec<Asked>>,
}

/// One kind of question about one app. Nothing ever crosses from one app to another.
struct Asked {
    kind: TypeId,
    app: Arc<str>,
    batch: Box<dyn AnyBatch>,
}

struct Batch<K: Lookup> {
    waiting: Vec<K>,
    wakers: Vec<Waker>,
    answers: HashMap<K, Answer<K::Found>>,
}

enum Answer<F> {
    Waiting,
    Known(Result<Option<F>, ReadError>),
}

impl Loaders {
    /// Asks about one key.
    pub async fn load<K: Lookup>(&self, app: &Arc<str>, key: K) -> Result<Option<K::Found>, ReadError> {
        poll_fn(|context| {
            let mut batches = self.lock();
            let batch = batch::<K>(&mut batches, app);
            if let Some(answer) = batch.answer(&key) {
                return Poll::Ready(answer);
            }
            batch.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Asks about some keys of one app; answers in their order.
    pub async fn load_all<K: Lookup>(&self, app: &Arc<str>, keys: Vec<K>) -> Result<Vec<Option<K::Found>>, ReadError> {
        poll_fn(|context| {
            let mut batches = self.lock();
            let batch = batch::<K>(&mut batches, app);
            let answers: Vec<_> = keys.iter().map(|key| batch.answer(key)).collect();
            if answers.iter().all(Option::is_some) {
                return Poll::Ready(answers.into_iter().flatten().collect());
            }
            batch.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Looks up what is waited for; false where nothing is.
    pub fn flush(&self, snapshot: &Snapshot) -> bool {
        let mut batches = self.lock();
        let wakers: Vec<Waker> = batches.iter_mut().flat_map(|asked| asked.batch.flush(snapshot, &asked.app)).collect();
        drop(batches);
        let any = !wakers.is_empty();
        wakers.into_iter().for_each(Waker::wake);
        any
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn batch<'b, K: Lookup>(batches: &'b mut Vec<Asked>, app: &Arc<str>) -> &'b mut Batch<K> {
    let kind = TypeId::of::<K>();
    let known = batches.iter().position(|asked| asked.kind == kind && asked.app == *app);
    let place = known.unwrap_or_else(|| {
        let batch = Batch::<K> { waiting: Vec::new(), wakers: Vec::new(), answers: HashMap::default() };
        batches.push(Asked { kind, app: Arc::clone(app), batch: Box::new(batch) });
        batches.len() - 1
    });
    batches[place].batch.as_any().downcast_mut().expect("the kind is that of its type")
}

impl<K: Lookup> Batch<K> {
    /// What is known about a key; from now on it is waited for where nothing is.
    fn answer(&mut self, key: &K) -> Option<Result<Option<K::Found>, ReadError>> {
        match self.answers.get(key) {
            Some(Answer::Known(answer)) => Some(answer.clone()),
            Some(Answer::Waiting) => None,
            None => {
                self.answers.insert(key.clone(), Answer::Waiting);
                self.waiting.push(key.clone());
                None
            }
        }
    }
}

trait AnyBatch: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn flush(&mut self, snapshot: &Snapshot, app: &str) -> Vec<Waker>;
}

impl<K: Lookup> AnyBatch for Batch<K> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn flush(&mut self, snapshot: &Snapshot, app: &str) -> Vec<Waker> {
        let keys = std::mem::take(&mut self.waiting);
        if !keys.is_empty() {
            let found = snapshot.read(|conn| K::look_up(conn, app, &keys));
            let nothing = found.as_ref().map_or_else(|error| Err(*error), |_| Ok(None));
            for (key, value) in found.unwrap_or_default() {
                self.answers.insert(key, Answer::Known(Ok(Some(value))));
            }
            for key in &keys {
                if let Some(answer @ Answer::Waiting) = self.answers.get_mut(key) {
                    *answer = Answer::Known(nothing.clone());
                }
            }
        }
        std::mem::take(&mut self.wakers)
    }
}
