//! What the gateway says to clients, in no dialect.

use std::sync::Arc;
use std::time::Duration;

use crate::{ChannelKey, ChannelName, CommandId, ConnectionId, Publication, Refusal, Text, UserId};

/// What is said to one connection by itself.
#[derive(Clone, Debug)]
pub enum ServerMessage {
    Connected {
        connection: ConnectionId,
        /// How long a client may hear nothing before it should ask whether we are there.
        activity_timeout: Duration,
    },
    Reply {
        id: Option<CommandId>,
        reply: Reply,
    },
    Refused {
        id: Option<CommandId>,
        /// What was refused: [`crate::Verb::name`], or `message` where none could be read.
        verb: &'static str,
        channel: Option<ChannelName>,
        refusal: Refusal,
    },
    /// Asks a silent client whether it is there.
    Probe,
}

#[derive(Clone, Debug)]
pub enum Reply {
    Subscribed {
        channel: ChannelName,
        /// Every distinct member, the newcomer included; `None` where presence is not kept.
        members: Option<Vec<Member>>,
        cached: Cached,
        /// Subscriptions of the channel with this one, where the app asks for counts.
        count: Option<u64>,
    },
    Unsubscribed {
        channel: ChannelName,
    },
    Published,
    SignedIn {
        data: String,
    },
}

/// The channel's last server publication, for a newcomer.
#[derive(Clone, Debug)]
pub enum Cached {
    /// The channel keeps none.
    Off,
    Miss,
    Hit(Arc<Publication>),
}

/// What every subscriber of a channel is told, in the channel's one order.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub channel: ChannelKey,
    /// Rises by 1 with each delivery of the channel while the broker knows it. A subscriber that
    /// joined at `n` is told nothing up to and including `n`.
    pub sequence: u64,
    pub push: Push,
}

#[derive(Clone, Debug)]
pub enum Push {
    Publication(Arc<Publication>),
    /// The first connection of this user has come.
    MemberAdded(Member),
    /// The last connection of this user has gone.
    MemberRemoved(UserId),
    SubscriptionCount(u64),
}

/// A user and what the tenant's backend says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: UserId,
    /// JSON text as it was signed, at most [`Member::INFO_BYTES_MAX`]; `None` where there was none.
    pub info: Option<Text>,
}

impl Member {
    pub const INFO_BYTES_MAX: usize = 1024;
}

impl Delivery {
    /// What it counts against an inbox's byte bound.
    pub fn cost_bytes(&self) -> usize {
        match &self.push {
            Push::Publication(publication) => publication.cost_bytes(),
            Push::MemberAdded(member) => {
                192 + member.info.as_ref().map_or(0, |i| i.as_bytes().len())
            }
            Push::MemberRemoved(_) | Push::SubscriptionCount(_) => 192,
        }
    }
}
