//! Why a request failed while its connection lives.

use std::sync::Arc;
use std::time::Duration;

/// A refused request. It has no `String` and no source: nothing internal can be put into what a
/// client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// What was wrong and what to do about it, for a person.
    pub detail: &'static str,
    pub retry_after: Option<Duration>,
    /// Which rule and clause decided; told to clients of development apps only.
    pub decision: Option<Decision>,
}

/// The channel rule that decided, and its clause (`subscribe = signed`, say).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub pattern: Arc<str>,
    pub clause: &'static str,
}

/// The one word for a failure in client protocols, API, logs, metrics and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// It could not be read.
    BadMessage,
    /// A message kind or verb that the dialect does not have.
    UnknownType,
    BadChannel,
    BadEvent,
    /// A credential is missing or does not hold.
    Unauthorized,
    /// The rule says no.
    Forbidden,
    NotSubscribed,
    NotFound,
    /// A key was used again with other content.
    Conflict,
    TooLarge,
    /// A bound on a number of things: channels, members, items of a batch.
    LimitExceeded,
    RateLimited,
    IdempotencyFull,
    /// It may work later: the broker is away or full.
    Unavailable,
}

impl Refusal {
    pub fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail, retry_after: None, decision: None }
    }

    pub fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// Whole seconds after which it works, at least 1: rounded up, or who obeys comes too early.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let up = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after.map(|wait| up(wait).max(1))
    }
}

impl Reason {
    pub const ALL: [Self; 14] = [
        Self::BadMessage,
        Self::UnknownType,
        Self::BadChannel,
        Self::BadEvent,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotSubscribed,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::LimitExceeded,
        Self::RateLimited,
        Self::IdempotencyFull,
        Self::Unavailable,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::BadMessage => "bad_message",
            Self::UnknownType => "unknown_type",
            Self::BadChannel => "bad_channel",
            Self::BadEvent => "bad_event",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotSubscribed => "not_subscribed",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::LimitExceeded => "limit_exceeded",
            Self::RateLimited => "rate_limited",
            Self::IdempotencyFull => "idempotency_full",
            Self::Unavailable => "unavailable",
        }
    }
}
