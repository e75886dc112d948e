//! The unit of work: rows are loaded once, changed in memory by one event after the other, and saved once, when the
//! batch is committed.
//!
//! Rows of one batch stay in memory for later batches. If the fold of an event fails, its changes are undone in memory,
//! and the other events of the batch stay.

mod apply;
mod drift;
mod lists;
mod many;
mod pieces;
mod rows;
mod save;
mod sizes;

use crate::change::{Connection as Socket, Moderation, Presence, User};
use crate::feed::{Feed, Kept};
use crate::ids::Time;
use crate::merge::Fact;
use crate::store::StoreError;
use crate::store::sqlite::erasures::Erasures;
use crate::store::sqlite::events::CountKey;
use crate::store::sqlite::reaction::ReactionKey;
use crate::store::sqlite::receipt::MarkerKey;
use crate::store::sqlite::registers::ConnectionKey;
use crate::store::sqlite::{self, App, Connection, ConversationKey, Key, PairKey, RefKey, events, message, search};
use crate::tables;
use crate::tables::block::Block;
use crate::tables::call::Session;
use crate::tables::conversation::Conversation;
use crate::tables::edits::Edits;
use crate::tables::group::{Group, Rosters};
use crate::tables::horizon::Horizon;
use crate::tables::membership::{Facts, Membership};
use crate::tables::message::Message;
use crate::tables::reaction::Reaction;
use crate::tables::receipt::{ReadMarker, Receipt};
use crate::tables::registers::Registers;
use crate::trigger::{Ref, Role};
use foldhash::HashMap;
use rows::Rows;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes of messages of this app panic.
#[cfg(test)]
pub const PANICS: &str = "a_panic_of_the_fold";
/// A change of an app that is named by this prefix and a result code of SQLite fails with that code.
#[cfg(test)]
pub const FAILS: &str = "a_failure_of_the_file:";

/// Bytes of rows that stay in memory, if no setting says otherwise.
pub const CACHE: u64 = 16 << 20;

/// Most events in a transaction, and most bytes of their bodies, when nobody waits for the commit. Larger transactions
/// write less for each event.
const EVENTS: usize = 8_000;
const BODIES: usize = 8 << 20;
/// Most rows and references that such a transaction saves. A member list of 1 MB changes 50,000 rows, and each of them takes
/// more memory than its entry in the body.
const CHANGES: usize = 100_000;

/// About how many bytes a row may have. SQLite stores 64 MiB. An event that makes a row larger is a dead letter, so it
/// ends neither the batch nor the process.
pub const ROW: usize = 48 << 20;

/// Declares the tables of a batch, and what is done to all of them.
macro_rules! tables {
    ($($name:ident: $key:ty => $row:ty),+ $(,)?) => {
        /// Rows of every folded table.
        #[derive(Debug, Default)]
        struct Tables {
            $($name: Rows<$key, $row>),+
        }

        impl Tables {
            /// Rows that may differ from the file.
            fn changes(&self) -> usize {
                [$(self.$name.changes()),+].into_iter().sum()
            }

            fn keep(&mut self) {
                $(self.$name.keep();)+
            }

            fn take_back(&mut self) {
                $(self.$name.take_back();)+
            }

            /// The table in which the current event made a row larger than this many bytes.
            fn exceeds(&self, most: usize) -> Option<&'static str> {
                $(if self.$name.exceeds(most) {
                    return Some(stringify!($name));
                })+
                None
            }

            fn forget_old(&mut self, most: usize) {
                if [$(self.$name.bytes()),+].into_iter().sum::<usize>() > most {
                    $(self.$name.forget_old();)+
                }
            }
        }
    };
}

tables! {
    apps: App => tables::app::App,
    feeds: App => Kept,
    numbers: App => i64,
    users: Key => Registers<User>,
    groups: Key => Group,
    rosters: Key => Rosters,
    memberships: PairKey => Membership,
    membership_facts: PairKey => Facts,
    conversations: ConversationKey => Conversation,
    messages: Key => Message,
    edits: Key => Edits,
    verdicts: Key => Registers<Moderation>,
    reactions: ReactionKey => Reaction,
    receipts: PairKey => Receipt,
    read_markers: MarkerKey => ReadMarker,
    presence: Key => Registers<Presence>,
    connections: ConnectionKey => Registers<Socket>,
    blocks: PairKey => Block,
    sessions: Key => Session,
    horizons: Key => Horizon,
}

