use super::decoded::Places;
use super::hub::{Look, Next};
use super::*;
use crate::ids::ReceiverType;
use std::collections::HashMap;

/// A change of a group, sent by a person.
fn change(app: &str, seq: i64, guid: &str, uid: &str) -> Decoded {
    let conversations = vec![(format!("group_{guid}"), ReceiverType::Group)];
    let places = Places { guids: [guid.to_owned()].into(), uids: [uid.to_owned()].into(), conversations };
    Decoded { app: app.into(), seq, trigger: "message_sent".to_owned(), places, ..Decoded::default() }
}

/// A look of the decoder: how far it went, what it decoded, and which large events are not finished.
fn look(hub: &Hub, reached: i64, changes: Vec<Decoded>, unfinished: &[(&str, i64)]) {
    let unfinished = unfinished.iter().map(|(app, seq)| ((*app).to_owned(), *seq)).collect::<HashMap<_, _>>();
    hub.publish(Look { changes, reached, fresh: hub.task().fresh, unfinished });
}

/// Listens to an app that the decoder takes up at a position.
fn listen(hub: &Arc<Hub>, app: &str, filter: ChangeFilter, position: i64) -> Listener {
    let listener = hub.listen(&app.into(), filter);
    look(hub, position, Vec::new(), &[]);
    listener.stand(position);
    listener
}

/// The positions of what comes next; `None`: it has to read the file.
fn next(listener: &Listener) -> Option<Vec<i64>> {
    let Next::Changes(changes) = listener.next(BATCH) else { return None };
    if let Some(last) = changes.last() {
        listener.stand(last.seq);
    }
    Some(changes.iter().map(|change| change.seq).collect())
}

fn wakes(hub: &Hub) -> u64 {
    hub.wakes.load(Ordering::Relaxed)
}

#[test]
fn a_change_is_for_those_whom_it_concerns() {
    let hub = Arc::<Hub>::default();
    let filters = [
        ("all", ChangeFilter::default()),
        ("g", ChangeFilter { guid: Some("g".into()), ..ChangeFilter::default() }),
        ("h", ChangeFilter { guid: Some("h".into()), ..ChangeFilter::default() }),
        ("ann", ChangeFilter { uid: Some("ann".into()), ..ChangeFilter::default() }),
        ("ann in h", ChangeFilter { guid: Some("h".into()), uid: Some("ann".into()), ..ChangeFilter::default() }),
        ("sent", ChangeFilter { triggers: Some(vec!["message_sent".into()]), ..ChangeFilter::default() }),
        ("edited", ChangeFilter { triggers: Some(vec!["message_edited".into()]), ..ChangeFilter::default() }),
        ("nothing", ChangeFilter { triggers: Some(Vec::new()), ..ChangeFilter::default() }),
        ("group_g", ChangeFilter { conversation_id: Some("group_g".into()), ..ChangeFilter::default() }),
        (
            "one to one",
            ChangeFilter {
                conversation_id: Some("group_g".into()),
                receiver_type: Some(crate::graphql::ReceiverType::User),
                ..ChangeFilter::default()
            },
        ),
    ];
    let listeners: Vec<_> = filters.map(|(name, filter)| (name, listen(&hub, "a", filter, 0))).into();
    let other = listen(&hub, "b", ChangeFilter::default(), 0);
    look(&hub, 2, vec![change("a", 1, "g", "ann"), change("a", 2, "h", "bob")], &[]);
    let heard = |name: &str| match name {
        "all" | "sent" => vec![1, 2],
        "g" | "ann" | "group_g" => vec![1],
        "h" => vec![2],
        _ => Vec::new(),
    };
    for (name, listener) in &listeners {
        assert_eq!(next(listener), Some(heard(name)), "{name}");
        assert_eq!(next(listener), Some(Vec::new()), "{name}: not again");
    }
    assert_eq!((next(&other), wakes(&hub)), (Some(Vec::new()), 6), "who hears nothing is not woken");
}

