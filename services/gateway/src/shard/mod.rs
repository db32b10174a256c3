//! One OS thread with its own listener, hub and connections. A connection lives its whole life on
//! one shard; what comes from elsewhere comes through the shard's inbox.

mod drain;
pub(crate) mod inbox;
pub(crate) mod ring;
mod table;
mod timer;
mod work;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use broker::ShardId;

use crate::Gateway;
use crate::connection::Connection;
use crate::connection::assembly::{FrameLimits, SpareContext};
use crate::hub::Hub;
use crate::metrics::ShardCounters;
use crate::shard::inbox::Inbox;
use crate::shard::ring::{Ring, Seat, Tick};
use crate::shard::table::Table;

pub(crate) use work::start;

/// Everything that the tasks of one shard share. Single-threaded: no borrow outlives a statement
/// that may wait.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<ShardCounters>,
    pub(crate) hub: RefCell<Hub>,
    table: RefCell<Table>,
    ring: RefCell<Ring>,
    /// Bytes of one read: the only read buffer of all connections.
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) spare: RefCell<SpareContext>,
    /// Where frames for one connection are encoded.
    pub(crate) encoding: RefCell<Vec<u8>>,
    draining: Cell<bool>,
    tasks: Cell<usize>,
}

/// What the shard's own code asks on every message, in the form in which it asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) frames: FrameLimits,
    /// Of echo apps, which exist to be sent extremes.
    pub(crate) echo_frames: FrameLimits,
    pub(crate) frames_per_second: u32,
    pub(crate) control_frames_per_second: u32,
    pub(crate) queue_bytes_max: usize,
    pub(crate) stall_ticks: Tick,
    pub(crate) message_ticks: Tick,
    pub(crate) errors_max: u32,
    pub(crate) errors_window: Tick,
}

impl Shard {
    const SCRATCH_BYTES: usize = 32 * 1024;

    pub(crate) fn new(gateway: Arc<Gateway>, id: ShardId) -> Rc<Self> {
        let counters = Arc::clone(gateway.counters.shard(id));
        Rc::new(Self {
            id,
            limits: gateway.config.limits_of_a_shard(),
            gateway,
            counters,
            hub: RefCell::default(),
            table: RefCell::default(),
            ring: RefCell::new(Ring::new()),
            scratch: RefCell::new(vec![0; Self::SCRATCH_BYTES]),
            spare: RefCell::default(),
            encoding: RefCell::default(),
            draining: Cell::new(false),
            tasks: Cell::new(0),
        })
    }

    pub(crate) fn now(&self) -> Tick {
        self.ring.borrow().now()
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        self.gateway.inboxes.of(self.id)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Gives a connection its seat, until [`Shard::remove`].
    pub(crate) fn insert(&self, connection: &Rc<Connection>) -> Seat {
        let seat = self.table.borrow_mut().insert(Rc::clone(connection));
        connection.clock.seat.set(seat);
        seat
    }

    pub(crate) fn remove(&self, connection: &Connection) {
        let seat = connection.clock.seat.get();
        let mut table = self.table.borrow_mut();
        if let Some(user) = connection.user.take() {
            table.sign_out(connection.app_id, &user, seat);
        }
        table.remove(seat);
    }

    pub(crate) fn sign_in(&self, connection: &Connection, user: model::UserId) {
        let (app, seat) = (connection.app_id, connection.clock.seat.get());
        self.table.borrow_mut().sign_in(app, user.clone(), seat);
        connection.user.set(Some(user));
    }

    /// Has the timer look at a connection at `at`, if it would not look earlier anyway.
    pub(crate) fn schedule(&self, connection: &Connection, at: Tick) {
        if at < connection.clock.due.get() {
            let at = self.ring.borrow_mut().insert(connection.clock.seat.get(), at);
            connection.clock.due.set(at);
        }
    }

    /// Starts a task for a client: a drain waits for it, and its panic ends nothing but itself.
    pub(crate) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let running = Running::new(self);
        self.spawn_for_life(async move {
            let _running = running;
            task.await;
        });
    }

    /// Starts a task that ends with the shard.
    #[expect(clippy::disallowed_methods, reason = "the one place where a shard's tasks start")]
    fn spawn_for_life(&self, task: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(task));
    }

    /// Tasks of clients: handshakes, requests, connections and their farewells.
    fn tasks(&self) -> usize {
        self.tasks.get()
    }
}

/// Counts a task while it lives.
struct Running(Rc<Shard>);

impl Running {
    fn new(shard: &Rc<Shard>) -> Self {
        shard.tasks.set(shard.tasks.get() + 1);
        Self(Rc::clone(shard))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.tasks.set(self.0.tasks.get() - 1);
    }
}
