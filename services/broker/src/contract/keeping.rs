//! What a channel keeps: history by positions, the last value, and nothing longer than asked.

use std::collections::VecDeque;
use std::time::Duration;

use model::{Cached, ChannelKey, ChannelName, HistoryPage, Position, UserId};

use super::{
    APP, OTHER_APP, Random, Subject, assert_exhausted, ids_of, joiner, keep_history,
    keep_last_value, key, pass, publication, until,
};
use crate::{Joiner, Keep, Retention, ShardId, ShardSet};

/// For what should be gone soon.
const SHORT: Duration = Duration::from_millis(40);

pub(super) async fn history_pages_are_those_of_a_model(subject: Subject) {
    let key = key("history");
    let mut random = Random::from_environment();
    let mut kept = VecDeque::new();
    let mut epoch = None;
    for offset in 1..=400_u64 {
        let at = format!("seed {}, offset {offset}", random.seed);
        let size = 1 + random.below(30) as usize;
        let position = subject.publish(&key, u128::from(offset), keep_history(size)).await;
        let position = position.expect("history is kept");
        assert_eq!(position.offset, offset, "{at}");
        assert_eq!(position.epoch, *epoch.get_or_insert(position.epoch), "{at}");
        kept.push_back(u128::from(offset));
        while kept.len() > size {
            kept.pop_front();
        }
        let limit = random.below(12) as usize;
        let since = offset.saturating_sub(random.below(40));
        let page = page(&subject, &key, Some(Position { offset: since, ..position }), limit).await;
        let following: Vec<_> = kept.iter().copied().filter(|id| *id > u128::from(since)).collect();
        assert_eq!(page.head, Some(position), "{at}");
        let first = kept.front().copied().unwrap_or_default();
        assert_eq!(page.complete, u128::from(since) + 1 >= first, "{at}");
        let expected = &following[..limit.min(following.len())];
        assert_eq!(ids_of(&page.publications), expected, "{at}");
        assert_eq!(page.more, following.len() > limit, "{at}");
    }
    // Page by page, the whole.
    let mut since = None;
    let mut read = Vec::new();
    loop {
        let page = page(&subject, &key, since, 3).await;
        assert!(page.complete);
        read.extend(ids_of(&page.publications));
        since = page.publications.last().and_then(|last| last.position);
        if !page.more {
            break;
        }
    }
    assert_eq!(read, Vec::from(kept));
}

pub(super) async fn lost_positions_are_told(subject: Subject) {
    let key = key("lost");
    let unknown = Position { epoch: 7, offset: 3 };
    let nothing = page(&subject, &key, None, 10).await;
    assert_eq!((nothing.head, nothing.complete, nothing.more), (None, true, false));
    assert!(!page(&subject, &key, Some(unknown), 10).await.complete);
    let mut head = None;
    for id in 1..=5 {
        head = subject.publish(&key, id, keep_history(3)).await;
    }
    let head = head.expect("history is kept");
    let another_epoch = Position { epoch: !head.epoch, ..head };
    let ahead = Position { offset: head.offset + 1, ..head };
    let gone = Position { offset: head.offset - 4, ..head };
    for lost in [another_epoch, ahead, gone] {
        let answer = page(&subject, &key, Some(lost), 10).await;
        assert!(!answer.complete, "{lost} was taken for a place in the stream");
        assert_eq!(ids_of(&answer.publications), [3, 4, 5], "all that is kept after {lost}");
        assert_eq!(answer.head, Some(head));
    }
    for (behind, ids) in [(3, vec![3, 4, 5]), (1, vec![5]), (0, vec![])] {
        let since = Position { offset: head.offset - behind, ..head };
        let answer = page(&subject, &key, Some(since), 10).await;
        assert!(answer.complete && !answer.more);
        assert_eq!(ids_of(&answer.publications), ids);
    }
}

