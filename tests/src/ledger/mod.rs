//! The ledger: what was published and acknowledged against what each subscriber received. Pure data:
//! whoever drives the clients writes it, and [`Ledger::judge`] says what went wrong.
//!
//! A channel's one order is what a *witness* saw: a subscriber that was there before the first
//! publication, stayed to the end and hears everybody. Every other subscriber is held against it.

mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;

pub use verdict::{Fault, Verdict};

/// A publication's mark in its payload: who published it, and the publisher's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    pub publisher: u32,
    pub number: u64,
}

/// What one subscriber received on one channel, in its order.
#[derive(Clone, Debug)]
pub struct Receipts {
    subscriber: String,
    channel: String,
    received: Vec<Stamp>,
    span: Span,
    /// The publisher that this subscriber is not told of: itself.
    deaf_to: Option<u32>,
}

/// Which part of the channel's stream a subscriber answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    /// All of it.
    Whole,
    /// From its first receipt on.
    FromFirst,
    /// Up to its last receipt: it was closed early.
    ToLast,
    /// Between its first and last receipt.
    Between,
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    publications: HashMap<Stamp, Publication>,
    receipts: Vec<Receipts>,
    next: HashMap<u32, u64>,
}

#[derive(Clone, Debug)]
struct Publication {
    channel: String,
    acknowledged: bool,
}

impl Stamp {
    /// A payload of at least `bytes` that carries this stamp.
    pub fn payload(self, bytes: usize) -> String {
        let mut text = format!("{self} ");
        text.extend(std::iter::repeat_n('.', bytes.saturating_sub(text.len())));
        text
    }

    /// The stamp in a payload, if it has one.
    pub fn parse(payload: &str) -> Option<Self> {
        let (stamp, _) = payload.split_once(' ')?;
        let (publisher, number) = stamp.split_once('#')?;
        Some(Self { publisher: publisher.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.publisher, self.number)
    }
}

impl Receipts {
    /// Of a subscriber that was there from before the first publication until the end.
    pub fn new(subscriber: impl Into<String>, channel: impl Into<String>) -> Self {
        Self {
            subscriber: subscriber.into(),
            channel: channel.into(),
            received: Vec::new(),
            span: Span::Whole,
            deaf_to: None,
        }
    }

    pub fn push(&mut self, stamp: Stamp) {
        self.received.push(stamp);
    }

    pub fn len(&self) -> usize {
        self.received.len()
    }

    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// It joined while others were publishing already.
    #[must_use]
    pub fn joined_late(mut self) -> Self {
        self.span = match self.span {
            Span::Whole | Span::FromFirst => Span::FromFirst,
            Span::ToLast | Span::Between => Span::Between,
        };
        self
    }

    /// It left, or was closed, while others were still publishing.
    #[must_use]
    pub fn closed_early(mut self) -> Self {
        self.span = match self.span {
            Span::Whole | Span::ToLast => Span::ToLast,
            Span::FromFirst | Span::Between => Span::Between,
        };
        self
    }

    /// It is not told what this publisher says.
    #[must_use]
    pub fn deaf_to(mut self, publisher: u32) -> Self {
        self.deaf_to = Some(publisher);
        self
    }

    fn is_witness(&self) -> bool {
        self.span == Span::Whole && self.deaf_to.is_none()
    }

    fn hears(&self, stamp: Stamp) -> bool {
        self.deaf_to != Some(stamp.publisher)
    }
}

impl Ledger {
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an attempt and gives the stamp to put into its payload. Until it is acknowledged it
    /// may arrive or not, but at everyone alike.
    pub fn publish(&mut self, publisher: u32, channel: impl Into<String>) -> Stamp {
        let number = self.next.entry(publisher).or_default();
        *number += 1;
        let stamp = Stamp { publisher, number: *number };
        let publication = Publication { channel: channel.into(), acknowledged: false };
        self.publications.insert(stamp, publication);
        stamp
    }

    /// The server has accepted it: from now on it must arrive.
    pub fn acknowledge(&mut self, stamp: Stamp) {
        let publication = self.publications.get_mut(&stamp);
        publication.expect("only what was published is acknowledged").acknowledged = true;
    }

    pub fn record(&mut self, receipts: Receipts) {
        self.receipts.push(receipts);
    }

    pub fn acknowledged(&self) -> usize {
        self.publications.values().filter(|publication| publication.acknowledged).count()
    }

    /// How many publications of one channel were acknowledged.
    pub fn acknowledged_on(&self, channel: &str) -> usize {
        let on = |publication: &&Publication| publication.channel == channel;
        self.publications.values().filter(on).filter(|p| p.acknowledged).count()
    }

