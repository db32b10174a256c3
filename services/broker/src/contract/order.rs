//! Deliveries: one order on every shard, from the place where a subscriber joined, or no trace.

use std::collections::{HashMap, HashSet};

use model::{Cached, Push};
use tokio::task::JoinSet;

use super::{
    Random, Subject, assert_sequence, id_of, ids_of, joiner, joiner_as, keep_history,
    keep_last_value, key, pass, publication, until,
};
use crate::{Error, Keep, ShardId, ShardSet};

pub(super) async fn every_shard_has_one_order(subject: Subject) {
    const SHARDS: u8 = 4;
    const PUBLISHERS: u128 = 4;
    const EACH: u128 = 250;
    let keys = [key("orders"), key("invoices")];
    let mut joined = HashMap::new();
    for key in &keys {
        for shard in 0..SHARDS {
            let answer = subject.join(key, joiner(shard, u64::from(shard))).await;
            joined.insert((key.clone(), shard), answer.sequence);
        }
    }
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (subject, keys) = (subject.clone(), keys.clone());
        publishers.spawn(async move {
            for number in 0..EACH {
                let key = &keys[(number % 2) as usize];
                subject.publish(key, publisher << 64 | number, keep_history(10_000)).await;
            }
        });
    }
    publishers.join_all().await;

    for key in &keys {
        let count = (PUBLISHERS * EACH / 2) as usize;
        let first = subject.told(0, key, count).await;
        for shard in 0..SHARDS {
            let told = subject.told(shard, key, count).await;
            assert_sequence(&told, joined[&(key.clone(), shard)]);
            let same = told.iter().zip(&first).all(|(one, other)| id_of(one) == id_of(other));
            assert!(same, "shard {shard} has another order than shard 0");
        }
        let ids: Vec<_> = first.iter().map(|delivery| id_of(delivery)).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), count, "one was told twice");
        for publisher in 0..PUBLISHERS {
            let own: Vec<_> = ids.iter().filter(|id| *id >> 64 == publisher).collect();
            assert!(own.is_sorted(), "publisher {publisher}'s order was changed");
        }
        let page = subject.broker.history(key, None, count).await.expect("history is kept");
        assert_eq!(ids_of(&page.publications), ids, "history has another order");
        let offsets: Vec<_> = first.iter().map(|delivery| offset_of(&delivery.push)).collect();
        assert_eq!(offsets, (1..=count as u64).collect::<Vec<_>>());
    }
}