#[test]
fn what_is_kept_has_an_end_in_number_and_in_bytes() {
    let long = "g".repeat(1 << 20);
    for (guid, sent, kept) in [("g", 5_000, 4_096), (long.as_str(), 20, 3)] {
        let hub = Arc::<Hub>::default();
        let (slow, quick) =
            (listen(&hub, "a", ChangeFilter::default(), 0), listen(&hub, "a", ChangeFilter::default(), 0));
        let elsewhere = listen(&hub, "a", ChangeFilter { guid: Some("x".into()), ..ChangeFilter::default() }, 0);
        for seq in 1..=sent {
            look(&hub, seq, vec![change("a", seq, guid, "ann")], &[]);
            assert_eq!(next(&quick), Some(vec![seq]));
        }
        assert_eq!(hub.kept().0, kept);
        assert!(hub.kept().1 <= 8 << 20);
        assert_eq!(next(&slow), None, "it reads the file");
        assert_eq!(next(&elsewhere), Some(Vec::new()), "whom nothing concerned misses nothing");
        slow.stand(sent - 2);
        assert_eq!(next(&slow), Some(vec![sent - 1, sent]), "and goes on where the file ended");
        drop((slow, quick, elsewhere));
        assert_eq!(hub.kept(), (0, 0), "nothing is kept for nobody");
    }
}

#[test]
fn who_has_read_less_than_was_decoded_reads_on() {
    let hub = Arc::<Hub>::default();
    let first = listen(&hub, "a", ChangeFilter::default(), 5);
    look(&hub, 7, vec![change("a", 6, "g", "ann"), change("a", 7, "g", "ann")], &[]);
    let second = hub.listen(&"a".into(), ChangeFilter::default());
    second.stand(4);
    assert_eq!(next(&second), None, "5 is neither read nor kept");
    second.stand(6);
    assert_eq!((next(&second), next(&first)), (Some(vec![7]), Some(vec![6, 7])));
    // Its snapshot was newer than the decoder's.
    second.stand(9);
    look(&hub, 10, (8..=10).map(|seq| change("a", seq, "g", "ann")).collect(), &[]);
    assert_eq!(next(&second), Some(vec![10]), "no repeat");
    // The decoder takes up an app behind what its listener has read.
    let early = hub.listen(&"b".into(), ChangeFilter::default());
    early.stand(11);
    assert_eq!(next(&early), Some(Vec::new()));
    look(&hub, 12, Vec::new(), &[]);
    assert_eq!(next(&early), None, "12 is not decoded for it");
}

#[test]
fn nothing_of_an_app_comes_before_its_large_event_is_finished() {
    let hub = Arc::<Hub>::default();
    let (held, other) = (listen(&hub, "a", ChangeFilter::default(), 1), listen(&hub, "b", ChangeFilter::default(), 1));
    look(&hub, 3, vec![change("b", 3, "g", "ann")], &[("a", 2)]);
    assert_eq!((next(&held), next(&other)), (Some(Vec::new()), Some(vec![3])));
    assert_eq!(hub.task().held, [(Arc::from("a"), 2)]);
    let late = hub.listen(&"a".into(), ChangeFilter::default());
    late.stand(1);
    look(&hub, 4, vec![change("a", 2, "g", "ann"), change("b", 4, "g", "ann")], &[]);
    assert_eq!((next(&held), next(&late), next(&other)), (Some(vec![2]), Some(vec![2]), Some(vec![4])));
    assert!(hub.task().held.is_empty());
}

#[test]
fn an_app_taken_up_during_its_large_event_begins_before_that_event() {
    let hub = Arc::<Hub>::default();
    let listener = hub.listen(&"a".into(), ChangeFilter::default());
    listener.stand(1);
    look(&hub, 3, Vec::new(), &[("a", 2)]);
    assert_eq!((next(&listener), hub.task().held), (Some(Vec::new()), vec![(Arc::from("a"), 2)]));
    look(&hub, 3, vec![change("a", 2, "g", "ann")], &[]);
    assert_eq!(next(&listener), Some(vec![2]));
}

#[test]
fn where_decoding_fails_everybody_reads_the_file_once() {
    let hub = Arc::<Hub>::default();
    let (waiting, called) = (
        listen(&hub, "a", ChangeFilter { guid: Some("x".into()), ..ChangeFilter::default() }, 0),
        listen(&hub, "a", ChangeFilter::default(), 0),
    );
    look(&hub, 1, vec![change("a", 1, "g", "ann")], &[]);
    hub.lose();
    for (listener, behind) in [(&waiting, 1), (&called, 0)] {
        assert!(matches!(listener.next(BATCH), Next::Behind(after) if after == behind), "it goes on behind {behind}");
        listener.stand(2);
        assert_eq!(next(listener), Some(Vec::new()));
    }
    look(&hub, 2, Vec::new(), &[]);
    look(&hub, 3, vec![change("a", 3, "g", "ann")], &[]);
    assert_eq!((next(&waiting), next(&called)), (Some(Vec::new()), Some(vec![3])));
}