pub(super) async fn history_ages(subject: Subject) {
    let key = key("ageing");
    let short = Retention { size: 10, age: SHORT };
    let keep = Keep { history: short, ..keep_history(10) };
    let position = subject.publish(&key, 1, keep).await.expect("history is kept");
    until("history to age", async || page(&subject, &key, None, 10).await.publications.is_empty())
        .await;
    until("the stream to be forgotten", async || {
        subject.broker.sweep();
        !page(&subject, &key, Some(position), 10).await.complete
    })
    .await;
    let again = subject.publish(&key, 2, keep_history(10)).await.expect("history is kept");
    assert_ne!(again.epoch, position.epoch, "a forgotten stream goes on");

    // What has aged no longer counts against the app's bytes.
    let (aged, next) = (super::key("aged"), super::key("next"));
    let cost = publication(1).cost_bytes();
    let two = |keep| Keep { history_bytes_max: 2 * cost, ..keep };
    let lasting = two(keep_history(10));
    subject.publish(&aged, 1, two(keep)).await;
    until("room for the next", async || {
        subject.broker.sweep();
        subject.publish(&next, 2, lasting).await;
        page(&subject, &next, None, 10).await.publications.len() == 1
    })
    .await;
}

/// Over the app's bytes a channel keeps less, and says so; others lose nothing by it.
pub(super) async fn history_bytes_have_a_ceiling(subject: Subject) {
    let (one, other) = (key("one"), key("other"));
    subject.join(&one, joiner(0, 1)).await;
    // The costs of ids of one digit are the same.
    let cost = publication(1).cost_bytes();
    let keep = Keep { history_bytes_max: 5 * cost, ..keep_history(100) };
    for id in 1..=3 {
        subject.publish(&other, id, keep).await;
    }
    let mut positions = Vec::new();
    for id in 1..=4 {
        positions.push(subject.publish(&one, id, keep).await.expect("history is kept"));
    }
    let kept = page(&subject, &one, None, 10).await;
    assert_eq!((ids_of(&kept.publications), kept.head), (vec![3, 4], Some(positions[3])));
    assert_eq!(ids_of(&page(&subject, &other, None, 10).await.publications), [1, 2, 3]);
    assert!(!page(&subject, &one, Some(positions[0]), 10).await.complete);
    assert!(page(&subject, &one, Some(positions[1]), 10).await.complete);

    // No room even without what this channel keeps.
    let keep = Keep { history_bytes_max: 3 * cost, ..keep };
    let unkept = subject.publish(&one, 5, keep).await.expect("it has its place all the same");
    assert_eq!(unkept.offset, positions[3].offset + 1);
    let none = page(&subject, &one, Some(positions[3]), 10).await;
    assert_eq!((none.publications.len(), none.head, none.complete), (0, Some(unkept), false));
    assert!(page(&subject, &one, Some(unkept), 10).await.complete);
    subject.told(0, &one, 5).await;

    // Another app has bytes of its own.
    let elsewhere = ChannelKey::new(OTHER_APP, one.channel.clone());
    subject.publish(&elsewhere, 1, keep).await;
    assert_eq!(page(&subject, &elsewhere, None, 10).await.publications.len(), 1);
}

pub(super) async fn last_value_is_kept_for_newcomers(subject: Subject) {
    let key = key("cached");
    let cached = |connection| Joiner { cached: true, ..joiner(0, connection) };
    assert!(matches!(subject.join(&key, cached(1)).await.cached, Cached::Miss));
    let position = subject.publish(&key, 1, keep_last_value()).await;
    assert_eq!(position, None, "a last value alone has no place in a stream");
    subject.publish(&key, 2, pass()).await;
    subject.publish(&key, 3, keep_history(10)).await;
    let hit = subject.join(&key, cached(2)).await.cached;
    assert!(matches!(&hit, Cached::Hit(publication) if publication.id.0 == 1), "{hit:?}");
    assert!(matches!(subject.join(&key, joiner(0, 3)).await.cached, Cached::Off));

    subject.publish(&key, 4, Keep { last_value: Some(SHORT), ..pass() }).await;
    let state = subject.broker.channel(&key).await.expect("the channel's state is known");
    if let Some((publication, rest)) = state.cached {
        assert_eq!(publication.id.0, 4);
        assert!(rest <= SHORT, "{rest:?}");
    }
    until("the last value to age", async || {
        let state = subject.broker.channel(&key).await.expect("the channel's state is known");
        state.cached.is_none()
    })
    .await;
    assert!(matches!(subject.join(&key, cached(4)).await.cached, Cached::Miss));
}

