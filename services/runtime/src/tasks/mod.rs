//! Background work on the tokio runtime: every task has a name, is counted, and is awaited or
//! dropped when its owner stops. The one place that calls `tokio::spawn`.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[cfg(test)]
mod tests;

/// A group of tasks that end together. Clones are the same group.
#[derive(Clone, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    tracker: TaskTracker,
    /// Asks tasks to end.
    stop: CancellationToken,
    /// Drops the futures of those that did not.
    kill: CancellationToken,
    /// Guards the names only; a count is touched without it. Nothing else is locked under it.
    counts: Mutex<BTreeMap<&'static str, Arc<AtomicUsize>>>,
}

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` until it ends, or until [`Tasks::stop`] loses patience with it. A panic ends
    /// this task alone and is logged under `name`.
    ///
    /// Must be called inside a tokio runtime. After `stop` the future is dropped unrun.
    #[expect(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        if self.inner.tracker.is_closed() {
            return;
        }
        let running = self.count(name);
        let kill = self.inner.kill.clone();
        tokio::spawn(self.inner.tracker.track_future(async move {
            let _running = running;
            let work = AssertUnwindSafe(future).catch_unwind();
            if let Some(Err(_)) = kill.run_until_cancelled(work).await {
                log_panic(name);
            }
        }));
    }

    /// Runs `work` on a thread where it may block. It cannot be dropped: it must look at
    /// [`Tasks::token`] if it can take long.
    #[expect(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
    pub fn spawn_blocking(&self, name: &'static str, work: impl FnOnce() + Send + 'static) {
        if self.inner.tracker.is_closed() {
            return;
        }
        let running = self.count(name);
        let tracked = self.inner.tracker.token();
        // Not awaited by its handle: the token held by the closure is what `stop` waits for.
        let _detached = tokio::task::spawn_blocking(move || {
            let _held = (running, tracked);
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                log_panic(name);
            }
        });
    }

    /// Ready once the group is asked to stop.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.inner.stop.clone().cancelled_owned()
    }

    /// Cancelled once the group is asked to stop; cancelling it asks the group to stop, without
    /// waiting.
    pub fn token(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// How many tasks of each name run now, names that have none included.
    pub fn running(&self) -> Vec<(&'static str, usize)> {
        let counts = self.inner.counts.lock();
        counts.iter().map(|(name, count)| (*name, count.load(Ordering::Relaxed))).collect()
    }

    /// Asks all tasks to end, waits for at most `deadline`, then drops the rest and says how many
    /// they were. No task starts any more.
    pub async fn stop(&self, deadline: Duration) -> usize {
        self.inner.tracker.close();
        self.inner.stop.cancel();
        if tokio::time::timeout(deadline, self.inner.tracker.wait()).await.is_ok() {
            return 0;
        }
        let left = self.running();
        for (name, count) in left.iter().filter(|(_, count)| *count > 0) {
            tracing::warn!(task = *name, count, "task did not stop in time");
        }
        self.inner.kill.cancel();
        left.iter().map(|(_, count)| count).sum()
    }

    fn count(&self, name: &'static str) -> Running {
        let count = Arc::clone(self.inner.counts.lock().entry(name).or_default());
        count.fetch_add(1, Ordering::Relaxed);
        Running(count)
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.running()).finish_non_exhaustive()
    }
}

/// One running task in the count of its name.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn log_panic(name: &'static str) {
    // Where it happened the panic hook has said; what it said may hold a client's data.
    tracing::error!(task = name, "task panicked");
}
