use super::*;
use std::time::Duration;

#[derive(Debug, PartialEq)]
struct Body(&'static str, usize);

impl Queued for Body {
    fn bytes(&self) -> usize {
        self.1
    }
}

fn queue(jobs: &[(&str, &'static str)]) -> Queue<Body, u8> {
    let queue = Queue::new();
    for (app, body) in jobs {
        queue.push(Some(app), Body(body, 1)).unwrap();
    }
    queue
}

fn taken(queue: &Queue<Body, u8>) -> Vec<&'static str> {
    queue.drain().into_iter().map(|body| body.0).collect()
}

#[test]
fn apps_take_turns_and_each_keeps_its_order() {
    let queue = queue(&[("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("c", "c2")]);
    assert_eq!(taken(&queue), ["a1", "b1", "c1", "a2", "c2", "a3"]);
}

#[test]
fn the_turn_goes_on_where_it_stopped() {
    let queue = queue(&[("a", "a1"), ("a", "a2"), ("b", "b1")]);
    assert_eq!(queue.more(), Some(Body("a1", 1)));
    queue.push(Some("a"), Body("a3", 1)).unwrap();
    assert_eq!(taken(&queue), ["b1", "a2", "a3"]);
}

#[test]
fn who_gives_up_leaves_room() {
    let queue = queue(&[("a", "a1")]);
    let large = queue.push(Some("a"), Body("large", BYTES / 2 - 1)).unwrap();
    assert!(queue.push(Some("a"), Body("too much", 2)).is_err());
    assert!(queue.give_up(Some("a"), large));
    assert!(!queue.give_up(Some("a"), large), "nobody leaves twice");
    queue.push(Some("a"), Body("a2", BYTES / 2 - 1)).unwrap();
    assert_eq!(taken(&queue), ["a1", "a2"]);
    assert!(!queue.give_up(Some("a"), large));
}

#[test]
fn an_app_that_fills_its_line_leaves_room_for_others() {
    let queue = queue(&[]);
    let fill = |app: &str, bytes: usize| (0..).take_while(|_| queue.push(Some(app), Body("x", bytes)).is_ok()).count();
    assert_eq!(fill("a", 1), JOBS / 2);
    assert_eq!(fill("b", 1), JOBS / 4);
    assert_eq!(fill("c", 1), JOBS / 8);
    assert_eq!(queue.drain().len(), JOBS / 2 + JOBS / 4 + JOBS / 8);
    assert_eq!(fill("a", 2 << 20), BYTES / (2 << 20) / 2);
    assert_eq!(fill("b", 2 << 20), BYTES / (2 << 20) / 4);
}

#[test]
fn units_and_jobs_take_turns() {
    let queue = queue(&[("a", "a1"), ("a", "a2")]);
    assert!([1, 2, 3].into_iter().all(|unit| queue.push_unit(unit)));
    queue.close();
    let order: Vec<String> = std::iter::from_fn(|| queue.next())
        .map(|next| match next {
            Next::Job(body) => body.0.to_owned(),
            Next::Unit(unit) => unit.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(order, ["1", "a1", "2", "a2", "3"]);
    assert!(!queue.push_unit(4) && queue.push(Some("a"), Body("late", 1)).is_err());
}

#[test]
fn a_batch_takes_all_jobs_that_wait_whatever_units_wait() {
    let queue = queue(&[("a", "a1"), ("a", "a2"), ("b", "b1")]);
    assert!([1, 2].into_iter().all(|unit| queue.push_unit(unit)));
    assert_eq!(queue.next(), Some(Next::Unit(1)));
    assert_eq!(queue.next(), Some(Next::Job(Body("a1", 1))));
    let batch: Vec<&str> = std::iter::from_fn(|| queue.more()).map(|body| body.0).collect();
    assert_eq!(batch, ["b1", "a2"]);
    assert_eq!(queue.next(), Some(Next::Unit(2)));
}

#[test]
fn pieces_and_jobs_take_turns_and_units_wait() {
    let queue = queue(&[("a", "a1"), ("b", "b1"), ("b", "b2")]);
    queue.folding();
    assert!(queue.push_unit(1));
    let next = || queue.next().unwrap();
    assert_eq!(next(), Next::Job(Body("a1", 1)), "while it is folded jobs go on");
    queue.folded();
    assert_eq!([next(), next(), next()], [Next::Piece, Next::Job(Body("b1", 1)), Next::Piece]);
    assert_eq!([next(), next()], [Next::Job(Body("b2", 1)), Next::Piece]);
    assert_eq!(next(), Next::Piece, "no job waits");
    queue.push(Some("a"), Body("a2", 1)).unwrap();
    queue.finished();
    assert_eq!([next(), next()], [Next::Unit(1), Next::Job(Body("a2", 1))]);
}

#[test]
fn what_belongs_to_no_app_is_in_no_app_s_line_whatever_the_app_is_called() {
    let queue = queue(&[("", "a1"), ("", "a2")]);
    queue.push(None, Body("no app's", 1)).unwrap();
    assert_eq!(taken(&queue), ["a1", "no app's", "a2"]);
}

#[test]
fn a_closed_queue_ends_once_the_large_event_is_finished_or_cannot_be() {
    let queue = queue(&[]);
    queue.folding();
    queue.close();
    queue.folded();
    assert_eq!(queue.next(), Some(Next::Piece));
    queue.stalled();
    assert_eq!(queue.next(), None);
}

#[test]
fn unit_that_waits_has_its_turn_between_two_large_events() {
    let queue = queue(&[]);
    queue.folding();
    assert!([1, 2].into_iter().all(|unit| queue.push_unit(unit)));
    assert!(!queue.is_unit_due());
    queue.folded();
    assert_eq!(queue.next(), Some(Next::Piece));
    queue.finished();
    assert!(queue.is_unit_due(), "the next large event waits");
    assert_eq!(queue.next(), Some(Next::Unit(1)));
    assert!(!queue.is_unit_due(), "and goes on after one unit");
    queue.folding();
    queue.folded();
    assert_eq!(queue.next(), Some(Next::Piece), "the other unit has its turn after the event");
}

#[test]
fn large_body_joins_no_batch_and_the_next_turn_is_a_small_body_s() {
    let queue = queue(&[]);
    let add = |app, name, bytes| {
        queue.push(Some(app), Body(name, bytes)).unwrap();
    };
    for name in ["l1", "l2", "l3"] {
        add("large", name, LARGE_BODY);
    }
    assert_eq!(queue.next(), Some(Next::Job(Body("l1", LARGE_BODY))));
    add("a", "a1", 1);
    add("b", "b1", LARGE_BODY - 1);
    add("b", "b2", LARGE_BODY);
    assert_eq!(queue.next(), Some(Next::Job(Body("a1", 1))), "the large body was there before");
    assert_eq!(queue.more(), Some(Body("b1", LARGE_BODY - 1)));
    assert_eq!(queue.more(), None, "no large body joins");
    assert_eq!(taken(&queue), ["l2", "b2", "l3"], "the large bodies have kept their turns");
}

#[test]
fn large_bodies_follow_each_other_where_no_small_one_waits() {
    let queue = queue(&[]);
    for name in ["l1", "l2"] {
        queue.push(Some("large"), Body(name, LARGE_BODY)).unwrap();
    }
    queue.close();
    let names = ["l1", "l2"].map(|name| Some(Next::Job(Body(name, LARGE_BODY))));
    assert_eq!([queue.next(), queue.next()], names);
    assert_eq!(queue.next(), None);
}

#[test]
fn only_small_bodies_are_taken_until_the_checkpoint_has_ended() {
    let queue = queue(&[("a", "a1")]);
    queue.push(Some("large"), Body("l1", LARGE_BODY)).unwrap();
    assert!(queue.push_unit(1));
    queue.hold(true);
    assert_eq!(queue.next(), Some(Next::Job(Body("a1", 1))));
    queue.push(Some("b"), Body("b1", 1)).unwrap();
    assert_eq!(queue.next(), Some(Next::Job(Body("b1", 1))));
    queue.close();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| queue.next());
        std::thread::sleep(Duration::from_millis(50));
        let waits = !next.is_finished();
        queue.checkpointed();
        assert_eq!(next.join().unwrap(), Some(Next::Checkpointed));
        assert!(waits, "a queue that is closed waits, too");
    });
    queue.hold(false);
    let rest = [queue.next(), queue.next(), queue.next()];
    assert_eq!(rest, [Some(Next::Unit(1)), Some(Next::Job(Body("l1", LARGE_BODY))), None]);
}

#[test]
fn pieces_wait_for_the_checkpoint() {
    let queue = queue(&[("a", "a1")]);
    queue.folding();
    queue.folded();
    queue.hold(true);
    assert_eq!(queue.next(), Some(Next::Job(Body("a1", 1))));
    queue.hold(false);
    assert_eq!(queue.next(), Some(Next::Piece));
}
