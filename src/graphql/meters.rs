//! What is measured of requests, for `/metrics`.

use super::error::Code;
use crate::meter::{Histogram, SECONDS};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was measured since the start.
pub struct Meters {
    /// Seconds from a request to its answer. The wait for a reader is part of it.
    pub times: Histogram,
    /// Costs of requests that the schema knows, refused ones among them.
    pub costs: Histogram,
    refused: [AtomicU64; Code::ALL.len()],
}

impl Default for Meters {
    fn default() -> Self {
        let costs = Histogram::new(&[10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0]);
        Self { times: Histogram::new(SECONDS), costs, refused: Default::default() }
    }
}

impl Meters {
    /// Counts an answer, or its list of errors, if the request was refused; the code of the refusal.
    pub fn count_refusal(&self, answer: &Value) -> Option<Code> {
        let errors = answer.get("errors").unwrap_or(answer);
        let is_refused = answer.get("data").is_none_or(Value::is_null);
        let code = Code::named(errors[0]["extensions"]["code"].as_str()?).filter(|_| is_refused)?;
        let place = Code::ALL.iter().position(|it| *it == code)?;
        self.refused[place].fetch_add(1, Ordering::Relaxed);
        Some(code)
    }

    /// How many requests were refused with each code.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Code::ALL.iter().zip(&self.refused).map(|(code, count)| (code.as_str(), count.load(Ordering::Relaxed)))
    }
}
