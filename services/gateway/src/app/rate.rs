//! Rates: a generic cell rate algorithm, and the two places where its one number is kept.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// How far the readings of two threads that charge one rate may lie apart.
const SKEW: u64 = NANOS_PER_SECOND / 10;

/// Nanoseconds on a clock that all threads share and that stands still in paused tests. Read once
/// for as much work as it is good for, and handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(pub u64);

/// So many each second for ever, and `burst` at once. 0 counts as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    pub burst: u32,
}

/// There is no room now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// `None`: it costs more than the burst and never fits.
    pub retry_after: Option<Duration>,
}

/// A rate that many threads charge.
#[derive(Debug, Default)]
pub struct RateLimit {
    arrival: AtomicU64,
}

/// A rate that one connection charges: 8 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    arrival: u64,
}

/// Whether `cost` fits now, and the next value of `arrival`: when all that was let through before
/// would be due at the rate. A fresh one is 0.
///
/// In any stretch of `t` seconds at one rate, at most `per_second * t + burst` are let through.
/// What is owed beyond a full burst was owed at a lower rate and is forgiven, so that a raised rate
/// is felt at once.
pub fn charge(arrival: u64, now: Now, rate: Rate, cost: u32) -> (u64, Result<(), Exceeded>) {
    // Rounded up: a rate that does not divide a second evenly must not let more through.
    let interval = NANOS_PER_SECOND.div_ceil(u64::from(rate.per_second.max(1)));
    let burst = rate.burst.max(1);
    let latest = now.0.saturating_add(u64::from(burst) * interval);
    let arrival = if arrival > latest.saturating_add(SKEW) { latest } else { arrival };
    if cost > burst {
        return (arrival, Err(Exceeded { retry_after: None }));
    }
    let next = arrival.max(now.0).saturating_add(u64::from(cost) * interval);
    if next > latest {
        let retry_after = Some(Duration::from_nanos(next - latest));
        return (arrival, Err(Exceeded { retry_after }));
    }
    (next, Ok(()))
}

impl Now {
    pub fn read() -> Self {
        static BASE: OnceLock<Instant> = OnceLock::new();
        // A day early: in tests with paused clocks, threads' clocks differ, and none may stand
        // before the base.
        let base = BASE.get_or_init(|| {
            let now = Instant::now();
            now.checked_sub(Duration::from_secs(24 * 3_600)).unwrap_or(now)
        });
        let nanos = Instant::now().saturating_duration_since(*base).as_nanos();
        Self(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Rate {
    /// Twice the rate at once, as all of ours that do not say otherwise.
    pub const fn new(per_second: u32) -> Self {
        Self { per_second, burst: per_second.saturating_mul(2) }
    }
}

impl RateLimit {
    pub fn charge(&self, now: Now, rate: Rate, cost: u32) -> Result<(), Exceeded> {
        let mut arrival = self.arrival.load(Ordering::Relaxed);
        loop {
            let (next, outcome) = charge(arrival, now, rate, cost);
            if next == arrival {
                return outcome;
            }
            match self.arrival.compare_exchange_weak(
                arrival,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return outcome,
                Err(newer) => arrival = newer,
            }
        }
    }
}

impl Meter {
    pub fn charge(&mut self, now: Now, rate: Rate, cost: u32) -> Result<(), Exceeded> {
        let (next, outcome) = charge(self.arrival, now, rate, cost);
        self.arrival = next;
        outcome
    }

    /// Whether all that was let through is due: forgetting it changes nothing.
    pub fn is_idle(&self, now: Now) -> bool {
        self.arrival <= now.0
    }

    /// When it will be idle.
    pub(super) fn idle_at(&self) -> Now {
        Now(self.arrival)
    }
}
