//! An app's checked configuration: an isolated namespace of channels with its own keys and limits.

use std::fmt;
use std::time::Duration;

use crate::id::{AppCode, AppId};
use crate::rule::RuleSet;

/// An app as the gateway serves it. Made only from checked input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub id: AppId,
    pub code: AppCode,
    pub state: AppState,
    pub environment: Environment,
    /// Names of the dialects it speaks (`protocol::Protocol::name`).
    pub dialects: Vec<&'static str>,
    /// Exact browser origins, normalised; empty: any, since a key is publishable.
    pub origins: Vec<String>,
    /// Answers each raw message with itself; development apps only.
    pub echo: bool,
    /// Whether Pusher clients may send client events.
    pub client_events: bool,
    /// Whether subscribers are told how many they are.
    pub subscription_counts: bool,
    pub keys: Vec<SigningKey>,
    pub api_keys: Vec<ApiKey>,
    pub limits: AppLimits,
    pub rules: RuleSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppState {
    Active,
    Disabled,
}

/// A development app gets errors that say which rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Development,
    Production,
}

/// A public key and the secret that signs for it (Pusher's key and secret).
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub key: String,
    pub secret: Vec<u8>,
}

/// A bearer key of our own HTTP API; only the hash of its secret is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub key_id: String,
    pub sha256: [u8; 32],
}

/// What one app may use. Per gateway now; the numbers' source changes when they hold cluster-wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppLimits {
    pub connections_max: u32,
    pub connects_per_second: u32,
    /// Of all clients and the API together.
    pub publishes_per_second: u32,
    pub publishes_per_second_per_connection: u32,
    /// Pusher client events of one connection.
    pub client_events_per_second: u32,
    pub channels_per_connection_max: u32,
    /// Channels that exist at once.
    pub channels_max: u32,
    /// Distinct users in one channel.
    pub presence_members_max: u32,
    pub payload_bytes_max: usize,
    /// History of all channels together.
    pub history_bytes_max: usize,
    /// How long a channel's last value is kept.
    pub cache_age: Duration,
}

impl Default for AppLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connects_per_second: 500,
            publishes_per_second: 5_000,
            publishes_per_second_per_connection: 50,
            client_events_per_second: 10,
            channels_per_connection_max: 200,
            channels_max: 100_000,
            presence_members_max: 100,
            payload_bytes_max: 64 * 1024,
            history_bytes_max: 64 * 1024 * 1024,
            cache_age: Duration::from_secs(30 * 60),
        }
    }
}

impl App {
    pub fn key(&self, key: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|candidate| candidate.key == key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
