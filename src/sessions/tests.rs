use super::*;

fn fact(at: i64, news: News) -> CallFact {
    CallFact { at: at * 1000, seq: at, session_id: Some("s".into()), news }
}

fn started(at: i64) -> CallFact {
    fact(at, News::Started { kind: Kind::Call, created_at: at * 1000 })
}

fn ended(start: Option<i64>, at: i64) -> CallFact {
    fact(
        at,
        News::Ended {
            kind: Kind::Call,
            created_at: start.map(|at| at * 1000),
            ended_at: at * 1000,
            occupants: Vec::new(),
        },
    )
}

fn signal(at: i64, initiated_at: Option<i64>, status: &str, sender: &str) -> CallFact {
    let outer =
        Some(Parties { sender: sender.into(), receiver: Some("other".into()), receiver_type: Some("user".into()) });
    let signal = Signal {
        status: Some(status.into()),
        initiated_at: initiated_at.map(|at| at * 1000),
        outer,
        message_id: Some(at.to_string()),
        ..Signal::default()
    };
    fact(at, News::Signal(signal))
}

fn occupant(name: &str, uid: Option<&str>, joined: i64, left: Option<i64>) -> CallFact {
    let occupant = Occupant {
        uid: uid.map(str::to_owned),
        name: Some(name.into()),
        joined_at: Some(joined * 1000),
        left_at: left.map(|at| at * 1000),
        audio_only: None,
    };
    fact(left.unwrap_or(joined), News::Occupant { kind: Kind::Call, occupant })
}

/// (start, end, status) of each instance, whatever the order of the facts.
fn told(facts: &[CallFact]) -> Vec<(Option<i64>, Option<i64>, Option<CallStatus>)> {
    let expected = sessions(facts);
    let mut facts = facts.to_vec();
    for _ in 0..facts.len() {
        facts.rotate_left(1);
        assert_eq!(sessions(&facts), expected, "the order of facts must not matter");
    }
    expected
        .iter()
        .map(|one| (one.started_at.map(|at| at.0 / 1000), one.ended_at.map(|at| at.0 / 1000), one.status))
        .collect()
}

#[test]
fn a_session_id_used_twice_is_two_instances() {
    let facts = [started(100), ended(Some(100), 200), started(300)];
    assert_eq!(
        told(&facts),
        [(Some(100), Some(200), Some(CallStatus::Ended)), (Some(300), None, Some(CallStatus::Ongoing))]
    );
}

#[test]
fn starts_within_five_seconds_are_one_and_the_latest_end_counts() {
    let facts = [started(100), ended(Some(104), 200), ended(Some(100), 210)];
    assert_eq!(told(&facts), [(Some(100), Some(210), Some(CallStatus::Ended))]);
}

#[test]
fn an_open_instance_that_another_follows_has_ended() {
    let facts = [started(100), started(300)];
    assert_eq!(told(&facts)[0], (Some(100), None, Some(CallStatus::Ended)));
}

#[test]
fn an_end_without_a_start_closes_the_newest_open_instance() {
    assert_eq!(told(&[started(100), ended(None, 200)]), [(Some(100), Some(200), Some(CallStatus::Ended))]);
    assert_eq!(told(&[ended(None, 200)]), [(None, Some(200), Some(CallStatus::Ended))]);
}

#[test]
fn signalling_joins_the_call_it_rang_for() {
    let facts = [signal(90, Some(90), "initiated", "caller"), started(100), ended(Some(100), 200)];
    let instances = sessions(&facts);
    assert_eq!(instances.len(), 1);
    assert_eq!((instances[0].initiator.as_deref(), instances[0].initiated_at), (Some("caller"), Some(Time(90_000))));
}

#[test]
fn a_rejected_ring_is_not_the_call_that_starts_later() {
    let facts = [signal(90, Some(90), "initiated", "caller"), signal(95, None, "rejected", "callee"), started(150)];
    let told = told(&facts);
    assert_eq!(told, [(None, None, Some(CallStatus::Rejected)), (Some(150), None, Some(CallStatus::Ongoing))]);
    assert_eq!(sessions(&facts)[0].initiator.as_deref(), Some("caller"), "not the one who rejected");
}

