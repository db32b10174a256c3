//! The backend of one process: every channel in memory, shared by all shards.

mod channel;
mod stream;
mod subscribers;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::RandomState;
use async_trait::async_trait;
use model::{AppId, ChannelKey, ChannelState, HistoryPage, Member, Position, Publication};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Broker, DeliverySink, Error, Joined, Joiner, Keep, Leaver, is_listed};
use channel::{Channel, Route};
use usage::Apps;

/// Each channel belongs to one of 256 locks, the stripes, and an act on a channel happens under
/// that lock as a whole: append, history, last value, members, and putting the delivery into the
/// inboxes. This is what gives a channel one order on every shard.
///
/// Lock order: stripe, then the sink's inboxes; stripe, then `apps`. Two stripes are never held
/// together. The sink is called under a stripe's lock, so it must not block, nor call back.
pub struct Memory {
    stripes: Vec<Mutex<Stripe>>,
    /// Seeded at random: the names of channels are chosen by clients.
    hasher: RandomState,
    apps: Apps,
    /// The stripe at which the next sweep goes on.
    swept: AtomicUsize,
    sink: Arc<dyn DeliverySink>,
}

struct Stripe {
    channels: HashMap<ChannelKey, Channel, RandomState>,
    /// Channels whose count waits to be told.
    held_counts: Vec<ChannelKey>,
    /// The highest sequence of any channel that this stripe has forgotten. New ones start here, or a
    /// delivery to the channel's earlier life, still in an inbox, would pass for one to this life.
    sequence_floor: u64,
}

impl Memory {
    const STRIPES: usize = 256;
    /// How many one sweep walks through, so that a round takes eight.
    const STRIPES_PER_SWEEP: usize = 32;
    /// Looked at without a pause when channels are listed.
    const STRIPES_PER_TURN: usize = 8;

    pub fn new(sink: Arc<dyn DeliverySink>) -> Self {
        let hasher = RandomState::new();
        let stripe = || {
            let channels = HashMap::with_hasher(hasher.clone());
            Mutex::new(Stripe { channels, held_counts: Vec::new(), sequence_floor: 0 })
        };
        Self {
            stripes: std::iter::repeat_with(stripe).take(Self::STRIPES).collect(),
            hasher,
            apps: Apps::default(),
            swept: AtomicUsize::new(0),
            sink,
        }
    }

    fn stripe(&self, key: &ChannelKey) -> &Mutex<Stripe> {
        // Bits from the middle: the map inside a stripe sorts by the lowest and the highest ones.
        &self.stripes[(self.hasher.hash_one(key) >> 32) as usize % Self::STRIPES]
    }

    fn route<'a>(&'a self, key: &'a ChannelKey) -> Route<'a> {
        Route { key, sink: &*self.sink }
    }

    /// Does `act` on the channel, which is made where there is none. A new channel on which the act
    /// fails was never there.
    fn on_channel<T>(
        &self,
        key: &ChannelKey,
        channels_max: u32,
        act: impl FnOnce(&mut Channel) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let stripe = &mut *self.stripe(key).lock();
        if let Some(channel) = stripe.channels.get_mut(key) {
            let done = act(channel)?;
            if channel.list_held_count() {
                stripe.held_counts.push(key.clone());
            }
            return Ok(done);
        }
        let place = self.apps.admit(key.app, channels_max).ok_or(Error::ChannelsExhausted)?;
        let mut channel = Channel::new(stripe.sequence_floor, place);
        let done = act(&mut channel)?;
        stripe.channels.insert(key.clone(), channel);
        Ok(done)
    }

    /// Asks a channel, if it is known; what has aged is gone before.
    fn ask<T>(&self, key: &ChannelKey, ask: impl FnOnce(&Channel) -> T) -> Option<T> {
        let stripe = &mut *self.stripe(key).lock();
        let channel = stripe.channels.get_mut(key)?;
        channel.age(Instant::now());
        Some(ask(channel))
    }

    #[cfg(test)]
    fn channels_known(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().channels.len()).sum()
    }
}

#[async_trait]
impl Broker for Memory {
    async fn join(&self, key: &ChannelKey, joiner: Joiner) -> Result<Joined, Error> {
        let route = self.route(key);
        self.on_channel(key, joiner.channels_max, |channel| channel.join(route, joiner))
    }

