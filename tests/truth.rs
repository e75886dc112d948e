//! The tables against the truth of a small CometChat, with everything that goes wrong on the way to the file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod model;

use chatfold::store::sqlite::state::{Hash, of_app};
use model::arena::Arena;
use model::case::each;
use model::expect::differences;
use model::faults::{BURSTS, CALM, Class, DISTINCT, permutations, shuffle};
use model::measure::{Tally, details, memberships, percent};
use model::script::{Dice, EVERYTHING, GROUPS, number};
use model::world::{GUIDS, Told, play};
use std::fmt::Write;

/// How late a delivery that was not sent again may be, in milliseconds.
const LATE: i64 = 6_000;

#[test]
fn tables_equal_the_truth_when_nothing_is_lost() {
    let mut arena = Arena::new();
    for (at, class) in CALM.iter().filter(|class| class.lost == 0).enumerate() {
        each(1 + at as u64, 6, class, EVERYTHING, 60, |case| {
            let ran = case.run(&mut arena);
            let mut wrong = differences(&arena, &ran.app, &ran.world, class, &ran.lost);
            if class.timely() {
                wrong.extend(details(&arena, &ran.app, &ran.world, LATE));
                wrong.extend(memberships(&arena, &ran.app, &ran.world)?.wrong_now);
            }
            if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
        });
    }
}

#[test]
fn every_order_gives_the_same_state() {
    let orders = number("CHATFOLD_ORDERS", 3);
    let mut arena = Arena::new();
    each(20, 20, &DISTINCT, EVERYTHING, 40, |case| {
        let first = case.run(&mut arena);
        let state = of_app(arena.conn(), &first.app).unwrap();
        let mut wrong = differences(&arena, &first.app, &first.world, case.class, &first.lost);
        wrong.extend(memberships(&arena, &first.app, &first.world)?.wrong_now);
        let tables = arena.tables(&first.app);
        for order in 0..orders {
            let deliveries = shuffle(&first.deliveries, &first.world.told, case.seed ^ order);
            let app = arena.app();
            arena.post(&app, &first.world.told, &deliveries, case.seed + order);
            if of_app(arena.conn(), &app).unwrap().total != state.total {
                wrong.push(format!("order {order}: {}", unlike(&tables, &arena.tables(&app))));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    });
}

#[test]
fn every_permutation_of_a_few_facts_gives_the_same_state() {
    let mut arena = Arena::new();
    each(30, 16, &DISTINCT, EVERYTHING, 60, |case| {
        let told = play(case.steps, case.class.pace).told;
        let few = about_one(&told, case.seed);
        let mut first: Option<(Hash, String)> = None;
        for deliveries in permutations(&few) {
            let app = arena.app();
            arena.post(&app, &told, &deliveries, case.seed);
            let state = of_app(arena.conn(), &app).unwrap().total;
            let (expected, tables) = first.get_or_insert_with(|| (state, arena.tables(&app)));
            if *expected != state {
                let order: Vec<usize> = deliveries.iter().map(|delivery| delivery.told).collect();
                return Err(format!("{few:?} as {order:?}: {}", unlike(tables, &arena.tables(&app))));
            }
        }
        Ok(())
    });
}

/// Three to five of the things told about a message or a group.
fn about_one(told: &[Told], seed: u64) -> Vec<usize> {
    let mut dice = Dice::new(seed);
    let groups = GUIDS.iter().map(|guid| format!(r#""guid":"{guid}""#));
    let messages = (999..1099).map(|id| format!(r#"d":"{id}""#));
    let about =
        |entity: String| -> Vec<usize> { (0..told.len()).filter(|at| told[*at].data.contains(&entity)).collect() };
    let entities: Vec<Vec<usize>> = groups.chain(messages).map(about).filter(|about| about.len() > 2).collect();
    let which = dice.below(entities.len() as u64) as usize;
    let mut about = entities.get(which).cloned().unwrap_or_default();
    let few = 3 + dice.below(3) as usize;
    while about.len() > few {
        about.remove(dice.below(about.len() as u64) as usize);
    }
    about
}

#[test]
fn members_as_of_now_are_the_members() {
    let mut arena = Arena::new();
    for (at, class) in CALM.iter().chain(&BURSTS).enumerate() {
        each(40 + at as u64, 2, class, GROUPS, 50, |case| {
            let ran = case.run(&mut arena);
            memberships(&arena, &ran.app, &ran.world).map(drop)
        });
    }
}

#[test]
fn bursts_leave_at_most_three_in_a_thousand_wrong() {
    let mut table = String::from(
        "acts    class               now: memberships   wrong %   by time %   past: memberships   wrong %\n",
    );
    let (mut calm, mut bursts) = (Tally::default(), Tally::default());
    for (acts, classes, cases, sum) in [("calm", &CALM[..], 8, &mut calm), ("bursts", &BURSTS[..], 16, &mut bursts)] {
        for (at, class) in classes.iter().enumerate() {
            let tally = measured(class, 60 + at as u64, cases);
            writeln!(
                table,
                "{acts:<7} {:<18} {:>17} {:>9.3} {:>11.3} {:>19} {:>9.3}",
                class.name,
                tally.now.0,
                percent(tally.now),
                percent(tally.by_time),
                tally.past.0,
                percent(tally.past)
            )
            .unwrap();
            if class.timely() {
                *sum += tally;
            }
        }
    }
    println!("{table}");
    assert!(calm.wrong_now.is_empty(), "{table}{}", calm.wrong_now.join("\n"));
    assert!(percent(calm.past) <= 0.05, "{table}{}", calm.wrong_past.join("\n"));
    assert!(percent(bursts.now) <= 0.3, "{table}{}", bursts.wrong_now.join("\n"));
}

fn measured(class: &Class, test: u64, cases: u64) -> Tally {
    let (mut arena, mut sum) = (Arena::new(), Tally::default());
    each(test, cases, class, GROUPS, 60, |case| {
        let ran = case.run(&mut arena);
        sum += memberships(&arena, &ran.app, &ran.world)?;
        Ok(())
    });
    sum
}

/// The rows in which two dumps differ.
fn unlike(one: &str, other: &str) -> String {
    let only = |these: &str, those: &str| -> Vec<String> {
        these.lines().filter(|line| !those.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    format!("\n-{}\n+{}", only(one, other).join("\n-"), only(other, one).join("\n+"))
}
