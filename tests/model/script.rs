//! What is to happen: steps drawn from a seed, which the world turns into acts that are possible when their turn comes.

/// A generator small enough to own: the same seed is the same history on every machine.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0, 0)
    }

    /// Below `n`; 0 for 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.roll() % n }
    }

    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// Two numbers into one that looks drawn.
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0xd6e8_feb8_6659_fd93);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How fast acts follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// 7 to 20 s apart.
    Calm,
    /// Scripts: 20 to 400 ms apart, then a pause.
    Bursts,
    /// 2 to 5 acts on one person 20 to 300 ms apart, then a pause.
    Harsh,
    /// Groups deleted and made again, with the same guid, seconds later.
    Anew,
    /// Scripts with an API key add, kick and add one person again within a minute; what tells of an add tells nothing
    /// else, so that two adds of a person have equal bodies.
    Key,
    /// Close together, but no two facts about one entity share a second, and all that set a register tell their time.
    Distinct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    CreateGroup,
    UpdateGroup,
    DeleteGroup,
    /// What can be done about a person's place in a group, by where the person stands.
    Place,
    AddSeveral,
    Send,
    /// Sent, and withheld by moderation.
    Hold,
    Approve,
    Edit,
    Delete,
    React,
    Unreact,
    Deliver,
    Read,
    ToAll,
    Block,
    Presence,
    Rename,
}

/// One step; `a`, `b`, `c` choose among what there is. It means something wherever it stands, so that a history with
/// steps left out is a history.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub act: Act,
    pub a: usize,
    pub b: usize,
    pub c: usize,
    /// Milliseconds after the step before.
    pub gap: i64,
    /// Decides the fate of its deliveries.
    pub luck: u64,
}

/// What a history is about, by weight.
pub type Mix = &'static [(Act, u64)];

pub const EVERYTHING: Mix = &[
    (Act::CreateGroup, 4),
    (Act::UpdateGroup, 5),
    (Act::DeleteGroup, 1),
    (Act::Place, 26),
    (Act::AddSeveral, 3),
    (Act::Send, 16),
    (Act::Hold, 2),
    (Act::Approve, 2),
    (Act::Edit, 9),
    (Act::Delete, 3),
    (Act::React, 6),
    (Act::Unreact, 3),
    (Act::Deliver, 5),
    (Act::Read, 6),
    (Act::ToAll, 2),
    (Act::Block, 3),
    (Act::Presence, 4),
    (Act::Rename, 2),
];

pub const GROUPS: Mix = &[
    (Act::CreateGroup, 2),
    (Act::UpdateGroup, 3),
    (Act::Place, 80),
    (Act::AddSeveral, 8),
    (Act::Send, 6),
    (Act::DeleteGroup, 1),
];

pub const ANEW: Mix = &[
    (Act::CreateGroup, 14),
    (Act::DeleteGroup, 10),
    (Act::Place, 60),
    (Act::AddSeveral, 12),
    (Act::UpdateGroup, 2),
    (Act::Send, 2),
];

/// Draws a history. It begins with two groups.
pub fn draw(seed: u64, pace: Pace, mix: Mix, length: usize) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let weights: u64 = mix.iter().map(|(_, weight)| weight).sum();
    let mut steps = Vec::with_capacity(length);
    let (mut left_in_burst, mut goes_on) = (0, false);
    for at in 0..length {
        let mut at_weight = dice.below(weights);
        let drawn = mix.iter().find(|(_, weight)| {
            let found = at_weight < *weight;
            at_weight = at_weight.saturating_sub(*weight);
            found
        });
        let mut act = if at < 2 { Act::CreateGroup } else { drawn.map_or(Act::Place, |(act, _)| *act) };
        let pick = |dice: &mut Dice| dice.below(1 << 20) as usize;
        let (mut a, mut b, mut c) = (pick(&mut dice), pick(&mut dice), pick(&mut dice));
        if at < 2 {
            a = at;
        }
        let gap = match pace {
            Pace::Calm => 7_000 + dice.below(13_000) as i64,
            Pace::Distinct => dice.below(1_500) as i64,
            Pace::Anew => 300 + dice.below(2_200) as i64,
            Pace::Harsh | Pace::Key if left_in_burst > 0 => {
                left_in_burst -= 1;
                if let Some(last) = steps.last() {
                    let last: &Step = last;
                    (act, a, b) = (last.act, last.a, last.b);
                }
                if pace == Pace::Harsh {
                    20 + dice.below(280) as i64
                } else {
                    // Kick who is in, add who is out.
                    c = if dice.chance(800) { c / 100 * 100 + 44 } else { c / 2 * 2 };
                    1_000 + dice.below(19_000) as i64
                }
            }
            Pace::Harsh | Pace::Key => {
                left_in_burst = if act == Act::Place { 1 + dice.below(4) } else { 0 };
                c = if pace == Pace::Key { c / 2 * 2 } else { c };
                1_000 + dice.below(40_000) as i64
            }
            Pace::Bursts if left_in_burst > 0 => {
                left_in_burst -= 1;
                // A script promotes or kicks whom it has just added.
                if let Some(last) = steps.last().filter(|_| !goes_on && dice.chance(500)) {
                    let last: &Step = last;
                    (a, b, c) = (last.a, last.b, c / 100 * 100 + c % 65);
                    goes_on = true;
                } else {
                    goes_on = false;
                }
                20 + dice.below(380) as i64
            }
            Pace::Bursts => {
                (left_in_burst, goes_on) = (dice.below(7), false);
                1_000 + dice.below(40_000) as i64
            }
        };
        steps.push(Step { act, a, b, c, gap, luck: dice.roll() });
    }
    steps
}

/// The shortest history found by leaving steps out for which `fails` still tells why.
pub fn shrink(mut steps: Vec<Step>, mut fails: impl FnMut(&[Step]) -> Option<String>) -> Vec<Step> {
    let mut chunk = steps.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + chunk).min(fewer.len()));
            if fails(&fewer).is_some() {
                steps = fewer;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    steps
}

/// A number from the environment, for the long form.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// The seeds of a test, which are its own.
pub fn seeds(first: u64, cases: u64) -> impl Iterator<Item = u64> {
    let first = first << 32;
    match number("CHATFOLD_SEED", 0) {
        0 => first..first + number("CHATFOLD_CASES", cases),
        seed => seed..seed + 1,
    }
}
