//! An open-loop load: when each message is due, and what came of it. It never asks how the last
//! message fared before it sends the next.

use std::ops::Range;

use hdrhistogram::Histogram;

use crate::bench::{
    clock::NANOS_PER_SECOND,
    endpoint::Role,
    stamp::{Arrival, Class, Order, Stamp},
};

/// A send this late was not on schedule any more.
const LATE: u64 = 10_000_000;
const MICROS_MAX: u64 = 60_000_000;
/// Above this share of a core the generator's own queue is part of every latency.
const GENERATOR_CPU_PERCENT_MAX: f64 = 80.0;
const LATE_PERCENT_MAX: f64 = 1.0;

/// One stream of messages to be sent.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Plan {
    pub(in crate::bench) class: Class,
    /// Who takes turns to send.
    pub(in crate::bench) senders: Range<usize>,
    /// Who is counted as a receiver, and how many of them get each message.
    pub(in crate::bench) receivers: (Role, u64),
    /// Messages a second.
    pub(in crate::bench) rate: f64,
    /// Messages that are due at the same instant and written at once.
    pub(in crate::bench) burst: u32,
    pub(in crate::bench) payload: usize,
}

/// A plan under way, with its counts.
#[derive(Debug)]
pub(in crate::bench) struct Flow {
    plan: Plan,
    interval: f64,
    starts_at: u64,
    ends_at: u64,
    turns: u64,
    next_due: u64,
    first: u64,
    next: u64,
    pub(in crate::bench) tally: Tally,
}

#[derive(Debug)]
pub(in crate::bench) struct Tally {
    pub(in crate::bench) sent: u64,
    /// Sends more than 10 ms after they were due.
    pub(in crate::bench) late: u64,
    pub(in crate::bench) lateness_max: u64,
    /// Each message once per receiver.
    pub(in crate::bench) received: u64,
    pub(in crate::bench) duplicated: u64,
    pub(in crate::bench) out_of_order: u64,
    pub(in crate::bench) last_received_at: u64,
    /// Microseconds from the due time.
    pub(in crate::bench) latency: Histogram<u64>,
}

/// One turn: the sender's index and the stamped payloads.
#[derive(Debug)]
pub(in crate::bench) struct Turn {
    pub(in crate::bench) sender: usize,
    pub(in crate::bench) payloads: Vec<Vec<u8>>,
}

impl Flow {
    /// `first` is the first sequence that this class has not used yet.
    pub(super) fn new(plan: Plan, first: u64, starts_at: u64, ends_at: u64) -> Self {
        let interval = f64::from(plan.burst) * NANOS_PER_SECOND as f64 / plan.rate;
        Self {
            plan,
            interval,
            starts_at,
            ends_at,
            turns: 0,
            next_due: starts_at,
            first,
            next: first,
            tally: Tally::new(),
        }
    }

    pub(super) fn class(&self) -> Class {
        self.plan.class
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.next
    }

    /// When the next turn is due; never, once the time is over.
    pub(super) fn due(&self) -> u64 {
        if self.next_due < self.ends_at { self.next_due } else { u64::MAX }
    }

    pub(super) fn stop(&mut self) {
        self.ends_at = 0;
    }

    pub(super) fn take_turn(&mut self, now: u64) -> Turn {
        let due = self.next_due;
        let count = self.plan.senders.len() as u64;
        // A place below the length of a range of usize.
        let sender = self.plan.senders.start + (self.turns % count) as usize;
        let payloads = (0..u64::from(self.plan.burst))
            .map(|offset| {
                let mut payload = vec![b'x'; self.plan.payload];
                Stamp::new(self.plan.class, self.next + offset, due).write(&mut payload);
                payload
            })
            .collect();
        let burst = u64::from(self.plan.burst);
        let lateness = now.saturating_sub(due);
        self.tally.sent += burst;
        self.tally.lateness_max = self.tally.lateness_max.max(lateness);
        if lateness > LATE {
            self.tally.late += burst;
        }
        self.next += burst;
        self.turns += 1;
        // From the start and not from the last turn, so that rounding does not add up.
        self.next_due = self.starts_at + (self.turns as f64 * self.interval) as u64;
        Turn { sender, payloads }
    }

    /// Counts a message if it belongs to this flow and `role` is its receiver.
    pub(super) fn receive(&mut self, role: Role, order: &mut Order, stamp: Stamp, now: u64) {
        if role != self.plan.receivers.0 || stamp.class != self.plan.class as u8 {
            return;
        }
        let arrival = order.note(stamp.sequence);
        if stamp.sequence < self.first {
            return;
        }
        match arrival {
            Arrival::InOrder => {}
            Arrival::OutOfOrder => self.tally.out_of_order += 1,
            Arrival::Duplicate => {
                self.tally.duplicated += 1;
                return;
            }
        }
        self.tally.received += 1;
        self.tally.last_received_at = now;
        self.tally.latency.saturating_record((now.saturating_sub(stamp.due) / 1000).max(1));
    }

    pub(in crate::bench) fn expected(&self) -> u64 {
        self.tally.sent * self.plan.receivers.1
    }

    /// Deliveries a second, from the first due time to the last arrival.
    pub(in crate::bench) fn delivery_rate(&self) -> f64 {
        let nanos = self.tally.last_received_at.saturating_sub(self.starts_at);
        if nanos == 0 { 0.0 } else { self.tally.received as f64 * 1e9 / nanos as f64 }
    }
}

impl Tally {
    pub(in crate::bench) fn new() -> Self {
        Self {
            sent: 0,
            late: 0,
            lateness_max: 0,
            received: 0,
            duplicated: 0,
            out_of_order: 0,
            last_received_at: 0,
            latency: Histogram::new_with_bounds(1, MICROS_MAX, 3)
                .expect("the bounds are valid constants"),
        }
    }
}

/// Why the latency of `tally` says more about the generator than about the server, if it does.
pub(in crate::bench) fn withheld(tally: &Tally, generator_cpu_percent: f64) -> Option<String> {
    if generator_cpu_percent > GENERATOR_CPU_PERCENT_MAX {
        return Some(format!(
            "the generator itself used {generator_cpu_percent:.0} % of a core: lower the load"
        ));
    }
    let late_percent = 100.0 * tally.late as f64 / tally.sent.max(1) as f64;
    if late_percent > LATE_PERCENT_MAX {
        return Some(format!("{late_percent:.1} % of sends were more than 10 ms late"));
    }
    (tally.received == 0).then(|| "nothing arrived".to_owned())
}
