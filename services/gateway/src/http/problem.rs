//! Errors as `application/problem+json` (RFC 9457), each with a request id that our log knows.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{StatusCode, header};
use serde_json::json;
use tracing::debug;

use crate::Gateway;
use crate::http::Response;

/// `code` is the one word for what happened; `detail` says what to do and holds nothing of ours.
pub(crate) fn response(
    gateway: &Gateway,
    status: StatusCode,
    code: &str,
    detail: &str,
) -> Response {
    let request_id = gateway.request_id();
    debug!(event = "http.refused", status = status.as_u16(), code, request_id, "{detail}");
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
        "request_id": request_id,
    });
    let mut response = hyper::Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
    headers.insert(
        "x-request-id",
        header::HeaderValue::from_str(&request_id).expect("hex digits are a header value"),
    );
    response
}

/// As [`response`], and nothing more is read from the socket.
pub(crate) fn closing(gateway: &Gateway, status: StatusCode, code: &str, detail: &str) -> Response {
    with_header(response(gateway, status, code, detail), header::CONNECTION, "close")
}

pub(crate) fn with_header(
    mut response: Response,
    name: header::HeaderName,
    value: &str,
) -> Response {
    let value = header::HeaderValue::from_str(value).expect("ours are ASCII");
    response.headers_mut().insert(name, value);
    response
}
