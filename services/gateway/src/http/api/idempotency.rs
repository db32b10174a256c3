//! Answers that are kept for two minutes, so that a request sent again is not carried out again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use hyper::StatusCode;
use model::{AppId, Reason};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Failure};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(120);
/// How long a request waits for another with the same key.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Of one app.
const ENTRIES_MAX: usize = 10_000;
/// Of one app: keys, answers and a flat share for the rest.
const BYTES_MAX: usize = 8 * 1024 * 1024;
const ENTRY_BYTES: usize = 192;

/// SHA-256 of what was asked.
pub(super) type Fingerprint = [u8; 32];

/// The answers of all apps, shared by all shards.
#[derive(Debug)]
pub(crate) struct Idempotency {
    /// An app's answers are in one stripe, so that its bounds are exact. Each lock guards its map
    /// and is held for look-ups only; no two are ever held together.
    stripes: Vec<Mutex<AHashMap<AppId, Answers>>>,
}

#[derive(Debug, Default)]
struct Answers {
    by_key: AHashMap<Arc<str>, Entry>,
    /// Finished ones, the first to be forgotten first.
    kept: VecDeque<(Instant, Arc<str>)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Cancelled when it is carried out, or was given up.
    Running(CancellationToken),
    Done(Answer),
}

/// A request that asks to be carried out once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) app: AppId,
    pub(super) key: &'a str,
    pub(super) fingerprint: Fingerprint,
    /// What its answer will take at most.
    pub(super) answer_bytes_max: usize,
}

#[derive(Debug)]
pub(super) enum Begun {
    /// Nobody has: carry it out.
    Execute(Ticket),
    /// It was: this was the answer.
    Replay(Answer),
}

/// The right to carry a request out. Dropped without an answer, the next one may try.
#[derive(Debug)]
pub(super) struct Ticket {
    owner: Arc<Idempotency>,
    app: AppId,
    key: Arc<str>,
    ended: CancellationToken,
}

enum Seen {
    Begun(Begun),
    Running(CancellationToken),
}

impl Default for Idempotency {
    fn default() -> Self {
        const STRIPES: usize = 16;
        Self { stripes: std::iter::repeat_with(Mutex::default).take(STRIPES).collect() }
    }
}

impl Idempotency {
    /// Waits for another request with the same key and content, for so long.
    pub(super) async fn begin(self: &Arc<Self>, asked: Asked<'_>) -> Result<Begun, Failure> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let running = match self.look(asked)? {
                Seen::Begun(begun) => return Ok(begun),
                Seen::Running(running) => running,
            };
            if tokio::time::timeout_at(deadline, running.cancelled()).await.is_err() {
                return Err(conflict(
                    "a request with this idempotency key is still being carried \
                                     out: ask again later",
                )
                .retry_after(1));
            }
        }
    }

    /// Forgets what is old, of apps that ask for nothing any more too.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for stripe in &self.stripes {
            stripe.lock().retain(|_, answers| {
                answers.forget(now);
                !answers.by_key.is_empty()
            });
        }
    }

    fn look(self: &Arc<Self>, asked: Asked<'_>) -> Result<Seen, Failure> {
        let mut stripe = self.stripe(asked.app).lock();
        let answers = stripe.entry(asked.app).or_default();
        let now = Instant::now();
        answers.forget(now);
        if let Some(entry) = answers.by_key.get(asked.key) {
            if entry.fingerprint != asked.fingerprint {
                let detail = "this idempotency key was used with another request: take a new one";
                return Err(conflict(detail));
            }
            return Ok(match &entry.state {
                State::Running(running) => Seen::Running(running.clone()),
                State::Done(answer) => {
                    Seen::Begun(Begun::Replay(Answer { replayed: true, ..answer.clone() }))
                }
            });
        }
        let bytes = ENTRY_BYTES + asked.key.len() + asked.answer_bytes_max;
        if answers.by_key.len() >= ENTRIES_MAX || answers.bytes + bytes > BYTES_MAX {
            return Err(answers.full(now));
        }
        let (key, ended): (Arc<str>, _) = (Arc::from(asked.key), CancellationToken::new());
        let state = State::Running(ended.clone());
        let entry = Entry { fingerprint: asked.fingerprint, bytes, state };
        answers.by_key.insert(Arc::clone(&key), entry);
        answers.bytes += bytes;
        let ticket = Ticket { owner: Arc::clone(self), app: asked.app, key, ended };
        Ok(Seen::Begun(Begun::Execute(ticket)))
    }

    fn stripe(&self, app: AppId) -> &Mutex<AHashMap<AppId, Answers>> {
        let stripes = self.stripes.len() as u64;
        let at = usize::try_from(app.0 % stripes).expect("fewer than there are stripes");
        &self.stripes[at]
    }
}

impl Answers {
    fn forget(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|(until, _)| *until <= now) {
            let (_, key) = self.kept.pop_front().expect("just seen");
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    fn finish(&mut self, key: &Arc<str>, answer: Answer, now: Instant) {
        let Some(entry) = self.by_key.get_mut(key) else { return };
        let bytes = ENTRY_BYTES + key.len() + answer.body.len();
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        entry.state = State::Done(answer);
        self.kept.push_back((now + KEPT, Arc::clone(key)));
    }

    fn full(&self, now: Instant) -> Failure {
        let wait = self.kept.front().map_or(WAIT_MAX, |(until, _)| *until - now);
        let detail = "the app has all the idempotency keys it may have for two minutes: send \
                      without one, or later";
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, Reason::IdempotencyFull, detail)
            .retry_after(wait.as_secs_f64().ceil() as u64)
    }
}

impl Ticket {
    /// Keeps the answer, from now on.
    pub(super) fn finish(self, answer: &Answer) {
        // Given back before `self` is dropped, which takes it again.
        let mut stripe = self.owner.stripe(self.app).lock();
        if let Some(answers) = stripe.get_mut(&self.app) {
            answers.finish(&self.key, answer.clone(), Instant::now());
        }
        drop(stripe);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut stripe = self.owner.stripe(self.app).lock();
        if let Some(answers) = stripe.get_mut(&self.app)
            && let Some(Entry { state: State::Running(_), .. }) = answers.by_key.get(&self.key)
        {
            answers.remove(&self.key);
        }
        drop(stripe);
        self.ended.cancel();
    }
}

fn conflict(detail: &'static str) -> Failure {
    Failure::new(StatusCode::CONFLICT, Reason::Conflict, detail)
}