#[test]
fn a_name_is_the_one_uid_that_fits_or_a_person_of_its_own() {
    let facts = [
        started(100),
        occupant("Ann", Some("a"), 101, None),
        occupant("Ann", None, 101, Some(150)),
        occupant("Bo", None, 101, None),
    ];
    let stays = &sessions(&facts)[0].stays;
    let told: Vec<_> = stays.iter().map(|stay| (stay.person.as_str(), stay.left_at.map(|at| at.0 / 1000))).collect();
    assert_eq!(told, [("n:101000:Bo", None), ("u:a", Some(150))]);
    let both = [
        occupant("Ann", Some("a"), 101, None),
        occupant("Ann", Some("b"), 101, None),
        occupant("Ann", None, 101, None),
    ];
    assert_eq!(sessions(&both)[0].stays.len(), 3, "two fit: nothing is merged by guess");
}

#[test]
fn what_comes_early_or_late_belongs_to_an_instance_within_bounds() {
    let call = || vec![started(100), ended(Some(100), 200)];
    let with = |more: CallFact| call().into_iter().chain([more]).collect::<Vec<_>>();
    let joined = |at: i64| with(occupant("a", None, at, None));
    let recorded =
        |at: i64| with(fact(at, News::Recording { started_at: Some(at * 1000), url: "u".into(), duration_ms: None }));
    let rang = |seconds: i64| vec![signal(100, Some(100), "initiated", "caller"), started(100 + seconds)];
    let started_again = |seconds: i64| vec![started(100), started(100 + seconds)];
    for (what, within, beyond) in [
        ("a participant ten seconds early", joined(90), joined(89)),
        ("a participant a minute late", joined(260), joined(261)),
        ("a recording a day late", recorded(200 + 86_400), recorded(200 + 86_401)),
        ("a ring of ten minutes", rang(600), rang(601)),
        ("two starts within five seconds", started_again(5), started_again(6)),
    ] {
        assert_eq!((sessions(&within).len(), sessions(&beyond).len()), (1, 2), "{what}");
    }
}

#[test]
fn participants_find_the_instance_of_their_time() {
    let facts = [
        started(100),
        ended(Some(100), 200),
        started(300),
        occupant("a", None, 95, None),
        occupant("b", None, 255, None),
        occupant("c", None, 301, None),
        occupant("d", None, 280, None),
    ];
    let who: Vec<Vec<_>> =
        sessions(&facts).iter().map(|one| one.stays.iter().filter_map(|stay| stay.name.clone()).collect()).collect();
    // Ten seconds early, a minute late, inside; 280 is too late for the first and too early for the second.
    assert_eq!(who, [vec!["b", "a"], vec!["d"], vec!["c"]]);
}

#[test]
fn a_recording_alone_is_of_a_meeting_and_of_a_call_where_one_was_signalled() {
    let recording = || fact(500, News::Recording { started_at: Some(500_000), url: "u".into(), duration_ms: None });
    assert_eq!(sessions(&[recording()])[0].kind, CallKind::Meeting);
    let with_ring = [signal(90, Some(90), "initiated", "x"), recording()];
    assert!(sessions(&with_ring).iter().all(|one| one.kind == CallKind::Call));
}

#[test]
fn a_call_that_only_its_participants_tell_is_one_with_its_signals() {
    let facts = [
        signal(90, Some(90), "initiated", "caller"),
        occupant("a", Some("a"), 98, None),
        occupant("b", Some("b"), 99, Some(150)),
        signal(160, Some(90), "ended", "caller"),
    ];
    assert_eq!(told(&facts), [(Some(98), None, Some(CallStatus::Ended))]);
    let instance = &sessions(&facts)[0];
    assert_eq!((instance.stays.len(), instance.initiator.as_deref()), (2, Some("caller")));
    let rang_before = [signal(90, Some(90), "initiated", "caller"), occupant("a", Some("a"), 691, None)];
    assert_eq!(told(&rang_before).len(), 2, "more than ten minutes later");
}

