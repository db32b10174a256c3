//! Identifiers, each its own type and checked when made.

use std::fmt;
use std::sync::Arc;

/// The decimal id of an app in server URLs (`/apps/<id>/...`); unique in an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId(pub u64);

/// The short name of an app in client URLs (`/a/<code>/...`): 1-32 of `a-z 0-9 -`, no `-` at an end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppCode(Arc<str>);

/// A channel's name as the hub knows it: 1-200 bytes of `A-Za-z0-9_-=@,.;:/+`. A dialect may allow
/// less, never more. Names that begin with `#` are Wharf's own ([`ChannelName::of_user`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// Where a channel lives. Two apps never share one: the app comes from the verified credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelKey {
    pub app: AppId,
    pub channel: ChannelName,
}

/// One accepted connection: 64 bits from a CSPRNG, written as `<high>.<low>` (Pusher's `socket_id`).
/// Never a counter: a channel signature must not fit another connection after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// An end user as the tenant knows it: 1-128 bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

/// The name of a publication's event: 1-200 bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventName(Arc<str>);

/// A publication's id, given at ingress: a UUID version 7, written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(pub u128);

/// Why a text is not an identifier; the text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    #[error("has a character that is not allowed")]
    Character,
    #[error("is not of the form <number>.<number>")]
    Form,
}

impl AppCode {
    pub const BYTES_MAX: usize = 32;

    pub fn parse(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        checked(text, Self::BYTES_MAX, allowed)?;
        if text.starts_with('-') || text.ends_with('-') {
            return Err(IdError::Character);
        }
        Ok(Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ChannelName {
    pub const BYTES_MAX: usize = 200;
    const OF_USER: &'static str = "#server-to-user-";

    pub fn parse(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-=@,.;:/+".contains(&b);
        checked(text, Self::BYTES_MAX, allowed)?;
        Ok(Self(Arc::from(text)))
    }

    /// The channel that reaches every connection which has signed in as `user`.
    pub fn of_user(user: &UserId) -> Self {
        Self(Arc::from(format!("{}{}", Self::OF_USER, user.as_str())))
    }

    /// The user whose channel this is, if it is one made by [`ChannelName::of_user`].
    pub fn user(&self) -> Option<UserId> {
        Self::user_in(&self.0)
    }

    /// The user in a client's spelling of a user channel (`#server-to-user-<id>`).
    pub fn user_in(text: &str) -> Option<UserId> {
        text.strip_prefix(Self::OF_USER).and_then(|id| UserId::parse(id).ok())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ChannelKey {
    pub fn new(app: AppId, channel: ChannelName) -> Self {
        Self { app, channel }
    }
}

impl ConnectionId {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (high, low) = text.split_once('.').ok_or(IdError::Form)?;
        let part = |digits: &str| {
            let canonical = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            canonical.then(|| digits.parse::<u32>().ok()).flatten().ok_or(IdError::Form)
        };
        Ok(Self(u64::from(part(high)?) << 32 | u64::from(part(low)?)))
    }
}

impl UserId {
    pub const BYTES_MAX: usize = 128;

    pub fn parse(text: &str) -> Result<Self, IdError> {
        printable(text, Self::BYTES_MAX)?;
        Ok(Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventName {
    pub const BYTES_MAX: usize = 200;

    pub fn parse(text: &str) -> Result<Self, IdError> {
        printable(text, Self::BYTES_MAX)?;
        Ok(Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 32, self.0 & u64::from(u32::MAX))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! display_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
display_as_text!(AppCode, ChannelName, UserId, EventName);

fn checked(text: &str, bytes_max: usize, allowed: impl Fn(u8) -> bool) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        n if n > bytes_max => Err(IdError::TooLong(bytes_max)),
        _ if !text.bytes().all(allowed) => Err(IdError::Character),
        _ => Ok(()),
    }
}

fn printable(text: &str, bytes_max: usize) -> Result<(), IdError> {
    checked(text, bytes_max, |_| true)?;
    if text.chars().any(char::is_control) { Err(IdError::Character) } else { Ok(()) }
}
