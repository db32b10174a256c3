//! How many connections the gateway holds and how fast it takes new ones, all apps together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::app::rate::{Now, Rate, RateLimit};

/// The gateway's places for connections.
#[derive(Debug)]
pub(crate) struct Places {
    open: AtomicU32,
    open_max: u32,
    connects: RateLimit,
    rate: Rate,
}

/// One of the gateway's places, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(crate) fn new(open_max: u32, rate: Rate) -> Self {
        Self { open: AtomicU32::new(0), open_max, connects: RateLimit::default(), rate }
    }

    /// Takes a place, or says when to come back.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Place, Duration> {
        const WHEN_FULL: Duration = Duration::from_secs(5);
        let taken = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < self.open_max).then_some(open + 1)
        });
        if taken.is_err() {
            return Err(WHEN_FULL);
        }
        let place = Place(Arc::clone(self));
        match self.connects.charge(Now::read(), self.rate, 1) {
            Ok(()) => Ok(place),
            Err(exceeded) => Err(exceeded.retry_after.unwrap_or(WHEN_FULL)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
