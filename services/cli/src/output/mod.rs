//! What is printed: data on stdout, talk on stderr.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Prints a line of data. Whoever reads it gets it now.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says something beside the data, which may quote somebody else. Nobody depends on it, so nothing
/// is lost if nobody hears.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", spelled(text));
}

/// As a line of data. JSON leaves some control characters as they are; they stand in strings only,
/// where another spelling is the same.
pub(crate) fn json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(char::is_control) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            let _ = write!(out, "\\u{:04x}", u32::from(char));
        } else {
            out.push(char);
        }
    }
    out
}

/// Somebody else's text as it may be shown: on a terminal its control characters, which could move
/// the cursor or worse, are spelled out; elsewhere it stays what it is.
pub(crate) fn shown(text: String) -> String {
    if io::stdout().is_terminal() { spelled(&text) } else { text }
}

/// Without the control characters with which a text could act on a terminal.
pub(crate) fn spelled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && char != '\n' && char != '\t' {
            let _ = write!(out, "{}", char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    out
}
