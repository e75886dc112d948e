//! The rules of contract 4.2 in words.

use crate::ids::Time;
use crate::merge::{Judged, Key, Rule, When, rank};
use std::collections::BTreeMap;

/// Deleted stays deleted.
pub(super) const DELETED: &str = "ignored: deleted stays deleted, whatever arrives (4.4)";
/// What a deletion takes away.
pub(super) const TOMBSTONE: &str = "a tombstone: nothing but who deleted and when is taken from it (4.4)";

/// What the ranks of a row are called, least first.
pub(super) type Ranks = [&'static str; 6];
pub(super) const OF_MESSAGES: Ranks =
    ["a copy", "sent", "a copy of the edited message", "edited", "a copy of the deleted message", "deleted"];
pub(super) const OF_VERDICTS: Ranks = ["the message's own", "the engine's", "a person's", "", "", ""];
pub(super) const OF_CONNECTIONS: Ranks = ["a copy", "connected", "", "", "", "disconnected"];
pub(super) const OF_FACTS: Ranks = ["a copy", "the fact", "", "", "", ""];

/// The deliveries met so far: trigger by log position.
pub(super) type Past = BTreeMap<i64, String>;

/// A delivery as others are told of it.
pub(super) fn other(past: &Past, seq: i64, at: i64) -> String {
    let trigger = past.get(&seq).map_or("fact", String::as_str);
    match at {
        0 => format!("the undated {trigger} (#{seq})"),
        _ => format!("the {trigger} of {} (#{seq})", Time(at)),
    }
}

/// Why a value won or lost.
pub(super) fn rule(judged: &Judged<'_>, when: When, ranks: Ranks, past: &Past) -> String {
    let Some(key) = judged.key else { return grown(judged) };
    let dated = match when {
        When::At(_) => String::new(),
        When::Feed { floor: None, .. } => {
            "replayed before its feed showed any time: older than all dated facts; ".into()
        }
        When::Feed { .. } => format!("replayed without a time of its own, ordered at {}; ", Time(key.at)),
    };
    let Some(known) = judged.against else { return dated + "nothing known before" };
    let other = other(past, known.seq, known.at);
    let word = |key: Key| ranks.get(usize::from(key.rank)).copied().unwrap_or_default();
    let words = if key.at > known.at {
        format!("newer than {other}")
    } else if key.at < known.at && key.at == 0 {
        format!("it does not say how old it is, so {other} stays")
    } else if key.at < known.at {
        format!("{other} is newer")
    } else if key.rank != known.rank {
        let (more, less) = if key.rank > known.rank { (key, known) } else { (known, key) };
        match (less.rank, more.rank) {
            (rank::COPY, rank::FACT) if less == key && word(less) == "a copy" => {
                format!("equal times: an echo is a copy, and {other} outranks it")
            }
            _ => format!("equal times: {} outranks {}, here {other}", word(more), word(less)),
        }
    } else if key.fact_at != known.fact_at {
        let side = if judged.won { "this one" } else { other.as_str() };
        format!("two copies stamped alike: the one in the later fact wins, {side}")
    } else if judged.won {
        format!("equal time and rank: the later in the log wins, over {other}")
    } else {
        format!("equal time and rank: the later in the log wins, {other}")
    };
    dated + &words
}

/// What can only grow or shrink needs no key.
fn grown(judged: &Judged<'_>) -> String {
    let known = judged.known.and_then(crate::merge::Value::int).map(Time);
    match (judged.rule, judged.won, known) {
        (_, true, None) => "nothing known before".into(),
        (Rule::Least, true, Some(known)) => format!("the earliest told counts: {known} was known before"),
        (Rule::Least, false, Some(known)) => format!("the earliest told counts: {known} is known"),
        (_, true, Some(known)) => format!("the newest counts: {known} was known before"),
        (_, false, Some(known)) => format!("the newest counts: {known} is known"),
        (_, false, None) => "says nothing".into(),
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
        assert_eq!(last(&[(5, FACT, 0)]), told(true, "nothing known before"));
        assert_eq!(last(&[(5, FACT, 0), (6, FACT, 0)]), told(true, "newer than {}"));
        assert_eq!(last(&[(5, FACT, 0), (4, FACT, 0)]), told(false, "{} is newer"));
        assert_eq!(last(&[(5, FACT, 0), (0, COPY, 0)]), told(false, "it does not say how old it is, so {} stays"));
        assert_eq!(
            last(&[(5, FACT, 0), (5, COPY, 0)]),
            told(false, "equal times: an echo is a copy, and {} outranks it")
        );
        assert_eq!(last(&[(5, FACT, 0), (5, EDITED, 0)]), told(true, "equal times: edited outranks sent, here {}"));
        assert_eq!(
            last(&[(5, COPY, 9), (5, COPY, 8)]),
            told(false, "two copies stamped alike: the one in the later fact wins, {}")
        );
        assert_eq!(
            last(&[(5, FACT, 0), (5, FACT, 0)]),
            told(true, "equal time and rank: the later in the log wins, over {}")
        );
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
            "replayed without a time of its own, ordered at 1970-01-01T00:00:05.000Z; nothing known before"
        );
        assert!(!told[1].0 && told[1].1.starts_with("replayed before its feed showed any time"));
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
        assert_eq!(words[0], (true, "nothing known before".into()));
        assert_eq!(words[1], (false, "the earliest told counts: 1970-01-01T00:00:05.000Z is known".into()));
        assert_eq!(words[2], (true, "the earliest told counts: 1970-01-01T00:00:05.000Z was known before".into()));
    }
}
