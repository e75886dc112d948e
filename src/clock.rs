//! The one place that asks the time. Everything else is told.

use crate::ids::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the system's clock; never before 1970.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Writes one log line when arrivals begin to be read on the vendor's clock, and one when that ends.
pub fn tell_offset(app_id: &str, was: i64, is: i64) {
    if was == 0 && is != 0 {
        tracing::warn!(
            app = app_id,
            offset_ms = is,
            "our clock and the vendor's differ: arrivals are read on the vendor's clock from now on"
        );
    } else if was != 0 && is == 0 {
        tracing::info!(app = app_id, "our clock and the vendor's agree: arrivals are read on our clock again");
    }
}
