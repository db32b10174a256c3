//! A channel's history: the newest publications, without a hole, and where they are in the stream.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{HistoryPage, Position, Publication, Retention};
use tokio::time::Instant;

use super::usage::Usage;
use crate::Keep;

/// What is kept is always the stream's end: a publication that finds no room empties the stream,
/// since what came before it could no longer be told without a hole.
///
/// It is known until `retention.age` has passed without a publication, so that a reader who has
/// everything is told so even where the publications themselves had to go earlier.
#[derive(Debug)]
pub(super) struct Stream {
    epoch: u64,
    /// The offset of the last publication.
    head: u64,
    retention: Retention,
    appended: Instant,
    kept: VecDeque<Kept>,
    usage: Arc<Usage>,
}

#[derive(Debug)]
struct Kept {
    since: Instant,
    publication: Arc<Publication>,
}

impl Stream {
    pub(super) fn new(epoch: u64, usage: Arc<Usage>) -> Self {
        Self {
            epoch,
            head: 0,
            retention: Retention::default(),
            appended: Instant::now(),
            kept: VecDeque::new(),
            usage,
        }
    }

    /// Where the next publication goes.
    pub(super) fn next(&self) -> Position {
        Position { epoch: self.epoch, offset: self.head + 1 }
    }

    /// Takes up the publication at [`Stream::next`].
    pub(super) fn append(&mut self, publication: Arc<Publication>, keep: &Keep, now: Instant) {
        self.head += 1;
        self.appended = now;
        self.retention = keep.history;
        self.age(now);
        while self.kept.len() >= self.retention.size {
            self.forget_oldest();
        }
        let bytes = publication.cost_bytes();
        while !self.usage.take_history(bytes, keep.history_bytes_max) {
            if !self.forget_oldest() {
                return;
            }
        }
        self.kept.push_back(Kept { since: now, publication });
    }

    /// Lets go of what is too old.
    pub(super) fn age(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|oldest| self.is_over_since(oldest.since, now)) {
            self.forget_oldest();
        }
        let spare = self.kept.capacity() / 4;
        if spare > self.kept.len() {
            self.kept.shrink_to(2 * self.kept.len());
        }
    }

    /// Whether the stream itself is to be forgotten, its positions with it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.is_over_since(self.appended, now)
    }

    /// A position that is not in the stream is answered from the oldest that is kept.
    pub(super) fn page(&self, since: Option<Position>, limit: usize) -> HistoryPage {
        let (start, complete) = match since {
            None => (0, true),
            Some(since) => match self.index_after(since) {
                Some(index) => (index, true),
                None => (0, false),
            },
        };
        let publications: Vec<_> = self
            .kept
            .iter()
            .skip(start)
            .take(limit)
            .map(|kept| Arc::clone(&kept.publication))
            .collect();
        HistoryPage {
            more: start + publications.len() < self.kept.len(),
            publications,
            head: Some(Position { epoch: self.epoch, offset: self.head }),
            complete,
        }
    }

    /// Where in `kept` the first publication after `since` is, or would be.
    fn index_after(&self, since: Position) -> Option<usize> {
        if since.epoch != self.epoch {
            return None;
        }
        let behind = usize::try_from(self.head.checked_sub(since.offset)?).ok()?;
        self.kept.len().checked_sub(behind)
    }

    fn is_over_since(&self, since: Instant, now: Instant) -> bool {
        now.duration_since(since) >= self.retention.age
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = self.kept.pop_front();
        if let Some(oldest) = &oldest {
            self.usage.give_back_history(oldest.publication.cost_bytes());
        }
        oldest.is_some()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        while self.forget_oldest() {}
    }
}
