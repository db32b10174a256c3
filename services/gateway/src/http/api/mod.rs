//! Our own HTTP API: routes, credentials, and the order in which a request is judged. What is
//! asked of the broker is carried out by `http::calls`, as for every other API.

mod answer;
mod call;
mod channels;
mod disconnect;
mod document;
mod idempotency;
mod publish;
mod read;
mod routes;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use model::{AppState, Reason, Refusal};
use opentelemetry::KeyValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::app::App;
use crate::auth::bearer;
use crate::http::{Response, body, trace};
use crate::shard::Shard;

use answer::{Answer, Failure};
use call::Call;
use idempotency::Idempotency;
use routes::{Found, NotFound, Operation};

pub(super) const PREFIX: &str = "/v1/";

/// What the API's requests share, over all shards.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) idempotency: Arc<Idempotency>,
    places: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(requests_in_flight_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(requests_in_flight_max));
        Self { idempotency: Arc::default(), places }
    }

    /// Takes a place among the requests in flight of all APIs, until dropped.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let detail = "this gateway has all the API requests in flight that it may have";
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Refusal::new(Reason::Unavailable, detail).retry_after(Duration::from_secs(1))
        })
    }
}

pub(super) async fn serve(shard: &Rc<Shard>, request: Request<Incoming>) -> Response {
    let begun = tokio::time::Instant::now();
    let gateway = &shard.gateway;
    let mut operation = "none";
    let mut response = match judge_and_answer(shard, request, &mut operation).await {
        Ok(answer) => answer.response(),
        Err(failure) => {
            gateway.instruments.refused(failure.reason);
            failure.response(gateway)
        }
    };
    if gateway.stopping.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let attributes = [
        KeyValue::new("http.response.status_code", i64::from(response.status().as_u16())),
        KeyValue::new("wharf.operation", operation),
    ];
    gateway.instruments.api_request.record(begun.elapsed().as_secs_f64(), &attributes);
    response
}

/// Everything that the headers say is judged before a byte of the body is asked for: a client that
/// waits for `100 Continue` gets the refusal instead.
async fn judge_and_answer(
    shard: &Rc<Shard>,
    request: Request<Incoming>,
    operation: &mut &'static str,
) -> Result<Answer, Failure> {
    let path = String::from(request.uri().path());
    let found = routes::find(request.method(), &path).map_err(|absent| not_found(&absent))?;
    *operation = found.operation.name();
    let Some(code) = &found.app else { return Ok(document::openapi().await) };
    let gateway = &shard.gateway;
    let app = gateway.directory.by_code(code);
    refuse_key_in_url(app.as_deref(), request.uri().query().unwrap_or(""))?;
    let app = authorize(app, request.headers())?;
    let place = gateway.api.admit().map_err(|refusal| Failure::from(&refusal))?;
    let mut span = trace::start(gateway, found.operation.name(), &request);
    let answer = answer(shard, request, &found, app, place).await;
    match &answer {
        Ok(answer) => span.end(answer.status, None),
        Err(failure) => span.end(failure.status, Some(failure.code())),
    }
    answer
}

async fn answer(
    shard: &Rc<Shard>,
    request: Request<Incoming>,
    found: &Found<'_>,
    app: Arc<App>,
    place: OwnedSemaphorePermit,
) -> Result<Answer, Failure> {
    check_expectation(request.headers())?;
    let channel = found.channel.map(read::channel_segment).transpose()?;
    let (parts, body) = if found.operation.has_body() {
        check_content(request.headers())?;
        body::read(&shard.gateway, request).await.map_err(|error| {
            let status = StatusCode::from_u16(error.status()).expect("a status of ours");
            Failure::new(status, error.reason(), error.detail()).closing()
        })?
    } else {
        (request.into_parts().0, bytes::Bytes::new())
    };
    let call = Call {
        shard: Rc::clone(shard),
        app,
        operation: found.operation,
        channel,
        query: parts.uri.query().map(Box::from).unwrap_or_default(),
        key: call::idempotency_key(&parts.headers)?,
        body,
        place: Rc::new(place),
    };
    match found.operation {
        Operation::Publish => publish::publish(call).await,
        Operation::Batch => publish::batch(call).await,
        Operation::Broadcast => publish::broadcast(call).await,
        Operation::Channels => channels::channels(call).await,
        Operation::Channel => channels::channel(call).await,
        Operation::Presence => channels::presence(call).await,
        Operation::History => channels::history(call).await,
        Operation::Disconnect => disconnect::disconnect(call).await,
        Operation::Document => Ok(document::openapi().await),
    }
}

fn not_found(absent: &NotFound) -> Failure {
    match *absent {
        NotFound::Path => {
            let detail = "there is no such path: see /v1/openapi.json for those that there are";
            Failure::new(StatusCode::NOT_FOUND, Reason::NotFound, detail)
        }
        NotFound::Method(allow) => {
            let detail = format!("this path takes {allow} only");
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, Reason::BadMessage, detail)
                .with(header::ALLOW, HeaderValue::from_static(allow))
        }
    }
}

/// Addresses end up in logs on the way: a key in one is no secret any more.
fn refuse_key_in_url(app: Option<&App>, query: &str) -> Result<(), Failure> {
    const NAMES: [&str; 6] = ["key", "api_key", "apikey", "token", "access_token", "authorization"];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let named = NAMES.iter().any(|known| name.eq_ignore_ascii_case(known));
        if !named && !value.contains("whf_sk") {
            continue;
        }
        let config = app.map(App::config);
        let header = format!("Bearer {value}");
        if bearer::verify(config.as_deref(), [header.as_bytes()]).is_ok()
            && let Some(key) = bearer::parse(&value)
        {
            warn!(event = "api.key_in_url", key_id = key.key_id, "an API key was sent in a URL");
        }
        let detail = "a key does not belong into the URL, where logs keep it: send it as \
                      `Authorization: Bearer`, and replace one that was sent like this";
        let failure = Failure::new(StatusCode::BAD_REQUEST, Reason::BadMessage, detail);
        return Err(failure.coded("key_in_url"));
    }
    Ok(())
}

/// An app that does not exist and a key that does not hold are answered alike.
fn authorize(app: Option<Arc<App>>, headers: &HeaderMap) -> Result<Arc<App>, Failure> {
    let config = app.as_deref().map(App::config);
    let given = headers.get_all(header::AUTHORIZATION);
    bearer::verify(config.as_deref(), given.iter().map(HeaderValue::as_bytes))?;
    let app = app.expect("no key holds without an app");
    if app.config().state == AppState::Disabled {
        let detail = "the app is switched off";
        return Err(Failure::new(StatusCode::FORBIDDEN, Reason::Forbidden, detail));
    }
    Ok(app)
}

fn check_expectation(headers: &HeaderMap) -> Result<(), Failure> {
    let mut expected = headers.get_all(header::EXPECT).iter();
    if expected.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    let detail = "the only expectation that is met is 100-continue";
    Err(Failure::new(StatusCode::EXPECTATION_FAILED, Reason::BadMessage, detail))
}

fn check_content(headers: &HeaderMap) -> Result<(), Failure> {
    let unsupported = |detail: &'static str| {
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Reason::BadMessage, detail)
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        let failure = unsupported("bodies are not decompressed: send it without Content-Encoding");
        return Err(failure.with(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(only), None) if is_json(only.as_bytes()) => Ok(()),
        _ => Err(unsupported("send one JSON object with Content-Type: application/json")),
    }
}

/// `application/json`, in UTF-8 if it says so at all.
fn is_json(content_type: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content_type) else { return false };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim_end().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}
