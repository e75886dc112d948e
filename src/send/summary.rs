//! What became of the deliveries that were sent.

use super::Ended;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Counts and times of one run.
#[derive(Debug, Default)]
pub struct Summary {
    /// Deliveries to send, duplicates and copies among them.
    pub deliveries: u64,
    /// Requests sent for them.
    pub attempts: u64,
    /// Attempts broken on purpose.
    pub broken: u64,
    /// Deliveries that no attempt brought to a 200.
    pub failed: u64,
    /// Answers by status, and by outcome for those with one.
    pub answers: BTreeMap<(u16, String), u64>,
    /// Attempts without an answer, by the reason.
    pub nothing: BTreeMap<String, u64>,
    /// Why nothing could be sent: nothing listens there, or its certificate is not trusted. Then the run ended early.
    pub away: Option<String>,
    /// How long the answers took.
    pub(super) times: Vec<Duration>,
    pub took: Duration,
}

impl Summary {
    pub(super) fn note(&mut self, ended: Ended, is_fault: bool, is_done: bool) {
        let is_good = matches!(ended, Ended::Answered { status: 200, .. });
        self.failed += u64::from(is_done && !is_good);
        match ended {
            Ended::Answered { status, outcome, after } => {
                *self.answers.entry((status, outcome.unwrap_or_default())).or_default() += 1;
                self.times.push(after);
            }
            Ended::Nothing(_) if is_fault => {}
            Ended::Nothing(why) | Ended::Away(why) => *self.nothing.entry(why).or_default() += 1,
        }
    }

    /// Nearest rank, in milliseconds; 0 without an answer.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.times.len() * percent).div_ceil(100).max(1);
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(rank - 1).map_or(0.0, |time| (time.as_secs_f64() * 1e4).round() / 10.0)
    }

    /// One JSON object.
    pub fn json(&self) -> Value {
        let answers = self.answers.iter().map(|((status, outcome), count)| {
            let outcome = Some(outcome).filter(|it| !it.is_empty());
            json!({ "status": status, "outcome": outcome, "count": count })
        });
        json!({
            "deliveries": self.deliveries,
            "attempts": self.attempts,
            "broken": self.broken,
            "failed": self.failed,
            "answers": answers.collect::<Vec<_>>(),
            "nothing": self.nothing,
            "p50Ms": self.percentile(50),
            "p99Ms": self.percentile(99),
            "seconds": (self.took.as_secs_f64() * 1e3).round() / 1e3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut summary = Summary::default();
        assert_eq!(summary.percentile(99), 0.0);
        for ms in (1..=100).rev() {
            let answered = Ended::Answered { status: 200, outcome: None, after: Duration::from_millis(ms) };
            summary.note(answered, false, true);
        }
        assert_eq!((summary.percentile(50), summary.percentile(99)), (50.0, 99.0));
        assert_eq!((summary.failed, summary.answers[&(200, String::new())]), (0, 100));
    }
}
