//! Registers and their one merge. Only this module decides which of two values wins (contract 4.2).

use crate::ids::{Time, TimeSource};
use std::collections::BTreeMap;

/// Orders all facts about one value. The greater key wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Order time.
    pub at: i64,
    /// Decides between facts of one time: see [`rank`].
    pub rank: u8,
    /// Decides between two copies with equal times: when the fact around each copy happened.
    pub fact_at: i64,
    /// Log position.
    pub seq: i64,
}

/// Ranks: a fact beats a copy or an echo of it, an edit beats a send, a deletion beats both.
pub mod rank {
    pub const COPY: u8 = 0;
    pub const FACT: u8 = 1;
    pub const EDITED_COPY: u8 = 2;
    pub const EDITED: u8 = 3;
    pub const DELETED_COPY: u8 = 4;
    pub const DELETED: u8 = 5;
    /// Verdicts of moderation.
    pub const OWN_VERDICT: u8 = 0;
    pub const ENGINE_VERDICT: u8 = 1;
    pub const MANUAL_VERDICT: u8 = 2;
}

/// How a fact is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    At(Time),
    /// A fact of a replay of old deliveries, without a time of its own. It is not older than what its register knows,
    /// not older than its floor, and not newer than the feed's clock. `floor` is `None` while the feed has shown no
    /// time at all.
    Feed {
        clock: Time,
        floor: Option<Time>,
    },
}

impl When {
    /// The order time, given the register's order time when the fact arrives.
    pub fn resolve(self, known: Option<i64>) -> i64 {
        match self {
            Self::At(at) => at.0,
            Self::Feed { floor: None, .. } => 0,
            Self::Feed { clock, floor: Some(floor) } => clock.0.min(floor.0.max(known.unwrap_or(0))),
        }
    }
}

/// The part of the key that a fact brings to every register it speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub when: When,
    pub rank: u8,
    pub fact_at: Time,
    pub seq: i64,
}

impl Stamp {
    /// The key of the fact in a register whose order time is `known`.
    pub fn key(self, known: Option<i64>) -> Key {
        let at = self.when.resolve(known);
        // Only copies are told apart by the fact around them; facts of one time and rank go by the log.
        let copied = matches!(self.rank, rank::COPY | rank::EDITED_COPY | rank::DELETED_COPY);
        let fact_at = if copied { self.fact_at.0 } else { at };
        Key { at, rank: self.rank, fact_at, seq: self.seq }
    }
}

/// A fact as the log dates it; reducers derive their stamps from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub seq: i64,
    pub trigger: String,
    pub received_at: Time,
    /// For `arrival` facts: when the fact arrived, by the vendor's clock.
    pub arrived_at: Option<Time>,
    pub occurred_at: Time,
    pub occurred_from: TimeSource,
    /// For `feed` facts: the newest time in the body (0: none). `None` while the feed had shown no time.
    pub floor: Option<Time>,
    pub fingerprint: [u8; 32],
}

impl Fact {
    pub fn when(&self) -> When {
        match self.occurred_from {
            TimeSource::Feed => When::Feed { clock: self.occurred_at, floor: self.floor },
            TimeSource::Told | TimeSource::Arrival => When::At(self.occurred_at),
        }
    }

    /// The stamp of what the fact itself says.
    pub fn stamp(&self, rank: u8) -> Stamp {
        Stamp { when: self.when(), rank, fact_at: self.occurred_at, seq: self.seq }
    }

    /// The stamp of the fact's own time, and of values that belong to it. Of several such facts, the newest with a time
    /// in the event counts; without one, the newest of the others.
    pub fn told_first(&self) -> Stamp {
        match self.occurred_from {
            TimeSource::Told => self.stamp(rank::FACT),
            TimeSource::Arrival | TimeSource::Feed => self.copy(Some(Time(0)), rank::COPY),
        }
    }

