//! Why a connection ends. A closed list: every dialect answers for each in its own words.

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CloseReason {
    /// The client said goodbye.
    ClientClosed,
    /// The network took it: reset, or end of stream without a close frame.
    Gone,
    /// This gateway is shutting down; another will serve.
    Draining,
    /// It reads more slowly than its channels speak, beyond the queue's bound.
    SlowConsumer,
    /// It did not answer a heartbeat.
    NoPong,
    /// RFC 6455 was broken.
    ProtocolViolation,
    /// A kind of message that the dialect does not carry.
    UnsupportedData,
    /// Text that is not UTF-8.
    InvalidText,
    /// A frame or message beyond its bound.
    MessageTooBig,
    /// A message that took too long to finish, or came in too many fragments.
    MessageTooSlow,
    /// A message that the dialect cannot read, where the dialect has no softer answer.
    BadMessage,
    /// Too many messages that could not be read, within a minute or so.
    TooManyErrors,
    /// Frames or commands beyond the rate, for too long.
    RateLimited,
    /// The app has all the connections it may have.
    ConnectionQuota,
    /// This gateway has all the connections it may have, or too many new ones.
    Overloaded,
    /// No such app or key.
    UnknownApp,
    /// The app is switched off.
    AppDisabled,
    /// The app does not speak this dialect.
    DialectDisabled,
    /// The dialect's version is missing.
    VersionMissing,
    /// The dialect's version is not a number.
    VersionInvalid,
    /// The dialect's version is one that we do not speak.
    VersionUnsupported,
    /// The browser's origin is not on the app's list.
    OriginRefused,
    /// The credential does not hold.
    Unauthorized,
    /// The credential holds, the channel's rule says no.
    Forbidden,
    /// The credential was good once.
    Expired,
    /// The key that let it in no longer exists.
    KeyRevoked,
    /// The tenant's backend ended it.
    Terminated,
    /// Our fault: a panic ended the connection.
    Internal,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    Client,
    Server,
    Network,
}

impl CloseReason {
    pub const ALL: [Self; 28] = [
        Self::ClientClosed,
        Self::Gone,
        Self::Draining,
        Self::SlowConsumer,
        Self::NoPong,
        Self::ProtocolViolation,
        Self::UnsupportedData,
        Self::InvalidText,
        Self::MessageTooBig,
        Self::MessageTooSlow,
        Self::BadMessage,
        Self::TooManyErrors,
        Self::RateLimited,
        Self::ConnectionQuota,
        Self::Overloaded,
        Self::UnknownApp,
        Self::AppDisabled,
        Self::DialectDisabled,
        Self::VersionMissing,
        Self::VersionInvalid,
        Self::VersionUnsupported,
        Self::OriginRefused,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Expired,
        Self::KeyRevoked,
        Self::Terminated,
        Self::Internal,
    ];

    /// The one word for it in client protocols, API, logs, metrics and docs.
    pub fn word(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::Gone => "gone",
            Self::Draining => "draining",
            Self::SlowConsumer => "slow_consumer",
            Self::NoPong => "no_pong",
            Self::ProtocolViolation => "protocol_violation",
            Self::UnsupportedData => "unsupported_data",
            Self::InvalidText => "invalid_text",
            Self::MessageTooBig => "message_too_big",
            Self::MessageTooSlow => "message_too_slow",
            Self::BadMessage => "bad_message",
            Self::TooManyErrors => "too_many_errors",
            Self::RateLimited => "rate_limited",
            Self::ConnectionQuota => "connection_quota",
            Self::Overloaded => "overloaded",
            Self::UnknownApp => "unknown_app",
            Self::AppDisabled => "app_disabled",
            Self::DialectDisabled => "dialect_disabled",
            Self::VersionMissing => "version_missing",
            Self::VersionInvalid => "version_invalid",
            Self::VersionUnsupported => "version_unsupported",
            Self::OriginRefused => "origin_refused",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Expired => "expired",
            Self::KeyRevoked => "key_revoked",
            Self::Terminated => "terminated",
            Self::Internal => "internal",
        }
    }

    pub fn initiator(self) -> Initiator {
        match self {
            Self::ClientClosed => Initiator::Client,
            Self::Gone => Initiator::Network,
            _ => Initiator::Server,
        }
    }
}
