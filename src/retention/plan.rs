//! What is to be cut, in pieces that each leave a log that folds to the tables.

use super::kept::Kept;
use super::{Family, RetentionError, call, message, presence};
use crate::change;
use crate::ids::id_number;
use crate::store::StoreError;
use crate::store::sqlite::events::Logged;
use crate::store::sqlite::registers::ConnectionKey;
use crate::store::sqlite::retention::{self as store, Bounds};
use crate::store::sqlite::{self, Connection, Key, RefKey, reconcile};
use crate::tables::app::Pillars;
use crate::tables::registers::Registers;
use crate::trigger::{TRIGGERS, family};

/// Events of one piece: deliveries wait while it is cut.
const PIECE: usize = 50;
/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// An event to be cut.
#[derive(Debug)]
pub(super) struct Event {
    pub seq: i64,
    /// Bytes of its body.
    pub bytes: u64,
    pub refs: Vec<RefKey>,
}

/// A connection that ended long ago, and the events on which its row depends.
#[derive(Debug)]
pub(super) struct Ended {
    pub key: ConnectionKey,
    pub row: Registers<change::Connection>,
    pub events: Vec<Event>,
}

/// A session id of which nothing was heard for long.
#[derive(Debug)]
pub(super) struct Session {
    pub key: Key,
    pub events: Vec<Event>,
    /// Events of which only this stays.
    pub kept: Vec<Kept>,
}

impl Session {
    /// The ids of messages that announced the call are no gap.
    fn forget_messages(&self, conn: &Connection) -> Result<(), StoreError> {
        let refs = self.events.iter().flat_map(|it| &it.refs).chain(self.kept.iter().flat_map(|it| &it.refs));
        let mut ids = refs.filter(|(_, kind, _)| *kind == "message").filter_map(|(_, _, id)| id_number(id));
        ids.try_for_each(|id| reconcile::ask(conn, &self.key.0, id, id))
    }
}

/// What is cut in one transaction.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub events: Vec<Event>,
    pub connections: Vec<Ended>,
    pub sessions: Vec<Session>,
    /// Events of which only this stays.
    pub kept: Vec<Kept>,
}

/// What became of a piece, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub events: u64,
    pub bytes: u64,
    pub connections: u64,
    pub sessions: u64,
}

impl Count {
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.connections += other.connections;
        self.sessions += other.sessions;
    }

    fn event(&mut self, event: &Event) {
        self.events += 1;
        self.bytes += event.bytes;
    }

    fn kept(&mut self, kept: &Kept) {
        self.events += 1;
        self.bytes += kept.bytes;
    }
}

impl Piece {
    pub fn count(&self) -> Count {
        let (connections, sessions) = (self.connections.len() as u64, self.sessions.len() as u64);
        let mut count = Count { connections, sessions, ..Count::default() };
        let ended = self.connections.iter().flat_map(|it| &it.events);
        let of_sessions = self.sessions.iter().flat_map(|it| &it.events);
        self.events.iter().chain(ended).chain(of_sessions).for_each(|event| count.event(event));
        let kept = self.sessions.iter().flat_map(|it| &it.kept);
        self.kept.iter().chain(kept).for_each(|kept| count.kept(kept));
        count
    }

    /// Cuts it, inside the caller's transaction. A connection or a session id that changed since it was looked at stays.
    pub fn cut(&self, conn: &Connection, bounds: &Bounds) -> Result<Count, StoreError> {
        let mut count = Count::default();
        let mut cut = |event: &Event| {
            count.event(event);
            store::cut(conn, event.seq, &event.refs, bounds.until)
        };
        self.events.iter().try_for_each(&mut cut)?;
        let mut connections = 0;
        for ended in &self.connections {
            let now: Option<Registers<change::Connection>> = sqlite::load(conn, &ended.key)?;
            if now.as_ref() == Some(&ended.row) {
                sqlite::remove::<Registers<change::Connection>>(conn, &ended.key)?;
                ended.events.iter().try_for_each(&mut cut)?;
                connections += 1;
            }
        }
        let mut gone = Vec::new();
        for session in &self.sessions {
            // Each event about a session id adds a fact, and only a cut takes facts away.
            let events = session.events.len() + session.kept.len();
            if sqlite::call::count_facts(conn, &session.key)? == events {
                session.forget_messages(conn)?;
                sqlite::call::remove(conn, &session.key)?;
                session.events.iter().try_for_each(&mut cut)?;
                gone.push(session);
            }
        }
        count.connections = connections;
        count.sessions = gone.len() as u64;
        store::count(conn, &bounds.app, count.events.cast_signed())?;
        for kept in self.kept.iter().chain(gone.iter().flat_map(|session| &session.kept)) {
            store::replace(conn, kept.seq, &kept.envelope, &kept.refs)?;
            count.kept(kept);
        }
        Ok(count)
    }
}

