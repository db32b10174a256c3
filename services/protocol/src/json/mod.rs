//! What serde_json lets pass and we do not (deep nesting, and unpaired surrogates in values that it
//! skips), and the few pieces of JSON that the dialects read and write by hand.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use model::Text;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Arrays and objects that may be open at once, the outermost included.
pub const DEPTH_MAX: usize = 32;

/// Why a text is not JSON that we take; the text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    Depth,
    Surrogate,
    NotAnObject,
    Syntax,
}

impl JsonError {
    pub fn detail(self) -> &'static str {
        match self {
            Self::Depth => "the JSON is nested deeper than 32 levels",
            Self::Surrogate => "the JSON has half of a surrogate pair: send whole characters",
            Self::NotAnObject => "the message must be one JSON object",
            Self::Syntax => "the message must be one JSON object, each field once",
        }
    }
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for JsonError {}

/// Refuses what serde_json does not look for. It takes one pass and no memory, and leaves the rest
/// of the grammar to serde_json.
pub fn check(text: &str) -> Result<(), JsonError> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = after_string(bytes, at)?,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = usize::saturating_sub(depth, 1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(JsonError::Depth);
        }
    }
    Ok(())
}

/// What `data` of a publication means to us: a JSON string is its content, anything else its text
/// as sent.
pub fn decode_data(raw: &str) -> Result<Text, JsonError> {
    if raw.starts_with('"') {
        let content: String = serde_json::from_str(raw).map_err(|_| JsonError::Syntax)?;
        return Ok(Text::from(content));
    }
    Ok(Text::from(raw))
}

/// Appends a JSON string with this content.
pub fn write_string(out: &mut String, content: &str) {
    out.push('"');
    let mut rest = content;
    loop {
        let plain = plain(rest.as_bytes());
        out.push_str(&rest[..plain]);
        let Some(byte) = rest.as_bytes().get(plain) else { break };
        write_escape(out, *byte);
        rest = &rest[plain + 1..];
    }
    out.push('"');
}

/// Reads one object of a text that nobody has checked yet.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    check(text)?;
    fields(text)
}

/// Reads one object of a text that [`check`] has passed. An array is refused: serde would take it
/// for the object's fields in their order.
pub(crate) fn fields<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(JsonError::NotAnObject);
    }
    serde_json::from_str(text).map_err(|_| JsonError::Syntax)
}

/// The content of a JSON string; `None` where the value is something else.
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let content = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if content.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(content))
}

/// Parts an item of a list from the one before it.
pub(crate) fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// For `deserialize_with`: keeps `null` apart from a field that is not there.
pub(crate) fn present<'de, D>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error>
where
    D: Deserializer<'de>,
{
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// How many bytes come before the first that a JSON string cannot hold as it is. Whole chunks are
/// judged without a branch for each byte, which the compiler turns into vector instructions.
fn plain(bytes: &[u8]) -> usize {
    const CHUNK: usize = 16;
    let special = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + CHUNK) {
        if chunk.iter().fold(false, |any, byte| any | special(*byte)) {
            break;
        }
        at += CHUNK;
    }
    at + bytes[at..].iter().take_while(|byte| !special(**byte)).count()
}

fn write_escape(out: &mut String, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        0x08 => out.push_str("\\b"),
        0x0c => out.push_str("\\f"),
        other => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(other >> 4)]));
            out.push(char::from(HEX[usize::from(other & 15)]));
        }
    }
}

/// The place after a string whose content begins at `at`.
fn after_string(bytes: &[u8], mut at: usize) -> Result<usize, JsonError> {
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => return Ok(at),
            b'\\' => at = after_escape(bytes, at)?,
            _ => {}
        }
    }
    Ok(at)
}

fn after_escape(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let Some(unit) = unit(bytes, at) else { return Ok(at + 1) };
    match unit {
        0xd800..=0xdbff => {
            let low = bytes.get(at + 5).filter(|byte| **byte == b'\\');
            match low.and_then(|_| self::unit(bytes, at + 6)) {
                Some(0xdc00..=0xdfff) => Ok(at + 11),
                _ => Err(JsonError::Surrogate),
            }
        }
        0xdc00..=0xdfff => Err(JsonError::Surrogate),
        _ => Ok(at + 5),
    }
}

/// The UTF-16 unit of an escape whose `u` is at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 5)?.strip_prefix(b"u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(value).ok()?)
    })
}
