//! What each app uses of this backend: its channels and the bytes of its history.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ahash::RandomState;
use model::AppId;
use parking_lot::RwLock;

/// The apps that have a channel. Asked only when a channel is made: a channel holds on to its
/// app's usage, so that publishing never comes here.
#[derive(Debug, Default)]
pub(super) struct Apps(RwLock<HashMap<AppId, Arc<Usage>, RandomState>>);

/// Relaxed throughout: the numbers guard nothing but themselves.
#[derive(Debug, Default)]
pub(super) struct Usage {
    channels: AtomicU32,
    history_bytes: AtomicUsize,
}

/// One channel's place in its app's number of channels, given back on drop.
#[derive(Debug)]
pub(super) struct Place(Arc<Usage>);

impl Apps {
    /// Takes a place for one more channel; `None` where the app has `channels_max`.
    pub(super) fn admit(&self, app: AppId, channels_max: u32) -> Option<Place> {
        let usage = self.usage(app);
        let taken = usage.channels.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |channels| {
            (channels < channels_max).then_some(channels + 1)
        });
        taken.ok().map(|_| Place(usage))
    }

    /// Lets go of apps that use nothing.
    pub(super) fn sweep(&self) {
        // Whoever holds one got it under this lock, so a count of 1 is nobody else's.
        self.0.write().retain(|_, usage| Arc::strong_count(usage) > 1);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.read().len()
    }

    fn usage(&self, app: AppId) -> Arc<Usage> {
        let known = self.0.read().get(&app).map(Arc::clone);
        known.unwrap_or_else(|| Arc::clone(self.0.write().entry(app).or_default()))
    }
}

impl Usage {
    /// Takes `bytes` of history, where the app stays within `bytes_max`.
    pub(super) fn take_history(&self, bytes: usize, bytes_max: usize) -> bool {
        let taken = self.history_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= bytes_max)
        });
        taken.is_ok()
    }

    pub(super) fn give_back_history(&self, bytes: usize) {
        self.history_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Place {
    pub(super) fn usage(&self) -> &Arc<Usage> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Ordering::Relaxed);
    }
}
