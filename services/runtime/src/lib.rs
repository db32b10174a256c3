//! What every Wharf process does the same way: configuration, logs and metrics, tasks, signals and
//! the admin listener. It depends on nothing of ours and knows nothing of channels or connections.

pub mod admin;
pub mod chain;
pub mod clock;
pub mod config;
pub mod secret;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;

#[cfg(test)]
mod tests;

pub use chain::chain;
pub use config::{ByteSize, Span};
pub use secret::Secret;
pub use tasks::Tasks;
