//! Apps as they live in this gateway: configuration that changes, connections that are counted,
//! rates that are charged. Every shard shares them.

pub mod address;
pub mod directory;
pub mod rate;

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use model::{AppState, CloseReason, Reason, Refusal};

use rate::{Now, Rate, RateLimit};

/// One app, for as long as it is configured: its counts outlive changes of its configuration.
#[derive(Debug)]
pub struct App {
    config: ArcSwap<model::App>,
    connections: AtomicU32,
    connects: RateLimit,
    publishes: RateLimit,
}

/// One of the app's places for connections, given back when dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    app: Arc<App>,
}

impl App {
    pub fn new(config: model::App) -> Self {
        Self {
            config: ArcSwap::from_pointee(config),
            connections: AtomicU32::new(0),
            connects: RateLimit::default(),
            publishes: RateLimit::default(),
        }
    }

    /// As it stands now; ask again after each wait.
    pub fn config(&self) -> Arc<model::App> {
        self.config.load_full()
    }

    /// Takes one of the app's places. May wait: where places are leased for a whole cluster, one
    /// may have to be fetched.
    pub async fn admit(self: &Arc<Self>) -> Result<ConnectionPermit, CloseReason> {
        let config = self.config.load_full();
        if config.state == AppState::Disabled {
            return Err(CloseReason::AppDisabled);
        }
        let limits = config.limits;
        let taken = self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < limits.connections_max).then_some(open + 1)
        });
        if taken.is_err() {
            return Err(CloseReason::ConnectionQuota);
        }
        let permit = ConnectionPermit { app: Arc::clone(self) };
        match self.connects.charge(Now::read(), Rate::new(limits.connects_per_second), 1) {
            Ok(()) => Ok(permit),
            Err(_) => Err(CloseReason::RateLimited),
        }
    }

    /// Counts messages that are about to be published, all or none of them.
    pub fn charge_publish(&self, messages: u32) -> Result<(), Refusal> {
        let rate = Rate::new(self.config.load().limits.publishes_per_second);
        self.publishes.charge(Now::read(), rate, messages).map_err(|exceeded| {
            match exceeded.retry_after {
                Some(wait) => Refusal::new(
                    Reason::RateLimited,
                    "the app publishes faster than it may: slow down, or raise its \
                     publishes_per_second",
                )
                .retry_after(wait),
                None => Refusal::new(
                    Reason::LimitExceeded,
                    "more messages at once than the app may ever publish in two seconds: send \
                     smaller batches, or raise its publishes_per_second",
                ),
            }
        })
    }

    /// Takes up new configuration. Connections that no longer conform are the caller's to close
    /// ([`directory::verdict`]).
    pub fn apply(&self, config: model::App) {
        self.config.store(Arc::new(config));
    }

    /// Open connections in this gateway.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl ConnectionPermit {
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl Deref for ConnectionPermit {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.app.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
