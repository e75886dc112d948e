//! One drawn history, and what is printed when it fails.

use super::arena::Arena;
use super::faults::{Class, Delivery, take};
use super::script::{Mix, Step, draw, seeds, shrink};
use super::world::{World, play};
use std::collections::BTreeSet;

pub struct Case<'a> {
    pub seed: u64,
    pub class: &'a Class,
    pub steps: &'a [Step],
}

/// A history that has been delivered to an app of its own.
pub struct Ran {
    pub app: String,
    pub world: World,
    pub deliveries: Vec<Delivery>,
    pub lost: BTreeSet<usize>,
}

impl Case<'_> {
    pub fn run(&self, arena: &mut Arena) -> Ran {
        let world = play(self.steps, self.class.pace);
        let (deliveries, lost) = take(&world.told, self.class);
        let app = arena.app();
        if self.class.clock != 0 {
            arena.hear(&app, self.class.clock);
        }
        arena.post(&app, &world.told, &deliveries, self.seed);
        Ran { app, world, deliveries, lost }
    }
}

/// Draws histories and checks each. One that fails is shrunk and shown: seed, options, steps, deliveries.
pub fn each(
    test: u64,
    cases: u64,
    class: &Class,
    mix: Mix,
    length: usize,
    mut check: impl FnMut(&Case<'_>) -> Result<(), String>,
) {
    for seed in seeds(test, cases) {
        let steps = draw(seed, class.pace, mix, length);
        let Err(why) = check(&Case { seed, class, steps: &steps }) else { continue };
        let fewer = shrink(steps, |steps| check(&Case { seed, class, steps }).err());
        let case = Case { seed, class, steps: &fewer };
        let shrunk = check(&case).err().unwrap_or_default();
        let world = play(&fewer, class.pace);
        let (deliveries, _) = take(&world.told, class);
        let told = |it: &Delivery| {
            let told = &world.told[it.told];
            format!("{} by {} done at {}: {} {}", it.at, it.webhook, told.at, told.trigger, told.data)
        };
        let deliveries: Vec<String> = deliveries.iter().map(told).collect();
        panic!(
            "CHATFOLD_SEED={seed} {class:?}, {length} steps\n{why}\n\nshrunk: {fewer:#?}\n{}\n\n{shrunk}",
            deliveries.join("\n")
        );
    }
}
