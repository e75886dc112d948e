//! Contract 4.5 once more, written from its text alone: each sentence a plain and slow function over all facts.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeSet;

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;

/// An instance, as the model has it.
#[derive(Debug, Clone)]
struct Expected {
    kind: Kind,
    start: Option<i64>,
    end: Option<i64>,
    /// When the participants came; of one without a start also when else something was heard, in `first`.
    came: Vec<i64>,
    first: i64,
    news: i64,
    is_followed: bool,
    has_signals: bool,
    seqs: BTreeSet<i64>,
}

impl Expected {
    fn begins(&self) -> i64 {
        self.start.or(self.came.iter().copied().min()).unwrap_or(self.first)
    }

    fn take(&mut self, fact: &CallFact) {
        self.seqs.insert(fact.seq);
        self.news = self.news.max(fact.at);
        match &fact.news {
            News::Ended { ended_at, occupants, .. } => {
                self.end = self.end.max(Some(*ended_at));
                self.came.extend(occupants.iter().filter_map(|it| it.joined_at));
            }
            News::Occupant { occupant, .. } => self.came.extend(occupant.joined_at.or(occupant.left_at)),
            _ => {}
        }
    }
}

fn kind_of(fact: &CallFact) -> Option<Kind> {
    match &fact.news {
        News::Started { kind, .. } | News::Ended { kind, .. } | News::Occupant { kind, .. } => Some(*kind),
        _ => None,
    }
}

fn created_at(fact: &CallFact) -> Option<i64> {
    match &fact.news {
        News::Started { created_at, .. } => Some(*created_at),
        News::Ended { created_at, .. } => *created_at,
        _ => None,
    }
}

fn lists(end: &CallFact, occupant: &Occupant) -> bool {
    let News::Ended { occupants, .. } = &end.news else { return false };
    occupants.iter().any(|it| it.uid == occupant.uid && it.joined_at == occupant.joined_at)
}

/// "created_at values within 5 s of the first are one."
fn told_instances(facts: &[CallFact]) -> Vec<Expected> {
    let mut all = Vec::new();
    for kind in [Kind::Call, Kind::Meeting] {
        let mut rest: Vec<&CallFact> =
            facts.iter().filter(|it| kind_of(it) == Some(kind) && created_at(it).is_some()).collect();
        while let Some(first) = rest.iter().filter_map(|it| created_at(it)).min() {
            let mut instance = empty(kind, Some(first), first);
            rest.retain(|fact| {
                let is_own = created_at(fact).is_some_and(|at| at <= first + 5_000);
                if is_own {
                    instance.take(fact);
                }
                !is_own
            });
            all.push(instance);
        }
    }
    all
}

fn empty(kind: Kind, start: Option<i64>, first: i64) -> Expected {
    let (end, came, seqs) = (None, Vec::new(), BTreeSet::new());
    Expected { kind, start, end, came, first, news: first, is_followed: false, has_signals: false, seqs }
}

fn next_start(all: &[Expected], kind: Kind, after: i64) -> Option<i64> {
    all.iter().filter(|it| it.kind == kind).filter_map(|it| it.start).filter(|at| *at > after).min()
}

/// "belongs to the newest instance with a told end whose span holds t; else …"
fn of_time(all: &[Expected], kind: Option<Kind>, at: i64, late: i64) -> Option<usize> {
    let of_kind = |it: &&(usize, &Expected)| kind.is_none_or(|kind| it.1.kind == kind);
    let told: Vec<(usize, &Expected)> = all.iter().enumerate().collect();
    let told: Vec<(usize, &Expected)> = told.iter().filter(of_kind).copied().collect();
    let start = |it: &(usize, &Expected)| it.1.start.unwrap_or(i64::MAX);
    let started = || told.iter().filter(|it| start(it) <= at);
    let newest = |it: &&(usize, &Expected)| start(it);
    let end_of_span = |it: &Expected| it.end.or(next_start(all, it.kind, it.begins()));
    let holds = started().filter(|it| it.1.end.is_some_and(|end| at <= end)).max_by_key(newest);
    let soon = told.iter().filter(|it| start(it) > at && start(it) <= at + 10_000).min_by_key(newest);
    let is_open =
        |it: &Expected| it.end.is_none() && next_start(all, it.kind, it.begins()).is_none_or(|next| next > at);
    let open = started().filter(|it| is_open(it.1)).max_by_key(newest);
    let last = started().max_by_key(newest).filter(|it| end_of_span(it.1).is_some_and(|end| at <= end + late));
    holds.or(soon).or(open).or(last).map(|it| it.0)
}

