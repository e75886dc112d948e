//! Who listens to which changes. The decoder gives each new change once. The change is kept a while for those whom it
//! concerns, and only they are woken.

use super::decoded::Decoded;
use crate::graphql::change::ChangeFilter;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Changes that are kept, and about how many bytes of them.
const CHANGES: usize = 4_096;
const BYTES: usize = 8 << 20;

#[derive(Default)]
pub(in crate::graphql) struct Hub {
    state: Mutex<State>,
    /// Told when the decoder has to look although nothing was committed.
    pub(super) asked: Notify,
    pub(super) wakes: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Those that somebody listens to.
    apps: HashMap<Arc<str>, App>,
    /// How far the log is decoded.
    decoded: i64,
    /// Apps that the decoder takes up with its next look.
    fresh: Vec<Arc<str>>,
    /// Log positions of large events that are not finished: nothing of their apps follows them.
    held: HashMap<Arc<str>, i64>,
    /// The app of each change that is kept, the oldest first.
    kept: VecDeque<Arc<str>>,
    bytes: usize,
    next: u64,
}

#[derive(Default)]
struct App {
    /// Every change of the app after this position is kept, or will be decoded. `None` until the decoder takes it up.
    after: Option<i64>,
    /// Those that are kept, in the order of the log.
    changes: VecDeque<Arc<Decoded>>,
    /// The newest that was decoded.
    newest: i64,
    listeners: HashMap<u64, Listening>,
    index: HashMap<Aspect, HashSet<u64>>,
}

/// What a listener is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Aspect {
    App,
    Trigger(String),
    Guid(String),
    Uid(String),
    Conversation(String),
}

struct Listening {
    filter: ChangeFilter,
    standing: Standing,
    woken: Arc<Notify>,
}

/// Where a listener stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// What comes after this position is read from the file.
    Behind(i64),
    /// Nothing that was decoded concerns it. It has seen everything up to this position itself.
    Waiting(i64),
    /// A change after this position concerns it.
    Called(i64),
}

/// What comes next for a listener.
pub(super) enum Next {
    /// Changes that concern it; none while it waits.
    Changes(Vec<Arc<Decoded>>),
    /// It reads the file from this position, unless it knows a newer one.
    Behind(i64),
}

/// What the decoder looks at.
pub(super) struct Task {
    /// Where it goes on; `None` where nobody is followed yet.
    pub after: Option<i64>,
    pub fresh: Vec<Arc<str>>,
    pub held: Vec<(Arc<str>, i64)>,
}

/// What the decoder saw.
pub(super) struct Look {
    /// Of each app in the order of the log.
    pub changes: Vec<Decoded>,
    pub reached: i64,
    pub fresh: Vec<Arc<str>>,
    /// Large events that are not finished, by their apps.
    pub unfinished: HashMap<String, i64>,
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to an app from now on. The listener is behind until it has read the file.
    pub(super) fn listen(self: &Arc<Self>, app: &Arc<str>, filter: ChangeFilter) -> Listener {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        if !state.apps.contains_key(app) {
            state.fresh.push(Arc::clone(app));
            self.asked.notify_one();
        }
        let entry = state.apps.entry(Arc::clone(app)).or_default();
        for aspect in aspects(&filter) {
            entry.index.entry(aspect).or_default().insert(id);
        }
        let woken = Arc::new(Notify::new());
        let listening = Listening { filter, standing: Standing::Behind(0), woken: Arc::clone(&woken) };
        entry.listeners.insert(id, listening);
        Listener { hub: Arc::clone(self), app: Arc::clone(app), id, woken }
    }

    /// Whether somebody listens.
    pub(super) fn is_listened_to(&self) -> bool {
        !self.state().apps.is_empty()
    }

    /// Whether somebody listens to the app, and the decoder has taken it up.
    pub(super) fn follows(&self, app: &str) -> Option<Arc<str>> {
        let state = self.state();
        let (app, entry) = state.apps.get_key_value(app)?;
        entry.after.is_some().then(|| Arc::clone(app))
    }

    pub(super) fn task(&self) -> Task {
        let mut state = self.state();
        let is_followed = state.apps.values().any(|app| app.after.is_some());
        Task {
            after: is_followed.then_some(state.decoded),
            fresh: std::mem::take(&mut state.fresh),
            held: state.held.iter().map(|(app, seq)| (Arc::clone(app), *seq)).collect(),
        }
    }