#[test]
fn who_an_end_lists_is_in_its_instance_alone() {
    let stay = |uid: &str, joined: i64| {
        let News::Occupant { occupant, .. } = occupant(uid, Some(uid), joined, None).news else { unreachable!() };
        occupant
    };
    let mut end = ended(Some(300), 400);
    if let News::Ended { occupants, .. } = &mut end.news {
        *occupants = vec![stay("a", 280), stay("b", 297), stay("c", 310)];
    }
    let facts = [
        started(100),
        started(300),
        occupant("a", Some("a"), 280, None),
        occupant("b", Some("b"), 297, None),
        occupant("c", None, 310, Some(390)),
        occupant("d", Some("d"), 120, None),
        end,
    ];
    told(&facts);
    let who: Vec<Vec<_>> =
        sessions(&facts).iter().map(|one| one.stays.iter().filter_map(|stay| stay.name.clone()).collect()).collect();
    assert_eq!(who, [vec!["d"], vec!["a", "b", "c"]]);
}

#[test]
fn a_session_id_of_which_no_start_is_told_is_used_anew_after_a_day_without_news() {
    let day = 86_400;
    let facts = [
        occupant("a", Some("a"), 100, Some(100 + day)),
        occupant("b", Some("b"), 100 + 2 * day, None),
        occupant("c", Some("c"), 101 + 3 * day, None),
        fact(102 + 4 * day, News::Recording { started_at: None, url: "u".into(), duration_ms: None }),
    ];
    let starts = [(Some(100), Some(CallStatus::Ended)), (Some(101 + 3 * day), Some(CallStatus::Ended)), (None, None)];
    assert_eq!(told(&facts).into_iter().map(|(start, _, status)| (start, status)).collect::<Vec<_>>(), starts);
    let rings =
        [signal(100, None, "rejected", "x"), signal(110, None, "busy", "x"), signal(111 + day, None, "busy", "x")];
    assert_eq!(told(&rings).len(), 2, "signals alone too");
}

#[test]
fn a_start_ends_what_had_none_before_it() {
    let facts = [occupant("a", Some("a"), 100, None), started(400)];
    let expected = [(Some(100), None, Some(CallStatus::Ended)), (Some(400), None, Some(CallStatus::Ongoing))];
    assert_eq!(told(&facts), expected);
}

#[test]
fn an_end_without_a_start_told_twice_is_one() {
    assert_eq!(
        told(&[started(100), ended(None, 200), ended(None, 205)]),
        [(Some(100), Some(205), Some(CallStatus::Ended))]
    );
    assert_eq!(told(&[ended(None, 200), ended(None, 205)]), [(None, Some(205), Some(CallStatus::Ended))]);
    assert_eq!(told(&[ended(None, 200), ended(None, 300)]).len(), 2, "after a minute another call has ended");
}

#[test]
fn a_call_without_news_for_a_day_does_not_go_on() {
    let now = 10 * NEWS_MS;
    assert!(goes_on(Some(CallStatus::Initiated), now, now));
    assert!(goes_on(Some(CallStatus::Ongoing), now - NEWS_MS, now));
    assert!(!goes_on(Some(CallStatus::Ongoing), now - NEWS_MS - 1, now));
    assert!(!goes_on(Some(CallStatus::Ended), now, now));
    assert!(!goes_on(None, now, now), "recordings alone");
}

#[test]
fn what_lacks_its_start_or_its_end_has_no_length() {
    let (five, nine) = (Some(Time(5)), Some(Time(9)));
    assert_eq!(length_ms(five, nine), Some(4));
    assert_eq!(length_ms(nine, five), Some(0), "the end is told before the start");
    assert_eq!((length_ms(None, nine), length_ms(five, None)), (None, None));
}
