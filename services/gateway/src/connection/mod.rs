//! One client's connection as the whole shard sees it: a socket, what it has not taken, and why it
//! ends. The hub writes to it; only its own task reads from it, and takes it out of the hub.

pub(crate) mod assembly;
mod close;
pub(crate) mod outbox;
pub mod scanner;
mod task;

#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use model::{AppId, CloseReason, ConnectionId, UserId};
use protocol::Protocol;

use crate::app::App;
use crate::app::directory::verdict;
use crate::connection::outbox::{Outbox, Sent};
use crate::hub::Membership;
use crate::metrics::{DialectCounters, DialectIndex};
use crate::shard::Shard;
use crate::shard::ring::{NEVER, Seat, Tick};
use crate::transport::Transport;

pub(crate) use task::{Opened, Opening, Permits, begin, refuse, serve};

/// Last values that a handshake's channels may have for it.
const BEGINNING_BYTES_MAX: usize = 16 << 20;

/// Echo apps are sent extremes, and send them back.
const ECHO_QUEUE_BYTES_MAX: usize = 64 << 20;

/// Shared by the connection's task, the hub and the shard's timer; all on one thread.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) protocol: &'static dyn Protocol,
    pub(crate) shard: Rc<Shard>,
    pub(crate) app: Arc<App>,
    pub(crate) app_id: AppId,
    /// The public key that let it in, and the browser origin that it came from.
    pub(crate) key: Box<str>,
    pub(crate) origin: Option<Box<str>>,
    /// Its row in the shard's counters.
    dialect: DialectIndex,
    /// Who signed in, for the shard's table.
    pub(crate) user: Cell<Option<UserId>>,
    /// Comes with the upgrade; what is said before waits in the outbox.
    transport: OnceCell<Transport>,
    queue_bytes_max: usize,
    /// What the handshake's own channels had for it (their last values): the queue may be longer by
    /// so much until that has been written.
    beginning_bytes: Cell<usize>,
    outbox: RefCell<Outbox>,
    closing: Cell<Option<CloseReason>>,
    waker: Cell<Option<Waker>>,
    /// Where it sits in the hub, one entry a subscription.
    pub(crate) memberships: RefCell<Vec<Membership>>,
    pub(crate) clock: Clock,
    pub(crate) tally: Tally,
}

/// What is known of a client once it is let in.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) id: ConnectionId,
    pub(crate) protocol: &'static dyn Protocol,
    pub(crate) app: Arc<App>,
    pub(crate) key: Box<str>,
    pub(crate) origin: Option<Box<str>>,
}

/// When things last happened to a connection; read by the shard's timer.
#[derive(Debug)]
pub(crate) struct Clock {
    pub(crate) seat: Cell<Seat>,
    /// When the seat's next timer runs.
    pub(crate) due: Cell<Tick>,
    /// Anything came from the client.
    pub(crate) heard: Cell<Tick>,
    /// A probe was sent and not answered.
    pub(crate) probed: Cell<Option<Tick>>,
    /// A probe should be sent.
    pub(crate) probe_due: Cell<bool>,
    /// The open message began.
    pub(crate) assembling: Cell<Option<Tick>>,
    /// The queue last moved, while there is one.
    pub(crate) stalled: Cell<Option<Tick>>,
}

/// For the one log line at the connection's end.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) messages_in: Cell<u64>,
    pub(crate) messages_out: Cell<u64>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
    pub(crate) dropped: Cell<u64>,
}

impl Clock {
    fn new(now: Tick) -> Self {
        Self {
            seat: Cell::new(Seat { index: 0, generation: 0 }),
            due: Cell::new(NEVER),
            heard: Cell::new(now),
            probed: Cell::new(None),
            probe_due: Cell::new(false),
            assembling: Cell::new(None),
            stalled: Cell::new(None),
        }
    }
}

/// What a connection's task wakes up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Readable,
    Writable,
    Probe,
    Closing(CloseReason),
}

impl Connection {
    pub(crate) fn new(shard: Rc<Shard>, who: Who) -> Self {
        let clock = Clock::new(shard.now());
        let app = who.app.config();
        let queue_bytes_max =
            if app.echo { ECHO_QUEUE_BYTES_MAX } else { shard.limits.queue_bytes_max };
        Self {
            id: who.id,
            protocol: who.protocol,
            dialect: DialectIndex::of(who.protocol),
            shard,
            app_id: app.id,
            app: who.app,
            key: who.key,
            origin: who.origin,
            user: Cell::default(),
            transport: OnceCell::new(),
            queue_bytes_max,
            beginning_bytes: Cell::new(BEGINNING_BYTES_MAX),
            outbox: RefCell::default(),
            closing: Cell::new(None),
            waker: Cell::new(None),
            memberships: RefCell::default(),
            clock,
            tally: Tally::default(),
        }
    }

    /// The socket is ours now: what has been said is written.
    pub(crate) fn attach(&self, transport: Transport) {
        self.transport.set(transport).expect("a connection is upgraded once");
        self.flush();
    }

    /// The bound on what waits for this client now.
    fn waiting_bytes_max(&self) -> usize {
        self.queue_bytes_max + self.beginning_bytes.get()
    }

