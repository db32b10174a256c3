//! The harness of the tests: real gateways, in this process or as processes of their own, clients
//! that speak to them over real sockets, and the ledger that judges what came of it.

pub mod client;
pub mod gateway;
pub mod http;
pub mod ledger;
pub mod metrics;
pub mod pusher_api;
pub mod seed;
pub mod wait;

pub use client::Client;
pub use gateway::{Gateway, Process};
pub use ledger::{Ledger, Receipts, Stamp};
pub use metrics::Metrics;
pub use pusher_api::PusherApi;
pub use seed::Random;
pub use wait::eventually;