fn time_of(fact: &CallFact) -> Option<(i64, i64)> {
    match &fact.news {
        News::Occupant { occupant, .. } => Some((occupant.joined_at.or(occupant.left_at)?, MINUTE)),
        News::Recording { started_at, .. } => Some(((*started_at)?, DAY)),
        _ => None,
    }
}

/// "An instance without start, which begins with its earliest participant, ends when a later one starts; a day without
/// news begins another."
fn without_start(told: &[Expected], left: Vec<(i64, i64, Vec<&CallFact>)>, kind: Kind) -> Vec<Expected> {
    let mut made: Vec<Expected> = Vec::new();
    for (at, late, facts) in left {
        let goes_on = made.last().is_some_and(|it| {
            at <= it.news + DAY
                && it.end.is_none_or(|end| at <= end + late)
                && next_start(told, kind, it.first).is_none_or(|next| next > at)
        });
        if !goes_on {
            made.push(empty(kind, None, at));
        }
        if let Some(last) = made.last_mut() {
            facts.into_iter().for_each(|fact| last.take(fact));
        }
    }
    made
}

fn model(facts: &[CallFact]) -> Vec<Expected> {
    let mut all = told_instances(facts);
    let mut ends: Vec<&CallFact> =
        facts.iter().filter(|it| matches!(it.news, News::Ended { created_at: None, .. })).collect();
    ends.sort_by_key(|it| it.at);
    // "An end without created_at closes the newest open instance that started before it."
    ends.retain(|end| {
        let newest =
            all.iter_mut().filter(|it| Some(it.kind) == kind_of(end) && it.start.is_some_and(|at| at <= end.at));
        let newest = newest.max_by_key(|it| it.start);
        let closes = newest.filter(|it| it.end.is_none_or(|known| end.at <= known + MINUTE));
        closes.map(|it| it.take(end)).is_none()
    });
    let mut left: Vec<(Option<Kind>, i64, i64, Vec<&CallFact>)> = Vec::new();
    for end in &ends {
        let mut one = empty(Kind::Call, None, end.at);
        one.take(end);
        left.push((kind_of(end), one.came.iter().copied().chain([end.at]).min().unwrap_or(end.at), MINUTE, vec![end]));
    }
    let told = all.clone();
    for fact in facts {
        let Some((at, late)) = time_of(fact) else { continue };
        if let News::Occupant { occupant, kind } = &fact.news {
            // "The participants that an end lists are its own instance's."
            let lister = facts.iter().find(|end| kind_of(end) == Some(*kind) && lists(end, occupant));
            if let Some(lister) = lister {
                match all.iter_mut().find(|it| it.seqs.contains(&lister.seq)) {
                    Some(own) => own.take(fact),
                    None => left.iter_mut().filter(|it| it.3[0].seq == lister.seq).for_each(|it| it.3.push(fact)),
                }
                continue;
            }
        }
        match of_time(&told, kind_of(fact), at, late) {
            Some(own) => all[own].take(fact),
            None => left.push((kind_of(fact), at, late, vec![fact])),
        }
    }
    left.sort_by_key(|it| (it.1, it.0.is_none()));
    // "Kind where only recordings are known: CALL if signalling exists, else MEETING."
    let alone = facts.iter().all(|it| matches!(it.news, News::Recording { .. }));
    for kind in [Kind::Call, Kind::Meeting] {
        let unknown = if alone { Kind::Meeting } else { Kind::Call };
        let own = left.iter().filter(|it| it.0.unwrap_or(unknown) == kind);
        all.extend(without_start(&told, own.map(|it| (it.1, it.2, it.3.clone())).collect(), kind));
    }
    let begins: Vec<(Kind, i64)> = all.iter().map(|it| (it.kind, it.begins())).collect();
    for it in &mut all {
        it.is_followed = begins.iter().any(|(kind, at)| *kind == it.kind && *at > it.begins());
    }
    rings(facts, &mut all);
    all
}

