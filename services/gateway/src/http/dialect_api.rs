//! A dialect's server-side API: the dialect reads and words, we judge the credential and act.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, StatusCode, Uri};
use model::{AppState, Reason};
use opentelemetry::KeyValue;
use protocol::Protocol;
use protocol::server_api::{ApiCredential, ApiError, ApiRequest, ApiResponse, ServerApi};
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::auth;
use crate::http::{Response, body, calls, problem, trace};
use crate::shard::Shard;

pub(super) async fn serve(
    shard: &Rc<Shard>,
    protocol: &'static dyn Protocol,
    api: &'static dyn ServerApi,
    request: Request<Incoming>,
) -> Response {
    let begun = tokio::time::Instant::now();
    let response = respond(shard, protocol, api, request).await;
    let status = KeyValue::new("http.response.status_code", i64::from(response.status().as_u16()));
    shard.gateway.instruments.api_request.record(begun.elapsed().as_secs_f64(), &[status]);
    response
}

/// The signature covers the body's digest: who asks is judged before a byte of the body is read. A
/// refusal before its end closes the socket, since nobody reads the rest.
async fn respond(
    shard: &Rc<Shard>,
    protocol: &'static dyn Protocol,
    api: &'static dyn ServerApi,
    request: Request<Incoming>,
) -> Response {
    let refused = |error: ApiError| {
        shard.gateway.instruments.refused(error.reason);
        plain(api.error(&error), error.retry_after_seconds)
    };
    let closing = |error| problem::with_header(refused(error), header::CONNECTION, "close");
    let is_whole = request.body().is_end_stream();
    let (app, credential) = match judge(shard, protocol, api, &request) {
        Ok(judged) => judged,
        Err(error) if is_whole => return refused(error),
        Err(error) => return closing(error),
    };
    let place = match shard.gateway.api.admit() {
        Ok(place) => place,
        Err(refusal) => return closing(ApiError::from(&refusal)),
    };
    let mut span = trace::start(&shard.gateway, protocol.name(), &request);
    let (parts, body) = match body::read(&shard.gateway, request).await {
        Ok(read) => read,
        Err(error) => {
            let error = ApiError::new(error.status(), error.reason(), error.detail());
            let (reason, response) = (error.reason.word(), closing(error));
            span.end(response.status(), Some(reason));
            return response;
        }
    };
    let asked = asked(&parts.method, &parts.uri, &parts.headers, &body);
    let judged = auth::verify_body(&credential, &body);
    let answered = match judged {
        Ok(()) => answer(shard, &app, api, (&asked, place)).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(answer) => {
            let response = plain(answer, None);
            span.end(response.status(), None);
            response
        }
        Err(error) => {
            let reason = error.reason.word();
            let response = refused(error);
            span.end(response.status(), Some(reason));
            response
        }
    }
}

fn judge(
    shard: &Shard,
    protocol: &dyn Protocol,
    api: &dyn ServerApi,
    request: &Request<Incoming>,
) -> Result<(Arc<App>, ApiCredential), ApiError> {
    let nothing = Bytes::new();
    let head = asked(request.method(), request.uri(), request.headers(), &nothing);
    let credential = api.credential(&head)?;
    let app = shard.gateway.directory.find(&credential.app).ok_or_else(unknown_app)?;
    let config = app.config();
    auth::verify_api(&config, &credential, runtime::clock::unix_seconds())?;
    if config.state == AppState::Disabled || !config.dialects.contains(&protocol.name()) {
        let detail = "the app, or this dialect of it, is switched off";
        return Err(ApiError::new(403, Reason::Forbidden, detail));
    }
    Ok((app, credential))
}

async fn answer(
    shard: &Rc<Shard>,
    app: &Arc<App>,
    api: &dyn ServerApi,
    (asked, place): (&ApiRequest<'_>, OwnedSemaphorePermit),
) -> Result<ApiResponse, ApiError> {
    let call = api.read(asked)?;
    let answer = calls::perform_whole(shard, app, call, place).await;
    Ok(api.answer(asked, &answer.map_err(|refusal| ApiError::from(&refusal))?))
}

fn asked<'a>(
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a Bytes,
) -> ApiRequest<'a> {
    let content_type = headers.get(header::CONTENT_TYPE);
    ApiRequest {
        method: method.as_str(),
        path: uri.path(),
        query: uri.query().unwrap_or(""),
        content_type: content_type.and_then(|value| value.to_str().ok()),
        body,
    }
}

/// Reads as a wrong signature does.
fn unknown_app() -> ApiError {
    let detail = "the signature does not hold: check the key, its secret and what is signed";
    ApiError::new(401, Reason::Unauthorized, detail)
}

fn plain(answer: ApiResponse, retry_after_seconds: Option<u64>) -> Response {
    let mut response = hyper::Response::new(Full::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("a status of ours");
    let content_type = header::HeaderValue::from_static(answer.content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
