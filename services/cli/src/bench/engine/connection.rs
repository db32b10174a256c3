//! The record of one connection: a descriptor, a state, and a leftover only while there is one.

use mio::{Registry, net::TcpStream};

use crate::bench::{endpoint::Role, frame::Partial, stamp::Order};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    /// The upgrade was asked for.
    Upgrading,
    /// The dialect's own words are being exchanged.
    Joining,
    Ready,
    /// A publisher without a WebSocket.
    Http,
    Ended,
}

#[derive(Debug)]
pub(super) struct Connection {
    /// `None` once it has ended.
    pub(super) stream: Option<TcpStream>,
    pub(super) state: State,
    pub(super) role: Role,
    pub(super) order: Order,
    pub(super) partial: Option<Box<Partial>>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, role: Role) -> Self {
        Self {
            stream: Some(stream),
            state: State::Connecting,
            role,
            order: Order::default(),
            partial: None,
        }
    }

    pub(super) fn end(&mut self, registry: &Registry) {
        if let Some(mut stream) = self.stream.take() {
            // Fails for one that is no longer read, which is registered no more.
            let _ = registry.deregister(&mut stream);
        }
        self.state = State::Ended;
        self.partial = None;
    }
}

// mio adds bookkeeping of its own to a stream in debug builds.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Connection>() <= 40, "a connection is to cost a few bytes");
