//! Who on this shard listens to what. Owned by one thread: no locks. A connection joins and leaves
//! by its own task; the shard's loop writes.

pub(crate) mod audience;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use model::{ChannelKey, Delivery};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::hub::audience::{Audience, Step};

/// Where a connection sits in the hub: one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) audience: u32,
    pub(crate) group: u16,
    pub(crate) slot: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Hub {
    by_channel: AHashMap<ChannelKey, u32>,
    audiences: Vec<Option<Audience>>,
    free: Vec<u32>,
    /// Audiences with something to be told, in turn.
    turn: VecDeque<u32>,
    subscriptions: u64,
}

impl Hub {
    /// Lets `connection` hear what comes after `joined_at`.
    pub(crate) fn join(
        &mut self,
        channel: &ChannelKey,
        connection: &Rc<Connection>,
        joined_at: u64,
    ) -> Membership {
        let audience = self.find_or_insert(channel);
        let (group, slot) = self.audience_mut(audience).join(connection, joined_at);
        let membership = Membership { audience, group, slot };
        connection.memberships.borrow_mut().push(membership);
        self.subscriptions += 1;
        membership
    }

    /// Ends a subscription; `audience` is what [`Hub::join`] said.
    pub(crate) fn leave(&mut self, connection: &Connection, audience: u32) {
        let membership = {
            let mut memberships = connection.memberships.borrow_mut();
            let Some(at) = memberships.iter().position(|m| m.audience == audience) else { return };
            memberships.swap_remove(at)
        };
        self.subscriptions -= 1;
        let audience = self.audience_mut(audience);
        audience.leave(membership);
        if audience.is_forgotten() {
            self.forget(membership.audience);
        }
    }

    /// Takes a delivery in; [`Hub::step`] writes it. False if nobody here listens.
    pub(crate) fn deliver(&mut self, delivery: Arc<Delivery>, since: Option<Instant>) -> bool {
        let Some(&id) = self.by_channel.get(&delivery.channel) else { return false };
        if self.audience_mut(id).deliver(delivery, since) {
            self.turn.push_back(id);
        }
        true
    }

    /// Gives the next channel its turn: at most [`audience::SENDS_PER_TURN`] writes. `None` when
    /// nothing waits.
    pub(crate) fn step(&mut self, pass_bytes_max: usize) -> Option<Step> {
        let id = self.turn.pop_front()?;
        let audience = self.audience_mut(id);
        let step = audience.step(pass_bytes_max);
        if audience.has_work() {
            self.turn.push_back(id);
        } else if audience.is_forgotten() {
            self.forget(id);
        }
        Some(step)
    }

    pub(crate) fn subscriptions(&self) -> u64 {
        self.subscriptions
    }

    pub(crate) fn channels(&self) -> u64 {
        self.by_channel.len() as u64
    }

    fn find_or_insert(&mut self, channel: &ChannelKey) -> u32 {
        if let Some(&id) = self.by_channel.get(channel) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.audiences.push(None);
            u32::try_from(self.audiences.len() - 1).expect("fewer than 2^32 channels a shard")
        });
        self.audiences[id as usize] = Some(Audience::new(id, channel.clone()));
        self.by_channel.insert(channel.clone(), id);
        id
    }

    fn forget(&mut self, id: u32) {
        if let Some(audience) = self.audiences[id as usize].take() {
            self.by_channel.remove(audience.channel());
            self.free.push(id);
        }
    }

    fn audience_mut(&mut self, id: u32) -> &mut Audience {
        self.audiences[id as usize].as_mut().expect("an id lives as long as its audience")
    }
}
