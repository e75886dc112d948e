//! The rules of contract 4.2 in words.

use crate::ids::Time;
use crate::merge::{Judged, Key, Rule, When, rank};
use std::collections::BTreeMap;

/// Deleted stays deleted.
pub(super) const DELETED: &str = "ignored: a deleted message stays deleted, whatever arrives (4.4)";
/// What a deletion takes away.
pub(super) const TOMBSTONE: &str = "not used: of a deletion only who deleted and when counts (4.4)";

/// What the ranks of a row are called, least first.
pub(super) type Ranks = [&'static str; 6];
pub(super) const OF_MESSAGES: Ranks =
    ["a copy", "sent", "a copy of the edited message", "edited", "a copy of the deleted message", "deleted"];
pub(super) const OF_VERDICTS: Ranks =
    ["the message's own verdict", "the engine's verdict", "a person's verdict", "", "", ""];
pub(super) const OF_CONNECTIONS: Ranks = ["a copy", "connected", "", "", "", "disconnected"];
pub(super) const OF_FACTS: Ranks = ["a copy", "the fact", "", "", "", ""];

/// The deliveries met so far: trigger by log position.
pub(super) type Past = BTreeMap<i64, String>;

/// A delivery as others are told of it.
pub(super) fn other(past: &Past, seq: i64, at: i64) -> String {
    let trigger = past.get(&seq).map_or("fact", String::as_str);
    match at {
        0 => format!("the {trigger} without a time (#{seq})"),
        _ => format!("the {trigger} of {} (#{seq})", Time(at)),
    }
}

/// Why a value won or lost.
pub(super) fn rule(judged: &Judged<'_>, when: When, ranks: Ranks, past: &Past) -> String {
    let Some(key) = judged.key else { return grown(judged) };
    let dated = match when {
        When::At(_) => String::new(),
        When::Feed { floor: None, .. } => {
            "an old delivery, read before any with a time, so it counts as older than all facts with a time; ".into()
        }
        When::Feed { .. } => format!("an old delivery without a time, counted at {}; ", Time(key.at)),
    };
    let Some(known) = judged.against else { return dated + "no value was known before" };
    let other = other(past, known.seq, known.at);
    let word = |key: Key| ranks.get(usize::from(key.rank)).copied().unwrap_or_default();
    let words = if key.at > known.at {
        format!("newer than {other}")
    } else if key.at < known.at && key.at == 0 {
        format!("the age of this value is not known, so {other} stays")
    } else if key.at < known.at {
        format!("{other} is newer")
    } else if key.rank != known.rank {
        let (more, less) = if key.rank > known.rank { (key, known) } else { (known, key) };
        match (less.rank, more.rank) {
            (rank::COPY, rank::FACT) if less == key && word(less) == "a copy" => {
                format!("equal times: this is only a copy, and the fact itself counts more, {other}")
            }
            _ => format!("equal times: {} counts more than {}; the other is {other}", word(more), word(less)),
        }
    } else if key.fact_at != known.fact_at {
        let side = if judged.won { "this one" } else { other.as_str() };
        format!("two copies with equal times: the copy in the later fact wins, {side}")
    } else if judged.won {
        format!("equal times: the later in the log wins, over {other}")
    } else {
        format!("equal times: the later in the log wins, {other}")
    };
    dated + &words
}

/// What can only grow or shrink needs no key.
fn grown(judged: &Judged<'_>) -> String {
    let known = judged.known.and_then(crate::merge::Value::int).map(Time);
    match (judged.rule, judged.won, known) {
        (_, true, None) => "no value was known before".into(),
        (Rule::Least, true, Some(known)) => format!("the earliest time counts: {known} was known before"),
        (Rule::Least, false, Some(known)) => format!("the earliest time counts: {known} is known already"),
        (_, true, Some(known)) => format!("the newest time counts: {known} was known before"),
        (_, false, Some(known)) => format!("the newest time counts: {known} is known already"),
        (_, false, None) => "it tells no value".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::{Row, Stamp, Telling, Value};

    fn tell(facts: &[(i64, u8, i64)]) -> Vec<(bool, String)> {
        let stamp =
            |(at, rank, fact_at)| Stamp { when: When::At(Time(at * 1000)), rank, fact_at: Time(fact_at), seq: 0 };
        tell_stamps(facts.iter().map(|fact| stamp(*fact)))
    }

    fn tell_stamps(stamps: impl Iterator<Item = Stamp>) -> Vec<(bool, String)> {
        let (mut row, mut past, mut all) = (Row::new(1), Past::new(), Vec::new());
        for (seq, stamp) in (1..).zip(stamps) {
            past.insert(seq, "news".into());
            let telling =
                Telling { stamp: Stamp { seq, ..stamp }, fields: vec![(0, Value::Int(seq))], named: BTreeMap::new() };
            let judged =
                row.judge(&[Rule::Newest], &telling).map(|it| (it.won, rule(&it, stamp.when, OF_MESSAGES, &past)));
            all.extend(judged);
            row.merge(&[Rule::Newest], telling);
        }
        all
    }

    fn last(facts: &[(i64, u8, i64)]) -> (bool, String) {
        tell(facts).pop().unwrap()
    }

    #[test]
    fn each_rule_has_its_words() {
        use rank::{COPY, EDITED, FACT};
        let the = "the news of 1970-01-01T00:00:05.000Z (#1)";
        let told = |won, words: &str| (won, words.replace("{}", the));
        assert_eq!(last(&[(5, FACT, 0)]), told(true, "no value was known before"));
        assert_eq!(last(&[(5, FACT, 0), (6, FACT, 0)]), told(true, "newer than {}"));
        assert_eq!(last(&[(5, FACT, 0), (4, FACT, 0)]), told(false, "{} is newer"));
        assert_eq!(last(&[(5, FACT, 0), (0, COPY, 0)]), told(false, "the age of this value is not known, so {} stays"));
        assert_eq!(
            last(&[(5, FACT, 0), (5, COPY, 0)]),
            told(false, "equal times: this is only a copy, and the fact itself counts more, {}")
        );
        assert_eq!(
            last(&[(5, FACT, 0), (5, EDITED, 0)]),
            told(true, "equal times: edited counts more than sent; the other is {}")
        );
        assert_eq!(
            last(&[(5, COPY, 9), (5, COPY, 8)]),
            told(false, "two copies with equal times: the copy in the later fact wins, {}")
        );
        assert_eq!(last(&[(5, FACT, 0), (5, FACT, 0)]), told(true, "equal times: the later in the log wins, over {}"));
    }

    #[test]
    fn a_replayed_fact_says_how_it_was_ordered() {
        let feed = |floor| Stamp {
            when: When::Feed { clock: Time(9_000), floor },
            rank: rank::FACT,
            fact_at: Time(9_000),
            seq: 0,
        };
        let told = tell_stamps([feed(Some(Time(5_000))), feed(None)].into_iter());
        assert_eq!(
            told[0].1,
            "an old delivery without a time, counted at 1970-01-01T00:00:05.000Z; no value was known before"
        );
        assert!(!told[1].0 && told[1].1.starts_with("an old delivery, read before any with a time"));
    }

    #[test]
    fn what_can_only_grow_says_what_was_known() {
        let mut row = Row::new(1);
        let mut words = Vec::new();
        for value in [5_000, 7_000, 3_000] {
            let stamp = Stamp { when: When::At(Time(0)), rank: 0, fact_at: Time(0), seq: 1 };
            let telling = Telling { stamp, fields: vec![(0, Value::Int(value))], named: BTreeMap::new() };
            words.extend(row.judge(&[Rule::Least], &telling).map(|judged| (judged.won, grown(&judged))));
            row.merge(&[Rule::Least], telling);
        }
        assert_eq!(words[0], (true, "no value was known before".into()));
        assert_eq!(words[1], (false, "the earliest time counts: 1970-01-01T00:00:05.000Z is known already".into()));
        assert_eq!(words[2], (true, "the earliest time counts: 1970-01-01T00:00:05.000Z was known before".into()));
    }
}
