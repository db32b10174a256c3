//! Every series of this process. Hot paths add to plain atomics, one block a shard, which
//! observable instruments read; what is rare is recorded directly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::ShardId;
use model::{CloseReason, Reason};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter as Instrument, Histogram, Meter};
use protocol::{PROTOCOLS, Protocol};

/// A number that one shard adds to and others only read: its line of cache stays with the shard.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        // Only one thread adds, so that no locked instruction is needed.
        self.0.store(self.0.load(Ordering::Relaxed) + by, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A dialect's row in the counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DialectIndex(u8);

impl DialectIndex {
    pub(crate) fn of(protocol: &dyn Protocol) -> Self {
        let row = PROTOCOLS.iter().position(|known| known.name() == protocol.name());
        Self(u8::try_from(row.expect("every dialect is in PROTOCOLS")).expect("fewer than 256"))
    }
}

#[derive(Debug, Default)]
pub(crate) struct DialectCounters {
    pub(crate) opened: Counter,
    closed: [Counter; CloseReason::ALL.len()],
    rejected: [Counter; CloseReason::ALL.len()],
    /// By verb, accepted and refused.
    received: [[Counter; 2]; VERBS.len()],
    pub(crate) delivered: Counter,
    pub(crate) dropped: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
}

/// What clients send, as `wharf.operation`.
const VERBS: [&str; 5] = ["subscribe", "unsubscribe", "publish", "sign-in", "message"];

/// What one shard counts.
#[derive(Debug)]
pub(crate) struct ShardCounters {
    dialects: Vec<DialectCounters>,
    subscriptions: Counter,
    channels: Counter,
}

#[derive(Debug)]
pub(crate) struct Counters {
    shards: Vec<Arc<ShardCounters>>,
}

impl DialectCounters {
    pub(crate) fn closed(&self, reason: CloseReason) {
        self.closed[index(reason)].add(1);
    }

    /// A client that was turned away with a close code or a status.
    pub(crate) fn rejected(&self, reason: CloseReason) {
        self.rejected[index(reason)].add(1);
    }

    pub(crate) fn received(&self, verb: &str, accepted: bool) {
        let row = VERBS.iter().position(|known| *known == verb).unwrap_or(VERBS.len() - 1);
        self.received[row][usize::from(!accepted)].add(1);
    }
}

impl ShardCounters {
    pub(crate) fn of(&self, protocol: &dyn Protocol) -> &DialectCounters {
        self.row(DialectIndex::of(protocol))
    }

    pub(crate) fn row(&self, dialect: DialectIndex) -> &DialectCounters {
        &self.dialects[usize::from(dialect.0)]
    }

    pub(crate) fn gauge(&self, subscriptions: u64, channels: u64) {
        self.subscriptions.set(subscriptions);
        self.channels.set(channels);
    }
}

impl Counters {
    pub(crate) fn new(shards: usize) -> Self {
        let shard = || {
            let dialects = PROTOCOLS.iter().map(|_| DialectCounters::default()).collect();
            let (subscriptions, channels) = (Counter::default(), Counter::default());
            Arc::new(ShardCounters { dialects, subscriptions, channels })
        };
        Self { shards: std::iter::repeat_with(shard).take(shards).collect() }
    }

    pub(crate) fn shard(&self, id: ShardId) -> &Arc<ShardCounters> {
        &self.shards[usize::from(id.0)]
    }

    fn sum(&self, dialect: usize, of: impl Fn(&DialectCounters) -> u64) -> u64 {
        self.shards.iter().map(|shard| of(&shard.dialects[dialect])).sum()
    }

    fn sum_of_shards(&self, of: impl Fn(&ShardCounters) -> u64) -> u64 {
        self.shards.iter().map(|shard| of(shard)).sum()
    }
}

/// Instruments for what is rare enough to be recorded as it happens.
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(crate) handshake: Histogram<f64>,
    pub(crate) api_request: Histogram<f64>,
    /// Sampled: one publication in 64.
    pub(crate) delivery: Histogram<f64>,
    pub(crate) lag: Histogram<f64>,
    quota_rejected: Instrument<u64>,
    pub(crate) config_rejected: Instrument<u64>,
    /// Sockets beyond `sockets_per_address_max`.
    pub(crate) socket_rejected: Instrument<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        const FAST: [f64; 12] =
            [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0];
        let seconds = |name: &'static str, help: &'static str| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(help);
            builder.with_boundaries(FAST.to_vec()).build()
        };
        Self {
            handshake: seconds("wharf.gateway.handshake.duration", "From request to upgrade."),
            api_request: seconds("http.server.request.duration", "Of the server-side HTTP APIs."),
            delivery: seconds(
                "wharf.message.delivery.duration",
                "From acceptance to the last local subscriber's write; one publication in 64.",
            ),
            lag: seconds("wharf.gateway.runtime.lag", "How late a shard's one-second timer ran."),
            quota_rejected: meter
                .u64_counter("wharf.gateway.quota.rejected")
                .with_description("Requests refused by a limit, by its reason.")
                .build(),
            socket_rejected: meter
                .u64_counter("wharf.gateway.socket.rejected")
                .with_description("Sockets closed at once: too many of one address.")
                .build(),
            config_rejected: meter
                .u64_counter("wharf.gateway.config.rejected")
                .with_description("Reloads of apps.toml that were refused; the old apps stay.")
                .build(),
        }
    }

    pub(crate) fn refused(&self, reason: Reason) {
        if matches!(reason, Reason::RateLimited | Reason::LimitExceeded | Reason::TooLarge) {
            self.quota_rejected.add(1, &[KeyValue::new("wharf.reason", reason.word())]);
        }
    }
}

