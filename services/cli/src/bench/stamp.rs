//! The stamp inside every payload: which message it is and when it was due, in a form that survives
//! any envelope (no character of it is ever escaped).

/// `wb:`, 16 hex digits of class and sequence, 16 of the due time.
pub(super) const BYTES: usize = MARK.len() + 32;

const MARK: &[u8] = b"wb:";
const CLASS_SHIFT: u32 = 56;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Which stream of messages a stamp belongs to; two may run beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    FanOut = 1,
    Echo = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) class: u8,
    /// From 1, without gaps, within a class.
    pub(super) sequence: u64,
    /// Nanoseconds of the generator's clock at which the message was due, not sent.
    pub(super) due: u64,
}

impl Stamp {
    pub(super) fn new(class: Class, sequence: u64, due: u64) -> Self {
        Self { class: class as u8, sequence, due }
    }

    /// Overwrites the start of `payload`, which must have room for a stamp.
    pub(super) fn write(self, payload: &mut [u8]) {
        let (mark, rest) = payload.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        let (first, second) = rest.split_at_mut(16);
        write_hex(first, (u64::from(self.class) << CLASS_SHIFT) | self.sequence);
        write_hex(&mut second[..16], self.due);
    }

    /// The first stamp anywhere in `message`.
    pub(super) fn find(message: &[u8]) -> Option<Self> {
        let start = message.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
        let digits = message.get(start..start + 32)?;
        let first = read_hex(&digits[..16])?;
        let class = u8::try_from(first >> CLASS_SHIFT).ok()?;
        let sequence = first & ((1 << CLASS_SHIFT) - 1);
        Some(Self { class, sequence, due: read_hex(&digits[16..])? })
    }
}

/// What one receiver has seen of a class: enough to tell a late message from a repeated one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    last: u64,
    /// Bit i: `last - i` was seen.
    seen: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    InOrder,
    OutOfOrder,
    Duplicate,
}

impl Order {
    /// A message more than 63 behind the newest counts as out of order, even if it is a repetition.
    pub(super) fn note(&mut self, sequence: u64) -> Arrival {
        if sequence > self.last {
            let ahead = u32::try_from(sequence - self.last).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.last = sequence;
            return Arrival::InOrder;
        }
        let behind = u32::try_from(self.last - sequence).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        if self.seen & bit != 0 {
            return Arrival::Duplicate;
        }
        self.seen |= bit;
        Arrival::OutOfOrder
    }
}

fn write_hex(out: &mut [u8], value: u64) {
    for (place, byte) in out.iter_mut().rev().enumerate() {
        *byte = HEX[(value >> (4 * place)) as usize & 0xf];
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((value << 4) | u64::from(digit))
    })
}
