//! A dialect's server-side API: the dialect reads and words, we judge the credential and act.

use std::rc::Rc;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, StatusCode, header};
use opentelemetry::KeyValue;
use protocol::server_api::{ApiError, ApiRequest, ApiResponse, ServerApi};

use crate::auth;
use crate::http::{Response, body, calls};
use crate::shard::Shard;

pub(super) async fn serve(
    shard: &Rc<Shard>,
    api: &'static dyn ServerApi,
    request: Request<Incoming>,
) -> Response {
    let begun = tokio::time::Instant::now();
    let answer = match body::read(&shard.gateway, request).await {
        Err(error) => {
            let status = error.status();
            let response = api.error(&ApiError::new(status, error.reason(), error.detail()));
            closing(response)
        }
        Ok((parts, body)) => {
            let asked = ApiRequest {
                method: parts.method.as_str(),
                path: parts.uri.path(),
                query: parts.uri.query().unwrap_or(""),
                content_type: parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()),
                body: &body,
            };
            match answer(shard, api, &asked).await {
                Ok(response) => plain(response, None),
                Err(error) => plain(api.error(&error), error.retry_after_seconds),
            }
        }
    };
    let status = KeyValue::new("http.response.status_code", i64::from(answer.status().as_u16()));
    shard.gateway.instruments.api_request.record(begun.elapsed().as_secs_f64(), &[status]);
    answer
}

async fn answer(
    shard: &Shard,
    api: &dyn ServerApi,
    asked: &ApiRequest<'_>,
) -> Result<ApiResponse, ApiError> {
    let gateway = &shard.gateway;
    let credential = api.credential(asked)?;
    let app = gateway.directory.find(&credential.app).ok_or_else(unknown_app)?;
    let now = runtime::clock::unix_seconds();
    auth::verify_api(&app.config(), &credential, asked.body, now)?;
    if app.config().state == model::AppState::Disabled {
        return Err(ApiError::new(403, model::Reason::Forbidden, "the app is switched off"));
    }
    let call = api.read(asked)?;
    let answer = calls::perform(gateway, &app, call).await.map_err(|refusal| {
        gateway.instruments.refused(refusal.reason);
        ApiError::from(&refusal)
    })?;
    Ok(api.answer(asked, &answer))
}

/// Reads as a wrong signature does.
fn unknown_app() -> ApiError {
    let detail = "the signature does not hold: check the key, its secret and what is signed";
    ApiError::new(401, model::Reason::Unauthorized, detail)
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

/// The rest of the body is not read.
fn closing(answer: ApiResponse) -> Response {
    let mut response = plain(answer, None);
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}