/// Where pieces go.
pub(super) struct Sink<'a> {
    piece: Piece,
    size: usize,
    take: &'a mut dyn FnMut(Piece) -> Result<(), RetentionError>,
}

impl Sink<'_> {
    pub fn event(&mut self, event: Event) -> Result<(), RetentionError> {
        self.piece.events.push(event);
        self.grow(1)
    }

    pub fn connection(&mut self, ended: Ended) -> Result<(), RetentionError> {
        let events = ended.events.len();
        self.piece.connections.push(ended);
        self.grow(events)
    }

    pub fn session(&mut self, session: Session) -> Result<(), RetentionError> {
        let events = session.events.len() + session.kept.len();
        self.piece.sessions.push(session);
        self.grow(events)
    }

    pub fn kept(&mut self, kept: Kept) -> Result<(), RetentionError> {
        self.piece.kept.push(kept);
        self.grow(1)
    }

    fn grow(&mut self, events: usize) -> Result<(), RetentionError> {
        self.size += events;
        if self.size >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), RetentionError> {
        self.size = 0;
        let piece = std::mem::take(&mut self.piece);
        let has_rows = !piece.connections.is_empty() || !piece.sessions.is_empty();
        let is_empty = piece.events.is_empty() && piece.kept.is_empty() && !has_rows;
        if is_empty { Ok(()) } else { (self.take)(piece) }
    }
}

/// Hands over all that may be cut of a family. Gives how many events within the bounds stay.
pub(super) fn plan(
    log: &Connection,
    family: Family,
    bounds: &Bounds,
    take: &mut dyn FnMut(Piece) -> Result<(), RetentionError>,
) -> Result<u64, RetentionError> {
    let mut sink = Sink { piece: Piece::default(), size: 0, take };
    let kept = match family {
        Family::Ignored => ignored(log, bounds, &store::pillars(log, &bounds.app)?, &mut sink)?,
        Family::Message => message::plan(log, bounds, &mut sink)?,
        Family::Call => call::plan(log, bounds, &store::pillars(log, &bounds.app)?, &mut sink)?,
        Family::Presence => {
            let pillars = store::pillars(log, &bounds.app)?;
            let triggers = triggers(|trigger| family::of(trigger) == family::PRESENCE);
            refused(log, bounds, &pillars, &triggers, |_| true, &mut sink)?;
            let (mut kept, mut after) = (0, String::new());
            loop {
                let people = store::people(log, &bounds.app, &after, PAGE)?;
                for uid in &people {
                    kept += presence::person(log, bounds, &pillars, uid, &mut sink)?;
                }
                let Some(last) = people.into_iter().next_back() else { break kept };
                after = last;
            }
        }
    };
    sink.flush()?;
    Ok(kept)
}

/// Triggers of this kind that chatfold knows.
pub(super) fn triggers(are: impl Fn(&str) -> bool) -> Vec<&'static str> {
    TRIGGERS.iter().map(|(name, _)| *name).filter(|name| are(name)).collect()
}

/// Hands over the events of a family that came after an earlier cut, and that the fold refused.
pub(super) fn refused(
    log: &Connection,
    bounds: &Bounds,
    pillars: &Pillars,
    triggers: &[&str],
    is_of_family: impl Fn(&Logged) -> bool,
    sink: &mut Sink<'_>,
) -> Result<(), RetentionError> {
    for seq in store::refused(log, bounds, triggers)? {
        let Some(logged) = store::event(log, seq)? else { continue };
        if is_of_family(&logged) && !pillars.has(seq, logged.fact.received_at.0) {
            sink.event(Event { seq, bytes: logged.body.len() as u64, refs: Vec::new() })?;
        }
    }
    Ok(())
}

fn ignored(log: &Connection, bounds: &Bounds, pillars: &Pillars, sink: &mut Sink<'_>) -> Result<u64, RetentionError> {
    let (mut kept, mut after) = (0, 0);
    loop {
        let events = store::ignored(log, bounds, after, PAGE)?;
        let Some(last) = events.last() else { return Ok(kept) };
        after = last.seq;
        for it in events {
            if pillars.has(it.seq, it.received_at) {
                kept += 1;
            } else {
                sink.event(Event { seq: it.seq, bytes: it.bytes.cast_unsigned(), refs: Vec::new() })?;
            }
        }
    }
}
