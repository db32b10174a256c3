//! The API against its promises: its parts by themselves, and a started gateway by its socket.

mod calls;
mod document;
mod idempotency;
mod routes;
mod rows;
mod server;
mod subscribers;
mod trace;
