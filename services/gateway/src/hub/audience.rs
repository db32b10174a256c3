//! One channel's subscribers on one shard, grouped by dialect, and what they are still to be told.
//!
//! A pass takes what is pending, encodes it once a group and walks over the members, a turn at a
//! time, with one write each. Members sit in a dense array with gaps, closed up only between
//! passes, so that a cursor never misses or repeats one.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use model::{ChannelKey, ConnectionId, Delivery, Push};
use protocol::Protocol;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::hub::Membership;
use crate::shard::inbox::reserved;
use crate::transport::frame;

/// Writes before the shard's other work gets a turn. Measured on a prototype: 64 keeps an echo
/// beside a 5,000-subscriber fan-out under a millisecond; never yielding made it 25.
pub(crate) const SENDS_PER_TURN: usize = 64;

#[derive(Debug)]
pub(crate) struct Audience {
    id: u32,
    channel: ChannelKey,
    groups: Vec<Group>,
    /// Each with the time of its acceptance, if it is timed.
    pending: VecDeque<(Arc<Delivery>, Option<Instant>)>,
    pass: Option<Pass>,
    members: usize,
}

/// What a turn did, for metrics and for the inbox's bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) sends: usize,
    /// Bytes of publications that everyone has now been told.
    pub(crate) released: usize,
    /// When a timed publication of them was accepted.
    pub(crate) since: Option<Instant>,
}

/// Subscribers who are told the same bytes.
#[derive(Debug)]
struct Group {
    protocol: &'static dyn Protocol,
    members: Vec<Option<Member>>,
    gaps: usize,
}

#[derive(Debug)]
struct Member {
    connection: Rc<Connection>,
    /// It is told nothing up to and including this.
    joined_at: u64,
}

/// One walk over all members.
#[derive(Debug)]
struct Pass {
    batches: Vec<Batch>,
    group: usize,
    slot: usize,
    released: usize,
    since: Option<Instant>,
}

/// Pending deliveries in one group's bytes.
#[derive(Debug, Default)]
struct Batch {
    bytes: Bytes,
    marks: Vec<Mark>,
    publications: u64,
    /// Some are not for everyone.
    exclusive: bool,
}

/// Where one delivery ends in a batch.
#[derive(Debug)]
struct Mark {
    end: usize,
    sequence: u64,
    /// 1, or 0 for what is said about the channel.
    publications: u64,
    exclude: Option<ConnectionId>,
}

impl Audience {
    pub(crate) fn new(id: u32, channel: ChannelKey) -> Self {
        Self { id, channel, groups: Vec::new(), pending: VecDeque::new(), pass: None, members: 0 }
    }

    pub(crate) fn channel(&self) -> &ChannelKey {
        &self.channel
    }

    pub(crate) fn join(&mut self, connection: &Rc<Connection>, joined_at: u64) -> (u16, u32) {
        let name = connection.protocol.name();
        let group = self.groups.iter().position(|group| group.protocol.name() == name);
        let group = group.unwrap_or_else(|| {
            let protocol = connection.protocol;
            self.groups.push(Group { protocol, members: Vec::new(), gaps: 0 });
            self.groups.len() - 1
        });
        let members = &mut self.groups[group].members;
        members.push(Some(Member { connection: Rc::clone(connection), joined_at }));
        self.members += 1;
        let slot = u32::try_from(members.len() - 1).expect("fewer than 2^32 members");
        (u16::try_from(group).expect("as many groups as dialects"), slot)
    }

    pub(crate) fn leave(&mut self, membership: Membership) {
        let group = &mut self.groups[usize::from(membership.group)];
        group.members[membership.slot as usize] = None;
        group.gaps += 1;
        self.members -= 1;
        if self.pass.is_none() {
            group.close_up(self.id);
        }
    }

    /// Takes a delivery in; true if the audience must be given a turn that it did not have.
    pub(crate) fn deliver(&mut self, delivery: Arc<Delivery>, since: Option<Instant>) -> bool {
        let idle = !self.has_work();
        self.pending.push_back((delivery, since));
        idle
    }

    pub(crate) fn has_work(&self) -> bool {
        self.pass.is_some() || !self.pending.is_empty()
    }

