//! Stuck readers: subscribers that never read, or read too little, beside well-behaved ones. What
//! do the others lose, what does the server hold, and how does it end?

use std::{collections::BTreeMap, net::SocketAddr, ops::Range, time::Duration};

use serde::Serialize;

use super::{
    args,
    endpoint::Role,
    engine::Engine,
    fan_out,
    process::Process,
    report::{Conditions, Delivery, Table},
    sockets::{Inspector, Queues},
};

/// Read by a slow reader every 100 ms or so.
const SIP_BYTES: usize = 2048;
/// Time for the last bytes and the close frame, once the stuck ones read again.
const RECOVERY: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    mode: &'static str,
    connections: usize,
    stuck: usize,
    slow: usize,
    payload_bytes: usize,
    rate: f64,
    /// The well-behaved subscribers, without and with the others.
    without: Delivery,
    with: Delivery,
    /// Delivery rate with / without.
    pub(super) rate_ratio: f64,
    /// The highest that the server's anonymous memory rose above the run without.
    server_bytes: Option<u64>,
    /// The fullest send queue of a stuck connection's server end, and the memory it took.
    kernel_send_bytes: u64,
    pub(super) kernel_send_memory_bytes: u64,
    /// The fullest receive queue of a stuck client: the reader's own memory.
    pub(super) kernel_receive_bytes: u64,
    /// Server memory per stuck or slow reader plus the most that a send queue took.
    pub(super) held_bytes_per_reader: Option<f64>,
    pub(super) stuck_closes: BTreeMap<String, u64>,
    stuck_open: usize,
    slow_closes: BTreeMap<String, u64>,
    slow_open: usize,
    conditions: Conditions,
}

/// The fullest that was seen while the load ran.
struct Peak {
    inspector: Inspector,
    /// Both ends of the stuck connections, the client's first.
    ends: Vec<(SocketAddr, SocketAddr)>,
    server_bytes: u64,
    server_end: Queues,
    client_end: Queues,
}

pub(super) fn measure(engine: &mut Engine, params: &args::StuckReader) -> anyhow::Result<Outcome> {
    let fan_out = &params.fan_out;
    let subscribers = engine.open(Role::Subscriber, fan_out.connections)?;
    let publisher = engine.open(Role::Publisher, 1)?;
    let plan = fan_out::plan(fan_out, 1, publisher.start);
    engine.run(vec![plan.clone()], fan_out.load.warm_up, |_| Ok(()))?;
    let without = engine.run(vec![plan.clone()], fan_out.load.duration, |_| Ok(()))?;

    let slow_count = fan_out.connections * usize::from(params.slow_percent) / 100;
    let stuck = engine.open(Role::Stuck, params.stuck)?;
    let slow = engine.open(Role::Slow, slow_count)?;
    engine.stop_reading(stuck.clone())?;
    engine.stop_reading(slow.clone())?;
    let base = engine.server().map(Process::anonymous_bytes).transpose()?;
    let mut peak = Peak::try_new(engine.ends(stuck.clone()))?;
    let with = engine.run(vec![plan], fan_out.load.duration, |engine| {
        engine.sip(slow.clone(), SIP_BYTES)?;
        peak.sample(engine.server())
    })?;
    recover(engine, &[stuck.clone(), slow.clone()])?;

    let server_bytes = base.map(|base| peak.server_bytes.saturating_sub(base));
    let readers = (params.stuck + slow_count) as f64;
    let outcome = Outcome {
        mode: "stuck-reader",
        connections: fan_out.connections,
        stuck: params.stuck,
        slow: slow_count,
        payload_bytes: fan_out.load.payload,
        rate: fan_out.rate,
        rate_ratio: with.flows[0].delivery_rate() / without.flows[0].delivery_rate(),
        without: fan_out::delivery(&without),
        with: fan_out::delivery(&with),
        server_bytes,
        kernel_send_bytes: peak.server_end.send,
        kernel_send_memory_bytes: peak.server_end.send_memory,
        kernel_receive_bytes: peak.client_end.receive,
        held_bytes_per_reader: server_bytes
            .map(|bytes| bytes as f64 / readers + peak.server_end.send_memory as f64),
        stuck_closes: engine.closes(Role::Stuck),
        stuck_open: engine.alive(stuck.clone()),
        slow_closes: engine.closes(Role::Slow),
        slow_open: engine.alive(slow.clone()),
        conditions: Conditions::of(&with),
    };
    [subscribers, publisher, stuck, slow].into_iter().for_each(|range| engine.close(range));
    Ok(outcome)
}

impl Peak {
    fn try_new(ends: Vec<(SocketAddr, SocketAddr)>) -> anyhow::Result<Self> {
        Ok(Self {
            inspector: Inspector::try_new()?,
            ends,
            server_bytes: 0,
            server_end: Queues::default(),
            client_end: Queues::default(),
        })
    }

    fn sample(&mut self, server: Option<Process>) -> anyhow::Result<()> {
        if let Some(server) = server {
            self.server_bytes = self.server_bytes.max(server.anonymous_bytes()?);
        }
        for (client, server) in &self.ends {
            self.server_end = self.server_end.max(self.inspector.queues(*server, *client)?);
            self.client_end = self.client_end.max(self.inspector.queues(*client, *server)?);
        }
        Ok(())
    }
}

/// Reads everything that waits for the stuck ones: the code of their close comes last.
fn recover(engine: &mut Engine, readers: &[Range<usize>]) -> anyhow::Result<()> {
    const STEP: Duration = Duration::from_millis(20);
    const STEPS: u128 = RECOVERY.as_millis() / STEP.as_millis();
    for _ in 0..STEPS {
        for range in readers {
            engine.sip(range.clone(), 256 * 1024)?;
        }
        engine.idle(STEP)?;
    }
    Ok(())
}

impl Outcome {
    pub(super) fn table(&self, authority: &str) -> Table {
        let Self { connections, stuck, slow, rate, payload_bytes, .. } = self;
        let mut table = Table::new(format!(
            "stuck-reader on {authority}: {connections} subscribers, {stuck} stuck, {slow} slow, \
             {rate} messages/s of {payload_bytes} B"
        ));
        self.without.describe(&mut table, "without");
        self.with.describe(&mut table, "with");
        table.row("delivery rate with / without", format!("{:.3}", self.rate_ratio));
        table.row(
            "server memory gained at most",
            self.server_bytes.map_or_else(
                || "- (say --server-pid)".to_owned(),
                |bytes| format!("{:.0} KiB", bytes as f64 / 1024.0),
            ),
        );
        table.row(
            "fullest kernel send queue of the server",
            format!(
                "{:.0} KiB in {:.0} KiB of memory",
                self.kernel_send_bytes as f64 / 1024.0,
                self.kernel_send_memory_bytes as f64 / 1024.0
            ),
        );
        table.row(
            "fullest kernel receive queue of a client",
            format!("{:.0} KiB", self.kernel_receive_bytes as f64 / 1024.0),
        );
        if let Some(held) = self.held_bytes_per_reader {
            table.row("held for each such reader", format!("{:.0} KiB", held / 1024.0));
        }
        table.closes("stuck ones closed with", &self.stuck_closes);
        table.row("stuck ones still open", self.stuck_open);
        if self.slow > 0 {
            table.closes("slow ones closed with", &self.slow_closes);
            table.row("slow ones still open", self.slow_open);
        }
        self.conditions.describe(&mut table);
        table
    }
}
