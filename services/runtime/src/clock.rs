//! The wall clock: the one place that reads it. Durations are measured with
//! `tokio::time::Instant`, never with this.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970. A clock set before 1970 reads as 0.
pub fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

/// Whole milliseconds since 1970. A clock set before 1970 reads as 0.
pub fn unix_millis() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this module is the clock that others are given")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
