//! A length of time as written in a configuration: `250ms`, `10s`, `2m`, `24h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole milliseconds, at most 100 years, so that adding it to a clock cannot
/// overflow. Always written with its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    millis: u64,
}

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const MILLIS_MAX: u64 = 36_500 * 86_400_000;

impl Span {
    pub const ZERO: Self = Self { millis: 0 };

    /// Longer than 100 years becomes 100 years.
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis: if millis > MILLIS_MAX { MILLIS_MAX } else { millis } }
    }

    /// Longer than 100 years becomes 100 years.
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_millis(seconds.saturating_mul(1_000))
    }

    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }

    pub const fn as_millis(self) -> u64 {
        self.millis
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.as_duration()
    }
}

/// Why a text is no [`Span`]. Never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("not a duration: write a whole number with a unit, such as 250ms or 10s")]
    NotANumber,
    #[error("a duration cannot be negative")]
    Negative,
    #[error("unit missing: write ms, s, m, h or d after the number, such as 10s")]
    UnitMissing,
    #[error("unknown unit: use ms, s, m, h or d")]
    UnitUnknown,
    #[error("duration is longer than 100 years")]
    Overflow,
}

impl FromStr for Span {
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
        if unit.is_empty() {
            return Err(ParseError::UnitMissing);
        }
        let (_, factor) =
            UNITS.iter().find(|(name, _)| *name == unit).ok_or(ParseError::UnitUnknown)?;
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor))
            .filter(|millis| *millis <= MILLIS_MAX)
            .map(|millis| Self { millis })
            .ok_or(ParseError::Overflow)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .into_iter()
            .find(|(_, factor)| self.millis != 0 && self.millis.is_multiple_of(*factor))
            .unwrap_or(("s", 1_000));
        write!(f, "{}{unit}", self.millis / factor)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"10s\" or \"250ms\"")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Span, E> {
        Err(E::custom(ParseError::UnitMissing))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Span, E> {
        Err(E::custom(if number < 0 { ParseError::Negative } else { ParseError::UnitMissing }))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Span, E> {
        Err(E::custom(ParseError::UnitMissing))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }
}
