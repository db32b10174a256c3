//! One channel: who is in it, what it keeps, and the one order of its deliveries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use model::{
    Cached, ChannelKey, ChannelState, Delivery, HistoryPage, Member, Occupancy, Position,
    Publication, Push, Text, UserId,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::stream::Stream;
use super::subscribers::Subscribers;
use super::usage::Place;
use crate::{
    COUNT_AT_ONCE_MAX, COUNT_INTERVAL, DeliverySink, Error, InboxFull, Joined, Joiner, Keep,
    Leaver, ShardSet,
};

/// Kept small: most channels have a subscriber or two and nothing else. What is rare is boxed.
#[derive(Debug)]
pub(super) struct Channel {
    sequence: u64,
    subscribers: Subscribers,
    members: Option<Box<Members>>,
    stream: Option<Box<Stream>>,
    last_value: Option<Box<LastValue>>,
    held_count: Option<Box<HeldCount>>,
    place: Place,
}

/// A channel's name and where its deliveries go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<'a> {
    pub(super) key: &'a ChannelKey,
    pub(super) sink: &'a dyn DeliverySink,
}

#[derive(Debug, Default)]
struct Members(HashMap<UserId, Present, RandomState>);

/// A user stays what its first connection said, until the last one has gone: the others were told
/// of the first only.
#[derive(Debug)]
struct Present {
    info: Option<Text>,
    connections: u32,
}

#[derive(Debug)]
struct LastValue {
    publication: Arc<Publication>,
    since: Instant,
    age: Duration,
}

/// Of a channel with more than [`COUNT_AT_ONCE_MAX`] subscribers.
#[derive(Debug, Default)]
struct HeldCount {
    due: bool,
    /// Whether the stripe's list has this channel.
    listed: bool,
    told: Option<Instant>,
}

