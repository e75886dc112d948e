//! The tables against the truth of a small CometChat, with everything that goes wrong on the way to the file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod model;

use chatfold::store::sqlite::state::{Hash, of_app};
use model::arena::Arena;
use model::case::each;
use model::expect::differences;
use model::faults::{API_KEY, BURSTS, CALM, CLOCKS, Class, DISTINCT, HARSH, MADE_ANEW, permutations, shuffle};
use model::measure::{Tally, details, memberships, percent};
use model::script::{ANEW, Dice, EVERYTHING, GROUPS, Mix, number};
use model::world::{GUIDS, Told, play};
use std::fmt::Write;

/// How late a delivery that was not sent again may be, in milliseconds.
const LATE: i64 = 6_000;

/// Of so many memberships one may be wrong in every trial. While nothing is known of a person, contract 4.3 rule 2 takes
/// the earliest in the log first: a join without a time may then be taken before an older join that is told later.
const RULE_2: usize = 20_000;

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
    for (test, cases, mix) in [(20, 20, EVERYTHING), (21, 10, ANEW)] {
        each(test, cases, &DISTINCT, mix, 40, |case| {
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
    for (at, trial) in TRIALS.iter().enumerate() {
        for (class, number) in trial.classes.iter().zip(40 + 100 * at as u64..) {
            each(number, 2, class, trial.mix, 50, |case| {
                let ran = case.run(&mut arena);
                memberships(&arena, &ran.app, &ran.world).map(drop)
            });
        }
    }
}

/// Acts of one kind under what goes wrong on the way, and what may be wrong at the end, in a hundred.
struct Trial {
    acts: &'static str,
    classes: &'static [Class],
    mix: Mix,
    /// Histories of each class, unless the long form says how many.
    cases: u64,
    members: f64,
    scopes: f64,
}

const TRIALS: [Trial; 6] = [
    Trial { acts: "calm", classes: &CALM, mix: GROUPS, cases: 8, members: 0.0, scopes: 0.0 },
    Trial { acts: "bursts", classes: &BURSTS, mix: GROUPS, cases: 16, members: 0.1, scopes: 0.1 },
    Trial { acts: "harsh", classes: &HARSH, mix: GROUPS, cases: 12, members: 4.0, scopes: 4.0 },
    Trial { acts: "our clock wrong", classes: &CLOCKS, mix: GROUPS, cases: 12, members: 0.5, scopes: 0.5 },
    Trial { acts: "made anew", classes: &MADE_ANEW, mix: ANEW, cases: 16, members: 0.1, scopes: 0.1 },
    Trial { acts: "API key", classes: &API_KEY, mix: GROUPS, cases: 16, members: 3.0, scopes: 3.0 },
];

#[test]
fn calm_acts_leave_no_membership_wrong() {
    let past = run(0).past;
    assert!(percent(past) <= 0.05, "in the past: {past:?}");
}

#[test]
fn bursts_leave_one_membership_in_a_thousand_wrong() {
    run(1);
}

#[test]
fn several_acts_on_one_person_within_a_second_leave_four_memberships_in_a_hundred_wrong() {
    run(2);
}

#[test]
fn a_wrong_clock_of_ours_leaves_five_memberships_in_a_thousand_wrong() {
    run(3);
}

#[test]
fn groups_made_anew_leave_one_membership_in_a_thousand_wrong() {
    run(4);
}

#[test]
fn adds_with_equal_bodies_leave_three_memberships_in_a_hundred_wrong() {
    run(5);
}

/// Measures a trial; what is wrong in all its classes in which nothing is lost may not be more than it says.
fn run(at: usize) -> Tally {
    let trial = &TRIALS[at];
    let mut table =
        String::from("acts             class               memberships   members %   scopes %   by time %   past %\n");
    let mut sum = Tally::default();
    for (class, number) in trial.classes.iter().zip(100 * (at as u64 + 1)..) {
        let tally = measured(class, trial.mix, number, trial.cases);
        line(&mut table, trial.acts, class.name, &tally);
        if class.timely() {
            sum += tally;
        }
    }
    line(&mut table, trial.acts, "all that is timely", &sum);
    println!("{table}");
    let few = |it: (usize, usize), most: f64| percent(it) <= most || it.1 <= it.0 / RULE_2;
    let few = few(sum.members, trial.members) && few(sum.scopes, trial.scopes);
    assert!(few, "{}\n{table}", sum.wrong_now.join("\n"));
    sum
}

fn line(table: &mut String, acts: &str, class: &str, tally: &Tally) {
    writeln!(
        table,
        "{acts:<16} {class:<18} {:>12} {:>11.3} {:>10.3} {:>11.3} {:>8.3}",
        tally.now.0,
        percent(tally.members),
        percent(tally.scopes),
        percent(tally.by_time),
        percent(tally.past)
    )
    .unwrap();
}

fn measured(class: &Class, mix: Mix, test: u64, cases: u64) -> Tally {
    let (mut arena, mut sum) = (Arena::new(), Tally::default());
    each(test, cases, class, mix, 60, |case| {
        let ran = case.run(&mut arena);
        let mut tally = memberships(&arena, &ran.app, &ran.world)?;
        for wrong in tally.wrong_now.iter_mut().chain(&mut tally.wrong_past) {
            *wrong = format!("CHATFOLD_SEED={} {wrong}", case.seed);
        }
        sum += tally;
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
