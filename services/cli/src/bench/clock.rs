//! Time as the generator sees it: the monotonic clock in nanoseconds, a precise alarm, and a pause.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use mio::{Interest, Registry, Token, unix::SourceFd};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

pub(super) const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds of the monotonic clock. Comparable between processes of one host only.
pub(super) fn now() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// CPU time that this process has used, in nanoseconds.
pub(super) fn own_cpu() -> u64 {
    nanos(clock_gettime(ClockId::ProcessCPUTime))
}

/// Seconds since 1970, for signatures that carry a date.
pub(super) fn unix_seconds() -> u64 {
    nanos(clock_gettime(ClockId::Realtime)) / NANOS_PER_SECOND
}

pub(super) fn to_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Blocks this thread. Only for steps of a measurement in which nothing is being received.
#[expect(clippy::disallowed_methods, reason = "the generator is one thread and owns it")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Blocks until the monotonic clock reads `due`.
pub(super) fn pause_until(due: u64) {
    let now = now();
    if due > now {
        pause(Duration::from_nanos(due - now));
    }
}

/// An alarm for the poll loop: epoll's own time-out counts milliseconds, which would add up to one
/// to every latency.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
    armed: u64,
}

impl Alarm {
    pub(super) fn try_new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, armed: 0 })
    }

    /// Wakes the poll once at `due`; a time in the past wakes it at once.
    pub(super) fn set(&mut self, due: u64) -> io::Result<()> {
        if due == self.armed {
            return Ok(());
        }
        let value = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: timespec(due.max(1)),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &value)?;
        self.armed = due;
        Ok(())
    }
}

fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * NANOS_PER_SECOND + rest
}

fn timespec(at: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(at / NANOS_PER_SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(at % NANOS_PER_SECOND).unwrap_or(0),
    }
}
