//! What a tenant's backend may ask over HTTP, in no dialect: each server-side API maps to these.

use std::time::Duration;

use crate::{
    ChannelName, ConnectionId, EventName, Member, MessageId, Payload, Position, Publication,
    Refusal, UserId,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerCall {
    /// Each in turn; all are checked before the first is published.
    Publish(Vec<ServerPublish>),
    /// Occupied channels, in the order of their names.
    Channels {
        prefix: String,
        limit: usize,
    },
    Channel {
        channel: ChannelName,
    },
    Members {
        channel: ChannelName,
    },
    History {
        channel: ChannelName,
        since: Option<Position>,
        limit: usize,
    },
    DisconnectUser {
        user: UserId,
    },
    DisconnectConnection {
        connection: ConnectionId,
    },
}

/// One message to one or more channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPublish {
    pub channels: Vec<ChannelName>,
    pub event: Option<EventName>,
    pub payload: Payload,
    pub exclude: Option<ConnectionId>,
    /// Whether the caller wants each channel's occupancy back.
    pub occupancy: bool,
}

#[derive(Clone, Debug)]
pub enum ServerAnswer {
    /// For each message, for each of its channels, in the order asked.
    Published(Vec<Vec<Result<Published, Refusal>>>),
    Channels(Vec<ChannelState>),
    Channel(ChannelState),
    Members(Vec<Member>),
    History(HistoryPage),
    /// How many connections of this gateway were told to go.
    Disconnected(usize),
}

#[derive(Clone, Debug)]
pub struct Published {
    pub channel: ChannelName,
    pub id: MessageId,
    /// Where the channel keeps history.
    pub position: Option<Position>,
    pub occupancy: Option<Occupancy>,
}

#[derive(Clone, Debug)]
pub struct ChannelState {
    pub channel: ChannelName,
    pub occupancy: Occupancy,
    /// The last value and how long it still lives, where the channel keeps one.
    pub cached: Option<(std::sync::Arc<Publication>, Duration)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    pub subscriptions: u64,
    /// Distinct users, where presence is kept.
    pub users: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// Oldest first.
    pub publications: Vec<std::sync::Arc<Publication>>,
    /// The last position of the stream; `None` where nothing was ever kept.
    pub head: Option<Position>,
    /// Whether everything after the asked position up to the page's end is in the page. False: the
    /// position is of another epoch, ahead of the stream, or what followed it is gone.
    pub complete: bool,
    /// Whether more follows this page.
    pub more: bool,
}