impl Channel {
    pub(super) fn new(sequence: u64, place: Place) -> Self {
        Self {
            sequence,
            subscribers: Subscribers::default(),
            members: None,
            stream: None,
            last_value: None,
            held_count: None,
            place,
        }
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn join(&mut self, route: Route<'_>, joiner: Joiner) -> Result<Joined, Error> {
        let Joiner { shard, connection, member, counts, cached, members_max, .. } = joiner;
        let is_member = member.is_some();
        // Joining twice is the caller's error; counting it twice would be ours.
        if !self.subscribers.contains(shard, connection) {
            let audience = self.subscribers.shards();
            let added = member.map(|member| self.enter(member, members_max)).transpose()?.flatten();
            self.subscribers.insert(shard, connection);
            if let Some(member) = added {
                self.deliver(route, audience, Push::MemberAdded(member));
            }
            if counts {
                self.tell_count(route, audience);
            }
        }
        Ok(Joined {
            sequence: self.sequence,
            members: is_member.then(|| self.members()),
            cached: match (cached, self.last_value_at(Instant::now())) {
                (false, _) => Cached::Off,
                (true, None) => Cached::Miss,
                (true, Some(last)) => Cached::Hit(Arc::clone(&last.publication)),
            },
            count: counts.then(|| self.subscribers.len()),
        })
    }

    pub(super) fn leave(&mut self, route: Route<'_>, leaver: &Leaver) {
        if !self.subscribers.remove(leaver.shard, leaver.connection) {
            return;
        }
        let audience = self.subscribers.shards();
        if let Some(user) = leaver.user.as_ref().filter(|user| self.exit(user)) {
            self.deliver(route, audience, Push::MemberRemoved(user.clone()));
        }
        if leaver.counts {
            self.tell_count(route, audience);
        }
    }

    /// Everything that can fail comes first; room in the inboxes is the last of it, since room that
    /// is taken must be used.
    pub(super) fn publish(
        &mut self,
        route: Route<'_>,
        mut publication: Publication,
        keep: &Keep,
    ) -> Result<Option<Position>, Error> {
        let now = Instant::now();
        let new_stream = self.new_stream(keep, now)?;
        let audience = self.subscribers.shards();
        if !audience.is_empty() {
            let room = route.sink.reserve(audience, publication.cost_bytes());
            room.map_err(|InboxFull| Error::Unavailable)?;
        }
        if new_stream.is_some() {
            self.stream = new_stream;
        }
        let stream = self.stream.as_mut().filter(|_| keeps_history(keep));
        let position = stream.as_ref().map(|stream| stream.next());
        publication.position = position;
        let publication = Arc::new(publication);
        if let Some(stream) = stream {
            stream.append(Arc::clone(&publication), keep, now);
        }
        if let Some(age) = keep.last_value {
            let publication = Arc::clone(&publication);
            self.last_value = Some(Box::new(LastValue { publication, since: now, age }));
        }
        self.deliver(route, audience, Push::Publication(publication));
        Ok(position)
    }

    pub(super) fn history(&self, since: Option<Position>, limit: usize) -> HistoryPage {
        match &self.stream {
            Some(stream) => stream.page(since, limit),
            None => nothing_kept(since),
        }
    }

    pub(super) fn state(&self, key: &ChannelKey) -> ChannelState {
        let now = Instant::now();
        ChannelState {
            channel: key.channel.clone(),
            occupancy: Occupancy {
                subscriptions: self.subscribers.len(),
                users: self.members.as_ref().map(|members| members.0.len() as u64),
            },
            cached: self.last_value_at(now).map(|last| {
                let rest = last.age.saturating_sub(now.duration_since(last.since));
                (Arc::clone(&last.publication), rest)
            }),
        }
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let Some(members) = &self.members else { return Vec::new() };
        let member = |(user, present): (&UserId, &Present)| Member {
            user: user.clone(),
            info: present.info.clone(),
        };
        members.0.iter().map(member).collect()
    }

    pub(super) fn is_occupied(&self) -> bool {
        !self.subscribers.is_empty()
    }

    /// Lets go of what is too old.
    pub(super) fn age(&mut self, now: Instant) {
        if self.stream.as_ref().is_some_and(|stream| stream.is_over(now)) {
            self.stream = None;
        }
        if let Some(stream) = &mut self.stream {
            stream.age(now);
        }
        if self.last_value_at(now).is_none() {
            self.last_value = None;
        }
    }

    pub(super) fn is_forgettable(&self) -> bool {
        self.subscribers.is_empty() && self.stream.is_none() && self.last_value.is_none()
    }

    /// Whether the stripe is to list this channel for [`Channel::tell_held_count`]; true once until
    /// that has let it go.
    pub(super) fn list_held_count(&mut self) -> bool {
        match self.held_count.as_deref_mut() {
            Some(held) if held.due && !held.listed => {
                held.listed = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Tells the count if it is time to. Whether it is still to be told, later.
    pub(super) fn tell_held_count(&mut self, route: Route<'_>, now: Instant) -> bool {
        let Some(held) = self.held_count.as_deref_mut() else { return false };
        let waits = held.told.is_some_and(|told| now.duration_since(told) < COUNT_INTERVAL);
        if held.due && waits {
            return true;
        }
        held.listed = false;
        if std::mem::take(&mut held.due) {
            held.told = Some(now);
            self.deliver_count(route, self.subscribers.shards());
        }
        false
    }

    /// Takes a place among the members; the member, where the others are to be told.
    fn enter(&mut self, member: Member, members_max: u32) -> Result<Option<Member>, Error> {
        let members = self.members.get_or_insert_default();
        if let Some(present) = members.0.get_mut(&member.user) {
            present.connections += 1;
            return Ok(None);
        }
        if members.0.len() >= members_max as usize {
            self.drop_members_if_empty();
            return Err(Error::MembersExhausted);
        }
        let present = Present { info: member.info.clone(), connections: 1 };
        members.0.insert(member.user.clone(), present);
        Ok(Some(member))
    }

    /// Whether that was the user's last connection.
    fn exit(&mut self, user: &UserId) -> bool {
        let Some(members) = self.members.as_deref_mut() else { return false };
        let Some(present) = members.0.get_mut(user) else { return false };
        present.connections -= 1;
        if present.connections > 0 {
            return false;
        }
        members.0.remove(user);
        self.drop_members_if_empty();
        true
    }

    fn drop_members_if_empty(&mut self) {
        if self.members.as_ref().is_some_and(|members| members.0.is_empty()) {
            self.members = None;
        }
    }

    /// At once in small channels; in large ones the next sweep that may does it.
    fn tell_count(&mut self, route: Route<'_>, audience: ShardSet) {
        if self.subscribers.len() > COUNT_AT_ONCE_MAX {
            self.held_count.get_or_insert_default().due = true;
            return;
        }
        if let Some(held) = &mut self.held_count {
            held.due = false;
        }
        self.deliver_count(route, audience);
    }

    fn deliver_count(&mut self, route: Route<'_>, audience: ShardSet) {
        let push = Push::SubscriptionCount(self.subscribers.len());
        self.deliver(route, audience, push);
    }

    /// To nobody is no delivery: it takes no place in the order.
    fn deliver(&mut self, route: Route<'_>, audience: ShardSet, push: Push) {
        if audience.is_empty() {
            return;
        }
        self.sequence += 1;
        let channel = route.key.clone();
        let delivery = Delivery { channel, sequence: self.sequence, push };
        route.sink.deliver(audience, Arc::new(delivery));
    }

    /// A stream for this publication, where it is to be kept and there is none.
    fn new_stream(&self, keep: &Keep, now: Instant) -> Result<Option<Box<Stream>>, Error> {
        let is_known = self.stream.as_ref().is_some_and(|stream| !stream.is_over(now));
        if is_known || !keeps_history(keep) {
            return Ok(None);
        }
        // Random, so that positions of an earlier life of the channel, or of the process, are known
        // for what they are.
        let mut epoch = [0; 8];
        SystemRandom::new().fill(&mut epoch).map_err(|_| Error::Unavailable)?;
        let usage = Arc::clone(self.place.usage());
        Ok(Some(Box::new(Stream::new(u64::from_ne_bytes(epoch), usage))))
    }

    fn last_value_at(&self, now: Instant) -> Option<&LastValue> {
        self.last_value.as_deref().filter(|last| now.duration_since(last.since) < last.age)
    }
}

/// Whether a publication leaves anything behind.
pub(super) fn keeps_anything(keep: &Keep) -> bool {
    keeps_history(keep) || keep.last_value.is_some_and(|age| !age.is_zero())
}

/// A page of a stream that is not known.
pub(super) fn nothing_kept(since: Option<Position>) -> HistoryPage {
    let complete = since.is_none();
    HistoryPage { publications: Vec::new(), head: None, complete, more: false }
}

fn keeps_history(keep: &Keep) -> bool {
    !keep.history.is_off() && !keep.history.age.is_zero()
}