    /// Keeps what was decoded, and wakes those whom it concerns.
    pub(super) fn publish(&self, look: Look) {
        let mut state = self.state();
        let mut wakes = 0;
        for change in look.changes {
            wakes += state.put(Arc::new(change));
        }
        state.decoded = look.reached;
        let reached = |app: &str| look.unfinished.get(app).map_or(look.reached, |seq| look.reached.min(seq - 1));
        for app in look.fresh {
            wakes += state.apps.get_mut(&app).map_or(0, |entry| entry.begin(reached(&app)));
        }
        let unfinished = look.unfinished.iter().filter(|(_, seq)| **seq <= look.reached);
        let held = unfinished.filter_map(|(app, seq)| {
            let (app, entry) = state.apps.get_key_value(app.as_str())?;
            entry.after.is_some().then(|| (Arc::clone(app), *seq))
        });
        state.held = held.collect();
        self.wakes.fetch_add(wakes, Ordering::Relaxed);
    }

    /// How many changes are kept, and about how many bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        let state = self.state();
        (state.kept.len(), state.bytes)
    }

    /// What follows could not be decoded: everybody reads the file, and the decoder takes up all apps anew.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        let state = &mut *state;
        state.fresh = state.apps.keys().cloned().collect();
        state.held.clear();
        state.kept.clear();
        state.bytes = 0;
        for app in state.apps.values_mut() {
            app.after = None;
            app.changes.clear();
            for listening in app.listeners.values_mut() {
                let after = match listening.standing {
                    Standing::Behind(after) | Standing::Called(after) => after,
                    Standing::Waiting(_) => app.newest,
                };
                listening.wake(Standing::Behind(after));
            }
        }
        self.asked.notify_one();
    }
}

impl State {
    /// Keeps a change; how many it woke.
    fn put(&mut self, change: Arc<Decoded>) -> u64 {
        // Nobody listens to the app any more, or somebody does anew.
        let Some(app) = self.apps.get_mut(&change.app).filter(|app| app.after.is_some()) else { return 0 };
        let woken = app.call(&change);
        app.newest = change.seq;
        self.bytes += change.bytes();
        self.kept.push_back(Arc::clone(&change.app));
        app.changes.push_back(change);
        while self.kept.len() > CHANGES || self.bytes > BYTES {
            let Some(app) = self.kept.pop_front().and_then(|app| self.apps.get_mut(&app)) else { break };
            let Some(oldest) = app.changes.pop_front() else { break };
            self.bytes -= oldest.bytes();
            app.after = app.after.max(Some(oldest.seq));
        }
        woken
    }

    fn leave(&mut self, name: &Arc<str>, id: u64) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(listening) = app.listeners.remove(&id) else { return };
        for aspect in aspects(&listening.filter) {
            if let Some(ids) = app.index.get_mut(&aspect) {
                ids.remove(&id);
                if ids.is_empty() {
                    app.index.remove(&aspect);
                }
            }
        }
        if app.listeners.is_empty() {
            self.bytes -= app.changes.iter().map(|change| change.bytes()).sum::<usize>();
            self.kept.retain(|app| app != name);
            self.fresh.retain(|app| app != name);
            self.held.remove(name);
            self.apps.remove(name);
        }
    }
}

impl App {
    /// The decoder decodes it after a position from now on. Who has not seen as much reads the file; how many these are.
    fn begin(&mut self, after: i64) -> u64 {
        self.after = Some(after);
        let mut woken = 0;
        for listening in self.listeners.values_mut() {
            if matches!(listening.standing, Standing::Waiting(seen) if seen < after) {
                listening.wake(Standing::Behind(0));
                woken += 1;
            }
        }
        woken
    }

    /// Calls those who wait for such a change; how many these are.
    fn call(&mut self, change: &Decoded) -> u64 {
        let Self { listeners, index, .. } = self;
        let mut woken = 0;
        for aspect in aspects_of(change) {
            for id in index.get(&aspect).into_iter().flatten() {
                let Some(listening) = listeners.get_mut(id) else { continue };
                if matches!(listening.standing, Standing::Waiting(seen) if seen < change.seq)
                    && listening.filter.wants(change)
                {
                    listening.wake(Standing::Called(change.seq - 1));
                    woken += 1;
                }
            }
        }
        woken
    }

