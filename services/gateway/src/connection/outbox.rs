//! What one client has not yet taken: empty, and without memory, unless the client is slow.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use crate::transport::{Transport, frame};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Whole frames, several to an item; of the first, `written` bytes are gone.
    queue: VecDeque<Bytes>,
    written: usize,
    /// Still to be written. Shared bytes are charged in full, so that the bound is real.
    bytes: usize,
}

/// What the socket did with what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    All,
    /// Some waits in the queue; the socket must become writable.
    Queued,
    /// The socket is broken.
    Gone,
}

impl Outbox {
    /// What the queue costs, each item with a flat share for keeping it.
    pub(crate) fn bytes(&self) -> usize {
        const ITEM_BYTES: usize = 64;
        self.bytes + self.queue.len() * ITEM_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes at once what the socket takes, if there is one already, behind what is waiting.
    /// `keep` makes the queue's copy of `bytes`, which costs nothing where they are shared.
    pub(crate) fn send(
        &mut self,
        transport: Option<&Transport>,
        bytes: &[u8],
        keep: impl FnOnce() -> Bytes,
    ) -> Sent {
        let mut written = 0;
        if let Some(transport) = transport.filter(|_| self.queue.is_empty()) {
            match write_all(transport, bytes) {
                Ok(n) if n == bytes.len() => return Sent::All,
                Ok(n) => written = n,
                Err(_) => return Sent::Gone,
            }
            self.written = written;
        }
        self.bytes += bytes.len() - written;
        self.queue.push_back(keep());
        Sent::Queued
    }

    /// Writes on.
    pub(crate) fn flush(&mut self, transport: &Transport) -> Sent {
        while let Some(front) = self.queue.front() {
            let rest = &front[self.written..];
            match write_all(transport, rest) {
                Ok(n) => {
                    self.bytes -= n;
                    self.written += n;
                    if n < rest.len() {
                        return Sent::Queued;
                    }
                }
                Err(_) => return Sent::Gone,
            }
            self.queue.pop_front();
            self.written = 0;
        }
        // A queue that was needed once is not kept: most clients are never slow again.
        self.queue = VecDeque::new();
        match transport.flush() {
            Ok(()) => Sent::All,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Sent::Queued,
            Err(_) => Sent::Gone,
        }
    }

    /// Drops every frame of which nothing has been written, so that a close frame can follow.
    pub(crate) fn cut(&mut self) {
        self.queue.truncate(1);
        match self.queue.front_mut() {
            Some(front) if self.written > 0 => {
                front.truncate(frame::boundary(front, self.written));
                self.bytes = front.len() - self.written;
            }
            _ => {
                self.queue.clear();
                self.bytes = 0;
            }
        }
    }
}

/// Writes until all is written or the socket is full, which is no error.
fn write_all(transport: &Transport, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match transport.try_write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) => return Err(e),
        }
    }
    Ok(written)
}
