//! Turns at the readers of the file. A request waits for its turn without a thread and without a connection.
//!
//! Those who wait are served in rounds: first one of each party, and within a party first one of each address. Within an
//! address the order is that of arrival. A token is a party. Requests without a token are one party an address. So whoever
//! asks much waits for itself. If too many wait, the last of the longest line is refused.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// Requests that wait at once.
const MOST: usize = 1_024;

/// Who asks for a reader. The default is the server itself: it asks for all subscriptions, a few at a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asker {
    /// Id of the token.
    pub token: Option<i64>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
}

/// For whom turns, and the memory of requests, are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    Token(i64),
    Address(Option<IpAddr>),
}

impl Asker {
    /// A token is a party. Without a token, an address is.
    pub fn party(self) -> Party {
        self.token.map_or(Party::Address(self.address), Party::Token)
    }
}

/// The turns, as many at once as there are readers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns {
    state: Arc<Mutex<State>>,
    /// How long a request waits.
    patience: Duration,
}

struct State {
    readers: usize,
    /// Readers that one party has at once. Its slow queries never hold all of them.
    of_party: usize,
    next: u64,
    /// Turns given out.
    running: HashMap<u64, Party>,
    /// Parties that wait, the next one first. None is empty.
    waiting: VecDeque<(Party, Addresses)>,
}

/// Addresses of a party that wait, the next one first. None is empty.
#[derive(Default)]
struct Addresses(VecDeque<(Option<IpAddr>, VecDeque<Waiter>)>);

struct Waiter {
    id: u64,
    called: oneshot::Sender<()>,
}

/// A reader, or a place in a line until there is one. Free again when dropped.
pub(super) struct Turn {
    state: Arc<Mutex<State>>,
    party: Party,
    id: u64,
}

impl Turns {
    /// As many turns at once as there are readers. A request waits no longer than `patience`.
    pub(super) fn new(readers: u32, patience: Duration) -> Self {
        let readers = readers.max(1) as usize;
        let of_party = (readers * 3 / 4).max(1);
        let state = State { readers, of_party, next: 0, running: HashMap::new(), waiting: VecDeque::new() };
        Self { state: Arc::new(Mutex::new(state)), patience }
    }

    /// A turn; `None` if it does not come in time, or if too many wait.
    pub(super) async fn take(&self, asker: Asker) -> Option<Turn> {
        let (turn, mut called) = self.enter(asker);
        match called.try_recv() {
            Ok(()) => Some(turn),
            Err(TryRecvError::Closed) => None,
            Err(TryRecvError::Empty) => tokio::time::timeout(self.patience, called).await.ok()?.ok().map(|()| turn),
        }
    }

    fn enter(&self, asker: Asker) -> (Turn, oneshot::Receiver<()>) {
        let (called, receiver) = oneshot::channel();
        let mut state = locked(&self.state);
        let (party, id) = (asker.party(), state.next);
        state.next += 1;
        line(&mut line(&mut state.waiting, party).0, asker.address).push_back(Waiter { id, called });
        state.call();
        if state.waiting() > MOST {
            state.refuse_one();
        }
        (Turn { state: Arc::clone(&self.state), party, id }, receiver)
    }

    /// How many requests can have a reader at once.
    pub(super) fn readers(&self) -> usize {
        locked(&self.state).readers
    }

    /// How many requests have a reader, and how many wait.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = locked(&self.state);
        (state.running.len(), state.waiting())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        match state.running.remove(&self.id) {
            Some(_) => state.call(),
            None => state.leave(self.party, self.id),
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line of a key; a new one is served last.
fn line<K: PartialEq, L: Default>(lines: &mut VecDeque<(K, L)>, key: K) -> &mut L {
    let place = lines.iter().position(|(it, _)| *it == key).unwrap_or_else(|| {
        lines.push_back((key, L::default()));
        lines.len() - 1
    });
    &mut lines[place].1
}

impl State {
    fn waiting(&self) -> usize {
        self.waiting.iter().map(|(_, addresses)| addresses.len()).sum()
    }

    /// Gives free readers to those whose turn it is.
    fn call(&mut self) {
        while self.running.len() < self.readers {
            let running = |party: Party| self.running.values().filter(|it| **it == party).count();
            let next = self.waiting.iter().position(|(party, _)| running(*party) < self.of_party);
            let Some((party, mut addresses)) = next.and_then(|place| self.waiting.remove(place)) else { return };
            if let Some(waiter) = addresses.next() {
                self.running.insert(waiter.id, party);
                // Whoever hears it no more is about to drop its turn.
                let _ = waiter.called.send(());
            }
            if addresses.len() > 0 {
                self.waiting.push_back((party, addresses));
            }
        }
    }

    /// The last of the longest line waits no more.
    fn refuse_one(&mut self) {
        let longest = self.waiting.iter().max_by_key(|(_, addresses)| addresses.len());
        if let Some((party, id)) = longest.and_then(|(party, addresses)| Some((*party, addresses.last()?))) {
            self.leave(party, id);
        }
    }

    fn leave(&mut self, party: Party, id: u64) {
        for (_, addresses) in self.waiting.iter_mut().filter(|(it, _)| *it == party) {
            addresses.leave(id);
        }
        self.waiting.retain(|(_, addresses)| addresses.len() > 0);
    }
}

impl Addresses {
    fn len(&self) -> usize {
        self.0.iter().map(|(_, line)| line.len()).sum()
    }

    fn next(&mut self) -> Option<Waiter> {
        let (address, mut line) = self.0.pop_front()?;
        let waiter = line.pop_front();
        if !line.is_empty() {
            self.0.push_back((address, line));
        }
        waiter
    }

    /// The last of the longest line.
    fn last(&self) -> Option<u64> {
        let (_, longest) = self.0.iter().max_by_key(|(_, line)| line.len())?;
        longest.back().map(|waiter| waiter.id)
    }

    fn leave(&mut self, id: u64) {
        self.0.iter_mut().for_each(|(_, line)| line.retain(|waiter| waiter.id != id));
        self.0.retain(|(_, line)| !line.is_empty());
    }
}

#[cfg(test)]
mod tests;
