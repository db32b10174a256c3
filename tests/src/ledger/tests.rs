//! Each fault is made on purpose and must be found, by itself.

use super::{Fault, Ledger, Receipts, Stamp};

const ROOM: &str = "room";

/// Publisher 1 publishes three times, publisher 2 twice; the channel's order is [`ORDER`].
fn ledger() -> Ledger {
    let mut ledger = Ledger::new();
    for publisher in [1, 1, 1, 2, 2] {
        let stamp = ledger.publish(publisher, ROOM);
        ledger.acknowledge(stamp);
    }
    ledger.record(receipts("witness", &ORDER));
    ledger
}

const ORDER: [(u32, u64); 5] = [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)];

fn stamp((publisher, number): (u32, u64)) -> Stamp {
    Stamp { publisher, number }
}

fn receipts(subscriber: &str, received: &[(u32, u64)]) -> Receipts {
    let mut receipts = Receipts::new(subscriber, ROOM);
    for &mark in received {
        receipts.push(stamp(mark));
    }
    receipts
}

#[track_caller]
fn check(receipts: Receipts, expected: &[Fault]) {
    let mut ledger = ledger();
    ledger.record(receipts);
    assert_eq!(ledger.judge().faults(), expected);
}

fn who() -> String {
    String::from("x")
}

fn lost(mark: (u32, u64)) -> Fault {
    Fault::Lost { subscriber: who(), stamp: stamp(mark) }
}

fn reordered(mark: (u32, u64), before: (u32, u64)) -> Fault {
    Fault::Reordered { subscriber: who(), stamp: stamp(mark), before: stamp(before) }
}

#[test]
fn what_everyone_got_in_one_order_is_clean() {
    check(receipts("x", &ORDER), &[]);
    let verdict = ledger().judge();
    assert_eq!((verdict.acknowledged, verdict.delivered), (5, 5));
}

#[test]
fn a_missing_publication_is_lost() {
    check(receipts("x", &[(1, 1), (2, 1), (2, 2), (1, 3)]), &[lost((1, 2))]);
    check(receipts("x", &ORDER[..4]), &[lost((1, 3))]);
    check(receipts("x", &ORDER[1..]), &[lost((1, 1))]);
}

#[test]
fn what_no_witness_saw_is_lost_at_the_witness_too() {
    let mut ledger = ledger();
    let stamp = ledger.publish(3, ROOM);
    assert!(ledger.judge().is_clean(), "what was not acknowledged may be lost");
    ledger.acknowledge(stamp);
    let fault = Fault::Lost { subscriber: String::from("witness"), stamp };
    assert_eq!(ledger.judge().faults(), [fault]);
}

#[test]
fn what_one_got_without_an_acknowledgement_all_must_get() {
    let mut ledger = Ledger::new();
    let stamp = ledger.publish(1, ROOM);
    ledger.record(receipts("witness", &[(1, 1)]));
    ledger.record(receipts("x", &[]));
    assert_eq!(ledger.judge().faults(), [Fault::Lost { subscriber: who(), stamp }]);
}

#[test]
fn a_second_receipt_is_a_duplicate() {
    let twice = [(1, 1), (2, 1), (2, 1), (1, 2), (2, 2), (1, 3)];
    let fault = Fault::Duplicate { subscriber: who(), stamp: stamp((2, 1)) };
    check(receipts("x", &twice), &[fault]);
}

#[test]
fn a_publishers_own_order_must_hold() {
    let swapped = [(1, 2), (2, 1), (1, 1), (2, 2), (1, 3)];
    check(receipts("x", &swapped), &[reordered((2, 1), (1, 2)), reordered((1, 1), (1, 2))]);
    // Also where every subscriber agrees on the wrong order.
    let mut ledger = Ledger::new();
    ledger.publish(1, ROOM);
    ledger.publish(1, ROOM);
    ledger.record(receipts("x", &[(1, 2), (1, 1)]));
    assert_eq!(ledger.judge().faults(), [reordered((1, 1), (1, 2))]);
}

#[test]
fn all_subscribers_must_see_one_order_of_all_publishers() {
    let other = [(2, 1), (1, 1), (1, 2), (2, 2), (1, 3)];
    check(receipts("x", &other), &[reordered((1, 1), (2, 1))]);
}

#[test]
fn what_nobody_published_or_published_elsewhere_is_unknown() {
    let mut seen = ORDER.to_vec();
    seen.push((9, 9));
    let fault = Fault::Unknown { subscriber: who(), stamp: stamp((9, 9)) };
    check(receipts("x", &seen), &[fault]);

    let mut ledger = ledger();
    let elsewhere = ledger.publish(3, "hall");
    ledger.acknowledge(elsewhere);
    let mut witness = Receipts::new("hall witness", "hall");
    witness.push(elsewhere);
    ledger.record(witness);
    let mut crossed = receipts("x", &ORDER);
    crossed.push(elsewhere);
    ledger.record(crossed);
    let fault = Fault::Unknown { subscriber: who(), stamp: elsewhere };
    assert_eq!(ledger.judge().faults(), [fault]);
}

#[test]
fn who_was_closed_early_answers_for_a_prefix_without_gaps() {
    check(receipts("x", &ORDER[..3]).closed_early(), &[]);
    check(receipts("x", &[]).closed_early(), &[]);
    check(receipts("x", &[(1, 1), (1, 2)]).closed_early(), &[lost((2, 1))]);
    check(receipts("x", &ORDER[1..3]).closed_early(), &[lost((1, 1))]);
}

#[test]
fn who_joined_late_answers_for_a_suffix_without_gaps() {
    check(receipts("x", &ORDER[2..]).joined_late(), &[]);
    check(receipts("x", &ORDER[2..4]).joined_late(), &[lost((1, 3))]);
    check(receipts("x", &ORDER[2..4]).joined_late().closed_early(), &[]);
    let gap = [(2, 1), (2, 2)];
    check(receipts("x", &gap).joined_late().closed_early(), &[lost((1, 2))]);
}

#[test]
fn who_is_deaf_to_a_publisher_must_not_hear_it() {
    let others = [(1, 1), (1, 2), (1, 3)];
    check(receipts("x", &others).deaf_to(2), &[]);
    check(receipts("x", &[(1, 1), (1, 3)]).deaf_to(2), &[lost((1, 2))]);
    let fault = Fault::Unknown { subscriber: who(), stamp: stamp((2, 1)) };
    check(receipts("x", &[(1, 1), (2, 1), (1, 2), (1, 3)]).deaf_to(2), &[fault]);
}

#[test]
fn a_channel_that_nobody_saw_whole_cannot_be_judged() {
    let mut ledger = Ledger::new();
    let stamp = ledger.publish(1, ROOM);
    ledger.record(receipts("x", &[(1, 1)]).joined_late());
    let fault = Fault::NoWitness { channel: String::from(ROOM) };
    assert_eq!(ledger.judge().faults(), std::slice::from_ref(&fault));
    let mut ledger = Ledger::new();
    ledger.publish(1, ROOM);
    assert!(ledger.judge().is_clean());
    ledger.acknowledge(stamp);
    assert_eq!(ledger.judge().faults(), [fault]);
}

#[test]
fn a_stamp_survives_its_payload() {
    let stamp = Stamp { publisher: 7, number: 41 };
    assert_eq!(stamp.payload(64).len(), 64);
    assert_eq!(Stamp::parse(&stamp.payload(0)), Some(stamp));
    assert_eq!(Stamp::parse(&stamp.payload(500)), Some(stamp));
    assert_eq!(Stamp::parse("nothing of ours"), None);
}
