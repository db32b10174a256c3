//! A shard's thread: starts its listeners and timer, then moves deliveries until it is drained.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use broker::ShardId;
use opentelemetry::KeyValue;
use tokio::runtime::{Builder, LocalOptions};
use tokio::time::Instant;

use crate::hub::audience::{SENDS_PER_TURN, Step};
use crate::shard::inbox::{Item, Order, Whom, reserved};
use crate::shard::{Shard, drain, timer};
use crate::{Gateway, http};

/// Between signs of life of an idle shard; `/healthz` misses them after 5 s.
const BEAT: Duration = Duration::from_secs(1);

/// Starts a shard's thread on listeners that are bound and not yet registered with a runtime.
pub(crate) fn start(
    gateway: Arc<Gateway>,
    id: ShardId,
    listeners: Vec<std::net::TcpListener>,
) -> io::Result<JoinHandle<()>> {
    let name = format!("shard-{}", id.0);
    std::thread::Builder::new().name(name).spawn(move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .expect("a runtime needs only descriptors, which were checked at start");
        runtime.block_on(run(gateway, id, listeners));
    })
}

async fn run(gateway: Arc<Gateway>, id: ShardId, listeners: Vec<std::net::TcpListener>) {
    let _ending = Ending(Arc::clone(&gateway), id);
    let shard = Shard::new(gateway, id);
    let listeners: Vec<_> = listeners
        .into_iter()
        .map(tokio::net::TcpListener::from_std)
        .collect::<Result<_, _>>()
        .expect("a listener that is bound and non-blocking registers");
    for listener in listeners {
        shard.spawn_for_life(http::accept(Rc::clone(&shard), listener));
    }
    shard.spawn_for_life(timer::run(Rc::clone(&shard)));
    work(&shard).await;
}

/// Closes the inbox when the shard ends, in good order or by a panic: nobody waits for its answers.
struct Ending(Arc<Gateway>, ShardId);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.inboxes.of(self.1).close();
    }
}

/// The shard's loop. Ends when the shard was told to drain and has.
async fn work(shard: &Rc<Shard>) {
    let beat = shard.gateway.health.register(format!("shard-{}", shard.id.0));
    let mut items = VecDeque::new();
    let (drained, mut has_drained) = tokio::sync::oneshot::channel();
    let mut drained = Some(drained);
    loop {
        beat.touch();
        shard.inbox().take(&mut items);
        for item in items.drain(..) {
            match item {
                Item::Delivery(delivery, since) => deliver(shard, delivery, since),
                Item::Drain => {
                    if let Some(drained) = drained.take() {
                        begin_drain(shard, drained);
                    }
                }
                Item::Order(order) => {
                    // What was said before someone is sent away is told before.
                    while matches!(order, Order::Disconnect { .. }) && turn(shard) {
                        beat.touch();
                        tokio::task::yield_now().await;
                    }
                    obey(shard, order);
                }
            }
        }
        if turn(shard) {
            // Lets reads, timers and handshakes in between: fairness costs nothing here.
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = shard.inbox().filled() => {}
            () = tokio::time::sleep(BEAT) => {}
            _ = &mut has_drained => return,
        }
    }
}

fn deliver(shard: &Shard, delivery: Arc<model::Delivery>, since: Option<Instant>) {
    let bytes = reserved(&delivery);
    if !shard.hub.borrow_mut().deliver(delivery, since) {
        shard.inbox().release(bytes);
    }
}

/// One turn of writes; false if there was nothing to write.
fn turn(shard: &Shard) -> bool {
    // A pass is one write: well within what a healthy client's queue may hold.
    let pass_bytes_max = shard.limits.queue_bytes_max / 4;
    let mut sends = 0;
    let mut hub = shard.hub.borrow_mut();
    while sends < SENDS_PER_TURN {
        let Some(step) = hub.step(pass_bytes_max) else { break };
        let Step { sends: sent, released, since } = step;
        shard.inbox().release(released);
        if let Some(since) = since {
            let path = [KeyValue::new("wharf.path", "local")];
            shard.gateway.instruments.delivery.record(since.elapsed().as_secs_f64(), &path);
        }
        // Audiences without a member for it take a turn too, or a million of them would be one.
        sends += sent.max(1);
    }
    shard.counters.gauge(hub.subscriptions(), hub.channels());
    sends > 0
}

fn begin_drain(shard: &Rc<Shard>, drained: tokio::sync::oneshot::Sender<()>) {
    shard.draining.set(true);
    let this = Rc::clone(shard);
    shard.spawn_for_life(async move {
        drain::run(this).await;
        let _ = drained.send(());
    });
}

fn obey(shard: &Shard, order: Order) {
    match order {
        Order::Disconnect { app, whom, reason, done } => {
            let table = shard.table.borrow();
            let hit = match &whom {
                Whom::User(user) => table.of_user(app, user),
                Whom::Connection(id) => table.find(app, *id).map(Rc::clone).into_iter().collect(),
            };
            for connection in &hit {
                connection.close(reason);
            }
            let _ = done.send(hit.len());
        }
        Order::Reconcile { done } => {
            let mut hit = 0;
            for connection in shard.table.borrow().iter() {
                if let Some(reason) = connection.no_longer_conforms() {
                    connection.close(reason);
                    hit += 1;
                }
            }
            let _ = done.send(hit);
        }
    }
}
