//! What every backend must pass: each promise of [`Broker`]'s comment, as a test.

mod keeping;
mod order;
mod presence;
mod recording;

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use model::{
    AppId, ChannelKey, ChannelName, ConnectionId, Delivery, Member, MessageId, Payload,
    Publication, Push, Retention, Source, Text, UserId,
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use crate::{Broker, DeliverySink, Error, Joined, Joiner, Keep, Leaver, ShardId};
pub use recording::Recording;

/// Runs everything, each part against a backend of its own. `make` gives one that delivers into the
/// sink; what it keeps must be empty. Needs a runtime of several threads, since the promises are
/// about what happens at once. Random parts take their seed from the variable `SEED`, or make one
/// and say so where they fail.
pub async fn run<F, Fut>(make: F)
where
    F: Fn(Arc<dyn DeliverySink>) -> Fut,
    Fut: Future<Output = Arc<dyn Broker>>,
{
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
    macro_rules! each {
        ($($promise:path),* $(,)?) => {$(
            let sink = Arc::new(Recording::default());
            let broker = make(Arc::clone(&sink) as Arc<dyn DeliverySink>).await;
            let subject = Subject { broker, sink };
            Box::pin($promise(subject.clone())).await;
            subject.sink.check();
        )*};
    }
    each!(
        order::every_shard_has_one_order,
        order::newcomer_misses_and_repeats_nothing,
        order::full_inbox_leaves_no_trace,
        order::returning_channel_repeats_no_sequence,
        order::only_interested_shards_are_told,
        order::leaving_twice_is_nothing,
        presence::edges_are_those_of_a_model,
        presence::edges_alternate_when_users_come_and_go_at_once,
        presence::counts_are_told,
        presence::members_have_a_ceiling,
        presence::channels_have_a_ceiling,
        keeping::history_pages_are_those_of_a_model,
        keeping::lost_positions_are_told,
        keeping::history_ages,
        keeping::history_bytes_have_a_ceiling,
        keeping::last_value_is_kept_for_newcomers,
        keeping::nothing_is_kept_unasked,
        keeping::empty_channels_are_forgotten,
        keeping::occupied_channels_are_listed,
    );
}

/// A backend under test, and what it delivered.
#[derive(Clone)]
struct Subject {
    broker: Arc<dyn Broker>,
    sink: Arc<Recording>,
}

/// A small generator of our own: the same seed gives the same test on every machine.
struct Random {
    seed: u64,
    state: u64,
}

const APP: AppId = AppId(1);
const OTHER_APP: AppId = AppId(2);
/// For what should happen soon; a loaded machine is slow.
const DEADLINE: Duration = Duration::from_secs(20);

impl Subject {
    async fn join(&self, key: &ChannelKey, joiner: Joiner) -> Joined {
        self.broker.join(key, joiner).await.expect("the join is within every ceiling")
    }

    async fn publish(&self, key: &ChannelKey, id: u128, keep: Keep) -> Option<model::Position> {
        let published = self.broker.publish(key, publication(id), keep).await;
        published.expect("the publication is within every ceiling")
    }

    fn leave(&self, key: &ChannelKey, joiner: &Joiner) {
        self.broker.leave(key, &leaver(joiner));
    }

    async fn subscriptions(&self, key: &ChannelKey) -> u64 {
        let state = self.broker.channel(key).await.expect("the channel's state is known");
        state.occupancy.subscriptions
    }

    /// What the shard was told of the channel, once it is `count` deliveries.
    async fn told(&self, shard: u8, key: &ChannelKey, count: usize) -> Vec<Arc<Delivery>> {
        until(format_args!("{count} deliveries to shard {shard}"), async || {
            self.sink.inbox(ShardId(shard), key).len() >= count
        })
        .await;
        let told = self.sink.inbox(ShardId(shard), key);
        assert_eq!(told.len(), count, "shard {shard} was told too much: {told:?}");
        told
    }
}

impl Random {
    fn from_environment() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| ahash::RandomState::new().hash_one(()));
        Self { seed, state: seed }
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Waits for what a backend may do a little later than it answers.
async fn until(what: impl Display, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn key(name: &str) -> ChannelKey {
    ChannelKey::new(APP, ChannelName::parse(name).expect("a valid name"))
}

fn joiner(shard: u8, connection: u64) -> Joiner {
    Joiner {
        shard: ShardId(shard),
        connection: ConnectionId(connection),
        member: None,
        counts: false,
        cached: false,
        channels_max: u32::MAX,
        members_max: u32::MAX,
    }
}

fn joiner_as(shard: u8, connection: u64, user: &str) -> Joiner {
    Joiner { member: Some(member(user, "{}")), ..joiner(shard, connection) }
}

fn leaver(joiner: &Joiner) -> Leaver {
    Leaver {
        shard: joiner.shard,
        connection: joiner.connection,
        user: joiner.member.as_ref().map(|member| member.user.clone()),
        counts: joiner.counts,
    }
}

fn member(user: &str, info: &str) -> Member {
    let user = UserId::parse(user).expect("a valid user");
    Member { user, info: Some(Text::from(info)) }
}

fn publication(id: u128) -> Publication {
    Publication {
        id: MessageId(id),
        event: None,
        payload: Payload::text(format!("payload {id}")),
        exclude: None,
        source: Source::Server,
        position: None,
    }
}

/// Keeps nothing.
fn pass() -> Keep {
    Keep { channels_max: u32::MAX, ..Keep::default() }
}

fn keep_history(size: usize) -> Keep {
    let history = Retention { size, age: Duration::from_secs(600) };
    Keep { history, history_bytes_max: usize::MAX, ..pass() }
}

fn keep_last_value() -> Keep {
    Keep { last_value: Some(Duration::from_secs(600)), ..pass() }
}

fn id_of(delivery: &Delivery) -> u128 {
    match &delivery.push {
        Push::Publication(publication) => publication.id.0,
        Push::MemberAdded(_) | Push::MemberRemoved(_) | Push::SubscriptionCount(_) => {
            panic!("not a publication: {delivery:?}")
        }
    }
}

fn ids_of<'a>(publications: impl IntoIterator<Item = &'a Arc<Publication>>) -> Vec<u128> {
    publications.into_iter().map(|publication| publication.id.0).collect()
}

/// Each delivery's sequence is one above that of the one before; the first follows `joined`.
fn assert_sequence(told: &[Arc<Delivery>], joined: u64) {
    for (expected, delivery) in (joined + 1..).zip(told) {
        assert_eq!(delivery.sequence, expected, "a gap or a repetition in {told:?}");
    }
}

fn assert_exhausted<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::ChannelsExhausted)), "{result:?}");
}
