//! One request that was let in, and how it is carried out: once for each idempotency key, whole
//! even if its client leaves, and answered within two seconds.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use model::{ChannelName, Reason, Refusal, ServerAnswer, ServerCall};
use ring::digest::{self, SHA256};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::answer::{Answer, Failure};
use super::idempotency::{Asked, Begun, Fingerprint};
use super::read;
use super::routes::Operation;
use crate::app::App;
use crate::http::calls;
use crate::shard::Shard;

#[derive(Debug)]
pub(super) struct Call {
    pub(super) shard: Rc<Shard>,
    pub(super) app: Arc<App>,
    pub(super) operation: Operation,
    /// Of the path.
    pub(super) channel: Option<ChannelName>,
    /// Still percent-encoded.
    pub(super) query: Box<str>,
    /// Of the header.
    pub(super) key: Option<Box<str>>,
    pub(super) body: Bytes,
    /// Among the requests in flight.
    pub(super) place: Rc<OwnedSemaphorePermit>,
}

/// A call that changes something, and the key it shall be carried out once for.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) call: ServerCall,
    pub(super) key: Option<Box<str>>,
    /// What the answer's body takes at most.
    pub(super) answer_bytes_max: usize,
}

impl Call {
    /// Asks without changing anything.
    pub(super) async fn ask(&self, call: ServerCall) -> Result<ServerAnswer, Failure> {
        let performed = calls::perform(&self.shard.gateway, &self.app, call);
        match tokio::time::timeout(calls::PERFORM_MAX, performed).await {
            Ok(answer) => answer.map_err(|refusal| failure(&refusal, &self.app)),
            Err(_) => Err(too_slow()),
        }
    }

    /// `word` makes the answer. A failure is not kept: the request may be sent again.
    pub(super) async fn change(
        &self,
        change: Change,
        word: impl FnOnce(ServerAnswer) -> Result<Answer, Failure> + 'static,
    ) -> Result<Answer, Failure> {
        let begun = match &change.key {
            None => None,
            Some(key) => {
                let asked = Asked {
                    app: self.app.config().id,
                    key,
                    fingerprint: self.fingerprint(),
                    answer_bytes_max: change.answer_bytes_max,
                };
                match self.shard.gateway.api.idempotency.begin(asked).await? {
                    Begun::Replay(answer) => return Ok(answer),
                    Begun::Execute(ticket) => Some(ticket),
                }
            }
        };
        let (tell, told) = oneshot::channel();
        let (shard, app, place) =
            (Rc::clone(&self.shard), Arc::clone(&self.app), Rc::clone(&self.place));
        // A task of its own: hyper drops ours when the client leaves, and half a batch is worse
        // than a whole one that nobody hears of.
        self.shard.spawn(async move {
            let answer = calls::perform(&shard.gateway, &app, change.call).await;
            let answer = answer.map_err(|refusal| failure(&refusal, &app)).and_then(word);
            if let (Some(ticket), Ok(answer)) = (begun, &answer) {
                ticket.finish(answer);
            }
            drop(place);
            // The client has left, or was told that it takes too long.
            let _ = tell.send(answer);
        });
        match tokio::time::timeout(calls::PERFORM_MAX, told).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(too_slow()),
        }
    }

    /// The key of the header or of the body.
    pub(super) fn key(&self, field: read::Field<'_>) -> Result<Option<Box<str>>, Failure> {
        const NAME: &str = "idempotency_key";
        let Some(raw) = read::optional(field) else { return Ok(self.key.clone()) };
        let key = read::string(NAME, raw)?;
        check_key(&key, NAME)?;
        match &self.key {
            Some(header) if **header != *key => {
                Err(read::wrong(NAME, "and the Idempotency-Key header differ: send one of them"))
            }
            _ => Ok(Some(key.into())),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut context = digest::Context::new(&SHA256);
        context.update(self.operation.name().as_bytes());
        context.update(b"\n");
        context.update(&self.body);
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Box<str>>, Failure> {
    const NAME: &str = "Idempotency-Key";
    let mut values = headers.get_all("idempotency-key").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(read::wrong(NAME, "is there twice: send it once")),
        (Some(value), None) => {
            let key = value.to_str().unwrap_or_default();
            check_key(key, NAME)?;
            Ok(Some(Box::from(key)))
        }
    }
}

fn check_key(key: &str, name: &'static str) -> Result<(), Failure> {
    const CHARS_MAX: usize = 255;
    let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && (1..=CHARS_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(read::wrong(name, "must be 1 to 255 printable ASCII characters"))
}

fn failure(refusal: &Refusal, app: &App) -> Failure {
    let failure = Failure::from(refusal);
    if refusal.reason != Reason::RateLimited {
        return failure;
    }
    let wait = refusal.retry_after_seconds().unwrap_or(1);
    failure
        .with(
            HeaderName::from_static("ratelimit-limit"),
            app.config().limits.publishes_per_second.into(),
        )
        .with(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from_static("0"))
        .with(HeaderName::from_static("ratelimit-reset"), wait.into())
}

fn too_slow() -> Failure {
    let detail = "the message service takes too long: ask again; an idempotency key keeps a change from happening twice";
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, Reason::Unavailable, detail).retry_after(1)
}