    /// Whether nobody is here and nothing waits.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.members == 0 && !self.has_work()
    }

    pub(crate) fn step(&mut self, pass_bytes_max: usize) -> Step {
        let mut pass = self.pass.take().unwrap_or_else(|| self.begin(pass_bytes_max));
        let mut sends = 0;
        while let (Some(group), Some(batch)) =
            (self.groups.get(pass.group), pass.batches.get(pass.group))
        {
            // A dialect that has no word for any of it has nobody to be told.
            let end = if batch.marks.is_empty() { 0 } else { group.members.len() };
            while sends < SENDS_PER_TURN && pass.slot < end {
                if let Some(member) = &group.members[pass.slot] {
                    sends += batch.send(member);
                }
                pass.slot += 1;
            }
            if pass.slot < end {
                self.pass = Some(pass);
                return Step { sends, ..Step::default() };
            }
            (pass.group, pass.slot) = (pass.group + 1, 0);
        }
        for group in &mut self.groups {
            group.close_up(self.id);
        }
        Step { sends, released: pass.released, since: pass.since }
    }

    /// Encodes what is pending, up to a bound that a healthy client's queue holds easily.
    fn begin(&mut self, bytes_max: usize) -> Pass {
        let mut bytes = 0;
        let taken = self.pending.iter().take_while(|(delivery, _)| {
            let fits = bytes == 0 || bytes + delivery.cost_bytes() <= bytes_max;
            bytes += delivery.cost_bytes();
            fits
        });
        let taken = taken.count();
        let (deliveries, times): (Vec<_>, Vec<_>) = self.pending.drain(..taken).unzip();
        let since = times.into_iter().flatten().next();
        let batches = self.groups.iter().map(|group| Batch::encode(group, &deliveries)).collect();
        let released = deliveries.iter().map(|delivery| reserved(delivery)).sum();
        Pass { batches, group: 0, slot: 0, released, since }
    }
}

impl Batch {
    fn encode(group: &Group, deliveries: &[Arc<Delivery>]) -> Self {
        let encoder = group.protocol.push_encoder();
        let mut batch = Self::default();
        let mut bytes = Vec::new();
        for delivery in deliveries {
            let Some(encoded) = encoder.encode(delivery) else { continue };
            frame::append(&mut bytes, &encoded);
            let (publications, exclude) = match &delivery.push {
                Push::Publication(publication) => (1, publication.exclude),
                Push::MemberAdded(_) | Push::MemberRemoved(_) | Push::SubscriptionCount(_) => {
                    (0, None)
                }
            };
            batch.exclusive |= exclude.is_some();
            batch.publications += publications;
            let (end, sequence) = (bytes.len(), delivery.sequence);
            batch.marks.push(Mark { end, sequence, publications, exclude });
        }
        Self { bytes: bytes.into(), ..batch }
    }

    /// Writes to one member what is for it; how many writes that took.
    fn send(&self, member: &Member) -> usize {
        let Some(first) = self.marks.first() else { return 0 };
        let connection = &member.connection;
        let of_all = member.joined_at < first.sequence;
        if of_all && !(self.exclusive && self.excludes(connection.id)) {
            connection.send(&self.bytes, self.publications);
            return 1;
        }
        let (mut begin, mut sends) = (0, 0);
        for mark in &self.marks {
            if mark.sequence > member.joined_at && mark.exclude != Some(connection.id) {
                connection.send_part(&self.bytes[begin..mark.end], mark.publications);
                sends += 1;
            }
            begin = mark.end;
        }
        sends
    }

    fn excludes(&self, connection: ConnectionId) -> bool {
        self.marks.iter().any(|mark| mark.exclude == Some(connection))
    }
}

impl Group {
    /// Closes the gaps once they are many; each member is told its new place.
    fn close_up(&mut self, audience: u32) {
        if self.gaps <= self.members.len() / 2 {
            return;
        }
        self.members.retain(Option::is_some);
        self.gaps = 0;
        for (slot, member) in self.members.iter().flatten().enumerate() {
            let mut memberships = member.connection.memberships.borrow_mut();
            if let Some(membership) = memberships.iter_mut().find(|m| m.audience == audience) {
                membership.slot = slot as u32;
            }
        }
    }
}
