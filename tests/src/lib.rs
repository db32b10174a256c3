//! The harness of the tests: real gateways, in this process or as processes of their own, and
//! clients that speak to them over real sockets.

pub mod client;
pub mod gateway;

pub use client::Client;
pub use gateway::{Gateway, Process};