    /// Changes after a position that somebody wants.
    fn wanted(&self, after: i64, filter: &ChangeFilter) -> impl Iterator<Item = &Arc<Decoded>> {
        let first = self.changes.partition_point(|change| change.seq <= after);
        self.changes.range(first..).filter(|change| filter.wants(change))
    }

    /// Where somebody stands who has seen everything up to a position.
    fn standing(&self, seen: i64, filter: &ChangeFilter) -> Standing {
        match self.after {
            Some(after) if seen < after => Standing::Behind(0),
            _ => self.wanted(seen, filter).next().map_or(Standing::Waiting(seen), |it| Standing::Called(it.seq - 1)),
        }
    }
}

impl Listening {
    fn wake(&mut self, standing: Standing) {
        self.standing = standing;
        self.woken.notify_one();
    }
}

/// What a filter is found by: the narrowest of what it names.
fn aspects(filter: &ChangeFilter) -> Vec<Aspect> {
    match filter {
        ChangeFilter { conversation_id: Some(id), .. } => vec![Aspect::Conversation(id.clone())],
        ChangeFilter { guid: Some(guid), .. } => vec![Aspect::Guid(guid.clone())],
        ChangeFilter { uid: Some(uid), .. } => vec![Aspect::Uid(uid.clone())],
        ChangeFilter { triggers: Some(triggers), .. } => triggers.iter().cloned().map(Aspect::Trigger).collect(),
        _ => vec![Aspect::App],
    }
}

/// What those are found by whom a change may concern.
fn aspects_of(change: &Decoded) -> impl Iterator<Item = Aspect> {
    let places = &change.places;
    [Aspect::App, Aspect::Trigger(change.trigger.clone())]
        .into_iter()
        .chain(places.guids.iter().cloned().map(Aspect::Guid))
        .chain(places.uids.iter().cloned().map(Aspect::Uid))
        .chain(places.conversations.iter().map(|(id, _)| Aspect::Conversation(id.clone())))
}

/// One who listens to the changes of an app, until dropped.
pub(super) struct Listener {
    hub: Arc<Hub>,
    pub app: Arc<str>,
    id: u64,
    woken: Arc<Notify>,
}

impl Listener {
    fn look<T>(&self, look: impl FnOnce(&App, &Listening) -> T) -> Option<T> {
        let state = self.hub.state();
        let app = state.apps.get(&self.app)?;
        app.listeners.get(&self.id).map(|listening| look(app, listening))
    }

    /// The next changes. They come again until [`Listener::stand`] tells that they were seen.
    pub fn next(&self, most: usize) -> Next {
        let next = self.look(|app, listening| match listening.standing {
            Standing::Waiting(_) => Next::Changes(Vec::new()),
            Standing::Called(after) if Some(after) >= app.after => {
                Next::Changes(app.wanted(after, &listening.filter).take(most).map(Arc::clone).collect())
            }
            Standing::Called(after) | Standing::Behind(after) => Next::Behind(after),
        });
        next.unwrap_or(Next::Behind(0))
    }

    /// Everything up to a position was seen.
    pub fn stand(&self, seen: i64) {
        let mut state = self.hub.state();
        let Some(app) = state.apps.get_mut(&self.app) else { return };
        let Some(standing) = app.listeners.get(&self.id).map(|it| app.standing(seen, &it.filter)) else { return };
        if let Some(listening) = app.listeners.get_mut(&self.id) {
            listening.standing = standing;
        }
    }

    /// Whether it only waits.
    pub fn is_waiting(&self) -> bool {
        self.look(|_, listening| matches!(listening.standing, Standing::Waiting(_))).unwrap_or_default()
    }

    /// Whether it has to read the file.
    pub fn is_behind(&self) -> bool {
        matches!(self.next(0), Next::Behind(_))
    }

    /// Returns once there is something for it.
    pub async fn called(&self) {
        while self.is_waiting() {
            self.woken.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hub.state().leave(&self.app, self.id);
    }
}
