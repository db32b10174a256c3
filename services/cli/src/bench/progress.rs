//! The line on a terminal that says how far a measurement is.

use std::io::{self, IsTerminal as _, Write as _};

use super::clock::NANOS_PER_SECOND;

#[derive(Debug)]
pub(super) struct Progress {
    label: String,
    terminal: bool,
    shown_at: u64,
}

impl Progress {
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), terminal: io::stderr().is_terminal(), shown_at: 0 }
    }

    /// Replaces the line, at most four times a second; says nothing when nobody watches.
    pub(super) fn show(&mut self, now: u64, text: impl FnOnce() -> String) {
        if !self.terminal || now.saturating_sub(self.shown_at) < NANOS_PER_SECOND / 4 {
            return;
        }
        self.shown_at = now;
        // Progress that cannot be written is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{}: {}", self.label, text());
    }

    pub(super) fn clear(&mut self) {
        if self.terminal && self.shown_at > 0 {
            self.shown_at = 0;
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
