//! What one client address may take: new connections each second, and open connections. And whose
//! address that is, behind proxies.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;

use super::rate::{Meter, Now, Rate};
use crate::config::TrustedProxies;

const STRIPES: usize = 16;
/// Addresses without an open connection that a stripe remembers: 64 Ki in all, about 3 MB.
const IDLE_MAX: usize = 4_096;
/// What a full address is told: nobody knows when one of its connections will end.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

/// All client addresses, each IPv4 address and each IPv6 /64 by itself. Shared by all shards:
/// the kernel spreads one client's connections over them.
#[derive(Debug)]
pub struct Addresses {
    stripes: [Mutex<Stripe>; STRIPES],
    hasher: RandomState,
    connections_max: u32,
    rate: Rate,
}

/// A place of an address, given back when dropped.
#[derive(Debug)]
pub struct AddressPermit {
    addresses: Arc<Addresses>,
    prefix: Prefix,
}

/// An IPv4 address, or the first 64 bits of an IPv6 one: what one subscriber has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    V4(u32),
    V6(u64),
}

#[derive(Debug, Default)]
struct Stripe {
    /// Every address with an open connection, and of the others those that came lately.
    entries: AHashMap<Prefix, Entry>,
    idle: usize,
}

#[derive(Debug, Default)]
struct Entry {
    open: u32,
    connects: Meter,
}

impl Addresses {
    pub fn new(connections_max: u32, rate: Rate) -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            connections_max,
            rate,
        }
    }

    /// Takes a place for `ip`, or says how long it should wait.
    pub fn admit(self: &Arc<Self>, ip: IpAddr, now: Now) -> Result<AddressPermit, Duration> {
        let prefix = Prefix::of(ip);
        let mut stripe = self.stripe(prefix).lock();
        stripe.forget_some(now);
        let known = stripe.entries.contains_key(&prefix);
        let entry = stripe.entries.entry(prefix).or_default();
        let admitted = if entry.open >= self.connections_max {
            Err(RETRY_WHEN_FULL)
        } else {
            let charged = entry.connects.charge(now, self.rate, 1);
            charged.map_err(|exceeded| exceeded.retry_after.unwrap_or(RETRY_WHEN_FULL))
        };
        let was_open = entry.open > 0;
        entry.open += u32::from(admitted.is_ok());
        match (known && !was_open, entry.open > 0) {
            (true, true) => stripe.idle -= 1,
            (false, false) => stripe.idle += 1,
            _ => {}
        }
        drop(stripe);
        admitted.map(|()| AddressPermit { addresses: Arc::clone(self), prefix })
    }

    fn stripe(&self, prefix: Prefix) -> &Mutex<Stripe> {
        let hash = self.hasher.hash_one(prefix);
        &self.stripes[usize::try_from(hash % STRIPES as u64).expect("below 16")]
    }

    fn give_back(&self, prefix: Prefix) {
        let mut stripe = self.stripe(prefix).lock();
        let Some(entry) = stripe.entries.get_mut(&prefix) else { return };
        entry.open = entry.open.saturating_sub(1);
        if entry.open == 0 {
            stripe.idle += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().entries.len()).sum()
    }
}

impl Stripe {
    /// Once too many idle addresses are remembered: forgets those whose rate is whole again, and of
    /// the others the half that is nearest to it, so that this is rare.
    fn forget_some(&mut self, now: Now) {
        if self.idle < IDLE_MAX {
            return;
        }
        self.entries.retain(|_, entry| entry.open > 0 || !entry.connects.is_idle(now));
        let mut whole_at: Vec<Now> = self
            .entries
            .values()
            .filter(|entry| entry.open == 0)
            .map(|entry| entry.connects.idle_at())
            .collect();
        self.idle = whole_at.len();
        if self.idle <= IDLE_MAX / 2 {
            return;
        }
        let middle = self.idle / 2;
        let (_, median, _) = whole_at.select_nth_unstable(middle);
        let median = *median;
        self.entries.retain(|_, entry| entry.open > 0 || entry.connects.idle_at() > median);
        self.idle = self.entries.values().filter(|entry| entry.open == 0).count();
    }
}

impl Prefix {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => {
                Self::V6(u64::try_from(v6.to_bits() >> 64).expect("half of an address"))
            }
        }
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        self.addresses.give_back(self.prefix);
    }
}

/// The client's address: the peer's own, or where the peer is a trusted proxy what the proxies say
/// in `forwarded` (the values of `X-Forwarded-For`, in the order in which they came): the rightmost
/// address that is not a trusted proxy's. Entries further left are the client's own invention.
///
/// Looks at no more than `trusted.hops_max` entries. One that is no address ends the search at the
/// proxy that wrote it.
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &TrustedProxies,
) -> IpAddr {
    let mut client = peer.to_canonical();
    let entries = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for entry in entries.take(trusted.hops_max) {
        if !trusted.contains(client) {
            break;
        }
        let Some(address) = forwarded_address(entry) else { break };
        client = address;
    }
    client
}

/// An entry as proxies write it: an address, also in brackets, also with a port.
fn forwarded_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()))
        .ok()?;
    Some(address.to_canonical())
}
