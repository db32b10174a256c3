//! Which connections are in a channel, by shard.

use ahash::{HashSet, HashSetExt};
use model::ConnectionId;

use crate::{ShardId, ShardSet};

/// One entry a shard with a connection. Connections are known one by one, not only counted: a
/// leave that comes twice must change nothing.
#[derive(Debug, Default)]
pub(super) struct Subscribers(Vec<OnShard>);

#[derive(Debug)]
struct OnShard {
    shard: ShardId,
    connections: Connections,
}

/// Most channels have one subscriber on a shard, and that one costs no set.
#[derive(Debug)]
enum Connections {
    One(ConnectionId),
    Many(Box<HashSet<ConnectionId>>),
}

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|on_shard| on_shard.connections.len()).sum::<usize>() as u64
    }

    pub(super) fn shards(&self) -> ShardSet {
        self.0.iter().map(|on_shard| on_shard.shard).collect()
    }

    pub(super) fn contains(&self, shard: ShardId, connection: ConnectionId) -> bool {
        self.0
            .iter()
            .any(|on_shard| on_shard.shard == shard && on_shard.connections.contains(connection))
    }

    pub(super) fn insert(&mut self, shard: ShardId, connection: ConnectionId) {
        match self.0.iter_mut().find(|on_shard| on_shard.shard == shard) {
            Some(on_shard) => on_shard.connections.insert(connection),
            None => {
                // A vector's own first growth is to four.
                self.0.reserve_exact(1);
                self.0.push(OnShard { shard, connections: Connections::One(connection) });
            }
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, shard: ShardId, connection: ConnectionId) -> bool {
        let Some(index) = self.0.iter().position(|on_shard| on_shard.shard == shard) else {
            return false;
        };
        let connections = &mut self.0[index].connections;
        if !connections.contains(connection) {
            return false;
        }
        if connections.len() == 1 {
            self.0.swap_remove(index);
        } else {
            connections.remove(connection);
        }
        true
    }
}

impl Connections {
    /// Below this a set is not worth making smaller.
    const SHRINK_FROM: usize = 64;

    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(set) => set.len(),
        }
    }

    fn contains(&self, connection: ConnectionId) -> bool {
        match self {
            Self::One(only) => *only == connection,
            Self::Many(set) => set.contains(&connection),
        }
    }

    fn insert(&mut self, connection: ConnectionId) {
        match self {
            Self::One(only) if *only == connection => {}
            Self::One(only) => {
                let mut set = HashSet::with_capacity(2);
                set.extend([*only, connection]);
                *self = Self::Many(Box::new(set));
            }
            Self::Many(set) => {
                set.insert(connection);
            }
        }
    }

    fn remove(&mut self, connection: ConnectionId) {
        if let Self::Many(set) = self {
            set.remove(&connection);
            if set.capacity() > Self::SHRINK_FROM && set.len() < set.capacity() / 4 {
                set.shrink_to(2 * set.len());
            }
        }
    }
}
