use super::*;
use crate::sessions::model_tests::{placed_in_ends, random};
use crate::sessions::{Kind, News, Occupant, sessions};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::convert::Infallible;

/// A session id kept as the store keeps it: facts by their places, and instances as they were saved.
#[derive(Default)]
struct File {
    facts: BTreeMap<Place, CallFact>,
    instances: BTreeMap<(CallKind, Time), Instance>,
    history: Option<History>,
    /// Facts read so far.
    read: usize,
}

impl File {
    fn load(&self) -> Session {
        self.history.clone().map(Session::stored).unwrap_or_default()
    }

    fn take(&mut self, session: &mut Session, fact: &CallFact, page: usize) {
        let (facts, read) = (&self.facts, &mut self.read);
        let load = |page| {
            let found: Vec<CallFact> = match page {
                Page::Before(place, most) => facts.range(..place).rev().take(most).map(|(_, it)| it.clone()).collect(),
                Page::After(place, most) => {
                    facts.iter().filter(|(at, _)| **at > place).take(most).map(|(_, it)| it.clone()).collect()
                }
            };
            *read += found.len();
            Ok::<_, Infallible>(found)
        };
        session.apply_by_pages(fact, page, load).unwrap();
    }

    fn save(&mut self, session: &Session) {
        self.facts.extend(session.added.iter().map(|fact| (place(fact), CallFact::clone(fact))));
        self.history = Some(session.history.clone());
        for (key, Decided { stored, now }) in &session.decided {
            assert_eq!(self.instances.get(key), stored.as_deref(), "what is replaced is what was saved");
            match now {
                Some(now) => drop(self.instances.insert(*key, Instance::clone(now))),
                None => drop(self.instances.remove(key)),
            }
        }
    }

    fn instances(&self) -> Vec<Instance> {
        self.instances.values().cloned().collect()
    }
}

/// Facts of one session id over many days.
fn histories() -> impl Strategy<Value = (Vec<CallFact>, Vec<usize>)> {
    let one = (0u8..10, 0u8..24, 0i64..900, any::<u8>(), any::<u8>());
    let all = (prop::collection::vec(one, 1..48), 0u8..6, any::<u64>());
    let facts = all.prop_map(|(all, what, lists)| {
        let wanted = |one: &u8| match what {
            // Meetings without signalling, calls without it, starts and participants alone, and signalling alone.
            0 | 1 => !(6..9).contains(one),
            2 => matches!(one, 0 | 1 | 3..=5),
            3 => (6..9).contains(one),
            _ => true,
        };
        let days = [1, 1, 1, 3, 1, 1][usize::from(what)];
        let chosen = all.into_iter().filter(|(one, ..)| wanted(one)).enumerate();
        let mut facts: Vec<CallFact> = chosen
            .map(|(index, (one, day, second, a, b))| random(index, (one, day / days, second, a, b), what == 5))
            .collect();
        if what == 0 {
            for fact in &mut facts {
                if let News::Started { kind, .. } | News::Ended { kind, .. } | News::Occupant { kind, .. } =
                    &mut fact.news
                {
                    *kind = Kind::Meeting;
                }
            }
        }
        placed_in_ends(&mut facts, lists);
        facts
    });
    facts.prop_flat_map(|facts| {
        let order: Vec<usize> = (0..facts.len()).collect();
        // Half of them in about the order of time.
        let mut by_time = order.clone();
        by_time.sort_by_key(|at| facts[*at].at);
        (Just(facts), prop_oneof![Just(order).prop_shuffle(), Just(by_time)])
    })
}

#[test]
fn slices_come_to_what_all_facts_come_to() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[13; 32]);
    let cases = std::env::var("CHATFOLD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(250);
    let mut runner = TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    let law = |((facts, order), page, batch, fresh): ((Vec<CallFact>, Vec<usize>), usize, usize, bool)| {
        let mut file = File::default();
        let mut session = file.load();
        let mut heard: Vec<CallFact> = Vec::new();
        for (seq, at) in order.iter().enumerate() {
            let fact = CallFact { seq: seq as i64, ..facts[*at].clone() };
            file.take(&mut session, &fact, page);
            heard.push(fact);
            if seq % batch == batch - 1 {
                file.save(&session);
                if fresh {
                    session = file.load();
                } else {
                    session.begin();
                }
                prop_assert_eq!(file.instances(), sessions(&heard), "after {}: {:#?}", seq, heard);
            }
        }
        Ok(())
    };
    let all = (histories(), 1usize..6, 1usize..4, any::<bool>());
    runner.run(&all, law).unwrap_or_else(|failure| panic!("{failure}"));
}

/// One use of a room: it starts, two come, one leaves, it ends.
fn a_use(number: i64, seq: i64) -> Vec<CallFact> {
    let start = 1_767_614_400_000 + number * 3_600_000;
    let stay = |uid: &str, joined: i64, left: Option<i64>| Occupant {
        uid: Some(uid.into()),
        name: Some(uid.into()),
        joined_at: Some(start + joined),
        left_at: left.map(|at| start + at),
        audio_only: None,
    };
    let (ann, bob) = (|left| stay("ann", 2_000, left), stay("bob", 4_000, None));
    let kind = Kind::Meeting;
    let end = News::Ended {
        kind,
        created_at: Some(start),
        ended_at: start + 900_000,
        occupants: vec![ann(Some(600_000)), bob.clone()],
    };
    let news = [
        (0, News::Started { kind, created_at: start }),
        (2_000, News::Occupant { kind, occupant: ann(None) }),
        (4_000, News::Occupant { kind, occupant: bob }),
        (600_000, News::Occupant { kind, occupant: ann(Some(600_000)) }),
        (900_000, end),
    ];
    let session_id = Some("room".to_owned());
    let fact =
        |(place, (at, news))| CallFact { at: start + at, seq: seq + place, session_id: session_id.clone(), news };
    (0..).zip(news).map(fact).collect()
}

#[test]
fn the_next_use_of_a_room_costs_the_same_however_often_it_was_used() {
    let mut file = File::default();
    let mut session = file.load();
    let mut most = 0;
    for number in 0..2_000 {
        for fact in a_use(number, 5 * number) {
            let read = file.read;
            file.take(&mut session, &fact, PAGE);
            most = most.max(file.read - read);
            file.save(&session);
            session.begin();
            let known = session.facts.len() + session.added.len();
            assert!(known < 2 * KEPT, "{known} facts are in memory");
        }
    }
    assert!(most <= PAGE, "a fact made {most} others be read");
    assert_eq!(file.instances.len(), 2_000);
    // One that comes late to a use of long ago reads what is around that use.
    let at = 1_767_614_400_000 + 1_000 * 3_600_000 + 7_000;
    let cem = Occupant { uid: Some("cem".into()), joined_at: Some(at), ..Occupant::default() };
    let late = News::Occupant { kind: Kind::Meeting, occupant: cem };
    let late = CallFact { at, seq: 99_999, session_id: Some("room".into()), news: late };
    let (read, mut session) = (file.read, file.load());
    file.take(&mut session, &late, PAGE);
    file.save(&session);
    assert!(file.read - read <= 2 * PAGE, "{} facts were read", file.read - read);
    let used = file.instances().into_iter().find(|it| it.stays.iter().any(|stay| stay.uid.as_deref() == Some("cem")));
    assert_eq!(used.map(|it| it.anchor), Some(Time(at - 7_000)));
}