/// Rows in memory, and what is to be added to the file when the batch is saved.
#[derive(Debug)]
pub struct Batch {
    /// Bytes of rows that stay in memory. For a short time there may be twice as many.
    cache: usize,
    tables: Tables,
    /// The entities and registers that the events of the batch name, in the order of the log.
    refs: Vec<(RefKey, i64)>,
    /// The newest log position of each of these.
    newest_refs: HashMap<RefKey, i64>,
    /// How many of `refs` were there before the current event.
    kept_refs: usize,
    /// Log positions of events that later ones replace.
    dropped: Vec<i64>,
    /// How many of `dropped` were there before the current event.
    kept_dropped: usize,
    /// Tags and mentions of the messages that changed. `None`: they are read from the messages.
    carried: Option<Vec<message::Carried>>,
    /// The newest log position given. `None`: the file has to be asked.
    newest_position: Option<i64>,
    /// Who was erased from the file. `None`: the file has to be asked.
    erasures: Option<Arc<Erasures>>,
    /// Horizons of messages that the log tells further on.
    expected: HashMap<App, Horizon>,
    /// Deliveries by minute: how many, and when the last one came.
    counts: BTreeMap<CountKey, (i64, i64)>,
    /// The batch holds one large event, and some of its rows may be saved already.
    is_large: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self::keeping(CACHE as usize)
    }
}

impl Batch {
    /// An empty batch that keeps this many bytes of rows in memory after a save.
    pub fn keeping(cache: usize) -> Self {
        Self {
            cache,
            tables: Tables::default(),
            refs: Vec::new(),
            newest_refs: HashMap::default(),
            kept_refs: 0,
            dropped: Vec::new(),
            kept_dropped: 0,
            carried: None,
            newest_position: None,
            erasures: None,
            expected: HashMap::default(),
            counts: BTreeMap::new(),
            is_large: false,
        }
    }

    /// An empty batch for one large event, which is saved in pieces.
    pub fn for_large() -> Self {
        Self { is_large: true, ..Self::default() }
    }

    /// Whether a transaction of so many events, with so many bytes of bodies, should end, if nobody waits for its commit.
    pub fn is_full(&self, events: usize, bodies: usize) -> bool {
        events >= EVENTS || bodies >= BODIES || self.tables.changes() + self.refs.len() >= CHANGES
    }

    /// What an app's HTTP deliveries have shown of the clocks.
    pub fn feed(&mut self, conn: &Connection, app: &App) -> Result<Feed, StoreError> {
        let kept = self.tables.feeds.get(app, || sqlite::load(conn, app))?;
        Ok(kept.map(|kept| kept.feed.clone()).unwrap_or_default())
    }

    /// Who was erased from the file. A node that erases somebody forgets its batch.
    pub fn erasures(&mut self, conn: &Connection) -> Result<Arc<Erasures>, StoreError> {
        let known = match &self.erasures {
            Some(known) => Arc::clone(known),
            None => Arc::new(Erasures::load(conn)?),
        };
        Ok(Arc::clone(self.erasures.insert(known)))
    }

    /// Gives the next log position to a further delivery of an event.
    pub fn next_position(&mut self, conn: &Connection) -> Result<i64, StoreError> {
        let newest = match self.newest_position {
            Some(newest) => newest,
            None => events::newest_position(conn)?,
        };
        Ok(*self.newest_position.insert(newest + 1))
    }

    /// The next delivery gets this log position, which a shared log gave it. Positions only rise.
    pub fn place(&mut self, conn: &Connection, position: i64) -> Result<(), StoreError> {
        let newest = match self.newest_position {
            Some(newest) => newest,
            None => events::newest_position(conn)?,
        };
        if position <= newest {
            return Err(StoreError::Unusable(format!(
                "the shared log gives a delivery the position {position}, but the file is at {newest}"
            )));
        }
        self.newest_position = Some(position - 1);
        Ok(())
    }