    /// The stamp of a snapshot inside the fact: its own time, else the fact's.
    pub fn copy(&self, at: Option<Time>, rank: u8) -> Stamp {
        Stamp { when: at.map_or_else(|| self.when(), When::At), ..self.stamp(rank) }
    }
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl Value {
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn int(&self) -> Option<i64> {
        if let Self::Int(int) = self { Some(*int) } else { None }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Int(time.0)
    }
}

impl From<TimeSource> for Value {
    fn from(source: TimeSource) -> Self {
        Self::Text(source.as_str().to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Int(i64::from(flag))
    }
}

/// How two values of one field are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A register: the greater key wins.
    Newest,
    /// A value that can only shrink: the least wins.
    Least,
    /// A value that can only grow: the greatest wins.
    Greatest,
}

/// What one fact tells about one row: fields by index, and members of an open map by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    pub stamp: Stamp,
    pub fields: Vec<(usize, Value)>,
    pub named: BTreeMap<String, Value>,
}

/// A row as merged so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub values: Vec<Value>,
    pub keys: Vec<Option<Key>>,
    pub named: BTreeMap<String, (Value, Key)>,
}

impl Row {
    pub fn new(fields: usize) -> Self {
        Self { values: vec![Value::Null; fields], keys: vec![None; fields], named: BTreeMap::new() }
    }

    /// Merges a telling. An equal value with a newer key moves the key: a late older value must not win afterwards.
    pub fn merge(&mut self, rules: &[Rule], telling: Telling) {
        for (field, value) in telling.fields {
            let Judged { key, won, .. } = self.judge_field(rules[field], telling.stamp, field, &value);
            if won {
                self.keys[field] = key.or(self.keys[field]);
                self.values[field] = value;
            }
        }
        for (name, value) in telling.named {
            let Judged { key, won, .. } = self.judge_member(telling.stamp, &name, &value);
            if let Some(key) = key.filter(|_| won) {
                self.named.insert(name, (value, key));
            }
        }
    }

    /// Whether merging a telling would change a field, value or key. Names are not looked at.
    pub fn is_changed_by(&self, rules: &[Rule], telling: &Telling) -> bool {
        let wins = |(at, value): &(usize, Value)| self.judge_field(rules[*at], telling.stamp, *at, value).won;
        telling.fields.iter().any(wins)
    }

    /// For each value of a telling: whether it would win if the telling were merged, and against which key.
    pub fn judge<'a>(&'a self, rules: &'a [Rule], telling: &'a Telling) -> impl Iterator<Item = Judged<'a>> {
        let stamp = telling.stamp;
        let fields = telling.fields.iter().map(move |(at, value)| self.judge_field(rules[*at], stamp, *at, value));
        fields.chain(telling.named.iter().map(move |(name, value)| self.judge_member(stamp, name, value)))
    }

    fn judge_field<'a>(&'a self, rule: Rule, stamp: Stamp, field: usize, value: &'a Value) -> Judged<'a> {
        let known = &self.values[field];
        let (key, against, won) = match rule {
            Rule::Newest => {
                let against = self.keys[field];
                let key = stamp.key(against.map(|key| key.at));
                (Some(key), against, against.is_none_or(|known| key > known))
            }
            Rule::Least => (None, None, better(value, known, |new, known| new < known)),
            Rule::Greatest => (None, None, better(value, known, |new, known| new > known)),
        };
        Judged { register: Register::Field(field), value, known: Some(known), rule, key, against, won }
    }

    fn judge_member<'a>(&'a self, stamp: Stamp, name: &'a str, value: &'a Value) -> Judged<'a> {
        let (known, against) = self.named.get(name).map(|(value, key)| (value, *key)).unzip();
        let key = stamp.key(against.map(|key| key.at));
        let won = against.is_none_or(|known| key > known);
        Judged { register: Register::Named(name), value, known, rule: Rule::Newest, key: Some(key), against, won }
    }
}

/// Which register of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register<'a> {
    Field(usize),
    Named(&'a str),
}

