//! What the ledger finds.

use std::fmt;

use super::Stamp;

/// The counts of one run; every fault must be 0 unless a test says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub acknowledged: usize,
    pub delivered: usize,
    faults: Vec<Fault>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A subscriber that was there did not get it.
    Lost {
        subscriber: String,
        stamp: Stamp,
    },
    Duplicate {
        subscriber: String,
        stamp: Stamp,
    },
    /// It came after `before`, which is behind it in the channel or at its publisher.
    Reordered {
        subscriber: String,
        stamp: Stamp,
        before: Stamp,
    },
    /// Never published, published on another channel, or not for this subscriber.
    Unknown {
        subscriber: String,
        stamp: Stamp,
    },
    /// The test let nobody see the whole channel, so that nothing can be judged.
    NoWitness {
        channel: String,
    },
}

impl Verdict {
    pub(super) fn new(acknowledged: usize) -> Self {
        Self { acknowledged, ..Self::default() }
    }

    pub(super) fn add(&mut self, fault: Fault) {
        if !matches!(fault, Fault::NoWitness { .. }) || !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let Self { acknowledged, delivered, faults } = self;
        let count = |of: fn(&Fault) -> bool| faults.iter().filter(|fault| of(fault)).count();
        write!(
            f,
            "acknowledged {acknowledged}, delivered {delivered}, lost {}, duplicate {}, reordered {}, \
             unknown {}",
            count(|fault| matches!(fault, Fault::Lost { .. })),
            count(|fault| matches!(fault, Fault::Duplicate { .. })),
            count(|fault| matches!(fault, Fault::Reordered { .. })),
            count(|fault| matches!(fault, Fault::Unknown { .. })),
        )?;
        for fault in faults.iter().take(SHOWN) {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { subscriber, stamp } => write!(f, "{subscriber} did not get {stamp}"),
            Self::Duplicate { subscriber, stamp } => write!(f, "{subscriber} got {stamp} again"),
            Self::Reordered { subscriber, stamp, before } => {
                write!(f, "{subscriber} got {stamp} only after {before}")
            }
            Self::Unknown { subscriber, stamp } => {
                write!(f, "{subscriber} got {stamp}, which is not for it")
            }
            Self::NoWitness { channel } => write!(f, "nobody saw all of {channel}"),
        }
    }
}
