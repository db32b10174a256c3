//! What must hold after every row: others are served, nothing panicked, every socket was given up.

use std::collections::HashSet;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::Gateway;

use super::row::{Row, enter};
use super::socket::{Frame, Socket};
use super::wire::{pong, text, upgrade};

/// Time for a well-behaved client's message, and for a socket to be given up. The catalogue's
/// 100 ms are those of a machine of its own.
const SOON: Duration = Duration::from_secs(2);

static PANICS: AtomicU64 = AtomicU64::new(0);

/// A gateway, and a well-behaved client of another tenant beside the rows.
pub(super) struct Watch {
    pub(super) gateway: Gateway,
    witness: Socket,
    said: u32,
    panics: u64,
}

impl Watch {
    pub(super) async fn start(config: &str) -> anyhow::Result<Self> {
        let gateway = Gateway::start(config, &super::apps())?;
        let socket = Socket::connect(gateway.address()).await?;
        Self::over(gateway, socket).await
    }

    /// With a witness on a socket that is connected.
    pub(super) async fn over(gateway: Gateway, mut witness: Socket) -> anyhow::Result<Self> {
        count_panics();
        let target = "/a/other/raw?key=otherkey&channel=witness&publish=witness";
        enter(&mut witness, &upgrade(target)).await?;
        Ok(Self { gateway, witness, said: 0, panics: PANICS.load(Ordering::Relaxed) })
    }

    /// Plays a table to its end and tells of all rows that failed.
    pub(super) async fn run(&mut self, rows: &[Row]) {
        let mut failures = Vec::new();
        for row in rows {
            let before = self.serves_others().await.context("before the row");
            let played = before.and(row.run(self).await);
            let after = self.after().await.context("after the row");
            if let Err(error) = played.and(after) {
                failures.push(format!("{} {}: {error:#}", row.id, row.what));
            }
        }
        if let Err(error) = self.until_the_hub_is_empty().await {
            failures.push(format!("after all rows: {error:#}"));
        }
        let count = failures.len();
        assert!(failures.is_empty(), "{count} of {}:\n{}", rows.len(), failures.join("\n"));
    }

    pub(super) async fn after(&mut self) -> anyhow::Result<()> {
        self.serves_others().await?;
        let panics = PANICS.load(Ordering::Relaxed);
        ensure!(panics == self.panics, "{} panics", panics - self.panics);
        // The witness' own.
        self.until_held(1, None).await?;
        let metrics = self.gateway.metrics();
        let (active, internal) = (metrics.active(), metrics.closed("internal"));
        ensure!(active == 1.0 && internal == 0.0, "{active} active, {internal} ended by our fault");
        Ok(())
    }

    /// What the hub still knows of after all of it; told once a second by an idle shard.
    async fn until_the_hub_is_empty(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let metrics = self.gateway.metrics();
            let subscriptions = metrics.sum("wharf_gateway_subscription_active", &[]);
            let channels = metrics.sum("wharf_gateway_channel_active", &[]);
            if (subscriptions, channels) == (1.0, 1.0) {
                return Ok(());
            }
            let now = tokio::time::Instant::now();
            ensure!(now < deadline, "{subscriptions} subscriptions, {channels} channels are left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The witness says something to itself.
    pub(super) async fn serves_others(&mut self) -> anyhow::Result<()> {
        self.said += 1;
        let said = format!("{}", self.said);
        let asked = async {
            self.witness.send(&text(&said)).await?;
            loop {
                match self.witness.frame().await? {
                    Frame::Ping(payload) => self.witness.send(&pong(payload)).await?,
                    heard => return anyhow::Ok(heard),
                }
            }
        };
        let heard = tokio::time::timeout(SOON, asked).await.context("others wait")?;
        let heard = heard.context("others are gone")?;
        ensure!(heard == Frame::Text(said), "others hear {heard:?}");
        Ok(())
    }

    /// Waits until the gateway has given up its end of our socket.
    pub(super) async fn until_let_go(&self, port: u16) -> anyhow::Result<()> {
        self.until_held(0, Some(port)).await
    }

    /// Whether the gateway has its end of our socket.
    pub(super) fn holds(&self, port: u16) -> bool {
        held(self.gateway.address().port(), Some(port)) > 0
    }

    async fn until_held(&self, count: usize, of: Option<u16>) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let sockets = held(self.gateway.address().port(), of);
            if sockets == count {
                return Ok(());
            }
            let now = tokio::time::Instant::now();
            ensure!(now < deadline, "the gateway holds {sockets} sockets, not {count}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Sockets on a port of this machine that a process still holds, listeners aside; of one peer, or
/// of all.
pub(super) fn held(port: u16, peer: Option<u16>) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port_of = |address: &str| {
        address.split_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok())
    };
    let peer_of = |line| {
        const LISTENS: &str = "0A";
        let fields: Vec<&str> = str::split_whitespace(line).collect();
        let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        // What the kernel alone still finishes has no inode.
        let ours = port_of(local) == Some(port) && state != LISTENS && inode != "0";
        port_of(remote).filter(|remote| ours && peer.is_none_or(|peer| peer == *remote))
    };
    let mentions = format!(":{port:04X} ");
    // A busy table is long, and may show a line twice.
    let lines = table.lines().filter(|line| line.contains(&mentions));
    lines.filter_map(peer_of).collect::<HashSet<u16>>().len()
}

/// Counts panics of gateways' own threads: those of tests are tests that fail, and one test makes
/// gateways panic on purpose.
fn count_panics() {
    const ON_PURPOSE: &str = "the bug of this test";
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let ours = thread.name().is_some_and(|name| name.starts_with("shard-"));
            let wanted = info.payload_as_str().is_some_and(|text| text.contains(ON_PURPOSE));
            if ours && !wanted {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(info);
        }));
    });
}
