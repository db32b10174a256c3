//! A number of bytes as written in a configuration: `64KiB`, `1MiB`, or a plain integer.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes. Units are powers of 1024 and say so; `64KB` is refused, since half of those
/// who write it mean 1000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The same, for buffers; on a 32-bit machine at most what its memory can address.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Why a text is no [`ByteSize`]. Never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("not a size: write a whole number with a unit, such as 64KiB or 1MiB")]
    NotANumber,
    #[error("a size cannot be negative")]
    Negative,
    #[error("unit is missing or unknown: use B, KiB, MiB, GiB or TiB")]
    Unit,
    #[error("unit is ambiguous: use {0} (powers of 1024)")]
    Ambiguous(&'static str),
    #[error("size is too large")]
    Overflow,
}

impl FromStr for ByteSize {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.starts_with('-') {
            return Err(ParseError::Negative);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() || unit.starts_with(['.', ',', '_']) {
            return Err(ParseError::NotANumber);
        }
        let number: u64 = number.parse().map_err(|_| ParseError::Overflow)?;
        let factor = match unit {
            "" => 1,
            _ => match UNITS.iter().find(|(name, _)| *name == unit) {
                Some((_, factor)) => *factor,
                None => return Err(unknown_unit(unit)),
            },
        };
        number.checked_mul(factor).map(Self).ok_or(ParseError::Overflow)
    }
}

fn unknown_unit(unit: &str) -> ParseError {
    match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => ParseError::Ambiguous("KiB"),
        "m" | "mb" | "mib" => ParseError::Ambiguous("MiB"),
        "g" | "gb" | "gib" => ParseError::Ambiguous("GiB"),
        "t" | "tb" | "tib" => ParseError::Ambiguous("TiB"),
        _ => ParseError::Unit,
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .into_iter()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64KiB\" or a whole number of bytes")
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom(ParseError::Negative))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }
}
