//! What one app may be allowed, each with its name, default and range.

use model::AppLimits;
use runtime::{ByteSize, Span};

use crate::config::limits::limits;

limits! {
    /// What one app may use, in this gateway.
    AppLimitsConfig => AppLimits;
    /// Connections open at once.
    connections_max: u32 = 10_000, 1 => 4_000_000;
    /// New connections; twice as many at once.
    connects_per_second: u32 = 500, 1 => 1_000_000;
    /// Messages published by all clients and the API together; twice as many at once.
    publishes_per_second: u32 = 5_000, 1 => 10_000_000;
    /// Messages published by one connection; twice as many at once.
    publishes_per_second_per_connection: u32 = 50, 1 => 1_000_000;
    /// Pusher client events of one connection.
    client_events_per_second: u32 = 10, 1 => 1_000_000;
    /// Channels that one connection has joined.
    channels_per_connection_max: u32 = 200, 1 => 1_000;
    /// Channels that exist at once.
    channels_max: u32 = 100_000, 1 => 10_000_000;
    /// Distinct users in one channel with presence.
    presence_members_max: u32 = 100, 1 => 10_000;
    /// The payload of one message.
    payload_bytes_max: ByteSize = ByteSize::kib(64), ByteSize::new(16) => ByteSize::mib(1);
    /// The history of all channels together.
    history_bytes_max: ByteSize = ByteSize::mib(64), ByteSize::kib(64) => ByteSize::mib(16_384);
    /// How long a channel's last value is kept.
    cache_age: Span = Span::from_secs(30 * 60), Span::from_secs(1) => Span::from_secs(30 * 86_400);
}
