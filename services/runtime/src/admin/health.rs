//! Whether the process lives and whether it wants traffic. Depends on nothing outside the process:
//! a lost broker must not make every gateway leave at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Observations, one a second, without a beat after which a part counts as stuck.
const MISSED_MAX: u32 = 5;

/// The state behind `/healthz` and `/readyz`. Starts as *starting*.
#[derive(Debug, Default)]
pub struct Health {
    /// Read and written by whole values; nothing is called while it is held.
    readiness: Mutex<Readiness>,
    /// Locked by the admin thread once a second and at registration; never on a beat.
    parts: Mutex<Vec<Part>>,
}

/// Whether new connections are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readiness {
    #[default]
    Starting,
    Ready,
    /// Ending, and why.
    Draining(&'static str),
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Ready => f.write_str("ready"),
            Self::Draining(reason) => write!(f, "draining: {reason}"),
        }
    }
}

#[derive(Debug)]
struct Part {
    name: String,
    pulse: Arc<Pulse>,
    seen: u64,
    missed: u32,
}

/// What a part and its observer share. Each part has its own allocation, and touches it about once
/// a second, so parts do not slow each other.
#[derive(Debug, Default)]
struct Pulse {
    beats: AtomicU64,
    gone: AtomicBool,
}

impl Health {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Traffic is wanted. Does not undo a drain.
    pub fn set_ready(&self) {
        let mut readiness = self.readiness.lock();
        if *readiness == Readiness::Starting {
            *readiness = Readiness::Ready;
        }
    }

    /// No new traffic is wanted any more.
    pub fn set_draining(&self, reason: &'static str) {
        *self.readiness.lock() = Readiness::Draining(reason);
    }

    pub fn readiness(&self) -> Readiness {
        *self.readiness.lock()
    }

    /// A part whose silence for 5 s makes the process count as dead: an event loop, not a task that
    /// may wait.
    pub fn register(&self, name: impl Into<String>) -> Beat {
        let pulse = Arc::<Pulse>::default();
        self.parts.lock().push(Part {
            name: name.into(),
            pulse: Arc::clone(&pulse),
            seen: 0,
            missed: 0,
        });
        Beat { pulse }
    }

    /// The names of the parts that are stuck. Empty while all is well.
    pub fn stuck(&self) -> Vec<String> {
        let parts = self.parts.lock();
        parts
            .iter()
            .filter(|part| part.missed >= MISSED_MAX)
            .map(|part| part.name.clone())
            .collect()
    }

    /// One look at every part, once a second. Counting looks instead of reading a clock keeps a
    /// process that was stopped as a whole (a debugger, a frozen machine) from counting as dead
    /// when it goes on.
    pub(super) fn observe(&self) {
        self.parts.lock().retain_mut(|part| {
            let beats = part.pulse.beats.load(Ordering::Relaxed);
            part.missed = if beats == part.seen { part.missed.saturating_add(1) } else { 0 };
            part.seen = beats;
            !part.pulse.gone.load(Ordering::Relaxed)
        });
    }
}

/// The sign of life of one part. Dropping it says that the part has ended in good order; dropped by
/// a panic, the part counts as stuck from then on.
#[derive(Debug)]
pub struct Beat {
    pulse: Arc<Pulse>,
}

impl Beat {
    /// At least every few seconds. Costs one relaxed addition.
    pub fn touch(&self) {
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.pulse.gone.store(true, Ordering::Relaxed);
        }
    }
}