/// "Signalling belongs to the first instance that starts at or after `initiatedAt` and within 10 minutes, unless it
/// ended rejected first; with none it is an instance of its own."
fn rings(facts: &[CallFact], all: &mut Vec<Expected>) {
    let mut signals: Vec<(&CallFact, &Signal)> = facts
        .iter()
        .filter_map(|it| if let News::Signal(signal) = &it.news { Some((it, signal)) } else { None })
        .collect();
    signals.sort_by_key(|it| it.0.at);
    let initiated: BTreeSet<i64> = signals.iter().filter_map(|it| it.1.initiated_at).collect();
    let own = |it: &(&CallFact, &Signal)| it.1.initiated_at.or(initiated.range(..=it.0.at).next_back().copied());
    let media = all.len();
    for at in &initiated {
        let ring: Vec<&(&CallFact, &Signal)> = signals.iter().filter(|it| own(it) == Some(*at)).collect();
        let first = all[..media].iter_mut().filter(|it| it.kind == Kind::Call && it.begins() >= *at);
        let first = first.min_by_key(|it| it.begins()).filter(|it| it.begins() <= at + 10 * MINUTE);
        let failed =
            |begins: i64| ring.iter().any(|it| it.1.status.as_deref() == Some("rejected") && it.0.at <= begins);
        match first.filter(|it| !failed(it.begins())) {
            Some(it) => {
                it.has_signals = true;
                ring.iter().for_each(|signal| it.take(signal.0));
            }
            None => {
                let mut alone = empty(Kind::Call, None, *at);
                alone.has_signals = true;
                ring.iter().for_each(|signal| alone.take(signal.0));
                all.push(alone);
            }
        }
    }
    let mut last: Option<i64> = None;
    for (fact, _) in signals.iter().filter(|it| own(it).is_none()) {
        if last.is_none_or(|last| fact.at > last + DAY) {
            all.push(Expected { has_signals: true, ..empty(Kind::Call, None, fact.at) });
        }
        last = Some(fact.at);
        if let Some(stray) = all.last_mut() {
            stray.take(fact);
        }
    }
}

/// A fact at second `second` of some day; `a` and `b` choose among what it may say.
pub fn random(index: usize, (what, day, second, a, b): (u8, u8, i64, u8, u8), mixed: bool) -> CallFact {
    // No two facts of one instant: between such the log decides.
    let ms = |at: i64| at * 1000 + index as i64;
    let at = ms(i64::from(day) * 50_000 + second);
    let kind = if mixed && a.is_multiple_of(3) { Kind::Meeting } else { Kind::Call };
    // A few starts, told again within and beyond five seconds.
    let created_at = i64::from(day) * 50_000_000 + i64::from(a % 3) * 250_000 + i64::from(b % 4) * 2_000;
    let lasts = [1_000, 40_000, 130_000, 90_000_000][usize::from(b % 4)];
    let occupant = |left_at| Occupant {
        uid: Some(format!("u{index}")),
        name: Some("Ann".into()),
        joined_at: Some(at),
        left_at,
        audio_only: None,
    };
    let signal = |status: &str, initiated_at| {
        let signal = Signal { status: Some(status.into()), initiated_at, ..Signal::default() };
        (at, News::Signal(signal))
    };
    let (at, news) = match what {
        0 => (created_at, News::Started { kind, created_at }),
        1 => {
            let ended_at = created_at + lasts + index as i64;
            (ended_at, News::Ended { kind, created_at: Some(created_at), ended_at, occupants: Vec::new() })
        }
        2 => (at, News::Ended { kind, created_at: None, ended_at: at, occupants: Vec::new() }),
        3 | 4 => (at, News::Occupant { kind, occupant: occupant(None) }),
        5 => (at + lasts, News::Occupant { kind, occupant: occupant(Some(at + lasts)) }),
        6 => signal("initiated", Some(at)),
        7 => signal("rejected", Some(at - lasts.min(130_000))),
        8 => signal("ended", None),
        _ if mixed => (at, News::Occupant { kind, occupant: occupant(None) }),
        _ => (at, News::Recording { started_at: Some(at), url: format!("r{index}"), duration_ms: None }),
    };
    CallFact { at, seq: index as i64, session_id: Some("s".into()), news }
}

