//! Between gateways: moves deliveries, keeps history, members and last values. Knows channels and
//! publications; no connection's socket, no dialect.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod memory;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{
    AppId, Cached, ChannelKey, ChannelName, ChannelState, ConnectionId, Delivery, HistoryPage,
    Member, Position, Publication, Retention,
};

/// A backend. What each promises, and `contract` tests:
///
/// - deliveries of one channel reach every interested shard in one order, never concurrently, each
///   at most once, the publisher's own shard included; `sequence` rises by exactly 1;
/// - `join` takes effect at one place of that order: what it returns is the state up to and
///   including `Joined::sequence`, and each delivery after it reaches the joiner's shard;
/// - history, last value and member edges are part of the same act as the delivery they belong to;
/// - between that place and the return of `join` nothing is delivered to the joiner's shard on this
///   channel: a backend that has to wait holds it back until its caller has its answer, and can
///   make the joiner known to its hub;
/// - `publish` returns once the publication is accepted, not once it is delivered; refused or
///   failed, it leaves no trace;
/// - a user's first connection in a channel is `MemberAdded`, the last one's leave `MemberRemoved`,
///   whatever the number of connections; leaving twice, or without having joined, is nothing;
/// - a channel that nobody is in and that keeps nothing is forgotten; when it comes back, its
///   sequences go on above those it had, so that what an inbox still holds is known to be old.
#[async_trait]
pub trait Broker: Debug + Send + Sync + 'static {
    /// Makes a connection a subscriber. Joining twice is an error of the caller.
    async fn join(&self, channel: &ChannelKey, joiner: Joiner) -> Result<Joined, Error>;

    /// Ends a subscription; never waits, so that it can run while a panic unwinds.
    fn leave(&self, channel: &ChannelKey, leaver: &Leaver);

    /// Appends, keeps and delivers.
    async fn publish(
        &self,
        channel: &ChannelKey,
        publication: Publication,
        keep: Keep,
    ) -> Result<Option<Position>, Error>;

    /// At most `limit` publications after `since`, or from the oldest that is kept.
    async fn history(
        &self,
        channel: &ChannelKey,
        since: Option<Position>,
        limit: usize,
    ) -> Result<HistoryPage, Error>;

    async fn channel(&self, channel: &ChannelKey) -> Result<ChannelState, Error>;

    /// Distinct members, in no order.
    async fn members(&self, channel: &ChannelKey) -> Result<Vec<Member>, Error>;

    /// Channels with a subscriber whose name begins with `prefix`, by name, at most `limit`.
    async fn channels(
        &self,
        app: AppId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ChannelState>, Error>;

    /// Called about once a second: lets go of what has aged, tells counts that were held back.
    fn sweep(&self);
}

/// Where deliveries go: one inbox a shard. Implemented by the gateway; never blocks.
pub trait DeliverySink: Debug + Send + Sync + 'static {
    /// Takes room for `bytes` in the inbox of each of `shards`, in all or in none. Room that is
    /// taken is used by the next `deliver` of the same size, or never taken at all.
    fn reserve(&self, shards: ShardSet, bytes: usize) -> Result<(), InboxFull>;

    /// Puts a delivery into the inbox of each of `shards`, in the order of the calls. Room was
    /// reserved for publications; member edges and counts need none, since connections bound them.
    fn deliver(&self, shards: ShardSet, delivery: Arc<Delivery>);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxFull;

/// A shard of this gateway, by number; at most [`ShardId::COUNT_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u8);

/// A set of this gateway's shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u128);

/// Who joins, and what its channel's rule and its app allow.
#[derive(Clone, Debug)]
pub struct Joiner {
    pub shard: ShardId,
    pub connection: ConnectionId,
    pub member: Option<Member>,
    /// Whether subscribers are told how many they are.
    pub counts: bool,
    /// Whether the last value is wanted.
    pub cached: bool,
    pub channels_max: u32,
    pub members_max: u32,
}

#[derive(Clone, Debug)]
pub struct Leaver {
    pub shard: ShardId,
    pub connection: ConnectionId,
    /// The user it joined as.
    pub user: Option<model::UserId>,
    pub counts: bool,
}

/// The channel as the newcomer finds it.
#[derive(Clone, Debug)]
pub struct Joined {
    pub sequence: u64,
    /// Distinct members with the newcomer, where it came as one.
    pub members: Option<Vec<Member>>,
    pub cached: Cached,
    /// Subscriptions with the newcomer, where counts are told.
    pub count: Option<u64>,
}

/// What a publication leaves behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    pub history: Retention,
    /// Of the app, all channels together; beyond it the channel keeps less.
    pub history_bytes_max: usize,
    /// How long it is the channel's last value; `None` where it is not.
    pub last_value: Option<Duration>,
    pub channels_max: u32,
}

/// Why it failed, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Try again later.
    #[error("broker is unavailable")]
    Unavailable,
    /// The app has all the channels it may have.
    #[error("the app has all the channels it may have")]
    ChannelsExhausted,
    /// The channel has all the members it may have.
    #[error("the channel has all the members it may have")]
    MembersExhausted,
}

/// Up to how many subscribers each change of their number is told at once; above, every
/// [`COUNT_INTERVAL`].
pub const COUNT_AT_ONCE_MAX: u64 = 100;
pub const COUNT_INTERVAL: Duration = Duration::from_secs(5);

impl ShardId {
    pub const COUNT_MAX: usize = 128;
}

impl ShardSet {
    pub fn insert(&mut self, shard: ShardId) {
        self.0 |= 1 << shard.0;
    }

    pub fn remove(&mut self, shard: ShardId) {
        self.0 &= !(1 << shard.0);
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let shard = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(ShardId(u8::try_from(shard).expect("below 128")))
        })
    }
}

impl FromIterator<ShardId> for ShardSet {
    fn from_iter<I: IntoIterator<Item = ShardId>>(shards: I) -> Self {
        let mut set = Self::default();
        for shard in shards {
            set.insert(shard);
        }
        set
    }
}

/// Whether a channel is one that callers list: Wharf's own channels are not.
pub(crate) fn is_listed(channel: &ChannelName) -> bool {
    !channel.as_str().starts_with('#')
}
