//! The data plane: holds clients' connections. [`start`] puts the parts together and is the only
//! place that names concrete ones; the shards do the rest.

pub mod app;
pub mod auth;
pub mod config;
pub mod connection;
pub mod control;
mod gateway;
pub mod http;
mod hub;
mod listen;
mod metrics;
mod places;
pub mod process;
mod session;
mod shard;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use broker::{Broker, DeliverySink, ShardId};
use model::CloseReason;
use opentelemetry::metrics::Meter;
use parking_lot::Mutex;
use runtime::Tasks;
use runtime::admin::Health;
use runtime::telemetry::Tracer;
use tracing::info;

use crate::config::Checked;
use crate::gateway::{Gateway, Ingredients};
use crate::http::{Page, TlsError};
use crate::metrics::Instruments;
use crate::shard::inbox::{Inboxes, Order};

pub use listen::ListenError;

/// What a gateway is started from.
#[derive(Debug)]
pub struct Parts {
    pub config: Checked,
    pub apps: Vec<model::App>,
    pub meter: Meter,
    pub tracer: Option<Tracer>,
    pub health: Arc<Health>,
    /// Served at paths that nobody else owns.
    pub page: Option<Arc<dyn Page>>,
    /// Makes the broker for the gateway's inboxes; `None`: the one of a single process.
    pub broker: Option<MakeBroker>,
}

/// Makes a broker that delivers into these inboxes.
pub type MakeBroker = fn(Arc<dyn DeliverySink>) -> Arc<dyn Broker>;

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("start a shard's thread")]
    Thread(#[source] std::io::Error),
}

/// A running gateway.
#[derive(Debug)]
pub struct Running {
    gateway: Arc<Gateway>,
    addresses: Vec<SocketAddr>,
    /// Emptied by whoever stops it first.
    shards: Mutex<Vec<JoinHandle<()>>>,
}

/// Binds, starts one thread a shard, and says ready.
pub fn start(parts: Parts) -> Result<Running, StartError> {
    let Parts { config, apps, meter, tracer, health, page, broker } = parts;
    let tls = config.tls.as_ref().map(http::acceptor).transpose()?;
    let (addresses, listeners) = listen::bind(&config.listen, config.shards)?;
    let inboxes = Arc::new(Inboxes::new(config.shards, config.limits.inbox_bytes_max));
    let sink = Arc::clone(&inboxes) as Arc<dyn DeliverySink>;
    let make = broker.unwrap_or(|sink| Arc::new(broker::memory::Memory::new(sink)));
    let gateway = Arc::new(Gateway::new(Ingredients {
        broker: make(sink),
        instruments: Instruments::new(&meter),
        config,
        apps,
        inboxes,
        tracer,
        health,
        tls,
        page,
    }));
    metrics::observe(&meter, &gateway);
    let mut shards = Vec::with_capacity(listeners.len());
    for (number, listeners) in listeners.into_iter().enumerate() {
        let id = ShardId(u8::try_from(number).expect("as many shards as the configuration allows"));
        let shard = shard::start(Arc::clone(&gateway), id, listeners);
        shards.push(shard.map_err(StartError::Thread)?);
    }
    gateway.health.set_ready();
    Ok(Running { gateway, addresses, shards: Mutex::new(shards) })
}

impl Running {
    /// Where clients connect; ports that were 0 are known here.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes up new apps and closes the connections that no longer conform; how many those were.
    pub async fn apply(&self, apps: Vec<model::App>) -> usize {
        self.gateway.directory.apply(apps);
        self.gateway.inboxes.order(|done| Order::Reconcile { done }).await
    }

    /// A reload was refused; the old apps stay.
    pub fn reload_refused(&self) {
        self.gateway.instruments.config_rejected.add(1, &[]);
    }

    /// Stops accepting at once, tells clients to go elsewhere over the configured window, and
    /// returns when they have gone or the window, and a little more, is over.
    pub fn stop(&self) {
        info!(event = "gateway.draining", reason = CloseReason::Draining.word(), "draining");
        self.gateway.health.set_draining("the process was asked to stop");
        self.gateway.stopping.cancel();
        self.gateway.inboxes.drain();
        for shard in std::mem::take(&mut *self.shards.lock()) {
            // A shard that panicked has said so in the log.
            let _ = shard.join();
        }
    }

    /// As [`Running::stop`], without blocking the caller's thread; what ages meanwhile is let go.
    pub async fn drain(self: &Arc<Self>) {
        const THREAD_END_MAX: Duration = Duration::from_secs(1);
        let tasks = Tasks::new();
        let (ended, mut end) = tokio::sync::oneshot::channel();
        let this = Arc::clone(self);
        tasks.spawn_blocking("drain", move || {
            this.stop();
            let _ = ended.send(());
        });
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = &mut end => break,
                _ = second.tick() => self.sweep(),
            }
        }
        tasks.stop(THREAD_END_MAX).await;
    }

    /// Lets the broker and the API let go of what has aged; about once a second.
    pub fn sweep(&self) {
        self.gateway.broker.sweep();
        self.gateway.api.idempotency.sweep();
    }
}
