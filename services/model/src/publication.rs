//! A message on a channel, and its place in the channel's stream.

use std::fmt;

use crate::{ConnectionId, EventName, MessageId, Payload, UserId};

/// A message on a channel, in no dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub id: MessageId,
    /// Dialects that name events say `message` where this is `None`.
    pub event: Option<EventName>,
    pub payload: Payload,
    /// The one connection that is not told: usually the publisher's own.
    pub exclude: Option<ConnectionId>,
    pub source: Source,
    /// Where the channel keeps history; given by the broker.
    pub position: Option<Position>,
}

/// Who published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client, and the user it is in this channel, if that is known.
    Client { user: Option<UserId> },
    /// The tenant's own backend, by an API key.
    Server,
}

/// A place in a channel's stream. Offsets rise by exactly 1 within an epoch; a new epoch means that
/// earlier offsets say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub epoch: u64,
    pub offset: u64,
}

impl Publication {
    /// What it counts against byte bounds: its payload and a flat share for the rest.
    pub fn cost_bytes(&self) -> usize {
        const OVERHEAD: usize = 192;
        OVERHEAD + self.payload.len() + self.event.as_ref().map_or(0, |e| e.as_str().len())
    }
}

impl Position {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = text.split_once('-')?;
        let epoch = (epoch.len() == 16).then(|| u64::from_str_radix(epoch, 16).ok()).flatten()?;
        Some(Self { epoch, offset: offset.parse().ok()? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.offset)
    }
}