/// The result for one value of a telling.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    pub register: Register<'a>,
    pub value: &'a Value,
    /// The value in the row.
    pub known: Option<&'a Value>,
    pub rule: Rule,
    /// The key of the telling's value. `None` for values that can only grow or shrink.
    pub key: Option<Key>,
    /// The key in the row.
    pub against: Option<Key>,
    pub won: bool,
}

fn better(new: &Value, known: &Value, better: impl Fn(i64, i64) -> bool) -> bool {
    match (new.int(), known.int()) {
        (Some(new), Some(known)) => better(new, known),
        (new, known) => new.is_some() && known.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(at: i64, rank: u8, seq: i64) -> Stamp {
        Stamp { when: When::At(Time(at)), rank, fact_at: Time(at), seq }
    }

    fn tell(row: &mut Row, stamp: Stamp, text: &str) {
        row.merge(
            &[Rule::Newest],
            Telling { stamp, fields: vec![(0, Value::Text(text.into()))], named: BTreeMap::new() },
        );
    }

    fn winner(order: &[(Stamp, &str)]) -> Value {
        let mut row = Row::new(1);
        for (stamp, text) in order {
            tell(&mut row, *stamp, text);
        }
        row.values[0].clone()
    }

    #[test]
    fn the_newest_wins_in_any_order_and_ties_go_by_rank_then_log() {
        let facts = [
            (stamp(5, rank::FACT, 9), "old"),
            (stamp(7, rank::COPY, 8), "copy"),
            (stamp(7, rank::FACT, 1), "fact"),
            (stamp(7, rank::FACT, 2), "later fact"),
        ];
        let mut reversed = facts;
        reversed.reverse();
        assert_eq!(winner(&facts), Value::Text("later fact".into()));
        assert_eq!(winner(&reversed), Value::Text("later fact".into()));
    }

    #[test]
    fn of_two_copies_stamped_alike_the_one_in_the_later_fact_wins() {
        let older = Stamp { fact_at: Time(20), ..stamp(7, rank::COPY, 2) };
        let newer = Stamp { fact_at: Time(30), ..stamp(7, rank::COPY, 1) };
        assert_eq!(winner(&[(newer, "newer"), (older, "older")]), Value::Text("newer".into()));
    }

    #[test]
    fn an_equal_value_with_a_newer_key_moves_the_key() {
        let facts = [(stamp(5, 1, 1), "a"), (stamp(9, 1, 2), "a"), (stamp(7, 1, 3), "b")];
        assert_eq!(winner(&facts), Value::Text("a".into()));
    }

    #[test]
    fn an_old_replay_undoes_nothing_newer_but_follows_what_it_knows() {
        let feed = |clock, floor, seq| Stamp {
            when: When::Feed { clock: Time(clock), floor },
            rank: 1,
            fact_at: Time(clock),
            seq,
        };
        assert_eq!(
            winner(&[(stamp(100, 1, 1), "new"), (feed(50, Some(Time(40)), 2), "replayed")]),
            Value::Text("new".into())
        );
        assert_eq!(
            winner(&[(stamp(30, 1, 1), "told"), (feed(50, Some(Time(20)), 2), "replayed")]),
            Value::Text("replayed".into())
        );
        assert_eq!(winner(&[(stamp(30, 1, 1), "told"), (feed(50, None, 2), "undated")]), Value::Text("told".into()));
    }

    #[test]
    fn least_and_greatest_need_no_key() {
        let rules = [Rule::Least, Rule::Greatest];
        let mut row = Row::new(2);
        for value in [5, 3, 4] {
            row.merge(
                &rules,
                Telling {
                    stamp: stamp(1, 1, 1),
                    fields: vec![(0, Value::Int(value)), (1, Value::Int(value))],
                    named: BTreeMap::new(),
                },
            );
        }
        assert_eq!(row.values, [Value::Int(3), Value::Int(5)]);
    }
}
