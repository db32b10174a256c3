//! Pusher's channel names: which are allowed, and what their prefixes demand.

use model::{Access, ChannelName, Reason, Refusal};

use crate::Convention;

/// What a channel's prefix says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) audience: Audience,
    pub(crate) cache: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Public,
    Private,
    /// Private, and its payloads are opaque to us: only the tenant's backend holds the key.
    Encrypted,
    Presence,
    /// Everyone who has signed in as one user.
    User,
}

/// Longer prefixes first: `private-` begins all but one of its neighbours.
const PREFIXES: [(&str, Audience, bool); 7] = [
    ("private-encrypted-cache-", Audience::Encrypted, true),
    ("private-encrypted-", Audience::Encrypted, false),
    ("private-cache-", Audience::Private, true),
    ("private-", Audience::Private, false),
    ("presence-cache-", Audience::Presence, true),
    ("presence-", Audience::Presence, false),
    ("cache-", Audience::Public, true),
];

impl Kind {
    pub(crate) fn of(channel: &ChannelName) -> Self {
        let name = channel.as_str();
        if name.starts_with('#') {
            return Self { audience: Audience::User, cache: false };
        }
        PREFIXES
            .iter()
            .find(|(prefix, ..)| name.starts_with(prefix))
            .map_or(Self { audience: Audience::Public, cache: false }, |(_, audience, cache)| {
                Self { audience: *audience, cache: *cache }
            })
    }

    /// Whether clients may send client events on it.
    pub(crate) fn takes_client_events(self) -> bool {
        match self.audience {
            Audience::Private | Audience::Presence => true,
            Audience::Public | Audience::Encrypted | Audience::User => false,
        }
    }

    pub(crate) fn convention(self) -> Convention {
        let (subscribe, publish) = match self.audience {
            Audience::Public => (Access::Anyone, Access::Anyone),
            Audience::Private | Audience::Presence => (Access::Signed, Access::Signed),
            // A client of another dialect has no key to encrypt with, so it could only do harm.
            Audience::Encrypted | Audience::User => (Access::Signed, Access::Server),
        };
        let presence = self.audience == Audience::Presence;
        Convention { subscribe, publish, presence, cache: self.cache }
    }
}

/// Reads a name as Pusher spells it: a subset of the hub's, and the channels of users.
pub(crate) fn name(text: &str) -> Result<ChannelName, Refusal> {
    if let Some(user) = ChannelName::user_in(text) {
        return Ok(ChannelName::of_user(&user));
    }
    ChannelName::parse(text)
        .ok()
        .filter(|name| !name.as_str().contains(['/', ':', '+']))
        .ok_or_else(|| Refusal::new(Reason::BadChannel, BAD_NAME))
}

const BAD_NAME: &str = "the channel's name must be 1 to 200 of A-Z a-z 0-9 _ - = @ , . ;";