    fn transport(&self) -> &Transport {
        self.transport.get().expect("nothing is read or flushed before the upgrade")
    }

    /// Writes deliveries at once or queues them. A client that is closing is told nothing more.
    pub(crate) fn send(&self, frames: &Bytes, publications: u64) {
        self.count(self.give(frames, || frames.clone()), publications);
    }

    fn count(&self, given: bool, publications: u64) {
        let (counters, tally) = (self.counters(), &self.tally);
        if given {
            bump(&tally.messages_out, publications);
            counters.delivered.add(publications);
        } else {
            bump(&tally.dropped, publications);
            counters.dropped.add(publications);
        }
    }

    /// As [`Connection::send`], for a part of what others are told: a slow client keeps its own copy
    /// and does not hold the whole.
    pub(crate) fn send_part(&self, frames: &[u8], publications: u64) {
        self.count(self.give(frames, || Bytes::copy_from_slice(frames)), publications);
    }

    /// As [`Connection::send`], for what is said to this client alone.
    pub(crate) fn send_own(&self, frames: &[u8]) {
        self.give(frames, || Bytes::copy_from_slice(frames));
    }

    /// False if the client will not get it.
    fn give(&self, bytes: &[u8], keep: impl FnOnce() -> Bytes) -> bool {
        if self.closing.get().is_some() {
            return false;
        }
        if bytes.is_empty() {
            return true;
        }
        let mut outbox = self.outbox.borrow_mut();
        // One write may be larger than the queue should be (escaping makes JSON six times as long):
        // it closes only a client that was behind before.
        let waiting_bytes_max = self.waiting_bytes_max();
        let was_behind = outbox.bytes() > waiting_bytes_max / 2;
        match outbox.send(self.transport.get(), bytes, keep) {
            // TLS may hold what the socket did not take.
            Sent::All if self.transport().wants_write() => {
                drop(outbox);
                self.stall();
            }
            Sent::All => {}
            Sent::Queued if was_behind && outbox.bytes() > waiting_bytes_max => {
                drop(outbox);
                self.close(CloseReason::SlowConsumer);
                return false;
            }
            Sent::Queued => {
                drop(outbox);
                self.stall();
            }
            Sent::Gone => {
                drop(outbox);
                self.close(CloseReason::Gone);
                return false;
            }
        }
        bump(&self.tally.bytes_out, bytes.len() as u64);
        self.counters().bytes_out.add(bytes.len() as u64);
        true
    }

    /// Begins the end; the first reason counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        if self.closing.get().is_none() {
            self.closing.set(Some(reason));
            self.wake();
        }
    }

    /// Why its app would not let it stay, as the app is now.
    pub(crate) fn no_longer_conforms(&self) -> Option<CloseReason> {
        let origin = self.origin.as_deref();
        verdict(&self.key, &self.app.config(), self.protocol.name(), origin)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get().is_some()
    }

    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.closing.get()
    }

    /// Says why at once, where nobody will be left to say it later.
    pub(crate) fn last_words(&self, reason: CloseReason) {
        self.send_own(&close::last_words(&self.protocol.farewell(reason)));
    }

    pub(crate) fn counters(&self) -> &DialectCounters {
        self.shard.counters.row(self.dialect)
    }

    pub(crate) fn probe(&self) {
        self.clock.probe_due.set(true);
        self.wake();
    }

    /// The queue has something: its task must hear when the socket takes more, the timer must look.
    fn stall(&self) {
        if self.clock.stalled.get().is_none() {
            let now = self.shard.now();
            self.clock.stalled.set(Some(now));
            self.shard.schedule(self, now + self.shard.limits.stall_ticks);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits for something to do. Does not read while the client does not take its answers.
    async fn event(&self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(reason) = self.closing.get() {
            return Poll::Ready(Event::Closing(reason));
        }
        if self.clock.probe_due.take() {
            return Poll::Ready(Event::Probe);
        }
        let outbox = self.outbox.borrow();
        let unsent = !outbox.is_empty() || self.transport().wants_write();
        if !unsent {
            // A delivery may have flushed what TLS held, before this task got its turn.
            self.clock.stalled.set(None);
        }
        if unsent && self.transport().poll_writable(cx).is_ready() {
            return Poll::Ready(Event::Writable);
        }
        if outbox.bytes() <= self.waiting_bytes_max() / 2
            && self.transport().poll_readable(cx).is_ready()
        {
            return Poll::Ready(Event::Readable);
        }
        self.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Writes on what waits.
    pub(crate) fn flush(&self) {
        let (sent, before, after) = {
            let mut outbox = self.outbox.borrow_mut();
            let before = outbox.bytes();
            (outbox.flush(self.transport()), before, outbox.bytes())
        };
        self.beginning_bytes.set(self.beginning_bytes.get().min(after));
        match sent {
            Sent::All => self.clock.stalled.set(None),
            Sent::Queued if after < before => self.clock.stalled.set(Some(self.shard.now())),
            Sent::Queued => {}
            Sent::Gone => self.close(CloseReason::Gone),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(crate) fn bump(cell: &Cell<u64>, by: u64) {
    cell.set(cell.get() + by);
}
