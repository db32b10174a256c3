//! What a client may ask, in no dialect.

use crate::{ChannelName, EventName, Member, Payload};

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Comes back with the reply, for dialects that match replies to requests.
    pub id: Option<CommandId>,
    pub verb: Verb,
}

/// A request's number, chosen by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Subscribe {
        channel: ChannelName,
        /// Shows that the tenant's backend lets this client in.
        signature: Option<Signature>,
        presence: Presence,
    },
    Unsubscribe {
        channel: ChannelName,
    },
    Publish {
        channel: ChannelName,
        event: Option<EventName>,
        payload: Payload,
        /// Whether the publisher hears its own publication.
        echo: Echo,
    },
    /// Names the user behind a living connection; `data` is what was signed, given back in the reply.
    SignIn {
        signature: Signature,
        user: Member,
        data: String,
    },
}

/// Whether a subscription makes its connection a member of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    None,
    /// A member as the subscription names it.
    Member(Member),
    /// A member as the connection's own user.
    Oneself,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    Include,
    Exclude,
}

/// A claim that `digest` is HMAC-SHA256 of `message` under the secret of the app's key `key`.
/// The dialect finds it; only the gateway's `auth` holds secrets and judges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub key: String,
    pub message: String,
    /// Lower-case hex, as sent.
    pub digest: String,
}

impl Verb {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Publish { .. } => "publish",
            Self::SignIn { .. } => "sign-in",
        }
    }

    pub fn channel(&self) -> Option<&ChannelName> {
        match self {
            Self::Subscribe { channel, .. }
            | Self::Unsubscribe { channel }
            | Self::Publish { channel, .. } => Some(channel),
            Self::SignIn { .. } => None,
        }
    }
}

impl From<Verb> for Command {
    fn from(verb: Verb) -> Self {
        Self { id: None, verb }
    }
}
