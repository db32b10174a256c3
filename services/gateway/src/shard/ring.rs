//! One shard's timers: a ring of one-second slots. A connection costs 8 bytes here, whatever it
//! waits for; on expiry its own state says what is due, and it is put in again.

/// Where a connection sits in the shard's table, and which of the seat's occupants it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Whole seconds since the shard began. Wraps after 136 years.
pub(crate) type Tick = u32;

/// No timer set.
pub(crate) const NEVER: Tick = Tick::MAX;

#[derive(Debug)]
pub(crate) struct Ring {
    slots: Vec<Vec<Seat>>,
    now: Tick,
}

impl Ring {
    const SLOTS: u32 = 256;

    pub(crate) fn new() -> Self {
        Self { slots: (0..Self::SLOTS).map(|_| Vec::new()).collect(), now: 0 }
    }

    pub(crate) fn now(&self) -> Tick {
        self.now
    }

    /// Asks for `seat` to expire at `at`; what lies beyond the ring comes early and is put in again.
    pub(crate) fn insert(&mut self, seat: Seat, at: Tick) -> Tick {
        let at = at.clamp(self.now + 1, self.now + Self::SLOTS - 1);
        self.slots[(at % Self::SLOTS) as usize].push(seat);
        at
    }

    /// Moves on one second and gives what expires.
    pub(crate) fn advance(&mut self) -> Vec<Seat> {
        self.now += 1;
        std::mem::take(&mut self.slots[(self.now % Self::SLOTS) as usize])
    }
}