    pub fn judge(&self) -> Verdict {
        let mut verdict = Verdict::new(self.acknowledged());
        let mut orders = HashMap::new();
        for receipts in &self.receipts {
            let channel = receipts.channel.as_str();
            if !orders.contains_key(channel) {
                let order = self.order_of(channel);
                if order.is_none() {
                    verdict.add(Fault::NoWitness { channel: String::from(channel) });
                }
                orders.insert(channel, order.unwrap_or_default());
            }
            self.hold(receipts, &orders[channel], &mut verdict);
        }
        let heard: HashSet<&str> = orders.keys().copied().collect();
        for publication in self.publications.values() {
            let channel = publication.channel.as_str();
            if publication.acknowledged && !heard.contains(channel) {
                verdict.add(Fault::NoWitness { channel: String::from(channel) });
            }
        }
        verdict
    }

    /// The channel's order, as the witness that saw most of it says.
    fn order_of(&self, channel: &str) -> Option<Order> {
        let witnesses = self.receipts.iter().filter(|r| r.channel == channel && r.is_witness());
        // Of two that saw as much, the first.
        let witness = witnesses.rev().max_by_key(|receipts| receipts.len())?;
        let mut order = Order::default();
        for &stamp in &witness.received {
            if !order.place.contains_key(&stamp) && self.is_on(stamp, channel) {
                order.place.insert(stamp, order.stamps.len());
                order.stamps.push(stamp);
            }
        }
        Some(order)
    }

    fn hold(&self, receipts: &Receipts, order: &Order, verdict: &mut Verdict) {
        let who = || receipts.subscriber.clone();
        let mut seen = HashSet::new();
        let mut latest: HashMap<u32, Stamp> = HashMap::new();
        let mut farthest: Option<Stamp> = None;
        for &stamp in &receipts.received {
            verdict.delivered += 1;
            if !self.is_on(stamp, &receipts.channel) || !receipts.hears(stamp) {
                verdict.add(Fault::Unknown { subscriber: who(), stamp });
                continue;
            }
            if !seen.insert(stamp) {
                verdict.add(Fault::Duplicate { subscriber: who(), stamp });
                continue;
            }
            let before = latest.insert(stamp.publisher, stamp).filter(|before| *before > stamp);
            let ahead = farthest.filter(|far| order.is_before(stamp, *far));
            if let Some(before) = before.or(ahead) {
                verdict.add(Fault::Reordered { subscriber: who(), stamp, before });
            }
            if order.place.contains_key(&stamp) && ahead.is_none() {
                farthest = Some(stamp);
            }
        }
        for stamp in self.expected(receipts, order, &seen) {
            if !seen.contains(&stamp) {
                verdict.add(Fault::Lost { subscriber: who(), stamp });
            }
        }
    }

    /// What this subscriber must have received: the part of the order that it answers for, and if
    /// that is the whole, everything that was acknowledged.
    fn expected(&self, receipts: &Receipts, order: &Order, seen: &HashSet<Stamp>) -> Vec<Stamp> {
        let places = || seen.iter().filter_map(|stamp| order.place.get(stamp).copied());
        let (end, nothing) = (order.stamps.len(), 0..0);
        let range = match (receipts.span, places().min(), places().max()) {
            (Span::Whole, ..) => 0..end,
            (_, None, _) | (_, _, None) => nothing,
            (Span::FromFirst, Some(first), _) => first..end,
            (Span::ToLast, _, Some(last)) => 0..last + 1,
            (Span::Between, Some(first), Some(last)) => first..last + 1,
        };
        let mut expected = order.stamps[range].to_vec();
        if receipts.span == Span::Whole {
            let missing = |(stamp, publication): (&Stamp, &Publication)| {
                let due = publication.acknowledged && publication.channel == receipts.channel;
                (due && !order.place.contains_key(stamp)).then_some(*stamp)
            };
            expected.extend(self.publications.iter().filter_map(missing));
        }
        expected.retain(|stamp| receipts.hears(*stamp));
        expected
    }

    fn is_on(&self, stamp: Stamp, channel: &str) -> bool {
        self.publications.get(&stamp).is_some_and(|publication| publication.channel == channel)
    }
}

#[derive(Debug, Default)]
struct Order {
    stamps: Vec<Stamp>,
    place: HashMap<Stamp, usize>,
}

impl Order {
    fn is_before(&self, one: Stamp, other: Stamp) -> bool {
        matches!((self.place.get(&one), self.place.get(&other)), (Some(a), Some(b)) if a < b)
    }
}
