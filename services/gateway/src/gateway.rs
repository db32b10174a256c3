//! What all shards of one gateway share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use broker::Broker;
use model::{ConnectionId, MessageId};
use ring::rand::{SecureRandom as _, SystemRandom};
use runtime::admin::Health;
use tokio_util::sync::CancellationToken;

use crate::app::address::Addresses;
use crate::app::directory::Directory;
use crate::app::rate::{Now, Rate, RateLimit};
use crate::config::Checked;
use crate::http::{Acceptor, ApiShared, Page};
use crate::metrics::{Counters, Instruments};
use crate::shard::inbox::Inboxes;

/// One gateway. Everything in it is shared by threads; what is not is a shard's.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) config: Checked,
    pub(crate) directory: Directory,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) instruments: Instruments,
    pub(crate) tracer: Option<runtime::telemetry::Tracer>,
    pub(crate) health: Arc<Health>,
    pub(crate) tls: Option<Acceptor>,
    /// Cancelled when nothing new is accepted any more.
    pub(crate) stopping: CancellationToken,
    pub(crate) page: Option<Arc<dyn Page>>,
    pub(crate) api: ApiShared,
    random: SystemRandom,
}

/// The gateway's places for connections.
#[derive(Debug)]
pub(crate) struct Connections {
    open: AtomicU32,
    open_max: u32,
    connects: RateLimit,
    rate: Rate,
}

/// One of the gateway's places, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Connections>);

impl Connections {
    pub(crate) fn new(open_max: u32, rate: Rate) -> Self {
        Self { open: AtomicU32::new(0), open_max, connects: RateLimit::default(), rate }
    }

    /// Takes a place, or says when to come back.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Place, Duration> {
        const WHEN_FULL: Duration = Duration::from_secs(5);
        let taken = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < self.open_max).then_some(open + 1)
        });
        if taken.is_err() {
            return Err(WHEN_FULL);
        }
        let place = Place(Arc::clone(self));
        match self.connects.charge(Now::read(), self.rate, 1) {
            Ok(()) => Ok(place),
            Err(exceeded) => Err(exceeded.retry_after.unwrap_or(WHEN_FULL)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What [`Gateway::new`] is made of.
pub(crate) struct Ingredients {
    pub(crate) config: Checked,
    pub(crate) apps: Vec<model::App>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) instruments: Instruments,
    pub(crate) tracer: Option<runtime::telemetry::Tracer>,
    pub(crate) health: Arc<Health>,
    pub(crate) tls: Option<Acceptor>,
    pub(crate) page: Option<Arc<dyn Page>>,
}

impl Gateway {
    pub(crate) fn new(ingredients: Ingredients) -> Self {
        let Ingredients { config, apps, broker, inboxes, instruments, .. } = ingredients;
        let limits = &config.limits;
        let per_address = Rate::new(limits.connects_per_second_per_address);
        let addresses = Addresses::new(limits.connections_per_address_max, per_address);
        let connections =
            Connections::new(limits.connections_max, Rate::new(limits.connects_per_second));
        Self {
            directory: Directory::new(apps),
            broker,
            inboxes,
            addresses: Arc::new(addresses),
            connections: Arc::new(connections),
            counters: Arc::new(Counters::new(config.shards)),
            instruments,
            tracer: ingredients.tracer,
            health: ingredients.health,
            tls: ingredients.tls,
            stopping: CancellationToken::new(),
            page: ingredients.page,
            api: ApiShared::new(config.limits.api_requests_in_flight_max),
            random: SystemRandom::new(),
            config,
        }
    }

    pub(crate) fn connection_id(&self) -> ConnectionId {
        ConnectionId(u64::from_ne_bytes(self.random_bytes()))
    }

    pub(crate) fn request_id(&self) -> String {
        let bytes: [u8; 8] = self.random_bytes();
        format!("{:016x}", u64::from_ne_bytes(bytes))
    }

    pub(crate) fn message_id(&self) -> MessageId {
        MessageId(uuid::Uuid::now_v7().as_u128())
    }

    fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("the kernel's random source does not fail once seeded");
        bytes
    }
}
