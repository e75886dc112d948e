//! When a request is sent again, and after how long.

use super::RestError;
use std::time::Duration;

/// Times that a request is sent.
const TIMES: u32 = 8;
/// The first wait. Each further one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait that is not the API's own wish.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest wait that the API may wish for: its limits are by the minute.
const WISHED: Duration = Duration::from_secs(120);

/// A request that failed.
pub(super) struct Failed {
    pub error: RestError,
    /// Whether the same request may be answered later.
    pub passes: bool,
    /// How long the API asks to wait.
    pub after: Option<Duration>,
}

/// How often one request failed.
#[derive(Default)]
pub(super) struct Retry {
    failures: u32,
}

impl Retry {
    /// How long to wait before the request is sent again; `None`: it is not.
    pub fn wait(&mut self, failed: &Failed) -> Option<Duration> {
        self.failures += 1;
        if !failed.passes || self.failures >= TIMES {
            return None;
        }
        let longest = FIRST.saturating_mul(1 << (self.failures - 1)).min(LONGEST);
        Some(failed.after.map_or_else(|| jittered(longest), |after| after.min(WISHED)))
    }
}

/// Between a half and the whole: those who failed together do not come again together.
fn jittered(longest: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers the wait is the longest.
    let part = getrandom::fill(&mut byte).map_or(255, |()| u32::from(byte[0]));
    longest / 2 + longest / 2 * part / 255
}

/// Waits.
pub(super) fn pause(wait: Option<Duration>) {
    if let Some(wait) = wait {
        std::thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(passes: bool, after: Option<u64>) -> Failed {
        Failed { error: RestError::Strange(String::new()), passes, after: after.map(Duration::from_secs) }
    }

    #[test]
    fn waits_grow_end_and_are_what_the_api_wishes_for() {
        let mut retry = Retry::default();
        let waits: Vec<_> = std::iter::from_fn(|| retry.wait(&failed(true, None))).collect();
        assert_eq!(waits.len() as u32, TIMES - 1);
        for (wait, longest) in waits.iter().zip([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000]) {
            let longest = Duration::from_millis(longest);
            assert!((longest / 2..=longest).contains(wait), "{wait:?} of {longest:?}");
        }
        assert_eq!(Retry::default().wait(&failed(true, Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(Retry::default().wait(&failed(true, Some(86_400))), Some(WISHED));
        assert_eq!(Retry::default().wait(&failed(false, Some(1))), None);
    }
}
