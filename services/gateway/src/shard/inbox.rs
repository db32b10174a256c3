//! What other threads put before a shard: deliveries of the broker and orders of the gateway, in
//! one queue, so that both keep their order. The only lock that a shard shares.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use broker::{DeliverySink, InboxFull, ShardId, ShardSet};
use model::{AppId, CloseReason, ConnectionId, Delivery, Push, UserId};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Of so many publications one is timed, whatever their channels.
const SAMPLED: u128 = 64;

/// Every shard's inbox: the broker's [`DeliverySink`], and the way to reach all shards at once.
#[derive(Debug)]
pub(crate) struct Inboxes {
    inboxes: Vec<Inbox>,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    /// `None` once the shard has ended: nobody will take anything any more.
    queue: Mutex<Option<VecDeque<Item>>>,
    /// Of publications that were accepted and are not yet written to every subscriber.
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Whether the shard has been woken for what is in the queue: one wake a batch, not an item.
    woken: AtomicBool,
    wake: Notify,
}

#[derive(Debug)]
pub(crate) enum Item {
    /// With the time of its acceptance, for one publication in [`SAMPLED`].
    Delivery(Arc<Delivery>, Option<Instant>),
    Order(Order),
    /// Stop accepting and close everyone over the window.
    Drain,
}

/// What the gateway asks of every shard; `done` is told how many connections were hit.
#[derive(Debug)]
pub(crate) enum Order {
    /// Close some connections of one app.
    Disconnect { app: AppId, whom: Whom, reason: CloseReason, done: oneshot::Sender<usize> },
    /// The apps have changed: close whoever no longer conforms.
    Reconcile { done: oneshot::Sender<usize> },
}

#[derive(Clone, Debug)]
pub(crate) enum Whom {
    User(UserId),
    Connection(ConnectionId),
}

impl Inboxes {
    pub(crate) fn new(shards: usize, bytes_max: usize) -> Self {
        let inbox = || Inbox {
            queue: Mutex::new(Some(VecDeque::new())),
            bytes: AtomicUsize::new(0),
            bytes_max,
            woken: AtomicBool::new(false),
            wake: Notify::new(),
        };
        Self { inboxes: std::iter::repeat_with(inbox).take(shards).collect() }
    }

    pub(crate) fn of(&self, shard: ShardId) -> &Inbox {
        &self.inboxes[usize::from(shard.0)]
    }

    /// Gives every shard an order and sums what they answer.
    pub(crate) async fn order(&self, order: impl Fn(oneshot::Sender<usize>) -> Order) -> usize {
        let answers: Vec<_> = self
            .inboxes
            .iter()
            .map(|inbox| {
                let (done, answer) = oneshot::channel();
                inbox.put(Item::Order(order(done)));
                answer
            })
            .collect();
        let mut sum = 0;
        for answer in answers {
            // A shard that has stopped has no connection left to count.
            sum += answer.await.unwrap_or(0);
        }
        sum
    }

    /// Of all shards together.
    pub(crate) fn bytes(&self) -> u64 {
        self.inboxes.iter().map(|inbox| inbox.bytes.load(Ordering::Relaxed) as u64).sum()
    }

    pub(crate) fn drain(&self) {
        for inbox in &self.inboxes {
            inbox.put(Item::Drain);
        }
    }
}

impl DeliverySink for Inboxes {
    fn reserve(&self, shards: ShardSet, bytes: usize) -> Result<(), InboxFull> {
        for shard in shards.iter() {
            let inbox = self.of(shard);
            let before = inbox.bytes.fetch_add(bytes, Ordering::Relaxed);
            // An empty inbox takes anything, or a publication above the bound could never pass.
            if before != 0 && before + bytes > inbox.bytes_max {
                for taken in shards.iter().take_while(|&taken| taken <= shard) {
                    self.of(taken).bytes.fetch_sub(bytes, Ordering::Relaxed);
                }
                return Err(InboxFull);
            }
        }
        Ok(())
    }

    fn deliver(&self, shards: ShardSet, delivery: Arc<Delivery>) {
        let since = is_timed(&delivery).then(Instant::now);
        for shard in shards.iter() {
            self.of(shard).put(Item::Delivery(Arc::clone(&delivery), since));
        }
    }
}

impl Item {
    /// Room that was reserved for it.
    fn reserved(&self) -> usize {
        match self {
            Self::Delivery(delivery, _) => reserved(delivery),
            Self::Order(_) | Self::Drain => 0,
        }
    }
}

/// Room that the broker reserved for a delivery: publications have some, edges and counts none.
pub(crate) fn reserved(delivery: &Delivery) -> usize {
    match delivery.push {
        Push::Publication(_) => delivery.cost_bytes(),
        Push::MemberAdded(_) | Push::MemberRemoved(_) | Push::SubscriptionCount(_) => 0,
    }
}

fn is_timed(delivery: &Delivery) -> bool {
    // The low bits of a message id are random.
    matches!(&delivery.push, Push::Publication(p) if p.id.0 % SAMPLED == 0)
}

impl Inbox {
    fn put(&self, item: Item) {
        match &mut *self.queue.lock() {
            Some(queue) => queue.push_back(item),
            // An order's `done` is dropped with it, which answers whoever waits for it.
            None => return self.release(item.reserved()),
        }
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Takes all that is there; `into` is empty and lends its memory.
    pub(crate) fn take(&self, into: &mut VecDeque<Item>) {
        self.woken.store(false, Ordering::Release);
        if let Some(queue) = &mut *self.queue.lock() {
            std::mem::swap(queue, into);
        }
    }

    /// The shard has ended, also by a panic.
    pub(crate) fn close(&self) {
        let rest = self.queue.lock().take();
        self.release(rest.iter().flatten().map(Item::reserved).sum());
    }

    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// Gives back the room of publications that have been written.
    pub(crate) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