/// Facts of one session id, and an order in which they arrive. Each end lists stays that no other lists.
fn history() -> impl Strategy<Value = (Vec<CallFact>, Vec<usize>)> {
    let one = (0u8..10, 0u8..4, 0i64..900, any::<u8>(), any::<u8>());
    let all = (prop::collection::vec(one, 1..16), any::<bool>(), any::<u64>());
    let facts = all.prop_map(|(all, mixed, lists)| {
        let mut facts: Vec<CallFact> =
            all.into_iter().enumerate().map(|(index, one)| random(index, one, mixed)).collect();
        placed_in_ends(&mut facts, lists);
        facts
    });
    facts.prop_flat_map(|facts| {
        let order: Vec<usize> = (0..facts.len()).collect();
        (Just(facts), Just(order).prop_shuffle())
    })
}

/// Each of the first ends lists the stays that `lists` gives it.
pub fn placed_in_ends(facts: &mut [CallFact], lists: u64) {
    let stays: Vec<(Kind, Occupant)> = facts
        .iter()
        .filter_map(|it| {
            if let News::Occupant { kind, occupant } = &it.news { Some((*kind, occupant.clone())) } else { None }
        })
        .collect();
    let ends = facts.iter_mut().filter(|it| matches!(it.news, News::Ended { .. }));
    for (turn, fact) in ends.enumerate() {
        if let News::Ended { kind, occupants, .. } = &mut fact.news {
            let mine = stays
                .iter()
                .enumerate()
                .filter(|(at, it)| it.0 == *kind && (lists >> (at * 2 % 64) & 3) as usize == turn);
            occupants.extend(mine.map(|(_, it)| it.1.clone()));
        }
    }
}

/// What is told of an instance: kind, end, whether it is over, the facts that belong to it.
type Outline = (Kind, Option<i64>, Option<bool>, BTreeSet<i64>);

fn expected(facts: &[CallFact]) -> BTreeSet<Outline> {
    let outline = |it: Expected| {
        let is_over = (!it.has_signals && !it.seqs.is_empty()).then_some(it.end.is_some() || it.is_followed);
        (it.kind, it.end, is_over, it.seqs)
    };
    model(facts).into_iter().map(outline).collect()
}

fn decided(facts: &[CallFact]) -> BTreeSet<Outline> {
    let is_signal = |seq: &i64| facts.iter().any(|it| it.seq == *seq && matches!(it.news, News::Signal(_)));
    let outline = |(instance, placed): (Instance, Vec<(i64, Why)>)| {
        let seqs: BTreeSet<i64> = placed.iter().map(|(seq, _)| *seq).collect();
        let kind = if instance.kind == CallKind::Call { Kind::Call } else { Kind::Meeting };
        let is_over = (!seqs.iter().any(is_signal)).then_some(instance.status == Some(CallStatus::Ended));
        (kind, instance.ended_at.map(|at| at.0), is_over, seqs)
    };
    sessions_with_facts(facts).into_iter().map(outline).collect()
}

#[test]
fn every_history_is_decided_as_the_contract_says_in_every_order() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let cases = std::env::var("CHATFOLD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let mut runner = TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    let law = |(facts, order): (Vec<CallFact>, Vec<usize>)| {
        prop_assert_eq!(decided(&facts), expected(&facts), "{:#?}", facts);
        let instances = sessions(&facts);
        let arrived = |(seq, at): (usize, &usize)| CallFact { seq: seq as i64, ..facts[*at].clone() };
        let shuffled: Vec<CallFact> = order.iter().enumerate().map(arrived).collect();
        prop_assert_eq!(&sessions(&shuffled), &instances, "another order: {:#?}", facts);
        let stays = instances.iter().flat_map(|it| &it.stays).map(|stay| (&stay.person, stay.joined_at));
        let mut seen = BTreeSet::new();
        for stay in stays {
            prop_assert!(seen.insert(stay), "{:?} is in two instances: {:#?}", stay, facts);
        }
        Ok(())
    };
    runner.run(&history(), law).unwrap_or_else(|failure| panic!("{failure}"));
}