/// Shows the counters, and `connections_max`, to the meter.
pub(crate) fn observe(meter: &Meter, gateway: &Arc<crate::Gateway>) {
    let counters = &gateway.counters;
    by_dialect(meter, counters, "wharf.gateway.connection.opened", "{connection}", |d| {
        d.opened.get()
    });
    by_dialect(meter, counters, "wharf.gateway.message.delivered", "{message}", |d| {
        d.delivered.get()
    });
    by_dialect(meter, counters, "wharf.gateway.message.dropped", "{message}", |d| d.dropped.get());
    observe_active(meter, counters);
    observe_reasons(meter, counters);
    observe_received(meter, counters);
    observe_bytes(meter, counters);
    observe_gauges(meter, gateway);
}

fn protocol_of(dialect: usize) -> KeyValue {
    KeyValue::new("wharf.protocol", PROTOCOLS[dialect].name())
}

fn by_dialect(
    meter: &Meter,
    counters: &Arc<Counters>,
    name: &'static str,
    unit: &'static str,
    of: fn(&DialectCounters) -> u64,
) {
    let counters = Arc::clone(counters);
    let each = move |observer: &dyn AsyncInstrument<u64>| {
        for dialect in 0..PROTOCOLS.len() {
            observer.observe(counters.sum(dialect, of), &[protocol_of(dialect)]);
        }
    };
    meter.u64_observable_counter(name).with_unit(unit).with_callback(each).build();
}

fn observe_active(meter: &Meter, counters: &Arc<Counters>) {
    let counters = Arc::clone(counters);
    let closed = |d: &DialectCounters| d.closed.iter().map(Counter::get).sum::<u64>();
    let active = move |observer: &dyn AsyncInstrument<i64>| {
        for dialect in 0..PROTOCOLS.len() {
            // Closed is read first: an active connection is never missed, at worst counted late.
            let closed = counters.sum(dialect, closed);
            let opened = counters.sum(dialect, |d| d.opened.get());
            observer.observe(opened.saturating_sub(closed) as i64, &[protocol_of(dialect)]);
        }
    };
    meter
        .i64_observable_up_down_counter("wharf.gateway.connection.active")
        .with_unit("{connection}")
        .with_callback(active)
        .build();
}

