//! Tests of shard.
