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
    let response = match read_and_answer(shard, api, request).await {
        Ok(answer) => plain(answer, None),
        Err(error) => {
            shard.gateway.instruments.refused(error.reason);
            plain(api.error(&error), error.retry_after_seconds)
        }
    };
    let status = KeyValue::new("http.response.status_code", i64::from(response.status().as_u16()));
    shard.gateway.instruments.api_request.record(begun.elapsed().as_secs_f64(), &[status]);
    response
}

async fn read_and_answer(
    shard: &Shard,
    api: &dyn ServerApi,
    request: Request<Incoming>,
) -> Result<ApiResponse, ApiError> {
    let gateway = &shard.gateway;
    let _place = gateway.api.admit().map_err(|refusal| ApiError::from(&refusal))?;
    let read = body::read(gateway, request).await;
    let (parts, body) =
        read.map_err(|error| ApiError::new(error.status(), error.reason(), error.detail()))?;
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let asked = ApiRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        content_type: content_type.and_then(|value| value.to_str().ok()),
        body: &body,
    };
    answer(shard, api, &asked).await
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
    let answer = calls::perform(gateway, &app, call).await;
    let answer = answer.map_err(|refusal| ApiError::from(&refusal))?;
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
