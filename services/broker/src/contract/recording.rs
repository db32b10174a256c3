//! A sink that keeps what it is given, can be full, and notices what a backend must not do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::{ChannelKey, Delivery, Push};
use parking_lot::Mutex;

use crate::{DeliverySink, InboxFull, ShardId, ShardSet};

/// Boundless, unless [`Recording::fill`] says otherwise.
#[derive(Debug, Default)]
pub struct Recording(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    inboxes: HashMap<(ShardId, ChannelKey), Vec<Arc<Delivery>>>,
    /// Shards whose inbox takes nothing more.
    full: ShardSet,
    /// Room taken and not yet used.
    reserved: Vec<(ShardSet, usize)>,
    /// Channels of which a delivery is under way.
    delivering: HashSet<ChannelKey>,
    faults: Vec<String>,
}

impl Recording {
    /// From now on these inboxes have no room.
    pub fn fill(&self, full: ShardSet) {
        self.0.lock().full = full;
    }

    /// What the shard was told of the channel, in order.
    pub fn inbox(&self, shard: ShardId, channel: &ChannelKey) -> Vec<Arc<Delivery>> {
        let state = self.0.lock();
        state.inboxes.get(&(shard, channel.clone())).cloned().unwrap_or_default()
    }

    /// Panics with what the backend did wrong.
    pub fn check(&self) {
        let state = self.0.lock();
        assert!(state.faults.is_empty(), "{:#?}", state.faults);
        assert!(state.reserved.is_empty(), "room never used: {:?}", state.reserved);
    }
}

impl DeliverySink for Recording {
    fn reserve(&self, shards: ShardSet, bytes: usize) -> Result<(), InboxFull> {
        let mut state = self.0.lock();
        if shards.is_empty() {
            state.faults.push("room was asked for in no inbox".to_owned());
        }
        let full = state.full;
        if shards.iter().any(|shard| full.iter().any(|full| full == shard)) {
            return Err(InboxFull);
        }
        state.reserved.push((shards, bytes));
        Ok(())
    }

    fn deliver(&self, shards: ShardSet, delivery: Arc<Delivery>) {
        let begun = self.0.lock().begin(shards, &delivery);
        // The channel's next delivery gets its chance to come too early.
        std::thread::yield_now();
        if begun {
            self.0.lock().delivering.remove(&delivery.channel);
        }
    }
}

impl State {
    /// Whether no other delivery of the channel is under way.
    fn begin(&mut self, shards: ShardSet, delivery: &Arc<Delivery>) -> bool {
        if shards.is_empty() {
            self.faults.push(format!("delivered to nobody: {delivery:?}"));
        }
        if matches!(delivery.push, Push::Publication(_)) {
            let room = (shards, delivery.cost_bytes());
            match self.reserved.iter().position(|reserved| *reserved == room) {
                Some(index) => {
                    self.reserved.swap_remove(index);
                }
                None => self.faults.push(format!("delivered without room: {delivery:?}")),
            }
        }
        for shard in shards.iter() {
            let inbox = self.inboxes.entry((shard, delivery.channel.clone())).or_default();
            inbox.push(Arc::clone(delivery));
        }
        let begun = self.delivering.insert(delivery.channel.clone());
        if !begun {
            self.faults.push(format!("delivered during another delivery: {delivery:?}"));
        }
        begun
    }
}
