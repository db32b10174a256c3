//! The nouns of Wharf, in reading order. No IO, no async, no serde: every other crate speaks these.

pub mod id;

pub mod payload;
pub mod publication;

pub mod command;
pub mod push;

pub mod close;
pub mod refusal;

pub mod pattern;
pub mod rule;

pub mod app;
pub mod server_call;

pub use app::{ApiKey, App, AppLimits, AppState, Environment, SigningKey};
pub use close::{CloseReason, Initiator};
pub use command::{Command, CommandId, Echo, Presence, Signature, Verb};
pub use id::{AppCode, AppId, ChannelKey, ChannelName, ConnectionId, EventName, MessageId, UserId};
pub use payload::{Payload, Text};
pub use publication::{Position, Publication, Source};
pub use push::{Cached, Delivery, Member, Push, Reply, ServerMessage};
pub use refusal::{Decision, Reason, Refusal};
pub use rule::{Access, ChannelRule, Retention, RuleSet, SlowConsumer};
pub use server_call::{
    ChannelState, HistoryPage, Occupancy, Published, ServerAnswer, ServerCall, ServerPublish,
};
