//! The progress of a long run: a bar on a terminal, elsewhere a line every 10 seconds.

use crate::rebuild::{Phase, Progress};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Shows how far a rebuild or a comparison is, on stderr.
pub struct Bar {
    bar: Option<ProgressBar>,
    phase: Option<Phase>,
    told: Instant,
}

impl Bar {
    pub fn new() -> Self {
        Self { bar: None, phase: None, told: Instant::now() }
    }

    pub fn show(&mut self, progress: Progress) {
        let Progress { phase, done, total } = progress;
        let new = self.phase.replace(phase) != Some(phase);
        if !std::io::stderr().is_terminal() {
            if new || self.told.elapsed() >= LINES {
                self.told = Instant::now();
                match total {
                    0 => eprintln!("{}", words(phase)),
                    _ => eprintln!("{}: {} of {} {}", words(phase), HumanCount(done), HumanCount(total), unit(phase)),
                }
            }
            return;
        }
        if new {
            self.finish();
            let style = ProgressStyle::with_template(
                "{msg:12} {bar:40} {human_pos} of {human_len} {prefix}, {per_sec}, {eta} left",
            );
            let bar = ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar = Some(bar.with_message(words(phase)).with_prefix(unit(phase)));
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total.max(done));
            bar.set_position(done);
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// What the numbers of a phase count.
fn unit(phase: Phase) -> &'static str {
    match phase {
        Phase::Fold | Phase::CatchUp | Phase::Compare => "events",
        Phase::Copy => "rows",
        Phase::Swap | Phase::Hash | Phase::Sweep => "tables",
    }
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Fold => "folding",
        Phase::Compare => "comparing",
        Phase::Copy => "copying",
        Phase::CatchUp => "catching up",
        Phase::Swap => "swapping",
        Phase::Hash => "hashing",
        Phase::Sweep => "sweeping",
    }
}
