//! The ring, the table's seats, and the inbox's bounds.

use std::collections::VecDeque;
use std::sync::Arc;

use broker::{DeliverySink as _, InboxFull, ShardId, ShardSet};
use model::{AppId, ChannelKey, ChannelName, Delivery, Publication, Push, Source};
use proptest::prelude::*;

use crate::shard::inbox::{Inboxes, Item, Order};
use crate::shard::ring::{Ring, Seat};

proptest! {
    #[test]
    fn ring_gives_each_seat_at_its_second_and_once(spans in prop::collection::vec(0_u32..400, 1..50)) {
        let mut ring = Ring::new();
        for _ in 0..300 {
            ring.advance();
        }
        let seat = |index: usize| Seat { index: index as u32, generation: 0 };
        let now = ring.now();
        let due: Vec<u32> =
            spans.iter().enumerate().map(|(i, span)| ring.insert(seat(i), now + span)).collect();
        for (span, at) in spans.iter().zip(&due) {
            prop_assert_eq!(*at, now + (*span).clamp(1, 255), "beyond the ring it comes early");
        }
        let mut seen = vec![0; spans.len()];
        for _ in 0..256 {
            for seat in ring.advance() {
                prop_assert_eq!(due[seat.index as usize], ring.now());
                seen[seat.index as usize] += 1;
            }
        }
        prop_assert!(seen.iter().all(|times| *times == 1));
    }
}

#[test]
fn inboxes_reserve_in_all_or_in_none() {
    let inboxes = Inboxes::new(2, 1_000);
    let (first, both) = (set(&[0]), set(&[0, 1]));
    inboxes.reserve(first, 900).expect("there is room");
    assert_eq!(inboxes.reserve(both, 200), Err(InboxFull));
    assert_eq!(inboxes.bytes(), 900, "what was refused took nothing");
    inboxes.reserve(set(&[1]), 200).expect("the other shard has room");
    inboxes.of(ShardId(0)).release(900);
    inboxes.reserve(first, 5_000).expect("an empty inbox takes anything");
}

#[test]
fn closed_inbox_gives_back_room_and_answers_orders() {
    let inboxes = Inboxes::new(1, 10_000);
    let delivery = delivery();
    let cost = delivery.cost_bytes();
    for _ in 0..2 {
        inboxes.reserve(set(&[0]), cost).expect("there is room");
        inboxes.deliver(set(&[0]), Arc::clone(&delivery));
        inboxes.of(ShardId(0)).close();
        assert_eq!(inboxes.bytes(), 0, "before and after it was closed");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let hit = runtime.block_on(inboxes.order(|done| Order::Reconcile { done }));
    assert_eq!(hit, 0, "nobody is waited for");
}

#[test]
fn inbox_keeps_the_order_of_what_is_put() {
    let inboxes = Inboxes::new(1, 10_000);
    inboxes.deliver(set(&[0]), delivery());
    inboxes.drain();
    inboxes.deliver(set(&[0]), delivery());
    let mut items = VecDeque::new();
    inboxes.of(ShardId(0)).take(&mut items);
    assert!(matches!(
        items.make_contiguous(),
        [Item::Delivery(..), Item::Drain, Item::Delivery(..)]
    ));
}

fn set(shards: &[u8]) -> ShardSet {
    shards.iter().map(|shard| ShardId(*shard)).collect()
}

fn delivery() -> Arc<Delivery> {
    let channel = ChannelName::parse("lobby").expect("a name");
    let publication = Publication {
        id: model::MessageId(7),
        event: None,
        payload: model::Payload::text("hello"),
        exclude: None,
        source: Source::Server,
        position: None,
    };
    Arc::new(Delivery {
        channel: ChannelKey::new(AppId(1), channel),
        sequence: 1,
        push: Push::Publication(Arc::new(publication)),
    })
}