pub(super) async fn nothing_is_kept_unasked(subject: Subject) {
    let key = key("plain");
    // Nobody is there and nothing is kept: no channel is made, so that even none may be had.
    let none = Keep { channels_max: 0, ..pass() };
    assert_eq!(subject.publish(&key, 1, none).await, None);
    subject.join(&key, joiner(0, 1)).await;
    assert_eq!(subject.publish(&key, 2, none).await, None);
    let told = subject.told(0, &key, 1).await;
    assert_eq!(super::id_of(&told[0]), 2);
    let page = page(&subject, &key, None, 10).await;
    assert_eq!((page.publications.len(), page.head), (0, None));
}

/// Seen from outside: the app may have one channel, and has room for another again.
pub(super) async fn empty_channels_are_forgotten(subject: Subject) {
    let only = |connection| Joiner { channels_max: 1, ..joiner(0, connection) };
    for round in 0..20_u64 {
        let key = key(&format!("round-{round}"));
        until("the channel before to be forgotten", async || {
            subject.broker.join(&key, only(round)).await.is_ok()
        })
        .await;
        subject.leave(&key, &only(round));
    }
    let kept = key("kept");
    let short = Retention { size: 10, age: SHORT };
    let keeps = [
        Keep { history: short, channels_max: 1, ..keep_history(10) },
        Keep { last_value: Some(SHORT), channels_max: 1, ..pass() },
    ];
    for (keep, connection) in keeps.into_iter().zip(100..) {
        until("a place", async || {
            subject.broker.sweep();
            subject.broker.publish(&kept, publication(1), keep).await.is_ok()
        })
        .await;
        let next = key(&format!("next-{connection}"));
        until("what is kept to be forgotten", async || {
            subject.broker.sweep();
            subject.broker.join(&next, only(connection)).await.is_ok()
        })
        .await;
        subject.leave(&next, &only(connection));
    }
    // What is kept and still good takes its place, with nobody in it.
    let lasting = Keep { channels_max: 1, ..keep_history(1) };
    until("a place", async || subject.broker.publish(&kept, publication(2), lasting).await.is_ok())
        .await;
    subject.broker.sweep();
    assert_exhausted(&subject.broker.join(&key("no-more"), only(1)).await);
}

pub(super) async fn occupied_channels_are_listed(subject: Subject) {
    for (connection, name) in (0..).zip(["b-2", "a-1", "b-1", "c", "b-3"]) {
        subject.join(&key(name), joiner(0, connection)).await;
    }
    subject.join(&key("b-1"), joiner(1, 10)).await;
    let user = UserId::parse("alice").expect("a valid user");
    let own = ChannelKey::new(APP, ChannelName::of_user(&user));
    subject.join(&own, joiner(0, 11)).await;
    subject.join(&ChannelKey::new(OTHER_APP, key("b-4").channel), joiner(0, 12)).await;
    subject.publish(&key("b-5"), 1, keep_history(10)).await;
    subject.leave(&key("c"), &joiner(0, 3));
    until("one to be empty", async || subject.subscriptions(&key("c")).await == 0).await;

    let list = async |prefix: &str, limit| {
        let listed = subject.broker.channels(APP, prefix, limit).await;
        let listed = listed.expect("channels are known");
        listed
            .into_iter()
            .map(|state| (state.channel.as_str().to_owned(), state.occupancy.subscriptions))
            .collect::<Vec<_>>()
    };
    let expected = |names: &[(&str, u64)]| {
        names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>()
    };
    let all = [("a-1", 1), ("b-1", 2), ("b-2", 1), ("b-3", 1)];
    assert_eq!(list("", 100).await, expected(&all));
    assert_eq!(list("b-", 100).await, expected(&all[1..]));
    assert_eq!(list("b-", 2).await, expected(&all[1..3]));
    assert_eq!(list("", 0).await, expected(&[]));
    assert_eq!(list("#", 100).await, expected(&[]));
    assert_eq!(list("d", 100).await, expected(&[]));
    // Not listed, yet as good a channel as any.
    subject.publish(&own, 2, pass()).await;
    subject.told(0, &own, 1).await;
    subject.sink.fill(ShardSet::from_iter([ShardId(0)]));
    assert!(subject.broker.publish(&own, publication(3), pass()).await.is_err());
}

async fn page(
    subject: &Subject,
    key: &ChannelKey,
    since: Option<Position>,
    limit: usize,
) -> HistoryPage {
    subject.broker.history(key, since, limit).await.expect("history is known")
}
