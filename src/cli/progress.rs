//! The progress of a long run: a bar on a terminal, elsewhere a line every 10 seconds.

use crate::backup;
use crate::rebuild::{Phase, Progress};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Shows how far a rebuild, a comparison or a backup is, on stderr.
pub struct Bar {
    bar: Option<ProgressBar>,
    phase: Option<&'static str>,
    told: Instant,
}

impl Bar {
    pub fn new() -> Self {
        Self { bar: None, phase: None, told: Instant::now() }
    }

    pub fn show(&mut self, Progress { phase, done, total }: Progress) {
        self.show_words(words(phase), unit(phase), done, total);
    }

    pub fn show_backup(&mut self, progress: backup::Progress) {
        match progress {
            #[cfg(feature = "postgres")]
            backup::Progress::Wait => self.show_words("waiting for the copy", "", 0, 0),
            #[cfg(feature = "postgres")]
            backup::Progress::Fetch { done, total } => self.show_words("fetching", "bytes", done, total),
            backup::Progress::Copy { done, total } => self.show_words("copying", "pages", done, total),
            backup::Progress::Hash => self.show_words("hashing", "", 0, 0),
            backup::Progress::Check => self.show_words("checking", "", 0, 0),
        }
    }

    /// `total`: 0 where it is not known. `unit`: empty where nothing is counted.
    fn show_words(&mut self, words: &'static str, unit: &'static str, done: u64, total: u64) {
        let new = self.phase.replace(words) != Some(words);
        if !std::io::stderr().is_terminal() {
            if new || self.told.elapsed() >= LINES {
                self.told = Instant::now();
                match total {
                    0 => eprintln!("{words}"),
                    _ => eprintln!("{words}: {} of {} {unit}", HumanCount(done), HumanCount(total)),
                }
            }
            return;
        }
        if new {
            self.finish();
            let style = ProgressStyle::with_template(match unit {
                "" => "{msg:12} {spinner} {elapsed}",
                _ => "{msg:12} {bar:40} {human_pos} of {human_len} {prefix}, {per_sec}, {eta} left",
            });
            let bar = ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            if unit.is_empty() {
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            self.bar = Some(bar.with_message(words).with_prefix(unit));
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
