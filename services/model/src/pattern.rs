//! Channel patterns: a name, or a prefix with one `*` at the end.

use std::sync::Arc;

use crate::id::{ChannelName, IdError};

/// `lobby` matches that channel, `room-*` every channel whose name begins with `room-`, `*` all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Arc<str>,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let prefix = text.strip_suffix('*').unwrap_or(text);
        if !prefix.is_empty() || text.is_empty() {
            ChannelName::parse(prefix)?;
        }
        Ok(Self { text: Arc::from(text) })
    }

    pub fn matches(&self, channel: &ChannelName) -> bool {
        match self.text.strip_suffix('*') {
            Some(prefix) => channel.as_str().starts_with(prefix),
            None => channel.as_str() == &*self.text,
        }
    }

    /// Orders patterns from the one that says most to the one that says least: whole names first,
    /// then longer prefixes before shorter ones.
    pub(crate) fn weight(&self) -> (bool, usize) {
        (!self.text.ends_with('*'), self.text.len())
    }

    pub fn as_str(&self) -> &Arc<str> {
        &self.text
    }
}
