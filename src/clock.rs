//! The one place that asks the time. Everything else is told.

use crate::ids::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the system's clock; never before 1970.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