    fn leave(&self, key: &ChannelKey, leaver: &Leaver) {
        let stripe = &mut *self.stripe(key).lock();
        let Some(channel) = stripe.channels.get_mut(key) else { return };
        channel.leave(self.route(key), leaver);
        if channel.list_held_count() {
            stripe.held_counts.push(key.clone());
        }
        if channel.is_forgettable() {
            stripe.sequence_floor = stripe.sequence_floor.max(channel.sequence());
            stripe.channels.remove(key);
        }
    }

    async fn publish(
        &self,
        key: &ChannelKey,
        publication: Publication,
        keep: Keep,
    ) -> Result<Option<Position>, Error> {
        let route = self.route(key);
        if !channel::keeps_anything(&keep) {
            let stripe = &mut *self.stripe(key).lock();
            return match stripe.channels.get_mut(key) {
                Some(channel) => channel.publish(route, publication, &keep),
                None => Ok(None),
            };
        }
        self.on_channel(key, keep.channels_max, |channel| {
            channel.publish(route, publication, &keep)
        })
    }

    async fn history(
        &self,
        key: &ChannelKey,
        since: Option<Position>,
        limit: usize,
    ) -> Result<HistoryPage, Error> {
        let page = self.ask(key, |channel| channel.history(since, limit));
        Ok(page.unwrap_or_else(|| channel::nothing_kept(since)))
    }

    async fn channel(&self, key: &ChannelKey) -> Result<ChannelState, Error> {
        let state = self.ask(key, |channel| channel.state(key));
        Ok(state.unwrap_or_else(|| ChannelState {
            channel: key.channel.clone(),
            occupancy: model::Occupancy::default(),
            cached: None,
        }))
    }

    async fn members(&self, key: &ChannelKey) -> Result<Vec<Member>, Error> {
        Ok(self.ask(key, Channel::members).unwrap_or_default())
    }

    /// Walks through every app's channels, one stripe at a time: the list is of no single moment.
    async fn channels(
        &self,
        app: AppId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ChannelState>, Error> {
        let mut listed = BTreeMap::new();
        for (index, stripe) in self.stripes.iter().enumerate() {
            if index % Self::STRIPES_PER_TURN == 0 {
                // The caller's thread serves clients as well.
                tokio::task::yield_now().await;
            }
            for (key, channel) in &stripe.lock().channels {
                let asked = key.app == app && key.channel.as_str().starts_with(prefix);
                if !asked || !channel.is_occupied() || !is_listed(&key.channel) {
                    continue;
                }
                let is_full = listed.len() >= limit;
                if is_full && listed.last_key_value().is_none_or(|(last, _)| key.channel > *last) {
                    continue;
                }
                listed.insert(key.channel.clone(), channel.state(key));
                if is_full {
                    listed.pop_last();
                }
            }
        }
        Ok(listed.into_values().collect())
    }

    fn sweep(&self) {
        for stripe in &self.stripes {
            stripe.lock().tell_held_counts(&*self.sink);
        }
        let start = self.swept.fetch_add(Self::STRIPES_PER_SWEEP, Ordering::Relaxed);
        for index in start..start + Self::STRIPES_PER_SWEEP {
            self.stripes[index % Self::STRIPES].lock().age();
        }
        if start.is_multiple_of(Self::STRIPES) {
            self.apps.sweep();
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl Stripe {
    fn tell_held_counts(&mut self, sink: &dyn DeliverySink) {
        if self.held_counts.is_empty() {
            return;
        }
        let now = Instant::now();
        let channels = &mut self.channels;
        self.held_counts.retain(|key| {
            let channel = channels.get_mut(key);
            channel.is_some_and(|channel| channel.tell_held_count(Route { key, sink }, now))
        });
    }

    fn age(&mut self) {
        let now = Instant::now();
        let floor = &mut self.sequence_floor;
        self.channels.retain(|_, channel| {
            channel.age(now);
            let is_forgettable = channel.is_forgettable();
            if is_forgettable {
                *floor = channel.sequence().max(*floor);
            }
            !is_forgettable
        });
        if self.channels.capacity() / 8 > self.channels.len() {
            self.channels.shrink_to(2 * self.channels.len());
        }
    }
}