    /// Gives the next log position to an event of an app. The app keeps the position, so that no later event gets it
    /// again after the event is deleted. `feed` is the app's feed, if the event changed it.
    pub fn next_seq(&mut self, conn: &Connection, app: &App, feed: Option<Feed>) -> Result<i64, StoreError> {
        let seq = self.next_position(conn)?;
        let kept = self.tables.feeds.edit(app, || sqlite::load(conn, app))?;
        kept.newest_seq = seq;
        if let Some(feed) = feed {
            kept.feed = feed;
        }
        self.tables.feeds.keep();
        Ok(seq)
    }

    /// Counts a delivery in its minute.
    pub fn count(&mut self, app: &App, received_at: Time, trigger: &str, outcome: &'static str) {
        let key = (App::clone(app), received_at.0 / 60_000, trigger.to_owned(), outcome);
        let (n, last_at) = self.counts.entry(key).or_default();
        *n += 1;
        *last_at = received_at.0.max(*last_at);
    }

    /// Whether another fact of one of these registers came after a log position.
    pub fn set_after(&self, conn: &Connection, app: &App, refs: &[Ref], seq: i64) -> Result<bool, StoreError> {
        for reference in refs.iter().filter(|reference| reference.role != Role::About) {
            let key = (App::clone(app), reference.kind, reference.key.clone());
            if self.newest_refs.get(&key).copied().max(events::newest_ref(conn, &key)?) > Some(seq) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps that an event speaks of a register or entity.
    pub fn refer(&mut self, app: &App, reference: &Ref, seq: i64) {
        let key = (App::clone(app), reference.kind, reference.key.clone());
        self.newest_refs.insert(key.clone(), seq);
        self.refs.push((key, seq));
    }

    /// Gives an app its number, if it has none. Numbers follow the order of the log, so they do not depend on how the
    /// log is cut into batches.
    pub fn number(&mut self, conn: &Connection, app: &App) -> Result<(), StoreError> {
        let load = || search::load_number(conn, app);
        if self.tables.numbers.get(app, load)?.is_none() {
            let next = 1 + search::numbers(conn)? + self.tables.numbers.changed().count() as i64;
            *self.tables.numbers.edit(app, load)? = next;
            self.tables.numbers.keep();
        }
        Ok(())
    }

    /// Counts an event for its app.
    pub fn count_for_app(
        &mut self,
        conn: &Connection,
        app: &App,
        region: Option<&str>,
        fact: &Fact,
    ) -> Result<(), StoreError> {
        self.tables.apps.edit(app, || sqlite::load(conn, app))?.apply(region, fact);
        self.tables.apps.keep();
        self.number(conn, app)
    }

    /// Up to when events of a family were cut from the log of an app.
    pub fn horizon(&mut self, conn: &Connection, app: &App, family: &str) -> Result<Option<Horizon>, StoreError> {
        let key = (App::clone(app), family.to_owned());
        Ok(self.tables.horizons.get(&key, || sqlite::load(conn, &key))?.copied())
    }

    /// The log that is folded tells this horizon of the messages of an app at a later position. Messages before the horizon
    /// count as gone from the beginning.
    pub fn expect(&mut self, app: &App, horizon: Horizon) {
        self.expected.entry(App::clone(app)).or_default().move_to(horizon);
    }

    /// The horizon of the messages of an app that is still to come.
    pub fn expected(&self, app: &App) -> Option<Horizon> {
        self.expected.get(app).copied()
    }

    /// Keeps the changes of the current event, which is folded.
    pub fn keep(&mut self) {
        self.tables.keep();
        self.kept_refs = self.refs.len();
        self.kept_dropped = self.dropped.len();
    }

    /// The table in which the current event made a row too large to be stored.
    pub fn exceeds(&self) -> Option<&'static str> {
        self.tables.exceeds(ROW)
    }

    /// Undoes the changes of the current event, which failed.
    pub fn take_back(&mut self) {
        self.tables.take_back();
        self.refs.truncate(self.kept_refs);
        self.dropped.truncate(self.kept_dropped);
        self.newest_refs = self.refs.iter().cloned().collect();
    }

    /// Forgets everything: the transaction was rolled back, or another process wrote into the tables.
    pub fn forget(&mut self) {
        *self = Self::keeping(self.cache);
    }
}
