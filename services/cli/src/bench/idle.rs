//! Idle: what a connection costs the server in memory once it has seen one message and rests.

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::{
    args,
    endpoint::Role,
    engine::{Engine, Plan},
    process::{Memory, slab_bytes},
    report::{Table, mebibytes},
    stamp::Class,
};

/// Time for the server to give back what it needed for the handshakes and the message.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    mode: &'static str,
    pub(super) connections: usize,
    base_connections: usize,
    pub(super) rss_bytes_per_connection: f64,
    anonymous_bytes_per_connection: f64,
    pss_bytes_per_connection: f64,
    /// Kernel memory of the machine, both ends of each connection.
    slab_bytes_per_connection: f64,
    before: Memory,
    after: Memory,
    received: u64,
}

/// The base is the server with a few connections already open, so that neither its own pages nor
/// the reuse of freed ones is counted to the connections.
pub(super) fn measure(
    engine: &mut Engine,
    connections: usize,
    load: &args::Load,
) -> anyhow::Result<Outcome> {
    let server = engine.server().context("idle measures the server's memory: say --server-pid")?;
    let base_connections = (connections / 20).clamp(10, 500);
    let publisher = engine.open(Role::Publisher, 1)?;
    let base = engine.open(Role::Subscriber, base_connections)?;
    let once = |receivers: usize| Plan {
        class: Class::FanOut,
        senders: publisher.clone(),
        receivers: (Role::Subscriber, receivers as u64),
        rate: 1.0,
        burst: 1,
        payload: load.payload,
    };
    engine.run_once(once(base_connections))?;
    engine.idle(SETTLE)?;
    let (before, slab_before) = (server.memory()?, slab_bytes()?);
    let opened = engine.open(Role::Subscriber, connections)?;
    let phase = engine.run_once(once(base_connections + connections))?;
    engine.idle(SETTLE)?;
    let (after, slab_after) = (server.memory()?, slab_bytes()?);
    let ended = connections - engine.alive(opened.clone());
    anyhow::ensure!(
        ended == 0,
        "the server closed {ended} connections while they were idle: {:?}",
        engine.closes(Role::Subscriber)
    );
    [publisher, base, opened].into_iter().for_each(|range| engine.close(range));
    let each = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
    Ok(Outcome {
        mode: "idle",
        connections,
        base_connections,
        rss_bytes_per_connection: each(before.rss_bytes, after.rss_bytes),
        anonymous_bytes_per_connection: each(before.anonymous_bytes, after.anonymous_bytes),
        pss_bytes_per_connection: each(before.pss_bytes, after.pss_bytes),
        slab_bytes_per_connection: each(slab_before, slab_after),
        before,
        after,
        received: phase.flows[0].tally.received,
    })
}

impl Outcome {
    pub(super) fn table(&self, authority: &str) -> Table {
        let mut table = Table::new(format!(
            "idle on {authority}: {} connections, one subscription each, after one message",
            self.connections
        ));
        table.row("server RSS", format!("{:.0} B a connection", self.rss_bytes_per_connection));
        table.row("  anonymous", format!("{:.0} B", self.anonymous_bytes_per_connection));
        table.row("  proportional (PSS)", format!("{:.0} B", self.pss_bytes_per_connection));
        table.row(
            "kernel slab, both ends",
            format!("{:.0} B a connection (whole machine)", self.slab_bytes_per_connection),
        );
        table.row(
            "server RSS before / after",
            format!("{} / {}", mebibytes(self.before.rss_bytes), mebibytes(self.after.rss_bytes)),
        );
        table.row("messages that arrived", self.received);
        table
    }
}
