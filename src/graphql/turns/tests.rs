use super::*;
use std::net::Ipv4Addr;

/// Requests are told apart by their numbers: 0, 1, … in the order of arrival.
type Waiting = Vec<(Turn, oneshot::Receiver<()>)>;

fn turns(readers: u32) -> Turns {
    Turns::new(readers, Duration::from_secs(60))
}

fn address(n: u8) -> Option<IpAddr> {
    Some(Ipv4Addr::new(10, 0, 0, n).into())
}

fn of_token(token: i64) -> Asker {
    Asker { token: Some(token), address: address(1) }
}

fn without_token(n: u8) -> Asker {
    Asker { token: None, address: address(n) }
}

/// A turn that comes at once.
fn at_once(turns: &Turns, asker: Asker) -> Turn {
    let (turn, mut called) = turns.enter(asker);
    called.try_recv().unwrap();
    turn
}

fn wait(turns: &Turns, askers: &[Asker]) -> Waiting {
    askers.iter().map(|asker| turns.enter(*asker)).collect()
}

/// Takes out those who are called now.
fn called(waiting: &mut Waiting) -> Vec<Turn> {
    let mut called = Vec::new();
    for (turn, mut receiver) in std::mem::take(waiting) {
        match receiver.try_recv() {
            Ok(()) => called.push(turn),
            Err(_) => waiting.push((turn, receiver)),
        }
    }
    called
}

/// Takes out those who are refused; how many.
fn refused(waiting: &mut Waiting) -> usize {
    let before = waiting.len();
    waiting.retain_mut(|(_, called)| called.try_recv() != Err(TryRecvError::Closed));
    before - waiting.len()
}

/// The order in which all of them are called, where one ends before the next begins.
fn order(held: Turn, mut waiting: Waiting) -> Vec<u64> {
    drop(held);
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let now = called(&mut waiting);
        assert_eq!(now.len(), 1, "one reader, and somebody waits");
        order.push(now[0].id);
    }
    order
}

#[test]
fn parties_take_turns_however_many_requests_of_each_wait() {
    let turns = turns(1);
    let held = at_once(&turns, of_token(9));
    let (one, two, here, there) = (of_token(1), of_token(2), without_token(1), without_token(2));
    let waiting = wait(&turns, &[one, one, one, two, here, here, there]);
    assert_eq!(order(held, waiting), [1, 4, 5, 7, 2, 6, 3]);
}

#[test]
fn addresses_of_one_token_take_turns_and_the_first_of_an_address_is_served_first() {
    let turns = turns(1);
    let held = at_once(&turns, of_token(9));
    let from = |n| Asker { token: Some(1), address: address(n) };
    let waiting = wait(&turns, &[from(1), from(1), from(1), from(2), of_token(2), from(2)]);
    assert_eq!(order(held, waiting), [1, 5, 4, 2, 6, 3]);
}

#[test]
fn a_flood_is_refused_and_who_asks_beside_it_is_not() {
    let turns = turns(1);
    let held = at_once(&turns, of_token(1));
    let mut waiting = wait(&turns, &vec![of_token(1); MOST + 500]);
    assert_eq!((refused(&mut waiting), turns.load()), (500, (1, MOST)));
    let elsewhere = Asker { token: Some(1), address: address(7) };
    let beside = wait(&turns, &[of_token(2), without_token(3), elsewhere]);
    assert_eq!((refused(&mut waiting), turns.load()), (3, (1, MOST)), "the last of the flood gave way");
    waiting.extend(beside);
    assert_eq!(order(held, waiting)[..5], [1, 1_525, 1_526, 1_527, 2], "they are next, not last");
}

#[test]
fn who_waits_no_more_leaves_its_place() {
    let turns = turns(1);
    let held = at_once(&turns, of_token(1));
    let mut waiting = wait(&turns, &[of_token(1), of_token(1), of_token(2)]);
    assert_eq!(turns.load(), (1, 3));
    drop(waiting.remove(0));
    assert_eq!(turns.load(), (1, 2));
    assert_eq!(order(held, waiting), [2, 3]);
    assert_eq!(turns.load(), (0, 0));
}

#[test]
fn a_turn_that_nobody_waits_for_any_more_goes_to_the_next() {
    let turns = turns(1);
    let held = at_once(&turns, of_token(1));
    let mut waiting = wait(&turns, &[of_token(1), of_token(2)]);
    drop(held);
    // Called, and gone before it heard it.
    drop(waiting.remove(0));
    assert_eq!(called(&mut waiting).len(), 1);
}

#[test]
fn one_party_never_has_all_readers() {
    for (readers, of_party) in [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6)] {
        let turns = turns(readers);
        let mut waiting = wait(&turns, &vec![of_token(1); 20]);
        let held = called(&mut waiting);
        assert_eq!(held.len(), of_party, "{readers} readers");
        let other = (readers > 1).then(|| at_once(&turns, of_token(2)));
        drop((held, other));
        assert_eq!(called(&mut waiting).len(), of_party);
    }
}

#[test]
fn a_slow_request_keeps_no_reader_but_its_own_from_others() {
    let turns = turns(4);
    let slow = at_once(&turns, of_token(1));
    let mut waiting = wait(&turns, &vec![of_token(2); 100]);
    let mut served = 0;
    while !waiting.is_empty() {
        let now = called(&mut waiting);
        assert_eq!((now.len(), turns.load().0), (3.min(100 - served), now.len() + 1));
        served += now.len();
    }
    drop(slow);
    assert_eq!((served, turns.load()), (100, (0, 0)));
}

#[tokio::test]
async fn a_request_waits_for_its_time_and_leaves() {
    let turns = Turns::new(1, Duration::from_millis(5));
    let held = turns.take(of_token(1)).await.unwrap();
    assert!(turns.take(of_token(2)).await.is_none());
    assert_eq!(turns.load(), (1, 0));
    drop(held);
    assert!(turns.take(of_token(2)).await.is_some());
}

#[tokio::test]
async fn a_request_that_is_cut_off_while_it_waits_leaves() {
    let turns = turns(1);
    let held = turns.take(of_token(1)).await.unwrap();
    let cut_off = tokio::spawn({
        let turns = turns.clone();
        async move { turns.take(of_token(2)).await.is_some() }
    });
    while turns.load().1 == 0 {
        tokio::task::yield_now().await;
    }
    cut_off.abort();
    assert!(cut_off.await.is_err());
    assert_eq!(turns.load(), (1, 0));
    drop(held);
}
