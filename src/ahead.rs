//! Reading ahead: one thread makes items, and another thread takes the items in their order. The items that wait between the
//! two threads are bounded in bytes.

use crate::panics::{self, Panicked};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that lie between the two threads, but for a single item that is larger.
const BYTES: usize = 2 << 20;
/// Items, and their bytes, that are handed over at once: to wake the other thread costs more than most items.
const ITEMS: usize = 128;
const ITEM_BYTES: usize = 256 << 10;

/// The items, for whoever takes them. Dropped, it ends the thread at the next item.
pub struct Ahead<T> {
    shared: Arc<Shared<T>>,
    items: std::vec::IntoIter<T>,
    /// Bytes of the items that were taken together.
    taken: usize,
}

/// The reading thread puts its items here.
pub struct Sink<T> {
    shared: Arc<Shared<T>>,
    items: Vec<T>,
    bytes: usize,
}

/// Nobody takes items any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned;

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    ready: VecDeque<(Vec<T>, usize)>,
    /// Bytes of the items that are ready, and of those that were taken last.
    bytes: usize,
    ended: Option<Result<(), Panicked>>,
    abandoned: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State<T>) -> bool) -> MutexGuard<'_, State<T>> {
        let waited = self.changed.wait_while(self.lock(), |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts the thread, which runs `read` to its end.
    pub fn start(read: impl FnOnce(&mut Sink<T>) -> Result<(), Abandoned> + Send + 'static) -> std::io::Result<Self> {
        let state = State { ready: VecDeque::new(), bytes: 0, ended: None, abandoned: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let mut sink = Sink { shared: Arc::clone(&shared), items: Vec::new(), bytes: 0 };
        let work = move || {
            let ended = panics::caught(|| read(&mut sink)).map(drop);
            // An error means that nobody takes items any more.
            let _ = sink.flush();
            sink.shared.lock().ended = Some(ended);
            sink.shared.changed.notify_all();
        };
        std::thread::Builder::new().name("reader".into()).spawn(work)?;
        Ok(Self { shared, items: Vec::new().into_iter(), taken: 0 })
    }
}

/// Ends after the last item, or with the panic of the thread.
impl<T> Iterator for Ahead<T> {
    type Item = Result<T, Panicked>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(Ok(item));
            }
            let taken = std::mem::take(&mut self.taken);
            self.shared.lock().bytes -= taken;
            self.shared.changed.notify_all();
            let mut state = self.shared.wait_while(|state| state.ready.is_empty() && state.ended.is_none());
            match state.ready.pop_front() {
                Some((items, bytes)) => (self.items, self.taken) = (items.into_iter(), bytes),
                None => return state.ended.replace(Ok(()))?.err().map(Err),
            }
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.shared.lock().abandoned = true;
        self.shared.changed.notify_all();
    }
}

impl<T> Sink<T> {
    /// Hands over an item of about so many bytes. Waits while too much lies there.
    pub fn put(&mut self, item: T, bytes: usize) -> Result<(), Abandoned> {
        if self.bytes + bytes > ITEM_BYTES {
            self.flush()?;
        }
        self.items.push(item);
        self.bytes += bytes;
        if self.items.len() >= ITEMS || self.bytes >= ITEM_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Abandoned> {
        let (items, bytes) = (std::mem::take(&mut self.items), std::mem::take(&mut self.bytes));
        if items.is_empty() {
            return Ok(());
        }
        let is_full = |state: &State<T>| !state.abandoned && state.bytes > 0 && state.bytes + bytes > BYTES;
        let mut state = self.shared.wait_while(is_full);
        if state.abandoned {
            return Err(Abandoned);
        }
        state.bytes += bytes;
        state.ready.push_back((items, bytes));
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// An item that is counted as long as it is there.
    struct Counted(usize, Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_sub(self.0, Ordering::SeqCst);
        }
    }

    #[test]
    fn items_come_in_their_order_and_their_bytes_are_bounded() {
        let small = [1, ITEM_BYTES / 3, ITEM_BYTES].into_iter().cycle().take(500).collect::<Vec<_>>();
        // The reader makes one item more than what waits between the threads.
        let cases = [(small, BYTES + 2 * ITEM_BYTES), (vec![1, 3 * BYTES, 1, 2 * BYTES, 2 * BYTES, 5], 5 * BYTES + 1)];
        for (sizes, most) in cases {
            let there = Arc::new(AtomicUsize::new(0));
            let (made, counted) = (sizes.clone(), Arc::clone(&there));
            let ahead = Ahead::start(move |sink| {
                made.into_iter().try_for_each(|bytes| {
                    counted.fetch_add(bytes, Ordering::SeqCst);
                    sink.put(Counted(bytes, Arc::clone(&counted)), bytes)
                })
            });
            let mut taken = Vec::new();
            for item in ahead.unwrap() {
                let there = there.load(Ordering::SeqCst);
                assert!(there <= most, "{there} bytes");
                taken.push(item.unwrap().0);
            }
            assert_eq!(taken, sizes);
            assert_eq!(there.load(Ordering::SeqCst), 0);
        }
    }

    #[test]
    fn a_panic_of_the_reader_comes_after_what_it_read() {
        let mut ahead = Ahead::start(|sink: &mut Sink<u8>| {
            sink.put(1, 1)?;
            panic!("a bug")
        })
        .unwrap();
        assert_eq!((ahead.next(), ahead.next()), (Some(Ok(1)), Some(Err(Panicked))));
        assert_eq!(ahead.next(), None);
    }

    #[test]
    fn who_takes_no_more_ends_the_reader() {
        let (end, ended) = std::sync::mpsc::channel();
        let ahead = Ahead::start(move |sink| {
            let put = (0..).try_for_each(|item: u64| sink.put(item, ITEM_BYTES));
            end.send(put).unwrap();
            put
        });
        assert_eq!(ahead.unwrap().next(), Some(Ok(0)));
        assert_eq!(ended.recv(), Ok(Err(Abandoned)));
    }
}