/// Joins while others publish. What a newcomer finds is what was told up to its place; what comes
/// after is told to its shard, from the very next one.
pub(super) async fn newcomer_misses_and_repeats_nothing(subject: Subject) {
    const ROUNDS: u128 = 20;
    const PUBLISHERS: u128 = 3;
    const EACH: u128 = 60;
    let mut random = Random::from_environment();
    for round in 0..ROUNDS {
        let key = key(&format!("round-{round}"));
        let start = subject.join(&key, joiner(0, 0)).await.sequence;
        let mut publishers = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let (subject, key) = (subject.clone(), key.clone());
            publishers.spawn(async move {
                let keep = Keep { last_value: keep_last_value().last_value, ..keep_history(1000) };
                for number in 0..EACH {
                    subject.publish(&key, publisher << 64 | number, keep).await;
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut newcomers = JoinSet::new();
        for shard in 1..8_u8 {
            let (subject, key, wait) = (subject.clone(), key.clone(), random.below(80));
            newcomers.spawn(async move {
                for _ in 0..wait {
                    tokio::task::yield_now().await;
                }
                let cached = crate::Joiner { cached: true, ..joiner(shard, u64::from(shard)) };
                (shard, subject.join(&key, cached).await)
            });
        }
        let newcomers = newcomers.join_all().await;
        publishers.join_all().await;

        let all = subject.told(0, &key, (PUBLISHERS * EACH) as usize).await;
        assert_sequence(&all, start);
        for (shard, joined) in newcomers {
            let before = (joined.sequence - start) as usize;
            let told = subject.told(shard, &key, all.len() - before).await;
            assert_sequence(&told, joined.sequence);
            let since = match (&joined.cached, before.checked_sub(1)) {
                (Cached::Hit(publication), Some(last)) => {
                    assert_eq!(publication.id.0, id_of(&all[last]), "the last value is another's");
                    publication.position
                }
                (Cached::Miss, None) => None,
                (cached, _) => panic!("{cached:?} after {before} publications"),
            };
            let page = subject.broker.history(&key, since, 1000).await.expect("history is kept");
            let ids: Vec<_> = told.iter().map(|delivery| id_of(delivery)).collect();
            assert_eq!(ids_of(&page.publications), ids, "seed {}", random.seed);
        }
    }
}

pub(super) async fn full_inbox_leaves_no_trace(subject: Subject) {
    let key = key("full");
    let joined = subject.join(&key, joiner(0, 1)).await;
    subject.join(&key, joiner(1, 2)).await;
    let keep = Keep { last_value: keep_last_value().last_value, ..keep_history(10) };
    let first = subject.publish(&key, 1, keep).await.expect("history is kept");

    subject.sink.fill(ShardSet::from_iter([ShardId(1)]));
    for keep in [keep, pass()] {
        let refused = subject.broker.publish(&key, publication(2), keep).await;
        assert!(matches!(refused, Err(Error::Unavailable)), "{refused:?}");
    }
    let page = subject.broker.history(&key, None, 10).await.expect("history is kept");
    assert_eq!((ids_of(&page.publications), page.head), (vec![1], Some(first)));
    let state = subject.broker.channel(&key).await.expect("the channel's state is known");
    assert_eq!(state.cached.map(|(publication, _)| publication.id.0), Some(1));

    // A member needs no room. A channel without subscribers in a full shard does not, either.
    subject.join(&key, joiner_as(0, 3, "alice")).await;
    subject.publish(&super::key("empty"), 9, keep).await;
    subject.sink.fill(ShardSet::default());
    let third = subject.publish(&key, 3, keep).await.expect("history is kept");
    assert_eq!((third.epoch, third.offset), (first.epoch, first.offset + 1));
    for shard in [0, 1] {
        let told = subject.told(shard, &key, 3).await;
        assert_sequence(&told, joined.sequence);
        assert!(matches!(told[1].push, Push::MemberAdded(_)));
        assert_eq!((id_of(&told[0]), id_of(&told[2])), (1, 3));
    }
}

/// Deliveries to an earlier life of a channel may still lie in an inbox when it comes back: the
/// newcomer must be able to tell them from its own.
pub(super) async fn returning_channel_repeats_no_sequence(subject: Subject) {
    let key = key("returning");
    let mut last = 0;
    for life in 0..5_usize {
        let connection = joiner(0, life as u64);
        let joined = subject.join(&key, connection.clone()).await;
        assert!(joined.sequence >= last, "{} after {last}", joined.sequence);
        subject.publish(&key, 1, pass()).await;
        subject.publish(&key, 2, pass()).await;
        let told = subject.told(0, &key, 2 * life + 2).await;
        assert_sequence(&told[2 * life..], joined.sequence);
        last = joined.sequence + 2;
        subject.leave(&key, &connection);
        until("the channel to be empty", async || subject.subscriptions(&key).await == 0).await;
        subject.broker.sweep();
    }
}

pub(super) async fn only_interested_shards_are_told(subject: Subject) {
    let key = key("interest");
    let elsewhere = crate::contract::ChannelKey::new(super::OTHER_APP, key.channel.clone());
    let joiners = [joiner(0, 1), joiner(1, 2), joiner(1, 3), joiner(2, 4)];
    for joiner in &joiners {
        subject.join(&key, joiner.clone()).await;
    }
    subject.join(&elsewhere, joiner(3, 5)).await;
    subject.publish(&key, 1, pass()).await;
    subject.leave(&key, &joiners[1]);
    subject.leave(&key, &joiners[3]);
    until("two to be left", async || subject.subscriptions(&key).await == 2).await;
    subject.publish(&key, 2, pass()).await;
    subject.leave(&key, &joiners[2]);
    until("one to be left", async || subject.subscriptions(&key).await == 1).await;
    subject.publish(&key, 3, pass()).await;

    subject.told(0, &key, 3).await;
    subject.told(1, &key, 2).await;
    subject.told(2, &key, 1).await;
    subject.told(3, &key, 0).await;
    subject.told(3, &elsewhere, 0).await;
    assert_eq!(subject.subscriptions(&elsewhere).await, 1, "another app's channel was touched");
}

pub(super) async fn leaving_twice_is_nothing(subject: Subject) {
    let key = key("leaving");
    let (stays, goes, never) = (joiner_as(0, 1, "a"), joiner_as(0, 2, "a"), joiner_as(1, 3, "a"));
    subject.leave(&key, &never);
    let joined = subject.join(&key, stays.clone()).await;
    subject.join(&key, goes.clone()).await;
    for leaver in [&goes, &goes, &never, &goes] {
        subject.leave(&key, leaver);
    }
    // On its own connection, but not on the shard it joined from.
    subject.leave(&key, &crate::Joiner { shard: ShardId(7), ..stays.clone() });
    subject.publish(&key, 1, pass()).await;
    let told = subject.told(0, &key, 1).await;
    assert_sequence(&told, joined.sequence);
    assert_eq!(id_of(&told[0]), 1);
    assert_eq!(subject.subscriptions(&key).await, 1);
    let members = subject.broker.members(&key).await.expect("members are known");
    assert_eq!(members.len(), 1);
}

fn offset_of(push: &Push) -> u64 {
    match push {
        Push::Publication(publication) => publication.position.expect("history is kept").offset,
        Push::MemberAdded(_) | Push::MemberRemoved(_) | Push::SubscriptionCount(_) => {
            panic!("not a publication: {push:?}")
        }
    }
}