fn observe_reasons(meter: &Meter, counters: &Arc<Counters>) {
    type Row = fn(&DialectCounters) -> &[Counter; CloseReason::ALL.len()];
    let rows: [(&'static str, Row); 2] = [
        ("wharf.gateway.connection.closed", |d| &d.closed),
        ("wharf.gateway.connection.rejected", |d| &d.rejected),
    ];
    for (name, row) in rows {
        let counters = Arc::clone(counters);
        let each = move |observer: &dyn AsyncInstrument<u64>| {
            for dialect in 0..PROTOCOLS.len() {
                for (at, reason) in CloseReason::ALL.iter().enumerate() {
                    let count = counters.sum(dialect, |d| row(d)[at].get());
                    if count > 0 {
                        let reason = KeyValue::new("wharf.reason", reason.word());
                        observer.observe(count, &[protocol_of(dialect), reason]);
                    }
                }
            }
        };
        meter.u64_observable_counter(name).with_unit("{connection}").with_callback(each).build();
    }
    let counters = Arc::clone(counters);
    let slow = move |observer: &dyn AsyncInstrument<u64>| {
        let closed = |d: &DialectCounters| d.closed[index(CloseReason::SlowConsumer)].get();
        let count = (0..PROTOCOLS.len()).map(|dialect| counters.sum(dialect, closed)).sum();
        observer.observe(count, &[KeyValue::new("wharf.action", "closed")]);
    };
    meter.u64_observable_counter("wharf.gateway.slow_consumer.events").with_callback(slow).build();
}

fn observe_received(meter: &Meter, counters: &Arc<Counters>) {
    let counters = Arc::clone(counters);
    let each = move |observer: &dyn AsyncInstrument<u64>| {
        for dialect in 0..PROTOCOLS.len() {
            for (verb, operation) in VERBS.iter().enumerate() {
                for (side, outcome) in ["accepted", "refused"].into_iter().enumerate() {
                    let count = counters.sum(dialect, |d| d.received[verb][side].get());
                    let operation = KeyValue::new("wharf.operation", *operation);
                    let outcome = KeyValue::new("wharf.outcome", outcome);
                    observer.observe(count, &[protocol_of(dialect), operation, outcome]);
                }
            }
        }
    };
    meter
        .u64_observable_counter("wharf.gateway.message.received")
        .with_unit("{message}")
        .with_callback(each)
        .build();
}

fn observe_bytes(meter: &Meter, counters: &Arc<Counters>) {
    type Side = (&'static str, fn(&DialectCounters) -> u64);
    const SIDES: [Side; 2] =
        [("receive", |d| d.bytes_in.get()), ("transmit", |d| d.bytes_out.get())];
    let counters = Arc::clone(counters);
    let each = move |observer: &dyn AsyncInstrument<u64>| {
        for dialect in 0..PROTOCOLS.len() {
            for (direction, of) in SIDES {
                let direction = KeyValue::new("wharf.direction", direction);
                observer.observe(counters.sum(dialect, of), &[protocol_of(dialect), direction]);
            }
        }
    };
    meter
        .u64_observable_counter("wharf.gateway.network.io")
        .with_unit("By")
        .with_callback(each)
        .build();
}

fn observe_gauges(meter: &Meter, gateway: &Arc<crate::Gateway>) {
    type Gauge = (&'static str, &'static str, fn(&crate::Gateway) -> u64);
    const GAUGES: [Gauge; 5] = [
        ("wharf.gateway.connection.limit", "{connection}", |g| {
            u64::from(g.config.limits.connections_max)
        }),
        ("wharf.gateway.subscription.active", "{subscription}", |g| {
            g.counters.sum_of_shards(|s| s.subscriptions.get())
        }),
        ("wharf.gateway.channel.active", "{channel}", |g| {
            g.counters.sum_of_shards(|s| s.channels.get())
        }),
        ("wharf.gateway.inbox.usage", "By", |g| g.inboxes.bytes()),
        ("wharf.gateway.inbox.limit", "By", |g| {
            (g.config.limits.inbox_bytes_max * g.config.shards) as u64
        }),
    ];
    for (name, unit, of) in GAUGES {
        let gateway = Arc::clone(gateway);
        let one = move |observer: &dyn AsyncInstrument<u64>| observer.observe(of(&gateway), &[]);
        meter.u64_observable_gauge(name).with_unit(unit).with_callback(one).build();
    }
}

fn index(reason: CloseReason) -> usize {
    CloseReason::ALL.iter().position(|known| *known == reason).expect("ALL is all")
}
