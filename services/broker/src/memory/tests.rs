//! The contract, and what only this backend can be asked: exact ages, and that nothing stays behind.

use std::sync::Arc;
use std::time::Duration;

use model::{
    AppId, ChannelKey, ChannelName, ConnectionId, MessageId, Payload, Publication, Push, Retention,
    Source,
};
use parking_lot::Mutex;
use tokio::time::advance;

use super::channel::Channel;
use super::{Memory, Stripe};
use crate::contract::{self, Recording};
use crate::{
    Broker, COUNT_AT_ONCE_MAX, COUNT_INTERVAL, DeliverySink, Joiner, Keep, Leaver, ShardId,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_the_contract() {
    contract::run(async |sink| Arc::new(Memory::new(sink)) as Arc<dyn Broker>).await;
}

const AGE: Duration = Duration::from_secs(60);
const A_LITTLE: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn history_is_as_old_as_asked_without_a_sweep() {
    let (memory, _) = memory();
    let key = key("aged");
    publish(&memory, &key, 1, history()).await;
    advance(AGE / 2).await;
    let second = publish(&memory, &key, 2, history()).await;
    assert_eq!(history_ids(&memory, &key).await, [1, 2]);
    advance(AGE / 2).await;
    assert_eq!(history_ids(&memory, &key).await, [2]);
    let page = memory.history(&key, second, 10).await.unwrap();
    assert!(page.complete, "who has everything is told so");
    advance(AGE / 2 - A_LITTLE).await;
    assert_eq!(publish(&memory, &key, 3, history()).await.unwrap().offset, 3);
    advance(AGE).await;
    let page = memory.history(&key, second, 10).await.unwrap();
    assert_eq!((page.head, page.complete), (None, false));
    let renewed = publish(&memory, &key, 4, history()).await.unwrap();
    assert_ne!(renewed.epoch, second.unwrap().epoch);
    assert_eq!(renewed.offset, 1);
}

#[tokio::test(start_paused = true)]
async fn positions_outlive_what_was_trimmed() {
    let (memory, _) = memory();
    let key = key("trimmed");
    let no_room = Keep { history_bytes_max: 10, ..history() };
    let first = publish(&memory, &key, 1, no_room).await.unwrap();
    advance(AGE - A_LITTLE).await;
    sweep_all(&memory);
    let second = publish(&memory, &key, 2, no_room).await.unwrap();
    assert_eq!((second.epoch, second.offset), (first.epoch, 2));
}

#[tokio::test(start_paused = true)]
async fn last_value_says_how_long_it_lives() {
    let (memory, _) = memory();
    let key = key("cached");
    let keep = Keep { last_value: Some(AGE), channels_max: 1, ..Keep::default() };
    publish(&memory, &key, 1, keep).await;
    advance(AGE / 4).await;
    let (_, rest) = memory.channel(&key).await.unwrap().cached.unwrap();
    assert_eq!(rest, AGE * 3 / 4);
    advance(rest).await;
    assert!(memory.channel(&key).await.unwrap().cached.is_none());
}

#[tokio::test(start_paused = true)]
async fn large_counts_are_told_every_interval_at_most() {
    let (memory, sink) = memory();
    let key = key("large");
    let counts = || {
        let inbox = sink.inbox(ShardId(0), &key);
        let count = |push: &Push| matches!(push, Push::SubscriptionCount(_));
        inbox.iter().filter(|delivery| count(&delivery.push)).count()
    };
    let start = COUNT_AT_ONCE_MAX;
    for connection in 0..=start {
        memory.join(&key, joiner(connection)).await.unwrap();
    }
    let at_once = counts();
    memory.sweep();
    assert_eq!(counts(), at_once + 1, "the first above the bound waits for no interval");
    memory.join(&key, joiner(1000)).await.unwrap();
    memory.join(&key, joiner(1001)).await.unwrap();
    advance(COUNT_INTERVAL - A_LITTLE).await;
    memory.sweep();
    assert_eq!(counts(), at_once + 1, "told within the interval");
    advance(A_LITTLE).await;
    memory.sweep();
    memory.sweep();
    assert_eq!(counts(), at_once + 2, "two changes are one count");
    advance(COUNT_INTERVAL).await;
    memory.sweep();
    assert_eq!(counts(), at_once + 2, "nothing has changed");
    sink.check();
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_behind() {
    let (memory, _) = memory();
    for number in 0..1000 {
        let key = key(&format!("channel-{number}"));
        memory.join(&key, joiner(number)).await.unwrap();
        let keep = if number % 2 == 0 { history() } else { Keep::default() };
        publish(&memory, &key, 1, keep).await;
        memory.leave(&key, &leaver(number));
    }
    assert_eq!(memory.channels_known(), 500);
    sweep_all(&memory);
    assert_eq!(memory.channels_known(), 500, "what is kept was let go too early");
    advance(AGE).await;
    sweep_all(&memory);
    assert_eq!((memory.channels_known(), memory.apps.len()), (0, 0));
    let is_small = |stripe: &Mutex<Stripe>| stripe.lock().channels.capacity() < 8;
    assert!(memory.stripes.iter().all(is_small));
}

#[test]
fn channel_is_small() {
    assert!(size_of::<Channel>() <= 72, "{} bytes", size_of::<Channel>());
}

fn memory() -> (Memory, Arc<Recording>) {
    let sink = Arc::new(Recording::default());
    (Memory::new(Arc::clone(&sink) as Arc<dyn DeliverySink>), sink)
}

/// As many as a whole round takes.
fn sweep_all(memory: &Memory) {
    for _ in 0..=Memory::STRIPES / Memory::STRIPES_PER_SWEEP {
        memory.sweep();
    }
}

async fn publish(
    memory: &Memory,
    key: &ChannelKey,
    id: u128,
    keep: Keep,
) -> Option<model::Position> {
    let publication = Publication {
        id: MessageId(id),
        event: None,
        payload: Payload::text("payload"),
        exclude: None,
        source: Source::Server,
        position: None,
    };
    memory.publish(key, publication, keep).await.unwrap()
}

async fn history_ids(memory: &Memory, key: &ChannelKey) -> Vec<u128> {
    let page = memory.history(key, None, 10).await.unwrap();
    page.publications.iter().map(|publication| publication.id.0).collect()
}

fn history() -> Keep {
    let history = Retention { size: 10, age: AGE };
    Keep { history, history_bytes_max: usize::MAX, last_value: None, channels_max: 10_000 }
}

fn key(name: &str) -> ChannelKey {
    ChannelKey::new(AppId(1), ChannelName::parse(name).unwrap())
}

fn joiner(connection: u64) -> Joiner {
    Joiner {
        shard: ShardId(0),
        connection: ConnectionId(connection),
        member: None,
        counts: true,
        cached: false,
        channels_max: 10_000,
        members_max: 10,
    }
}

fn leaver(connection: u64) -> Leaver {
    let connection = ConnectionId(connection);
    Leaver { shard: ShardId(0), connection, user: None, counts: true }
}
