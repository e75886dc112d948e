//! What one run of `ingest` has read: equal lines are told apart by their order.

use super::{Known, registers, webhook_id};
use crate::envelope::Envelope;
use crate::feed::Feed;
use crate::store::StoreError;
use crate::store::sqlite::events::{self, Equal};
use crate::store::sqlite::{App, Connection};
use crate::trigger::{Ref, Role};
use foldhash::HashMap;
use sha2::{Digest, Sha256};

/// One run of `ingest`: a feed for each app, and what the run has read so far.
///
/// A file may have millions of lines. The run remembers only facts without a time, and their registers, by digests.
#[derive(Debug)]
pub struct Run {
    /// Newest log position when the run began.
    started_at: i64,
    pub(super) lines: u64,
    pub(super) feeds: HashMap<App, Feed>,
    /// Facts without a time from bare bodies, by the digest of app and fingerprint, in their order.
    copies: HashMap<u128, Vec<Copied>>,
    /// Registers of these facts, by their digest: the line of the newest fact of each.
    set: HashMap<u128, u64>,
    /// Webhooks that told one of these facts. The place of a webhook is its number.
    webhooks: Vec<String>,
    /// Facts that the log held when the run began, and that the run has read.
    reread: Positions,
}

/// A fact that a run has read: the line that told it first, and the numbers of the webhooks that told it.
#[derive(Debug)]
struct Copied {
    line: u64,
    tellers: Vec<u32>,
}

/// A set of log positions: a bit for each.
#[derive(Debug, Default)]
struct Positions(Vec<u64>);

impl Positions {
    /// Whether the position is new.
    fn insert(&mut self, position: i64) -> bool {
        let (word, bit) = ((position / 64).unsigned_abs() as usize, 1 << (position % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }
}

impl Run {
    pub fn new(conn: &Connection) -> Result<Self, StoreError> {
        Ok(Self {
            started_at: events::newest_seq(conn)?,
            lines: 0,
            feeds: HashMap::default(),
            copies: HashMap::default(),
            set: HashMap::default(),
            webhooks: Vec::new(),
            reread: Positions::default(),
        })
    }

    /// Which of several facts with this fingerprint a bare body tells, counted from 0. The rule is that of
    /// [`super::repeated`], but a bare body does not tell how long ago the others came. Copies without another fact of the
    /// register between them are one fact. Else the body tells the oldest fact that its webhook has not told in this
    /// run, or else a new one.
    pub(super) fn nth(&mut self, app: &App, envelope: &Envelope, refs: &[Ref]) -> usize {
        let webhook = self.webhook(webhook_id(envelope));
        let facts = self.copies.entry(digest(app, &[&envelope.fingerprint])).or_default();
        let newest_set = registers(app, refs).map(|(app, kind, key)| {
            // From here on the run notes the lines of this register.
            *self.set.entry(register(&app, kind, &key)).or_default()
        });
        let newest_set = newest_set.max().unwrap_or_default();
        let known = match facts.last() {
            Some(newest) if newest_set <= newest.line => Some(facts.len() - 1),
            _ => facts.iter().position(|fact| !fact.tellers.contains(&webhook)),
        };
        let which = known.unwrap_or_else(|| {
            facts.reserve_exact(1);
            facts.push(Copied { line: self.lines, tellers: Vec::new() });
            facts.len() - 1
        });
        let tellers = &mut facts[which].tellers;
        if !tellers.contains(&webhook) {
            tellers.reserve_exact(1);
            tellers.push(webhook);
        }
        which
    }

    fn webhook(&mut self, id: &str) -> u32 {
        let place = self.webhooks.iter().position(|known| known == id).unwrap_or_else(|| {
            self.webhooks.push(id.to_owned());
            self.webhooks.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// A fact that the log holds is read once more.
    pub(super) fn again(&self, equal: Equal) -> Known {
        if equal.seq <= self.started_at { Known::Reread(equal) } else { Known::Again(equal) }
    }

    /// Notes that the run has read the fact at a log position: a new event, or one that the log holds. Copies of the fact
    /// do not move registers again.
    pub(super) fn note(&mut self, app: &App, refs: &[Ref], seq: i64, is_new: bool) {
        let is_first = is_new || seq <= self.started_at && self.reread.insert(seq);
        if !is_first || self.set.is_empty() {
            return;
        }
        for it in refs.iter().filter(|it| it.role == Role::Sets) {
            if let Some(line) = self.set.get_mut(&register(app, it.kind, &it.key)) {
                *line = self.lines;
            }
        }
    }
}

fn register(app: &App, kind: &str, key: &str) -> u128 {
    digest(app, &[kind.as_bytes(), key.as_bytes()])
}

/// A digest of texts, which tells them from all others.
fn digest(app: &App, parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in std::iter::once(app.as_bytes()).chain(parts.iter().copied()) {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
    u128::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite;

    #[test]
    fn a_line_that_is_read_once_more_moves_no_register() {
        let dir = tempfile::tempdir().unwrap();
        let conn = sqlite::open_writer(&dir.path().join("chatfold.db")).unwrap();
        let mut run = Run { started_at: 10, ..Run::new(&conn).unwrap() };
        let blocked =
            r#"{"trigger":"user_blocked","appId":"a","data":{"users":{"bob":{"uid":"bob"}},"by":{"uid":"ann"}}}"#;
        let (app, blocked) = (App::from("a"), Envelope::parse(blocked.as_bytes()).unwrap());
        let refs = [Ref { kind: "block", key: "ann bob".to_owned(), role: Role::Sets }];
        let read = |run: &mut Run, seq: i64, is_new: bool| {
            run.lines += 1;
            run.note(&app, &refs, seq, is_new);
        };
        let nth = |run: &mut Run| {
            run.lines += 1;
            run.nth(&app, &blocked, &refs)
        };
        read(&mut run, 5, false);
        assert_eq!(nth(&mut run), 0);
        read(&mut run, 5, false);
        assert_eq!(nth(&mut run), 0, "the log held 5, and the run had read 5 before");
        read(&mut run, 11, false);
        assert_eq!(nth(&mut run), 0, "the run had made 11 itself");
        read(&mut run, 6, false);
        assert_eq!(nth(&mut run), 1, "6 is read for the first time");
        read(&mut run, 12, true);
        assert_eq!(nth(&mut run), 2, "12 is new");
    }
}
