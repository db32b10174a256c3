//! What this API answers: JSON when it worked, a problem when not.

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use model::{Reason, Refusal};
use protocol::server_api::ApiError;
use serde::Serialize;

use crate::Gateway;
use crate::http::{Response, problem};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// It was given before, to a request with the same idempotency key.
    pub(super) replayed: bool,
}

/// A request that did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) reason: Reason,
    pub(super) detail: Cow<'static, str>,
    /// Where the reason's word does not say enough.
    code: Option<&'static str>,
    retry_after_seconds: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The rest of what the client sends is not read.
    closing: bool,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("our answers have string keys only");
        Self { status, body: Bytes::from(body), replayed: false }
    }

    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(super) fn response(self) -> Response {
        let mut response = hyper::Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

impl Failure {
    pub(super) fn new(
        status: StatusCode,
        reason: Reason,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            reason,
            detail: detail.into(),
            code: None,
            retry_after_seconds: None,
            headers: Vec::new(),
            closing: false,
        }
    }

    /// A field that is not what it must be.
    pub(super) fn field(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason, detail)
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(super) fn code(&self) -> &'static str {
        self.code.unwrap_or_else(|| self.reason.word())
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds.max(1)), ..self }
    }

    pub(super) fn closing(self) -> Self {
        Self { closing: true, ..self }
    }

    pub(super) fn response(self, gateway: &Gateway) -> Response {
        let code = self.code();
        let mut response = if self.closing {
            problem::closing(gateway, self.status, code, &self.detail)
        } else {
            problem::response(gateway, self.status, code, &self.detail)
        };
        let headers = response.headers_mut();
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let status = StatusCode::from_u16(error.status).expect("a status of ours");
        let failure = Self {
            retry_after_seconds: error.retry_after_seconds,
            ..Self::new(status, error.reason, error.detail)
        };
        match status {
            StatusCode::UNAUTHORIZED => {
                failure.with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                let seconds = failure.retry_after_seconds.unwrap_or(1);
                failure.retry_after(seconds)
            }
            _ => failure,
        }
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        Self::from(ApiError::from(refusal))
    }
}
