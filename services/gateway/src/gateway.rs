//! What all shards of one gateway share.

use std::sync::Arc;

use broker::Broker;
use model::{ConnectionId, MessageId};
use ring::rand::{SecureRandom as _, SystemRandom};
use runtime::admin::Health;
use tokio_util::sync::CancellationToken;

use crate::app::address::Addresses;
use crate::app::directory::Directory;
use crate::app::rate::Rate;
use crate::config::Checked;
use crate::http::{Acceptor, ApiShared, Page};
use crate::metrics::{Counters, Instruments};
use crate::places::Places;
use crate::shard::inbox::Inboxes;

/// One gateway. Everything in it is shared by threads; what is not is a shard's.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) config: Checked,
    pub(crate) directory: Directory,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) addresses: Arc<Addresses>,
    /// As `addresses`, of sockets that are no connections (yet).
    pub(crate) sockets: Arc<Addresses>,
    pub(crate) places: Arc<Places>,
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
        let sockets = Addresses::new(limits.sockets_per_address_max, Rate::new(u32::MAX));
        let places = Places::new(limits.connections_max, Rate::new(limits.connects_per_second));
        Self {
            directory: Directory::new(apps),
            broker,
            inboxes,
            addresses: Arc::new(addresses),
            sockets: Arc::new(sockets),
            places: Arc::new(places),
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
        // Without the process-wide counter of `now_v7`, which is a lock: order comes from the channel.
        let millis = runtime::clock::unix_millis();
        let nanos = u32::try_from(millis % 1_000).expect("below 1,000") * 1_000_000;
        let now = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, nanos);
        MessageId(uuid::Uuid::new_v7(now).as_u128())
    }

    fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("the kernel's random source does not fail once seeded");
        bytes
    }
}
