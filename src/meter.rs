//! What is measured while the server runs, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds for times in seconds: CometChat waits 2 s for an answer.
pub const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];

/// How many values lie below each of some bounds. Observing takes no lock.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds: the last one is for values above all bounds.
    counts: Box<[AtomicU64]>,
    /// In millionths.
    sum: AtomicU64,
}

impl Histogram {
    /// The bounds rise.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Counts a value, which is not below zero.
    pub fn observe(&self, value: f64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }

    /// Each bound with the number of values that are not above it. The last bound is infinite.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut sum = 0;
        let counts = self.counts.iter().map(|count| {
            sum += count.load(Ordering::Relaxed);
            sum
        });
        self.bounds.iter().copied().chain([f64::INFINITY]).zip(counts).collect()
    }

    /// The sum of all values.
    pub fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_each_bucket_whose_bound_is_not_below_it() {
        let histogram = Histogram::new(&[1.0, 2.5]);
        for value in [0.0, 1.0, 1.5, 2.5, 7.25] {
            histogram.observe(value);
        }
        assert_eq!(histogram.buckets(), [(1.0, 2), (2.5, 4), (f64::INFINITY, 5)]);
        assert_eq!(histogram.sum(), 12.25);
    }
}
