//! What is due for a connection, once a second: probes, silence, unfinished messages, full queues.

use std::rc::Rc;
use std::time::Duration;

use model::CloseReason;

use crate::connection::Connection;
use crate::shard::Shard;
use crate::shard::ring::{NEVER, Tick};

/// Runs until the shard ends.
pub(super) async fn run(shard: Rc<Shard>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    // Seconds in which the whole machine stood still are nobody's silence: they are not caught up.
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = second.tick().await;
        shard.gateway.instruments.lag.record(due.elapsed().as_secs_f64(), &[]);
        advance(&shard);
    }
}

fn advance(shard: &Rc<Shard>) {
    let expired = shard.ring.borrow_mut().advance();
    let now = shard.now();
    for seat in expired {
        let connection = shard.table.borrow().get(seat).map(Rc::clone);
        // An earlier entry of the same connection may have taken this one's place.
        let Some(connection) = connection.filter(|c| c.clock.due.get() == now) else { continue };
        connection.clock.due.set(NEVER);
        match next(&connection, now) {
            Due::Close(reason) => connection.close(reason),
            Due::At(at) => shard.schedule(&connection, at),
        }
    }
}

enum Due {
    At(Tick),
    Close(CloseReason),
}

/// What has run out, or when to look again. Sends the probe when the silence asks for it.
fn next(connection: &Connection, now: Tick) -> Due {
    let (clock, limits) = (&connection.clock, &connection.shard.limits);
    let heartbeat = connection.protocol.heartbeat();
    let ticks = |span: Duration| Tick::try_from(span.as_secs()).unwrap_or(NEVER / 2);

    let mut at = now + ticks(heartbeat.idle);
    if let Some(since) = clock.assembling.get() {
        if now >= since + limits.message_ticks {
            return Due::Close(CloseReason::MessageTooSlow);
        }
        at = at.min(since + limits.message_ticks);
    }
    if let Some(since) = clock.stalled.get() {
        if now >= since + limits.stall_ticks {
            return Due::Close(CloseReason::SlowConsumer);
        }
        // While it does not take what we say we do not read it either, and cannot hear it answer.
        return Due::At(at.min(since + limits.stall_ticks));
    }
    let silent_until = clock.heard.get() + ticks(heartbeat.idle);
    match clock.probed.get() {
        Some(since) if now >= since + ticks(heartbeat.answer) => Due::Close(CloseReason::NoPong),
        Some(since) => Due::At(at.min(since + ticks(heartbeat.answer))),
        None if now >= silent_until => {
            clock.probed.set(Some(now));
            connection.probe();
            Due::At(at.min(now + ticks(heartbeat.answer)))
        }
        None => Due::At(at.min(silent_until)),
    }
}
